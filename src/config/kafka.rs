//! `[kafka]`: the cluster, the topics, and what is handed to librdkafka.

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::{Node, Value};
use super::model::{Bootstrap, Delivery, Format, Kafka};
use super::problem::{Origin, Problem};
use super::reader::{Slot, TableReader};
use super::schema;
use super::topics::{RetentionConfig, Topic, TopicSpec, Topics};
use super::values;

const ONE_IN_FLIGHT: &str = "a second request could get in ahead of a refused first one, which would then be lost";

/// Properties that only we set, and why.
const REFUSED: [(&str, &str); 9] = [
    ("acks", "events count as delivered only when all in-sync replicas have them"),
    ("request.required.acks", "events count as delivered only when all in-sync replicas have them"),
    ("enable.idempotence", "without it retries could reorder or double the events of an agent"),
    ("transactional.id", "it belongs to exactly-once delivery, which names its own"),
    ("message.timeout.ms", "events must wait for as long as Kafka is away, or those of one agent would be reordered"),
    ("delivery.timeout.ms", "events must wait for as long as Kafka is away, or those of one agent would be reordered"),
    ("max.in.flight.requests.per.connection", ONE_IN_FLIGHT),
    ("max.in.flight", ONE_IN_FLIGHT),
    ("partitioner", "murmur2_random puts an agent's events where Java consumers expect them"),
];

/// Properties that a key of `[kafka]` sets.
const BOOTSTRAP: [&str; 2] = ["bootstrap.servers", "metadata.broker.list"];

const DEFAULT_COMMIT_INTERVAL: Duration = Duration::from_millis(50);
const LONGEST_COMMIT_INTERVAL: Duration = Duration::from_secs(10);

const DEFAULT_LINGER: Duration = Duration::from_millis(1);

/// The longest that librdkafka takes.
const LONGEST_LINGER: Duration = Duration::from_secs(900);

/// Where each property of `[kafka.properties]` is written.
pub(super) type PropertyOrigins = BTreeMap<String, Origin>;

/// Reads `[kafka]`.
pub(super) fn read(kafka: &TableReader<'_>, retention: &RetentionConfig) -> (Kafka, PropertyOrigins) {
    let servers = kafka.required("bootstrap_servers", "\"HOST:9092\", or \"embedded\" to try out", bootstrap);
    let bootstrap = servers.unwrap_or(Bootstrap::Embedded);
    let delivery = kafka.or("delivery", Delivery::AtLeastOnce, |slot| delivery(slot, &bootstrap));
    let (properties, origins) = properties(kafka);
    let kafka = Kafka {
        retention: retention.clone(),
        bootstrap,
        format: kafka.or(
            "format",
            Format::Protobuf,
            values::choice(&[("protobuf", Format::Protobuf), ("json", Format::Json)]),
        ),
        delivery,
        commit_interval: commit_interval(kafka, delivery),
        topics: topics(&kafka.table("topics", schema::TOPICS)),
        properties,
        create_topics: kafka.or("create_topics", true, values::boolean),
        partitions: kafka.or("partitions", 6, values::integer(1..=100_000)),
        replication_factor: kafka.optional("replication_factor", values::integer(1..=32_767)),
        linger: kafka.or("linger", DEFAULT_LINGER, linger),
        queue_events: kafka.or("queue_events", 100_000, values::integer(1..=10_000_000)),
    };
    (kafka, origins)
}

fn bootstrap(slot: Slot<'_>) -> Option<Bootstrap> {
    const EXPECTED: &str = "host:port, several parted by commas, or \"embedded\"";
    let text = values::filled_text(slot)?;
    if text == "embedded" {
        return Some(Bootstrap::Embedded);
    }
    if text.contains('@') {
        let hint = "rtalink says who it is with sasl.username and sasl.password in [kafka.properties]".to_owned();
        return slot.error("expected hosts and ports, without a user or a password", Some(hint));
    }
    let servers: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_server = |server: &&str| {
        let host_and_port = server.rsplit_once("://").map_or(*server, |(_, rest)| rest);
        let (host, port) = match host_and_port.rsplit_once(':') {
            Some((host, port)) if !host_and_port.ends_with(']') => (host, port),
            _ => (host_and_port, "9092"),
        };
        !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if servers.iter().all(is_server) { Some(Bootstrap::Servers(servers.join(","))) } else { slot.wrong(EXPECTED, None) }
}

fn delivery(slot: Slot<'_>, bootstrap: &Bootstrap) -> Option<Delivery> {
    let choices = [("at-least-once", Delivery::AtLeastOnce), ("exactly-once", Delivery::ExactlyOnce)];
    let delivery = values::choice(&choices)(slot)?;
    if delivery == Delivery::ExactlyOnce && *bootstrap == Bootstrap::Embedded {
        let hint = "use \"at-least-once\": an event keeps its id over retries and restarts";
        return slot.error("\"exactly-once\" is refused with the embedded cluster", Some(hint.to_owned()));
    }
    Some(delivery)
}

fn commit_interval(kafka: &TableReader<'_>, delivery: Delivery) -> Duration {
    const KEY: &str = "commit_interval";
    if kafka.has(KEY) && delivery == Delivery::AtLeastOnce {
        let problem = Problem::warning(kafka.origin_of(KEY), format!("{KEY}: has no effect"));
        kafka.problems.add(problem.hint("it is for delivery = \"exactly-once\""));
    }
    kafka.or(KEY, DEFAULT_COMMIT_INTERVAL, |slot| {
        let interval = values::positive_duration(slot)?;
        if interval > LONGEST_COMMIT_INTERVAL { slot.error("must be at most 10s", None) } else { Some(interval) }
    })
}

fn linger(slot: Slot<'_>) -> Option<Duration> {
    let linger = values::duration(slot)?;
    if linger > LONGEST_LINGER { slot.error("must be at most 15m", None) } else { Some(linger) }
}

fn topics(topics: &TableReader<'_>) -> Topics {
    let read = Topics::of(|kind| {
        let TopicSpec { key, default_name, .. } = kind.spec();
        topics.or(key, default_name.to_owned(), topic)
    });
    let named = Topic::ALL.map(|topic| (topic.spec().key, &read[topic]));
    for (index, (key, name)) in named.iter().enumerate() {
        if let Some((other, _)) = named.iter().take(index).find(|(_, other)| other == name) {
            let origin = if topics.has(key) { topics.origin_of(key) } else { topics.origin_of(other) };
            let message = format!("{key} and {other} are the same topic {name:?}");
            topics.problems.add(Problem::error(origin, message).hint("every kind of message needs its own topic"));
        }
    }
    read
}

/// Most characters of a topic's name: Kafka's own bound.
const LONGEST_TOPIC: usize = 249;

fn topic(slot: Slot<'_>) -> Option<String> {
    let name = values::text(slot)?;
    let spelled = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_name =
        !name.is_empty() && name.len() <= LONGEST_TOPIC && name.bytes().all(spelled) && name != "." && name != "..";
    if is_name {
        return Some(name);
    }
    slot.wrong("a topic name: up to 249 letters, digits, dots, underscores and hyphens", None)
}

fn properties(kafka: &TableReader<'_>) -> (BTreeMap<String, String>, PropertyOrigins) {
    let mut written = BTreeMap::new();
    if let Some(slot) = kafka.slot("properties") {
        collect_properties(slot, "", &mut written);
    }
    let origins = written.iter().map(|(name, (_, origin))| (name.clone(), Origin::clone(origin))).collect();
    let mut properties: BTreeMap<_, _> = written.into_iter().map(|(name, (value, _))| (name, value)).collect();
    if !properties.contains_key("compression.type") && !properties.contains_key("compression.codec") {
        properties.insert("compression.type".to_owned(), "lz4".to_owned());
    }
    (properties, origins)
}

/// Unquoted `a.b = 1` is a table in a table to TOML, and the property `a.b` to us.
fn collect_properties(slot: Slot<'_>, prefix: &str, properties: &mut BTreeMap<String, (String, Origin)>) {
    let table = TableReader::open_any(slot, "[kafka.properties]");
    for entry in table.entries() {
        let name = format!("{prefix}{}", entry.key);
        let slot = Slot { node: &entry.node, name: &name, problems: table.problems };
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            slot.error::<()>("is not yours to set", Some(format!("remove it: {why}")));
        } else if BOOTSTRAP.contains(&name.as_str()) {
            let problem = Problem::warning(entry.node.origin.clone(), format!("{name}: has no effect"));
            slot.problems.add(problem.hint("kafka.bootstrap_servers is what counts"));
        } else if let Value::Table(_) = entry.node.value {
            collect_properties(slot, &format!("{name}."), properties);
        } else if let Some(value) = property(&entry.node) {
            properties.insert(name, (value, entry.node.origin.clone()));
        } else {
            slot.wrong::<()>("text, a number, true or false", None);
        }
    }
}

fn property(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Float(number) => Some(number.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(value) => Some(value.to_string()),
        Value::Other(_) | Value::List(_) | Value::Table(_) => None,
    }
}
