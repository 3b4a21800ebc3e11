"""Values in their units, near to how Grafana writes them. An unknown unit is an error, not a bare number."""

import time


def _rounded(value, decimals):
    if decimals is None:
        size = abs(value)
        decimals = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:.{decimals}f}"


def _scaled(value, decimals, base, names):
    at = 0
    while abs(value) >= base and at + 1 < len(names):
        value, at = value / base, at + 1
    return f"{_rounded(value, decimals)}{names[at]}"


def _seconds(value, decimals):
    size = abs(value)
    for limit, factor, name in (
        (1e-3, 1e6, " µs"),
        (1, 1e3, " ms"),
        (60, 1, " s"),
        (3600, 1 / 60, " min"),
        (86400, 1 / 3600, " hours"),
        (604800, 1 / 86400, " days"),
    ):
        if size < limit:
            return ("0" if value == 0 else _rounded(value * factor, decimals)) + (" s" if value == 0 else name)
    return _rounded(value / 604800, decimals) + " weeks"


def _clock(value, _decimals):
    moment = time.localtime(value / 1000)
    is_today = moment[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", moment)


FORMATS = {
    "none": _rounded,
    "short": lambda value, decimals: _scaled(value, decimals, 1000, ["", " K", " Mil", " Bil"]),
    "s": _seconds,
    "percentunit": lambda value, decimals: _rounded(value * 100, decimals) + "%",
    "bytes": lambda value, decimals: _scaled(value, decimals, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]),
    "Bps": lambda value, decimals: _scaled(value, decimals, 1000, [" B/s", " kB/s", " MB/s", " GB/s"]),
    "recps": lambda value, decimals: _scaled(value, decimals, 1000, [" rec/s", "K rec/s", "M rec/s"]),
    "dateTimeAsIsoNoDateIfToday": _clock,
}


def written(value, unit, decimals=None):
    return FORMATS[unit](value, decimals)
