//! What it costs to encode an event, beside a copy of the same bytes, and beside the same event as a message of `prost`.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/engine.rs"]
mod engine;
mod support;

use std::hint::black_box;

use prost::Message as _;
use rtalink::contract::event::{encode, event_id};
use rtalink::contract::v1::AgentStateEvent;
use support::feeds::{Fed, Feed};
use support::rounds::Cases;

const ROUNDS: usize = 100;

fn main() {
    for (name, feed) in [("1 to 6 skills", Feed::USUAL), ("20 skills", Feed::WIDE)] {
        let mut fed = Fed::new(&Feed { changes: 100, ..feed }, None);
        let events = fed.events();
        let of_all = |bytes: &mut Vec<u8>| {
            for (event, annotation) in &events {
                encode("avaya-1", event_id("avaya-1", event), event, annotation, bytes);
            }
        };
        let messages: Vec<AgentStateEvent> = events
            .iter()
            .map(|(event, annotation)| {
                let mut bytes = Vec::new();
                encode("avaya-1", event_id("avaya-1", event), event, annotation, &mut bytes);
                AgentStateEvent::decode(&*bytes).unwrap()
            })
            .collect();
        let mut written = Vec::new();
        of_all(&mut written);
        let (mut copy, mut by_prost, mut direct) = (Vec::new(), Vec::new(), Vec::new());
        let mut cases = Cases::default();
        cases.floor("a copy of the bytes", || {
            copy.clear();
            copy.extend_from_slice(&written);
            black_box(&copy);
        });
        cases.case("a message of prost that is there already", || {
            by_prost.clear();
            for message in &messages {
                message.encode(&mut by_prost).unwrap();
            }
            black_box(&by_prost);
        });
        cases.case("the ids alone", || {
            for (event, _) in &events {
                black_box(event_id("avaya-1", event));
            }
        });
        cases.case("rtalink: id and event", || {
            direct.clear();
            of_all(&mut direct);
            black_box(&direct);
        });
        let title = format!("encode: {name}, {} bytes an event", written.len() / events.len());
        cases.print(&title, ROUNDS, events.len());
    }
}
