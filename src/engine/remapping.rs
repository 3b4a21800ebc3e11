//! What the mapping says about agents: for a new event, for everybody when there is another mapping, and for those affected
//! when somebody is forgotten.

use std::sync::Arc;

use crate::mapping::annotate::Annotation;
use crate::mapping::tables::MappingTables;
use crate::time::Timestamp;
use crate::tracker::event::{AgentEvent, Cause};
use crate::tracker::table::AgentIndex;

use super::{Engine, Finding};

impl Engine {
    /// Takes another version of the mapping, and reports the logged-in agents whom it changes.
    pub fn set_mapping(&mut self, tables: Arc<MappingTables>, at: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        self.annotator.set_tables(tables);
        self.index_names();
        self.remap_outdated(at, out);
    }

    pub(super) fn index_names(&mut self) {
        let table = self.tracker.table();
        let tables = Arc::clone(self.annotator.tables());
        let names: Vec<_> = table
            .iter()
            .filter_map(|(index, agent)| {
                let name = tables.name(&agent.login_id, agent.ride_along.name.as_ref())?;
                Some((index, agent.login_id.clone(), name.clone()))
            })
            .collect();
        for (index, login_id, name) in names {
            self.annotator.set_name(index, &login_id, &name);
        }
    }

    /// Reports the logged-in agents for whom the mapping in force differs from what was published.
    pub fn remap_outdated(&mut self, at: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        for index in std::mem::take(&mut self.owed) {
            let agent = self.tracker.table().get(index);
            if agent.is_logged_in() && agent.sequence > 0 {
                self.publish_remapped(index, at, out);
            }
        }
        self.judge_all(at);
        self.go_on(out);
    }

    /// Asks the mapping about everybody, as it is at that moment, and notes when it says something else by itself.
    pub(super) fn judge_all(&mut self, at: Timestamp) {
        self.note_mapping_change(at);
        self.waiting_since = at;
        self.affected.extend(self.tracker.table().indices());
    }

    /// The mapping is judged from that moment on, unless it was judged before.
    pub(super) fn judge_from(&mut self, at: Timestamp) {
        if self.mapping_judged_at.is_none() {
            self.note_mapping_change(at);
        }
    }

    /// Notes when a row of the mapping begins to count or ceases to, next after that moment.
    fn note_mapping_change(&mut self, at: Timestamp) {
        self.mapping_changes_at = self.annotator.tables().scoped.next_change(at);
        self.mapping_judged_at = Some(at);
    }

    pub(super) fn remap(&mut self, index: AgentIndex, at: Timestamp, out: &mut Vec<Finding>) {
        let agent = self.tracker.table().get(index);
        if !agent.is_logged_in() || !self.annotator.is_outdated(agent, index, at) {
            return;
        }
        self.publish_remapped(index, at, out);
    }

    fn publish_remapped(&mut self, index: AgentIndex, at: Timestamp, out: &mut Vec<Finding>) {
        if let Some(event) = self.tracker.remapped(index, at) {
            self.publish(Box::new(event), out);
        }
    }

    /// Forgets an agent, of whom nothing more is published. Others who are mapped differently without them are reported.
    pub fn forget(&mut self, index: AgentIndex, at: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        let affected = self.annotator.forget(index);
        self.owed.retain(|owed| *owed != index);
        self.tracker.forget(index);
        for other in affected {
            self.remap(other, at, out);
        }
    }

    /// Forgets somebody of whom only invalid records came.
    pub fn forget_stranger(&mut self, acd: u32, login_id: &str) {
        debug_assert!(!self.has_more());
        self.tracker.forget_stranger(acd, login_id);
    }

    /// Returns everybody of whom something was published, as they are remembered: for readers that were not there then. The
    /// events are no news and have no id of their own; `previous` is not remembered.
    pub fn current(&mut self) -> Vec<(Box<AgentEvent>, Box<Annotation>)> {
        let indices: Vec<AgentIndex> = self.tracker.table().indices().collect();
        indices.into_iter().filter_map(|index| self.current_of(index)).collect()
    }

    /// Returns the same for one agent.
    pub(crate) fn current_of(&mut self, index: AgentIndex) -> Option<(Box<AgentEvent>, Box<Annotation>)> {
        let agent = self.tracker.table().get(index);
        let known = agent.known.clone().filter(|_| agent.sequence > 0)?;
        let mut event = agent.event(index, known, Cause::Observed, agent.last_seen);
        if event.ride_along.name.is_none() {
            event.ride_along.name = self.annotator.tables().name(&event.login_id, None).cloned();
        }
        let published = self.annotator.published(index).cloned();
        let annotation = self.annotator.annotate(&event);
        self.annotator.restore(index, published);
        Some((Box::new(event), Box::new(annotation)))
    }

    /// Names an agent whom the feed does not name, by the list of names. Those who share it are asked about.
    fn name(&mut self, event: &mut AgentEvent) {
        if event.ride_along.name.is_some() || self.annotator.tables().names.is_empty() {
            return;
        }
        event.ride_along.name = self.annotator.tables().name(&event.login_id, None).cloned();
        if let Some(name) = &event.ride_along.name {
            self.affected.extend(self.annotator.set_name(event.agent, &event.login_id, name));
        }
    }

    pub(super) fn publish(&mut self, mut event: Box<AgentEvent>, out: &mut Vec<Finding>) {
        self.name(&mut event);
        let annotation = Box::new(self.annotator.annotate(&event));
        // An event that has waited is mapped as of its record. What counts by now is asked for behind it.
        let is_older = self.mapping_judged_at.is_some_and(|judged_at| event.observed_at < judged_at);
        if is_older && !self.annotator.tables().scoped.is_empty() {
            self.affected.push_back(event.agent);
        }
        self.totals.events += 1;
        out.push(Finding::Event(event, annotation));
    }
}
