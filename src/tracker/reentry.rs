//! States that were left and entered again between two snapshots (rule 6).
//!
//! AVAIL, a short call, AVAIL: a snapshot feed shows that as a start that is later than before. Two things make starts later
//! without a re-entry: a late feed, and a listener that stood still. What all agents have in common is taken for the first
//! (the delay); and no state is believed to have begun before it was last seen.

use std::time::Duration;

use crate::time::Timestamp;

use super::Tracker;
use super::agent::{Agent, KnownState, OpenRecord, Proven};
use super::event::{Cause, Output};
use super::settings::FeedMode;
use super::since::{self, BeginningContext, Quality, RecordTime, StateBeginning};
use super::snapshot::Snapshot;
use super::table::AgentIndex;
use super::transition::{SeenTime, StartText, Transition, inferred};

/// A delay of the feed shows in the starts of at least so many agents whose state continues.
const DELAY_AGENTS: usize = 3;

/// What is needed to judge the records of a snapshot.
#[derive(Clone, Copy, Debug)]
struct Judge {
    /// How late the feed is.
    delay: Duration,
    /// The snapshot came when it was expected.
    is_in_time: bool,
}

impl Tracker {
    pub(super) fn publish_reentries(&mut self, snapshot: &Snapshot, out: &mut Vec<Output>) {
        if !self.layout.computes_start() {
            return;
        }
        // No state that continues looks later by less than the feed is late.
        let least = self.least_lateness(snapshot);
        self.rhythm.note_lateness(snapshot, least);
        let judge = Judge { delay: self.rhythm.delay(), is_in_time: self.rhythm.is_in_time(snapshot) };
        for index in &snapshot.members {
            self.reenter(*index, &judge, out);
        }
    }

    /// Does the same at once, in mode `event`: there a feed has no delay, and no record is expected.
    pub(super) fn reenter_at_once(&mut self, index: AgentIndex, out: &mut Vec<Output>) -> bool {
        self.reenter(index, &Judge { delay: Duration::ZERO, is_in_time: true }, out)
    }

    /// Returns by how much all states that continue look later at least; `None` where they are too few to tell.
    fn least_lateness(&self, snapshot: &Snapshot) -> Option<Duration> {
        if self.settings.fixed.mode != FeedMode::Snapshot {
            return None;
        }
        let mut agents = 0;
        let mut least = i64::MAX;
        for index in &snapshot.members {
            let agent = self.table.get(*index);
            let told = agent.open.as_ref().and_then(|open| open.time.start_by_duration());
            if let (Some(told), Some(start)) = (told, agent.start) {
                agents += 1;
                least = least.min(told.as_micros().saturating_sub(start.as_micros()));
            }
        }
        (agents >= DELAY_AGENTS).then(|| Duration::from_micros(u64::try_from(least).unwrap_or(0)))
    }

    /// Remembers what the agent's last record said of their start, and publishes a re-entry if it proves one. True if it did.
    fn reenter(&mut self, index: AgentIndex, judge: &Judge, out: &mut Vec<Output>) -> bool {
        let tolerance = self.settings.thresholds.restart_tolerance;
        let agent = self.table.get_mut(index);
        let Some(open) = agent.open.take() else { return false };
        let is_reentered = agent.is_logged_in() && agent.shows_reentry(&open, judge.delay, tolerance);
        let OpenRecord { time, after_gap, new_start } = open;
        let last_seen = agent.proven.replace(Proven { at: time.received_at, delay: judge.delay });
        let last_seen = last_seen.map_or(agent.seen_before, |proven| proven.at);
        if let Some(told) = new_start {
            agent.told_start = Some(told);
            self.mark_changed(index);
        }
        if let Some(start) = time.start_by_duration() {
            let start = start.minus(judge.delay);
            self.table.get_mut(index).start = Some(start);
            self.note_start(index, start);
        }
        let agent = self.table.get_mut(index);
        let Some(known) = agent.known.as_ref().filter(|_| is_reentered) else { return false };
        let context = BeginningContext {
            beginning: StateBeginning::Again { delay: judge.delay },
            not_before: Some(known.state_since),
            after_gap,
            observed: false,
            has_reason: known.state.aux_reason.is_some(),
        };
        let (state_since, told) = since::state_since(&time, &context);
        let is_in_time = judge.is_in_time || time.times.state_start.is_some();
        let quality = if told == Quality::Exact && !is_in_time { inferred(after_gap) } else { told };
        let state = agent.spelled.take().map_or_else(|| known.state.clone(), |spelled| *spelled);
        let transition = Transition {
            cause: Cause::Reentered,
            evidence: None,
            known: KnownState { state, state_since, quality },
            after_gap,
            observed_at: time.received_at,
            last_seen,
        };
        self.emit(index, transition, out);
        true
    }

    /// The snapshot of the agent's last record proves no re-entry. The state of the record stands, and so does its start
    /// where no other is known.
    pub(super) fn remember_open(&mut self, index: AgentIndex, is_proof: bool) {
        let (delay, tolerance) = (self.rhythm.delay(), self.settings.thresholds.restart_tolerance);
        let agent = self.table.get_mut(index);
        // In a layout without starts, no record shows a state.
        let Some(open) = agent.open.take().filter(|_| self.layout.computes_start()) else { return };
        // What may be another stay in the state does not show the previous one.
        if is_proof && !agent.shows_reentry(&open, delay, tolerance) {
            agent.proven = Some(Proven { at: open.time.received_at, delay });
        }
        if agent.start.is_none() {
            agent.start = open.time.start_by_duration().map(|start| start.minus(delay));
        }
        let is_unproven = agent.proven.is_none();
        match open.new_start {
            Some(told) if agent.told_start.is_none() => agent.told_start = Some(told),
            // The next record has to give it again, to be compared with what was given before.
            Some(_) => agent.settled = false,
            None => {}
        }
        if is_unproven {
            // While its snapshot was open, the record counted as one in which the state was seen.
            self.mark_changed(index);
        }
    }

    /// Takes another record of the known state, while the previous one may wait: it replaces that. A waiting re-entry that is
    /// replaced by another record that shows it is not taken: then that one is the first news after a gap.
    pub(super) fn replace_open(&mut self, index: AgentIndex, seen: &SeenTime<'_>, after_gap: bool) {
        let (delay, tolerance) = (self.rhythm.delay(), self.settings.thresholds.restart_tolerance);
        let agent = self.table.get_mut(index);
        let waiting = agent.open.take();
        let is_taken = |waiting: &OpenRecord| !(waiting.after_gap && agent.shows_reentry(waiting, delay, tolerance));
        let after_gap = after_gap || waiting.as_ref().is_some_and(|waiting| !is_taken(waiting));
        let known = agent.told_start.as_ref().map(|told| &*told.text);
        let waited_with_start = waiting.as_ref().is_some_and(|waiting| waiting.time.start_by_duration().is_some());
        let waiting = waiting.and_then(|waiting| waiting.new_start);
        let waited_with_told_start = waiting.is_some();
        let new_start = match (seen.start, waiting) {
            (StartText::AsBefore, waiting) => waiting,
            // The same start, given again.
            (StartText::Told(text), Some(waiting)) if *waiting.text == *text => Some(waiting),
            _ => seen.new_start(known),
        };
        let drops_told_start = waited_with_told_start && new_start.is_none();
        agent.open = Some(OpenRecord { time: seen.time, after_gap, new_start });
        if drops_told_start || (waited_with_start && seen.time.start_by_duration().is_none()) {
            // What it had said was remembered.
            self.mark_changed(index);
        }
    }

    /// Notes that what would be remembered of the agent changes with what waits.
    pub(super) fn note_open(&mut self, index: AgentIndex) {
        let agent = self.table.get(index);
        let Some(open) = &agent.open else { return };
        let is_told = agent.proven.is_none() || (agent.told_start.is_none() && open.new_start.is_some());
        let start = open.time.start_by_duration().filter(|_| agent.start.is_none());
        if let Some(start) = start {
            self.note_start(index, start.minus(self.rhythm.delay()));
        }
        if is_told {
            self.mark_changed(index);
        }
    }
}

impl Agent {
    /// Whether a record of the known state, of a feed that is so late, shows that it was left and entered again.
    pub(super) fn shows_reentry(&self, open: &OpenRecord, delay: Duration, tolerance: Duration) -> bool {
        let times = &open.time.times;
        match (&open.new_start, &self.told_start, open.time.start_by_duration(), self.start, self.proven) {
            // As the feed gives both; an earlier one ahead of our clock was replaced by its receipt.
            (Some(told), Some(before), ..) => told.at.since(before.taken) > tolerance,
            (None, _, Some(told), Some(start), Some(proven)) if times.state_start.is_none() => {
                told.minus(delay).since(start) > tolerance && began_after(&open.time, proven, delay, tolerance)
            }
            _ => false,
        }
    }
}

/// Whether a state of that duration began after it was last seen. The time by which the feed fell behind meanwhile did not
/// pass for the agent.
fn began_after(time: &RecordTime, proven: Proven, delay: Duration, tolerance: Duration) -> bool {
    let micros = |duration: Duration| i128::try_from(duration.as_micros()).unwrap_or(i128::MAX);
    let Some(lasted) = time.times.duration else { return false };
    let between = |from: Timestamp, to: Timestamp| i128::from(to.as_micros()) - i128::from(from.as_micros());
    let grown = micros(delay) - micros(proven.delay);
    micros(lasted) < between(proven.at, time.received_at) - grown + micros(tolerance)
}
