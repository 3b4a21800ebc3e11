//! Goes on behind what Kafka has, where the store is older than that, and writes to the topic `current` what it lacks
//! ([`crate::publish::comparison`]).
//!
//! What is written again is the agent's last event: the very message, where it is remembered (`refresh_after`), else one with
//! its sequence, made from what is known of the agent, with an id of its own. In portions, so that events do not wait for it.

use std::collections::VecDeque;

use crate::http::model::Update;
use crate::publish::comparison::{Again, Ahead};
use crate::publish::message::{Batch, Message, Route};
use crate::publish::recovery::Sequences;
use crate::state::behind::Behind;
use crate::state::table::AgentIndex;
use crate::time::Timestamp;

use super::engine::{Engine, Finding};
use super::worker::Charge;

/// Agents who are written again at a time.
const PORTION: usize = 1_000;

/// Agents who are to be written again.
pub(super) type ToBeWritten = VecDeque<AgentIndex>;

impl Charge {
    /// Takes whom the topic lacks, and writes a portion of them.
    pub(super) fn write_again(&mut self) {
        let table = self.engine.tracker().table();
        match self.publish.comparison().take_again() {
            Again::Nobody => {}
            Again::Of(agents) => {
                self.to_be_written.extend(agents.iter().filter_map(|(acd, login_id)| table.find(*acd, login_id)));
            }
            Again::All => self.to_be_written = table.indices().collect(),
        }
        if self.to_be_written.is_empty() || !self.publish.lane().is_below_half() {
            return;
        }
        let portion: Vec<AgentIndex> = self.to_be_written.drain(..self.to_be_written.len().min(PORTION)).collect();
        let mut messages = Vec::new();
        for agent in &portion {
            if let Some(message) = self.last_events.message(*agent) {
                messages.push(message);
            } else if let Some((event, annotation)) = self.engine.current_of(*agent) {
                let message = self.encoder.event_message(&event, &annotation, None);
                let again = message.map(|message| Message { route: Route::Refresh, ..message });
                self.collect(&mut messages, again);
            }
        }
        if messages.is_empty() {
            return;
        }
        if let Err(refused) = self.publish.submit(Batch { messages, ..Batch::default() }) {
            tracing::debug!(integration = %self.id, %refused, "not written again yet");
            portion.into_iter().rev().for_each(|agent| self.to_be_written.push_front(agent));
        }
    }

    /// Tells what is known where it is asked for, also while the journal is full: nothing leaves it before.
    pub(super) fn answer_comparison(&self) {
        let comparison = self.publish.comparison();
        if comparison.asks() {
            comparison.tell(self.engine.sequences());
        }
    }

    /// Takes what was found where Kafka knew more.
    pub(super) fn compare(&mut self, at: Timestamp) {
        self.answer_comparison();
        let found = self.publish.comparison().take_found();
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
