//! `rtalink run` as a process that is killed and started again in the same folder.
//!
//! Its log goes to `rtalink.log` there, all lives one after the other. It never outlives this value.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::http;
use crate::support::kafka::free_port;
use crate::support::process::rtalink;
use crate::support::wait::within;

/// Until the health page says ready: recovery included, in a debug build.
const READY: Duration = Duration::from_secs(60);
/// After SIGTERM.
const END: Duration = Duration::from_secs(30);

const CONFIG: &str = "rtalink.toml";
const LOG: &str = "rtalink.log";

/// One life of the service.
pub(crate) struct Rtalink {
    child: Child,
    http: SocketAddr,
}

impl Rtalink {
    /// Starts it in `folder`, where its configuration is.
    pub(crate) fn start(folder: &Path, http: SocketAddr, environment: &[(&str, &str)]) -> Self {
        Self::start_with(rtalink(), folder, http, environment)
    }

    /// The same with the program of another version.
    pub(crate) fn start_with(
        mut command: Command,
        folder: &Path,
        http: SocketAddr,
        environment: &[(&str, &str)],
    ) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(folder.join(LOG)).expect("a log");
        command.args(["run", "--config"]).arg(folder.join(CONFIG)).envs(environment.iter().copied());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        Self { child: command.spawn().expect("the binary starts"), http }
    }

    /// Waits until it is ready.
    pub(crate) fn ready(mut self, folder: &Path) -> Self {
        within(READY, "ready", || {
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "ended at its start, {ended:?}:\n{}", last_words(folder));
            http::try_get(self.http, "/health/ready").filter(|answer| answer.status == 200)
        });
        self
    }

    /// Waits until agents and listeners are there, be the store as it may.
    pub(crate) fn listening(mut self, folder: &Path) -> Self {
        within(READY, "listening", || {
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "ended at its start, {ended:?}:\n{}", last_words(folder));
            let answer = http::try_get(self.http, "/health/ready")?;
            (answer.json()["agentTable"] == "complete").then_some(())
        });
        self
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the health page says of readiness: its status, and of the store.
    pub(crate) fn store(&self) -> (u16, String) {
        let answer = http::get(self.http, "/health/ready");
        (answer.status, answer.json()["store"].as_str().unwrap_or_default().to_owned())
    }

    /// The sum of the series of a metric that have this label.
    pub(crate) fn metric(&self, name: &str, label: &str) -> u64 {
        http::sum(&http::get(self.http, "/metrics").body, name, label) as u64
    }

    /// Waits until it dies by itself; how many complete snapshots it had read when it was last asked.
    pub(crate) fn dies(mut self, patience: Duration) -> Option<u64> {
        let deadline = Instant::now() + patience;
        let mut snapshots = 0;
        while self.child.try_wait().expect("a child").is_none() {
            if Instant::now() >= deadline {
                return None;
            }
            if let Some(page) = http::try_get(self.http, "/metrics") {
                snapshots = complete_snapshots(&page.body, "torture");
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Some(snapshots)
    }

    /// Complete snapshots that this life has read.
    pub(crate) fn snapshots(&self) -> u64 {
        self.snapshots_of("torture")
    }

    /// Those of another integration; none while it is not in the configuration.
    pub(crate) fn snapshots_of(&self, integration: &str) -> u64 {
        complete_snapshots(&http::get(self.http, "/metrics").body, integration)
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        let sent = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -HUP");
    }

    /// Messages that wait for Kafka.
    pub(crate) fn pending(&self) -> u64 {
        let ready = http::get(self.http, "/health/ready").json();
        ready.pointer("/kafka/pendingMessages").and_then(Value::as_u64).expect("kafka.pendingMessages")
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it still ran");
        self.child.wait().expect("a child");
    }

    /// SIGTERM; its exit code, and how long it took.
    pub(crate) fn terminate(mut self) -> (Option<i32>, Duration) {
        let asked = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -TERM");
        let status = within(END, "the end after SIGTERM", || self.child.try_wait().expect("a child"));
        (status.code(), asked.elapsed())
    }
}

impl Drop for Rtalink {
    fn drop(&mut self) {
        let _ = self.child.kill(); // may have ended already
        let _ = self.child.wait();
    }
}

/// Writes the configuration of all lives.
pub(crate) fn configure(folder: &Path, toml: &str) {
    fs::write(folder.join(CONFIG), toml).expect("a temporary folder");
}

/// That configuration.
pub(crate) fn configuration(folder: &Path) -> String {
    fs::read_to_string(folder.join(CONFIG)).expect("a configuration")
}

/// The same configuration for another folder.
pub(crate) fn copy_configuration(from: &Path, to: &Path) {
    fs::copy(from.join(CONFIG), to.join(CONFIG)).expect("a configuration");
}

/// How many lines of the log are about a panic.
pub(crate) fn panics(folder: &Path) -> usize {
    let log = fs::read_to_string(folder.join(LOG)).expect("a log");
    log.lines().filter(|line| line.contains("panicked at")).count()
}

/// Writes a line into the log.
pub(crate) fn note(folder: &Path, line: &str) {
    let mut log = OpenOptions::new().append(true).open(folder.join(LOG)).expect("a log");
    writeln!(log, "{line}").expect("a log");
}

/// What `rtalink check` says of the configuration, which has to be valid.
pub(crate) fn check(folder: &Path) -> String {
    let output = rtalink().args(["check", "--config"]).arg(folder.join(CONFIG)).output().expect("the binary starts");
    let told = [output.stdout, output.stderr].map(|told| String::from_utf8_lossy(&told).into_owned()).concat();
    assert!(output.status.success(), "check, {}:\n{told}", output.status);
    told
}

/// Another process with the same configuration but its own ports, which is to end by itself: its exit code, and what it
/// said.
pub(crate) fn run_to_end(folder: &Path) -> (Option<i32>, String) {
    let port = free_port();
    let mut command = rtalink();
    command.env("RTALINK__HTTP__LISTEN", format!("127.0.0.1:{port}"));
    command.env("RTALINK__INTEGRATION__0__REALTIME__PORT", (port + 1).to_string());
    let output = command.args(["run", "--config"]).arg(folder.join(CONFIG)).output().expect("the binary starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The log of all lives.
pub(crate) fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join(LOG)).unwrap_or_default()
}

fn complete_snapshots(page: &str, integration: &str) -> u64 {
    let labels = ["complete=\"true\"".to_owned(), format!("integration=\"{integration}\"")];
    let complete = |series: &str| {
        series.starts_with("rtalink_feed_snapshots_total{") && labels.iter().all(|label| series.contains(label))
    };
    let found = http::series(page).into_iter().find(|(series, _)| complete(series));
    found.map_or(0, |(_, count)| count as u64)
}

fn last_words(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join(LOG)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
