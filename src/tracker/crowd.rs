//! What happens to many agents at once: everybody is missing, or the feed is lost. It is carried out a portion at a time, so
//! that a few bytes cannot occupy the worker for long.
//!
//! Unless [`Tracker::set_crowd`] says how many are a crowd, everything is done at once. A crowd's events belong where
//! [`Output::Crowd`] is among the outputs; they are made when its consumer asks for them. Nothing else may be passed to the
//! tracker before all of them are made.

use crate::time::Timestamp;

use super::Tracker;
use super::event::Output;
use super::table::AgentIndex;

/// What happens to them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// They are absent: the snapshot that proved it ended at that time, and whether it was the first that proves anything.
    Absent { at: Timestamp, is_first_proof: bool },
    /// Since that time it is unknown what they do.
    GivenUp { at: Timestamp },
}

/// Something that happens to many agents, as far as it is not carried out yet.
#[derive(Debug)]
pub(super) struct Crowd {
    /// How many are done at once.
    few: usize,
    /// The agents to whom it has not happened yet.
    agents: std::vec::IntoIter<AgentIndex>,
    fate: Option<Fate>,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { few: usize::MAX, agents: Vec::new().into_iter(), fate: None }
    }
}

impl Tracker {
    /// Sets how many are not yet a crowd.
    pub const fn set_crowd(&mut self, few: usize) {
        self.crowd.few = few;
    }

    /// Makes this happen to all of them, in order.
    pub(super) fn happen(&mut self, fate: Fate, agents: Vec<AgentIndex>, out: &mut Vec<Output>) {
        self.carry_out(usize::MAX, out);
        let are_few = agents.len() <= self.crowd.few;
        self.crowd.agents = agents.into_iter();
        self.crowd.fate = Some(fate);
        if are_few {
            self.carry_out(usize::MAX, out);
        } else {
            out.push(Output::Crowd);
        }
    }

    /// Whether there is somebody left to whom something has to happen before anything else does.
    pub fn has_crowd(&self) -> bool {
        self.crowd.agents.len() > 0
    }

    /// Carries it out for at most so many.
    pub fn carry_out(&mut self, most: usize, out: &mut Vec<Output>) {
        let Some(fate) = self.crowd.fate else { return };
        for _ in 0..most {
            let Some(index) = self.crowd.agents.next() else { return };
            match fate {
                Fate::Absent { at, is_first_proof } => self.log_out_absent(index, is_first_proof, at, out),
                Fate::GivenUp { at } => self.give_up_agent(index, at, out),
            }
        }
    }
}
