//! What comes and is not a valid record. It can only keep agents from being thought absent.

use crate::time::Timestamp;
use crate::wire::decode::Identity;

use super::Tracker;
use super::event::{Output, StatusKind};
use super::settings::FeedMode;
use super::snapshot_end::status;
use super::strangers::Shown;

impl Tracker {
    /// An invalid record; `identity`: whose it is, where that can be read.
    pub fn invalid(&mut self, identity: Option<Identity<'_>>, at: Timestamp, out: &mut Vec<Output>) {
        self.connection.invalid_came(at);
        self.note_line(true, at, out);
        if self.settings.fixed.mode == FeedMode::Event {
            return;
        }
        let snapshot = self.snapshots.enter(at, self.gap.is_recent());
        snapshot.last_at = at;
        snapshot.has_invalid = true;
        snapshot.ends_valid = false;
        let Some(Identity { login_id, acd }) = identity else {
            snapshot.has_unreadable = true;
            return;
        };
        let number = snapshot.number;
        let acd = acd.unwrap_or(self.settings.fixed.acd);
        if let Some(index) = self.table.find(acd, login_id) {
            self.note_first_absence(index);
            let agent = self.table.get_mut(index);
            agent.present_in = number;
            agent.bad_in = number;
            self.end_absence(index);
            return;
        }
        match self.strangers.show(acd, login_id, number, self.presence.has_proof()) {
            Shown::Known => {}
            Shown::Doubtful => snapshot.doubtful += 1,
            Shown::NoRoom => snapshot.has_unreadable = true,
        }
    }

    /// Half a record was left when its connection broke; `identity`: whose it is, where that can be read. Its snapshot ends,
    /// or has ended, without it; but its agent was seen.
    pub fn half_record(&mut self, identity: Option<Identity<'_>>) {
        let Some(Identity { login_id, acd }) = identity else { return };
        let acd = acd.unwrap_or(self.settings.fixed.acd);
        if self.settings.fixed.mode == FeedMode::Event {
            return;
        }
        match self.table.find(acd, login_id) {
            Some(index) => self.end_absence(index),
            None => self.strangers.note(acd, login_id, self.presence.has_proof()),
        }
    }

    /// Takes a line that is not a record.
    pub fn skipped(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.note_line(false, at, out);
    }

    fn note_line(&mut self, is_invalid: bool, at: Timestamp, out: &mut Vec<Output>) {
        if self.blind.line_came(is_invalid, at, self.rhythm.period()) {
            out.push(status(StatusKind::Unreadable, at, 0));
        }
    }
}
