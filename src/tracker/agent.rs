//! What is remembered of an agent.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;
use crate::wire::states::Mode;
use crate::wire::unchanged::LastRecord;

use super::agent_state::{AgentState, RideAlong};
use super::brief::Brief;
use super::event::{AgentEvent, Cause};
use super::held::Held;
use super::link::CountedAs;
use super::since::{Quality, RecordTime};

/// Number of an agent in its table, from 0.
pub type AgentIndex = u32;

/// An agent's last state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownState {
    /// The state.
    pub state: AgentState,
    /// Since when.
    pub state_since: Timestamp,
    /// How good that is.
    pub quality: Quality,
}

impl KnownState {
    /// Whether the agent is logged in.
    pub const fn is_logged_in(&self) -> bool {
        !self.state.mode.is_logged_out()
    }
}

/// One agent.
///
/// A table of agents is larger than a cache, and an unchanged record, the common case, should touch little of it. So the
/// fields are in the order of their use, and not the compiler's: what such a record reads and writes comes first, in three
/// cache lines; then what it uses where the layout has times; then the rest.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Agent {
    /// The agent who came next, the last time.
    pub(super) follower: AgentIndex,
    /// The gap after which the last record was taken, and whether the agent was logged in before it.
    pub(super) gap: u32,
    pub(super) was_logged_in: bool,
    /// The last valid record had exactly the known state: the same bytes mean it again.
    pub(super) settled: bool,
    pub(super) last_mode: LastMode,
    /// They were forgotten: the number waits for somebody else.
    is_nobody: bool,
    /// Number of the snapshot with the last valid record, and with the last record of any kind.
    pub(super) seen_in: u64,
    pub(super) present_in: u64,
    /// Receipt of the last valid record.
    pub last_seen: Timestamp,
    /// When the agent was seen before the last record that was taken.
    pub(super) seen_before: Timestamp,
    pub(super) absence: Absence,
    pub(super) last_record: LastRecord,
    /// Whether one refresh has several rows of theirs.
    pub(super) rows: FurtherRows,
    /// What waits for the end of the snapshot.
    pub(super) held: Held,

    /// What is published only once it has lasted.
    pub(super) brief: Option<Box<Brief>>,
    /// The last record of the known state, while its snapshot is open.
    pub(super) open: Option<OpenRecord>,
    /// Start of the known state by its duration, as last remembered: minus the delay of its snapshot.
    pub(super) start: Option<Timestamp>,
    pub(super) remembered_start: Option<Timestamp>,
    /// The last reported `state_start` of the known state.
    pub(super) told_start: Option<Box<ToldStart>>,
    /// Last record of the known state in a snapshot that has ended and was not down.
    pub(super) proven: Option<Proven>,
    /// How the last record spells the known state, where that differs from what was published.
    pub(super) spelled: Option<Box<AgentState>>,
    /// What is to be saved of them has changed since it was last requested; `remembered_start` is the start that it had then.
    pub(super) is_changed: bool,
    /// They were absent from a complete snapshot before their first state.
    pub(super) was_absent: bool,
    /// They are in the list of those who attend.
    pub(super) is_attending: bool,
    /// What the link-down rule counts them as, in mode `delta`.
    pub(super) counted: CountedAs,

    /// `None` until a valid record has been taken.
    pub known: Option<KnownState>,
    /// The sequence of the last event.
    pub sequence: u64,
    /// Text; leading zeros count.
    pub login_id: Arc<str>,
    /// ACD number.
    pub acd: u32,
    /// Details without influence.
    pub ride_along: RideAlong,
    /// Bytes of their longest record, rows of one snapshot taken together.
    pub(super) longest: usize,
    /// Number of the snapshot with the last invalid record.
    pub(super) bad_in: u64,
}

/// A `state_start` as the feed gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldStart {
    /// The field as it came. The same text is the same start, whatever instant it stands for.
    pub text: Box<[u8]>,
    /// The instant.
    pub at: Timestamp,
    /// The same, but no later than the receipt of its record.
    pub taken: Timestamp,
}

/// A record of a state that had begun before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proven {
    /// Receipt.
    pub(super) at: Timestamp,
    /// How late the feed was then.
    pub(super) delay: Duration,
}

/// What a record of the known state says, until its snapshot ends.
#[derive(Clone, Debug)]
pub(super) struct OpenRecord {
    pub(super) time: RecordTime,
    /// The first news after a gap.
    pub(super) after_gap: bool,
    /// Its `state_start`, where that differs from the agent's `told_start`.
    pub(super) new_start: Option<Box<ToldStart>>,
}

/// Whether one refresh lists an agent more than once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FurtherRows {
    /// Number of the last snapshot with further rows.
    pub(super) last_in: u64,
    /// How many complete snapshots in a row had some; no more than [`REPEATING`].
    pub(super) in_a_row: u32,
}

/// How many complete snapshots in a row must list somebody more than once to be no accident.
pub(super) const REPEATING: u32 = 2;

impl FurtherRows {
    /// All rows of the agent wait for the end of the snapshot.
    pub(super) const fn are_merged(self) -> bool {
        self.in_a_row >= REPEATING
    }
}

/// What the last valid record said of its mode, for the link-down rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastMode {
    Readable,
    /// Mode UNKNOWN by the state table.
    ListedUnknown,
    /// A code that the state table does not have.
    Unlisted,
}

impl LastMode {
    pub(super) const fn of(mode: Mode, recognised: bool) -> Self {
        match (mode, recognised) {
            (_, false) => Self::Unlisted,
            (Mode::Unknown, true) => Self::ListedUnknown,
            _ => Self::Readable,
        }
    }
}

/// Absence from complete snapshots in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Absence {
    pub(super) snapshots: u32,
    /// First record of the first of these snapshots.
    pub(super) since: Timestamp,
    /// The first of these snapshots was the first one after a gap.
    pub(super) began_after_gap: bool,
    /// Waits for the next complete snapshot to confirm it.
    pub(super) suspect: bool,
}

impl Agent {
    pub(super) fn new(login_id: &str, acd: u32, at: Timestamp) -> Self {
        Self {
            login_id: login_id.into(),
            acd,
            sequence: 0,
            known: None,
            ride_along: RideAlong::default(),
            last_seen: at,
            longest: 0,
            settled: false,
            last_record: LastRecord::default(),
            last_mode: LastMode::Readable,
            held: Held::Nothing,
            brief: None,
            start: None,
            told_start: None,
            proven: None,
            open: None,
            spelled: None,
            seen_before: at,
            follower: AgentIndex::MAX,
            rows: FurtherRows::default(),
            seen_in: 0,
            present_in: 0,
            bad_in: 0,
            absence: Absence::default(),
            was_absent: false,
            is_attending: false,
            counted: CountedAs::default(),
            is_changed: false,
            remembered_start: None,
            gap: 0,
            was_logged_in: false,
            is_nobody: false,
        }
    }

    /// Returns the event of an agent with that number in the table, in that state: a transition with an unknown previous state.
    pub(crate) fn event(
        &self,
        index: AgentIndex,
        known: KnownState,
        cause: Cause,
        observed_at: Timestamp,
    ) -> AgentEvent {
        let KnownState { state, state_since, quality } = known;
        AgentEvent {
            agent: index,
            acd: self.acd,
            login_id: self.login_id.clone(),
            ride_along: self.ride_along.clone(),
            sequence: self.sequence,
            cause,
            evidence: None,
            state,
            state_since,
            quality,
            previous: None,
            after_gap: false,
            observed_at,
        }
    }

    /// Returns the placeholder for an agent who was forgotten.
    pub(super) fn nobody() -> Self {
        Self { is_nobody: true, ..Self::new("", 0, Timestamp::from_micros(0)) }
    }

    /// Forgets what was known of the start of their state: it does not count for the next one.
    pub(super) fn forget_start(&mut self) {
        self.start = None;
        self.told_start = None;
        self.proven = None;
        self.open = None;
        self.spelled = None;
    }

    /// Whether the number is unused.
    pub const fn is_nobody(&self) -> bool {
        self.is_nobody
    }

    /// Whether the last known state is a logged-in one.
    pub fn is_logged_in(&self) -> bool {
        self.known.as_ref().is_some_and(KnownState::is_logged_in)
    }

    /// Returns the last known mode.
    pub fn mode(&self) -> Option<Mode> {
        self.known.as_ref().map(|known| known.state.mode)
    }
}
