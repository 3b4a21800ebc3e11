//! The service in this process, from the text of a configuration, in a folder of its own.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use rtalink::config::model::Config;
use rtalink::config::topics::{Topic, Topics};
use rtalink::config::{self, Problem};
use rtalink::contract::v1;
use rtalink::service::reload::Reloaded;
use rtalink::service::{Options, Service};
use rtalink::telemetry::metrics::Metrics;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::http::{self, Answer};
use super::topic::{self, Received};
use super::wait::{until, until_true};

/// Long enough for whatever a test has left to publish.
const GRACE: Duration = Duration::from_secs(60);

/// A service that runs.
pub(crate) struct Running {
    runtime: Runtime,
    service: Service,
    pub(crate) metrics: Metrics,
    topics: Topics,
    folder: TempDir,
}

/// A folder for a configuration and its files.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
    folder
}

/// The configuration in `folder`, which has to be a good one.
pub(crate) fn parse(toml: &str, folder: &TempDir) -> Config {
    let loaded = config::parse(toml, &folder.path().join("rtalink.toml"), []);
    let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    loaded.config.unwrap_or_else(|| panic!("{}", problems.join("\n")))
}

impl Running {
    /// Starts it in a new folder.
    pub(crate) fn start(toml: &str) -> Self {
        Self::start_in(folder(&[]), toml)
    }

    /// Starts it in a folder that has the files of its mapping, or is left from an earlier start.
    pub(crate) fn start_in(folder: TempDir, toml: &str) -> Self {
        let config = parse(toml, &folder);
        let topics = config.kafka.topics.clone();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let metrics = Metrics::new().expect("metrics");
        let options = Options {
            file: folder.path().join("rtalink.toml"),
            latencies: None,
            stop: CancellationToken::new(),
            reloads: None,
        };
        let service = runtime.block_on(Service::start(config, options, metrics.clone()));
        let service = service.unwrap_or_else(|error| panic!("{error}"));
        Self { runtime, service, metrics, topics, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn bootstrap(&self) -> &str {
        self.service.bootstrap_servers()
    }

    /// Where CMS dials in for the integration of that name.
    pub(crate) fn feed_of(&self, integration: &str) -> SocketAddr {
        let (_, address) = self
            .service
            .feed_addresses()
            .into_iter()
            .find(|(id, _)| **id == *integration)
            .expect("such an integration");
        loopback(address)
    }

    /// Dials in at the first integration.
    pub(crate) fn dial(&self) -> TcpStream {
        TcpStream::connect(loopback(self.service.feed_addresses()[0].1)).expect("somebody listens")
    }

    pub(crate) fn http_address(&self) -> SocketAddr {
        self.service.http_address()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        http::get(self.service.http_address(), path)
    }

    /// Takes another configuration; what needs a restart.
    pub(crate) fn reload(&mut self, toml: &str) -> Result<Vec<String>, Vec<Problem>> {
        self.change(toml).map(|reloaded| reloaded.needs_restart)
    }

    /// Takes another configuration; what has happened.
    pub(crate) fn change(&mut self, toml: &str) -> Result<Reloaded, Vec<Problem>> {
        let config = parse(toml, &self.folder);
        let file = self.folder.path().join("rtalink.toml");
        self.runtime.block_on(self.service.reload(config, &file))
    }

    /// Sum of all series of that name whose labels contain `labels`; 0 where there is none.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> f64 {
        http::sum(&self.metrics.render(), name, labels)
    }

    /// Waits until so many records have been decided on, by whatever outcome, and Kafka has everything that followed.
    pub(crate) fn settle(&self, records: u32) {
        until_true(&format!("{records} records, all acknowledged"), || {
            let seen = self.metric("rtalink_feed_records_total", "");
            assert!(seen <= f64::from(records), "{seen} records instead of {records}");
            (seen - f64::from(records)).abs() < 0.5 && self.service.pending() == 0
        });
    }

    /// Waits until no connection is open and Kafka has everything.
    pub(crate) fn settle_closed(&self) {
        until_true("all connections closed, everything acknowledged", || {
            self.metric("rtalink_feed_connections", "") < 0.5 && self.service.pending() == 0
        });
    }

    pub(crate) fn pending(&self) -> usize {
        self.service.pending()
    }

    pub(crate) fn events(&self) -> Vec<v1::AgentStateEvent> {
        self.read(&self.topics[Topic::Events]).iter().map(Received::event).collect()
    }

    pub(crate) fn dead_letters(&self) -> Vec<Received> {
        self.read(&self.topics[Topic::DeadLetter])
    }

    /// Kinds of the feed statuses so far; heartbeats left out.
    pub(crate) fn feed_statuses(&self) -> Vec<v1::FeedStatus> {
        let statuses = self.read(&self.topics[Topic::FeedStatus]).into_iter().map(|message| message.feed_status());
        statuses.filter(|status| status.kind() != v1::feed_status::Kind::Heartbeat).collect()
    }

    fn read(&self, topic: &str) -> Vec<Received> {
        topic::read(self.bootstrap(), topic)
    }

    /// Events once there are so many.
    pub(crate) fn events_once(&self, count: usize) -> Vec<v1::AgentStateEvent> {
        until(&format!("{count} events"), || Some(self.events()).filter(|events| events.len() >= count))
    }

    /// Ends it; the number of messages that Kafka does not have, and the folder for another start.
    pub(crate) fn drain(self) -> (usize, TempDir) {
        self.drain_within(GRACE)
    }

    pub(crate) fn drain_within(self, grace: Duration) -> (usize, TempDir) {
        let Self { runtime, service, folder, .. } = self;
        let drained = runtime.block_on(service.drain(grace));
        (drained.unwritten + drained.kept.values().sum::<usize>(), folder)
    }
}

fn loopback(address: SocketAddr) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], address.port()))
}
