//! Who has which name: with `identify_by = "name"`, a name that two logins share identifies nobody. Names that look the same
//! are the same ([`spelling`]).
//!
//! Holds the names that agents have, and none that they had. The cost of a name depends on how many share it only when it
//! becomes or ceases to be ambiguous: then each of them is reported.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::tracker::table::AgentIndex;

use super::spelling;

/// Who has a name, with their login ids.
type Holders = BTreeSet<(Arc<str>, AgentIndex)>;

/// Names of all agents of an integration, logged in or not.
#[derive(Debug, Default)]
pub struct NameIndex {
    /// Per agent: login id, and name in its normal spelling.
    agents: Vec<Option<(Arc<str>, Arc<str>)>>,
    /// Per name: who has it, ordered by login id, so that the first and the last show whether there are two.
    by_name: HashMap<Arc<str>, Holders, FixedState>,
}

impl NameIndex {
    /// Sets an agent's name, if it is new or has changed. Returns the other agents of both names, old and new, where a name
    /// has become ambiguous or unique by that.
    pub fn set(&mut self, agent: AgentIndex, login_id: &Arc<str>, name: &Arc<str>) -> Vec<AgentIndex> {
        let slot = agent as usize;
        if self.agents.len() <= slot {
            self.agents.resize(slot + 1, None);
        }
        let name = &match spelling::normal(name) {
            normal if *normal == **name => Arc::clone(name),
            normal => Arc::from(normal),
        };
        let old = self.agents[slot].clone();
        let old_name = old.as_ref().map(|(_, name)| name);
        if old_name == Some(name) {
            return Vec::new();
        }
        let names = || [old_name, Some(name)].into_iter().flatten();
        let were_ambiguous: Vec<bool> = names().map(|name| self.is_ambiguous(name)).collect();
        if let Some((login_id, name)) = &old {
            self.release(agent, login_id, name);
        }
        self.agents[slot] = Some((Arc::clone(login_id), Arc::clone(name)));
        self.by_name.entry(Arc::clone(name)).or_default().insert((Arc::clone(login_id), agent));
        let mut affected = Vec::new();
        for (name, was_ambiguous) in names().zip(were_ambiguous) {
            if self.is_ambiguous(name) != was_ambiguous {
                affected.extend(self.holders(name).filter(|holder| *holder != agent));
            }
        }
        affected.sort_unstable();
        affected
    }

    /// An agent is forgotten. Returns the others of their name if it has become unique by that.
    pub fn forget(&mut self, agent: AgentIndex) -> Vec<AgentIndex> {
        let Some((login_id, name)) = self.agents.get(agent as usize).cloned().flatten() else { return Vec::new() };
        let was_ambiguous = self.is_ambiguous(&name);
        self.agents[agent as usize] = None;
        self.release(agent, &login_id, &name);
        let is_unique_now = was_ambiguous && !self.is_ambiguous(&name);
        if is_unique_now { self.holders(&name).collect() } else { Vec::new() }
    }

    fn holders(&self, name: &str) -> impl Iterator<Item = AgentIndex> {
        self.by_name.get(name).into_iter().flatten().map(|(_, agent)| *agent)
    }

    /// The agent no longer has that name.
    fn release(&mut self, agent: AgentIndex, login_id: &Arc<str>, name: &Arc<str>) {
        let Some(holders) = self.by_name.get_mut(name) else { return };
        holders.remove(&(Arc::clone(login_id), agent));
        if holders.is_empty() {
            self.by_name.remove(name);
        }
    }

    /// Whether two login ids have that name. One login id on several ACDs counts as one.
    pub fn is_ambiguous(&self, name: &str) -> bool {
        let Some(holders) = self.by_name.get(&*spelling::normal(name)) else { return false };
        let [first, last] = [holders.first(), holders.last()].map(|holder| holder.map(|(login_id, _)| login_id));
        first != last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shares_a_name_is_told_when_it_becomes_or_ceases_to_be_ambiguous() {
        let mut names = NameIndex::default();
        let none: [AgentIndex; 0] = [];
        let mut set = |agent, login_id: &str, name: &str| names.set(agent, &login_id.into(), &name.into());
        assert_eq!(set(0, "1", "Ada"), none);
        assert_eq!(set(1, "2", "Ada"), [0]);
        assert_eq!(set(2, "3", "Ada"), none, "it was ambiguous before");
        assert_eq!(set(2, "3", "Bo"), none, "it still is");
        assert_eq!(set(3, "3", "Bo"), none, "one login id on two ACDs");
        assert_eq!(set(1, "2", "Bo"), [0, 2, 3], "alone again; and two more who share theirs");
        assert_eq!(set(1, "2", "Bo"), none);
        assert!(names.is_ambiguous("Bo") && !names.is_ambiguous("Ada"));
    }

    #[test]
    fn names_that_look_the_same_are_shared() {
        let mut names = NameIndex::default();
        let none: [AgentIndex; 0] = [];
        assert_eq!(names.set(0, &"1".into(), &"M\u{fc}ller".into()), none);
        assert_eq!(names.set(1, &"2".into(), &"Mu\u{308}ller\u{a0}".into()), [0]);
        assert_eq!(names.set(0, &"1".into(), &" M\u{fc}ller".into()), none, "it is the name that they have");
        assert!(names.is_ambiguous("M\u{fc}ller") && names.is_ambiguous("Mu\u{308}ller "));
        assert_eq!(names.set(1, &"2".into(), &"M\u{fc}ller, A".into()), [0]);
        assert_eq!(names.by_name.len(), 2);
    }

    #[test]
    fn who_is_forgotten_makes_their_name_unique_again() {
        let mut names = NameIndex::default();
        for (agent, login_id, name) in [(0, "1", "Ada"), (1, "2", "Ada"), (2, "3", "Ada"), (3, "4", "Bo")] {
            names.set(agent, &login_id.into(), &name.into());
        }
        let none: [AgentIndex; 0] = [];
        assert_eq!(names.forget(1), none, "two are left");
        assert_eq!(names.forget(2), [0]);
        assert!(!names.is_ambiguous("Ada"));
        assert_eq!((names.forget(2), names.forget(7), names.forget(0)), (vec![], vec![], vec![]));
        assert_eq!(names.by_name.len(), 1, "nobody is called Ada");
        assert_eq!(names.set(1, &"5".into(), &"Bo".into()), [3], "the number is somebody else's");
    }

    /// Each lookup of a name is a few steps, however many share it. With a step per agent, this would take a minute.
    #[test]
    fn one_login_id_on_many_acds_is_one_name() {
        let mut names = NameIndex::default();
        let (login_id, name) = ("4711".into(), "Ada".into());
        for agent in 0..100_000 {
            assert_eq!(names.set(agent, &login_id, &name), [0; 0]);
        }
        assert!(!names.is_ambiguous("Ada"));
        assert_eq!(names.set(100_000, &"4712".into(), &name).len(), 100_000);
        assert!(names.is_ambiguous("Ada"));
    }

    #[test]
    fn names_that_nobody_has_any_more_are_forgotten() {
        let mut names = NameIndex::default();
        for round in 0..10_000 {
            for agent in [0, 1] {
                names.set(agent, &agent.to_string().into(), &format!("{agent} {round}").into());
            }
        }
        assert_eq!((names.by_name.len(), names.agents.len()), (2, 2));
        println!("20,000 names of two agents, limit one of each: {} are kept", names.by_name.len());
    }
}
