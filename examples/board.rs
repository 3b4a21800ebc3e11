//! Who does what right now: reads the topic `current` and prints each change.
//!
//! ```text
//! cargo run --example board -- localhost:9092
//! cargo run --example board -- localhost:9092 rta.agent-state.current
//! ```
//!
//! It shows what every consumer has to do: begin at the beginning of `current`, which holds the last event of every agent;
//! leave out copies, since delivery is at least once; read the value as its headers say, and leave out what it does not know; and
//! take a message without a value for an agent who is forgotten. `docs/events.md` explains the fields, and how they may change.
//! Partitions that are added meanwhile are read from the next start on.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rtalink::contract::{self, header, v1};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("board: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let servers = arguments.next().unwrap_or_else(|| "localhost:9092".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "rta.agent-state.current".to_owned());
    let consumer = from_the_beginning(&servers, &topic)?;
    let mut board = Board::default();
    loop {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => match board.take(&message) {
                Ok(Some(line)) => writeln!(std::io::stdout(), "{line}")?,
                Ok(None) => {}
                Err(error) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    eprintln!("{topic}, partition {partition}, offset {offset} is left out: {error:#}");
                }
            },
            Some(Err(error)) if is_without_topic(error.rdkafka_error_code()) => bail!(no_topic(&topic)),
            // The library connects again by itself.
            Some(Err(error)) => eprintln!("{error}"),
            None => {}
        }
    }
}

/// A consumer in no group: each of them reads the whole table.
pub(crate) fn from_the_beginning(servers: &str, topic: &str) -> anyhow::Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "rtalink-board")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(5));
    let metadata = metadata.with_context(|| format!("no answer from Kafka at {servers}"))?;
    let mut assignment = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        assignment.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
    }
    anyhow::ensure!(assignment.count() > 0, no_topic(topic));
    consumer.assign(&assignment)?;
    Ok(consumer)
}

fn is_without_topic(code: Option<RDKafkaErrorCode>) -> bool {
    matches!(code, Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition))
}

fn no_topic(topic: &str) -> String {
    format!(
        "there is no topic {topic}: has rtalink been started with this Kafka, and is that the name in [kafka.topics]?"
    )
}

/// The last event of each agent, by key.
#[derive(Debug, Default)]
pub(crate) struct Board {
    latest: HashMap<Vec<u8>, v1::AgentStateEvent>,
}

impl Board {
    /// Returns what to say of a message; `None` if it is no news.
    pub(crate) fn take(&mut self, message: &BorrowedMessage<'_>) -> anyhow::Result<Option<String>> {
        let key = message.key().unwrap_or_default();
        let Some(value) = message.payload() else {
            let forgotten = self.latest.remove(key);
            return Ok(forgotten.map(|_| format!("{}: forgotten", String::from_utf8_lossy(key))));
        };
        let event = event_of(message, value)?;
        // A copy, or an event that a later one has overtaken.
        let is_known =
            |known: &v1::AgentStateEvent| known.sequence >= event.sequence && observed_at(known) >= observed_at(&event);
        if self.latest.get(key).is_some_and(is_known) {
            return Ok(None);
        }
        let employee = event.user.as_ref().map_or(&event.external_user, |user| &user.employee_name);
        let activity = event.activity.as_ref().map_or("no activity", |activity| &activity.activity_name);
        let since = event.activity_since.as_ref().or(event.state_since.as_ref());
        let since = since.map(ToString::to_string).unwrap_or_default();
        let line = format!("{employee}: {activity} ({}) since {since}", event.external_activity);
        self.latest.insert(key.to_owned(), event);
        Ok(Some(line))
    }
}

fn observed_at(event: &v1::AgentStateEvent) -> Option<rtalink::time::Timestamp> {
    event.observed_at.as_ref().map(contract::from_timestamp)
}

/// The value, as the headers say how it is written: an error where they say something else.
fn event_of(message: &BorrowedMessage<'_>, value: &[u8]) -> anyhow::Result<v1::AgentStateEvent> {
    let header = |name: &str| {
        let mut headers = message.headers()?.iter();
        let value = headers.find(|found| found.key == name)?.value?;
        std::str::from_utf8(value).ok()
    };
    let schema = header(header::SCHEMA);
    anyhow::ensure!(schema == Some(contract::AGENT_STATE_EVENT), "it is no AgentStateEvent, but {schema:?}");
    match header(header::CONTENT_TYPE) {
        Some(header::PROTOBUF) => Ok(v1::AgentStateEvent::decode(value)?),
        // Leaves out fields and names that it does not know, as protobuf does.
        Some(header::JSON) => Ok(contract::from_json(contract::AGENT_STATE_EVENT, value)?),
        other => bail!("an unknown content-type: {other:?}"),
    }
}
