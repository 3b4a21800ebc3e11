//! The end of a snapshot: link down, what waited, re-entries, absences (rules 4, 6, 7, 10).

use std::time::Duration;

use crate::time::Timestamp;

use super::agent::{Agent, Known, LastMode};
use super::agent_state::AgentState;
use super::event::{Cause, Evidence, Output, SnapshotEvent, StatusEvent, StatusKind};
use super::held::Held;
use super::settings::FeedMode;
use super::since::{self, Beginning, Context};
use super::snapshot::{End, Snapshot};
use super::table::AgentIndex;
use super::tracker::Tracker;
use super::transition::{Transition, inferred};

/// Link down: at least so many agents, and so many of a hundred of them in the listed mode UNKNOWN.
const LINK_DOWN_AGENTS: usize = 10;
const LINK_DOWN_PERCENT: usize = 90;

/// Suspect: at least so many log-outs, and more than so many of a hundred of those logged in.
const SUSPECT_AGENTS: usize = 10;
const SUSPECT_PERCENT: usize = 20;

/// A delay of the feed: at least so many agents with a computed start, so many of them with an unchanged state.
const DELAY_AGENTS: usize = 10;
const DELAY_UNCHANGED: usize = 5;

impl Tracker {
    /// Ends the open snapshot, if one is.
    pub(super) fn end_snapshot(&mut self, end: End, at: Timestamp, out: &mut Vec<Output>) {
        let Some(snapshot) = self.snapshots.close() else { return };
        let changed_before = self.events_of(out);
        if end == End::Incomplete {
            self.drop_what_waited(&snapshot);
            out.push(Output::Snapshot(SnapshotEvent { complete: false, period: None }));
        } else if self.link_goes_down(&snapshot, at, out) {
            self.drop_what_waited(&snapshot);
        } else {
            self.publish_what_waited(&snapshot, end, at, out);
        }
        let events = self.events_of(out) - changed_before;
        self.settle_counts(&snapshot, events);
        if end == End::Complete {
            let period = self.note_period(snapshot.began_at);
            out.push(Output::Snapshot(SnapshotEvent { complete: true, period }));
        } else {
            self.last_began = None;
        }
        self.snapshots.recycle(snapshot);
    }

    /// Events in `out` that come from a record.
    fn events_of(&self, out: &[Output]) -> u64 {
        let from_record =
            |output: &&Output| matches!(output, Output::Agent(event) if event.evidence != Some(Evidence::Absence));
        out.iter().filter(from_record).count() as u64
    }

    fn settle_counts(&mut self, snapshot: &Snapshot, events: u64) {
        self.counts.changed += events;
        self.counts.unchanged += snapshot.undecided.saturating_sub(events);
    }

    fn drop_what_waited(&mut self, snapshot: &Snapshot) {
        for index in &snapshot.members {
            let agent = self.table.get_mut(*index);
            agent.held = Held::Nothing;
            // A state published in this snapshot stands, and so does the start that it told.
            let told = agent.open_start.take();
            agent.start = agent.start.or(told.map(|told| told.at));
        }
    }

    fn publish_what_waited(&mut self, snapshot: &Snapshot, end: End, at: Timestamp, out: &mut Vec<Output>) {
        if std::mem::take(&mut self.link_is_down) {
            out.push(status(StatusKind::LinkUp, at, 0));
        }
        self.publish_held(snapshot, end, out);
        self.publish_reentries(snapshot, out);
        if end == End::OfInput {
            return;
        }
        if snapshot.proves_absence {
            self.publish_absences(snapshot, at, out);
        }
        self.note_seen(snapshot);
        self.gap.is_recent = false;
        if let Some(gap_from) = self.gap.from.take() {
            out.push(status(StatusKind::Restored { gap_from, gap_to: snapshot.last_at }, at, 0));
        }
    }

    /// Rule 7. True while the link is down: then nothing of this snapshot is to be believed.
    fn link_goes_down(&mut self, snapshot: &Snapshot, at: Timestamp, out: &mut Vec<Output>) -> bool {
        self.note_merged_modes(snapshot);
        let mut total = 0;
        let mut unknown = 0;
        let mut unlisted = 0;
        let mut count = |agent: &Agent| {
            total += 1;
            unknown += usize::from(agent.last_mode == LastMode::ListedUnknown);
            unlisted += usize::from(agent.last_mode == LastMode::Unlisted);
        };
        if self.settings.mode == FeedMode::Delta {
            // Who was never seen, or logged out, before his UNKNOWN is logged in by that.
            let is_logged_in = |agent: &Agent| agent.is_logged_in() || agent.last_mode != LastMode::Readable;
            self.table.iter().filter(|(_, agent)| is_logged_in(agent)).for_each(|(_, agent)| count(agent));
        } else {
            snapshot.members.iter().for_each(|index| count(self.table.get(*index)));
        }
        let was_unreadable = std::mem::replace(&mut self.is_unreadable, unlisted * 2 > total);
        if self.is_unreadable && !was_unreadable {
            out.push(status(StatusKind::Unreadable, at, unlisted));
        }
        let is_down = total >= LINK_DOWN_AGENTS && unknown * 100 >= total * LINK_DOWN_PERCENT;
        if is_down && !self.link_is_down {
            self.link_is_down = true;
            self.open_gap();
            out.push(status(StatusKind::LinkDown, at, unknown));
        }
        is_down
    }

    /// Of merged rows the mode that wins is the agent's.
    fn note_merged_modes(&mut self, snapshot: &Snapshot) {
        if !self.merges_rows {
            return;
        }
        for index in &snapshot.members {
            let agent = self.table.get_mut(*index);
            if let Held::Rows(rows) = &agent.held {
                let (mode, recognised) = rows.mode();
                agent.last_mode = LastMode::of(mode, recognised);
            }
        }
    }

    fn publish_held(&mut self, snapshot: &Snapshot, end: End, out: &mut Vec<Output>) {
        for index in &snapshot.members {
            let agent = self.table.get_mut(*index);
            match std::mem::take(&mut agent.held) {
                Held::Nothing => {}
                Held::Unknown(held) => {
                    self.take(*index, held.state, held.time, snapshot.first_after_gap, out);
                }
                Held::Rows(_) if end == End::OfInput || agent.bad_in == snapshot.number => {}
                Held::Rows(rows) => {
                    let (held, ride_along) = rows.finish();
                    if agent.ride_along.name != ride_along.name {
                        self.renamed.push(*index);
                    }
                    if agent.ride_along != ride_along {
                        agent.ride_along = ride_along;
                        self.mark_changed(*index);
                    }
                    self.take(*index, held.state, held.time, snapshot.first_after_gap, out);
                }
            }
        }
    }

    /// Rule 6: states that were left and entered again, less what the whole feed is late.
    fn publish_reentries(&mut self, snapshot: &Snapshot, out: &mut Vec<Output>) {
        if !self.computes_start {
            return;
        }
        self.delay = self.delay_of(snapshot);
        for index in &snapshot.members {
            self.reenter(*index, self.delay, out);
        }
    }

    fn delay_of(&mut self, snapshot: &Snapshot) -> Duration {
        let mut with_start = 0;
        self.shifts.clear();
        for index in &snapshot.members {
            let agent = self.table.get(*index);
            let Some(told) = agent.open_start else { continue };
            with_start += 1;
            self.shifts.extend(agent.start.map(|start| told.at.as_micros().saturating_sub(start.as_micros())));
        }
        if with_start < DELAY_AGENTS || self.shifts.len() < DELAY_UNCHANGED {
            return Duration::ZERO;
        }
        let middle = self.shifts.len() / 2;
        let (_, median, _) = self.shifts.select_nth_unstable(middle);
        let median = Duration::from_micros(u64::try_from(*median).unwrap_or(0));
        let grown = match self.last_began {
            Some(last_began) if !snapshot.first_after_gap => snapshot.began_at.since(last_began),
            _ => Duration::ZERO,
        };
        median.min(self.delay + grown)
    }

    /// Remembers the agent's computed start, and publishes a re-entry if it proves one. True if it did.
    pub(super) fn reenter(&mut self, index: AgentIndex, delay: Duration, out: &mut Vec<Output>) -> bool {
        let tolerance = self.settings.restart_tolerance;
        let agent = self.table.get_mut(index);
        let Some(told) = agent.open_start.take() else { return false };
        let start = told.at.minus(delay);
        let remembered = agent.start.replace(start);
        self.note_start(index, start);
        let agent = self.table.get_mut(index);
        let Some(known) = &agent.known else { return false };
        let is_reentered =
            known.is_logged_in() && remembered.is_some_and(|remembered| start.since(remembered) > tolerance);
        if !is_reentered {
            return false;
        }
        let after_gap = agent.open_after_gap;
        let beginning = Beginning::Again { delay };
        let context = Context {
            beginning,
            not_before: Some(known.since),
            after_gap,
            observed: false,
            has_reason: known.state.aux_reason.is_some(),
        };
        let (since, quality) = since::since(&told.time, &context);
        let known = Known { state: known.state.clone(), since, quality };
        let observed_at = told.time.received_at;
        self.emit(index, Transition { cause: Cause::Reentered, evidence: None, known, after_gap, observed_at }, out);
        true
    }

    /// Rule 4: who is absent, for how long, and whether that can be believed.
    fn publish_absences(&mut self, snapshot: &Snapshot, at: Timestamp, out: &mut Vec<Output>) {
        self.has_proof = true;
        self.strangers.retain(|_, stranger| stranger.present_in == snapshot.number);
        let logged_in = self.table.logged_in();
        let mut confirmed = Vec::new();
        let mut due = Vec::new();
        for index in self.table.indices() {
            let agent = self.table.get_mut(index);
            if agent.present_in == snapshot.number {
                continue;
            }
            if agent.known.is_none() {
                agent.was_absent = true;
            }
            if !agent.is_logged_in() || self.settings.mode != FeedMode::Snapshot {
                continue;
            }
            count_absence(agent, snapshot);
            self.mark_changed(index);
            let agent = self.table.get(index);
            if agent.absence.suspect {
                confirmed.push(index);
            } else if agent.absence.snapshots >= self.settings.logout_after {
                due.push(index);
            }
        }
        let is_suspect = due.len() >= SUSPECT_AGENTS && due.len() * 100 > logged_in * SUSPECT_PERCENT;
        if is_suspect {
            for index in &due {
                self.table.get_mut(*index).absence.suspect = true;
            }
            out.push(status(StatusKind::Suspect, at, due.len()));
            due.clear();
        }
        confirmed.append(&mut due);
        confirmed.sort_unstable();
        for index in confirmed {
            self.log_out_absent(index, snapshot.first_after_gap, at, out);
        }
    }

    pub(super) fn log_out_absent(
        &mut self,
        index: AgentIndex,
        first_after_gap: bool,
        at: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let agent = self.table.get_mut(index);
        let absence = std::mem::take(&mut agent.absence);
        agent.settled = false;
        agent.start = None;
        agent.ride_along.logout_reason = None;
        let not_before = agent.known.as_ref().map_or(absence.since, |known| known.since);
        let after_gap = absence.began_after_gap || first_after_gap;
        let known = Known {
            state: AgentState::logged_out(""),
            since: absence.since.max(not_before),
            quality: inferred(after_gap),
        };
        let transition = Transition {
            cause: Cause::LoggedOut,
            evidence: Some(Evidence::Absence),
            known,
            after_gap,
            observed_at: at,
        };
        self.emit(index, transition, out);
    }
}

fn count_absence(agent: &mut Agent, snapshot: &Snapshot) {
    if agent.absence.snapshots == 0 {
        agent.absence.since = snapshot.began_at;
        agent.absence.began_after_gap = snapshot.first_after_gap;
    }
    agent.absence.snapshots += 1;
}

fn status(kind: StatusKind, at: Timestamp, affected: usize) -> Output {
    let affected = u32::try_from(affected).unwrap_or(u32::MAX);
    Output::Status(StatusEvent { kind, at, affected })
}
