"""The dashboard *Service*, for those who operate rtalink: is everything all right, and where is it not?"""

from colours import BAD, BLUE, GOOD, GREEN, ORANGE, PINK, QUIET, RED, SKY, WARN, YELLOW
from dashboard import CONTACT_CENTRE, SERVICE, dashboard
from expressions import FEED_STATE, INSTANCE, by, feed, or_zero, process, quantile
from feeds import STATES
from glance import AT_A_GLANCE, LAST_RECORD, NARROW, NOT_SCRAPED
from panels import graph, heat_map, lay_out, row, state_timeline, steps, table, target, targets

QUANTILES = {"p50": GREEN, "p99": ORANGE, "p99.9": RED}


def per_minute(selector):
    return f"60 * rate({selector}[$__rate_interval])"


FEEDS = state_timeline(
    "Feeds",
    "What each feed was doing. Receiving: records come. No data: connected or not, nothing has come for longer than "
    "`stale_after`. A hole: rtalink was not running, or was not scraped.",
    FEED_STATE,
    "{{integration}}",
    STATES,
    NOT_SCRAPED,
)

FEED_TABLE = table(
    "Feeds now",
    "One line per feed. The snapshot period should be the refresh of the report in CMS. Agents affected were logged in as "
    "a feed became silent. Skew is the clock of CMS less ours, where the feed has timestamps.",
    "integration",
    [
        ("State", FEED_STATE, "none", [("mappings", STATES), ("custom.cellOptions", {"type": "color-text"})]),
        (
            "Last record",
            f"time() - ({LAST_RECORD})",
            "s",
            [
                ("decimals", 0),
                ("thresholds", steps(GOOD, (15, WARN), (30, BAD))),
                ("custom.cellOptions", {"type": "color-text"}),
            ],
        ),
        (
            "Snapshot period",
            f"max by (integration) ({feed('rtalink_feed_snapshot_period_seconds')})",
            "s",
            [("decimals", 1)],
        ),
        ("Agents affected", f"max by (integration) ({feed('rtalink_feed_stale_agents')})", "short", [("decimals", 0)]),
        ("Connections", f"sum by (integration) ({feed('rtalink_feed_connections')})", "short", [("decimals", 0)]),
        ("Clock skew", f"max by (integration) ({feed('rtalink_feed_clock_skew_seconds')})", "s", [("decimals", 1)]),
    ],
    NOT_SCRAPED,
)

RECORDS = graph(
    "Records per second",
    "Records by what became of them. Changed: an event followed. Unchanged: nothing new, as for most of a snapshot. "
    "Invalid: could not be decoded.",
    [target(f"sum by (outcome) (rate({feed('rtalink_feed_records_total')}[$__rate_interval]))", "{{outcome}}")],
    "recps",
    NOT_SCRAPED,
    colours={"changed": SKY, "unchanged": QUIET, "invalid": RED},
    stacked=True,
)

LATENCY = graph(
    "Event latency",
    "From the read of the socket until Kafka has the event on all topics. The dashed lines are half a second and the "
    "second above which an alert is raised. No line: no events.",
    targets(
        *(
            (quantile(q, feed("rtalink_event_latency_seconds_bucket")), legend)
            for q, legend in ((0.999, "p99.9"), (0.99, "p99"), (0.5, "p50"))
        )
    ),
    "s",
    "No events in this time",
    colours=QUANTILES,
    thresholds=steps("transparent", (0.5, WARN), (1, BAD)),
    logarithmic=10,
)

WAITING = graph(
    "Oldest event waiting for Kafka",
    "Grows by a second a second while Kafka is away or publishing is paused, and falls when the journal empties.",
    [target(f"max by (integration) ({feed('rtalink_journal_oldest_seconds')})", "{{integration}}")],
    "s",
    NOT_SCRAPED,
    thresholds=steps("transparent", (30, BAD)),
)

FEED = row(
    "Feed",
    (
        8,
        [
            (
                6,
                graph(
                    "Snapshots per minute",
                    "Whole snapshots, and those that were cut off. No whole ones while records come: `snapshot_end` "
                    "does not fit the feed.",
                    targets(
                        *(
                            (
                                "60 * sum(rate("
                                + feed("rtalink_feed_snapshots_total", complete=complete)
                                + "[$__rate_interval]))",
                                legend,
                            )
                            for complete, legend in (("true", "whole"), ("false", "cut off"))
                        )
                    ),
                    "short",
                    NOT_SCRAPED,
                    colours={"whole": SKY, "cut off": RED},
                ),
            ),
            (
                6,
                graph(
                    "Snapshot period",
                    "Time between the last two whole snapshots; should be the refresh of the report in CMS. "
                    "0 before there were two.",
                    [target(f"max by (integration) ({feed('rtalink_feed_snapshot_period_seconds')})", "{{integration}}")],
                    "s",
                    NOT_SCRAPED,
                ),
            ),
            (
                6,
                graph(
                    "Received",
                    "Bytes per second read from each feed.",
                    [
                        target(
                            f"sum by (integration) (rate({feed('rtalink_feed_bytes_total')}[$__rate_interval]))",
                            "{{integration}}",
                        )
                    ],
                    "Bps",
                    NOT_SCRAPED,
                ),
            ),
            (
                6,
                graph(
                    "What is wrong, and lasts",
                    "Feeds on which no snapshot ends, whose report lists agents more than once, whose records or codes of "
                    "states cannot be read, or that refresh faster than `shortest_refresh` allows. 0 is what you want to "
                    "see; the log says what to try.",
                    [target(by("condition", feed("rtalink_feed_condition")), "{{condition}}")],
                    "short",
                    NOT_SCRAPED,
                    bars=True,
                    decimals=0,
                ),
            ),
        ],
    ),
)

TIME = row(
    "Where the time goes",
    (
        9,
        [
            (
                12,
                heat_map(
                    "Event latency, all events",
                    "How many events took how long from the read of the socket until Kafka had them. "
                    "The brighter, the more.",
                    f"sum by (le) (increase({feed('rtalink_event_latency_seconds_bucket')}[$__rate_interval]))",
                    "s",
                    "No events in this time",
                ),
            ),
            (
                12,
                graph(
                    "Stages, p99",
                    "Time of a batch in each stage; 99 of 100 were faster. journal: until it is on disk. "
                    "A slow disk shows there, and then in publish.",
                    [target(quantile(0.99, feed("rtalink_stage_duration_seconds_bucket"), "stage"), "{{stage}}")],
                    "s",
                    "No batches in this time",
                    colours={"decode": GREEN, "track": YELLOW, "map": PINK, "publish": SKY, "journal": ORANGE},
                    logarithmic=10,
                ),
            ),
        ],
    ),
)

JOURNAL = row(
    "Journal and disk",
    (
        8,
        [
            (
                6,
                graph(
                    "Events waiting for Kafka",
                    "Messages that Kafka has not acknowledged. Grows while Kafka is away, or publishing is paused.",
                    [target(f"sum by (integration) ({feed('rtalink_journal_pending_events')})", "{{integration}}")],
                    "short",
                    NOT_SCRAPED,
                    decimals=0,
                ),
            ),
            (
                6,
                graph(
                    "Size of the journal",
                    "What each integration uses of the size that it may have, `journal_max_size`. The dashed lines are the "
                    "60 % above which an alert is raised, and 100 %: there it keeps only the latest state of each agent.",
                    [target(f"max by (integration) ({feed('rtalink_journal_fill_ratio')})", "{{integration}}")],
                    "percentunit",
                    NOT_SCRAPED,
                    thresholds=steps("transparent", (0.6, WARN), (1, BAD)),
                    at_least=1.1,
                ),
            ),
            (
                6,
                graph(
                    "Disk free",
                    "Room on the disk of the journal, its size, and what the journal has of it.",
                    targets(
                        (f"min({process('rtalink_store_disk_free_bytes')})", "free"),
                        (f"min({process('rtalink_store_disk_size_bytes')})", "size"),
                        (f"max({process('rtalink_journal_bytes')})", "journal"),
                    ),
                    "bytes",
                    NOT_SCRAPED,
                    colours={"free": SKY, "size": QUIET, "journal": ORANGE},
                ),
            ),
            (
                6,
                graph(
                    "Not kept, and troubles of the store, per minute",
                    "What a full journal did not take: transitions that were merged into the latest state, feed "
                    "statuses, dead letters; and errors of the store. Anything here is loss: read the log.",
                    targets(
                        (by("kind", per_minute(feed("rtalink_journal_dropped_total"))), "not kept: {{kind}}"),
                        (by("kind", per_minute(process("rtalink_store_errors_total"))), "store: {{kind}}"),
                    ),
                    "short",
                    NOT_SCRAPED,
                    bars=True,
                    decimals=0,
                ),
            ),
        ],
    ),
)

KAFKA = row(
    "Kafka",
    (
        8,
        [
            (
                8,
                graph(
                    "Round trip, p50 and p99",
                    "Where a message spends its time with librdkafka: in its queue, in its transmit buffer, and on the "
                    "way to the slowest broker and back. Windows of some seconds.",
                    targets(
                        *(
                            (f"max({process(metric, quantile=q)})", f"{legend} p{digits}")
                            for metric, legend in (
                                ("rtalink_kafka_internal_latency_seconds", "queue"),
                                ("rtalink_kafka_outbuf_latency_seconds", "transmit buffer"),
                                ("rtalink_kafka_broker_rtt_seconds", "broker"),
                            )
                            for q, digits in (("0.5", 50), ("0.99", 99))
                        )
                    ),
                    "s",
                    "No statistics of librdkafka yet",
                    colours={
                        "queue p50": GREEN,
                        "queue p99": YELLOW,
                        "transmit buffer p50": BLUE,
                        "transmit buffer p99": SKY,
                        "broker p50": PINK,
                        "broker p99": ORANGE,
                    },
                    logarithmic=10,
                ),
            ),
            (
                8,
                graph(
                    "Errors per minute",
                    "Errors by librdkafka's name for them. BrokerTransportFailure and AllBrokersDown: Kafka is away; events "
                    "wait on disk.",
                    [target(by("kind", per_minute(process("rtalink_kafka_errors_total"))), "{{kind}}")],
                    "short",
                    NOT_SCRAPED,
                    bars=True,
                    decimals=0,
                ),
            ),
            (
                8,
                graph(
                    "Messages in librdkafka's queues",
                    "On the way to Kafka. The rest of what waits is in the journal.",
                    [target(f"sum by (instance) ({process('rtalink_kafka_queue_messages')})", "{{instance}}")],
                    "short",
                    NOT_SCRAPED,
                    decimals=0,
                ),
            ),
        ],
    ),
)

REFUSED = row(
    "Invalid, refused, left out",
    (
        8,
        [
            (
                8,
                graph(
                    "Dead letters per minute",
                    "Records that could not be decoded, by reason, and events that Kafka will never take (kafka_…). "
                    "`rtalink tail --topic dead-letter` shows the bytes. Beside them local times that do not occur: `time_zone` "
                    "is another than that of the feed.",
                    targets(
                        (by("reason", per_minute(feed("rtalink_dead_letters_total"))), "{{reason}}"),
                        (f"sum({per_minute(feed('rtalink_feed_impossible_times_total'))})", "impossible local times"),
                    ),
                    "short",
                    NOT_SCRAPED,
                    bars=True,
                    decimals=0,
                ),
            ),
            (
                8,
                graph(
                    "Refused connections per minute",
                    "Connections that rtalink closed, by reason. not_allowed: the sender is not in `allow`. "
                    "replaced again and again: two senders fight for the port. Without a valid record: whoever closed them, "
                    "they were port scans or health checks.",
                    targets(
                        (by("reason", per_minute(feed("rtalink_feed_refused_total"))), "{{reason}}"),
                        (f"sum({per_minute(feed('rtalink_feed_probes_total'))})", "without a valid record"),
                    ),
                    "short",
                    NOT_SCRAPED,
                    bars=True,
                    decimals=0,
                ),
            ),
            (
                8,
                graph(
                    "Log lines left out per minute",
                    "Repeated lines that the log did not write. Many: something goes wrong again and again; the log "
                    "has its first lines.",
                    [target(or_zero(f"sum({per_minute(process('rtalink_log_suppressed_total'))})"), "left out")],
                    "short",
                    NOT_SCRAPED,
                    colours={"left out": WARN},
                    bars=True,
                    decimals=0,
                ),
            ),
        ],
    ),
)

PROCESS = row(
    "Process",
    (
        4,
        [
            (
                24,
                table(
                    "Instances",
                    "The running rtalinks.",
                    "instance",
                    [
                        (
                            "Up for",
                            f"time() - max by (instance, version) (process_start_time_seconds{INSTANCE}"
                            f" * on (instance) group_left (version) rtalink_build_info{INSTANCE})",
                            "s",
                            [("decimals", 1)],
                        ),
                        ("Threads", f"max by (instance) ({process('process_threads')})", "short", [("decimals", 0)]),
                        (
                            "Virtual memory",
                            f"max by (instance) ({process('process_virtual_memory_bytes')})",
                            "bytes",
                            [("decimals", 1)],
                        ),
                    ],
                    NOT_SCRAPED,
                    labels=["version"],
                ),
            )
        ],
    ),
    (
        8,
        [
            (
                8,
                graph(
                    "CPU",
                    "Share of one core; 200 % is two cores.",
                    [
                        target(
                            f"sum by (instance) (rate({process('process_cpu_seconds_total')}[$__rate_interval]))",
                            "{{instance}}",
                        )
                    ],
                    "percentunit",
                    NOT_SCRAPED,
                ),
            ),
            (
                8,
                graph(
                    "Memory",
                    "Resident memory: what the process really occupies.",
                    [target(f"max by (instance) ({process('process_resident_memory_bytes')})", "{{instance}}")],
                    "bytes",
                    NOT_SCRAPED,
                ),
            ),
            (
                8,
                graph(
                    "File descriptors in use",
                    "Open files and sockets as a share of what the process may open.",
                    [
                        target(
                            f"max by (instance) (process_open_fds{INSTANCE} / process_max_fds{INSTANCE})",
                            "{{instance}}",
                        )
                    ],
                    "percentunit",
                    NOT_SCRAPED,
                    thresholds=steps("transparent", (0.8, BAD)),
                    high=1,
                ),
            ),
        ],
    ),
)

DASHBOARD = dashboard(
    SERVICE,
    "For those who operate rtalink. The first screen says whether everything is all right; the rows below say where it "
    "is not.",
    "now-1h",
    (CONTACT_CENTRE, "Agents, for planners"),
    lay_out(
        [
            (4, [(2 if panel["title"] in NARROW else 3, panel) for panel in AT_A_GLANCE]),
            (7, [(12, FEEDS), (12, FEED_TABLE)]),
            (8, [(8, RECORDS), (8, LATENCY), (8, WAITING)]),
        ],
        FEED,
        TIME,
        JOURNAL,
        KAFKA,
        REFUSED,
        PROCESS,
    ),
)
