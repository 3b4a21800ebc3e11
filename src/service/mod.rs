//! The service: starts everything in order, takes a new configuration, drains.
//!
//! Order of start: open the store, read the mapping, bind every port (all problems are reported, not only the first), serve
//! HTTP, and start each integration (`running`): restore its agents, publish, give it to a worker, and last let CMS dial in.
//! Kafka may be away; an integration whose agents the store does not know waits for it, and no other. Order of the end: no
//! new bytes, workers finish what they have, everything is written and, if there is time, acknowledged, HTTP last.
//!
//! [`reload`] is about what changes meanwhile, which `changes` finds; `context` is what all integrations share, `workers` the threads they are
//! on, `drain` the end.

pub mod captures;
mod changes;
mod context;
mod drain;
mod mapping_files;
pub mod mapping_watch;
mod preparation;
pub mod reload;
mod remapping;
mod running;
mod serving;
pub mod tls_files;
mod upkeep;
mod workers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::model::{Config, Integration};
use crate::config::problem::{Origin, Problem};
use crate::config::redacted::Redacted;
use crate::http::reload::ReloadRequests;
use crate::integration::from_kafka;
use crate::integration::handles::Handles;
use crate::integration::mapping_versions::{Content, Versions};
use crate::integration::metrics_bridge::{self, JournalObserver, KafkaFigures, LatencySink};
use crate::integration::restore::{self, OpenedStore, Restored};
use crate::journal::send_window::WindowLimits;
use crate::journal::{Bounds, Journal, StoreObserver};
use crate::kafka::Publisher;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::names;
use crate::time::Timestamp;
use crate::views::model::{self, IntegrationIndex, ReadModel};
use crate::views::service::ServiceView;

use self::context::{ServiceContext, WorkerSenders};
use self::preparation::Prepared;
use self::remapping::Untaken;
use self::running::{Running, StartingIntegration};
use self::serving::{Requests, Serving};
use self::workers::Workers;

/// Requests that may wait to be carried out.
const COMMANDS: usize = 16;

/// How long what HTTP shows may take to have the agents.
const PATIENCE_WITH_MODEL: Duration = Duration::from_secs(5);

/// Why the service could not start: every reason, each with what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct StartError(pub Vec<Problem>);

impl StartError {
    fn one(file: &std::path::Path, message: impl Into<String>) -> Self {
        Self(vec![Problem::error(Origin::File(file.into()), message)])
    }
}

/// What the service is started with besides its configuration.
#[derive(Debug, Default)]
pub struct Options {
    /// File of the configuration, for messages.
    pub file: PathBuf,
    /// Takes the latency of each event.
    pub latencies: Option<LatencySink>,
    /// Gives up the start.
    pub stop: CancellationToken,
    /// Where requests to reload go; `None`: nobody carries them out.
    pub reloads: Option<ReloadRequests>,
}

/// An integration of the service.
#[derive(Debug)]
struct Slot {
    /// As it is in force.
    integration: Integration,
    at: At,
}

/// What an integration is doing.
#[derive(Debug)]
enum At {
    /// Its agents are being read from Kafka.
    Starting,
    /// It is at work.
    Running(Box<Running>),
    /// It could not be started, or nothing of it is left.
    Ended,
}

/// Integrations whose start is over, with its outcome.
type Started = Vec<(IntegrationIndex, Result<Running, StartError>)>;

/// The running service.
#[derive(Debug)]
pub struct Service {
    context: Arc<ServiceContext>,
    /// By their places in the model.
    slots: Vec<Slot>,
    /// Starts that wait for Kafka.
    starts: JoinSet<Started>,
    /// Ends those.
    stop_starts: CancellationToken,
    /// Ends whatever is ever started here.
    stop: CancellationToken,
    model: ReadModel,
    model_thread: std::thread::JoinHandle<()>,
    serving: Serving,
    commands: tokio::task::JoinHandle<()>,
    captures: tokio::task::JoinHandle<()>,
    reload_refused: metrics::Gauge,
    is_reload_refused: bool,
    /// What keeps the files of integrations from being their mappings.
    mapping_conditions: BTreeMap<Arc<str>, Untaken>,
    /// How often a configuration was taken: what the watch read before is not taken after it.
    reloads: u64,
    is_all_there: bool,
    _stop_when_dropped: [DropGuard; 2],
}

impl Service {
    /// Starts it, and waits until every integration is at work.
    ///
    /// # Errors
    /// Everything that is in the way, at once.
    pub async fn start(config: Config, options: Options, metrics: Metrics) -> Result<Self, StartError> {
        let mut service = Self::begin(config, options, metrics).await?;
        while !service.is_all_there {
            service.next_start().await?;
        }
        Ok(service)
    }

    /// Starts it. Integrations that have to wait for Kafka do so while the others are at work: see [`Self::next_start`].
    ///
    /// # Errors
    /// Everything that is in the way, at once.
    pub async fn begin(config: Config, options: Options, metrics: Metrics) -> Result<Self, StartError> {
        let file = options.file.clone();
        let failed = |error: &dyn std::fmt::Display| StartError::one(&file, error.to_string());
        let opened = {
            let config = config.clone();
            tokio::task::spawn_blocking(move || restore::open(&config)).await
        };
        let OpenedStore { mut store, removed, restored, incidents } =
            opened.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        metrics_bridge::record_incidents(&metrics, &incidents);
        let mut versions = Versions::load(&store, &config).map_err(|error| failed(&error))?;
        // Those behind the configured ones are looked after until nothing of them is left.
        let integrations: Vec<Integration> = config.integrations.iter().cloned().chain(removed).collect();
        let (mut prepared, http_listener) =
            preparation::prepare_all(&config, &integrations, &file).map_err(StartError)?;
        for (integration, (Prepared { tables, .. }, _)) in integrations.iter().zip(&mut prepared) {
            // One that was removed gets no version: should it come back, its mapping is what it was.
            if !integration.is_removed {
                tables.version = versions.assign(&integration.id, Content::of(tables));
            }
        }
        versions.save(&mut store).map_err(|error| failed(&error))?;

        let reload_refused = metrics.gauge(names::RELOAD_REFUSED, &[]);
        reload_refused.set(0.0);
        let journal_observer = Arc::new(JournalObserver::new(&metrics));
        let bounds = Bounds {
            journal_bytes: config.store.journal_max_size,
            window: WindowLimits { messages: config.kafka.queue_events, bytes: WindowLimits::DEFAULT_BYTES },
        };
        let journal = Journal::start(store, &[], bounds, Arc::clone(&journal_observer) as Arc<dyn StoreObserver>);
        let journal = journal.map_err(|error| failed(&error))?;
        let mock_cluster = Publisher::mock_cluster(&config.kafka).map_err(|error| failed(&error))?;
        let publisher = Publisher::new(&config.kafka, mock_cluster, journal).map_err(|error| failed(&error))?;
        let (model, updates, model_thread) = model::start(Vec::new()).map_err(|error| failed(&error))?;
        let stop_feeds = CancellationToken::new();
        let view = ServiceView::new(Timestamp::now(), config.store.journal_max_size);
        view.set_configuration(config.redacted.clone());
        let context = Arc::new(ServiceContext {
            view,
            unseen: Metrics::new().map_err(|error| failed(&error))?,
            kafka: KafkaFigures::new(&metrics),
            journal: journal_observer,
            publisher,
            handles: Handles::default(),
            senders: WorkerSenders::default(),
            workers: Workers::new(),
            updates,
            versions: Arc::new(Mutex::new(versions)),
            refused: Arc::new(AtomicUsize::new(0)),
            latencies: options.latencies,
            forget_after: Mutex::new(config.privacy.forget_after),
            stop: stop_feeds.clone(),
            file: options.file,
            metrics,
            config,
        });
        let starting = |(others, (integration, (prepared, bound))): (usize, (&Integration, _))| {
            context.starting(integration.clone(), IntegrationIndex::after(others), prepared, bound)
        };
        let all: Vec<StartingIntegration> = integrations.iter().zip(prepared).enumerate().map(starting).collect();
        model.has(all.len()).await;
        let (commands, commanded) = tokio::sync::mpsc::channel(COMMANDS);
        let serving = Serving::start(http_listener, &model, &context, Requests { commands, reloads: options.reloads });
        let serving = serving.map_err(|error| StartError::one(&context.file, error.to_string()))?;

        let stop = options.stop.child_token();
        let slot = |integration| Slot { integration, at: At::Ended };
        let mut service = Self {
            slots: integrations.into_iter().map(slot).collect(),
            starts: JoinSet::new(),
            stop_starts: stop.child_token(),
            stop: stop.clone(),
            model,
            model_thread,
            serving,
            commands: tokio::spawn(context::carry_out(commanded, Arc::clone(&context.senders))),
            captures: tokio::spawn(captures::keep_clean(context.config.privacy.clone())),
            reload_refused,
            is_reload_refused: false,
            mapping_conditions: BTreeMap::new(),
            reloads: 0,
            is_all_there: false,
            _stop_when_dropped: [stop_feeds.drop_guard(), stop.drop_guard()],
            context,
        };
        service.start_all(all.into_iter().zip(restored).collect()).await?;
        service.check_all_there().await;
        Ok(service)
    }

    /// Starts integrations: at once those whose agents are known, and the others, which are returned to later, when Kafka has
    /// told who they are.
    ///
    /// # Errors
    /// The first that could not be started at once; the others are started all the same.
    async fn start_all(&mut self, all: Vec<(StartingIntegration, Restored)>) -> Result<(), StartError> {
        let kafka = &self.context.config.kafka;
        let (waiting, ready): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|(starting, restored)| from_kafka::is_needed(kafka, &starting.integration, restored));
        let mut failures = Vec::new();
        for (starting, restored) in ready {
            let (index, context) = (starting.index, Arc::clone(&self.context));
            let started = tokio::task::spawn_blocking(move || starting.start(&context, restored)).await;
            let started = started.unwrap_or_else(|error| Err(StartError::one(&self.context.file, error.to_string())));
            failures.extend(self.started(index, started));
        }
        if !waiting.is_empty() {
            for (starting, _) in &waiting {
                if let Some(slot) = self.slots.get_mut(starting.index.get()) {
                    slot.at = At::Starting;
                }
            }
            let (context, stop) = (Arc::clone(&self.context), self.stop_starts.clone());
            self.starts.spawn_blocking(move || running::start_from_kafka(&context, waiting, &stop));
        }
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Takes the outcome of a start; returns why it has failed.
    fn started(&mut self, index: IntegrationIndex, started: Result<Running, StartError>) -> Option<StartError> {
        let slot = self.slots.get_mut(index.get())?;
        match started {
            Ok(running) => {
                slot.at = At::Running(Box::new(running));
                None
            }
            Err(error) => {
                slot.at = At::Ended;
                Some(error)
            }
        }
    }

    /// Waits until one more integration that had to wait for Kafka is at work; for ever, where none waits. Nothing is lost
    /// where this is given up.
    ///
    /// # Errors
    /// Why it could not be started.
    pub async fn next_start(&mut self) -> Result<(), StartError> {
        if !self.is_all_there && self.starts.is_empty() {
            self.check_all_there().await;
            return Ok(());
        }
        match self.starts.join_next().await {
            None => std::future::pending().await,
            Some(Ok(started)) => {
                let failures: Vec<Problem> = started
                    .into_iter()
                    .filter_map(|(index, started)| self.started(index, started))
                    .flat_map(|StartError(problems)| problems)
                    .collect();
                if failures.is_empty() { Ok(()) } else { Err(StartError(failures)) }
            }
            Some(Err(error)) => Err(StartError::one(&self.context.file, error.to_string())),
        }
    }

    /// Ends the starts that wait for Kafka.
    async fn stop_starts(&mut self) {
        self.stop_starts.cancel();
        while let Some(ended) = self.starts.join_next().await {
            for (index, started) in ended.unwrap_or_default() {
                // Those that were stopped are begun anew.
                let _ = self.started(index, started);
            }
        }
        self.stop_starts = self.stop.child_token();
    }

    /// The service is ready once every integration has been started.
    async fn check_all_there(&mut self) {
        if self.is_all_there || !self.starts.is_empty() {
            return;
        }
        // Who is told that everything is there may ask for it. A store that is slow keeps nobody from being told.
        let _ = tokio::time::timeout(PATIENCE_WITH_MODEL, self.model.all_are_known()).await;
        self.serving.all_is_there();
        self.is_all_there = true;
    }

    /// Whether every integration has been started.
    pub const fn is_all_there(&self) -> bool {
        self.is_all_there
    }

    fn running(&self) -> impl Iterator<Item = (&Integration, &Running)> {
        self.slots.iter().filter_map(|slot| match &slot.at {
            At::Running(running) => Some((&slot.integration, &**running)),
            At::Starting | At::Ended => None,
        })
    }

    /// Where CMS can dial in, by integration.
    pub fn feed_addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let address = |(integration, running): (&Integration, &Running)| {
            Some((Arc::clone(&integration.id), running.feed.as_ref()?.address?))
        };
        self.running().filter_map(address).collect()
    }

    /// Where HTTP is served.
    pub const fn http_address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Where Kafka is, also where it is embedded.
    pub fn bootstrap_servers(&self) -> &str {
        self.context.publisher.bootstrap_servers()
    }

    /// What the HTTP side reads.
    pub const fn model(&self) -> &ReadModel {
        &self.model
    }

    /// Messages that are not on disk or that Kafka has not acknowledged yet.
    pub fn pending(&self) -> usize {
        self.context.handles.pending()
    }

    /// Whoever is handed the log sees nothing of what this configuration withholds, whatever becomes of it.
    pub fn withhold(&self, configuration: &Redacted) {
        self.context.view.withhold(configuration);
    }

    /// Whether the last reload was refused, be it by [`Self::reload`] or before: for the metric.
    pub fn record_reload(&mut self, is_refused: bool) {
        self.is_reload_refused = is_refused;
        self.show_refusals();
    }

    /// What is written and not in force needs somebody, whether they have asked for a reload or not.
    fn show_refusals(&self) {
        let is_refused = self.is_reload_refused || !self.mapping_conditions.is_empty();
        self.reload_refused.set(if is_refused { 1.0 } else { 0.0 });
        self.context.view.set_reload_refused(is_refused, Timestamp::now());
    }
}
