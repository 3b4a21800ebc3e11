//! Forgetting agents: on request, and those who have not been seen for long.
//!
//! That publishes nothing, and no figure counts it as a log-out. An agent who comes again after it is seen for the first
//! time: their sequence begins anew. So nobody can be forgotten whom the feed still shows, since the next snapshot would
//! bring them back.

use std::time::Duration;

use crate::time::Timestamp;

use super::Tracker;
use super::held::Held;
use super::settings::FeedMode;
use super::strangers::Stranger;
use super::table::AgentIndex;

impl Tracker {
    /// Whether the next records are likely to bring them back: a connection speaks, and they are logged in, or were in the
    /// last snapshot though they are not.
    pub fn is_in_feed(&self, index: AgentIndex) -> bool {
        if !self.liveness.is_connected() {
            return false;
        }
        let agent = self.table.get(index);
        let is_in_open = self.snapshots.is_open() && agent.present_in == self.snapshots.number();
        let was_in_last = self.rhythm.last_began().is_some_and(|began_at| agent.last_seen >= began_at);
        agent.is_logged_in() || is_in_open || was_in_last || !matches!(agent.held, Held::Nothing)
    }

    /// Whether the feed has shown, since the start and the last gap, who is there. Before that, nobody is too old: for an
    /// agent listed as logged out, only a new row shows that they were seen.
    pub fn shows_who_is_there(&self) -> bool {
        let is_proven =
            self.settings.fixed.mode != FeedMode::Snapshot || (self.presence.has_proof() && !self.gap.is_unproven());
        is_proven && self.liveness.has_spoken()
    }

    /// Returns agents who were not seen for so long while the feed was listened to, and are not in it; at most so many.
    pub fn not_seen_for(&mut self, age: Duration, now: Timestamp, most: usize) -> Vec<AgentIndex> {
        self.listening.keep(age);
        let is_old = |index: &AgentIndex| {
            let last_seen = self.table.get(*index).last_seen;
            now.since(last_seen) > age && self.listening.since(last_seen) > age && !self.is_in_feed(*index)
        };
        self.table.iter().map(|(index, _)| index).filter(is_old).take(most).collect()
    }

    /// Forgets an agent. The next new agent gets their number: whatever else knows it must forget it too.
    pub fn forget(&mut self, index: AgentIndex) {
        let agent = self.table.get(index);
        let (acd, login_id) = (agent.acd, agent.login_id.clone());
        self.remove_stranger(acd, &login_id);
        self.news.forget(index);
        self.repeats.forget(index);
        self.presence.forget(index);
        self.discount(index);
        if let Some(snapshot) = self.snapshots.open_mut() {
            snapshot.members.retain(|known| *known != index);
        }
        self.connection.forget(index);
        self.table.forget(index);
    }

    /// Forgets somebody of whom only invalid records came.
    pub fn forget_stranger(&mut self, acd: u32, login_id: &str) {
        self.remove_stranger(acd, login_id);
    }

    /// Removes a stranger: in the open snapshot they can no longer be somebody else.
    pub(super) fn remove_stranger(&mut self, acd: u32, login_id: &str) -> Option<Stranger> {
        let stranger = self.strangers.remove(acd, login_id)?;
        if let Some(open) = self.snapshots.open_mut() {
            open.doubtful -= usize::from(stranger.are_doubtful_in(open.number));
        }
        Some(stranger)
    }
}
