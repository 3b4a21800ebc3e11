//! What waits for the end of a snapshot: UNKNOWN states and rows to be merged. (Absences and re-entries are found then.)

use crate::time::Timestamp;
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
    pub(super) fn first(record: &Record<'_>, received_at: Timestamp, details: bool, known: &RideAlong) -> Self {
        let time = RecordTime { received_at, times: record.times };
        let mut rows =
            Self { winner: AgentState::of(record, details), time, skills: Vec::new(), ride_along: known.clone() };
        rows.collect(record, details);
        rows
    }

    pub(super) fn add(&mut self, record: &Record<'_>, received_at: Timestamp, details: bool) {
        let ours = (rank(self.winner.mode), self.time.times.duration);
        let theirs = (rank(record.mode), record.times.duration);
        if theirs.0 < ours.0 || (theirs.0 == ours.0 && theirs.1 > ours.1) {
            self.winner = AgentState::of(record, details);
            self.time = RecordTime { received_at, times: record.times };
        }
        self.collect(record, details);
    }

    fn collect(&mut self, record: &Record<'_>, details: bool) {
        if details {
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
