//! From the feed status STALE until RESTORED, and how many agents were logged in when the silence began.
//!
//! What happens to the agents meanwhile changes nothing: the alert is about the silence as it began. Before the first valid
//! record ever, silence is not a gap, so nothing is restored: then the first complete snapshot ends it.

use crate::tracker::event::StatusKind;
use crate::tracker::status::FeedStatus;

/// Whether a feed is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Staleness {
    #[default]
    Heard,
    /// Until RESTORED.
    Silent { agents: u32 },
    /// Nothing valid ever came.
    NeverHeard,
}

impl Staleness {
    /// Takes what the engine has reported of the feed. A later silence in the same gap counts as the same one.
    pub(super) const fn status(&mut self, status: &FeedStatus) {
        match (status.event.kind, *self, status.figures.last_record_at) {
            (StatusKind::Stale, Self::Silent { .. }, _) => {}
            (StatusKind::Stale, _, Some(_)) => *self = Self::Silent { agents: status.figures.logged_in },
            (StatusKind::Stale, _, None) => *self = Self::NeverHeard,
            (StatusKind::Restored { .. }, _, _) => *self = Self::Heard,
            _ => {}
        }
    }

    /// A complete snapshot has ended.
    pub(super) fn complete_snapshot(&mut self) {
        if *self == Self::NeverHeard {
            *self = Self::Heard;
        }
    }

    /// Returns how many agents it is about; `None` while it is not stale.
    pub(super) const fn agents(self) -> Option<u32> {
        match self {
            Self::Heard => None,
            Self::Silent { agents } => Some(agents),
            Self::NeverHeard => Some(0),
        }
    }
}
