//! Who is called what: with `identify_by = "name"`, a name that two logins share is nobody's.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::state::table::AgentIndex;

/// Names of all agents of an integration, logged in or not.
#[derive(Debug, Default)]
pub struct NameIndex {
    /// Per agent: login id and name.
    agents: Vec<Option<(Arc<str>, Arc<str>)>>,
    by_name: HashMap<Arc<str>, Vec<AgentIndex>, FixedState>,
}

impl NameIndex {
    /// An agent's name is new or another. The agents of both names, old and new, may have become ambiguous or unique.
    pub fn set(&mut self, agent: AgentIndex, login_id: &Arc<str>, name: &Arc<str>) -> Vec<AgentIndex> {
        let slot = agent as usize;
        if self.agents.len() <= slot {
            self.agents.resize(slot + 1, None);
        }
        let before = self.agents[slot].replace((login_id.clone(), name.clone()));
        let mut affected = Vec::new();
        if let Some((_, old)) = before {
            if old == *name {
                return affected;
            }
            if let Some(holders) = self.by_name.get_mut(&old) {
                holders.retain(|holder| *holder != agent);
                affected.extend_from_slice(holders);
            }
        }
        let holders = self.by_name.entry(name.clone()).or_default();
        affected.extend_from_slice(holders);
        holders.push(agent);
        affected
    }

    /// An agent is forgotten. Those of the same name may have become unique.
    pub fn forget(&mut self, agent: AgentIndex) -> Vec<AgentIndex> {
        let Some((_, name)) = self.agents.get_mut(agent as usize).and_then(Option::take) else { return Vec::new() };
        let Some(holders) = self.by_name.get_mut(&name) else { return Vec::new() };
        holders.retain(|holder| *holder != agent);
        let affected = holders.clone();
        if affected.is_empty() {
            self.by_name.remove(&name);
        }
        affected
    }

    /// Whether two login ids go by that name. One login id on several ACDs is one.
    pub fn is_ambiguous(&self, name: &str) -> bool {
        let Some(holders) = self.by_name.get(name) else { return false };
        let mut logins = holders.iter().filter_map(|agent| self.agents.get(*agent as usize)?.as_ref());
        let first = logins.next();
        first.is_some_and(|(login_id, _)| logins.any(|(other, _)| other != login_id))
    }
}
