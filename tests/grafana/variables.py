"""Variables, repeated rows and intervals of a dashboard, as Grafana fills them in."""

import copy
import math
import re

COLUMNS = 24


def escaped(value):
    """A value for `=~`, in the double quotes of PromQL."""
    return re.sub(r"([\\^$*+?.()|\[\]{}])", r"\\\\\1", value)


def filled(text, values):
    """`text` with `$name` and `${name}` replaced."""
    for name in sorted(values, key=len, reverse=True):
        text = text.replace("${%s}" % name, values[name]).replace(f"${name}", values[name])
    return text


def intervals(seconds, width, panel, scrape):
    """Step of a graph that is `width` pixels wide, and the values of the interval variables."""
    least = re.fullmatch(r"(\d+)s", panel.get("interval", "1s"))
    step = max(math.ceil(seconds / width), int(least[1]) if least else 1)
    return step, {
        "__interval": f"{step}s",
        "__rate_interval": f"{max(step + scrape, 4 * scrape)}s",
        "__range": f"{seconds}s",
    }


def unrolled(panels, integrations):
    """Panels with the values that belong to them alone: what follows a repeated row is there once per integration."""
    out, down, at = [], 0, 0
    while at < len(panels):
        head = panels[at]
        end = at + 1
        if head["type"] == "row":
            while end < len(panels) and panels[end]["type"] != "row":
                end += 1
        block = panels[at:end]
        height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in block) - block[0]["gridPos"]["y"]
        values = integrations or [None] if head.get("repeat") == "integration" else [None]
        for number, value in enumerate(values):
            for panel in block:
                moved = copy.deepcopy(panel)
                moved["gridPos"]["y"] += down + number * height
                out.append((moved, {} if value is None else {"integration": value}))
        down += (len(values) - 1) * height
        at = end
    return out
