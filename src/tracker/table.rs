//! The agents of one integration, by source key.
//!
//! An agent's number is stable and may index tables elsewhere, until they are forgotten ([`AgentTable::forget`]): then it is
//! free, and the next new agent gets it.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

pub use super::agent::AgentIndex;

use super::agent::Agent;
use crate::time::Timestamp;

/// Most agents of one integration. Far above what a CMS has; a feed that makes up login ids stops here.
pub const MAX_AGENTS: usize = 200_000;

/// Most bytes of the agents' longest records, all agents of one integration together. What is remembered of an agent, here,
/// on the way to Kafka and for HTTP, is a few times their longest record: this bounds the memory where `max_record` is large.
pub const MOST_BYTES: usize = 128 * 1024 * 1024;

/// The table.
#[derive(Debug)]
pub struct AgentTable {
    agents: Vec<Agent>,
    /// The bytes of their longest records.
    bytes: usize,
    by_key: HashTable<Place>,
    /// Numbers of those who were forgotten.
    free: Vec<AgentIndex>,
    hasher: FixedState,
    logged_in: usize,
}

/// Where an agent is. With the hash next to it the table grows without accessing any agent.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    index: AgentIndex,
}

impl Default for AgentTable {
    fn default() -> Self {
        let hasher = FixedState::with_seed(0x7261_6c69_6e6b);
        Self { agents: Vec::new(), bytes: 0, by_key: HashTable::new(), free: Vec::new(), hasher, logged_in: 0 }
    }
}

impl AgentTable {
    /// Returns the agent with that source key.
    #[inline]
    pub fn find(&self, acd: u32, login_id: &str) -> Option<AgentIndex> {
        let hash = self.hasher.hash_one((acd, login_id));
        let is_it = |place: &Place| {
            let agent = self.agents.get(place.index as usize).filter(|_| place.hash == hash);
            agent.is_some_and(|agent| agent.acd == acd && *agent.login_id == *login_id)
        };
        self.by_key.find(hash, is_it).map(|place| place.index)
    }

    /// Whether a record of that length may be accepted for a known agent, or for a new one.
    #[inline]
    pub(super) fn has_room(&self, known: Option<AgentIndex>, length: usize) -> bool {
        match known {
            Some(index) => {
                let more = length.saturating_sub(self.get(index).longest);
                more == 0 || self.bytes + more <= MOST_BYTES
            }
            None => self.len() < MAX_AGENTS && self.bytes + length <= MOST_BYTES,
        }
    }

    /// Notes a record of that length of the agent.
    #[inline]
    pub(super) fn note_length(&mut self, index: AgentIndex, length: usize) {
        let agent = self.get_mut(index);
        let more = length.saturating_sub(agent.longest);
        agent.longest += more;
        self.bytes += more;
    }

    /// Adds an agent who is not in the table; `None` when it is full.
    pub(super) fn add(&mut self, acd: u32, login_id: &str, at: Timestamp) -> Option<AgentIndex> {
        let index = match self.free.pop() {
            Some(index) => {
                self.agents[index as usize] = Agent::new(login_id, acd, at);
                index
            }
            None if self.agents.len() >= MAX_AGENTS => return None,
            None => {
                let index = AgentIndex::try_from(self.agents.len()).ok()?;
                self.agents.push(Agent::new(login_id, acd, at));
                index
            }
        };
        let hash = self.hasher.hash_one((acd, login_id));
        self.by_key.insert_unique(hash, Place { hash, index }, |place| place.hash);
        Some(index)
    }

    /// Forgets the agent with that number: nothing of them is left here. Whatever else knows the number must forget it first.
    pub(super) fn forget(&mut self, index: AgentIndex) {
        let Some(agent) = self.agents.get_mut(index as usize) else { return };
        self.logged_in -= usize::from(agent.is_logged_in());
        self.bytes -= agent.longest;
        let hash = self.hasher.hash_one((agent.acd, &*agent.login_id));
        *agent = Agent::nobody();
        if let Ok(entry) = self.by_key.find_entry(hash, |place| place.index == index) {
            entry.remove();
            self.free.push(index);
        }
    }

    /// Whether an agent has that number.
    #[inline]
    pub(super) fn has(&self, index: AgentIndex) -> bool {
        (index as usize) < self.agents.len()
    }

    /// Returns the agent with that number, which came from this table.
    #[inline]
    pub fn get(&self, index: AgentIndex) -> &Agent {
        &self.agents[index as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: AgentIndex) -> &mut Agent {
        &mut self.agents[index as usize]
    }

    /// Iterates over every agent with their number.
    pub fn iter(&self) -> impl Iterator<Item = (AgentIndex, &Agent)> {
        (0..).zip(&self.agents).filter(|(_, agent)| !agent.is_nobody())
    }

    /// Returns the numbers of all agents, including unused ones, of which nothing is known.
    pub fn indices(&self) -> impl Iterator<Item = AgentIndex> + use<> {
        0..AgentIndex::try_from(self.agents.len()).unwrap_or(AgentIndex::MAX)
    }

    /// Returns how many agents are known, logged in or not.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Returns how many are logged in.
    pub const fn logged_in(&self) -> usize {
        self.logged_in
    }

    pub(super) fn count_login(&mut self, was_logged_in: bool, is_logged_in: bool) {
        self.logged_in += usize::from(is_logged_in);
        self.logged_in -= usize::from(was_logged_in);
    }
}
