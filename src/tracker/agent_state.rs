//! What an agent is doing, and what is carried along with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::wire::record::{RawText, Record, Skills};
use crate::wire::states::{Direction, Mode};

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
    pub raw_state: Box<str>,
    /// The code is in the state table.
    pub recognised: bool,
    /// With details only.
    pub work_split: Option<Box<str>>,
    /// With details only, in the order of the feed.
    pub skills: SkillList,
    /// Carried along: not part of what makes a state the same.
    pub extension: Option<Arc<str>>,
}

impl AgentState {
    /// Returns the state of a record.
    pub fn of(record: &Record<'_>, details: bool) -> Self {
        Self {
            mode: record.mode,
            direction: record.direction,
            on_hold: record.on_hold.unwrap_or(false),
            aux_reason: record.aux_reason.filter(|_| record.mode == Mode::Aux),
            raw_state: record.raw_state.text().into(),
            recognised: record.recognised,
            work_split: record.work_split.filter(|_| details).and_then(split),
            skills: if details { SkillList::of(record.skills) } else { SkillList::default() },
            extension: None,
        }
    }

    /// Returns the bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        self.raw_state.len() + self.work_split.as_deref().map_or(0, str::len) + self.skills.names.len()
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

/// Reads a split. An empty one counts as none, even where the layout has no null: events and the store cannot distinguish them.
fn split(told: RawText<'_>) -> Option<Box<str>> {
    let text = told.text();
    (!text.is_empty()).then(|| text.into())
}

/// Up to so many skills are compared each with each, which allocates nothing.
const FEW: usize = 64;

/// Skills of one agent, packed: for 10,000 agents with 20 skills each, memory is what counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkillList {
    names: Box<str>,
    /// End of each name in `names`, and its level; 0 where the layout has none.
    ends: Box<[(u32, u16)]>,
}

impl SkillList {
    fn of(skills: Skills<'_>) -> Self {
        Self::new(skills.iter().map(|skill| (skill.skill.text(), skill.level)))
    }

    /// Creates a list from skills and levels in the order of the feed.
    pub fn new(skills: impl IntoIterator<Item = (impl AsRef<str>, Option<u16>)>) -> Self {
        let mut names = String::new();
        let mut ends = Vec::new();
        for (skill, level) in skills {
            names.push_str(skill.as_ref());
            // A record is at most `max_record` long, and so are its skills.
            let end = u32::try_from(names.len()).unwrap_or(u32::MAX);
            ends.push((end, level.unwrap_or(0)));
        }
        Self { names: names.into(), ends: ends.into() }
    }

    /// Iterates over skill and level, 0 where the layout has none.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u16)> {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        begins
            .zip(self.ends.iter())
            .map(|(begin, (end, level))| (self.names.get(begin as usize..*end as usize).unwrap_or_default(), *level))
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn is_same_set(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        if self.len().max(other.len()) > FEW {
            // A record has room for thousands: compared each with each, they would hold up all feeds of the worker.
            let set = |list: &Self| list.iter().map(|(name, level)| (name.to_owned(), level)).collect::<BTreeSet<_>>();
            return set(self) == set(other);
        }
        self.iter().all(|skill| other.iter().any(|found| found == skill))
            && other.iter().all(|skill| self.iter().any(|found| found == skill))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_skills_are_a_set_like_few() {
        let list = |count: u32, turned: bool, last: u16| {
            let mut skills: Vec<(String, Option<u16>)> = (0..count).map(|skill| (skill.to_string(), Some(1))).collect();
            skills.push(("last".to_owned(), Some(last)));
            skills.push(("last".to_owned(), Some(last)));
            if turned {
                skills.reverse();
            }
            SkillList::new(skills)
        };
        // As many as `max_record` has room for: each with each would take minutes.
        for count in [3, 62, 63, 400_000] {
            assert!(list(count, false, 1).is_same_set(&list(count, true, 1)), "{count}");
            assert!(!list(count, false, 1).is_same_set(&list(count, true, 2)), "{count}");
        }
    }
}
