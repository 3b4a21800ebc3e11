//! Goes on behind what was published of agents, where what was restored is older than that.

use crate::contract::recovered::Sequences;
use crate::contract::saved::StoredAgent;
use crate::time::Timestamp;
use crate::tracker::behind::Behind;

use super::{Engine, Finding};

/// An agent of whom Kafka knows more than the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Ahead {
    /// As the topic `current` has them, with the highest sequence that it has of them.
    pub agent: StoredAgent,
    /// Events of theirs wait in the journal: the topic will end with those.
    pub waits: bool,
    /// The sequence that the store had.
    pub known: u64,
}

impl Engine {
    /// The last sequence of every agent.
    pub(crate) fn sequences(&self) -> Sequences {
        let agents = self.tracker().table().iter().filter(|(_, agent)| !agent.is_nobody());
        agents.map(|(_, agent)| (format!("{}/{}", agent.acd, agent.login_id).into(), agent.sequence)).collect()
    }

    /// Goes on behind what was published of these agents. True where somebody is known otherwise by that.
    pub(crate) fn go_on_behind(&mut self, all: Vec<Ahead>, at: Timestamp, out: &mut Vec<Finding>) -> bool {
        let mut are_known_otherwise = false;
        for Ahead { agent: theirs, waits, known } in all {
            let (acd, login_id) = (theirs.agent.acd, theirs.agent.login_id.clone());
            let sequence = self.tracker().table().find(acd, &login_id).map(|index| self.sequence(index));
            let follows = waits || sequence.is_some_and(|sequence| sequence > known);
            let published = theirs.published;
            match self.tracker_mut().go_on_behind(theirs.agent, follows, at) {
                Behind::Numbered => {}
                Behind::Taken(index) => {
                    self.published_elsewhere(index, published);
                    are_known_otherwise = true;
                }
                Behind::Told(event) => {
                    self.published_elsewhere(event.agent, published);
                    self.publish(event, out);
                }
            }
        }
        if are_known_otherwise {
            self.index_names();
            self.remap_outdated(at, out);
        }
        are_known_otherwise
    }
}
