"""Draws a dashboard from the figures of a real Prometheus into one PNG, near to how Grafana shows it: for looking at.

    tests/tools/python.sh run deploy tests/grafana/draw.py --prometheus http://127.0.0.1:9090 DASHBOARD.json OUT.png

It is not Grafana. Panels, their grid, units, legends, thresholds, mappings and colours are those of the dashboard;
a panel without figures says so in the words that it has for that, and an expression that fails ends the program.
"""

import argparse
import json
import math
import sys
import textwrap
import time

import matplotlib
import matplotlib.dates as dates
from matplotlib.colors import PowerNorm
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullLocator

from board import DPI, EDGE, FAINT, GAP, GRID, HEAD, PAGE, PALETTE, PANEL, TEXT, UNIT, WIDTH, Board
from source import Prometheus
from units import FORMATS, written
from variables import COLUMNS, escaped, filled, intervals, unrolled


class Drawing:
    """One panel: where it is, what it asks, what it says."""

    def __init__(self, board, panel, values, source, begin, end, scrape):
        self.board, self.panel, self.source = board, panel, source
        self.begin, self.end = begin, end
        place = panel["gridPos"]
        column = (WIDTH - GAP) / COLUMNS
        self.x, self.w = GAP + place["x"] * column, place["w"] * column - GAP
        self.y, self.h = HEAD + place["y"] * UNIT, place["h"] * UNIT - GAP
        self.step, more = intervals(int(end - begin), max(int(self.w), 1), panel, scrape)
        self.values = {**values, **more}
        self.config = panel.get("fieldConfig", {"defaults": {}, "overrides": []})

    # What the dashboard says of a series.

    def field(self, name, ref=None):
        """The configuration of the series of that name."""
        found = json.loads(json.dumps(self.config["defaults"]))
        for override in self.config["overrides"]:
            kind, wanted = override["matcher"]["id"], override["matcher"]["options"]
            if wanted == {"byName": name, "byFrameRefID": ref}[kind]:
                for change in override["properties"]:
                    node, *path = found, *change["id"].split(".")
                    for key in path[:-1]:
                        node = node.setdefault(key, {})
                    node[path[-1]] = change["value"]
        return found

    def shown(self, value, field):
        """Text and colour of a value."""
        colour = None
        if field.get("color", {}).get("mode") == "fixed":
            colour = field["color"]["fixedColor"]
        else:
            for step in field.get("thresholds", {}).get("steps", []):
                if step["value"] is None or value >= step["value"]:
                    colour = step["color"]
        for mapping in field.get("mappings", []):
            options = mapping["options"]
            if mapping["type"] == "value":
                key = str(int(value)) if value == int(value) else str(value)
                result = options.get(key)
            else:
                result = options["result"] if options["from"] <= value <= options["to"] else None
            if result:
                return result["text"], result.get("color", colour)
        return written(value, field["unit"], field.get("decimals")), colour

    def query(self, target):
        expression = filled(target["expr"], self.values)
        if target["instant"]:
            return [(labels, value) for labels, value in self.source.now(expression, self.end)]
        return self.source.over(expression, self.begin, self.end, self.step)

    def legend(self, target, labels):
        text = target["legendFormat"]
        for label, value in labels.items():
            text = text.replace("{{%s}}" % label, value)
        return text or ", ".join(labels.values()) or self.panel["title"]

    # How it is drawn.

    def draw(self):
        if self.panel["type"] == "row":
            self.board.text(self.x + 4, self.y + self.h / 2, "⌄  " + self.title(), 15, weight="bold")
            return True
        self.board.box(self.x, self.y, self.w, self.h, PANEL, EDGE)
        self.board.text(self.x + 10, self.y + 16, self.title(), 13, weight="bold")
        kinds = {
            "stat": self.stat,
            "timeseries": self.graph,
            "heatmap": self.heat_map,
            "state-timeline": self.state_timeline,
            "table": self.table,
        }
        return kinds[self.panel["type"]]()

    def title(self):
        return filled(self.panel["title"], self.values)

    def nothing(self):
        text = self.config["defaults"].get("noValue", "No data")
        if self.panel["type"] != "stat":
            text = "\n".join(textwrap.wrap(text, max(int(self.w / 9), 8)))
            self.board.text(self.x + self.w / 2, self.y + self.h / 2 + 8, text, 15, FAINT, ha="center")
        else:
            text = "\n".join(textwrap.wrap(text, max(int(self.w / 11), 8)))
            self.board.text(self.x + self.w / 2, self.y + self.h / 2 + 12, text, 17, FAINT, ha="center")
        return False

    def stat(self):
        figures = []
        for target in self.panel["targets"]:
            for labels, value in self.query(target):
                name = self.legend(target, labels)
                field = self.field(name, target["refId"])
                if not math.isnan(value):
                    figures.append((name, *self.shown(value, field)))
        if not figures:
            return self.nothing()
        options, width = self.panel["options"], (self.w - 12) / len(figures)
        size = min(46, (self.h - 40) * 0.5, *(1.5 * (width - 20) / max(len(text), 1) for _, text, _ in figures))
        for at, (name, text, colour) in enumerate(figures):
            x, y = self.x + 6 + at * width, self.y + 30
            ink = colour or TEXT
            if options["colorMode"] == "background_solid":
                self.board.box(x + 3, y, width - 6, self.h - 36, colour)
                ink = "#FFFFFF"
            middle = y + (self.h - 36) / 2
            if options["textMode"] == "value_and_name":
                self.board.text(x + width / 2, middle - size * 0.55, name, 16, ink, ha="center")
                middle += size * 0.4
            self.board.text(x + width / 2, middle, text, size, ink, ha="center", weight="bold")
        return True

    def plot(self, bottom, left=None):
        axes = self.board.axes(
            self.x + (left or 66), self.y + 34, self.w - (left or 66) - 14, self.h - 34 - 24 - bottom
        )
        axes.set_facecolor(PANEL)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(colors=FAINT, labelsize=8, length=0)
        axes.grid(color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.set_xlim(self.date(self.begin), self.date(self.end))
        axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=3, maxticks=max(3, int(self.w / 90))))
        axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M" if self.end - self.begin > 180 else "%H:%M:%S"))
        return axes

    @staticmethod
    def date(seconds):
        return (seconds + time.localtime(seconds).tm_gmtoff) / 86400

    @staticmethod
    def key_width(name):
        return 30 + TextPath((0, 0), name, size=11).get_extents().width

    def keys(self, entries, line):
        """A legend: lines of colour and name."""
        x, y = self.x + 12, self.y + self.h - 16 * line + 4
        for name, colour in entries:
            width = self.key_width(name)
            if x + width > self.x + self.w - 4 and x > self.x + 12:
                x, y = self.x + 12, y + 16
            self.board.box(x, y - 2, 12, 4, colour)
            self.board.text(x + 17, y, name, 11)
            x += width

    def key_lines(self, entries):
        lines, x = 1, 12
        for name, _ in entries:
            width = self.key_width(name)
            if x + width > self.w - 4 and x > 12:
                lines, x = lines + 1, 12
            x += width
        return lines

    def graph(self):
        series, times = [], []
        for target in self.panel["targets"]:
            times, found = self.query(target)
            for labels, values in found:
                series.append((self.legend(target, labels), values))
        if not any(not math.isnan(value) for _, values in series for value in values):
            return self.nothing()
        custom, defaults = self.config["defaults"]["custom"], self.config["defaults"]
        names = sorted({name for name, _ in series})
        drawn = []
        for name, values in series:
            color = self.field(name)["color"]
            colour = color["fixedColor"] if color["mode"] == "fixed" else PALETTE[names.index(name) % len(PALETTE)]
            drawn.append((name, values, colour))
        entries = [(name, colour) for name, _, colour in drawn]
        lines = self.key_lines(entries)
        axes = self.plot(16 * lines)
        moments = [self.date(at) for at in times]
        scale = custom["scaleDistribution"]
        if scale["type"] == "log" and any(value > 0 for _, values, _ in drawn for value in values):
            axes.set_yscale("log", base=scale["log"], nonpositive="mask")
        stacked = custom["stacking"]["mode"] == "normal"
        base = [0.0] * len(times)
        where = {"step": "post"} if custom["lineInterpolation"] == "stepAfter" else {}
        for _, values, colour in drawn:
            if not stacked:
                style = {"drawstyle": "steps-post"} if where else {}
                axes.plot(moments, values, color=colour, linewidth=custom["lineWidth"] * 0.8, **style)
                if custom["fillOpacity"] and axes.get_yscale() != "log":
                    axes.fill_between(moments, values, color=colour, alpha=custom["fillOpacity"] / 100, linewidth=0, **where)
                continue
            top = [low + (0 if math.isnan(value) else value) for low, value in zip(base, values)]
            if custom["drawStyle"] == "bars":
                heights = [high - low for low, high in zip(base, top)]
                axes.bar(moments, heights, self.step / 86400 * 0.8, bottom=base, color=colour, linewidth=0)
            else:
                is_there = [not math.isnan(value) for value in values]
                shape = {"color": colour, "linewidth": 0.8, **where}
                axes.fill_between(moments, base, top, is_there, alpha=custom["fillOpacity"] / 100, **shape)
            base = top
        self.limits(axes, defaults, [value for _, values, _ in drawn for value in values], base if stacked else None)
        if custom["thresholdsStyle"]["mode"] == "dashed":
            for step in defaults["thresholds"]["steps"]:
                if step["value"] is not None and axes.get_ylim()[0] < step["value"] < axes.get_ylim()[1]:
                    axes.axhline(step["value"], color=step["color"], linewidth=1, linestyle=(0, (6, 4)))
        self.annotate(axes)
        self.keys(entries, lines)
        return True

    @staticmethod
    def limits(axes, defaults, values, stack):
        seen = [value for value in values if not math.isnan(value)]
        unit, decimals = defaults["unit"], defaults.get("decimals")
        if axes.get_yscale() == "log":
            seen = [value for value in seen if value > 0]
            base = defaults["custom"]["scaleDistribution"]["log"]
            low = base ** math.floor(math.log(min(seen), base))
            high = base ** math.ceil(math.log(max(seen) * 1.01, base))
            axes.set_ylim(low, high if high > low else low * base)
            axes.yaxis.set_major_locator(LogLocator(base, numticks=7))
            axes.yaxis.set_minor_locator(NullLocator())
        else:
            low = defaults.get("min", min(seen))
            high = defaults.get("max", max(max(stack or seen) * 1.08, defaults["custom"].get("axisSoftMax", 0)))
            axes.set_ylim(low, high if high > low else low + 1)
            if unit == "bytes":
                axes.yaxis.set_major_locator(MultipleLocator(2 ** math.ceil(math.log2(max(high, 5) / 5))))
            else:
                axes.yaxis.set_major_locator(MaxNLocator(5, integer=decimals == 0))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, unit, decimals)))

    def annotate(self, axes):
        for annotation in self.annotations:
            expression = filled(annotation["target"]["expr"], self.values)
            times, found = self.source.over(expression, self.begin, self.end, int(annotation["target"]["interval"][:-1]))
            for _, values in found:
                # As Grafana does with values that are times.
                moments = {value / 1000 for value in values if not math.isnan(value)}
                for at in moments:
                    if self.begin <= at <= self.end:
                        axes.axvline(self.date(at), color=annotation["iconColor"], linewidth=1, linestyle=(0, (3, 3)))
                        axes.plot([self.date(at)], [0], marker="^", color=annotation["iconColor"], markersize=6,
                                  transform=axes.get_xaxis_transform(), clip_on=False)

    def heat_map(self):
        target = self.panel["targets"][0]
        times, found = self.query(target)
        found = sorted(found, key=lambda series: float(series[0]["le"]))
        if not found:
            return self.nothing()
        unit = self.panel["options"]["yAxis"]["unit"]
        axes = self.plot(14, 76)
        rows, below = [], [0.0] * len(times)
        for _, values in found:
            values = [0 if math.isnan(value) else value for value in values]
            rows.append([max(value - low, 0) for value, low in zip(values, below)])
            below = values
        least = self.panel["options"]["filterValues"]["le"]
        cells = [[value if value > least else math.nan for value in row] for row in rows]
        most = max(max(row) for row in rows) or 1
        half = self.step / 2
        edges = [self.date(at - half) for at in [*times, times[-1] + self.step]]
        colours = matplotlib.colormaps[self.panel["options"]["color"]["scheme"].lower()]
        norm = PowerNorm(self.panel["options"]["color"]["exponent"], 0, most)
        mesh = axes.pcolormesh(edges, range(len(rows) + 1), cells, cmap=colours, norm=norm)
        ticks = range(0, len(found), 2)
        labels = ["+Inf" if found[at][0]["le"] == "+Inf" else written(float(found[at][0]["le"]), unit) for at in ticks]
        axes.set_yticks([at + 1 for at in ticks], labels)
        axes.set_ylim(0, len(rows))
        bar = self.board.axes(self.x + 76, self.y + self.h - 16, 260, 8)
        self.board.figure.colorbar(mesh, cax=bar, orientation="horizontal")
        bar.tick_params(colors=FAINT, labelsize=1, length=0)
        bar.set_xticks([])
        self.board.text(self.x + 344, self.y + self.h - 12, f"0 to {written(most, 'short', 0)} events", 11, FAINT)
        self.annotate(axes)
        return True

    def state_timeline(self):
        target = self.panel["targets"][0]
        times, found = self.query(target)
        if not found:
            return self.nothing()
        left = 24 + 7 * max(len(self.legend(target, labels)) for labels, _ in found)
        axes = self.plot(18, left)
        axes.grid(visible=False)
        axes.set_ylim(len(found), 0)
        axes.set_yticks([at + 0.5 for at in range(len(found))], [self.legend(target, labels) for labels, _ in found])
        field, seen = self.field(""), {}
        for at, (_, values) in enumerate(found):
            begin = 0
            for now in range(1, len(times) + 1):
                is_same = now < len(times) and (values[now] == values[begin] or math.isnan(values[now]) and math.isnan(values[begin]))
                if is_same:
                    continue
                if not math.isnan(values[begin]):
                    text, colour = self.shown(values[begin], field)
                    seen[text] = colour
                    since, until = max(times[begin], self.begin), times[min(now, len(times) - 1)]
                    x, wide = self.date(since), (until - since) / 86400
                    axes.add_patch(Rectangle((x, at + 0.08), wide, 0.84, facecolor=colour, alpha=0.8, linewidth=0))
                    if wide * 86400 / (self.end - self.begin) * self.w > 8 * len(text):
                        axes.text(x + 6 / 86400 * (self.end - self.begin) / self.w, at + 0.5, text, color="white", fontsize=9,
                                  va="center", clip_on=True)
                begin = now
        self.annotate(axes)
        self.keys(list(seen.items()), 1)
        return True

    def table(self):
        merge, organize = self.panel["transformations"]
        assert (merge["id"], organize["id"]) == ("merge", "organize")
        options, key = organize["options"], next(iter(organize["options"]["indexByName"]))
        rows = {}
        columns = [key]
        for target in self.panel["targets"]:
            for labels, value in self.query(target):
                line = rows.setdefault(labels[key], {})
                line.update(labels)
                line[f"Value #{target['refId']}"] = value
                columns += [name for name in (*labels, f"Value #{target['refId']}") if name not in columns]
        if not rows:
            return self.nothing()
        columns.sort(key=lambda name: options["indexByName"].get(name, 99))
        width = (self.w - 20) / len(columns)
        for at, column in enumerate(columns):
            x = self.x + 12 + at * width
            name = options["renameByName"].get(column, column)
            self.board.text(x, self.y + 46, name, 12, "#6E9FFF", weight="bold")
            for down, line in enumerate(rows.values()):
                y, value = self.y + 74 + 30 * down, line.get(column)
                field = self.field(name)
                if isinstance(value, float):
                    text, colour = self.shown(value, field)
                    is_coloured = field["custom"]["cellOptions"]["type"] == "color-text"
                    self.board.text(x, y, text, 12.5, colour if is_coloured else TEXT)
                else:
                    self.board.text(x, y, value or "", 12.5)
        for down in range(len(rows) + 1):
            self.board.box(self.x + 6, self.y + 59 + 30 * down, self.w - 12, 0.5, EDGE)
        return True


def units(node):
    """All units that are named anywhere in a dashboard."""
    if isinstance(node, dict):
        if node.get("id") == "unit":
            yield node["value"]
        for key, value in node.items():
            yield from [value] if key == "unit" else units(value)
    elif isinstance(node, list):
        for item in node:
            yield from units(item)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prometheus", required=True, help="address, as http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=15, help="how far back")
    parser.add_argument("--ago", type=float, default=0, help="end that many minutes ago")
    parser.add_argument("--scrape", type=int, default=2, help="scrape interval in seconds")
    parser.add_argument("--integration", nargs="*", default=[], help="those selected; default all")
    parser.add_argument("dashboard")
    parser.add_argument("picture")
    chosen = parser.parse_args()

    with open(chosen.dashboard, encoding="utf-8") as file:
        dashboard = json.load(file)
    if unknown := set(units(dashboard)) - set(FORMATS):
        sys.exit(f"units.py cannot write {', '.join(sorted(unknown))}")
    source = Prometheus(chosen.prometheus)
    end = time.time() - chosen.ago * 60
    begin = end - chosen.minutes * 60
    integrations = chosen.integration or source.values("rtalink_feed_up", "integration")
    everything = {
        "instance": ".*",
        "integration": "|".join(escaped(value) for value in chosen.integration) or ".*",
    }
    panels = unrolled(dashboard["panels"], integrations)
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in panels)

    board = Board(HEAD + rows * UNIT + GAP)
    board.text(14, 22, dashboard["title"], 20, weight="bold")
    links = "   ".join("↗ " + link["title"] for link in dashboard["links"])
    chips = "   ".join(
        f"{variable['label']}: {', '.join(chosen.integration) or 'All'}" if variable["name"] == "integration" else
        f"{variable['label']}: {'All' if variable['type'] == 'query' else 'Prometheus'}"
        for variable in dashboard["templating"]["list"]
    )
    notes = "   ".join("● " + note["name"] for note in dashboard["annotations"]["list"])
    board.text(14, 48, f"{chips}   {notes}", 12, FAINT)
    board.text(WIDTH - 14, 22, f"{links}   {chosen.minutes:g} minutes to {time.strftime('%d %b %Y %H:%M', time.localtime(end))}", 12, FAINT, ha="right")
    board.text(WIDTH - 14, 48, "drawn by tests/grafana/draw.py, not a screenshot of Grafana", 11, FAINT, ha="right")

    empty = []
    for panel, values in panels:
        drawing = Drawing(board, panel, {**everything, **values}, source, begin, end, chosen.scrape)
        drawing.annotations = dashboard["annotations"]["list"]
        if not drawing.draw():
            empty.append(" / ".join((drawing.title(), *values.values())))
    board.figure.savefig(chosen.picture, dpi=DPI, facecolor=PAGE)
    print(f"{chosen.picture}: {len(panels)} panels and rows, without figures: {', '.join(empty) or 'none'}")


if __name__ == "__main__":
    sys.exit(main())
