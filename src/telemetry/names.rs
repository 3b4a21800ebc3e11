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
    FEED_REFUSED = "rtalink_feed_refused_total", Counter, ["integration", "reason"],
        "Connections closed by rtalink.";
    AGENTS = "rtalink_agents", Gauge, ["integration", "mode"], "Agents by their last known work mode.";
    EVENTS = "rtalink_events_total", Counter, ["integration", "cause"], "Agent state events by cause.";
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
    JOURNAL_DROPPED = "rtalink_journal_dropped_total", Counter, ["integration", "kind"],
        "Messages that a full journal did not take: event (only the agent's latest state was kept), feed_status, dead_letter.";
    PAUSED = "rtalink_paused", Gauge, ["integration"], "1 while publishing is paused.";
    STORE_ERRORS = "rtalink_store_errors_total", Counter, ["kind"],
        "Troubles of the store: full, not_writable, corrupt, io, other; set_aside and rolled_back at the start.";
    KAFKA_QUEUE = "rtalink_kafka_queue_messages", Gauge, [], "Messages in librdkafka's queues.";
    KAFKA_RTT = "rtalink_kafka_broker_rtt_seconds", Gauge, ["quantile"],
        "Round trip to the slowest broker in the last five seconds: quantile 0.5 and 0.99.";
    KAFKA_ERRORS = "rtalink_kafka_errors_total", Counter, ["kind"], "Errors of Kafka, by librdkafka's name for them.";
}
