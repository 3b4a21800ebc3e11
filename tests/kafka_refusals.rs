//! A broker refuses a message for its size: it becomes a dead letter, and the messages around it arrive in order.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use rtalink::publish::message::{Message, Route};
use rtalink::publish::publisher::Drained;

mod support;

use support::kafka::{Broker, unique};
use support::publishing;
use support::service::{folder, parse};
use support::topic;

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
    let toml = format!(
        r#"
        [kafka]
        bootstrap_servers = "{}"
        [kafka.topics]
        events = "{events}"
        current = "{current}"
        feed_status = "{feed_status}"
        dead_letter = "{dead_letter}"
        [kafka.properties]
        "compression.type" = "none"
        [[integration]]
        id = "avaya-1"
        kind = "avaya-cms"
        acd = 1
        "#,
        broker.bootstrap()
    );
    let config = parse(&toml, &folder(&[]));
    let (publisher, _store) = publishing::publisher(&config.kafka, "avaya-1");
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
