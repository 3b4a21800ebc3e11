//! `rtalink` as a process that is fed, and what that has taken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss)]

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;

use crate::support::cpu::Cpu;
use crate::support::feeds::Feed;
use crate::tests::process::{Process, program};
use crate::tests::wait::within;
use crate::tests::{http, kafka, sections};

const LOOK_EVERY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(120);

/// What a round has taken.
pub(crate) struct Taken {
    pub(crate) wall: Duration,
    pub(crate) cpu: Cpu,
    pub(crate) done: usize,
}

impl Taken {
    /// Returns microseconds of CPU for one of what was done.
    pub(crate) fn micros(&self) -> f64 {
        self.cpu.whole.as_secs_f64() * 1e6 / self.done as f64
    }

    /// Returns how much was done in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.done as f64 / self.wall.as_secs_f64()
    }
}

/// A service that is fed.
pub(crate) struct Fed {
    process: Process,
    feed: TcpStream,
    pub(crate) topics: String,
    snapshots: Vec<Bytes>,
    sent: usize,
    changes: usize,
    _folder: TempDir,
}

impl Fed {
    /// Starts that program, with a feed of which so many rows out of a hundred change; everybody is known.
    pub(crate) fn start(file: &Path, bootstrap: &str, delivery: &str, changes: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let topics = kafka::unique("bench");
        let toml = format!(
            "[kafka]\nbootstrap_servers = \"{bootstrap}\"\n{delivery}\n{}\n[store]\nsync = \"normal\"\n{}",
            sections::topics(&topics),
            sections::integration("details = true", "layout = \"cisco-icm-20\"")
        );
        let process = Process::run_with(program(file), &folder, &toml);
        let feed = TcpStream::connect(process.feed()).unwrap();
        let snapshots = Feed { changes, ..Feed::USUAL }.snapshots();
        let mut fed = Self { process, feed, topics, snapshots, sent: 0, changes, _folder: folder };
        // Everybody is known, and the topics are there.
        fed.round(2);
        fed
    }

    /// Sends so many snapshots, and waits until what follows from them is acknowledged.
    pub(crate) fn round(&mut self, snapshots: usize) -> Taken {
        let (begin, before) = (Instant::now(), Cpu::of(self.process.id()));
        for _ in 0..snapshots {
            self.feed.write_all(&self.snapshots[self.sent % 2]).unwrap();
            self.sent += 1;
        }
        let rows = Feed::USUAL.agents * self.sent;
        let events = Feed::USUAL.agents * (100 + (self.sent - 1) * self.changes) / 100;
        within(PATIENCE, "everything acknowledged", || {
            let is_taken = self.metric("rtalink_feed_records_total") >= rows as f64;
            // What is asked is work of the service too: seldom.
            std::thread::park_timeout(LOOK_EVERY);
            (is_taken && self.metric("rtalink_events_total") >= events as f64 && self.pending() == 0).then_some(())
        });
        let cpu = Cpu::of(self.process.id()).since(&before);
        Taken { wall: begin.elapsed(), cpu, done: Feed::USUAL.agents * snapshots }
    }

    /// Returns how many messages wait.
    fn pending(&self) -> u64 {
        let health = http::get(self.process.http(), "/health/ready").json();
        health["kafka"]["pendingMessages"].as_u64().unwrap()
    }

    fn metric(&self, name: &str) -> f64 {
        http::sum(&http::get(self.process.http(), "/metrics").body, name, "")
    }
}

/// Returns the one in the middle, by CPU.
pub(crate) fn median(mut taken: Vec<Taken>) -> Taken {
    taken.sort_by(|one, other| one.micros().total_cmp(&other.micros()));
    let middle = taken.len() / 2;
    taken.swap_remove(middle)
}
