//! What an agent is doing, and what is carried along with it.

use std::sync::Arc;

use crate::wire::record::{RawText, Record};
use crate::wire::states::{Direction, Mode};

use super::shared_texts::SharedTexts;

pub use super::skill_list::SkillList;

/// What an agent is doing: the part of a record whose change is an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentState {
    /// Work mode.
    pub mode: Mode,
    /// Direction.
    pub direction: Direction,
    /// A call waits on hold.
    pub on_hold: bool,
    /// In AUX only, when known.
    pub aux_reason: Option<u32>,
    /// The code or name as it came.
    pub raw_state: Arc<str>,
    /// The code is in the state table.
    pub recognised: bool,
    /// With details only.
    pub work_split: Option<Arc<str>>,
    /// With details only, in the order of the feed.
    pub skills: SkillList,
    /// Carried along: not part of what makes a state the same.
    pub extension: Option<Arc<str>>,
}

impl AgentState {
    /// Returns the state of a record; it shares with the state `before` and with `texts` what is the same.
    pub(super) fn of(record: &Record<'_>, details: bool, before: Option<&Self>, texts: &mut SharedTexts) -> Self {
        // An empty split counts as none, even where the layout has no null: events and the store cannot distinguish them.
        let split = record.work_split.filter(|_| details).map(RawText::text).filter(|split| !split.is_empty());
        let skills_before = before.map(|before| &before.skills);
        Self {
            mode: record.mode,
            direction: record.direction,
            on_hold: record.on_hold.unwrap_or(false),
            aux_reason: record.aux_reason.filter(|_| record.mode == Mode::Aux),
            raw_state: texts.get(&record.raw_state.text()),
            recognised: record.recognised,
            work_split: split.map(|split| texts.get(&split)),
            skills: if details { SkillList::of(record.skills, skills_before) } else { SkillList::default() },
            extension: None,
        }
    }

    /// Returns the bytes of its texts, and of its skills as they are packed.
    pub(super) fn bytes(&self) -> usize {
        self.raw_state.len() + self.work_split.as_deref().map_or(0, str::len) + self.skills.bytes().len()
    }

    /// Returns the logged-out state: by a row with that code, or by absence (no code).
    pub fn logged_out(raw_state: &str) -> Self {
        Self {
            mode: Mode::Unstaff,
            direction: Direction::None,
            on_hold: false,
            aux_reason: None,
            raw_state: raw_state.into(),
            recognised: true,
            work_split: None,
            skills: SkillList::default(),
            extension: None,
        }
    }

    /// Whether both spell the same state in the same way: the same raw code, and the skills in the same order.
    pub(super) fn is_spelled_as(&self, other: &Self) -> bool {
        self.raw_state == other.raw_state && self.recognised == other.recognised && self.skills == other.skills
    }

    /// Whether both are one state. The raw code counts in UNKNOWN only; skills are a set.
    pub fn is_same(&self, other: &Self) -> bool {
        self.mode == other.mode
            && self.direction == other.direction
            && self.on_hold == other.on_hold
            && self.aux_reason == other.aux_reason
            && (self.mode != Mode::Unknown || self.raw_state == other.raw_state)
            && self.work_split == other.work_split
            && self.skills.is_same_set(&other.skills)
    }
}

/// What is carried along with the next event and causes none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RideAlong {
    /// Name.
    pub name: Option<Arc<str>>,
    /// Extension.
    pub extension: Option<Arc<str>>,
    /// Role.
    pub role: Option<Arc<str>>,
    /// Location.
    pub location: Option<Arc<str>>,
    /// That of the last record, even when it has none.
    pub logout_reason: Option<Arc<str>>,
}

impl RideAlong {
    /// Returns the bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.name, &self.extension, &self.role, &self.location, &self.logout_reason];
        texts.into_iter().flatten().map(|text| text.len()).sum()
    }

    /// Takes over what a record says; a null leaves what was known, except for the log-out reason.
    pub fn update(&mut self, record: &Record<'_>) -> RideAlongChange {
        let is_renamed = replace(&mut self.name, record.name);
        let mut is_new = is_renamed;
        is_new |= replace(&mut self.extension, record.extension);
        is_new |= replace(&mut self.role, record.role);
        is_new |= replace(&mut self.location, record.location);
        if record.logout_reason.is_none() {
            is_new |= self.logout_reason.take().is_some();
        }
        is_new |= replace(&mut self.logout_reason, record.logout_reason);
        RideAlongChange { is_new, is_renamed }
    }
}

/// What a record has changed in [`RideAlong`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RideAlongChange {
    /// Anything.
    pub is_new: bool,
    /// The name.
    pub is_renamed: bool,
}

fn replace(known: &mut Option<Arc<str>>, told: Option<RawText<'_>>) -> bool {
    let Some(told) = told else { return false };
    if known.as_deref().is_some_and(|known| told.is(known)) {
        return false;
    }
    *known = Some(told.text().into());
    true
}
