//! Handles of the metrics of one integration, registered once. Counting is done per batch, never in a loop over records.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use crate::mapping::unmapped::Unmapped;
use crate::time::Timestamp;
use crate::tracker::event::{Cause, StatusKind};
use crate::tracker::status::FeedStatus;
use crate::wire::reason::Reason;
use crate::wire::states::Mode;

use super::forward_metrics::ForwardMetrics;
use super::metrics::Metrics;
use super::names;
use super::tally::{Tallied, Tallies};

/// `rtalink_agents_in_aux`: for more than how long, by label.
pub const IN_AUX_OVER: [(&str, Duration); 3] =
    [("15m", Duration::from_mins(15)), ("30m", Duration::from_mins(30)), ("1h", Duration::from_hours(1))];

/// What a full journal did not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Only the agent's latest state was kept.
    Event,
    /// A feed status.
    FeedStatus,
    /// A dead letter.
    DeadLetter,
}

impl Dropped {
    const ALL: [Self; 3] = [Self::Event, Self::FeedStatus, Self::DeadLetter];

    const fn label(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::FeedStatus => "feed_status",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// What can be wrong with a feed for longer than a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedCondition {
    /// Valid records come, but no snapshot ends.
    NoSnapshot,
    /// Refreshes list many agents more than once.
    RepeatedRows,
    /// Bytes come, but no valid record.
    UnreadableRecords,
    /// More than half of the agents have codes that the table of states lacks.
    UnreadableStates,
    /// `shortest_refresh` is more than half of the time between two refreshes.
    ShortestRefreshTooLong,
}

impl FeedCondition {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::NoSnapshot,
        Self::RepeatedRows,
        Self::UnreadableRecords,
        Self::UnreadableStates,
        Self::ShortestRefreshTooLong,
    ];

    /// A label for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoSnapshot => "no_snapshot",
            Self::RepeatedRows => "repeated_rows",
            Self::UnreadableRecords => "unreadable_records",
            Self::UnreadableStates => "unreadable_states",
            Self::ShortestRefreshTooLong => "shortest_refresh_too_long",
        }
    }
}

/// Why an agent was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgetCause {
    /// Somebody asked for it.
    Request,
    /// They were not seen for `privacy.forget_after`.
    Age,
}

impl ForgetCause {
    const ALL: [Self; 2] = [Self::Request, Self::Age];

    const fn label(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Age => "age",
        }
    }
}

/// Handles of one integration.
#[derive(Clone)]
pub struct FeedMetrics {
    metrics: Metrics,
    integration: Arc<str>,
    /// `rtalink_feed_up`.
    pub up: Gauge,
    /// `rtalink_feed_connections`.
    pub connections: Gauge,
    /// `rtalink_feed_bytes_total`.
    pub bytes: Counter,
    /// `rtalink_feed_records_total`, changed.
    pub changed: Counter,
    /// `rtalink_feed_records_total`, unchanged.
    pub unchanged: Counter,
    /// `rtalink_feed_records_total`, invalid.
    pub invalid: Counter,
    /// `rtalink_feed_probes_total`.
    pub probes: Counter,
    /// `rtalink_feed_snapshots_total`, complete.
    pub complete: Counter,
    /// `rtalink_feed_snapshots_total`, incomplete.
    pub incomplete: Counter,
    /// `rtalink_feed_snapshot_period_seconds`.
    pub period: Gauge,
    /// `rtalink_feed_last_record_timestamp_seconds`.
    pub last_record: Gauge,
    /// `rtalink_feed_link_down`.
    pub link_down: Gauge,
    /// `rtalink_feed_impossible_times_total`.
    pub impossible_times: Counter,
    /// `rtalink_absorbed_total`, states.
    pub absorbed_states: Counter,
    /// `rtalink_absorbed_total`, log-outs.
    pub absorbed_logouts: Counter,
    tls_expiry: Gauge,
    stale: Gauge,
    stale_agents: Gauge,
    /// `rtalink_event_latency_seconds`.
    pub latency: Histogram,
    /// `rtalink_stage_duration_seconds`, decode.
    pub decode: Histogram,
    /// `rtalink_stage_duration_seconds`, track.
    pub track: Histogram,
    /// `rtalink_stage_duration_seconds`, map.
    pub map: Histogram,
    /// `rtalink_stage_duration_seconds`, publish.
    pub publish: Histogram,
    /// `rtalink_stage_duration_seconds`, journal.
    pub journal: Histogram,
    /// `rtalink_paused`.
    pub paused: Gauge,
    /// `rtalink_journal_pending_events`.
    pub pending: Gauge,
    /// `rtalink_journal_oldest_seconds`.
    pub oldest: Gauge,
    /// `rtalink_journal_fill_ratio`.
    pub fill_ratio: Gauge,
    conditions: [Gauge; FeedCondition::ALL.len()],
    dropped: [Counter; Dropped::ALL.len()],
    dead_letters: [Counter; Reason::LABELS.len()],
    forgotten: [Counter; ForgetCause::ALL.len()],
    statuses: [Counter; StatusKind::NAMES.len()],
    status_times: [Gauge; StatusKind::NAMES.len()],
    events: [Counter; Cause::ALL.len()],
    /// Exported once the agents are known: 0 would say that nobody is there.
    agents: Arc<OnceLock<AgentGauges>>,
    tallies: Arc<Tallies>,
}

/// Gauges about the agents of an integration.
struct AgentGauges {
    by_mode: [Gauge; Mode::ALL.len()],
    in_aux: [Gauge; IN_AUX_OVER.len()],
    unmapped_users: Gauge,
    unmapped_activities: Gauge,
}

impl std::fmt::Debug for FeedMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedMetrics").field("integration", &self.integration).finish_non_exhaustive()
    }
}

impl FeedMetrics {
    /// Registers them: each is exported from now on, at 0, so that no increment is missed.
    pub fn new(metrics: &Metrics, integration: &Arc<str>) -> Self {
        let id: &str = integration;
        let counter = |metric, value: &str| metrics.counter(metric, &[id, value]);
        let gauge = |metric| metrics.gauge(metric, &[id]);
        let stage = |stage| metrics.histogram(names::STAGE_DURATION, &[id, stage]);
        Self {
            up: gauge(names::FEED_UP),
            connections: gauge(names::FEED_CONNECTIONS),
            bytes: metrics.counter(names::FEED_BYTES, &[id]),
            changed: counter(names::FEED_RECORDS, "changed"),
            unchanged: counter(names::FEED_RECORDS, "unchanged"),
            invalid: counter(names::FEED_RECORDS, "invalid"),
            probes: metrics.counter(names::FEED_PROBES, &[id]),
            complete: counter(names::FEED_SNAPSHOTS, "true"),
            incomplete: counter(names::FEED_SNAPSHOTS, "false"),
            period: gauge(names::FEED_SNAPSHOT_PERIOD),
            last_record: gauge(names::FEED_LAST_RECORD),
            link_down: gauge(names::FEED_LINK_DOWN),
            impossible_times: metrics.counter(names::FEED_IMPOSSIBLE_TIMES, &[id]),
            absorbed_states: counter(names::ABSORBED, "short_state"),
            absorbed_logouts: counter(names::ABSORBED, "logout"),
            tls_expiry: {
                let expiry = gauge(names::TLS_EXPIRY);
                expiry.set(f64::NAN);
                expiry
            },
            stale: gauge(names::FEED_STALE),
            stale_agents: gauge(names::FEED_STALE_AGENTS),
            latency: metrics.histogram(names::EVENT_LATENCY, &[id]),
            decode: stage("decode"),
            track: stage("track"),
            map: stage("map"),
            publish: stage("publish"),
            journal: stage("journal"),
            paused: gauge(names::PAUSED),
            pending: gauge(names::JOURNAL_PENDING),
            oldest: gauge(names::JOURNAL_OLDEST),
            fill_ratio: gauge(names::JOURNAL_FILL_RATIO),
            conditions: FeedCondition::ALL
                .map(|condition| metrics.gauge(names::FEED_CONDITION, &[id, condition.label()])),
            dropped: Dropped::ALL.map(|kind| counter(names::JOURNAL_DROPPED, kind.label())),
            dead_letters: Reason::LABELS.map(|reason| counter(names::DEAD_LETTERS, reason)),
            forgotten: ForgetCause::ALL.map(|cause| counter(names::AGENTS_FORGOTTEN, cause.label())),
            statuses: StatusKind::NAMES.map(|kind| counter(names::FEED_STATUS, kind)),
            status_times: StatusKind::NAMES.map(|kind| metrics.gauge(names::FEED_STATUS_AT, &[id, kind])),
            events: Cause::ALL.map(|cause| counter(names::EVENTS, cause.name())),
            agents: Arc::default(),
            tallies: Arc::default(),
            metrics: metrics.clone(),
            integration: Arc::clone(integration),
        }
    }

    /// Counts an event of that cause.
    pub fn event(&self, cause: Cause) {
        if let Some((_, counter)) = Cause::ALL.iter().zip(&self.events).find(|(known, _)| **known == cause) {
            counter.increment(1);
        }
    }

    /// Counts an invalid record.
    pub fn dead_letter(&self, reason: Reason) {
        self.tallies.unreadable(reason.label());
        increment(&Reason::LABELS, &self.dead_letters, reason.label());
    }

    /// Counts a feed status, and notes when it was, except of a connection that never said anything: nothing has changed.
    pub fn status(&self, status: &FeedStatus) {
        let kind = status.event.kind;
        increment(&StatusKind::NAMES, &self.statuses, kind.name());
        let position = StatusKind::NAMES.iter().position(|name| *name == kind.name());
        if let Some(gauge) = position.and_then(|position| self.status_times.get(position))
            && !status.no_valid_record
        {
            gauge.set(seconds(status.event.at));
        }
    }

    /// Sets how many agents were logged in when the current silence of the feed began; `None` while there is none.
    pub fn stale(&self, agents: Option<u32>) {
        self.stale.set(if agents.is_some() { 1.0 } else { 0.0 });
        self.stale_agents.set(f64::from(agents.unwrap_or(0)));
    }

    /// Sets whether the feed has that condition.
    pub fn condition(&self, condition: FeedCondition, lasts: bool) {
        self.conditions[condition as usize].set(if lasts { 1.0 } else { 0.0 });
    }

    /// Registers the possible reasons of [`Self::refused`] and [`Self::undeliverable`], which are exported from now on.
    pub fn expect<'a>(&self, refused: impl IntoIterator<Item = &'a str>, undeliverable: &[&str]) {
        for reason in refused {
            self.metrics.counter(names::FEED_REFUSED, &[&self.integration, reason]).increment(0);
        }
        for reason in undeliverable {
            self.metrics.counter(names::DEAD_LETTERS, &[&self.integration, reason]).increment(0);
        }
    }

    /// Sets whether that condition keeps the integration's messages from Kafka; exported from the first call on.
    pub fn kafka_condition(&self, condition: &str, lasts: bool) {
        let gauge = self.metrics.gauge(names::KAFKA_CONDITION, &[&self.integration, condition]);
        gauge.set(if lasts { 1.0 } else { 0.0 });
    }

    /// Counts a message that Kafka will never accept.
    pub fn undeliverable(&self, reason: &str) {
        self.tallies.unreadable(reason);
        self.metrics.counter(names::DEAD_LETTERS, &[&self.integration, reason]).increment(1);
    }

    /// Counts messages that a full journal did not accept.
    pub fn dropped(&self, kind: Dropped, count: usize) {
        self.dropped[kind as usize].increment(count as u64);
    }

    /// Counts agents who were forgotten.
    pub fn forgotten(&self, cause: ForgetCause, count: usize) {
        self.forgotten[cause as usize].increment(count as u64);
    }

    /// Counts a connection that was closed.
    pub fn refused(&self, reason: &str) {
        self.tallies.refused(reason);
        self.metrics.counter(names::FEED_REFUSED, &[&self.integration, reason]).increment(1);
    }

    /// Registers the metrics of a target that the feed is forwarded to.
    pub fn forward(&self, target: &str) -> ForwardMetrics {
        ForwardMetrics::new(&self.metrics, &self.integration, target)
    }

    /// Sets when the port's certificate expires; `None` without TLS: not a number.
    pub fn tls_expires(&self, at: Option<Timestamp>) {
        #[allow(clippy::cast_precision_loss)] // seconds
        let seconds = at.map_or(f64::NAN, |at| (at.as_millis() / 1_000) as f64);
        self.tls_expiry.set(seconds);
        self.tallies.certificate_expires(at);
    }

    /// Returns what was refused so far, and until when the port's certificate can be used.
    pub fn tallied(&self) -> Tallied {
        self.tallies.read()
    }

    /// Sets the skew of the feed's clock; exported once there is one.
    pub fn clock_skew(&self, seconds: f64) {
        self.metrics.gauge(names::FEED_CLOCK_SKEW, &[&self.integration]).set(seconds);
    }

    fn agent_gauges(&self) -> &AgentGauges {
        self.agents.get_or_init(|| {
            let id: &str = &self.integration;
            let gauge = |metric| self.metrics.gauge(metric, &[id]);
            AgentGauges {
                by_mode: Mode::ALL.map(|mode| self.metrics.gauge(names::AGENTS, &[id, mode.name()])),
                in_aux: IN_AUX_OVER.map(|(over, _)| self.metrics.gauge(names::AGENTS_IN_AUX, &[id, over])),
                unmapped_users: gauge(names::UNMAPPED_USERS),
                unmapped_activities: gauge(names::UNMAPPED_ACTIVITIES),
            }
        })
    }

    /// Sets how many agents are in each mode, in the order of [`Mode::ALL`].
    pub fn agents(&self, counts: &[usize; Mode::ALL.len()]) {
        for (gauge, count) in self.agent_gauges().by_mode.iter().zip(counts) {
            #[allow(clippy::cast_precision_loss)] // agents of one site
            gauge.set(*count as f64);
        }
    }

    /// Sets how many agents are in AUX, in the order of [`IN_AUX_OVER`].
    pub fn in_aux(&self, counts: &[usize; IN_AUX_OVER.len()]) {
        for (gauge, count) in self.agent_gauges().in_aux.iter().zip(counts) {
            #[allow(clippy::cast_precision_loss)] // agents of one site
            gauge.set(*count as f64);
        }
    }

    /// Sets how many agents are in AUX for that reason; exported from the first call on.
    pub fn in_aux_by_reason(&self, reason: &str, count: usize) {
        let gauge = self.metrics.gauge(names::AGENTS_BY_AUX_REASON, &[&self.integration, reason]);
        #[allow(clippy::cast_precision_loss)] // agents of one site
        gauge.set(count as f64);
    }

    /// Sets how many agents are in that activity; exported from the first call on.
    pub fn by_activity(&self, id: &str, name: &str, count: usize) {
        let gauge = self.metrics.gauge(names::AGENTS_BY_ACTIVITY, &[&self.integration, id, name]);
        #[allow(clippy::cast_precision_loss)] // agents of one site
        gauge.set(count as f64);
    }

    /// Sets how many users and activities are unmapped.
    pub fn unmapped(&self, unmapped: &Unmapped) {
        let (users, activities) = unmapped.counts();
        #[allow(clippy::cast_precision_loss)] // at most ten thousand
        {
            self.agent_gauges().unmapped_users.set(users as f64);
            self.agent_gauges().unmapped_activities.set(activities as f64);
        }
    }
}

/// Handles of an integration that is no longer in the configuration.
#[derive(Clone, Debug)]
pub struct RemovedMetrics {
    pending: Gauge,
    agents: Gauge,
}

impl RemovedMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics, integration: &str) -> Self {
        let gauge = |metric| metrics.gauge(metric, &[integration]);
        Self { pending: gauge(names::REMOVED_PENDING), agents: gauge(names::REMOVED_AGENTS) }
    }

    /// Sets what is left of it.
    pub fn left(&self, pending: usize, agents: usize) {
        #[allow(clippy::cast_precision_loss)] // bounded by the journal and the table
        {
            self.pending.set(pending as f64);
            self.agents.set(agents as f64);
        }
    }
}

/// A time as Prometheus has it.
#[allow(clippy::cast_precision_loss)] // milliseconds fit until long after 9999
fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1e3
}

/// Counts one more of that name; a name that is not among them is not counted, which a test rules out.
fn increment(names: &[&str], counters: &[Counter], wanted: &str) {
    let position = names.iter().position(|name| *name == wanted);
    if let Some(counter) = position.and_then(|position| counters.get(position)) {
        counter.increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::event::StatusEvent;
    use crate::tracker::status::FeedFigures;
    use crate::wire::layout::Column;

    fn of(exposition: &str, name: &str) -> Vec<(String, f64)> {
        let samples = exposition.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
        let samples = samples.filter_map(|sample| sample.rsplit_once(' '));
        samples.map(|(labels, value)| (labels.to_owned(), value.parse().unwrap())).collect()
    }

    #[test]
    fn every_reason_and_every_feed_status_is_counted_under_its_name() {
        let column = Column::LoginId;
        let reasons = [
            Reason::TooLong,
            Reason::Truncated,
            Reason::NulByte,
            Reason::Undecodable,
            Reason::TooFewFields,
            Reason::TooManyFields,
            Reason::Invisible('\u{200b}'),
            Reason::Missing(column),
            Reason::BadNumber(column),
            Reason::BadTime(column),
            Reason::BadValue(column),
            Reason::BadSkillGroup,
            Reason::BadQuote,
            Reason::LongValue(column),
            Reason::TooManySkills,
            Reason::TooManyAgents,
        ];
        let at = Timestamp::from_millis(0);
        let kinds = [
            StatusKind::Connected,
            StatusKind::Disconnected,
            StatusKind::Stale,
            StatusKind::Restored { gap_from: at, gap_to: at },
            StatusKind::LinkDown,
            StatusKind::LinkUp,
            StatusKind::Suspect,
            StatusKind::Unreadable,
            StatusKind::RepeatedRows,
            StatusKind::NoSnapshot,
            StatusKind::Flapping,
            StatusKind::Paused,
            StatusKind::Resumed,
        ];
        let metrics = Metrics::new().unwrap();
        let feed = FeedMetrics::new(&metrics, &"a".into());
        reasons.into_iter().for_each(|reason| feed.dead_letter(reason));
        let status = |kind, at, no_valid_record| FeedStatus {
            event: StatusEvent { kind, at, affected: 0 },
            figures: FeedFigures::default(),
            no_valid_record,
        };
        let now = Timestamp::from_millis(1_767_600_000_125);
        kinds.into_iter().for_each(|kind| feed.status(&status(kind, now, false)));
        feed.status(&status(StatusKind::Heartbeat, now, false));
        let exposition = metrics.render();
        for (name, count) in [(names::DEAD_LETTERS.name, reasons.len()), (names::FEED_STATUS.name, kinds.len())] {
            let counted = of(&exposition, name);
            assert_eq!(counted.len(), count, "{name}");
            assert!(counted.iter().all(|(_, value)| *value == 1.0), "{counted:?}");
        }
        let times = of(&exposition, names::FEED_STATUS_AT.name);
        assert_eq!(times.len(), kinds.len());
        assert!(times.iter().all(|(_, at)| *at == 1_767_600_000.125), "{times:?}");
        // A port scan takes nothing away.
        feed.status(&status(StatusKind::Disconnected, Timestamp::from_millis(1_767_600_009_000), true));
        let after = of(&metrics.render(), names::FEED_STATUS_AT.name);
        assert!(after.iter().all(|series| times.contains(series)), "{after:?}");
    }
}
