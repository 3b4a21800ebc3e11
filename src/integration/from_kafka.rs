//! The agent table from Kafka, where the store does not know it completely.
//!
//! Invariant: where both have something, the more advanced one counts. A store that has lost its last commits has rows that
//! Kafka has long had: they are not sent again. What Kafka has on `current` may be missing on the events topic, with
//! at-least-once delivery: each agent's last event is sent again, and is a copy for consumers that have it. Policy: Kafka is
//! waited for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::config::model::{Bootstrap, Config, Delivery, Integration, Kafka};
use crate::contract::recovered::RecoveredFeed;
use crate::contract::saved::{self, StoredAgent};
use crate::contract::store::{AgentMemory, Batch, Message};
use crate::fail_point;
use crate::journal::agents::agents_of;
use crate::journal::store::{AgentKey, Store, StoreError, StoreNumber, StoreReader, StoredIntegration, Write};
use crate::kafka::Publisher;
use crate::kafka::checkpoint::{self, Ours};
use crate::kafka::recovery::{self, RecoveryError};
use crate::kafka::takeover;
use crate::telemetry::targets::INTEGRATION;
use crate::time::Timestamp;

use super::restore::{ForgottenAgent, PORTION, RestoreError, Restored};
use super::start_wait::StartWait;
use super::unread::Unread;

/// How long one attempt to read a checkpoint may take.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(5);
/// The pause before the next one: some errors come at once.
const CHECKPOINT_AGAIN: Duration = Duration::from_secs(1);
/// Last events in a row of the journal.
const EVENTS_IN_A_ROW: usize = 256;

/// The last event of each agent on `current`, and its sequence.
type LastEvents = HashMap<AgentKey, (u64, Message)>;

fn key(StoredAgent { agent, .. }: &StoredAgent) -> AgentKey {
    (agent.acd, Arc::clone(&agent.login_id))
}

/// Whether the agents of an integration have to be read from Kafka. One without real time has none, and a cluster inside the
/// process knows nobody.
pub(crate) fn is_needed(kafka: &Kafka, integration: &Integration, restored: &Restored) -> bool {
    kafka.bootstrap != Bootstrap::Embedded && integration.realtime.is_some() && !restored.stored.recovered
}

/// Reads the agents of these integrations from Kafka, and writes what that proves to the store of the publisher. Blocks.
pub(crate) fn read(
    config: &Config,
    ids: &[Arc<str>],
    restored: Vec<Restored>,
    publisher: &Publisher,
    wait: &StartWait<'_>,
    stop: &CancellationToken,
) -> Result<Vec<Restored>, RestoreError> {
    let servers = publisher.bootstrap_servers();
    tracing::info!(
        target: INTEGRATION, integrations = ids.join(", "), "the store does not have their agents: reading them from Kafka"
    );
    let begin = Instant::now();
    if config.kafka.delivery == Delivery::ExactlyOnce {
        for id in ids {
            let mut failed = |kind: &str, reason: &str| wait.failed(kind, reason);
            takeover::take_over(servers, &config.kafka, id, &|| stop.is_cancelled(), &mut failed)?;
        }
    }
    let (patience, stopped) = (recovery::patience(&config.kafka), || stop.is_cancelled());
    let mut recovered = recovery::read_current(servers, &config.kafka, ids, patience, &stopped, &mut |progress| {
        wait.progress(progress)
    })?;
    fail_point::reach(fail_point::KAFKA_READ);
    tracing::info!(
        target: INTEGRATION, messages = recovered.messages,
        unreadable = recovered.unreadable,
        took_ms = begin.elapsed().as_millis(),
        "read from Kafka"
    );
    let mut all = Vec::with_capacity(restored.len());
    for (id, restored) in ids.iter().zip(restored) {
        let found = recovered.integrations.remove(id).unwrap_or_default();
        all.push(complete(config, id, publisher, restored, found, wait, stop)?);
    }
    Ok(all)
}

/// Completes what the store knows of an integration by what Kafka has, and writes to the store what that proves.
fn complete(
    config: &Config,
    id: &Arc<str>,
    publisher: &Publisher,
    restored: Restored,
    mut found: RecoveredFeed,
    wait: &StartWait<'_>,
    stop: &CancellationToken,
) -> Result<Restored, RestoreError> {
    let Restored { stored, agents, forgotten, mut feed, .. } = restored;
    let position = match config.kafka.delivery {
        // A store that has lost its last commits must not count positions twice.
        Delivery::ExactlyOnce => committed(config, id, publisher, &stored, wait, stop)?,
        Delivery::AtLeastOnce => {
            published(&with(publisher, |store| store.reader())??, &stored, &found.agents, &forgotten)?
        }
    };
    // Kafka may not have their tombstones yet. An agent who came again after one is somebody else.
    let voided: HashMap<&AgentKey, Timestamp> = forgotten.iter().map(|who| (&who.key, who.at)).collect();
    found.agents.retain(|found| voided.get(&key(found)).is_none_or(|at| found.agent.last_seen > *at));
    let last_events = take_last_events(&mut found.agents, config.privacy.event_names);
    let last_events = (config.kafka.delivery == Delivery::AtLeastOnce).then_some(last_events);
    let agents = more_advanced(found.agents, agents);
    feed.last_valid = feed.last_valid.max(found.last_valid);
    let proved = Proved { id: Arc::clone(id), number: stored.number, position, last_events };
    let (stored, agents) = with(publisher, move |store| proved.write(store, agents))??;
    let mapping_version = found.mapping_version;
    Ok(Restored { stored, agents, checkpointed: 0, forgotten, feed, is_from_store: false, mapping_version })
}

/// Takes the last event of each agent; without `event_names` only of those who have no name.
fn take_last_events(agents: &mut [StoredAgent], event_names: bool) -> LastEvents {
    let mut last_events: LastEvents = HashMap::new();
    for found in agents {
        let is_wanted = event_names || !found.has_name();
        let event = found.last_event.take().filter(|_| is_wanted);
        last_events.extend(event.map(|event| (key(found), (found.agent.sequence, event))));
    }
    last_events
}

/// Returns each agent once. Where both have something, the store may know more: events that Kafka does not have yet.
fn more_advanced(in_kafka: Vec<StoredAgent>, in_store: Vec<StoredAgent>) -> Vec<StoredAgent> {
    let mut known: HashMap<AgentKey, StoredAgent> = HashMap::new();
    for agent in in_kafka.into_iter().chain(in_store) {
        if known.get(&key(&agent)).is_none_or(|known| known.agent.sequence <= agent.agent.sequence) {
            known.insert(key(&agent), agent);
        }
    }
    known.into_values().collect()
}

/// Does something with the store, and waits for it.
fn with<R: Send + 'static>(
    publisher: &Publisher,
    work: impl FnOnce(&mut Store) -> R + Send + 'static,
) -> Result<R, RestoreError> {
    publisher.with_store(work).recv().map_err(|_| RestoreError::Ended)
}

/// What Kafka has proved about an integration.
struct Proved {
    id: Arc<str>,
    number: StoreNumber,
    /// Kafka has everything below.
    position: u64,
    /// These may be missing on the events topic.
    last_events: Option<LastEvents>,
}

impl Proved {
    /// Writes it to the store; returns what that knows of the integration then, and the agents as they were given.
    fn write(
        self,
        store: &mut Store,
        agents: Vec<StoredAgent>,
    ) -> Result<(StoredIntegration, Vec<StoredAgent>), StoreError> {
        let Self { id, number, position, last_events } = self;
        store.commit(&[Write::Acknowledged { integration: number, to: position }])?;
        if let Some(last_events) = last_events {
            let stored = store.integration(&id)?;
            match send_again(store, &stored, &agents, last_events) {
                Ok(events) => {
                    tracing::info!(target: INTEGRATION, integration = &*id, events, "the last event of each agent is sent again")
                }
                // The service starts even without them: the agents themselves are known.
                Err(error) => tracing::warn!(
                    target: INTEGRATION, integration = &*id,
                    %error,
                    "the last event of each agent cannot be written to be sent again: some may be missing on the events topic"
                ),
            }
        }
        Ok((store.integration(&id)?, agents))
    }
}

/// Appends to the journal the last event of each agent of whom the store knows no later one, and returns how many these are.
/// The process that published it may have died between the two topics, leaving it on `current` alone; the journal that would
/// send it again is lost.
fn send_again(
    store: &mut Store,
    stored: &StoredIntegration,
    agents: &[StoredAgent],
    mut last_events: LastEvents,
) -> Result<usize, StoreError> {
    let with_event = |agent: &StoredAgent| {
        let (_, event) = last_events.remove(&key(agent)).filter(|(sequence, _)| *sequence == agent.agent.sequence)?;
        let order = (agent.agent.last_seen, key(agent));
        Some((order, event, saved::agent_message(&agent.agent, agent.published.as_ref())))
    };
    let mut all: Vec<(_, Message, AgentMemory)> = agents.iter().filter_map(with_event).collect();
    all.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
    let mut first = stored.next.max(stored.acknowledged_to).max(stored.covered_to);
    for some in all.chunks(EVENTS_IN_A_ROW) {
        let (messages, agents) = some.iter().map(|(_, event, agent)| (event.clone(), agent.clone())).unzip();
        let content = Batch { messages, agents, forgotten: Vec::new() }.encode_to_vec();
        let count = some.len() as u32;
        let (integration, written_at) = (stored.number, Timestamp::now());
        // The space kept free on a disk is for what has to leave for Kafka.
        if let Some(shortage) = store.shortage() {
            return Err(shortage);
        }
        store.commit(&[Write::Batch { integration, first, count, written_at, content: &content }])?;
        first += u64::from(count);
    }
    Ok(all.len())
}

/// Returns up to where Kafka has our journal, as far as its agents show. A store that has lost its last commits has rows that
/// were published long ago; sent again after what followed them, they would be the last on `current`. Of those that were on
/// `current` alone [`send_again`] sends each agent's last one.
///
/// About agents forgotten after that, Kafka can say nothing.
fn published(
    reader: &StoreReader,
    stored: &StoredIntegration,
    in_kafka: &[StoredAgent],
    forgotten: &[ForgottenAgent],
) -> Result<u64, Unread> {
    let void_below: HashMap<(u32, &str), u64> =
        forgotten.iter().map(|who| ((who.key.0, &*who.key.1), who.end)).collect();
    let in_kafka: HashMap<(u32, &str), u64> =
        in_kafka.iter().map(|StoredAgent { agent, .. }| ((agent.acd, &*agent.login_id), agent.sequence)).collect();
    let (mut position, mut published) = (stored.acknowledged_to, stored.acknowledged_to);
    loop {
        let rows = reader.batches(stored.number, position, PORTION)?;
        let Some(last) = rows.last() else { return Ok(published) };
        position = last.end();
        for row in &rows {
            let mut agents = agents_of(row, None)?.agents;
            agents.retain(|agent| void_below.get(&(agent.acd, &*agent.login_id)).is_none_or(|end| row.end() > *end));
            let has = |agent: &AgentMemory| {
                in_kafka.get(&(agent.acd, &*agent.login_id)).is_some_and(|sequence| *sequence >= agent.sequence)
            };
            if !agents.iter().all(has) {
                return Ok(published);
            }
            if !agents.is_empty() {
                published = row.end();
            }
        }
    }
}

/// Returns up to where our journal is committed, by the last checkpoint in Kafka; 0 where that says nothing about it.
fn committed(
    config: &Config,
    integration: &str,
    publisher: &Publisher,
    stored: &StoredIntegration,
    wait: &StartWait<'_>,
    stop: &CancellationToken,
) -> Result<u64, RestoreError> {
    // Positions that are used again after a loss of commits belong to this run.
    let (number, next) = (stored.number, stored.next);
    let lineage = move |store: &mut Store| (store.id(), store.lineage(number).followed_by(store.run(), next));
    let (owner, runs) = with(publisher, lineage)?;
    let ours = Ours { owner, runs: &runs };
    loop {
        match checkpoint::read(publisher.bootstrap_servers(), &config.kafka, integration, CHECKPOINT_PATIENCE) {
            Ok(found) => return Ok(found.and_then(|found| ours.committed(&found)).unwrap_or_default()),
            Err(error) => {
                wait.waits_for(&error.to_string());
                tracing::warn!(target: INTEGRATION, integration, %error, "no checkpoint yet, will be tried again")
            }
        }
        let _ = crossbeam_channel::after(CHECKPOINT_AGAIN).recv();
        if stop.is_cancelled() {
            return Err(RecoveryError::Stopped.into());
        }
    }
}
