//! The skills of an agent, packed and shared.
//!
//! A change of state is seldom one of skills, and everything that is said of an agent (the table, their events, what the store
//! and HTTP remember) has them: so all of it shares one list.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::wire::record::Skills;

/// Up to so many skills are compared each with each, which allocates nothing.
const FEW: usize = 64;

/// Skills and their levels in the order of the feed. Cloning shares it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SkillList {
    /// For each skill its level (0 where the layout has none), the length of its name, both as protobuf has lengths,
    /// and the name. `None` where there is no skill.
    packed: Option<Arc<[u8]>>,
}

impl SkillList {
    /// Creates a list from skills and levels in the order of the feed.
    pub fn new(skills: impl IntoIterator<Item = (impl AsRef<str>, Option<u16>)>) -> Self {
        let mut packed = Vec::new();
        for (skill, level) in skills {
            let skill = skill.as_ref();
            put_number(&mut packed, level.unwrap_or(0).into());
            put_number(&mut packed, skill.len());
            packed.extend_from_slice(skill.as_bytes());
        }
        Self { packed: (!packed.is_empty()).then(|| packed.into()) }
    }

    /// Returns the skills of a record: those `before`, where they are the same in the same order.
    pub(super) fn of(skills: Skills<'_>, before: Option<&Self>) -> Self {
        match before {
            Some(before) if before.are(skills) => before.clone(),
            _ => Self::new(skills.iter().map(|skill| (skill.skill.text(), skill.level))),
        }
    }

    /// Whether a record lists the same in the same order.
    fn are(&self, skills: Skills<'_>) -> bool {
        let mut own = self.iter();
        let are_same = skills.iter().all(|told| {
            own.next().is_some_and(|(skill, level)| level == told.level.unwrap_or(0) && told.skill.is(skill))
        });
        are_same && own.next().is_none()
    }

    /// Iterates over skill and level, 0 where the layout has none.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u16)> {
        let mut rest = self.bytes();
        std::iter::from_fn(move || {
            let level = take_number(&mut rest)?;
            let length = take_number(&mut rest)?;
            let (skill, after) = rest.split_at_checked(length)?;
            rest = after;
            // What was packed here is text.
            Some((std::str::from_utf8(skill).unwrap_or_default(), u16::try_from(level).unwrap_or(u16::MAX)))
        })
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.packed.is_none()
    }

    /// Returns it as it is packed.
    pub(super) fn bytes(&self) -> &[u8] {
        self.packed.as_deref().unwrap_or_default()
    }

    /// Whether both have the same skills with the same levels, in whatever order.
    pub(super) fn is_same_set(&self, other: &Self) -> bool {
        if self.bytes() == other.bytes() {
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

impl std::fmt::Debug for SkillList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn put_number(packed: &mut Vec<u8>, number: usize) {
    // There is always room.
    let _ = prost::encode_length_delimiter(number, packed);
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    prost::decode_length_delimiter(rest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        let long = "Zürich".repeat(3_000);
        let skills = [("232", Some(1)), ("", None), (&*long, Some(99)), ("ü", Some(u16::MAX)), ("232", Some(128))];
        let list = SkillList::new(skills);
        let expected: Vec<(&str, u16)> = skills.iter().map(|(skill, level)| (*skill, level.unwrap_or(0))).collect();
        assert_eq!(list.iter().collect::<Vec<_>>(), expected);
        assert_eq!((list.len(), list.is_empty()), (5, false));
        let none = SkillList::new(Vec::<(String, _)>::new());
        assert_eq!((none.len(), none.is_empty(), &none), (0, true, &SkillList::default()));
    }

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
