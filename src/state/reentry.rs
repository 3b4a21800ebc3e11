//! States that were left and entered again between two snapshots (rule 6).
//!
//! AVAIL, a short call, AVAIL: of that a snapshot feed shows a start that is later than it was. Two things make starts later
//! that nobody entered: a feed that is late, and a listener that stood still. What all agents have in common is taken for
//! the first (the delay); and no state is believed to have begun before it was last seen.

use std::time::Duration;

use crate::time::Timestamp;

use super::agent::{Known, OpenRecord, Proven};
use super::event::{Cause, Output};
use super::settings::FeedMode;
use super::since::{self, Beginning, Context, Quality, RecordTime};
use super::snapshot::Snapshot;
use super::table::AgentIndex;
use super::tracker::Tracker;
use super::transition::{Transition, inferred};

/// A delay of the feed shows in the starts of at least so many agents whose state goes on.
const DELAY_AGENTS: usize = 3;

/// A snapshot that begins later than so many periods after the one before comes out of a stall: durations in it are not exact.
const PERIODS: u32 = 2;

/// What the records of a snapshot are judged with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge {
    /// How late the feed is.
    delay: Duration,
    /// The snapshot came when it was expected.
    is_in_time: bool,
}

impl Judge {
    /// In mode `event`.
    pub(super) const AT_ONCE: Self = Self { delay: Duration::ZERO, is_in_time: true };
}

impl Tracker {
    pub(super) fn publish_reentries(&mut self, snapshot: &Snapshot, out: &mut Vec<Output>) {
        if !self.computes_start {
            return;
        }
        self.delay = self.delay_of(snapshot);
        let judge = Judge { delay: self.delay, is_in_time: self.is_in_time(snapshot) };
        for index in &snapshot.members {
            self.reenter(*index, &judge, out);
        }
    }

    fn is_in_time(&self, snapshot: &Snapshot) -> bool {
        match (self.ended_began, self.period) {
            (Some(before), Some(period)) => snapshot.began_at.since(before) <= period.saturating_mul(PERIODS),
            _ => true,
        }
    }

    /// No state that goes on looks later by less than the feed is late.
    fn delay_of(&self, snapshot: &Snapshot) -> Duration {
        if self.settings.mode != FeedMode::Snapshot {
            return Duration::ZERO;
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
        if agents < DELAY_AGENTS {
            return Duration::ZERO;
        }
        let grown = match self.ended_began {
            Some(before) if !snapshot.first_after_gap => snapshot.began_at.since(before),
            _ => Duration::ZERO,
        };
        Duration::from_micros(u64::try_from(least).unwrap_or(0)).min(self.delay + grown)
    }

    /// Remembers what the agent's last record told of their start, and publishes a re-entry if it proves one. True if it did.
    pub(super) fn reenter(&mut self, index: AgentIndex, judge: &Judge, out: &mut Vec<Output>) -> bool {
        let tolerance = self.settings.restart_tolerance;
        let agent = self.table.get_mut(index);
        let Some(OpenRecord { time, after_gap, new_start }) = agent.open.take() else { return false };
        let seen = Proven { at: time.received_at, delay: judge.delay };
        // A snapshot that was cut off may have shown the re-entry already: then it began before that one was read.
        let before = [agent.proven.replace(seen), agent.judged.replace(seen)].into_iter().flatten();
        let mut proven = before.clone().next();
        let has_new_start = new_start.is_some();
        let mut is_later = false;
        if let Some(told) = new_start {
            // As the feed tells both. An earlier one ahead of our clock was taken for its receipt.
            let at = told.at;
            let told_before = agent.told_start.replace(*told);
            is_later = told_before.is_some_and(|before| at.since(before.taken) > tolerance);
        }
        let by_duration = time.times.state_start.is_none();
        if let Some(told) = time.start_by_duration() {
            let start = told.minus(judge.delay);
            let remembered = agent.start.replace(start);
            if by_duration {
                let began_since = before.clone().find(|seen| began_after(&time, *seen, judge.delay, tolerance));
                is_later =
                    remembered.is_some_and(|remembered| start.since(remembered) > tolerance) && began_since.is_some();
                proven = began_since.or(proven);
            }
            self.note_start(index, start);
        }
        if has_new_start {
            self.mark_changed(index);
        }
        let agent = self.table.get_mut(index);
        let Some(known) = agent.known.as_ref().filter(|known| is_later && known.is_logged_in()) else { return false };
        let context = Context {
            beginning: Beginning::Again { delay: judge.delay },
            not_before: Some(known.since),
            after_gap,
            observed: false,
            has_reason: known.state.aux_reason.is_some(),
        };
        let (since, told) = since::since(&time, &context);
        let is_exact = told == Quality::Exact && (judge.is_in_time || !by_duration);
        let quality = if is_exact { told } else { inferred(after_gap) };
        let state = agent.spelled.take().map_or_else(|| known.state.clone(), |spelled| *spelled);
        let transition = Transition {
            cause: Cause::Reentered,
            evidence: None,
            known: Known { state, since, quality },
            after_gap,
            observed_at: time.received_at,
            last_seen: proven.map_or(agent.seen_before, |proven| proven.at),
        };
        self.emit(index, transition, out);
        true
    }

    /// The snapshot of the agent's last record proves no re-entry. The state that the record told stands, and so does its
    /// start where no other is known.
    pub(super) fn remember_open(&mut self, index: AgentIndex, is_proof: bool) {
        let delay = self.delay;
        let agent = self.table.get_mut(index);
        let Some(OpenRecord { time, new_start, .. }) = agent.open.take() else { return };
        if agent.start.is_none() {
            agent.start = time.start_by_duration().map(|start| start.minus(delay));
        }
        match new_start {
            Some(told) if agent.told_start.is_none() => agent.told_start = Some(*told),
            // The next record has to tell it again, to be compared with what was told before.
            Some(_) => agent.settled = false,
            None => {}
        }
        if is_proof {
            agent.proven = Some(Proven { at: time.received_at, delay });
        }
    }

    /// What would be remembered of the agent changes with what waits.
    pub(super) fn note_open(&mut self, index: AgentIndex) {
        let agent = self.table.get(index);
        let Some(open) = &agent.open else { return };
        let is_told = agent.told_start.is_none() && open.new_start.is_some();
        let start = open.time.start_by_duration().filter(|_| agent.start.is_none());
        if let Some(start) = start {
            self.note_start(index, start.minus(self.delay));
        }
        if is_told {
            self.mark_changed(index);
        }
    }
}

/// Whether a state of that duration began after it was last seen. What the feed fell behind meanwhile is not time that passed
/// for the agent.
fn began_after(time: &RecordTime, proven: Proven, delay: Duration, tolerance: Duration) -> bool {
    let micros = |duration: Duration| i128::try_from(duration.as_micros()).unwrap_or(i128::MAX);
    let Some(lasted) = time.times.duration else { return false };
    let between = |from: Timestamp, to: Timestamp| i128::from(to.as_micros()) - i128::from(from.as_micros());
    let grown = micros(delay) - micros(proven.delay);
    micros(lasted) < between(proven.at, time.received_at) - grown + micros(tolerance)
}
