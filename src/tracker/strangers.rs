//! Those of whom only invalid records came so far. They may be agents, or nobody at all.

use foldhash::fast::FixedState;
use hashbrown::{Equivalent, HashMap};

/// Most login ids that are remembered from invalid records alone. Beyond that, a snapshot proves nobody absent.
const MAX_STRANGERS: usize = 4_096;

/// Who appears in invalid records only is believed to be somebody after so many snapshots in a row. Until then it may be an
/// error message, or a login id that lost a digit: somebody else is missing then.
const STRANGE: u32 = 3;

/// Somebody of whom only invalid records came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stranger {
    /// Number of the last snapshot that had them, and how many in a row have had them.
    present_in: u64,
    in_a_row: u32,
    was_absent: bool,
}

impl Stranger {
    /// They are in the snapshot of that number. Whether that was not known, and they may be somebody else in it.
    const fn show(&mut self, snapshot: u64) -> bool {
        if self.present_in == snapshot {
            return false;
        }
        self.in_a_row = if self.present_in > 0 && self.present_in + 1 == snapshot { self.in_a_row + 1 } else { 1 };
        self.present_in = snapshot;
        self.are_doubtful_in(snapshot)
    }

    /// Whether they may be somebody else in the snapshot of that number.
    pub(super) const fn are_doubtful_in(self, snapshot: u64) -> bool {
        self.present_in == snapshot && self.in_a_row <= STRANGE
    }

    /// Whether they are in the snapshot of that number.
    pub(super) const fn are_in(self, snapshot: u64) -> bool {
        self.present_in == snapshot
    }

    /// Whether they were absent before their first record.
    pub(super) const fn were_absent(self) -> bool {
        self.was_absent
    }
}

/// What a snapshot with a stranger is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// As much as before.
    Known,
    /// They may be somebody else in it.
    Doubtful,
    /// There is no room to remember who was in it.
    NoRoom,
}

/// All of them, by source key.
#[derive(Debug)]
pub(super) struct Strangers {
    by_key: HashMap<(u32, Box<str>), Stranger, FixedState>,
}

/// The key of a stranger, to find them without making one.
#[derive(Hash)]
struct Key<'a>(u32, &'a str);

impl Equivalent<(u32, Box<str>)> for Key<'_> {
    fn equivalent(&self, key: &(u32, Box<str>)) -> bool {
        (self.0, self.1) == (key.0, &*key.1)
    }
}

impl Default for Strangers {
    fn default() -> Self {
        Self { by_key: HashMap::with_hasher(FixedState::with_seed(1)) }
    }
}

impl Strangers {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// An invalid record of theirs came in the snapshot of that number. `was_absent`: whether they were absent before, if
    /// they are new.
    pub(super) fn show(&mut self, acd: u32, login_id: &str, snapshot: u64, was_absent: bool) -> Shown {
        if let Some(stranger) = self.by_key.get_mut(&Key(acd, login_id)) {
            return if stranger.show(snapshot) { Shown::Doubtful } else { Shown::Known };
        }
        if self.by_key.len() >= MAX_STRANGERS {
            return Shown::NoRoom;
        }
        self.by_key.insert((acd, login_id.into()), Stranger { present_in: snapshot, in_a_row: 1, was_absent });
        Shown::Doubtful
    }

    /// Half a record of theirs was left, in no snapshot.
    pub(super) fn note(&mut self, acd: u32, login_id: &str, was_absent: bool) {
        if self.by_key.len() < MAX_STRANGERS {
            let stranger = Stranger { present_in: 0, in_a_row: 0, was_absent };
            self.by_key.entry((acd, login_id.into())).or_insert(stranger);
        }
    }

    pub(super) fn remove(&mut self, acd: u32, login_id: &str) -> Option<Stranger> {
        self.by_key.remove(&Key(acd, login_id))
    }

    /// Forgets those who are not in the snapshot of that number, which proves them absent.
    pub(super) fn keep_those_in(&mut self, snapshot: u64) {
        self.by_key.retain(|_, stranger| stranger.are_in(snapshot));
    }

    /// Forgets all of them: nobody is there.
    pub(super) fn clear(&mut self) {
        self.by_key.clear();
    }
}
