//! The snapshot that is being read.

use crate::time::Timestamp;

use super::table::AgentIndex;

/// An open snapshot.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// From 1.
    pub(super) number: u64,
    /// Receipt of its first record, or of the marker where it has none.
    pub(super) began_at: Timestamp,
    /// Receipt of its last record.
    pub(super) last_at: Timestamp,
    /// Agents with a valid record in it, in the order of their first.
    pub(super) members: Vec<AgentIndex>,
    /// A record came whose agent cannot be identified.
    pub(super) has_unreadable: bool,
    /// An invalid record came.
    pub(super) has_invalid: bool,
    /// How many of those known from invalid records alone may be somebody else.
    pub(super) doubtful: usize,
    /// Its last record is a valid one.
    pub(super) ends_valid: bool,
    /// Members who were listed more than once.
    pub(super) with_further_rows: usize,
    /// Rows, or states, wait for its end.
    pub(super) has_held: bool,
    /// No byte came for `snapshot_idle` before the record that ended it, or before the lines in front of that.
    pub(super) ended_after_silence: bool,
    /// Only a silence suggests that it is whole.
    pub(super) is_cut_by_silence: bool,
    /// Nothing complete came since the last gap.
    pub(super) first_after_gap: bool,
    /// Records whose outcome shows at its end.
    pub(super) undecided: u64,
}

impl Snapshot {
    /// More than a tenth of its agents were listed more than once.
    pub(super) fn repeats_rows(&self) -> bool {
        self.with_further_rows * 10 > self.members.len()
    }
}

/// Why a snapshot ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SnapshotEnding {
    /// It is whole.
    Complete,
    /// Something cut it off.
    Incomplete,
    /// The input ends: what waited is published, but nobody is absent and no rows are merged.
    OfInput,
}

/// The one open snapshot, and the memory that the next one uses again.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    open: Option<Snapshot>,
    number: u64,
    /// The next one begins where another one ends, or with the connection.
    begins_at_seam: bool,
    /// Number of the last one that did.
    seam: u64,
    spare: Vec<AgentIndex>,
}

impl Snapshots {
    /// Returns the number of the last snapshot that began where another one ended, or with its connection.
    #[inline]
    pub(super) const fn seam(&self) -> u64 {
        self.seam
    }

    /// Whether the next one begins where another one ends, or with the connection.
    pub(super) const fn begin_at_seam(&mut self, does: bool) {
        self.begins_at_seam = does;
    }

    /// Number of the open snapshot; 0 where none is.
    #[inline]
    pub(super) fn number(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.number)
    }

    /// Returns the number of the next one to be opened, whether or not the previous one is open.
    pub(super) const fn next_number(&self) -> u64 {
        self.number + 1
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(super) const fn open_mut(&mut self) -> Option<&mut Snapshot> {
        self.open.as_mut()
    }

    pub(super) const fn open(&self) -> Option<&Snapshot> {
        self.open.as_ref()
    }

    /// Returns the open snapshot; a new one where there is none.
    #[inline]
    pub(super) fn enter(&mut self, at: Timestamp, first_after_gap: bool) -> &mut Snapshot {
        let Self { open, number, begins_at_seam, seam, spare } = self;
        open.get_or_insert_with(|| {
            *number += 1;
            if std::mem::take(begins_at_seam) {
                *seam = *number;
            }
            Snapshot {
                number: *number,
                began_at: at,
                last_at: at,
                members: std::mem::take(spare),
                has_unreadable: false,
                has_invalid: false,
                doubtful: 0,
                ends_valid: false,
                with_further_rows: 0,
                has_held: false,
                ended_after_silence: false,
                is_cut_by_silence: false,
                first_after_gap,
                undecided: 0,
            }
        })
    }

    pub(super) const fn close(&mut self) -> Option<Snapshot> {
        self.open.take()
    }

    pub(super) fn recycle(&mut self, snapshot: Snapshot) {
        self.spare = snapshot.members;
        self.spare.clear();
    }
}
