//! An agent of whom somebody else has published more: a copy of the memory that was restored here went on elsewhere.
//!
//! Numbers go on behind the other's. Whoever was not seen here since is taken as the other has left them: what differs then
//! is news after a gap, as after a restart. Of whom something follows anyway nothing more is told. Of anybody else the last
//! word is wrong until they change again: it is put right by an event.

use crate::time::Timestamp;

use super::agent::Known;
use super::event::{AgentEvent, Cause, Evidence, Previous};
use super::memory::AgentMemory;
use super::since::Quality;
use super::table::AgentIndex;
use super::tracker::Tracker;

/// What became of an agent of whom more was published elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub enum Behind {
    /// They are as the other has left them.
    Taken(AgentIndex),
    /// Only the numbers go on behind the other's.
    Numbered,
    /// What is known here is told.
    Told(Box<AgentEvent>),
}

impl Tracker {
    /// Goes on behind what was published elsewhere. `follows`: events of ours are on their way to where the other's are.
    pub fn go_on_behind(&mut self, theirs: AgentMemory, follows: bool, at: Timestamp) -> Behind {
        let Some(index) = self.table.find(theirs.acd, &theirs.login_id) else {
            return self.take_theirs(theirs);
        };
        if follows {
            self.number_behind(index, theirs.sequence);
            return Behind::Numbered;
        }
        if self.is_known_here(index) {
            return self.put_right(index, theirs, at);
        }
        let sequence = theirs.sequence.max(self.table.get(index).sequence);
        self.take_theirs(AgentMemory { sequence, ..theirs })
    }

    fn is_known_here(&self, index: AgentIndex) -> bool {
        let agent = self.table.get(index);
        agent.seen_in > 0 && agent.known.is_some()
    }

    fn take_theirs(&mut self, theirs: AgentMemory) -> Behind {
        let (acd, login_id) = (theirs.acd, theirs.login_id.clone());
        let feed = self.feed_memory();
        self.restore_agent(theirs, &feed);
        let Some(index) = self.table.find(acd, &login_id) else { return Behind::Numbered };
        self.mark_changed(index);
        Behind::Taken(index)
    }

    fn number_behind(&mut self, index: AgentIndex, sequence: u64) {
        let agent = self.table.get_mut(index);
        agent.sequence = agent.sequence.max(sequence);
        self.mark_changed(index);
    }

    fn put_right(&mut self, index: AgentIndex, theirs: AgentMemory, at: Timestamp) -> Behind {
        self.number_behind(index, theirs.sequence);
        let agent = self.table.get_mut(index);
        let (Some(Known { state, since, quality }), Some(before)) = (agent.known.clone(), theirs.known) else {
            return Behind::Numbered;
        };
        let is_logged_in = agent.is_logged_in();
        if state.is_same(&before.state) {
            return Behind::Numbered;
        }
        agent.sequence += 1;
        let cause = match (is_logged_in, before.is_logged_in()) {
            (false, _) => Cause::LoggedOut,
            (true, false) => Cause::LoggedIn,
            (true, true) => Cause::Changed,
        };
        let is_moved = since < before.since;
        let known = Known {
            state,
            since: since.max(before.since),
            quality: if is_moved { Quality::AfterGap } else { quality },
        };
        Behind::Told(Box::new(AgentEvent {
            evidence: (!is_logged_in).then_some(Evidence::Absence),
            previous: Some(Previous { state: before.state, since: before.since, last_seen: theirs.last_seen }),
            after_gap: true,
            ..agent.event(index, known, cause, at)
        }))
    }
}
