//! How long a start takes until CMS can dial in, with the agents in the store and Kafka away; and how large the store is.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use tempfile::TempDir;

#[path = "../tests/support/mod.rs"]
mod support;

use support::engine;
use support::process::Process;
use support::sections;
use support::service::Running;
use support::wait::until_true;

fn config(kafka: &str) -> String {
    format!("[kafka]\n{kafka}\n{}", sections::integration("details = true", "layout = \"cisco-icm-20\""))
}

fn main() {
    println!("from the start of the process until CMS can dial in; 20 skills per agent, Kafka away");
    for agents in [10, 10_000, 100_000] {
        let folder = filled(agents);
        let size: u64 =
            fs::read_dir(folder.path().join("data")).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        let toml = config("bootstrap_servers = \"127.0.0.1:1\"\n");
        let mut times: Vec<Duration> = (0..5)
            .map(|_| {
                let begin = Instant::now();
                let process = Process::run(&folder, &toml);
                let took = begin.elapsed();
                drop(process);
                took
            })
            .collect();
        times.sort_unstable();
        let store = size as f64 / 1e6;
        println!(
            "{agents:>7} agents: median {:>5.0} ms, worst {:>5.0} ms, store {store:.1} MB",
            millis(times[2]),
            millis(times[4])
        );
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A folder whose store has so many agents.
fn filled(agents: usize) -> TempDir {
    let service = Running::start(&config("bootstrap_servers = \"embedded\""));
    let mut feed = service.dial();
    feed.write_all(engine::snapshot(agents, 20, 0).as_bytes()).unwrap();
    drop(feed);
    until_true("everything taken", || service.metric("rtalink_feed_records_total", "") as usize >= agents);
    until_true("everything acknowledged", || service.pending() == 0);
    let (kept, folder) = service.drain();
    assert_eq!(kept, 0);
    folder
}
