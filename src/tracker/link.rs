//! Whether the link between switch and CMS is down (rule 7).

use crate::time::Timestamp;

use super::Tracker;
use super::agent::{Agent, LastMode};
use super::event::{Output, StatusKind};
use super::held::Held;
use super::saved::SavedFeed;
use super::settings::FeedMode;
use super::snapshot::Snapshot;
use super::snapshot_end::status;
use super::table::AgentIndex;

/// Link down: at least so many agents, and so many per cent of them in the listed mode UNKNOWN.
const LINK_DOWN_AGENTS: usize = 10;
const LINK_DOWN_PERCENT: usize = 90;

/// What an agent counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CountedAs {
    /// They are logged out.
    #[default]
    Not,
    As(LastMode),
}

/// How many agents count as what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    total: usize,
    unknown: usize,
    unlisted: usize,
}

impl Counts {
    fn add(&mut self, counted: CountedAs) {
        let CountedAs::As(mode) = counted else { return };
        self.total += 1;
        self.unknown += usize::from(mode == LastMode::ListedUnknown);
        self.unlisted += usize::from(mode == LastMode::Unlisted);
    }

    fn take(&mut self, counted: CountedAs) {
        let CountedAs::As(mode) = counted else { return };
        self.total -= 1;
        self.unknown -= usize::from(mode == LastMode::ListedUnknown);
        self.unlisted -= usize::from(mode == LastMode::Unlisted);
    }
}

/// The link between switch and CMS, as far as the states of agents show it.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Everybody, in mode `delta`.
    counts: Counts,
    is_down: bool,
    is_unreadable: bool,
}

/// What a snapshot says about the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Judged {
    is_down: bool,
    /// It was not, before.
    goes_down: bool,
    /// More than half of the agents have codes that the table of states lacks, for the first time.
    becomes_unreadable: bool,
}

impl Link {
    pub(super) const fn restore(&mut self, feed: &SavedFeed) {
        self.is_down = feed.link_is_down;
        self.is_unreadable = feed.is_unreadable;
    }

    /// Whether nearly everybody is UNKNOWN.
    pub(super) const fn is_down(&self) -> bool {
        self.is_down
    }

    /// Whether more than half of the agents have codes that the table of states lacks.
    pub(super) const fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }

    /// A snapshot can be trusted. True where that is news.
    pub(super) const fn come_up(&mut self) -> bool {
        std::mem::replace(&mut self.is_down, false)
    }

    fn judge(&mut self, counts: Counts) -> Judged {
        let Counts { total, unknown, unlisted } = counts;
        let was_unreadable = std::mem::replace(&mut self.is_unreadable, unlisted * 2 > total);
        let is_down = total >= LINK_DOWN_AGENTS && unknown * 100 >= total * LINK_DOWN_PERCENT;
        let goes_down = is_down && !self.is_down;
        self.is_down |= is_down;
        Judged { is_down, goes_down, becomes_unreadable: self.is_unreadable && !was_unreadable }
    }

    fn recount(&mut self, before: CountedAs, now: CountedAs) {
        self.counts.take(before);
        self.counts.add(now);
    }
}

impl Tracker {
    /// Applies rule 7. True while the link is down: then nothing of this snapshot may be trusted.
    pub(super) fn link_goes_down(&mut self, snapshot: &Snapshot, at: Timestamp, out: &mut Vec<Output>) -> bool {
        self.note_merged_modes(snapshot);
        let counts = if self.settings.fixed.mode == FeedMode::Delta {
            self.recount_all(&snapshot.members);
            self.link.counts
        } else {
            let mut counts = Counts::default();
            snapshot.members.iter().for_each(|index| counts.add(CountedAs::As(self.table.get(*index).last_mode)));
            counts
        };
        let Judged { is_down, goes_down, becomes_unreadable } = self.link.judge(counts);
        if becomes_unreadable {
            out.push(status(StatusKind::Unreadable, at, counts.unlisted));
        }
        if goes_down {
            self.open_gap();
            out.push(status(StatusKind::LinkDown, at, counts.unknown));
        }
        is_down
    }

    /// Notes the modes of merged rows: the one that wins is the agent's.
    fn note_merged_modes(&mut self, snapshot: &Snapshot) {
        if !snapshot.has_held {
            return;
        }
        for index in &snapshot.members {
            let agent = self.table.get_mut(*index);
            if let Held::Rows(rows) = &agent.held {
                let (mode, recognised) = rows.mode();
                agent.last_mode = LastMode::of(mode, recognised);
            }
        }
    }

    /// Counts these agents again. In mode `delta` everybody counts at every end, but an end looks only at its members: agents
    /// who change otherwise are counted again at that time.
    pub(super) fn recount_all(&mut self, members: &[AgentIndex]) {
        if self.settings.fixed.mode == FeedMode::Delta {
            members.iter().for_each(|index| self.recount(*index));
        }
    }

    /// Does the same for one agent.
    pub(super) fn recount(&mut self, index: AgentIndex) {
        if self.settings.fixed.mode != FeedMode::Delta {
            return;
        }
        let agent = self.table.get_mut(index);
        let counted = if is_logged_in(agent) { CountedAs::As(agent.last_mode) } else { CountedAs::Not };
        let before = std::mem::replace(&mut agent.counted, counted);
        self.link.recount(before, counted);
    }

    /// The agent is forgotten.
    pub(super) fn discount(&mut self, index: AgentIndex) {
        let before = std::mem::take(&mut self.table.get_mut(index).counted);
        self.link.recount(before, CountedAs::Not);
    }
}

/// An agent who was never seen, or logged out, before their UNKNOWN is logged in by that; among waiting rows the winner counts.
fn is_logged_in(agent: &Agent) -> bool {
    match agent.held.rows() {
        Some(rows) => !rows.mode().0.is_logged_out(),
        None => !agent.is_nobody() && (agent.is_logged_in() || agent.last_mode != LastMode::Readable),
    }
}
