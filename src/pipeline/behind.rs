//! Goes on behind what Kafka has, where the store is older than that ([`crate::publish::comparison`]).

use crate::http::model::Update;
use crate::publish::comparison::Ahead;
use crate::publish::recovery::Sequences;
use crate::state::behind::Behind;
use crate::time::Timestamp;

use super::engine::{Engine, Finding};
use super::worker::Charge;

impl Charge {
    /// Tells what is known where it is asked for, and takes what was found.
    pub(super) fn compare(&mut self, at: Timestamp) {
        let comparison = self.publish.comparison();
        if comparison.asks() {
            comparison.tell(self.engine.sequences());
        }
        let found = comparison.take_found();
        if found.is_empty() {
            return;
        }
        if self.engine.go_on_behind(found, at, &mut self.findings) {
            let restored = self.engine.current();
            self.tell_model(Update::Restored(restored));
        }
        self.conclude(None);
    }
}

impl Engine {
    /// The last sequence of every agent.
    fn sequences(&self) -> Sequences {
        let agents = self.tracker().table().iter().filter(|(_, agent)| !agent.is_nobody());
        agents.map(|(_, agent)| (format!("{}/{}", agent.acd, agent.login_id).into(), agent.sequence)).collect()
    }

    /// Goes on behind what was published of these agents. True where somebody is known otherwise by that.
    pub(super) fn go_on_behind(&mut self, all: Vec<Ahead>, at: Timestamp, out: &mut Vec<Finding>) -> bool {
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
