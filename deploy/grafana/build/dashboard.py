"""What both dashboards share: variables, annotations, links."""

from colours import BAD, GOOD, QUIET, WARN
from expressions import feed
from panels import DATASOURCE, MIN_INTERVAL

# uid, title: what links and other people's bookmarks hang on.
SERVICE = ("rtalink-service", "rtalink: Service")
CONTACT_CENTRE = ("rtalink-contact-centre", "rtalink: Contact centre")

# Nothing is known of anybody from then on. CONNECTED is missing below: the first whole snapshot says that the feed is back.
LOST = "DISCONNECTED|STALE|LINK_DOWN"
BACK = "RESTORED|LINK_UP"
DOUBTFUL = "SUSPECT|UNREADABLE|NO_SNAPSHOT|REPEATED_ROWS|FLAPPING"
HELD_BACK = "PAUSED|RESUMED"


def _query_variable(name, label, description, query):
    return {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": DATASOURCE,
        "query": {"qryType": 1, "query": query, "refId": f"variable-{name}"},
        "refresh": 2,
        "regex": "",
        "sort": 7,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "allowCustomValue": False,
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
        "hide": 0,
        "skipUrlSync": False,
    }


def _variables():
    return [
        {
            "type": "datasource",
            "name": "datasource",
            "label": "Data source",
            "description": "The Prometheus that scrapes rtalink.",
            "query": "prometheus",
            "regex": "",
            "refresh": 1,
            "multi": False,
            "includeAll": False,
            "options": [],
            "hide": 0,
            "skipUrlSync": False,
        },
        _query_variable(
            "instance", "Instance", "The running rtalink.", "label_values(rtalink_build_info, instance)"
        ),
        _query_variable(
            "integration",
            "Integration",
            "A session with CMS: its id in the configuration.",
            'label_values(rtalink_feed_up{instance=~"$instance"}, integration)',
        ),
    ]


def _annotation(name, colour, kinds, by, title):
    """Marks at the times of feed statuses of those kinds: the value is the time.

    A time is asked for until ten minutes after it, so that it is in some step of any range, and not for ever. Grafana takes equal
    times for one mark.
    """
    times = feed("rtalink_feed_status_timestamp_seconds", f'kind=~"{kinds}"')
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "target": {
            "expr": f"1000 * (max by ({by}) ({times}) > time() - 600)",
            "interval": MIN_INTERVAL,
            "refId": "Anno",
        },
        "titleFormat": title,
        "textFormat": "",
        "tagKeys": by.replace(" ", ""),
        "useValueForTime": True,
    }


_KIND = "{{integration}}: {{kind}}"

ANNOTATIONS = [
    _annotation("Feed lost", BAD, LOST, "integration, kind", _KIND),
    # Both kinds are said of the same moment.
    _annotation("Feed back", GOOD, BACK, "integration", "{{integration}}: back"),
    _annotation("Feed doubtful", WARN, DOUBTFUL, "integration, kind", _KIND),
    _annotation("Publishing paused, resumed", QUIET, HELD_BACK, "integration, kind", _KIND),
]


def _link(uid, title, tooltip):
    return {
        "type": "link",
        "title": title,
        "url": f"/d/{uid}",
        "tooltip": tooltip,
        "icon": "dashboard",
        "tags": [],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }


def dashboard(itself, description, span, link, panels):
    """A dashboard; `link` is (uid and title of the other one, tooltip)."""
    uid, title = itself
    (other_uid, other_title), tooltip = link
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["rtalink"],
        "schemaVersion": 42,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "preload": False,
        "refresh": "10s",
        "time": {"from": span, "to": "now"},
        "timepicker": {"refresh_intervals": ["5s", "10s", "30s", "1m", "5m"]},
        "timezone": "browser",
        "weekStart": "",
        "annotations": {"list": ANNOTATIONS},
        "links": [_link(other_uid, other_title.removeprefix("rtalink: "), tooltip)],
        "templating": {"list": _variables()},
        "panels": panels,
    }
