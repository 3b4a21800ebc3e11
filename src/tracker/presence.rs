//! Who is missing from a snapshot, without looking at everybody.
//!
//! A marker of four bytes ends a snapshot. The cost of that must depend on what it changes, and not on the number of agents:
//! so those who have to be looked at are kept in lists. An agent enters one with their own record, or when their absence
//! begins, and leaves it when it is next traversed.

use crate::time::Timestamp;

use super::Tracker;
use super::saved::SavedFeed;
use super::settings::FeedMode;
use super::snapshot::Snapshot;
use super::table::AgentIndex;

/// Lists of the agents who have to be looked at when a snapshot ends. Mode `snapshot` only.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Everybody who is there and not counted absent, each once, and some who no longer are.
    attending: Vec<AgentIndex>,
    /// Everybody who is counted absent and not suspect, each once, and some who no longer are.
    absent: Vec<AgentIndex>,
    /// Everybody whose absence is suspect, and some whose absence no longer is.
    suspects: Vec<AgentIndex>,
    /// Snapshots with a lower number have proved absent those who were not in them; 0 until one of this run has.
    proved_below: u64,
    /// Snapshots that begin before are too close to the suspect one to confirm it.
    suspect_until: Option<Timestamp>,
    /// First record of the last complete snapshot that lacked nobody unnoticed.
    seen_at: Option<Timestamp>,
}

impl Presence {
    pub(super) const fn restore(&mut self, feed: &SavedFeed) {
        self.seen_at = feed.seen_at;
        self.suspect_until = feed.suspect_until;
    }

    /// Returns when everybody who is logged in and not absent was seen at the earliest.
    pub(super) const fn seen_at(&self) -> Option<Timestamp> {
        self.seen_at
    }

    pub(super) const fn suspect_until(&self) -> Option<Timestamp> {
        self.suspect_until
    }

    /// Whether a snapshot of this run has proved who was absent.
    pub(super) const fn has_proof(&self) -> bool {
        self.proved_below > 0
    }

    /// Whether the snapshot may confirm what is suspect.
    pub(super) fn is_confirmed_by(&self, snapshot: &Snapshot) -> bool {
        self.suspect_until.is_none_or(|until| snapshot.began_at >= until)
    }

    /// Notes from when on a snapshot may confirm what is suspect; `None`: nothing is.
    pub(super) const fn confirm_from(&mut self, at: Option<Timestamp>) {
        self.suspect_until = at;
    }

    /// Forgets an agent, whose number is free for somebody else from now on.
    pub(super) fn forget(&mut self, index: AgentIndex) {
        self.attending.retain(|known| *known != index);
        self.forget_absence(index);
    }

    /// Forgets what was counted of an earlier absence of theirs.
    pub(super) fn forget_absence(&mut self, index: AgentIndex) {
        self.absent.retain(|known| *known != index);
        self.suspects.retain(|known| *known != index);
    }

    /// Notes that everybody last present in a snapshot with a lower number than this has been absent since.
    pub(super) const fn prove_below(&mut self, number: u64) {
        self.proved_below = number;
    }
}

/// Who is due to be logged out, and for whom that was suspect until now.
#[derive(Debug, Default)]
pub(super) struct Absences {
    pub(super) due: Vec<AgentIndex>,
    pub(super) confirmed: Vec<AgentIndex>,
}

impl Tracker {
    /// The agent is there and not absent, or may be.
    pub(super) fn attend(&mut self, index: AgentIndex) {
        let agent = self.table.get_mut(index);
        if self.settings.fixed.mode == FeedMode::Snapshot && !std::mem::replace(&mut agent.is_attending, true) {
            self.presence.attending.push(index);
        }
    }

    /// Puts a restored agent into the right lists.
    pub(super) fn restore_presence(&mut self, index: AgentIndex) {
        let agent = self.table.get(index);
        let absence = agent.absence;
        match (agent.is_there(), absence.snapshots > 0, absence.suspect) {
            (true, false, _) => self.attend(index),
            (true, true, true) => self.presence.suspects.push(index),
            (true, true, false) => self.presence.absent.push(index),
            (false, ..) => {}
        }
    }

    /// Somebody who was there before is about to be present again. Whether they were absent counts until they have a state.
    pub(super) fn note_first_absence(&mut self, index: AgentIndex) {
        let agent = self.table.get_mut(index);
        if agent.known.is_none() && agent.present_in < self.presence.proved_below {
            agent.was_absent = true;
        }
    }

    /// A complete snapshot that is not down has ended. Its time is the one at which everybody was seen, unless it might have
    /// lacked somebody who is not counted absent.
    pub(super) fn note_seen(&mut self, snapshot: &Snapshot) {
        if self.settings.fixed.mode == FeedMode::Snapshot && self.is_nobody_missing_from(snapshot) {
            self.presence.seen_at = Some(snapshot.began_at);
        }
    }

    /// Whether everybody who was there and is missing from the snapshot is counted absent.
    fn is_nobody_missing_from(&self, snapshot: &Snapshot) -> bool {
        self.presence.attending.iter().all(|index| {
            let agent = self.table.get(*index);
            agent.present_in == snapshot.number || agent.absence.snapshots > 0 || !agent.is_there()
        })
    }

    /// Counts one more absence of everybody who is missing from a snapshot that proves it. `confirms`: whether it may confirm
    /// what is suspect.
    pub(super) fn count_absences(&mut self, snapshot: &Snapshot, confirms: bool) -> Absences {
        self.presence.prove_below(snapshot.number);
        let mut absences = Absences::default();
        if self.settings.fixed.mode != FeedMode::Snapshot {
            return absences;
        }
        if confirms {
            let mut suspects = std::mem::take(&mut self.presence.suspects);
            suspects.retain(|index| self.is_absent(*index, true));
            absences.confirmed = suspects;
        }
        let mut absent = std::mem::take(&mut self.presence.absent);
        absent.retain(|index| {
            let is_absent = self.is_absent(*index, false);
            if is_absent {
                self.count_absence(*index, snapshot.began_at, &mut absences.due);
            }
            is_absent && !absences.due.ends_with(&[*index])
        });
        let mut attending = std::mem::take(&mut self.presence.attending);
        attending.retain(|index| {
            let agent = self.table.get_mut(*index);
            if agent.is_there() && agent.present_in == snapshot.number {
                return true;
            }
            agent.is_attending = false;
            if agent.is_there() && agent.absence.snapshots == 0 {
                self.count_absence(*index, snapshot.began_at, &mut absences.due);
                if !absences.due.ends_with(&[*index]) {
                    absent.push(*index);
                }
            }
            false
        });
        self.presence.absent = absent;
        self.presence.attending = attending;
        absences.due.sort_unstable();
        absences
    }

    fn is_absent(&self, index: AgentIndex, suspect: bool) -> bool {
        let agent = self.table.get(index);
        agent.is_there() && agent.absence.snapshots > 0 && agent.absence.suspect == suspect
    }

    fn count_absence(&mut self, index: AgentIndex, since: Timestamp, due: &mut Vec<AgentIndex>) {
        let began_after_gap = self.gap.is_unproven();
        let agent = self.table.get_mut(index);
        if agent.absence.snapshots == 0 {
            agent.absence.since = since;
            agent.absence.began_after_gap = began_after_gap;
        }
        agent.absence.snapshots += 1;
        if agent.absence.snapshots >= self.settings.thresholds.logout_after {
            due.push(index);
        }
        self.mark_changed(index);
    }

    /// Marks them as suspect: so many at once are not believed before another snapshot confirms it.
    pub(super) fn suspect(&mut self, due: &[AgentIndex]) {
        let table = &self.table;
        // Those who came back meanwhile may be among the new ones.
        self.presence.suspects.retain(|index| table.get(*index).absence.suspect);
        for index in due {
            self.table.get_mut(*index).absence.suspect = true;
        }
        self.presence.suspects.extend_from_slice(due);
    }
}
