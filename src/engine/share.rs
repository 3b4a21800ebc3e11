//! Turns the tracker's outputs into findings, all at once or a share at a time.
//!
//! Most calls find a handful. What happens to a crowd, and what a new mapping says of everybody, is found in shares: the rest
//! waits here, in order, and must be found before anything else is passed to the engine.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;
use crate::tracker::event::{Output, StatusEvent, StatusKind};
use crate::tracker::status::{FeedFigures, FeedStatus};

use super::{Engine, Finding};

/// How much of a batch may be done before others have their turn.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// At most so long.
    pub time: Duration,
    /// At most so many findings.
    pub findings: usize,
}

impl Engine {
    /// From now on no call finds more than this much of what happens to a crowd, or of what a new mapping says;
    /// [`Self::has_more`] says whether there is more.
    pub const fn set_most_findings(&mut self, most: usize) {
        self.most_findings = most;
        self.tracker.set_crowd(most);
    }

    /// Whether something has happened that is not found yet. It comes before anything else that is passed to the engine.
    pub fn has_more(&self) -> bool {
        !self.waiting.is_empty() || !self.affected.is_empty()
    }

    /// Finds more of it.
    pub fn go_on(&mut self, out: &mut Vec<Finding>) {
        self.take_waiting(self.most_findings.saturating_add(out.len()), self.most_findings, out);
    }

    /// Finds all of it.
    pub fn settle(&mut self, out: &mut Vec<Finding>) {
        self.take_waiting(usize::MAX, usize::MAX, out);
    }

    /// Passes on what the tracker has reported.
    pub(super) fn drain(&mut self, at: Timestamp, out: &mut Vec<Finding>) {
        self.drain_at_most(usize::MAX, at, out);
    }

    /// Does the same for as much as one call may find.
    pub(super) fn drain_share(&mut self, at: Timestamp, out: &mut Vec<Finding>) {
        self.drain_at_most(self.most_findings, at, out);
    }

    /// Names come first: agents who share one are mapped to nobody from this record on.
    fn drain_at_most(&mut self, most: usize, at: Timestamp, out: &mut Vec<Finding>) {
        let renamed = self.tracker.take_renamed();
        if self.outputs.is_empty() && renamed.is_empty() {
            return;
        }
        let begin = self.clock.raw();
        for index in renamed {
            let agent = self.tracker.table().get(index);
            if let Some(name) = &agent.ride_along.name {
                self.affected.extend(self.annotator.set_name(index, &agent.login_id, name));
            }
        }
        self.waiting.extend(self.outputs.drain(..));
        self.waiting_since = at;
        self.take_waiting(most, most, out);
        self.stages.map += self.clock.delta(begin, self.clock.raw());
    }

    /// Stops once `out` has `most` findings; asks the mapping about `most_asked` agents at most.
    fn take_waiting(&mut self, most: usize, most_asked: usize, out: &mut Vec<Finding>) {
        while let Some(output) = self.waiting.pop_front() {
            match output {
                Output::Agent(event) => self.publish(event, out),
                Output::Status(event) => {
                    let peer = self.session.peer().cloned();
                    self.push_status(event, peer, out);
                }
                Output::Snapshot(snapshot) => {
                    if snapshot.complete {
                        self.totals.complete_snapshots += 1;
                    } else {
                        self.totals.incomplete_snapshots += 1;
                    }
                    out.push(Finding::Snapshot(snapshot));
                }
                Output::Crowd => {
                    self.tracker.carry_out(most.saturating_sub(out.len()), &mut self.outputs);
                    self.publish_outputs(out);
                    if self.tracker.has_crowd() {
                        self.waiting.push_front(Output::Crowd);
                        return self.publish_those_behind(out);
                    }
                }
            }
        }
        for _ in 0..most_asked {
            if out.len() >= most {
                break;
            }
            let Some(index) = self.affected.pop_front() else { break };
            self.remap(index, self.waiting_since, out);
        }
    }

    fn publish_outputs(&mut self, out: &mut Vec<Finding>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            if let Output::Agent(event) = output {
                self.publish(event, out);
            }
        }
        self.outputs = outputs;
    }

    /// Publishes the events after the crowd's that the table already reflects: they must not wait for it.
    fn publish_those_behind(&mut self, out: &mut Vec<Finding>) {
        let (events, others) =
            std::mem::take(&mut self.waiting).into_iter().partition(|it| matches!(it, Output::Agent(_)));
        self.waiting = others;
        self.outputs = Vec::from(events);
        self.publish_outputs(out);
    }

    pub(super) fn status(&mut self, kind: StatusKind, peer: Option<Arc<str>>, at: Timestamp, out: &mut Vec<Finding>) {
        self.push_status(StatusEvent { kind, at, affected: 0 }, peer, out);
    }

    fn push_status(&self, event: StatusEvent, peer: Option<Arc<str>>, out: &mut Vec<Finding>) {
        let figures = FeedFigures { peer, ..self.figures() };
        out.push(Finding::Status(Box::new(FeedStatus { event, figures, no_valid_record: false })));
    }
}
