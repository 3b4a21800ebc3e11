"""Panels as Grafana wants them, one function per kind, and the rows that lay them out."""

from colours import GOOD, QUIET

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# That of the published types which the tests compile against.
PLUGIN = "13.2.2"
MIN_INTERVAL = "15s"


def target(expression, legend="", ref="A", *, instant=False, form="time_series"):
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": expression,
        "format": form,
        "instant": instant,
        "legendFormat": legend,
        "range": not instant,
        "refId": ref,
    }


def targets(*pairs):
    """Targets from (expression, legend), with the letters A, B, C, ..."""
    return [target(expression, legend, chr(ord("A") + at)) for at, (expression, legend) in enumerate(pairs)]


def steps(base, *rest):
    """Thresholds: the colour at the bottom, then (value, colour)."""
    return {
        "mode": "absolute",
        "steps": [{"color": base, "value": None}, *({"color": colour, "value": value} for value, colour in rest)],
    }


def fixed(colour):
    return {"mode": "fixed", "fixedColor": colour}


def override(name, *properties):
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties],
    }


def coloured(colours):
    """Overrides: series by their legend, each with its colour."""
    return [override(name, ("color", fixed(colour))) for name, colour in colours.items()]


def words(texts):
    """Value mappings from {value: (text, colour)}."""
    options = {
        str(value): {"text": text, "color": colour, "index": at} for at, (value, (text, colour)) in enumerate(texts.items())
    }
    return {"type": "value", "options": options}


def words_between(low, high, text, colour):
    return {"type": "range", "options": {"from": low, "to": high, "result": {"text": text, "color": colour}}}


def _panel(kind, title, description, queries, unit, no_value, options, custom=None, overrides=(), **defaults):
    defaults = {"unit": unit, "noValue": no_value, **defaults}
    if custom is not None:
        defaults["custom"] = custom
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "pluginVersion": PLUGIN,
        "interval": MIN_INTERVAL,
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
        "targets": queries,
    }


def stat(
    title,
    description,
    expression,
    unit,
    thresholds,
    no_value="No data",
    *,
    legend="",
    queries=None,
    colour=None,
    name=False,
    background=False,
    overrides=(),
    mappings=(),
    decimals=None,
):
    """Figures of now."""
    more = {} if decimals is None else {"decimals": decimals}
    return _panel(
        "stat",
        title,
        description,
        queries or [target(expression, legend, instant=True)],
        unit,
        no_value,
        {
            "colorMode": "background_solid" if background else "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "vertical" if name else "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": {"calcs": ["last"], "fields": "", "values": False},
            "showPercentChange": False,
            "textMode": "value_and_name" if name else "value",
            "wideLayout": True,
        },
        overrides=overrides,
        color=fixed(colour) if colour else {"mode": "thresholds"},
        mappings=list(mappings),
        thresholds=thresholds,
        **more,
    )


def graph(
    title,
    description,
    queries,
    unit,
    no_value="No data",
    *,
    colours=None,
    thresholds=None,
    bars=False,
    stacked=False,
    steps_only=False,
    logarithmic=None,
    legend="list",
    low=0,
    high=None,
    at_least=None,
    decimals=None,
    overrides=(),
):
    """Figures over time. A line breaks where there is no data. The axis ends at `high`, or not below `at_least`."""
    custom = {
        "axisBorderShow": False,
        "axisGridShow": True,
        "axisPlacement": "auto",
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 80 if bars else 65 if stacked else 10,
        "gradientMode": "none",
        "lineInterpolation": "stepAfter" if steps_only else "linear",
        "lineWidth": 0 if bars else 1 if stacked else 2,
        "scaleDistribution": {"type": "log", "log": logarithmic} if logarithmic else {"type": "linear"},
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked or bars else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
    }
    if at_least is not None:
        custom["axisSoftMax"] = at_least
    limits = {key: value for key, value in (("min", low), ("max", high), ("decimals", decimals)) if value is not None}
    if logarithmic:
        limits.pop("min", None)
    return _panel(
        "timeseries",
        title,
        description,
        queries,
        unit,
        no_value,
        {
            "legend": {
                "calcs": ["last", "max"] if legend == "table" else [],
                "displayMode": legend,
                "placement": "bottom",
                "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        custom,
        [*overrides, *coloured(colours or {})],
        color={"mode": "palette-classic-by-name"},
        thresholds=thresholds or steps(QUIET),
        **limits,
    )


def heat_map(title, description, expression, unit, no_value):
    """A histogram over time; the buckets are those of the metric."""
    return _panel(
        "heatmap",
        title,
        description,
        [target(expression, "{{le}}", form="heatmap")],
        "short",
        no_value,
        {
            "calculate": False,
            "cellGap": 1,
            "cellValues": {"unit": "short", "decimals": 0},
            "color": {
                "mode": "scheme",
                "scheme": "Viridis",
                "scale": "exponential",
                "exponent": 0.5,
                "fill": "dark-orange",
                "reverse": False,
                "steps": 64,
            },
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": True},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
        },
        {"scaleDistribution": {"type": "linear"}},
    )


def state_timeline(title, description, expression, legend, mappings, no_value):
    """What something was doing over time, in words."""
    return _panel(
        "state-timeline",
        title,
        description,
        [target(expression, legend)],
        "none",
        no_value,
        {
            "alignValue": "left",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
            "mergeValues": True,
            "rowHeight": 0.85,
            "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"},
        },
        {"fillOpacity": 80, "lineWidth": 0},
        color={"mode": "thresholds"},
        mappings=list(mappings),
        thresholds=steps(GOOD),
    )


def table(title, description, key, columns, no_value, labels=()):
    """One line per `key`; `columns` are (title, expression, unit, properties of the column), `labels` further columns."""
    queries = [
        target(expression, "", chr(ord("A") + at), instant=True, form="table")
        for at, (_, expression, _, _) in enumerate(columns)
    ]
    names = {f"Value #{query['refId']}": name for query, (name, *_) in zip(queries, columns)}
    panel = _panel(
        "table",
        title,
        description,
        queries,
        "none",
        no_value,
        {"cellHeight": "sm", "frameIndex": 0, "showHeader": True},
        {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
        [override(name, ("unit", unit), *properties) for name, _, unit, properties in columns],
        thresholds=steps(QUIET),
    )
    panel["transformations"] = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True},
                "indexByName": {key: 0, **{value: at + 1 for at, value in enumerate(names)}},
                "renameByName": {**{label: label.capitalize() for label in (key, *labels)}, **names},
            },
        },
    ]
    return panel


def row(title, *lines, repeat=None):
    """A row of the dashboard. A line is (height, panels with their widths)."""
    head = {"type": "row", "title": title, "collapsed": False, "panels": []}
    if repeat:
        head["repeat"] = repeat
    return head, lines


def lay_out(first, *rows):
    """Panels with ids and places: `first` are the lines above all rows."""
    placed, top = [], 0

    def place(panel, x, w, h):
        placed.append({"id": len(placed) + 1, **panel, "gridPos": {"x": x, "y": top, "w": w, "h": h}})

    for head, lines in [(None, first), *rows]:
        if head:
            place(head, 0, 24, 1)
            top += 1
        for height, line in lines:
            x = 0
            for width, panel in line:
                place(panel, x, width, height)
                x += width
            assert x == 24, f"a line is {x} wide"
            top += height
    return placed
