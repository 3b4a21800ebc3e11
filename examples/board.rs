//! Who does what right now: reads the topic `current` and prints each change.
//!
//! ```text
//! cargo run --example board -- localhost:9092
//! cargo run --example board -- localhost:9092 rta.agent-state.current
//! ```
//!
//! It shows what every consumer has to do: begin at the beginning of `current`, which holds the last event of every agent;
//! leave out copies, since delivery is at least once; read the value as its header says; and take a message without a value
//! for an agent who is forgotten. `docs/events.md` explains the fields.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::Duration;

use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rtalink::contract::{self, header, v1};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let servers = arguments.next().unwrap_or_else(|| "localhost:9092".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "rta.agent-state.current".to_owned());
    let consumer = from_the_beginning(&servers, &topic)?;
    let mut agents = HashMap::new();
    loop {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => take(&message, &mut agents)?,
            // librdkafka connects again by itself.
            Some(Err(error)) => eprintln!("{error}"),
            None => {}
        }
    }
}

/// A consumer in no group: each of them reads the whole table.
fn from_the_beginning(servers: &str, topic: &str) -> anyhow::Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "rtalink-board")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let mut assignment = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        assignment.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
    }
    anyhow::ensure!(assignment.count() > 0, "there is no topic {topic}");
    consumer.assign(&assignment)?;
    Ok(consumer)
}

/// Keeps the last event of each key, and prints it if it is news.
fn take(message: &BorrowedMessage<'_>, agents: &mut HashMap<Vec<u8>, v1::AgentStateEvent>) -> anyhow::Result<()> {
    let key = message.key().unwrap_or_default();
    let Some(value) = message.payload() else {
        if agents.remove(key).is_some() {
            writeln!(std::io::stdout(), "{}: forgotten", String::from_utf8_lossy(key))?;
        }
        return Ok(());
    };
    let event = if is_json(message) {
        contract::from_json(contract::AGENT_STATE_EVENT, value)?
    } else {
        v1::AgentStateEvent::decode(value)?
    };
    // Of copies, which at-least-once delivery sends, neither is later.
    let observed_at = |event: &v1::AgentStateEvent| event.observed_at.as_ref().map(contract::from_timestamp);
    let is_known =
        |known: &v1::AgentStateEvent| known.sequence >= event.sequence && observed_at(known) >= observed_at(&event);
    if agents.get(key).is_some_and(is_known) {
        return Ok(());
    }
    let activity = event.activity.as_ref().map_or("no activity", |activity| &activity.activity_name);
    let employee = event.user.as_ref().map_or(&event.external_user, |user| &user.employee_name);
    let since = event.activity_since.as_ref().map(|since| contract::from_timestamp(since).to_string());
    let since = since.unwrap_or_default();
    writeln!(std::io::stdout(), "{employee}: {activity} ({}) since {since}", event.external_activity)?;
    agents.insert(key.to_owned(), event);
    Ok(())
}

fn is_json(message: &BorrowedMessage<'_>) -> bool {
    let content_type = message.headers().and_then(|headers| {
        headers.iter().find(|found| found.key == header::CONTENT_TYPE).and_then(|found| found.value)
    });
    content_type == Some(header::JSON.as_bytes())
}
