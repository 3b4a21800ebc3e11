//! What garbage in a snapshot means for agents who are not in it (rule 3 of the tracker).
//!
//! A record whose login id cannot be read may be anybody's. One that names somebody unknown may be a login id that lost a
//! digit, until the same name has come in some snapshots in a row.

/// An unknown login id is believed after so many snapshots in a row.
const BELIEVED_AFTER: u32 = 3;

/// The garbage of one snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Doubt {
    /// Lines.
    pub(super) lines: u64,
    /// The login id of one of them cannot be read.
    pub(super) hides_login_id: bool,
    /// One of them names somebody unknown, always the same.
    pub(super) names_stranger: bool,
}

impl Doubt {
    /// Returns both together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            lines: self.lines + other.lines,
            hides_login_id: self.hides_login_id || other.hides_login_id,
            names_stranger: self.names_stranger || other.names_stranger,
        }
    }
}

/// Follows the stranger from snapshot to snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doubts {
    /// How many snapshots in a row have had them.
    in_a_row: u32,
}

impl Doubts {
    /// Takes the garbage of the next snapshot; returns whether that snapshot, if complete, proves who is absent.
    pub(super) const fn next_proves(&mut self, doubt: Doubt) -> bool {
        self.in_a_row = if doubt.names_stranger { self.in_a_row.saturating_add(1) } else { 0 };
        let is_doubtful = doubt.names_stranger && self.in_a_row <= BELIEVED_AFTER;
        !doubt.hides_login_id && !is_doubtful
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_believed_from_the_fourth_snapshot_in_a_row() {
        let stranger = Doubt { lines: 1, names_stranger: true, ..Doubt::default() };
        let hidden = Doubt { lines: 1, hides_login_id: true, ..Doubt::default() };
        let snapshots = [
            (Doubt::default(), true),
            (stranger, false),
            (stranger, false),
            (stranger.and(hidden), false),
            (stranger, true),
            (stranger.and(hidden), false),
            (stranger, true),
            (hidden, false),
            (stranger, false),
            (Doubt::default(), true),
        ];
        let mut doubts = Doubts::default();
        assert_eq!(snapshots.map(|(doubt, _)| doubts.next_proves(doubt)), snapshots.map(|(_, proves)| proves));
    }
}
