//! Every metric that the service exports: name, kind, labels and meaning. `docs/metrics.md` says what to do about them.

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name as exported.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says; the help text of the exposition.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident, $labels:expr, $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &$labels, help: $help };)*
        /// All of them.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    BUILD_INFO = "rtalink_build_info", Gauge, ["version"], "Always 1; the version is in the label.";
    READY = "rtalink_ready", Gauge, [], "1 while /health/ready is 200.";
    RELOAD_REFUSED = "rtalink_reload_refused", Gauge, [], "1 after a reload that was refused, until one is taken.";
    FEED_UP = "rtalink_feed_up", Gauge, ["integration"], "1 while a connection speaks.";
    FEED_CONNECTIONS = "rtalink_feed_connections", Gauge, ["integration"], "Open connections, waiting ones included.";
    FEED_BYTES = "rtalink_feed_bytes_total", Counter, ["integration"], "Bytes read from the feed.";
    FEED_RECORDS = "rtalink_feed_records_total", Counter, ["integration", "outcome"],
        "Records by outcome, each once: changed (an event followed), unchanged, invalid.";
    FEED_SNAPSHOTS = "rtalink_feed_snapshots_total", Counter, ["integration", "complete"],
        "Snapshots, by whether they were whole.";
    FEED_SNAPSHOT_PERIOD = "rtalink_feed_snapshot_period_seconds", Gauge, ["integration"],
        "Time between the first records of the last two complete snapshots.";
    FEED_LAST_RECORD = "rtalink_feed_last_record_timestamp_seconds", Gauge, ["integration"],
        "UNIX time of the last valid record.";
    FEED_LINK_DOWN = "rtalink_feed_link_down", Gauge, ["integration"],
        "1 while nearly all agents are UNKNOWN: the link between switch and CMS is down.";
    FEED_CLOCK_SKEW = "rtalink_feed_clock_skew_seconds", Gauge, ["integration"],
        "Timestamp of the last record less its receipt.";
    FEED_STALE = "rtalink_feed_stale", Gauge, ["integration"], "1 from the feed status STALE until RESTORED.";
    FEED_STALE_AGENTS = "rtalink_feed_stale_agents", Gauge, ["integration"],
        "Agents that were logged in as that silence began; 0 while the feed is not stale.";
    FEED_CONDITION = "rtalink_feed_condition", Gauge, ["integration", "condition"],
        "1 while something is wrong with the feed that lasts: no_snapshot, repeated_rows, unreadable_records, unreadable_states, shortest_refresh_too_long.";
    FEED_IMPOSSIBLE_TIMES = "rtalink_feed_impossible_times_total", Counter, ["integration"],
        "Local times of the feed that do not occur in its zone.";
    FEED_STATUS = "rtalink_feed_status_total", Counter, ["integration", "kind"],
        "Feed statuses by kind, heartbeats left out.";
    FEED_STATUS_AT = "rtalink_feed_status_timestamp_seconds", Gauge, ["integration", "kind"],
        "UNIX time of the last feed status of that kind, heartbeats and ends of probes left out; 0 before the first.";
    FEED_REFUSED = "rtalink_feed_refused_total", Counter, ["integration", "reason"],
        "Connections closed by rtalink.";
    FEED_FORWARD_UP = "rtalink_feed_forward_up", Gauge, ["integration", "target"],
        "1 while that target of `forward` has a connection; NaN once it is no target any more.";
    FEED_FORWARDED = "rtalink_feed_forwarded_bytes_total", Counter, ["integration", "target"],
        "Bytes of the feed that the target has taken.";
    FEED_FORWARD_DROPPED = "rtalink_feed_forward_dropped_bytes_total", Counter, ["integration", "target", "reason"],
        "Bytes of the feed that the target was not given: too_slow, not_connected.";
    FEED_PROBES = "rtalink_feed_probes_total", Counter, ["integration"],
        "Connections that ended without a valid record, such as port scans and health checks.";
    TLS_EXPIRY = "rtalink_tls_certificate_expiry_timestamp_seconds", Gauge, ["integration"],
        "UNIX time at which the certificate of the port runs out, or one between it and its CA; NaN without TLS.";
    AGENTS = "rtalink_agents", Gauge, ["integration", "mode"], "Agents by their last known work mode.";
    AGENTS_IN_AUX = "rtalink_agents_in_aux", Gauge, ["integration", "over"],
        "Logged-in agents whose mode AUX began more than that ago: over 15m, 30m, 1h.";
    AGENTS_BY_AUX_REASON = "rtalink_agents_by_aux_reason", Gauge, ["integration", "reason"],
        "Agents in AUX by reason: 0 to 99, above, unknown.";
    AGENTS_BY_ACTIVITY = "rtalink_agents_by_activity", Gauge, ["integration", "activity_id", "activity"],
        "Agents by the activity that they are mapped to; unmapped for those logged in without one.";
    AGENTS_FORGOTTEN = "rtalink_agents_forgotten_total", Counter, ["integration", "cause"],
        "Agents who were forgotten: request (rtalink forget), age (privacy.forget_after).";
    EVENTS = "rtalink_events_total", Counter, ["integration", "cause"], "Agent state events by cause.";
    ABSORBED = "rtalink_absorbed_total", Counter, ["integration", "kind"],
        "Transitions that did not last and were not published: short_state (short_states), logout (logout_hold).";
    UNMAPPED_USERS = "rtalink_unmapped_users", Gauge, ["integration"], "External users without an employee.";
    UNMAPPED_ACTIVITIES = "rtalink_unmapped_activities", Gauge, ["integration"],
        "External activities without a row of their own.";
    DEAD_LETTERS = "rtalink_dead_letters_total", Counter, ["integration", "reason"],
        "Invalid records by reason, also those beyond ten a second that are not published.";
    EVENT_LATENCY = "rtalink_event_latency_seconds", Histogram, ["integration"],
        "From the socket read to the broker's acknowledgement on all topics of the event.";
    STAGE_DURATION = "rtalink_stage_duration_seconds", Histogram, ["integration", "stage"],
        "Time of a batch in each stage: decode, track, map, publish (encoding and hand-over), journal (until it is on disk).";
    JOURNAL_PENDING = "rtalink_journal_pending_events", Gauge, ["integration"],
        "Messages that Kafka has not acknowledged yet.";
    JOURNAL_OLDEST = "rtalink_journal_oldest_seconds", Gauge, ["integration"],
        "For how long the oldest of them has been waiting.";
    JOURNAL_BYTES = "rtalink_journal_bytes", Gauge, [], "Bytes of the journal's rows, all integrations together.";
    REMOVED_PENDING = "rtalink_removed_integration_pending_events", Gauge, ["integration"],
        "Messages that wait for Kafka of an integration that is not in the configuration any more.";
    REMOVED_AGENTS = "rtalink_removed_integration_agents", Gauge, ["integration"],
        "Agents that the store has of an integration that is not in the configuration any more.";
    JOURNAL_FILL_RATIO = "rtalink_journal_fill_ratio", Gauge, ["integration"],
        "Bytes of the integration's rows in the journal over journal_max_size.";
    JOURNAL_MAX_BYTES = "rtalink_journal_max_bytes", Gauge, [], "journal_max_size: what each integration may have in the journal.";
    JOURNAL_DROPPED = "rtalink_journal_dropped_total", Counter, ["integration", "kind"],
        "Messages that a full journal did not take: event (only the agent's latest state was kept), feed_status, dead_letter.";
    PAUSED = "rtalink_paused", Gauge, ["integration"], "1 while publishing is paused.";
    STORE_ERRORS = "rtalink_store_errors_total", Counter, ["kind"],
        "Troubles of the store: full, not_writable, corrupt, io, busy, no_memory, slow, newer, other; set_aside, rolled_back and behind_kafka at the start.";
    STORE_DISK_FREE = "rtalink_store_disk_free_bytes", Gauge, [], "Free on the disk of store.directory, for a user without privileges.";
    STORE_DISK_SIZE = "rtalink_store_disk_size_bytes", Gauge, [], "Size of that disk.";
    STORE_LOG = "rtalink_store_log_bytes", Gauge, [], "Bytes of SQLite's log beside the database; above 32 MiB somebody reads in it all the time.";
    KAFKA_QUEUE = "rtalink_kafka_queue_messages", Gauge, [], "Messages in librdkafka's queues.";
    KAFKA_INTERNAL = "rtalink_kafka_internal_latency_seconds", Gauge, ["quantile"],
        "In the producer's queue, slowest broker of the last five seconds: quantile 0.5 and 0.99; 0 without traffic.";
    KAFKA_OUTBUF = "rtalink_kafka_outbuf_latency_seconds", Gauge, ["quantile"],
        "In the transmit buffer, slowest broker of the last five seconds: quantile 0.5 and 0.99; 0 without traffic.";
    KAFKA_RTT = "rtalink_kafka_broker_rtt_seconds", Gauge, ["quantile"],
        "Round trip to the slowest broker in the last five seconds: quantile 0.5 and 0.99; 0 without traffic.";
    KAFKA_CONDITION = "rtalink_kafka_condition", Gauge, ["integration", "condition"],
        "1 while that keeps the messages of the integration waiting until somebody mends it: superseded, topic_missing, timestamp_refused.";
    KAFKA_ERRORS = "rtalink_kafka_errors_total", Counter, ["kind"], "Errors of Kafka, by librdkafka's name for them.";
    HTTP_REFUSED = "rtalink_http_refused_total", Counter, ["reason"],
        "Requests and connections over HTTP that were refused.";
    AUDIT_EVENTS = "rtalink_audit_events_total", Counter, ["outcome"],
        "Changes and looks at one person: recorded for the audit topic, lost (the journal did not take it).";
    LOG_SUPPRESSED = "rtalink_log_suppressed_total", Counter, [], "Log lines left out because one of their kind was just written.";
    PROCESS_CPU = "process_cpu_seconds_total", Counter, [], "CPU time of the process, user and system.";
    PROCESS_RESIDENT = "process_resident_memory_bytes", Gauge, [], "Memory of the process that is in RAM.";
    PROCESS_VIRTUAL = "process_virtual_memory_bytes", Gauge, [], "Address space of the process.";
    PROCESS_OPEN_FDS = "process_open_fds", Gauge, [], "Open file descriptors.";
    PROCESS_MAX_FDS = "process_max_fds", Gauge, [], "Most file descriptors that may be open; 0 without a limit.";
    PROCESS_START = "process_start_time_seconds", Gauge, [], "UNIX time at which the process was started.";
    PROCESS_THREADS = "process_threads", Gauge, [], "Threads of the process.";
}
