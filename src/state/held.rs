//! What waits for the end of a snapshot: UNKNOWN states and rows to be merged. (Absences and re-entries are found then.)

use crate::time::Timestamp;
use crate::wire::record::MOST_SKILLS;
use crate::wire::record::Record;
use crate::wire::states::Mode;

use super::agent_state::{AgentState, RideAlong, SkillList};
use super::since::RecordTime;

/// What waits of one agent; a later record replaces it.
#[derive(Clone, Debug, Default)]
pub(super) enum Held {
    #[default]
    Nothing,
    /// A state in mode UNKNOWN: at the end of the snapshot it may turn out to be the link.
    Unknown(Box<HeldState>),
    /// Rows of one agent, one per skill.
    Rows(Box<Rows>),
}

impl Held {
    /// The rows, if it is rows that wait.
    pub(super) fn rows(&self) -> Option<&Rows> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Nothing | Self::Unknown(_) => None,
        }
    }
}

/// A state that waits.
#[derive(Clone, Debug)]
pub(super) struct HeldState {
    pub(super) state: AgentState,
    pub(super) time: RecordTime,
}

/// Rows of one agent, merged so far.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    winner: AgentState,
    time: RecordTime,
    skills: Vec<(Box<str>, Option<u16>)>,
    bytes: usize,
    pub(super) ride_along: RideAlong,
}

/// Of rows that disagree, the earlier in this list wins (rule 10).
const PRECEDENCE: [Mode; 12] = [
    Mode::Ring,
    Mode::Acd,
    Mode::Dacd,
    Mode::Acw,
    Mode::Dacw,
    Mode::Aux,
    Mode::Avail,
    Mode::Other,
    Mode::Unknown,
    Mode::Logon,
    Mode::Unstaff,
    Mode::Logoff,
];

fn rank(mode: Mode) -> usize {
    PRECEDENCE.iter().position(|listed| *listed == mode).unwrap_or(PRECEDENCE.len())
}

impl Rows {
    pub(super) fn first(
        record: &Record<'_>,
        frame: &[u8],
        received_at: Timestamp,
        details: bool,
        known: &RideAlong,
    ) -> Self {
        let time = RecordTime { received_at, times: record.times };
        let winner = AgentState::of(record, details);
        let mut rows = Self { winner, time, skills: Vec::new(), bytes: 0, ride_along: known.clone() };
        rows.collect(record, frame, details);
        rows
    }

    /// Whether there is room for another row: a marker that never comes would let them grow without end.
    pub(super) fn have_room(&self, record: &Record<'_>, details: bool) -> bool {
        !details || self.skills.len() + record.skills.len() <= MOST_SKILLS
    }

    /// Bytes of the rows that left something behind.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn add(&mut self, record: &Record<'_>, frame: &[u8], received_at: Timestamp, details: bool) {
        let ours = (rank(self.winner.mode), self.time.times.duration);
        let theirs = (rank(record.mode), record.times.duration);
        if theirs.0 < ours.0 || (theirs.0 == ours.0 && theirs.1 > ours.1) {
            self.winner = AgentState::of(record, details);
            self.time = RecordTime { received_at, times: record.times };
        }
        self.collect(record, frame, details);
    }

    fn collect(&mut self, record: &Record<'_>, frame: &[u8], details: bool) {
        if details {
            self.bytes += frame.len();
            self.skills.extend(record.skills.iter().map(|skill| (skill.skill.text().into(), skill.level)));
        }
        self.ride_along.update(record);
    }

    /// The merged state.
    pub(super) fn finish(self) -> (HeldState, RideAlong) {
        let mut state = self.winner;
        state.skills = SkillList::new(self.skills);
        (HeldState { state, time: self.time }, self.ride_along)
    }

    pub(super) const fn mode(&self) -> (Mode, bool) {
        (self.winner.mode, self.winner.recognised)
    }
}
