//! When something was last heard of a feed. What silence means is in `silence`.

use crate::time::Timestamp;

use super::saved::SavedFeed;
use super::settings::FeedMode;

/// When something was last heard, and what was said of silence since.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    connected_at: Option<Timestamp>,
    last_valid: Option<Timestamp>,
    /// Valid record or marker.
    last_sign: Option<Timestamp>,
    is_stale: bool,
    /// Nothing came for `unknown_after`, and that was said of everybody.
    is_given_up: bool,
    /// When the last connection ended that had told something; the first moment of a process that has had none yet. Who only
    /// dials in and goes changes nothing in that.
    disconnected_at: Option<Timestamp>,
}

impl Liveness {
    pub(super) fn restore(&mut self, feed: &SavedFeed) {
        self.last_valid = feed.last_valid;
        // An older version saved no markers.
        self.last_sign = feed.last_sign.max(feed.last_valid);
    }

    /// A connection is the one that speaks.
    pub(super) fn connected(&mut self, at: Timestamp) {
        self.connected_at = Some(at);
        self.disconnected_at.get_or_insert(at);
        self.is_stale = false;
    }

    /// It has ended.
    pub(super) fn disconnected(&mut self, at: Timestamp) {
        if self.has_spoken() {
            self.disconnected_at = Some(at);
        }
        self.connected_at = None;
    }

    /// Time has passed: without a connection, the first moment counts as the end of one.
    pub(super) fn note_time(&mut self, now: Timestamp) {
        if self.connected_at.is_none() {
            self.disconnected_at.get_or_insert(now);
        }
    }

    /// A valid record came.
    #[inline]
    pub(super) const fn record_came(&mut self, at: Timestamp) {
        self.last_valid = Some(at);
        self.sign_came(at);
    }

    /// A valid record or a marker came.
    #[inline]
    pub(super) const fn sign_came(&mut self, at: Timestamp) {
        self.last_sign = Some(at);
        self.is_stale = false;
        self.is_given_up = false;
    }

    /// Nothing came for `stale_after`.
    pub(super) const fn fall_stale(&mut self) {
        self.is_stale = true;
    }

    /// Nothing came for `unknown_after`.
    pub(super) const fn give_up(&mut self) {
        self.is_given_up = true;
    }

    pub(super) const fn last_valid(&self) -> Option<Timestamp> {
        self.last_valid
    }

    pub(super) const fn last_sign(&self) -> Option<Timestamp> {
        self.last_sign
    }

    /// Whether there is a connection that is not stale.
    pub(super) const fn is_connected(&self) -> bool {
        self.connected_at.is_some() && !self.is_stale
    }

    /// Whether there is a connection, and it has told something.
    pub(super) fn has_spoken(&self) -> bool {
        self.connected_at.zip(self.last_sign).is_some_and(|(connected_at, last_sign)| last_sign >= connected_at)
    }

    /// Whether the feed is listened to and says something.
    pub(super) fn is_heard(&self) -> bool {
        self.has_spoken() && !self.is_stale
    }

    /// Returns since when a connection that is not stale has said nothing.
    pub(super) fn silent_since(&self) -> Option<Timestamp> {
        let connected_at = self.connected_at.filter(|_| !self.is_stale)?;
        Some(self.last_sign.map_or(connected_at, |sign| sign.max(connected_at)))
    }

    /// Returns since when the feed has been lost; `None` where it is not, or that was said already.
    pub(super) fn lost_since(&self, mode: FeedMode) -> Option<Timestamp> {
        let is_lost = match mode {
            FeedMode::Snapshot => !self.is_connected(),
            // A connection that has said nothing yet may be anybody's.
            FeedMode::Delta | FeedMode::Event => !self.has_spoken(),
        };
        if !is_lost || self.is_given_up {
            return None;
        }
        let last_sign = self.last_sign?;
        // Where silence means that nothing has changed, only the time without a connection that said something counts.
        match mode {
            FeedMode::Snapshot => Some(last_sign),
            FeedMode::Delta | FeedMode::Event => Some(last_sign.max(self.disconnected_at?)),
        }
    }
}
