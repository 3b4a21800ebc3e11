//! What the engine has found and nobody has concluded yet, taken all at once or a share at a time.
//!
//! The rule: all events of an agent are handed over together. With an agent's event what the engine has of them now is
//! written, which is what their last event says.

use std::collections::HashSet;
use std::time::Instant;

use crate::engine::{Engine, Finding};
use crate::tracker::table::AgentIndex;

use super::pace::SHARE_FINDINGS;

/// What was found, or still has to be found, and is not concluded yet.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// When the bytes were read from which it was found.
    read_at: Option<Instant>,
}

/// Findings that wait to be concluded.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    /// What was left of them when the turn was over, each of another agent, and when it was read.
    rest: Option<Rest>,
}

/// Findings that are concluded together.
#[derive(Debug)]
pub(super) struct Portion {
    pub(super) findings: Vec<Finding>,
    /// When the bytes were read from which they were found.
    pub(super) read_at: Option<Instant>,
}

impl Findings {
    /// Returns where the engine puts what it finds.
    pub(super) const fn found_mut(&mut self) -> &mut Vec<Finding> {
        &mut self.found
    }

    /// Returns what was found and is not taken.
    pub(super) fn found(&self) -> &[Finding] {
        &self.found
    }

    /// Whether something was left when a turn was over. It comes before anything else.
    pub(super) const fn has_rest(&self) -> bool {
        self.rest.is_some()
    }

    /// Takes everything, and what the engine still has to find.
    pub(super) fn take_all(&mut self, engine: &mut Engine, read_at: Option<Instant>) -> Portion {
        let read_at = self.rest.take().map_or(read_at, |rest| rest.read_at);
        engine.settle(&mut self.found);
        Portion { findings: std::mem::take(&mut self.found), read_at }
    }

    /// Takes a share: the end of one snapshot may log out everybody.
    pub(super) fn take_share(&mut self, engine: &mut Engine, read_at: Option<Instant>) -> Portion {
        let before = self.rest.take();
        let read_at = before.map_or(read_at, |rest| rest.read_at);
        let are_new = before.is_none() || self.found.is_empty();
        if self.found.is_empty() {
            engine.go_on(&mut self.found);
        }
        let are_many = self.found.len() > SHARE_FINDINGS;
        let together = if are_new && are_many { together(self.found.iter().map(agent_of)) } else { 0 };
        let share = together.max(SHARE_FINDINGS).min(self.found.len());
        let left = self.found.split_off(share);
        let findings = std::mem::replace(&mut self.found, left);
        let is_left = !self.found.is_empty() || engine.has_more();
        self.rest = is_left.then_some(Rest { read_at });
        Portion { findings, read_at }
    }
}

/// Returns how many findings have to be handed over together, so that none of the others is an event of an agent among them.
/// `agents` has the agent of each finding that is an event.
fn together(agents: impl Iterator<Item = Option<AgentIndex>>) -> usize {
    let mut seen = HashSet::new();
    let is_again = |(_, agent): &(usize, Option<AgentIndex>)| agent.is_some_and(|agent| !seen.insert(agent));
    agents.enumerate().filter(is_again).last().map_or(0, |(index, _)| index + 1)
}

const fn agent_of(finding: &Finding) -> Option<AgentIndex> {
    match finding {
        Finding::Event(event, _) => Some(event.agent),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_events_of_an_agent_are_handed_over_together() {
        let cases: [(&[Option<AgentIndex>], usize); 5] = [
            (&[], 0),
            (&[Some(1), None, Some(2), None], 0),
            (&[Some(1), Some(2), Some(1), Some(3)], 3),
            (&[Some(1), Some(2), Some(3), None, Some(2), Some(4), Some(5)], 5),
            (&[Some(1), Some(1)], 2),
        ];
        for (agents, expected) in cases {
            assert_eq!(together(agents.iter().copied()), expected, "{agents:?}");
        }
    }
}
