//! What outlives the process: out of a tracker and into a fresh one, and for whom it has changed.
//!
//! A restart is a gap like a disconnect (rule 8): a fresh tracker that has been given what was saved publishes what the old one
//! would have published after losing its connection. Two things are only nearly the same. Whether an agent was absent before
//! their first state is known within one run only (rule 9); and in mode `snapshot` the time at which an agent was last seen
//! is that of the last complete snapshot, or later: rows of agents who do nothing are not written again at every refresh. An
//! agent whose records have been invalid since counts as seen there, since they were present.

use std::time::Duration;

use crate::time::Timestamp;

use super::Tracker;
use super::agent::{Absence, Agent, KnownState, LastMode, Proven, REPEATING, ToldStart};
use super::saved::{SavedAbsence, SavedAgent, SavedFeed};
use super::table::AgentIndex;

impl Tracker {
    /// Continues where another tracker of the feed ended. Into a fresh one only; if a source key comes twice, the later
    /// one counts.
    pub fn restore(&mut self, agents: impl IntoIterator<Item = SavedAgent>, feed: &SavedFeed) {
        self.liveness.restore(feed);
        self.rhythm.restore(feed);
        self.link.restore(feed);
        self.presence.restore(feed);
        self.repeats.restore(feed.repeating);
        self.listening = feed.listening.clone();
        if feed.last_valid.is_some() {
            self.open_gap();
            self.gap.restore(feed.gap_from.or(feed.last_valid));
        }
        for saved in agents {
            self.restore_agent(saved, feed);
        }
    }

    pub(super) fn restore_agent(&mut self, saved: SavedAgent, feed: &SavedFeed) {
        let SavedAgent { acd, login_id, sequence, known, ride_along, last_seen, absence, .. } = saved;
        let SavedAgent { start, told_start, state_seen, listed_again, brief, .. } = saved;
        let found = self.table.find(acd, &login_id);
        // A table that was full once is full again.
        let Some(index) = found.or_else(|| self.table.add(acd, &login_id, last_seen)) else { return };
        let state = known.as_ref().map_or(0, |known| known.state.bytes());
        self.table.note_length(index, login_id.len() + state + ride_along.bytes());
        let was_logged_in = self.table.get(index).is_logged_in();
        let is_logged_in = known.as_ref().is_some_and(KnownState::is_logged_in);
        self.table.count_login(was_logged_in, is_logged_in);
        let seen_at = feed.seen_at.filter(|_| is_logged_in && absence.is_none());
        let agent = self.table.get_mut(index);
        agent.sequence = sequence;
        agent.last_mode = last_mode(known.as_ref(), feed);
        agent.known = known;
        agent.ride_along = ride_along;
        agent.last_seen = seen_at.map_or(last_seen, |seen_at| last_seen.max(seen_at));
        agent.start = start;
        agent.remembered_start = start;
        agent.told_start = told_start.map(Box::new);
        // What was written since the last complete snapshot is exact.
        let seen_since = seen_at.filter(|seen_at| last_seen < *seen_at);
        let at = state_seen.map(|seen| seen_since.map_or(seen, |seen_at| seen.max(seen_at)));
        agent.proven = at.map(|at| Proven { at, delay: feed.delay });
        agent.rows.in_a_row = listed_again.min(REPEATING);
        let is_absent = absence.is_some();
        agent.absence = absence.map_or_else(Absence::default, Absence::from);
        if listed_again > 0 {
            self.repeats.restore_agent(index);
        }
        if found.is_some() && is_absent {
            // They may be in the list of absent ones already, from before.
            self.presence.forget_absence(index);
        }
        self.restore_brief(index, brief);
        self.restore_presence(index);
        self.recount(index);
    }

    /// Returns what is to be remembered of an agent, as it would be if the connection broke now.
    pub fn saved_agent(&self, index: AgentIndex) -> SavedAgent {
        let agent = self.table.get(index);
        let (delay, tolerance) = (self.rhythm.delay(), self.settings.thresholds.restart_tolerance);
        SavedAgent {
            acd: agent.acd,
            login_id: agent.login_id.clone(),
            sequence: agent.sequence,
            known: agent.known.clone(),
            ride_along: agent.ride_along.clone(),
            last_seen: agent.last_seen,
            start: agent.start_to_remember(delay),
            told_start: agent.told_start_to_remember(),
            state_seen: agent.state_seen_to_remember(delay, tolerance, self.layout.computes_start()),
            listed_again: agent.rows.in_a_row,
            brief: agent.brief.as_ref().map(|brief| brief.to_remember()),
            absence: agent.absence.to_remember(),
        }
    }

    /// Returns what is to be remembered of the feed.
    pub fn saved_feed(&self) -> SavedFeed {
        SavedFeed {
            last_valid: self.liveness.last_valid(),
            last_sign: self.liveness.last_sign(),
            gap_from: self.gap.from(),
            seen_at: self.presence.seen_at(),
            delay: self.rhythm.delay(),
            link_is_down: self.link.is_down(),
            is_unreadable: self.link.is_unreadable(),
            period: self.rhythm.period(),
            ended_began: self.snapshots.open().map(|open| open.began_at).or(self.rhythm.ended_began()),
            suspect_until: self.presence.suspect_until(),
            repeating: self.repeats.in_a_row(),
            listening: self.listening.to_remember(),
        }
    }

    /// Takes the agents to be saved again, because they have changed since the last call; each once. What only moves with a later record of the
    /// same state does not count: in mode `snapshot` the time of that record, and a start that moves by up to half of
    /// `restart_tolerance`.
    pub fn take_changed(&mut self) -> Vec<AgentIndex> {
        let changed = self.news.take_changed(&mut self.table);
        let delay = self.rhythm.delay();
        for index in &changed {
            let agent = self.table.get_mut(*index);
            agent.remembered_start = agent.start_to_remember(delay);
        }
        changed
    }

    /// Marks everybody as changed.
    pub fn mark_all_changed(&mut self) {
        for index in self.table.indices() {
            if !self.table.get(index).is_nobody() {
                self.mark_changed(index);
            }
        }
    }

    /// Marks everybody of whom this holds as changed.
    pub(super) fn mark_changed_where(&mut self, holds: impl Fn(&Agent) -> bool) {
        for index in self.table.indices() {
            if holds(self.table.get(index)) {
                self.mark_changed(index);
            }
        }
    }

    /// Marks an agent as changed.
    #[inline]
    pub fn mark_changed(&mut self, index: AgentIndex) {
        self.news.mark_changed(index, &mut self.table);
    }

    /// The agent is present: what was counted of their absence is over.
    #[inline]
    pub(super) fn end_absence(&mut self, index: AgentIndex) {
        let agent = self.table.get_mut(index);
        if agent.absence.snapshots > 0 {
            agent.absence = Absence::default();
            self.mark_changed(index);
            self.attend(index);
        }
    }

    /// A start was computed again. A move by half of what proves a re-entry must not be lost: the next one is measured from it.
    pub(super) fn note_start(&mut self, index: AgentIndex, start: Timestamp) {
        let most = self.settings.thresholds.restart_tolerance / 2;
        let is_moved = |remembered: Timestamp| start.since(remembered).max(remembered.since(start)) > most;
        if self.table.get(index).remembered_start.is_none_or(is_moved) {
            self.mark_changed(index);
        }
    }
}

/// Infers the mode of the last record, which is not remembered. While the link was down it was UNKNOWN for nearly everybody
/// whose known state differs.
fn last_mode(known: Option<&KnownState>, feed: &SavedFeed) -> LastMode {
    match known {
        Some(known) if !known.is_logged_in() => LastMode::Readable,
        _ if feed.link_is_down => LastMode::ListedUnknown,
        Some(known) => LastMode::of(known.state.mode, known.state.recognised),
        None => LastMode::Readable,
    }
}

impl Agent {
    /// Returns what is left of the start by duration when the open snapshot of a feed that is so late is cut off.
    fn start_to_remember(&self, delay: Duration) -> Option<Timestamp> {
        let told = || Some(self.open.as_ref()?.time.start_by_duration()?.minus(delay));
        self.start.or_else(told)
    }

    /// Returns when the known state was last seen, then. Only a record with the start of its state counts.
    fn state_seen_to_remember(&self, delay: Duration, tolerance: Duration, told: bool) -> Option<Timestamp> {
        let open = self.open.as_ref().filter(|open| told && !self.shows_reentry(open, delay, tolerance));
        let open = open.map(|open| open.time.received_at);
        open.or(self.proven.map(|proven| proven.at))
    }

    /// Returns the same for the `state_start`.
    fn told_start_to_remember(&self) -> Option<ToldStart> {
        let told = || self.open.as_ref()?.new_start.as_ref();
        self.told_start.as_ref().or_else(told).map(|told| (**told).clone())
    }
}

impl Absence {
    fn to_remember(self) -> Option<SavedAbsence> {
        let Self { snapshots, since, began_after_gap, suspect } = self;
        (snapshots > 0).then_some(SavedAbsence { snapshots, since, began_after_gap, suspect })
    }
}

impl From<SavedAbsence> for Absence {
    fn from(saved: SavedAbsence) -> Self {
        let SavedAbsence { snapshots, since, began_after_gap, suspect } = saved;
        Self { snapshots, since, began_after_gap, suspect }
    }
}
