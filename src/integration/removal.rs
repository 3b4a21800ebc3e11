//! Deletes what the store has of an integration that is no longer in the configuration: messages that wait for Kafka, and its
//! agents, who get their tombstones first. The service must not run: it would hold the store.

use std::time::Duration;

use crate::config::model::{Bootstrap, Config};
use crate::journal::store::{self, Erased, OpenError, Opened, StoreError};
use crate::kafka::tombstones;

use super::restore;

/// How long Kafka may take for the tombstones.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Messages that Kafka does not have, and will not get.
    pub messages: u64,
    /// Agents.
    pub agents: usize,
    /// Tombstones that Kafka has taken.
    pub tombstones: usize,
    /// Nothing of it is in the bytes of the file any more.
    pub is_erased: bool,
}

/// Why nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// It is configured: it would come back.
    #[error("integration {0:?} is in the configuration: take it out first")]
    Configured(String),
    /// There is nothing of that name.
    #[error("the store has no integration {id:?}: {}", if known.is_empty() {
        "it has none at all".to_owned()
    } else {
        format!("expected one of {}", known.join(", "))
    })]
    Unknown {
        /// What was asked for.
        id: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Another process holds the store, or worse.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It could be opened only with a loss.
    #[error("the store is not sound, and nothing was deleted: {0}")]
    Unsound(String),
    /// It cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// People would stay on the topic `current` for ever.
    #[error(
        "{agents} agent(s) stay on the topic current, since their tombstones were not taken ({why}): nothing was deleted; try \
         again when Kafka is there, or go without with --without-tombstones"
    )]
    Kafka {
        /// How many.
        agents: usize,
        /// What Kafka says.
        why: String,
    },
}

/// Deletes the integration. Blocks.
///
/// # Errors
/// On any error nothing was deleted.
pub fn remove(config: &Config, id: &str, with_tombstones: bool) -> Result<Removed, RemovalError> {
    if config.integrations.iter().any(|integration| *integration.id == *id) {
        return Err(RemovalError::Configured(id.to_owned()));
    }
    let settings = store::StoreSettings { directory: config.store.directory.clone(), sync: config.store.sync };
    let Opened { mut store, incidents } = store::open(&settings)?;
    if let Some(incident) = incidents.first() {
        return Err(RemovalError::Unsound(incident.to_string()));
    }
    let known = store.integrations()?;
    if !known.iter().any(|known| known == id) {
        return Err(RemovalError::Unknown { id: id.to_owned(), known });
    }
    let (number, messages, agents) =
        restore::left(&mut store, id).map_err(|error| RemovalError::Unsound(error.to_string()))?;
    let keys: Vec<String> = agents.iter().map(|(acd, login_id)| format!("{id}/{acd}/{login_id}")).collect();
    let mut tombstones = 0;
    if let Bootstrap::Servers(servers) = &config.kafka.bootstrap
        && with_tombstones
    {
        let sent = tombstones::send(servers, &config.kafka, id, &keys, PATIENCE);
        sent.map_err(|why| RemovalError::Kafka { agents: keys.len(), why })?;
        tombstones = keys.len();
    }
    store.remove_integration(number)?;
    // It is deleted, and the pending erasure is on disk: the next start continues it.
    let is_erased = matches!(store.erase_at_once(), Ok(Erased::Done));
    Ok(Removed { messages, agents: agents.len(), tombstones, is_erased })
}
