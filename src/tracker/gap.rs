//! Silences and disconnects: what a feed may have missed (rule 8).

use crate::time::Timestamp;

/// The gaps of a feed, and what is still to come after the last one.
#[derive(Debug, Default)]
pub(super) struct Gap {
    /// Counts the gaps; 0 until there was one.
    number: u32,
    /// No complete snapshot that is not down has ended since.
    is_recent: bool,
    /// No snapshot that proves who is absent has ended since.
    is_unproven: bool,
    /// Last valid record before the first gap that RESTORED has not been said of.
    from: Option<Timestamp>,
}

impl Gap {
    /// A gap begins.
    pub(super) const fn begin(&mut self) {
        self.number += 1;
        self.is_recent = true;
        self.is_unproven = true;
    }

    /// Notes the last valid record before it. An earlier gap that is not over counts from its own.
    pub(super) fn note_from(&mut self, last_valid: Timestamp) {
        self.from.get_or_insert(last_valid);
    }

    /// Continues with the gap of a tracker that has ended.
    pub(super) const fn restore(&mut self, from: Option<Timestamp>) {
        self.from = from;
    }

    #[inline]
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    #[inline]
    pub(super) const fn is_recent(&self) -> bool {
        self.is_recent
    }

    pub(super) const fn is_unproven(&self) -> bool {
        self.is_unproven
    }

    pub(super) const fn from(&self) -> Option<Timestamp> {
        self.from
    }

    /// A snapshot has proved who is absent.
    pub(super) const fn absence_proved(&mut self) {
        self.is_unproven = false;
    }

    /// A complete snapshot that is not down has ended.
    pub(super) const fn snapshot_ended(&mut self) {
        self.is_recent = false;
    }

    /// The feed is whole again. Returns since when it was not, where that has not been said.
    #[inline]
    pub(super) const fn restored(&mut self) -> Option<Timestamp> {
        self.from.take()
    }
}
