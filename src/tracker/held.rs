//! What waits for the end of a snapshot: UNKNOWN states and rows to be merged. (Absences and re-entries are found then.)

use crate::time::Timestamp;
use crate::wire::record::MOST_SKILLS;
use crate::wire::record::Record;
use crate::wire::states::Mode;

use super::agent_state::{AgentState, SkillList};
use super::shared_texts::SharedTexts;
use super::since::RecordTime;

/// What waits of one agent; a later record replaces it.
#[derive(Clone, Debug, Default)]
pub(super) enum Held {
    #[default]
    Nothing,
    /// A state in mode UNKNOWN: at the end of the snapshot it may turn out to be the link.
    Unknown(Box<HeldState>),
    /// Rows of one agent, in one refresh.
    Rows(Box<MergedRows>),
}

impl Held {
    /// Returns the rows, if rows wait.
    pub(super) fn rows(&self) -> Option<&MergedRows> {
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
    /// The column `state_start` as it came.
    pub(super) start_text: Option<Box<[u8]>>,
}

impl HeldState {
    pub(super) fn of(record: &Record<'_>, received_at: Timestamp, details: bool, texts: &mut SharedTexts) -> Self {
        Self {
            state: AgentState::of(record, details, None, texts),
            time: RecordTime { received_at, times: record.times },
            start_text: record.state_start_text.map(Box::from),
        }
    }
}

/// Rows of one agent, merged so far.
#[derive(Clone, Debug)]
pub(super) struct MergedRows {
    winner: HeldState,
    /// Each skill once, in the order of the feed.
    skills: Vec<(Box<str>, Option<u16>)>,
    bytes: usize,
}

/// If rows disagree, the earlier mode in this list wins (rule 10).
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

impl MergedRows {
    /// Creates it from the first row, which took so many bytes.
    pub(super) fn first(row: HeldState, bytes: usize) -> Self {
        let level = |level: u16| (level > 0).then_some(level);
        let skills = row.state.skills.iter().map(|(skill, told)| (skill.into(), level(told))).collect();
        Self { winner: row, skills, bytes }
    }

    /// Whether there is room for another row: without a marker they would grow without end.
    pub(super) fn have_room(&self, record: &Record<'_>, details: bool) -> bool {
        if !details || self.skills.len() + record.skills.len() <= MOST_SKILLS {
            return true;
        }
        let new = record.skills.iter().filter(|skill| !self.has(&skill.skill.text(), skill.level)).count();
        self.skills.len() + new <= MOST_SKILLS
    }

    fn has(&self, skill: &str, level: Option<u16>) -> bool {
        self.skills.iter().any(|(known, known_level)| **known == *skill && *known_level == level)
    }

    /// Returns the bytes of the rows that left something here.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes another row.
    pub(super) fn add(
        &mut self,
        record: &Record<'_>,
        frame: &[u8],
        received_at: Timestamp,
        details: bool,
        texts: &mut SharedTexts,
    ) {
        let ours = (rank(self.winner.state.mode), self.winner.time.times.duration);
        let theirs = (rank(record.mode), record.times.duration);
        if theirs.0 < ours.0 || (theirs.0 == ours.0 && theirs.1 > ours.1) {
            self.winner = HeldState::of(record, received_at, details, texts);
        }
        if !details {
            return;
        }
        let before = self.skills.len();
        for skill in record.skills.iter() {
            let name = skill.skill.text();
            if !self.has(&name, skill.level) {
                self.skills.push((name.into(), skill.level));
            }
        }
        if self.skills.len() > before {
            self.bytes += frame.len();
        }
    }

    /// Returns the merged state.
    pub(super) fn finish(self) -> HeldState {
        let mut held = self.winner;
        held.state.skills = SkillList::new(self.skills);
        held
    }

    pub(super) const fn mode(&self) -> (Mode, bool) {
        (self.winner.state.mode, self.winner.state.recognised)
    }
}
