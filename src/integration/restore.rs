//! The agent table at startup, from the store.
//!
//! The store is enough, and Kafka may be away: the rows of the table as of the last checkpoint, then the journal after it,
//! whose rows hold the agents as they were after each batch. An integration that the store does not know completely (a new
//! machine, a store that was set aside, a recovery that was interrupted) is read from Kafka, however long that takes: a table
//! that lacks somebody would restart their sequence. A row that cannot be read sets the whole store aside.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::model::{Config, Integration};
use crate::contract::saved::{self, SavedError, StoredAgent};
use crate::engine::Engine;
use crate::fail_point;
use crate::journal::agents::agents_of;
use crate::journal::row;
use crate::journal::store::{
    self, AgentKey, Incident, OpenError, Opened, Store, StoreError, StoreNumber, StoredIntegration,
};
use crate::kafka::recovery::RecoveryError;
use crate::kafka::recovery::Sequences;
use crate::kafka::takeover::TakeoverError;
use crate::telemetry::targets::INTEGRATION;
use crate::time::Timestamp;
use crate::tracker::listening::Listening;
use crate::tracker::saved::SavedFeed;

use super::checkpoint::CheckpointWriter;
use super::refresh::LastEvents;
use super::unread::Unread;

/// How far ahead of the wall clock a store may be: as far as somebody may set a clock, but not as far as a broken one may be
/// off.
const MOST_AHEAD: Duration = Duration::from_hours(24);
/// Bytes that are read from the journal at a time.
pub(crate) const PORTION: usize = 16 * 1024 * 1024;

/// Somebody who was forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForgottenAgent {
    pub(crate) key: AgentKey,
    pub(crate) at: Timestamp,
    /// The position after their tombstone.
    pub(crate) end: u64,
}

/// What is known of one integration.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) stored: StoredIntegration,
    /// If an agent is there twice, the later one counts.
    pub(crate) agents: Vec<StoredAgent>,
    /// How many of them, counted from the first, are rows of the table. The others must become rows.
    pub(crate) checkpointed: usize,
    /// Forgotten in the journal after the checkpoint: whatever the table or Kafka has of them from before is void.
    pub(crate) forgotten: Vec<ForgottenAgent>,
    pub(crate) feed: SavedFeed,
    /// Kafka was not asked for them.
    pub(crate) is_from_store: bool,
    /// The newest mapping that anything published before was mapped with; 0 where the store itself knows it.
    pub(crate) mapping_version: u64,
}

impl Restored {
    /// Whether anything of the integration is in the store: agents or messages.
    pub(crate) fn has_something(&self) -> bool {
        let is_empty = self.agents.is_empty() && self.stored.agents == 0 && self.stored.bytes == 0;
        !is_empty || self.stored.next > self.stored.acknowledged_to
    }

    /// Returns the last sequence of every agent, where the store itself knows them.
    pub(crate) fn sequences(&self) -> Option<Sequences> {
        let of = |stored: &StoredAgent| {
            let agent = &stored.agent;
            (format!("{}/{}", agent.acd, agent.login_id).into(), agent.sequence)
        };
        self.is_from_store.then(|| self.agents.iter().map(of).collect())
    }

    /// Fills an engine with it. Without `event_names`, names that an earlier run left are dropped, and logged-in agents who
    /// had one are published anew.
    pub(crate) fn into_engine(
        self,
        engine: &mut Engine,
        refresh_after: Option<Duration>,
        event_names: bool,
    ) -> (CheckpointWriter, LastEvents) {
        let Self { stored, mut agents, mut feed, checkpointed, forgotten, .. } = self;
        // What was written of the feed is some seconds old; what was written of the agents may be newer.
        let seen = agents.iter().filter(|agent| agent.agent.known.is_some()).map(|agent| agent.agent.last_seen).max();
        feed.last_valid = feed.last_valid.max(seen);
        go_on_in_time(&mut feed, &mut agents);
        let mut last_events = LastEvents::new(refresh_after);
        let mut kept = Vec::new();
        let named = if event_names { Vec::new() } else { drop_names(&mut agents) };
        let to_be_written: Vec<_> =
            agents[checkpointed..].iter().map(|agent| (agent.agent.acd, Arc::clone(&agent.agent.login_id))).collect();
        let agents = agents.into_iter().map(|StoredAgent { agent, published, last_event }| {
            kept.extend(last_event.map(|event| (agent.acd, Arc::clone(&agent.login_id), agent.last_seen, event)));
            (agent, published)
        });
        engine.restore(agents, &feed);
        for (acd, login_id, last_seen, event) in kept {
            let message = row::from_stored(&event);
            if let (Some(index), Ok(message)) = (engine.tracker().table().find(acd, &login_id), message) {
                last_events.put(index, message, last_seen);
            }
        }
        for (acd, login_id) in to_be_written {
            engine.mark_changed(acd, &login_id);
        }
        for (acd, login_id) in named {
            engine.mark_changed(acd, &login_id);
            engine.owe(acd, &login_id);
        }
        let mut checkpoint = CheckpointWriter::new(&stored, Timestamp::now());
        forgotten.into_iter().for_each(|ForgottenAgent { key, end, .. }| checkpoint.forget(key, end));
        (checkpoint, last_events)
    }
}

/// Removes every name, and what was kept to be published again with one. Returns the agents who had one.
fn drop_names(agents: &mut [StoredAgent]) -> Vec<(u32, Arc<str>)> {
    let mut named = Vec::new();
    for stored in agents {
        if stored.drop_name() {
            stored.last_event = None;
            named.push((stored.agent.acd, Arc::clone(&stored.agent.login_id)));
        }
    }
    named
}

/// Lets time continue from the last record, even where the wall clock was set back since. A store that is further ahead was
/// written by a wrong clock: of its times only the beginnings of states are kept, which never go back.
fn go_on_in_time(feed: &mut SavedFeed, agents: &mut [StoredAgent]) {
    let now = Timestamp::now();
    let Some(last_valid) = feed.last_valid.filter(|last_valid| *last_valid > now) else { return };
    if last_valid.since(now) <= MOST_AHEAD {
        Timestamp::go_on_from(last_valid);
        return;
    }
    tracing::warn!(
        target: INTEGRATION, %last_valid, %now, "the last record lies far in the future: its time is not believed"
    );
    for time in [&mut feed.last_valid, &mut feed.gap_from, &mut feed.seen_at].into_iter().flatten() {
        *time = now.min(*time);
    }
    feed.listening = Listening::default();
    agents.iter_mut().for_each(|agent| agent.agent.last_seen = now.min(agent.agent.last_seen));
}

/// The store, and what it knew.
pub(crate) struct OpenedStore {
    pub(crate) store: Store,
    /// Integrations of the store that are not in the configuration; they come after those that are.
    pub(crate) removed: Vec<Integration>,
    pub(crate) restored: Vec<Restored>,
    pub(crate) incidents: Vec<Incident>,
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the store cannot be read, and neither can a new one: {0}")]
    Unread(#[from] Unread),
    #[error(
        "{file} is of a newer version ({why}): start the newer program again, or move the file away to begin with an empty \
         store"
    )]
    Newer { file: String, why: String },
    #[error("the store cannot be written: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error("the journal has ended")]
    Ended,
}

/// Opens the store and reads what it has of the configured integrations.
pub(crate) fn open(config: &Config) -> Result<OpenedStore, RestoreError> {
    let settings = store::StoreSettings { directory: config.store.directory.clone(), sync: config.store.sync };
    let opened = if config.store.in_memory { store::open_in_memory(&settings) } else { store::open(&settings) };
    let Opened { mut store, mut incidents } = opened?;
    fail_point::reach(fail_point::STORE_OPENED);
    let read = read_all(config, &mut store);
    fail_point::reach(fail_point::REPLAYED);
    match read {
        Ok((restored, removed)) => Ok(OpenedStore { store, removed, restored, incidents }),
        Err(Unread::Newer(why)) => {
            let file = config.store.directory.join(store::DATABASE).display().to_string();
            Err(RestoreError::Newer { file, why })
        }
        Err(unread) => {
            let Opened { mut store, incidents: more } = match unread {
                Unread::Damaged(damage) => store.quarantine_and_open(&damage)?,
                // It may be intact, and is there for the next start.
                unread => store.leave_and_open_in_memory(&unread.to_string())?,
            };
            incidents.extend(more);
            let (restored, removed) = read_all(config, &mut store)?;
            Ok(OpenedStore { store, removed, restored, incidents })
        }
    }
}

/// Whether its last events are needed, to be written again.
pub(crate) fn keeps_events(integration: &Integration) -> bool {
    integration.realtime.as_ref().is_some_and(|realtime| realtime.refresh_after.is_some())
}

/// Reads everything, with the integrations that are no longer in the configuration, or returns what is wrong with it.
fn read_all(config: &Config, store: &mut Store) -> Result<(Vec<Restored>, Vec<Integration>), Unread> {
    let all = config.integrations.iter();
    let mut restored: Vec<Restored> =
        all.map(|integration| read(store, &integration.id, keeps_events(integration))).collect::<Result<_, _>>()?;
    let is_configured = |id: &str| config.integrations.iter().any(|integration| *integration.id == *id);
    let mut removed = Vec::new();
    for id in store.integrations()?.into_iter().filter(|id| !is_configured(id)) {
        let found = read(store, &id, false)?;
        if !found.has_something() {
            continue;
        }
        let (waiting, agents) = (found.stored.next - found.stored.acknowledged_to, found.agents.len());
        tracing::warn!(
            target: INTEGRATION, integration = id,
            waiting,
            agents,
            "this integration is not in the configuration any more: what waits is published, and its people are forgotten on \
             request or by privacy.forget_after; `rtalink store drop` deletes all of it, and a pause holds it"
        );
        restored.push(found);
        removed.push(Integration::removed(&id));
    }
    Ok((restored, removed))
}

/// Reads what the store has of an integration.
pub(crate) fn read(store: &mut Store, integration: &str, keeps_events: bool) -> Result<Restored, Unread> {
    let begin = Instant::now();
    let stored = store.integration(integration)?;
    let feed = saved::decode_feed(&stored.feed)?;
    let mut agents = Vec::new();
    if stored.recovered {
        let mut unread = None;
        let mut take = |row: &[u8]| match saved::decode_agent(row) {
            Ok(agent) => agents.push(agent),
            // A damaged one must not hide that others are of a newer version.
            Err(error) if unread.is_none() || error.is_newer() => unread = Some(error),
            Err(_) => {}
        };
        store.agents(stored.number, &mut take)?;
        if let Some(error) = unread {
            return Err(error.into());
        }
    }
    let mut checkpointed = agents.len();
    let (behind, forgotten) = replay(store, &stored, keeps_events.then_some(integration))?;
    if !forgotten.is_empty() {
        let is_gone: HashSet<&AgentKey> = forgotten.iter().map(|forgotten| &forgotten.key).collect();
        agents.retain(|StoredAgent { agent, .. }| !is_gone.contains(&(agent.acd, Arc::clone(&agent.login_id))));
        checkpointed = agents.len();
    }
    agents.extend(behind);
    tracing::info!(
        target: INTEGRATION, integration,
        agents = checkpointed,
        replayed = agents.len() - checkpointed,
        pending = stored.next - stored.acknowledged_to,
        took_ms = begin.elapsed().as_millis(),
        is_complete = stored.recovered,
        "read from the store"
    );
    Ok(Restored { stored, agents, checkpointed, forgotten, feed, is_from_store: true, mapping_version: 0 })
}

/// Returns what the store has of an integration: its number, the messages that wait for Kafka, and all agents.
pub(crate) fn left(store: &mut Store, integration: &str) -> Result<(StoreNumber, u64, Vec<AgentKey>), Unread> {
    let Restored { stored, agents, forgotten, .. } = read(store, integration, false)?;
    let mut keys: Vec<AgentKey> = agents.into_iter().map(|agent| (agent.agent.acd, agent.agent.login_id)).collect();
    keys.extend(forgotten.into_iter().map(|who| who.key));
    keys.sort_unstable();
    keys.dedup();
    Ok((stored.number, stored.next - stored.acknowledged_to, keys))
}

/// Returns the agents in the journal after the checkpoint, and who was forgotten there. `keeps_events_of`: the integration,
/// where its last events are needed too.
fn replay(
    store: &Store,
    stored: &StoredIntegration,
    keeps_events_of: Option<&str>,
) -> Result<(Vec<StoredAgent>, Vec<ForgottenAgent>), Unread> {
    let reader = store.reader()?;
    // Without a table, what is still to be published is known only from the journal's rows.
    let mut position = if stored.recovered { stored.covered_to } else { stored.covered_to.min(stored.acknowledged_to) };
    let mut agents: Vec<StoredAgent> = Vec::new();
    let mut forgotten: HashMap<AgentKey, (usize, ForgottenAgent)> = HashMap::new();
    loop {
        let rows = reader.batches(stored.number, position, PORTION)?;
        let Some(last) = rows.last() else { break };
        position = last.end();
        for row in &rows {
            let told = agents_of(row, keeps_events_of)?;
            for who in told.forgotten {
                let key: AgentKey = (who.acd, who.login_id.into());
                let who = ForgottenAgent { key: key.clone(), at: Timestamp::from_micros(who.at), end: row.end() };
                forgotten.insert(key, (agents.len(), who));
            }
            for agent in told.agents {
                agents.push(saved::from_agent_message(agent).map_err(SavedError::from)?);
            }
        }
    }
    let is_void = |(index, agent): &(usize, StoredAgent)| {
        let key = (agent.agent.acd, Arc::clone(&agent.agent.login_id));
        forgotten.get(&key).is_some_and(|(known_before, _)| index < known_before)
    };
    if !forgotten.is_empty() {
        let all = std::mem::take(&mut agents).into_iter().enumerate();
        agents = all.filter(|agent| !is_void(agent)).map(|(_, agent)| agent).collect();
    }
    Ok((agents, forgotten.into_values().map(|(_, who)| who).collect()))
}

#[cfg(test)]
#[path = "journal_model_tests.rs"]
mod journal_model;
