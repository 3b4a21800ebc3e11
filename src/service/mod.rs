//! The service: starts everything in order, takes a new configuration, drains.
//!
//! Order of start: open the store, read the mapping, bind every port (all problems are told, not only the first), serve
//! HTTP, restore the agents, start publishing, the workers, and last let CMS dial in. Kafka may be away; only a store that
//! does not know the agents waits for it. Order of the end: no new bytes, workers finish what they have, everything is
//! written and, if there is time, acknowledged, HTTP last.

pub mod captures;
mod preparation;
mod reload;
mod serving;
pub mod tls_files;
mod upkeep;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::mapping as mapping_files;
use crate::config::model::{Bootstrap, Config, Integration};
use crate::config::problem::{Origin, Problem};
use crate::engine::Engine;
use crate::integration::from_kafka;
use crate::integration::mapping_versions::Versions;
use crate::integration::observers::{self, JournalObserver, KafkaFigures, LatencySink, ProducerObserver};
use crate::integration::restore::{self, Opening, Restored};
use crate::integration::worker::{Charge, ChargeParts, Control};
use crate::join;
use crate::journal::outbox::Limits;
use crate::journal::{Bounds, Journal, LaneStart};
use crate::kafka::comparison::KnownAgents;
use crate::kafka::encode::Encoder;
use crate::kafka::observer::Observer;
use crate::kafka::publisher::Drained;
use crate::kafka::{PublishHandle, Publisher};
use crate::mapping::tables::MappingTables;
use crate::sources::rta::inbox::{Letter, Outlet};
use crate::sources::rta::listener::Feed;
use crate::sources::rta::settings::FeedSettings;
use crate::telemetry::metrics::{FeedMetrics, Metrics, RemovedMetrics};
use crate::telemetry::names;
use crate::telemetry::targets::SERVICE;
use crate::tracker::settings::Settings;
use crate::views::model::{self, ReadModel, Update};
use crate::wire::plan::Plan;

use self::preparation::Prepared;
use self::serving::Serving;

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
}

/// A running feed, for reload.
#[derive(Debug)]
struct RunningFeed {
    integration: Integration,
    settings: Arc<ArcSwap<FeedSettings>>,
    outlet: Outlet<Control>,
    metrics: FeedMetrics,
    /// The mapping in force.
    tables: Arc<MappingTables>,
}

/// The running service.
#[derive(Debug)]
pub struct Service {
    config: Config,
    feeds: Vec<Option<RunningFeed>>,
    versions: Versions,
    addresses: Vec<(Arc<str>, SocketAddr)>,
    publisher: Publisher,
    handles: Vec<PublishHandle>,
    model: ReadModel,
    outlets: HashMap<usize, Outlet<Control>>,
    listeners: JoinSet<()>,
    stop_feeds: CancellationToken,
    workers: Vec<std::thread::JoinHandle<()>>,
    refused: Arc<AtomicUsize>,
    model_thread: std::thread::JoinHandle<()>,
    serving: Serving,
    commands: tokio::task::JoinHandle<()>,
    captures: tokio::task::JoinHandle<()>,
    reload_refused: metrics::Gauge,
}

impl Service {
    /// Starts it.
    ///
    /// # Errors
    /// Everything that is in the way, at once.
    pub async fn start(config: Config, options: Options, metrics: Metrics) -> Result<Self, StartError> {
        let file = options.file.clone();
        let failed = |error: &dyn std::fmt::Display| StartError::one(&file, error.to_string());
        let mut problems = Vec::new();
        let opened = {
            let config = config.clone();
            tokio::task::spawn_blocking(move || restore::open(&config)).await
        };
        let mut opening = opened.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        observers::tell(&metrics, &opening.incidents);
        let mut versions = Versions::load(&opening.store, &config).map_err(|error| failed(&error))?;
        // Those behind the configured ones are looked after until nothing of them is left; a reload knows nothing of them.
        let configured = config.clone();
        let mut config = config;
        config.integrations.append(&mut opening.removed);
        let prepared = preparation::prepare(&config, &file, &mut versions, &mut problems);
        let bound = preparation::bind_all(&config, &file, &mut problems);
        let http_listener = preparation::bind_http(&config, &file, &mut problems);
        let (Some(mut prepared), Some(bound), Some(http_listener)) = (prepared, bound, http_listener) else {
            return Err(StartError(problems));
        };
        if !problems.is_empty() {
            return Err(StartError(problems));
        }

        // Nothing is wrong with the feed of what has none: its figures are its own.
        let unseen = Metrics::new().map_err(|error| failed(&error))?;
        let registry = |integration: &Integration| if integration.is_removed { &unseen } else { &metrics };
        let feed_metrics = |integration| observers::feed_metrics(registry(integration), &integration.id);
        let feed_metrics: Vec<FeedMetrics> = config.integrations.iter().map(feed_metrics).collect();
        let ids: Vec<Arc<str>> = config.integrations.iter().map(|integration| Arc::clone(&integration.id)).collect();
        let store_observer = JournalObserver::new(&metrics, &ids, &feed_metrics);
        let kafka_figures = KafkaFigures::new(&metrics);
        let reload_refused = metrics.gauge(names::RELOAD_REFUSED, &[]);
        reload_refused.set(0.0);
        let models = preparation::models(&config, &feed_metrics, &prepared, &bound);
        let (model, updates, model_thread) = model::start(models).map_err(|error| failed(&error))?;
        let (commands, commanded) = tokio::sync::mpsc::channel(COMMANDS);
        let serving =
            Serving::start(http_listener, &model, &metrics, &config, commands).map_err(|error| failed(&error))?;

        let embedded = Publisher::embedded(&config.kafka).map_err(|error| failed(&error))?;
        if let Bootstrap::Servers(servers) = &config.kafka.bootstrap {
            let (servers, config, stop) = (servers.clone(), config.clone(), options.stop.clone());
            let read = tokio::task::spawn_blocking(move || {
                from_kafka::read(&servers, &config, &mut opening, &stop).map(|()| opening)
            });
            opening = read.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        }
        let Opening { mut store, restored, .. } = opening;
        for ((number, prepared), restored) in prepared.iter_mut().enumerate().zip(&restored) {
            let id = &config.integrations[number].id;
            prepared.tables = versions.beyond(id, restored.mapping_version, &prepared.tables);
            // The model outlives its senders.
            let _ = updates.send((number, Update::Mapping(Arc::clone(&prepared.tables))));
        }
        versions.save(&mut store).map_err(|error| failed(&error))?;

        let lane = |(integration, restored): (&Integration, &Restored)| LaneStart {
            integration: Arc::clone(&integration.id),
            stored: restored.stored.clone(),
            keeps_events: restore::keeps_events(integration),
        };
        let lanes: Vec<_> = config.integrations.iter().zip(&restored).map(lane).collect();
        let bounds = Bounds {
            journal_bytes: config.store.journal_max_size,
            window: Limits { messages: config.kafka.queue_events, bytes: Limits::DEFAULT_BYTES },
        };
        let journal =
            Journal::start(store, &lanes, bounds, Arc::new(store_observer)).map_err(|error| failed(&error))?;
        let number_of = |integration: &Arc<str>| ids.iter().position(|id| id == integration).unwrap_or(0);
        let observe = |integration: &Arc<str>| -> Arc<dyn Observer> {
            let number = number_of(integration);
            Arc::new(ProducerObserver {
                integration: Arc::clone(&ids[number]),
                feed: feed_metrics[number].clone(),
                kafka: Arc::clone(&kafka_figures),
                latencies: options.latencies.clone(),
            })
        };
        // Who has no feed and nobody in the store has no worker.
        let has_worker =
            |number: usize, restored: &Restored| prepared[number].plan.is_some() || restored.has_something();
        let known = |integration: &Arc<str>| {
            let number = number_of(integration);
            let restored = &restored[number];
            match restored.sequences() {
                _ if !has_worker(number, restored) => KnownAgents::Nobody,
                Some(sequences) => KnownAgents::Sequences(sequences),
                None => KnownAgents::AsKafka,
            }
        };
        let publisher = Publisher::start_comparing(&config.kafka, embedded, journal, observe, known)
            .map_err(|error| failed(&error))?;
        let handle = |integration: &Integration| {
            let handle = publisher.handle(&integration.id)?;
            Some(if integration.realtime.is_some() { handle } else { handle.without_feed() })
        };
        let handles: Vec<PublishHandle> = config.integrations.iter().filter_map(handle).collect();

        let refused = Arc::new(AtomicUsize::new(0));
        let mut charges = Vec::new();
        for ((number, integration), restored) in config.integrations.iter().enumerate().zip(restored) {
            let Some(Prepared { plan, tables, .. }) = prepared.get(number) else { continue };
            if !has_worker(number, &restored) {
                continue;
            }
            let Some(read_by) = plan.clone().or_else(preparation::plan_without_feed) else { continue };
            let mut engine = Engine::new(integration.settings.clone(), read_by, Arc::clone(tables));
            let event_names = config.privacy.event_names;
            let refresh_after = integration.realtime.as_ref().and_then(|realtime| realtime.refresh_after);
            let (checkpoint, last_events) = restored.into_engine(&mut engine, refresh_after, event_names);
            let parts = ChargeParts {
                id: Arc::clone(&integration.id),
                number,
                engine,
                encoder: Encoder::new(Arc::clone(&integration.id), config.kafka.format),
                publish: handles[number].clone(),
                metrics: feed_metrics[number].clone(),
                model: updates.clone(),
                refused: Arc::clone(&refused),
                checkpoint,
                last_events,
                has_feed: plan.is_some(),
                removed: integration.is_removed.then(|| RemovedMetrics::new(&metrics, &integration.id)),
                forget_after: config.privacy.forget_after,
                event_names,
            };
            charges.push((number, Charge::new(parts)));
        }
        drop(updates);
        let (outlets, workers) = preparation::start_workers(charges).map_err(|error| failed(&error))?;

        let stop_feeds = CancellationToken::new();
        let mut listeners = JoinSet::new();
        let mut feeds = Vec::new();
        let mut addresses = Vec::new();
        for (number, (integration, listener)) in config.integrations.iter().zip(bound).enumerate() {
            let (Some(listener), Some(realtime), Some(plan)) =
                (listener, &integration.realtime, &prepared[number].plan)
            else {
                feeds.push(None);
                continue;
            };
            if let Ok(address) = listener.local_addr() {
                addresses.push((Arc::clone(&integration.id), address));
            }
            let tls = prepared[number].tls.as_ref();
            feed_metrics[number].tls_expires(tls.map(|files| files.expires));
            let feed_settings = preparation::feed_settings(integration, realtime, plan, tls);
            let settings = Arc::new(ArcSwap::from_pointee(feed_settings));
            let Some(outlet) = outlets.get(&number).cloned() else {
                feeds.push(None);
                continue;
            };
            let feed = Feed {
                integration: number,
                id: Arc::clone(&integration.id),
                settings: Arc::clone(&settings),
                outlet: outlet.clone(),
                metrics: feed_metrics[number].clone(),
                stop: stop_feeds.child_token(),
            };
            let listener = listener.listen().map_err(|error| failed(&error))?;
            listeners.spawn(feed.listen(listener));
            let metrics = feed_metrics[number].clone();
            let tables = Arc::clone(&prepared[number].tables);
            feeds.push(Some(RunningFeed { integration: integration.clone(), settings, outlet, metrics, tables }));
        }

        // Who is told that everything is there may ask for it. A store that is slow keeps nobody from being told.
        let _ = tokio::time::timeout(PATIENCE_WITH_MODEL, model.all_are_known()).await;
        serving.all_is_there(&handles);
        let commands = tokio::spawn(preparation::carry_out(commanded, outlets.clone()));
        let captures = tokio::spawn(captures::keep_clean(config.privacy.clone()));
        Ok(Self {
            config: configured,
            feeds,
            versions,
            addresses,
            publisher,
            handles,
            model,
            outlets,
            listeners,
            stop_feeds,
            workers,
            refused,
            model_thread,
            serving,
            commands,
            captures,
            reload_refused,
        })
    }

    /// Where CMS can dial in, by integration.
    pub fn feed_addresses(&self) -> &[(Arc<str>, SocketAddr)] {
        &self.addresses
    }

    /// Where HTTP is served.
    pub const fn http_address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Where Kafka is, also where it is embedded.
    pub fn bootstrap_servers(&self) -> &str {
        self.publisher.bootstrap_servers()
    }

    /// What the HTTP side reads.
    pub const fn model(&self) -> &ReadModel {
        &self.model
    }

    /// Messages that are not on disk or that Kafka has not acknowledged yet.
    pub fn pending(&self) -> usize {
        self.handles.iter().map(PublishHandle::pending).sum()
    }

    /// Whether the last reload was refused, be it by [`Self::reload`] or before: for the metric.
    pub fn tell_reload(&self, is_refused: bool) {
        self.reload_refused.set(if is_refused { 1.0 } else { 0.0 });
    }

    /// Takes what can change while running: layouts, mappings, allow-lists, certificates, thresholds, tokens. Returns what a
    /// restart is needed for, each as the name of a key.
    ///
    /// # Errors
    /// Problems of mapping files, certificates and layouts; then nothing at all is changed.
    pub async fn reload(&mut self, config: Config, file: &std::path::Path) -> Result<Vec<String>, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut changes = Vec::new();
        for (number, running) in self.feeds.iter().enumerate() {
            let Some(running) = running else { continue };
            let wanted = config.integrations.iter().find(|integration| integration.id == running.integration.id);
            let Some((wanted, realtime)) = wanted.and_then(|wanted| Some((wanted, wanted.realtime.as_ref()?))) else {
                continue;
            };
            // Whether names are read stays as it is until a restart.
            let privacy = &self.config.privacy;
            problems.extend(reload::missing_files(&running.integration.mapping, &wanted.mapping));
            let plan = Plan::compile(&privacy.layout(&realtime.layout), &wanted.time_zone);
            match (plan, mapping_files::read(&wanted.mapping), tls_files::read(wanted)) {
                (Ok(plan), Ok(tables), Ok(tls)) => {
                    let tables = privacy.tables(tables);
                    changes.push((number, wanted.clone(), realtime.clone(), plan, tables, tls));
                }
                (plan, tables, tls) => {
                    let layout = plan.err().map(|error| preparation::layout_problem(file, realtime, &error));
                    problems.extend(layout);
                    problems.extend(tables.err().unwrap_or_default());
                    problems.extend(tls.err().unwrap_or_default());
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let restart = reload::needs_restart(&self.config, &config);
        let mut versions = self.versions.clone();
        let mut versioned = Vec::new();
        for (number, wanted, realtime, plan, tables, tls) in changes {
            let tables = versions.assign(&wanted.id, tables);
            versioned.push((number, wanted, realtime, plan, tables, tls));
        }
        if let Err(error) = self.publisher.remember_mappings(versions.all()) {
            let message = format!("the versions of the mappings cannot be written down: {error}");
            return Err(vec![Problem::error(Origin::File(file.into()), message)]);
        }
        self.versions = versions;
        self.serving.change_access(&config.http);
        for (number, wanted, realtime, plan, tables, tls) in versioned {
            let Some(running) = self.feeds.get_mut(number).and_then(Option::as_mut) else { continue };
            let before = running.settings.load();
            // An unchanged layout keeps its plan: another one would begin another snapshot.
            let before_layout = running.integration.realtime.as_ref().map(|realtime| &realtime.layout);
            let is_same = before_layout == Some(&realtime.layout) && running.integration.time_zone == wanted.time_zone;
            // A layout may rely on the mode and the end of snapshots that it was written for.
            let fits = reload::reads_alike(&running.integration, &wanted);
            let plan = if is_same || !fits { Arc::clone(&before.plan) } else { plan };
            // What would make another feed stays as it is until a restart.
            let fixed = running.integration.settings.fixed;
            let settings = Settings { fixed, thresholds: wanted.settings.thresholds };
            let mut kept = Integration { settings, ..wanted };
            if !fits {
                // What is remembered is what is in force, so that a later reload sees the difference.
                kept.time_zone.clone_from(&running.integration.time_zone);
                if let (Some(kept), Some(running)) = (&mut kept.realtime, &running.integration.realtime) {
                    kept.layout = Arc::clone(&running.layout);
                }
            }
            let feed_settings = preparation::feed_settings(&kept, &realtime, &plan, tls.as_ref());
            running.settings.store(Arc::new(feed_settings));
            running.metrics.tls_expires(tls.map(|files| files.expires));
            let letters = [
                Control::Thresholds(kept.settings.thresholds),
                Control::Mapping(Arc::clone(&tables)),
                Control::ForgetAfter(config.privacy.forget_after),
            ];
            for warning in reload::shrunken(&running.tables, &tables, &kept, file) {
                tracing::warn!(target: SERVICE, "reload: {}", warning.line());
            }
            running.integration = kept;
            running.tables = tables;
            for letter in letters {
                if running.outlet.send(Letter::Control(letter)).await.is_err() {
                    tracing::error!(
                        target: SERVICE, integration = %running.integration.id, "its worker has ended: not reloaded"
                    );
                }
            }
        }
        for (number, outlet) in &self.outlets {
            if self.feeds.get(*number).is_none_or(Option::is_none) {
                // A worker that has ended forgets nobody any more.
                let _ = outlet.send(Letter::Control(Control::ForgetAfter(config.privacy.forget_after))).await;
            }
        }
        Ok(restart)
    }

    /// Ends: takes no more bytes, finishes what has come, writes it down, and waits for Kafka until the deadline. What Kafka
    /// has not acknowledged by then is in the store; what is not even there is lost. Everything that is waited for shares the
    /// one deadline: neither a disk that hangs nor a thread that waits for it makes the end longer, save for a moment in which
    /// it is said what is lost.
    pub async fn drain(self, grace: Duration) -> Drained {
        let Times { close_at, workers_until, deadline } = Times::of(grace);
        let Self { publisher, workers, model_thread, handles, outlets, mut listeners, refused, .. } = self;
        self.commands.abort();
        self.captures.abort();
        self.stop_feeds.cancel();
        let finish = async {
            while listeners.join_next().await.is_some() {}
            for outlet in outlets.values() {
                // A worker that has ended needs no stop.
                let _ = outlet.send(Letter::Control(Control::Stop)).await;
            }
        };
        tokio::pin!(finish);
        let mut workers = tokio::task::spawn_blocking(move || join_all(workers, workers_until));
        let is_handed_over = tokio::time::timeout_at(close_at.into(), &mut finish).await.is_ok();
        let joined = match tokio::time::timeout_at(close_at.into(), &mut workers).await {
            Ok(joined) => joined,
            Err(_) => {
                // A slow store keeps the workers, and they the connections, waiting: give up what does not fit.
                publisher.close();
                if !is_handed_over {
                    // Who does not come to an end is found hanging below.
                    let _ = tokio::time::timeout_at(workers_until.into(), &mut finish).await;
                }
                workers.await
            }
        };
        let hanging = joined.unwrap_or_else(|error| {
            tracing::error!(target: SERVICE, %error, "a worker could not be waited for");
            Vec::new()
        });
        let ended = tokio::task::spawn_blocking(move || {
            drop(handles);
            let drained = publisher.drain(deadline);
            for (integration, count) in &drained.kept {
                tracing::warn!(
                    target: SERVICE, %integration, count, "not acknowledged by Kafka yet: kept in the store for the next start"
                );
            }
            drained
        });
        let mut drained = ended.await.unwrap_or_else(|error| {
            tracing::error!(target: SERVICE, %error, "the publisher could not be drained");
            Drained::default()
        });
        let last = deadline.max(Instant::now() + MOMENT);
        // The model ends with the workers.
        if hanging.is_empty() {
            let model = tokio::task::spawn_blocking(move || join_all(vec![model_thread], last));
            // It is in the log.
            let _ = model.await;
        }
        if tokio::time::timeout_at(last.into(), self.serving.end()).await.is_err() {
            tracing::warn!(target: SERVICE, "an HTTP request hangs and is left to the end of the process");
        }
        drained.hanging = hanging;
        drained.unwritten += refused.load(Ordering::Relaxed);
        drained
    }
}

/// What the end has least for a step, however little time there is.
const MOMENT: Duration = Duration::from_millis(250);

/// When an end gives what up.
struct Times {
    /// The journal refuses from here on: the workers, and the connections, wait for it no longer.
    close_at: Instant,
    /// The workers have seen that.
    workers_until: Instant,
    /// Everything is over.
    deadline: Instant,
}

impl Times {
    fn of(grace: Duration) -> Self {
        let now = Instant::now();
        let close_at = now + grace.mul_f64(0.75);
        Self { close_at, workers_until: (now + grace.mul_f64(0.875)).max(close_at + MOMENT), deadline: now + grace }
    }
}

/// Waits for threads; the names of those that hang.
fn join_all(threads: Vec<std::thread::JoinHandle<()>>, deadline: Instant) -> Vec<String> {
    threads.into_iter().filter_map(|thread| join::by(thread, Some(deadline))).collect()
}
