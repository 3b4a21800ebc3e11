//! Bytes of a connection: a share of them at a time, line by line, to the tracker or to the dead letters.
//!
//! Only the connection that speaks says something about agents. What others send is looked at until one of them sends a valid
//! record, and takes over.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;
use crate::tracker::NoRoom;
use crate::tracker::event::StatusKind;
use crate::wire::framing::{Frame, Piece, Run};
use crate::wire::lines::LineKind;
use crate::wire::plan::Plan;
use crate::wire::reason::Reason;

use super::session::ConnectionId;
use super::{CloseReason, DeadLetter, Engine, Finding, Share};

/// Records between two looks at the clock.
const LOOK_EVERY: u32 = 64;

impl Engine {
    /// Takes bytes of a connection, cut by the framing of `plan`.
    pub fn receive(
        &mut self,
        id: ConnectionId,
        plan: &Arc<Plan>,
        piece: &Piece,
        at: Timestamp,
        out: &mut Vec<Finding>,
    ) {
        let all = Share { time: Duration::MAX, findings: usize::MAX };
        let mut rest = self.receive_share(id, plan, piece, at, &all, out);
        while let Some(run) = rest {
            rest = self.receive_share(id, plan, &Piece::Records(run), at, &all, out);
        }
    }

    /// Does the same, until a share is used up. Returns what is left, which comes next.
    pub fn receive_share(
        &mut self,
        id: ConnectionId,
        plan: &Arc<Plan>,
        piece: &Piece,
        at: Timestamp,
        share: &Share,
        out: &mut Vec<Finding>,
    ) -> Option<Run> {
        if !self.session.speaks(id) && !self.session.waits(id) {
            // This was on its way when the connection was closed; the plan that it was framed with does not count either.
            return None;
        }
        self.settle(out);
        self.set_plan(plan, at, out);
        let plan = Arc::clone(&self.plan);
        if self.session.speaks(id) {
            let (Piece::Records(run) | Piece::TooLong(run)) = piece;
            self.seam.bytes(run.offset);
        }
        match piece {
            Piece::Records(run) => {
                let begin = self.clock.raw();
                let mut records = plan.ends().records(run);
                let mut count = 0_u32;
                while let Some(frame) = records.next() {
                    self.frame(id, &plan, frame, at, out);
                    count = count.wrapping_add(1);
                    let is_late = || self.clock.delta(begin, self.clock.raw()) >= share.time;
                    if out.len() >= share.findings || self.has_more() || (count.is_multiple_of(LOOK_EVERY) && is_late())
                    {
                        return records.rest_of(run);
                    }
                }
            }
            Piece::TooLong(run) => {
                let end = run.offset + run.bytes.len() as u64;
                let frame = Frame { bytes: &run.bytes, offset: run.offset, end, too_long: true };
                self.frame(id, &plan, frame, at, out);
            }
        }
        None
    }

    /// Takes what a connection left of a record without an end.
    pub fn torn(&mut self, id: ConnectionId, run: &Run, at: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        let plan = Arc::clone(&self.plan);
        let most = run.bytes.len().min(plan.ends().max_record());
        let end = run.offset + run.bytes.len() as u64;
        let frame = Frame { bytes: &run.bytes[..most], offset: run.offset, end, too_long: false };
        if self.session.speaks(id) || self.session.was_replaced(id) {
            self.totals.invalid += 1;
            self.tracker.half_record(self.decoder.identify(&plan, frame.bytes, false));
            out.push(Finding::DeadLetter(DeadLetter::new(frame, Reason::Truncated, at)));
        } else {
            self.invalid(id, &plan, frame, Reason::Truncated, at, out);
        }
    }

    #[inline]
    fn frame(&mut self, id: ConnectionId, plan: &Plan, frame: Frame<'_>, at: Timestamp, out: &mut Vec<Finding>) {
        if frame.too_long {
            self.invalid(id, plan, frame, Reason::TooLong, at, out);
            return;
        }
        let speaks = self.session.speaks(id);
        match plan.lines().classify(frame.bytes) {
            LineKind::Skipped => {
                self.totals.skipped += 1;
                if speaks {
                    self.tracker.skipped(at, &mut self.outputs);
                    self.drain(at, out);
                }
            }
            LineKind::Marker if speaks => {
                self.totals.markers += 1;
                self.report_speaker(at, out);
                self.seam.marker(frame.end);
                self.tracker.marker(at, &mut self.outputs);
                self.drain_share(at, out);
            }
            LineKind::Marker => {}
            LineKind::Record if speaks && self.session.has_spoken() => self.record(id, plan, frame, at, out),
            LineKind::Record if speaks => self.record_of_newcomer(id, plan, frame, at, out),
            LineKind::Record if self.session.waits(id) => self.record_of_waiting(id, plan, frame, at, out),
            LineKind::Record => {}
        }
    }

    #[inline]
    fn record(&mut self, id: ConnectionId, plan: &Plan, frame: Frame<'_>, at: Timestamp, out: &mut Vec<Finding>) {
        if !plan.merges_rows() && !self.decodes_everything && self.is_same(plan, frame.bytes, at) {
            self.note_record(frame.end);
            if !self.outputs.is_empty() {
                self.drain_share(at, out);
            }
            return;
        }
        let reason = match self.decoder.decode(plan, frame.bytes, at) {
            Ok(decoded) => {
                let begin = self.clock.raw();
                let taken = self.tracker.record(&decoded, frame.bytes, at, &mut self.outputs);
                self.stages.track += self.clock.delta(begin, self.clock.raw());
                taken.err().map(|no_room| match no_room {
                    NoRoom::Table => Reason::TooManyAgents,
                    NoRoom::Rows => Reason::TooManySkills,
                })
            }
            Err(reason) => Some(reason),
        };
        match reason {
            None => {
                self.note_record(frame.end);
                self.drain_share(at, out);
            }
            Some(reason) => self.invalid(id, plan, frame, reason, at, out),
        }
    }

    /// Notes where a valid record ends.
    #[inline]
    const fn note_record(&mut self, end: u64) {
        match self.tracker.seam() {
            Some(snapshot) => self.seam.record(snapshot, end),
            None => self.seam.lone_record(end),
        }
    }

    /// Takes a record that says nothing new, without decoding it; true if it was one.
    #[inline]
    fn is_same(&mut self, plan: &Plan, frame: &[u8], at: Timestamp) -> bool {
        self.tracker.same_as_expected(plan, frame, at, &mut self.outputs)
            || self
                .decoder
                .identify(plan, frame, true)
                .is_some_and(|identity| self.tracker.same_record(identity, plan, frame, at, &mut self.outputs))
    }

    /// Reports that there is a feed before anything else of it is reported.
    fn report_speaker(&mut self, at: Timestamp, out: &mut Vec<Finding>) {
        if self.session.take_report(at) {
            self.status(StatusKind::Connected, self.session.peer().cloned(), at, out);
        }
    }

    /// Takes what the speaking connection sends up to and including its first valid record.
    fn record_of_newcomer(
        &mut self,
        id: ConnectionId,
        plan: &Plan,
        frame: Frame<'_>,
        at: Timestamp,
        out: &mut Vec<Finding>,
    ) {
        if !self.is_valid(id, plan, frame, at, out) {
            return;
        }
        self.report_speaker(at, out);
        self.session.note_spoken();
        self.record(id, plan, frame, at, out);
    }

    /// The first valid record of a waiting connection takes over.
    fn record_of_waiting(
        &mut self,
        id: ConnectionId,
        plan: &Plan,
        frame: Frame<'_>,
        at: Timestamp,
        out: &mut Vec<Finding>,
    ) {
        if !self.is_valid(id, plan, frame, at, out) {
            return;
        }
        let Some(takeover) = self.session.take_over(id, at) else { return };
        if let Some(ended) = takeover.replaced {
            let replaced = ended.id;
            self.falls_silent(ended, at, out);
            out.push(Finding::Close(replaced, CloseReason::Replaced));
        }
        self.follow(&takeover.successor, at, out);
        if takeover.is_flapping {
            self.status(StatusKind::Flapping, Some(takeover.successor.peer), at, out);
        }
        self.record(id, plan, frame, at, out);
    }

    /// Whether a record can be decoded; where it cannot, that is counted.
    fn is_valid(
        &mut self,
        id: ConnectionId,
        plan: &Plan,
        frame: Frame<'_>,
        at: Timestamp,
        out: &mut Vec<Finding>,
    ) -> bool {
        let decoded = self.decoder.decode(plan, frame.bytes, at).err();
        decoded.inspect(|reason| self.invalid(id, plan, frame, *reason, at, out)).is_none()
    }

    fn invalid(
        &mut self,
        id: ConnectionId,
        plan: &Plan,
        frame: Frame<'_>,
        reason: Reason,
        at: Timestamp,
        out: &mut Vec<Finding>,
    ) {
        let speaks = self.session.speaks(id);
        if !speaks && !self.session.waits(id) {
            return;
        }
        self.totals.invalid += 1;
        let identity = self.decoder.identify(plan, frame.bytes, false);
        if speaks {
            self.tracker.invalid(identity, at, &mut self.outputs);
            self.drain(at, out);
        } else if self.session.bad_record(id, identity) {
            out.push(Finding::Close(id, CloseReason::NoValidRecord));
        }
        out.push(Finding::DeadLetter(DeadLetter::new(frame, reason, at)));
    }
}
