//! Connections come and go: which one speaks is decided by the [session](super::session), and the tracker is told.

use std::sync::Arc;

use crate::time::Timestamp;
use crate::tracker::event::{StatusEvent, StatusKind};
use crate::tracker::status::{FeedFigures, FeedStatus};
use crate::wire::decode::Identity;

use super::session::{Admission, ConnectionId, SpeakerClosed, SpeakerEnded, Successor};
use super::{CloseReason, Engine, Finding};

impl Engine {
    /// A connection has been accepted.
    pub fn open(&mut self, id: ConnectionId, peer: &Arc<str>, at: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        self.judge_from(at);
        match self.session.open(id, peer, at) {
            Admission::Speaks => self.speaks(id, peer, at, out),
            Admission::Waits => {}
            Admission::Refused => out.push(Finding::Close(id, CloseReason::TooManyWaiting)),
        }
    }

    /// A connection has ended.
    pub fn close(&mut self, id: ConnectionId, at: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        let Some(SpeakerClosed { ended, successor }) = self.session.closed(id, at) else { return };
        self.falls_silent(ended, at, out);
        self.seam.speaks(None, 0);
        if let Some(successor) = successor {
            self.follow(&successor, at, out);
        }
    }

    pub(super) fn speaks(&mut self, id: ConnectionId, peer: &Arc<str>, at: Timestamp, out: &mut Vec<Finding>) {
        self.tracker.connected(at, &mut self.outputs);
        self.seam.speaks(Some(id), self.tracker.seam().unwrap_or_default());
        self.drain(at, out);
        if self.session.is_reported() {
            self.status(StatusKind::Connected, Some(peer.clone()), at, out);
        }
    }

    pub(super) fn falls_silent(&mut self, ended: SpeakerEnded, at: Timestamp, out: &mut Vec<Finding>) {
        self.tracker.disconnected(at, &mut self.outputs);
        self.drain(at, out);
        if !ended.is_reported {
            out.push(Finding::Probe(ended.peer));
            return;
        }
        let event = StatusEvent { kind: StatusKind::Disconnected, at, affected: 0 };
        let figures = FeedFigures { peer: Some(ended.peer), ..self.figures() };
        out.push(Finding::Status(Box::new(FeedStatus { event, figures, no_valid_record: !ended.has_spoken })));
    }

    pub(super) fn follow(&mut self, successor: &Successor, at: Timestamp, out: &mut Vec<Finding>) {
        self.speaks(successor.id, &successor.peer, at, out);
        for bad in &successor.bad_records {
            let identity = bad.agent.as_ref().map(|(acd, login_id)| Identity { login_id, acd: *acd });
            self.tracker.invalid(identity, at, &mut self.outputs);
        }
        self.drain(at, out);
    }
}
