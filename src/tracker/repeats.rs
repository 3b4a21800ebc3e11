//! Whom complete snapshots list more than once (rule 10).

use super::agent::REPEATING;
use super::news::ChangedAgents;
use super::snapshot::Snapshot;
use super::table::{AgentIndex, AgentTable};

/// Agents who are listed more than once.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// Whom the last complete snapshot has listed more than once.
    agents: Vec<AgentIndex>,
    /// How many complete snapshots in a row have listed many of them; no more than [`REPEATING`].
    in_a_row: u32,
}

impl Repeats {
    pub(super) fn restore(&mut self, in_a_row: u32) {
        self.in_a_row = in_a_row.min(REPEATING);
    }

    /// A restored agent was among them.
    pub(super) fn restore_agent(&mut self, index: AgentIndex) {
        self.agents.push(index);
    }

    pub(super) const fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Whether snapshots list many agents more than once.
    pub(super) const fn are_many(&self) -> bool {
        self.in_a_row >= REPEATING
    }

    /// Notes whom a complete snapshot lists more than once. True where they have become many.
    pub(super) fn note(&mut self, snapshot: &Snapshot, table: &mut AgentTable, news: &mut ChangedAgents) -> bool {
        let number = snapshot.number;
        if snapshot.with_further_rows > 0 {
            let is_new = |index: &&AgentIndex| {
                let rows = table.get(**index).rows;
                rows.last_in == number && rows.in_a_row == 0
            };
            self.agents.extend(snapshot.members.iter().filter(is_new));
        }
        self.agents.retain(|index| {
            let agent = table.get_mut(*index);
            // A bad row may be a further one.
            let is_listed_again = agent.rows.last_in == number || agent.bad_in == number;
            let in_a_row = if is_listed_again { (agent.rows.in_a_row + 1).min(REPEATING) } else { 0 };
            if std::mem::replace(&mut agent.rows.in_a_row, in_a_row) != in_a_row {
                news.mark_changed(*index, table);
            }
            is_listed_again
        });
        let were_many = self.are_many();
        self.in_a_row = if snapshot.repeats_rows() { (self.in_a_row + 1).min(REPEATING) } else { 0 };
        self.are_many() && !were_many
    }

    /// Forgets an agent, whose number is free for somebody else from now on.
    pub(super) fn forget(&mut self, index: AgentIndex) {
        self.agents.retain(|known| *known != index);
    }
}
