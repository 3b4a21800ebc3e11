//! The ground that the other integration tests stand on: a real broker answers, takes and gives messages, tells the
//! settings of topics, and the independent consumer reads what our generated types wrote.

#![allow(clippy::unwrap_used)] // a panic here is a failed test

use std::time::{Duration, Instant};

use prost::Message as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rtalink::contract::{AGENT_STATE_EVENT, v1};
use serde_json::json;

use crate::support;

use support::kafka::{Broker, consume_with_python, unique};

const DEADLINE: Duration = Duration::from_secs(20);

fn produce(topic: &str, key: &str, value: &[u8], header: (&str, &str)) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", Broker::shared().bootstrap()).create().unwrap();
    let headers = OwnedHeaders::new().insert(Header { key: header.0, value: Some(header.1) });
    producer.send(BaseRecord::to(topic).key(key).payload(value).headers(headers)).unwrap();
    producer.flush(DEADLINE).unwrap();
}

#[test]
fn topics_have_the_settings_and_partitions_they_were_made_with() {
    let broker = Broker::shared();
    let topic = unique("settings");
    assert_eq!(broker.partitions(&topic), 0, "asking for a topic makes none");

    broker.create_topic(&topic, 3, &[("cleanup.policy", "compact")]);

    assert_eq!(broker.partitions(&topic), 3);
    let config = broker.topic_config(&topic);
    assert_eq!(config["cleanup.policy"], "compact");
    assert_eq!(config["min.insync.replicas"], "1", "defaults are told as well");
}

#[test]
fn a_message_comes_back_as_it_was_sent() {
    let broker = Broker::shared();
    let topic = unique("round-trip");
    broker.create_topic(&topic, 1, &[]);
    produce(&topic, "avaya-1/1/301204", b"\x00bytes\xff", ("content-type", "application/x-protobuf"));

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", &topic)
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    let deadline = Instant::now() + DEADLINE;
    let message = std::iter::from_fn(|| Some(consumer.poll(Duration::from_millis(200))))
        .take_while(|_| Instant::now() < deadline)
        .find_map(|polled| polled.and_then(Result::ok))
        .expect("the message within the deadline");

    assert_eq!(message.key(), Some(&b"avaya-1/1/301204"[..]));
    assert_eq!(message.payload(), Some(&b"\x00bytes\xff"[..]));
    let header = message.headers().unwrap().get(0);
    assert_eq!((header.key, header.value), ("content-type", Some(&b"application/x-protobuf"[..])));
}

#[test]
fn the_independent_consumer_reads_our_bytes() {
    let broker = Broker::shared();
    let topic = unique("independent");
    broker.create_topic(&topic, 2, &[]);
    let event = v1::AgentStateEvent {
        integration: "avaya-1".into(),
        acd: 1,
        login_id: "0301204".into(),
        agent_name: "Müller, Jörg".into(),
        sequence: 7,
        state: Some(v1::State { mode: v1::state::Mode::Aux.into(), aux_reason: Some(0), ..Default::default() }),
        observed_at: Some(prost_types::Timestamp { seconds: 1_767_600_000, nanos: 120_000_000 }),
        ..Default::default()
    };
    produce(&topic, "avaya-1/1/0301204", &event.encode_to_vec(), ("schema", AGENT_STATE_EVENT));

    let messages = consume_with_python(broker.bootstrap(), &topic, AGENT_STATE_EVENT);

    assert_eq!(messages.len(), 1);
    let message = &messages[0];
    assert_eq!(message["key"], "avaya-1/1/0301204");
    assert_eq!(message["headers"], json!({ "schema": AGENT_STATE_EVENT }));
    let ours: serde_json::Value =
        serde_json::from_slice(&rtalink::contract::message_to_json(AGENT_STATE_EVENT, &event).unwrap()).unwrap();
    assert_eq!(message["value"], ours, "both JSON forms are the proto3 mapping with defaults printed");
    assert_eq!(ours["state"]["auxReason"], 0, "an optional that is set is printed at 0");
}

#[test]
fn a_broker_of_ones_own_is_gone_when_it_is_dropped() {
    let broker = Broker::start();
    let address = broker.bootstrap().to_owned();
    drop(broker);
    assert!(std::net::TcpStream::connect(&address).is_err(), "{address} still listens");
}
