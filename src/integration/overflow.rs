//! What a worker keeps while the journal is full: each agent's latest state.
//!
//! The feed is still read, since CMS keeps no snapshots for us; what cannot be written is merged per agent into one
//! transition from the last state that was written to the latest. When there is room again these are published with
//! `afterGap`, and the period is announced as a gap. Sequences keep counting, so that the hole in an agent's sequences is the
//! number of their transitions that were merged. Bounded by the number of agents.

use std::collections::{BTreeMap, HashMap};

use crate::mapping::annotate::Annotation;
use crate::time::Timestamp;
use crate::tracker::event::{AgentEvent, Cause};
use crate::tracker::since::Quality;
use crate::tracker::table::AgentIndex;

type Annotated = (Box<AgentEvent>, Box<Annotation>);

/// Each agent's latest state while the journal is full.
#[derive(Debug)]
pub(super) struct Overflow {
    /// When the first message found no room.
    pub(super) since: Timestamp,
    /// In the order in which they were observed.
    latest: BTreeMap<(Timestamp, AgentIndex), Annotated>,
    observed: HashMap<AgentIndex, Timestamp>,
    /// How many of them have been written since there was room again.
    pub(super) written: usize,
    /// The previous share was accepted and more is kept: the next one may follow.
    pub(super) goes_on: bool,
}

impl Overflow {
    /// Creates one with nothing kept yet.
    pub(super) fn new(since: Timestamp) -> Self {
        Self { since, latest: BTreeMap::new(), observed: HashMap::new(), written: 0, goes_on: false }
    }

    /// Keeps an event; returns how many events are not published on their own because of it.
    pub(super) fn keep(&mut self, mut event: Box<AgentEvent>, mut annotation: Box<Annotation>) -> usize {
        let agent = event.agent;
        event.after_gap = true;
        let Some((earlier, mapped)) = self.remove(agent) else {
            self.insert(event, annotation);
            return 0;
        };
        event.cause = match &earlier.previous {
            None if event.state.mode.is_logged_out() => Cause::LoggedOut,
            None => earlier.cause,
            Some(previous) => match (previous.state.mode.is_logged_out(), event.state.mode.is_logged_out()) {
                // They came and went: what was written of them still holds.
                (true, true) => return 2,
                (true, false) => Cause::LoggedIn,
                (false, true) => Cause::LoggedOut,
                (false, false) if !previous.state.is_same(&event.state) => Cause::Changed,
                (false, false) if event.cause == Cause::Remapped && earlier.cause == Cause::Remapped => Cause::Remapped,
                (false, false) => Cause::Reentered,
            },
        };
        event.previous.clone_from(&earlier.previous);
        if event.quality == Quality::WithinRefresh {
            event.quality = Quality::AfterGap;
        }
        if event.cause != Cause::LoggedOut {
            event.evidence = None;
        }
        annotation.previous_external_activity = mapped.previous_external_activity;
        annotation.previous_activity = mapped.previous_activity;
        self.insert(event, annotation);
        1
    }

    fn insert(&mut self, event: Box<AgentEvent>, annotation: Box<Annotation>) {
        self.observed.insert(event.agent, event.observed_at);
        self.latest.insert((event.observed_at, event.agent), (event, annotation));
    }

    fn remove(&mut self, agent: AgentIndex) -> Option<Annotated> {
        let observed = self.observed.remove(&agent)?;
        self.latest.remove(&(observed, agent))
    }

    /// An agent is forgotten: what is kept of them is never published. True if there was something.
    pub(super) fn forget(&mut self, agent: AgentIndex) -> bool {
        self.remove(agent).is_some()
    }

    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.latest.is_empty()
    }

    /// Takes at most so many, those that were observed first.
    pub(super) fn take(&mut self, at_most: usize) -> Vec<Annotated> {
        let first: Vec<Annotated> =
            std::iter::from_fn(|| self.latest.pop_first()).take(at_most).map(|(_, kept)| kept).collect();
        for (event, _) in &first {
            self.observed.remove(&event.agent);
        }
        first
    }
}
