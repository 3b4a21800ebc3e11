//! Where in the bytes of the speaking connection the snapshots begin.
//!
//! A snapshot begins right behind what belongs to the one before: its last valid record, its marker, or the silence after
//! it. Lines that are skipped and invalid records between the two come with the new one: most are headers. The beginning of a
//! connection is one, too. Where a snapshot was cut off (by a new layout, say), the next one begins nowhere: it has only
//! its end. In mode `event`, where there are no snapshots, everything begins with every record.
//!
//! Cost: two comparisons per valid record.

use super::session::ConnectionId;

/// Where the last snapshot began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Of this connection, which speaks.
    pub connection: ConnectionId,
    /// With this byte, counted from the beginning of the connection.
    pub offset: u64,
}

/// Follows the speaking connection.
#[derive(Debug, Default)]
pub(super) struct Seam {
    connection: Option<ConnectionId>,
    /// Number of the last snapshot whose beginning is known.
    snapshot: u64,
    begun: u64,
    /// Where the next one would begin.
    after: u64,
    /// What comes next, comes after a silence.
    is_silent: bool,
}

impl Seam {
    /// Another connection speaks, or none does.
    pub(super) fn speaks(&mut self, connection: Option<ConnectionId>, snapshot: u64) {
        *self = Self { connection, snapshot, ..Self::default() };
    }

    /// A valid record ends at `end`; `snapshot` is the last one that began where another ended.
    #[inline]
    pub(super) const fn record(&mut self, snapshot: u64, end: u64) {
        if snapshot != self.snapshot {
            self.snapshot = snapshot;
            self.begun = self.after;
        }
        self.after = end;
    }

    /// A valid record ends at `end`, and nothing is open.
    pub(super) const fn lone_record(&mut self, end: u64) {
        self.begun = end;
        self.after = end;
    }

    /// A marker ends at `end`.
    pub(super) const fn marker(&mut self, end: u64) {
        self.after = end;
    }

    /// No byte came for a while, and no record is half read.
    pub(super) const fn silence(&mut self) {
        self.is_silent = true;
    }

    /// Bytes follow, the first of them at `offset`.
    pub(super) const fn bytes(&mut self, offset: u64) {
        if self.is_silent {
            self.is_silent = false;
            self.after = offset;
        }
    }

    /// Returns where the last snapshot began.
    pub(super) fn begun(&self) -> Option<Begun> {
        Some(Begun { connection: self.connection?, offset: self.begun })
    }
}

#[cfg(test)]
#[path = "seam_tests.rs"]
mod tests;
