//! Agents to be saved again, because they have changed since somebody asked, and agents with another name.

use super::table::{AgentIndex, AgentTable};

/// Agents of whom something is new.
#[derive(Debug, Default)]
pub(super) struct ChangedAgents {
    /// What is to be saved of them has changed; each once.
    changed: Vec<AgentIndex>,
    renamed: Vec<AgentIndex>,
}

impl ChangedAgents {
    /// What is to be saved of an agent has changed.
    #[inline]
    pub(super) fn mark_changed(&mut self, index: AgentIndex, table: &mut AgentTable) {
        let agent = table.get_mut(index);
        if !std::mem::replace(&mut agent.is_changed, true) {
            self.changed.push(index);
        }
    }

    /// Returns those who have changed since the last call. For the next call they have not.
    pub(super) fn take_changed(&mut self, table: &mut AgentTable) -> Vec<AgentIndex> {
        let changed = std::mem::take(&mut self.changed);
        for index in &changed {
            table.get_mut(*index).is_changed = false;
        }
        changed
    }

    /// The name of an agent has changed.
    pub(super) fn note_renamed(&mut self, index: AgentIndex) {
        self.renamed.push(index);
    }

    /// Returns those whose name has changed since the last call.
    pub(super) fn take_renamed(&mut self) -> Vec<AgentIndex> {
        std::mem::take(&mut self.renamed)
    }

    /// Forgets an agent, whose number is free for somebody else from now on.
    pub(super) fn forget(&mut self, index: AgentIndex) {
        self.changed.retain(|known| *known != index);
        self.renamed.retain(|known| *known != index);
    }
}
