"""The dashboard *Contact centre*, for planners: how many agents do what. Counts only, no figure about a person.

What CMS does not tell is shown as no data: the figures of a feed that is silent are old, and are left out. For the same
reason no figure is a sum over several feeds: one that is silent would make agents disappear.
"""

from colours import BAD, GOOD, GREEN, MODE_CODES, MODE_COLOURS, MODES, ORANGE, PINK, QUIET, RED, SKY, WARN, YELLOW
from dashboard import CONTACT_CENTRE, SERVICE, dashboard
from expressions import LIVE, feed, live, live_agents
from panels import graph, lay_out, row, stat, steps, target, targets, words

NO_DATA = "No data from CMS"

LAST_RECORD = f"1000 * max by (integration) ({feed('rtalink_feed_last_record_timestamp_seconds')})"

HEALTH = stat(
    "Is the picture complete?",
    "Green: what you see is what CMS says now. Red: nothing has come since that time, or CMS has lost the switch, and the "
    "charts below have a hole rather than old figures.",
    None,
    "dateTimeAsIsoNoDateIfToday",
    steps(GOOD),
    "No data: rtalink is not running, or not connected to this data source",
    queries=[
        target(f"{LAST_RECORD} unless on (integration) {LIVE}", "{{integration}}: no data since", "A", instant=True),
        target(f"{LAST_RECORD} and on (integration) {LIVE}", "{{integration}}: all right, data up to", "B", instant=True),
    ],
    mappings=[words({0: ("it began", BAD)})],
    name=True,
    background=True,
    overrides=[
        {
            "matcher": {"id": "byFrameRefID", "options": "A"},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": BAD}}],
        }
    ],
    colour=GOOD,
)


def now(title, description, modes, colour):
    return stat(title, description, live_agents(modes), "short", steps(colour), NO_DATA, colour=colour, decimals=0)


def now_in(name, description):
    return now(f"{name} now", description, f'mode=~"{MODE_CODES[name]}"', MODE_COLOURS[name])


NOW = [
    now("Logged in now", "Agents that are logged in, whatever they do.", 'mode!~"UNSTAFF|LOGOFF"', "#FFFFFF"),
    now_in("On a call", "On a call from a queue, or on one that was made to them as an agent."),
    now_in("After-call work", "Finishing the work on a call that has ended."),
    now_in("Available", "Waiting for a call."),
    now_in("AUX", "Logged in and not available: breaks, meetings, training and the like."),
    stat(
        "Users not assigned",
        "Users of CMS that are assigned to no employee: their states reach nobody's schedule.",
        f"max({feed('rtalink_unmapped_users')})",
        "short",
        steps(GOOD, (0.5, WARN)),
        NO_DATA,
        decimals=0,
    ),
]

AGENTS = graph(
    "Agents by what they do",
    "How many agents are in which work mode, one on top of the other: the upper edge is all that are logged in. "
    "A hole means that CMS told nothing, not that nobody was there.",
    targets(*((live_agents(f'mode=~"{codes}"'), name) for name, codes, _ in MODES)),
    "short",
    NO_DATA,
    colours=MODE_COLOURS,
    stacked=True,
    steps_only=True,
    legend="list",
    decimals=0,
)

REASONS = graph(
    "In AUX by reason",
    "How many agents are in AUX for which reason, one on top of the other. The numbers are those of CMS; 0 is its default reason, and "
    "unknown that of a feed that tells none.",
    [target(live("rtalink_agents_by_aux_reason", "reason"), "reason {{reason}}")],
    "short",
    NO_DATA,
    stacked=True,
    steps_only=True,
    decimals=0,
)

ACTIVITIES = graph(
    "Agents by activity",
    "How many agents are in which activity of yours, one on top of the other, as your schedule sees them. Unmapped: there is no "
    "activity for what CMS says of them.",
    [target(live("rtalink_agents_by_activity", "activity"), "{{activity}}")],
    "short",
    NO_DATA,
    colours={"unmapped": RED, "other": QUIET},
    stacked=True,
    steps_only=True,
    decimals=0,
)

LONG_AUX = graph(
    "Long in AUX",
    "How many agents have been in AUX for more than 15, 30 and 60 minutes. The first includes the others. "
    "A change of reason within AUX does not start the time anew.",
    targets(
        *(
            (f"sum({feed('rtalink_agents_in_aux', over=over)} and on (instance, integration) {LIVE})", legend)
            for over, legend in (("15m", "over 15 minutes"), ("30m", "over 30 minutes"), ("1h", "over 60 minutes"))
        )
    ),
    "short",
    NO_DATA,
    colours={"over 15 minutes": YELLOW, "over 30 minutes": ORANGE, "over 60 minutes": RED},
    steps_only=True,
    decimals=0,
)


def events(*causes):
    """How many events of those causes there were in the last 5 minutes."""
    selector = feed("rtalink_events_total", f'cause=~"{"|".join(causes)}"')
    return f"round(sum(increase({selector}[5m]) and on (instance, integration) {LIVE}))"


LOGINS = graph(
    "Log-ins and log-outs in 5 minutes",
    "How many agents logged in and out in the 5 minutes before. Many log-outs at once that are no end of a shift: ask whether the "
    "report in CMS has changed.",
    targets((events("LOGGED_IN"), "logged in"), (events("LOGGED_OUT"), "logged out")),
    "short",
    NO_DATA,
    colours={"logged in": YELLOW, "logged out": QUIET},
    steps_only=True,
    decimals=0,
)

CHANGES = graph(
    "Changes of state in 5 minutes",
    "How many changes were passed on in the 5 minutes before, by what caused them. First seen: agents that were there when rtalink began to "
    "look. Began again: the same state, started anew. Assignment changed: somebody edited users or activities.",
    targets(
        (events("CHANGED"), "changed"),
        (events("LOGGED_IN", "LOGGED_OUT"), "log-in or log-out"),
        (events("REENTERED"), "began again"),
        (events("OBSERVED"), "first seen"),
        (events("REMAPPED"), "assignment changed"),
    ),
    "short",
    NO_DATA,
    colours={
        "changed": SKY,
        "log-in or log-out": GREEN,
        "began again": PINK,
        "first seen": QUIET,
        "assignment changed": YELLOW,
    },
    steps_only=True,
    decimals=0,
)

UNMAPPED = graph(
    "Not assigned",
    "Users of CMS without an employee, and activities without one of yours. Somebody should assign them; the people who "
    "operate rtalink have the list.",
    targets(
        (f"max({feed('rtalink_unmapped_users')})", "users"),
        (f"max({feed('rtalink_unmapped_activities')})", "activities"),
    ),
    "short",
    NO_DATA,
    colours={"users": ORANGE, "activities": SKY},
    steps_only=True,
    decimals=0,
)

DASHBOARD = dashboard(
    CONTACT_CENTRE,
    "For planners: how many agents do what, now and over the day. Counts only.",
    "now-8h",
    (SERVICE, "How rtalink itself is doing"),
    lay_out(
        [(4, [(24, HEALTH)])],
        row(
            "$integration",
            (4, [(4, panel) for panel in NOW]),
            (10, [(24, AGENTS)]),
            (9, [(12, ACTIVITIES), (12, REASONS)]),
            (8, [(6, LONG_AUX), (6, LOGINS), (6, CHANGES), (6, UNMAPPED)]),
            repeat="integration",
        ),
    ),
)
