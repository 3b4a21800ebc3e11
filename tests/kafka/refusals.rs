//! A broker refuses a message for its size: it becomes a dead letter, and the messages around it arrive in order. It refuses
//! all of them for their time: that is said in words, and they wait.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use rtalink::journal::message::{Message, Route};
use rtalink::kafka::observer::{KafkaCondition, Observer};
use rtalink::kafka::publisher::Drained;

use crate::support;

use support::kafka::{Broker, unique};
use support::publishing;
use support::topic;
use support::wait::within;

const MESSAGES: usize = 200;
const KEYS: usize = 7;

fn message(number: usize, size: usize) -> Message {
    let payload = format!("{number:0>size$}");
    let key = format!("avaya-1/1/{}", number % KEYS).into();
    Message { route: Route::AgentState, key, payload: Bytes::from(payload), headers: Vec::new(), read_at: None }
}

#[test]
fn a_message_that_is_too_large_becomes_a_dead_letter_and_stops_nobody() {
    let broker = Broker::shared();
    let [events, current, feed_status, dead_letter] = ["events", "current", "feed-status", "dead-letter"].map(unique);
    broker.create_topic(&events, 3, &[("max.message.bytes", "1000")]);
    let kafka = publishing::kafka(&format!(
        r#"bootstrap_servers = "{}"
        [kafka.topics]
        events = "{events}"
        current = "{current}"
        feed_status = "{feed_status}"
        dead_letter = "{dead_letter}"
        [kafka.properties]
        "compression.type" = "none""#,
        broker.bootstrap()
    ));
    let (publisher, _store) = publishing::publisher(&kafka, "avaya-1");
    let handle = publisher.handle("avaya-1").unwrap();
    let large = MESSAGES / 2;
    let size = |number| if number == large { 2_000 } else { 20 };
    let messages = (0..MESSAGES).map(|number| message(number, size(number))).collect();
    handle.submit(publishing::batch(messages)).unwrap();
    assert_eq!(publisher.drain(Instant::now() + Duration::from_secs(60)), Drained::default());

    let dead = topic::read(broker.bootstrap(), &dead_letter);
    assert_eq!(dead.len(), 1);
    let mut arrived = Vec::new();
    for key in 0..KEYS {
        let numbers: Vec<usize> = topic::read(broker.bootstrap(), &events)
            .iter()
            .filter(|received| received.key.ends_with(&format!("/{key}")))
            .map(|received| String::from_utf8_lossy(&received.value).parse().unwrap())
            .collect();
        // What was on its way when the refusal came may arrive again, behind.
        let mut first: Vec<usize> = Vec::new();
        numbers.iter().for_each(|number| {
            if !first.contains(number) {
                first.push(*number);
            }
        });
        assert!(first.is_sorted(), "{numbers:?}");
        arrived.extend(first);
    }
    arrived.sort_unstable();
    assert_eq!(arrived, (0..MESSAGES).filter(|number| *number != large).collect::<Vec<_>>());
}

#[derive(Default)]
struct Told(Mutex<Vec<(KafkaCondition, bool)>>);

impl Observer for Told {
    fn condition(&self, condition: KafkaCondition, lasts: bool) {
        self.0.lock().push((condition, lasts));
    }
}

/// The topic takes no message that is a millisecond old: as if our clock were an hour off.
#[test]
fn that_the_clocks_differ_is_said_and_everything_waits() {
    let broker = Broker::shared();
    let name = unique("times");
    broker.create_topic(&format!("{name}.events"), 1, &[("message.timestamp.before.max.ms", "0")]);
    let topics = support::sections::topics(&name);
    let servers = broker.bootstrap();
    let kafka = publishing::kafka(&format!("bootstrap_servers = \"{servers}\"\nlinger = \"20ms\"\n{topics}"));
    let (store, told) = (tempfile::TempDir::new().unwrap(), Arc::new(Told::default()));
    let observer = Arc::clone(&told) as Arc<dyn Observer>;
    let publisher = publishing::observed_in(store.path(), &kafka, "avaya-1", observer);
    let handle = publisher.handle("avaya-1").unwrap();
    handle.submit(publishing::batch(vec![message(1, 20)])).unwrap();
    let error = within(Duration::from_secs(60), "the refusal is said", || {
        handle.health().last_error.filter(|error| error.kind == "InvalidTimestamp")
    });
    assert!(
        error.message.contains("message.timestamp.after.max.ms") && error.message.contains("set the clock"),
        "{error:?}"
    );
    assert_eq!(told.0.lock().first(), Some(&(KafkaCondition::TimestampRefused, true)));
    assert_eq!(handle.pending(), 1);
}
