//! How much of what the engine has said the journal has.
//!
//! The rule: a checkpoint holds only states whose messages the journal has accepted. A table ahead of the journal would claim
//! after the next start that consumers got what nobody has sent them. So there is one way from the engine to a checkpoint,
//! [`Accepted`], and only [`Standing::accepted`] makes one: while nothing was refused, and while nothing that was found is
//! still to be handed over.

use crate::contract::saved;
use crate::contract::store::Message as StoredMessage;
use crate::engine::{Engine, Finding};
use crate::journal::store::{AgentKey, AgentRow};
use crate::time::Timestamp;
use crate::tracker::table::AgentIndex;

use super::overflow::Overflow;

/// Whether the journal has everything that the engine has said.
#[derive(Debug, Default)]
pub(super) enum Standing {
    /// The journal has accepted everything.
    #[default]
    Level,
    /// It is full: only the latest state of each agent is kept, here.
    Behind(Overflow),
    /// It is closed and has refused something, which is lost: for the store, and so for the next start, it never happened.
    Lost,
}

impl Standing {
    /// Creates one that is behind since then, with nothing kept yet.
    pub(super) fn behind(since: Timestamp) -> Self {
        Self::Behind(Overflow::new(since))
    }

    /// Returns what is kept while the journal is full.
    pub(super) const fn overflow(&mut self) -> Option<&mut Overflow> {
        match self {
            Self::Behind(overflow) => Some(overflow),
            Self::Level | Self::Lost => None,
        }
    }

    /// Whether the journal is full.
    pub(super) const fn is_behind(&self) -> bool {
        matches!(self, Self::Behind(_))
    }

    /// Whether there seems to be room for more of what is kept.
    pub(super) const fn goes_on(&self) -> bool {
        matches!(self, Self::Behind(overflow) if overflow.goes_on)
    }

    /// Whether something was refused for good.
    pub(super) const fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }

    /// Returns the engine's table, where the journal has accepted all of it. `to_be_handed_over`: what the engine has found
    /// and nobody has processed.
    pub(super) fn accepted<'a>(&self, engine: &'a mut Engine, to_be_handed_over: &[Finding]) -> Option<Accepted<'a>> {
        match self {
            Self::Level if to_be_handed_over.is_empty() && !engine.has_more() => Some(Accepted { engine }),
            Self::Level | Self::Behind(_) | Self::Lost => None,
        }
    }
}

/// A table of agents that holds only what the journal has accepted: the one way to a checkpoint.
#[derive(Debug)]
pub(super) struct Accepted<'a> {
    engine: &'a mut Engine,
}

impl Accepted<'_> {
    /// Takes the agents to be saved again, because they have changed since the last call; each once.
    pub(super) fn take_changed(&mut self) -> Vec<AgentIndex> {
        self.engine.take_changed()
    }

    /// Returns an agent as the store has them.
    pub(super) fn row(&self, index: AgentIndex, last_event: Option<StoredMessage>) -> AgentRow {
        let (agent, published) = self.engine.saved(index);
        AgentRow {
            acd: agent.acd,
            login_id: agent.login_id.clone(),
            memory: saved::encode_agent(&agent, published.as_ref(), last_event.as_ref()),
        }
    }

    /// Returns the feed as the store has it.
    pub(super) fn feed(&self) -> Vec<u8> {
        saved::encode_feed(&self.engine.saved_feed())
    }

    /// Whether the agent is in the table.
    pub(super) fn is_known(&self, (acd, login_id): &AgentKey) -> bool {
        self.engine.tracker().table().find(*acd, login_id).is_some()
    }
}
