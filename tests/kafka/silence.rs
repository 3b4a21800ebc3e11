//! A connection to Kafka that is dropped without a word: it is noticed, said, and replaced soon.
#![allow(clippy::unwrap_used)]

use std::sync::Barrier;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtalink::config::model::Kafka;
use rtalink::journal::message::{Message, Route};
use rtalink::kafka::publisher::Drained;

use crate::support;

use support::forward::Forward;
use support::kafka::{Broker, free_port, unique};
use support::wait::{until_true, within};
use support::{publishing, sections};

/// librdkafka's own time-outs are four times that.
const NOTICED: Duration = Duration::from_secs(15);

fn kafka(bootstrap: &str, delivery: &str) -> Kafka {
    let topics = sections::topics(&unique("silence"));
    publishing::kafka(&format!("bootstrap_servers = \"{bootstrap}\"\ndelivery = \"{delivery}\"\n{topics}"))
}

fn message(number: u64) -> Message {
    Message {
        route: Route::AgentState,
        key: "avaya-1/1/7".into(),
        payload: Bytes::from(number.to_string()),
        headers: Vec::new(),
        read_at: None,
    }
}

#[test]
fn a_way_that_has_gone_silent_is_noticed_and_replaced() {
    let forward = Forward::start();
    // The broker reaches itself by its own listener: only clients go the way that is forgotten.
    let _broker = Broker::start_with(|| {
        let listener = free_port();
        forward.lead_to(&format!("127.0.0.1:{listener}"));
        vec!["--forward".to_owned(), format!("{listener},{}", forward.port())]
    });
    let through = format!("127.0.0.1:{}", forward.port());
    let both_publish = Barrier::new(2);
    std::thread::scope(|scope| {
        for delivery in ["at-least-once", "exactly-once"] {
            let (through, forward, both_publish) = (&through, &forward, &both_publish);
            scope.spawn(move || {
                let id = unique("avaya");
                let (publisher, _store) = publishing::publisher(&kafka(through, delivery), &id);
                let handle = publisher.handle(&id).unwrap();
                for number in 0..10 {
                    handle.submit(publishing::batch(vec![message(number)])).unwrap();
                }
                until_true("it publishes", || handle.acknowledged_to() == 10);
                assert_eq!(handle.health().last_error, None, "{delivery}");
                if both_publish.wait().is_leader() {
                    forward.forget();
                }
                both_publish.wait();
                handle.submit(publishing::batch(vec![message(10)])).unwrap();
                within(NOTICED, &format!("{delivery}: it is said"), || handle.health().last_error);
                within(NOTICED, &format!("{delivery}: it arrives"), || (handle.acknowledged_to() == 11).then_some(()));
                assert_eq!(publisher.drain(Instant::now() + NOTICED), Drained::default(), "{delivery}");
            });
        }
    });
}
