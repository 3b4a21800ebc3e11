//! The consumers under `examples/`, with whatever can lie on a topic: they say the same of it.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use prost::Message as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rtalink::contract::{self, AGENT_STATE_EVENT, header, v1};
use rtalink::time::Timestamp;
use serde_json::{Value, json};

use crate::support;

use support::kafka::{Broker, free_port, unique};
use support::python::python;
use support::wait::until;

/// What users run is `main` in it, which loops over this.
#[path = "../../examples/board.rs"]
#[allow(dead_code, clippy::print_stderr)]
mod board;

const KEY: &str = "avaya-1/1/301204";
const OTHER: &str = "avaya-1/1/0471";

fn event(sequence: u64, second: i64, activity: Option<&str>) -> v1::AgentStateEvent {
    let at = |second: i64| Some(contract::timestamp(Timestamp::from_millis(1_767_600_000_000 + second * 1_000)));
    v1::AgentStateEvent {
        event_id: format!("{sequence}-{second}"),
        external_user: "301204".to_owned(),
        sequence,
        external_activity: "AUX:3".to_owned(),
        activity: activity.map(|name| v1::Activity { activity_id: "7".to_owned(), activity_name: name.to_owned() }),
        activity_since: activity.and(at(second)),
        state_since: at(second),
        observed_at: at(second),
        ..Default::default()
    }
}

/// As a later version might write it: fields and a cause that this one does not have.
fn of_a_later_version(json: &[u8]) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(json).unwrap();
    event["cause"] = "PREDICTED".into();
    event["mood"] = json!({ "colour": "BLUE" });
    event["state"]["seat"] = 7.into();
    event.to_string().into_bytes()
}

struct Topic {
    producer: BaseProducer,
    name: String,
}

impl Topic {
    fn put(&self, key: &str, content_type: &str, schema: &str, value: Option<&[u8]>) {
        let header = |key, value| Header { key, value: Some(value) };
        let headers = OwnedHeaders::new()
            .insert(header(header::CONTENT_TYPE, content_type))
            .insert(header(header::SCHEMA, schema));
        let mut record = BaseRecord::to(&self.name).key(key).partition(0);
        if let Some(value) = value {
            record = record.headers(headers).payload(value);
        }
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    fn put_protobuf(&self, key: &str, event: &v1::AgentStateEvent) {
        self.put(key, header::PROTOBUF, AGENT_STATE_EVENT, Some(&event.encode_to_vec()));
    }

    fn put_json(&self, key: &str, event: &v1::AgentStateEvent) {
        let json = contract::message_to_json(AGENT_STATE_EVENT, event).unwrap();
        self.put(key, header::JSON, AGENT_STATE_EVENT, Some(&of_a_later_version(&json)));
    }
}

/// Everything that a consumer has to be ready for, and what it says.
fn fill(topic: &Topic) -> [&'static str; 7] {
    topic.put_protobuf(KEY, &event(1, 0, Some("Break")));
    topic.put_protobuf(KEY, &event(1, 0, Some("Break"))); // a copy
    let state = v1::State { mode: 99, ..Default::default() };
    let mut later = event(2, 1, Some("Lunch"));
    (later.cause, later.state) = (77, Some(state));
    let mut unknown_field = later.encode_to_vec();
    unknown_field.extend([0xfa, 0x3f, 2, b'h', b'i']); // field 1023
    topic.put(KEY, header::PROTOBUF, AGENT_STATE_EVENT, Some(&unknown_field));
    topic.put_protobuf(KEY, &event(1, 0, Some("Break"))); // a copy that was overtaken
    topic.put_json(OTHER, &event(5, 2, None));
    // What nobody can read.
    topic.put(KEY, "application/avro", AGENT_STATE_EVENT, Some(b"?"));
    topic.put(KEY, header::JSON, AGENT_STATE_EVENT, Some(b"{"));
    topic.put(KEY, header::PROTOBUF, AGENT_STATE_EVENT, Some(&[0xff; 3]));
    topic.put(KEY, header::PROTOBUF, "rtalink.v2.AgentStateEvent", Some(&event(9, 9, None).encode_to_vec()));
    // Forgotten, and forgotten once more; then they come again, with numbers from 1 on.
    topic.put(KEY, "", "", None);
    topic.put(KEY, "", "", None);
    topic.put_protobuf(KEY, &event(1, 3, Some("Call")));
    // The store was replaced by an older one: what stands behind counts.
    topic.put_json(OTHER, &event(3, 4, Some("Break")));
    topic.put_json(OTHER, &event(4, 5, Some("Call")));
    topic.producer.flush(Duration::from_secs(20)).unwrap();
    [
        "301204: Break (AUX:3) since 2026-01-05T08:00:00Z",
        "301204: Lunch (AUX:3) since 2026-01-05T08:00:01Z",
        "301204: no activity (AUX:3) since 2026-01-05T08:00:02Z",
        "avaya-1/1/301204: forgotten",
        "301204: Call (AUX:3) since 2026-01-05T08:00:03Z",
        "301204: Break (AUX:3) since 2026-01-05T08:00:04Z",
        "301204: Call (AUX:3) since 2026-01-05T08:00:05Z",
    ]
}

const LEFT_OUT: usize = 4;

/// `examples/board.py`, beside the modules that protoc has made as its comment says.
fn python_board(folder: &Path, arguments: &[&str]) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut protoc = python("consumer");
    protoc.args(["-m", "grpc_tools.protoc", "-Iproto"]).arg(format!("--python_out={}", folder.display()));
    protoc.args(["agent_state", "feed_status", "audit"].map(|name| format!("proto/rtalink/v1/{name}.proto")));
    assert!(protoc.status().unwrap().success());
    let mut board = python("consumer");
    board.current_dir(folder).arg("-u").arg(root.join("examples/board.py")).args(arguments);
    board.stdout(Stdio::piped()).stderr(Stdio::piped());
    board
}

/// Ends with it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn both_boards_say_the_same_of_everything_that_can_lie_on_a_topic() {
    let kafka = Broker::shared();
    let name = unique("board");
    kafka.create_topic(&name, 2, &[]);
    let producer = ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create().unwrap();
    let expected = fill(&Topic { producer, name: name.clone() });

    let consumer = board::from_the_beginning(kafka.bootstrap(), &name).unwrap();
    let mut board = board::Board::default();
    let (mut said, mut left_out) = (Vec::new(), Vec::new());
    until("what the Rust board says", || {
        while let Some(message) = consumer.poll(Duration::from_millis(100)) {
            match board.take(&message.unwrap()) {
                Ok(line) => said.extend(line),
                Err(error) => left_out.push(error.to_string()),
            }
        }
        (said.len() >= expected.len()).then_some(())
    });
    assert_eq!(said, expected);
    assert_eq!(left_out.len(), LEFT_OUT, "{left_out:?}");
    assert!(consumer.assignment().unwrap().count() == 2);

    let folder = tempfile::tempdir().unwrap();
    let mut python = Running(python_board(folder.path(), &[kafka.bootstrap(), &name]).spawn().unwrap());
    let lines = BufReader::new(python.0.stdout.take().unwrap()).lines();
    let said: Vec<String> = lines.take(expected.len()).map(Result::unwrap).collect();
    assert_eq!(said, expected);
    let lines = BufReader::new(python.0.stderr.take().unwrap()).lines();
    let left_out: Vec<String> = lines.take(LEFT_OUT).map(Result::unwrap).collect();
    let place = format!("{name}, partition 0, offset ");
    assert!(left_out.iter().all(|line| line.starts_with(&place) && line.contains(" is left out: ")), "{left_out:?}");
}

#[test]
fn a_topic_that_is_not_there_and_a_kafka_that_is_not_are_named() {
    let kafka = Broker::shared();
    let name = unique("no-board");
    let nowhere = format!("127.0.0.1:{}", free_port());
    let folder = tempfile::tempdir().unwrap();
    let no_topic = format!("there is no topic {name}: has rtalink been started with this Kafka");
    let cases = [(kafka.bootstrap(), no_topic.as_str()), (&nowhere, &format!("no answer from Kafka at {nowhere}"))];
    for (servers, expected) in cases {
        let python = python_board(folder.path(), &[servers, &name]).spawn().unwrap();
        let error = board::from_the_beginning(servers, &name).err().unwrap().to_string();
        assert!(error.starts_with(expected), "{error}");
        let output = python.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains(expected), "{error}");
        assert!(!error.contains("Traceback"), "{error}");
    }
    // Asking for it has not made it.
    assert!(board::from_the_beginning(kafka.bootstrap(), &name).is_err());
}
