//! What `decode` says on stderr when it is done: records, snapshots and agents, without a tracker.
//!
//! Snapshots end as the integration says, or as is likely for the layout. Raw bytes have no times: a login id seen again ends a
//! snapshot at once, and only live input tells a period. Nobody is named. Bounded: of more than [`MOST_AGENTS`] login ids the rest
//! is not told apart.

use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::engine::survey::UnlistedCodes;
use crate::time::Timestamp;
use crate::tracker::settings::{SnapshotEnd, TrackerSettings};
use crate::wire::reason::Reason;
use crate::wire::record::Record;

use super::paragraphs::{InvalidRecords, Periods, codes_line, paragraph, plural, times_line};

/// Most login ids that are told apart.
const MOST_AGENTS: usize = 200_000;

/// No report is run more often: what comes faster on stdin is a file.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

/// What is read, and so what is known of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Capture,
    Stdin,
    File,
}

type AgentKey = (Option<u32>, Box<str>);

/// The snapshot that a connection is in.
#[derive(Debug, Default)]
pub(super) struct OpenSnapshot {
    seen: HashSet<AgentKey>,
    first_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
    /// The first record of the one before, where that was whole.
    previous_at: Option<Timestamp>,
}

/// Adds up what is decoded.
#[derive(Debug)]
pub(super) struct DecodeAccount {
    settings: TrackerSettings,
    reading: Reading,
    valid: u64,
    invalid: InvalidRecords,
    skipped: u64,
    markers: u64,
    complete_snapshots: u64,
    open_snapshots: u64,
    /// Agents in complete snapshots: the fewest and the most.
    sizes: Option<RangeInclusive<usize>>,
    periods: Periods,
    agents: HashSet<AgentKey>,
    codes: UnlistedCodes,
    impossible_times: u64,
}

impl DecodeAccount {
    pub(super) fn new(settings: &TrackerSettings, reading: Reading) -> Self {
        Self {
            settings: settings.clone(),
            reading,
            valid: 0,
            invalid: InvalidRecords::default(),
            skipped: 0,
            markers: 0,
            complete_snapshots: 0,
            open_snapshots: 0,
            sizes: None,
            periods: Periods::default(),
            agents: HashSet::new(),
            codes: UnlistedCodes::default(),
            impossible_times: 0,
        }
    }

    /// How many records are invalid.
    pub(super) fn invalid(&self) -> u64 {
        self.invalid.count()
    }

    pub(super) fn record(&mut self, snapshot: &mut OpenSnapshot, record: &Record<'_>, read_at: Option<Timestamp>) {
        self.valid += 1;
        self.codes.take(record);
        self.impossible_times += u64::from(record.times.impossible);
        let agent: AgentKey = (record.acd, record.login_id.into());
        if self.begins_another(snapshot, &agent, read_at) {
            self.complete(snapshot);
        }
        if snapshot.seen.is_empty() {
            self.begin(snapshot, read_at);
        }
        snapshot.last_at = read_at;
        if snapshot.seen.len() < MOST_AGENTS {
            snapshot.seen.insert(agent.clone());
        }
        if self.agents.len() < MOST_AGENTS {
            self.agents.insert(agent);
        }
    }

    pub(super) fn marker(&mut self, snapshot: &mut OpenSnapshot, read_at: Option<Timestamp>) {
        self.markers += 1;
        if self.settings.fixed.snapshot_end == SnapshotEnd::Marker {
            // A report without agents is a snapshot, too.
            if snapshot.seen.is_empty() {
                self.begin(snapshot, read_at);
            }
            self.complete(snapshot);
        }
    }

    pub(super) const fn skipped(&mut self) {
        self.skipped += 1;
    }

    pub(super) fn invalid_record(&mut self, reason: Reason, offset: u64, read_at: Option<Timestamp>) {
        self.invalid.add(reason, offset, read_at.filter(|_| self.reading == Reading::Capture));
    }

    pub(super) fn end_of_connection(&mut self, snapshot: &mut OpenSnapshot) {
        self.open_snapshots += u64::from(!snapshot.seen.is_empty());
        *snapshot = OpenSnapshot::default();
    }

    fn begins_another(&self, snapshot: &OpenSnapshot, agent: &AgentKey, read_at: Option<Timestamp>) -> bool {
        let thresholds = &self.settings.thresholds;
        let is_capture = self.reading == Reading::Capture;
        let since = |before: Option<Timestamp>| read_at.zip(before).map(|(at, before)| at.since(before));
        match self.settings.fixed.snapshot_end {
            SnapshotEnd::Marker => false,
            SnapshotEnd::Idle => since(snapshot.last_at).is_some_and(|silence| silence >= thresholds.snapshot_idle),
            // An agent who changes is listed twice in one refresh by some reports.
            SnapshotEnd::Repeat => {
                let is_another = || !is_capture || since(snapshot.first_at) >= Some(thresholds.shortest_refresh);
                snapshot.seen.contains(agent) && is_another()
            }
        }
    }

    fn begin(&mut self, snapshot: &mut OpenSnapshot, read_at: Option<Timestamp>) {
        snapshot.first_at = read_at;
        if let Some((at, before)) = read_at.zip(snapshot.previous_at) {
            let period = at.since(before);
            if self.reading == Reading::Capture || period >= SHORTEST_PERIOD {
                self.periods.add(period);
            }
        }
    }

    fn complete(&mut self, snapshot: &mut OpenSnapshot) {
        let size = snapshot.seen.len();
        self.complete_snapshots += 1;
        let (least, most) = self.sizes.as_ref().map_or((size, size), |sizes| (*sizes.start(), *sizes.end()));
        self.sizes = Some(least.min(size)..=most.max(size));
        snapshot.previous_at = snapshot.first_at;
        snapshot.seen.clear();
    }

    fn snapshots_line(&self) -> String {
        let (complete, open) = (self.complete_snapshots, self.open_snapshots);
        let period = match (self.periods.median(), self.reading) {
            (Some(period), _) => format!(", one every {period:?}"),
            (None, Reading::File) if complete > 1 => ", how often is not in raw bytes".to_owned(),
            (None, _) => String::new(),
        };
        format!("{complete} complete{period}; {open} without an end")
    }

    fn agents_line(&self) -> String {
        let agents = self.agents.len();
        let more = if agents < MOST_AGENTS { "" } else { " or more" };
        let sizes = match &self.sizes {
            Some(sizes) if sizes.start() == sizes.end() => format!(", {} in each complete snapshot", sizes.start()),
            Some(sizes) => format!(", {} to {} in a complete snapshot", sizes.start(), sizes.end()),
            None => String::new(),
        };
        format!("{agents}{more}{sizes}")
    }
}

impl fmt::Display for DecodeAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { valid, skipped, markers, .. } = self;
        let invalid = self.invalid();
        paragraph(f, "records", [format!("{}: {valid} valid, {invalid} invalid", valid + invalid)])?;
        paragraph(f, "invalid", self.invalid.lines())?;
        paragraph(f, "lines", [format!("{skipped} skipped, {markers} marker{}", plural(*markers))])?;
        paragraph(f, "snapshots", [self.snapshots_line()])?;
        paragraph(f, "agents", [self.agents_line()])?;
        paragraph(f, "codes", codes_line(self.codes.by_frequency(), self.codes.other_codes()))?;
        paragraph(f, "times", times_line(self.impossible_times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::wire::decode::Decoder;
    use crate::wire::layout::builtin;
    use crate::wire::plan::Plan;

    #[test]
    fn so_many_login_ids_are_told_apart() {
        let settings = config::least().config.unwrap().integrations[0].settings.clone();
        let mut account = DecodeAccount::new(&settings, Reading::File);
        let plan = Plan::compile(&builtin::get("cisco-icm-20").unwrap(), "UTC").unwrap();
        let (mut decoder, mut snapshot) = (Decoder::default(), OpenSnapshot::default());
        for agent in 0..=MOST_AGENTS {
            let frame = format!("{agent} 20 0 0 0 0 0 1 1{}", " 0 0".repeat(20));
            let decoded = decoder.decode(&plan, frame.as_bytes(), Timestamp::from_millis(0)).unwrap();
            account.record(&mut snapshot, &decoded.record, None);
            if agent == 9 {
                assert_eq!(account.agents_line(), "10");
            }
        }
        assert_eq!((account.agents_line(), account.valid), (format!("{MOST_AGENTS} or more"), MOST_AGENTS as u64 + 1));
        println!("{} login ids, limit {MOST_AGENTS}: {}", MOST_AGENTS + 1, account.agents_line());
    }

    #[test]
    fn live_bytes_tell_a_period_and_a_file_that_is_piped_does_not() {
        let settings = config::least().config.unwrap().integrations[0].settings.clone();
        let plan = Plan::compile(&builtin::get("cisco-icm-20").unwrap(), "UTC").unwrap();
        for (between, expected) in
            [(3_000, "2 complete, one every 3s; 1 without an end"), (40, "2 complete; 1 without an end")]
        {
            let mut account = DecodeAccount::new(&settings, Reading::Stdin);
            let (mut decoder, mut snapshot) = (Decoder::default(), OpenSnapshot::default());
            for refresh in 0..3 {
                let at = Timestamp::from_millis(between * refresh);
                let frame = format!("1 20 0 0 0 0 0 1 1{}", " 0 0".repeat(20));
                let decoded = decoder.decode(&plan, frame.as_bytes(), at).unwrap();
                account.record(&mut snapshot, &decoded.record, Some(at));
            }
            account.end_of_connection(&mut snapshot);
            assert_eq!(account.snapshots_line(), expected);
        }
    }
}
