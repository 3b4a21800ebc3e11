"""Prometheus, asked over its HTTP interface. An expression that it refuses is an error."""

import json
import math
import urllib.error
import urllib.parse
import urllib.request


class Prometheus:
    def __init__(self, address):
        self.address = address.rstrip("/")

    def _get(self, path, **parameters):
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"Prometheus refuses {parameters}: {error.read().decode()}") from error

    def now(self, expression, at):
        """(labels, value) of each series."""
        found = self._get("query", query=expression, time=at)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def over(self, expression, begin, end, step):
        """Times, and (labels, values) of each series; NaN where there is none."""
        begin, end = math.floor(begin / step) * step, math.floor(end / step) * step
        times = [begin + step * at for at in range(int((end - begin) / step) + 1)]
        found = self._get("query_range", query=expression, start=begin, end=end, step=step)["result"]
        out = []
        for series in found:
            values = {round(float(at)): float(value) for at, value in series["values"]}
            out.append((series["metric"], [values.get(round(at), math.nan) for at in times]))
        return times, out

    def values(self, metric, label):
        found = self._get(f"label/{label}/values", **{"match[]": metric})
        return sorted(found)
