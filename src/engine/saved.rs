//! What outlives the process: out of an engine, into a fresh one, and for whom it has changed.

use crate::mapping::annotate::Published;
use crate::tracker::saved::{SavedAgent, SavedFeed};
use crate::tracker::table::AgentIndex;

use super::Engine;

impl Engine {
    /// Continues where another process ended: agents with what was last published of them, and their feed. Into a fresh
    /// engine only; if a source key comes twice, the later one counts. [`Self::remap_outdated`] comes next.
    pub fn restore(&mut self, agents: impl IntoIterator<Item = (SavedAgent, Option<Published>)>, feed: &SavedFeed) {
        let mut last = Vec::new();
        let agents = agents.into_iter().map(|(saved, published)| {
            last.push((saved.acd, saved.login_id.clone(), published));
            saved
        });
        self.tracker.restore(agents, feed);
        for (acd, login_id, published) in last {
            if let Some(index) = self.tracker.table().find(acd, &login_id) {
                self.annotator.restore(index, published);
            }
        }
        self.index_names();
    }

    /// Returns what is to be remembered of an agent.
    pub fn saved(&self, index: AgentIndex) -> (SavedAgent, Option<Published>) {
        (self.tracker.saved_agent(index), self.annotator.published(index).cloned())
    }

    /// Returns what is to be remembered of the feed.
    pub fn saved_feed(&self) -> SavedFeed {
        self.tracker.saved_feed()
    }

    /// Takes the agents to be saved again, because they have changed since the last call; each once.
    pub fn take_changed(&mut self) -> Vec<AgentIndex> {
        self.tracker.take_changed()
    }

    /// Marks everybody as changed.
    pub fn mark_all_changed(&mut self) {
        self.tracker.mark_all_changed();
    }

    /// Marks an agent as changed: the store does not have everything about them.
    pub fn mark_changed(&mut self, acd: u32, login_id: &str) {
        if let Some(index) = self.tracker.table().find(acd, login_id) {
            self.tracker.mark_changed(index);
        }
    }

    /// An agent's last event says something that it may no longer say: if they are logged in, [`Self::remap_outdated`]
    /// publishes another.
    pub fn owe(&mut self, acd: u32, login_id: &str) {
        self.owed.extend(self.tracker.table().find(acd, login_id));
    }
}
