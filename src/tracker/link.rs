//! Whether the link between switch and CMS is down (rule 7).

use crate::time::Timestamp;

use super::Tracker;
use super::agent::{Agent, LastMode};
use super::ending::status;
use super::event::{Output, StatusKind};
use super::held::Held;
use super::settings::FeedMode;
use super::snapshot::Snapshot;
use super::table::AgentIndex;

/// Link down: at least so many agents, and so many per cent of them in the listed mode UNKNOWN.
const LINK_DOWN_AGENTS: usize = 10;
const LINK_DOWN_PERCENT: usize = 90;

/// What an agent counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Counted {
    /// They are logged out.
    #[default]
    Not,
    As(LastMode),
}

/// How many agents count as what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    total: usize,
    unknown: usize,
    unlisted: usize,
}

impl Counts {
    fn add(&mut self, counted: Counted) {
        let Counted::As(mode) = counted else { return };
        self.total += 1;
        self.unknown += usize::from(mode == LastMode::ListedUnknown);
        self.unlisted += usize::from(mode == LastMode::Unlisted);
    }

    fn take(&mut self, counted: Counted) {
        let Counted::As(mode) = counted else { return };
        self.total -= 1;
        self.unknown -= usize::from(mode == LastMode::ListedUnknown);
        self.unlisted -= usize::from(mode == LastMode::Unlisted);
    }
}

impl Tracker {
    /// Applies rule 7. True while the link is down: then nothing of this snapshot may be trusted.
    pub(super) fn link_goes_down(&mut self, snapshot: &Snapshot, at: Timestamp, out: &mut Vec<Output>) -> bool {
        self.note_merged_modes(snapshot);
        let Counts { total, unknown, unlisted } = if self.settings.fixed.mode == FeedMode::Delta {
            self.recount_all(&snapshot.members);
            self.link_counts
        } else {
            let mut counts = Counts::default();
            snapshot.members.iter().for_each(|index| counts.add(Counted::As(self.table.get(*index).last_mode)));
            counts
        };
        let was_unreadable = std::mem::replace(&mut self.is_unreadable, unlisted * 2 > total);
        if self.is_unreadable && !was_unreadable {
            out.push(status(StatusKind::Unreadable, at, unlisted));
        }
        let is_down = total >= LINK_DOWN_AGENTS && unknown * 100 >= total * LINK_DOWN_PERCENT;
        if is_down && !self.link_is_down {
            self.link_is_down = true;
            self.open_gap();
            out.push(status(StatusKind::LinkDown, at, unknown));
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
        let counted = if is_logged_in(agent) { Counted::As(agent.last_mode) } else { Counted::Not };
        let before = std::mem::replace(&mut agent.counted, counted);
        self.link_counts.take(before);
        self.link_counts.add(counted);
    }

    /// The agent is forgotten.
    pub(super) fn discount(&mut self, index: AgentIndex) {
        let before = std::mem::take(&mut self.table.get_mut(index).counted);
        self.link_counts.take(before);
    }
}

/// An agent who was never seen, or logged out, before their UNKNOWN is logged in by that; among waiting rows the winner counts.
fn is_logged_in(agent: &Agent) -> bool {
    match agent.held.rows() {
        Some(rows) => !rows.mode().0.is_logged_out(),
        None => !agent.is_nobody() && (agent.is_logged_in() || agent.last_mode != LastMode::Readable),
    }
}
