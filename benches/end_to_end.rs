//! What a changed record costs the whole process, from the socket to the acknowledgement of a real Kafka, beside a bare
//! producer that sends the same two messages with the same headers.
//!
//! Work: 10,000 agents with up to 6 skills, rows of some 118 bytes, one connection that sends as fast as it is read, `sync =
//! "normal"`. CPU is that of the process with all its threads; Kafka and the sender are other processes' and do not count.
//! Rounds are interleaved, and the median is shown. RTALINK_BEFORE=PATH measures another `rtalink` beside this one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

#[path = "support/bare.rs"]
mod bare;
#[path = "support/fed.rs"]
mod fed;
mod support;
#[path = "../tests/support/mod.rs"]
mod tests;

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

use bare::Pairs;
use fed::{Fed, Taken, median};
use support::cpu::Cpu;
use support::feeds::Feed;
use tests::engine;
use tests::kafka::{Broker, unique};
use tests::topic::{self, Received};

const ROUNDS: usize = 3;
/// Snapshots of a round.
const SNAPSHOTS: usize = 15;
/// Pairs of messages in a transaction of the bare producer: some more than the service has in 50 ms.
const TRANSACTION: usize = 2_500;
/// Messages that the bare producer repeats.
const SAMPLE: usize = 10_000;

fn main() {
    let broker = Broker::shared();
    let this = PathBuf::from(env!("CARGO_BIN_EXE_rtalink"));
    let before = env::var_os("RTALINK_BEFORE").map(PathBuf::from);
    let programs: Vec<(&str, PathBuf)> =
        before.into_iter().map(|file| ("before", file)).chain([("rtalink", this)]).collect();
    for (name, delivery) in [
        ("at-least-once", "delivery = \"at-least-once\""),
        ("exactly-once, 50 ms", "delivery = \"exactly-once\"\ncommit_interval = \"50ms\""),
    ] {
        every_row_a_change(broker, name, delivery, &programs);
    }
    rows(broker, &programs, 5);
    rows(broker, &programs, 0);
}

/// Every row is an event.
fn every_row_a_change(broker: &Broker, name: &str, delivery: &str, programs: &[(&str, PathBuf)]) {
    let mut services: Vec<(&str, Fed)> =
        programs.iter().map(|(name, file)| (*name, Fed::start(file, broker.bootstrap(), delivery, 100))).collect();
    let sample = sample(broker, &services[0].1.topics);
    let size = sample.iter().map(|message| message.value.len()).sum::<usize>() / sample.len();
    let topics = ["events", "current"].map(|topic| format!("{}.{topic}", unique("bare")));
    topics.iter().for_each(|topic| broker.create_topic(topic, 6, &[]));
    let topics = [&*topics[0], &*topics[1]];
    let transaction = (name != "at-least-once").then_some(TRANSACTION);
    let mut bare = Pairs::new(broker.bootstrap(), topics, &sample, transaction);
    let mut floor = Vec::new();
    let mut taken: BTreeMap<&str, Vec<Taken>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (name, service) in &mut services {
            taken.entry(name).or_default().push(service.round(SNAPSHOTS));
        }
        let pairs = SNAPSHOTS * Feed::USUAL.agents;
        let (begin, before) = (Instant::now(), Cpu::of(process::id()));
        bare.send(pairs);
        floor.push(Taken { wall: begin.elapsed(), cpu: Cpu::of(process::id()).since(&before), done: pairs });
    }
    println!("\nevery row a change, {name}, {size} bytes an event, acknowledged by Kafka");
    let floor = median(floor);
    println!("  {:<10} {:>6.2} us of CPU {:>9.0} events/s", "bare", floor.micros(), floor.rate());
    for (name, taken) in taken {
        print(name, &median(taken), &floor);
    }
}

/// What a row costs of which some are changes.
fn rows(broker: &Broker, programs: &[(&str, PathBuf)], changes: usize) {
    let mut services: Vec<(&str, Fed)> =
        programs.iter().map(|(name, file)| (*name, Fed::start(file, broker.bootstrap(), "", changes))).collect();
    let mut taken: BTreeMap<&str, Vec<Taken>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (name, service) in &mut services {
            taken.entry(name).or_default().push(service.round(20 * SNAPSHOTS));
        }
    }
    println!("\n{changes} % changes, whole process");
    for (name, taken) in taken {
        let median = median(taken);
        println!("  {name:<10} {:>6.3} us of CPU a row {:>9.0} rows/s", median.micros(), median.rate());
    }
}

fn print(name: &str, taken: &Taken, floor: &Taken) {
    let (cpu, rate) = (taken.micros() / floor.micros(), taken.rate() / floor.rate());
    println!(
        "  {name:<10} {:>6.2} us of CPU {:>9.0} events/s   {cpu:.2} x the CPU, {rate:.2} x the rate",
        taken.micros(),
        taken.rate()
    );
    let mut threads: Vec<_> = taken.cpu.threads.iter().filter(|(_, used)| **used > Duration::from_millis(50)).collect();
    threads.sort_by_key(|(_, used)| std::cmp::Reverse(**used));
    let threads: Vec<String> = threads
        .iter()
        .map(|(name, used)| format!("{name} {:.2}", used.as_secs_f64() * 1e6 / taken.done as f64))
        .collect();
    println!("             us by thread: {}", threads.join(", "));
}

/// Returns messages as the service has sent them.
fn sample(broker: &Broker, topics: &str) -> Vec<Received> {
    let mut messages = topic::read(broker.bootstrap(), &format!("{topics}.events"));
    messages.truncate(SAMPLE);
    messages
}
