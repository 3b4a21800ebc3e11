//! Continues after what was published of agents, where the restored state is older than that.

use crate::contract::recovered::Sequences;
use crate::contract::saved::StoredAgent;
use crate::time::Timestamp;
use crate::tracker::behind::Behind;

use super::{Engine, Finding};

/// An agent of whom Kafka knows more than the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Ahead {
    /// Their state on the topic `current`, with the highest sequence there.
    pub agent: StoredAgent,
    /// Events of theirs wait in the journal: they will be the last on the topic.
    pub waits: bool,
    /// The sequence that the store had.
    pub known: u64,
}

impl Engine {
    /// Returns the last sequence of every agent.
    pub(crate) fn sequences(&self) -> Sequences {
        let agents = self.tracker().table().iter().filter(|(_, agent)| !agent.is_nobody());
        agents.map(|(_, agent)| (format!("{}/{}", agent.acd, agent.login_id).into(), agent.sequence)).collect()
    }

    /// Continues after what was published of these agents. True where that changed what is known of somebody.
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
