//! One integration of the service, from its start to its end, while the others run.
//!
//! Order of a start: the mapping and the agents are there, the lane of the journal is opened and published, a worker takes
//! the integration, and last CMS can dial in. Order of an end: no new bytes, the worker finishes what it has, Kafka has a
//! moment to acknowledge it, and the lane is closed: what is left is in the store, as after the end of the service. So a
//! change that an integration cannot take while it runs is an end and a start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::model::Integration;
use crate::config::problem::Problem;
use crate::engine::Engine;
use crate::integration::command::Control;
use crate::integration::from_kafka;
use crate::integration::integration_worker::{IntegrationWorker, WorkerParts};
use crate::integration::mapping_versions::Versions;
use crate::integration::metrics_bridge::ProducerObserver;
use crate::integration::restore::{self, Restored};
use crate::integration::start_wait::StartWait;
use crate::journal::LaneStart;
use crate::kafka::PublishHandle;
use crate::kafka::comparison::KnownAgents;
use crate::kafka::encode::Encoder;
use crate::mapping::tables::MappingTables;
use crate::sources::Source;
use crate::sources::rta::forward::passage::PauseRule;
use crate::sources::rta::forward::relay::Relay;
use crate::sources::rta::listener::{Bound, FeedInputs};
use crate::sources::rta::settings::FeedSettings;
use crate::sources::rta::worker_channel::{WorkerMessage, WorkerSender};
use crate::telemetry::feed_metrics::{FeedMetrics, RemovedMetrics};
use crate::telemetry::targets::SERVICE;
use crate::views::model::{IntegrationIndex, Update};
use crate::wire::plan::Plan;

use super::context::ServiceContext;
use super::preparation;
use super::tls_files::TlsFiles;
use super::workers::WorkerPlace;
use super::{StartError, Started};

/// Everything that an integration is started with.
#[derive(Debug)]
pub(super) struct StartingIntegration {
    pub(super) integration: Integration,
    /// Its place in the model.
    pub(super) index: IntegrationIndex,
    /// Absent without real time.
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) tls: Option<TlsFiles>,
    /// The mapping, with its version.
    pub(super) tables: Arc<MappingTables>,
    /// Its port; bound only now where that is absent.
    pub(super) bound: Option<Bound>,
    pub(super) metrics: FeedMetrics,
}

/// An integration at work.
#[derive(Debug)]
pub(super) struct Running {
    id: Arc<str>,
    index: IntegrationIndex,
    /// Absent where there is neither a feed nor anybody in the store.
    worker: Option<(WorkerSender<Control>, WorkerPlace)>,
    pub(super) feed: Option<RunningFeed>,
}

/// A feed at work.
#[derive(Debug)]
pub(super) struct RunningFeed {
    pub(super) settings: Arc<ArcSwap<FeedSettings>>,
    pub(super) metrics: FeedMetrics,
    /// The mapping in force.
    pub(super) tables: Arc<MappingTables>,
    /// Where CMS dials in.
    pub(super) address: Option<SocketAddr>,
    /// Passes its bytes on.
    pub(super) forward: Arc<Relay>,
    source: RunningSource,
}

/// A source at work; dropping this ends it at once.
#[derive(Debug)]
struct RunningSource {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl RunningSource {
    /// Runs a source that was built with this token.
    fn spawn(source: impl Source, stop: CancellationToken) -> Self {
        Self { stop, task: AbortOnDropHandle::new(tokio::spawn(source.run())) }
    }

    /// Waits until everything that it has read is handed over.
    async fn end(self) {
        self.stop.cancel();
        // A panic in it is in the log.
        let _ = self.task.await;
    }
}

impl StartingIntegration {
    /// Starts it with the agents that were restored. Blocks for as long as the store takes.
    ///
    /// # Errors
    /// When the store or a thread fails, or somebody else has taken the port meanwhile. Never because Kafka is away.
    pub(super) fn start(mut self, context: &Arc<ServiceContext>, restored: Restored) -> Result<Running, StartError> {
        self.go_beyond(restored.mapping_version, context)?;
        // What has no feed and nobody in the store needs no worker.
        let has_worker = self.plan.is_some() || restored.has_something();
        let known = match restored.sequences() {
            _ if !has_worker => KnownAgents::Nobody,
            Some(sequences) => KnownAgents::Sequences(sequences),
            None => KnownAgents::AsKafka,
        };
        let (id, index) = (Arc::clone(&self.integration.id), self.index);
        let lane = LaneStart {
            integration: Arc::clone(&id),
            stored: restored.stored.clone(),
            keeps_events: restore::keeps_events(&self.integration),
        };
        let observer = ProducerObserver {
            integration: Arc::clone(&id),
            feed: self.metrics.clone(),
            kafka: Arc::clone(&context.kafka),
            latencies: context.latencies.clone(),
        };
        let handle = context.publisher.open(lane, Arc::new(observer), known);
        let handle = handle.map_err(|error| StartError::one(&context.file, error.to_string()))?;
        let mut running = Running { id, index, worker: None, feed: None };
        if has_worker && let Err(error) = self.put_to_work(context, handle.clone(), restored, &mut running) {
            // Nothing of it stays behind.
            tokio::runtime::Handle::current().block_on(running.end(Arc::clone(context), Duration::ZERO));
            return Err(error);
        }
        if let Some((to_worker, _)) = &running.worker {
            context.senders.write().insert(index, to_worker.clone());
        }
        context.handles.insert(index, handle);
        Ok(running)
    }

    /// Gives the mapping a version beyond that of anything published before.
    fn go_beyond(&mut self, published: u64, context: &ServiceContext) -> Result<(), StartError> {
        if published == 0 {
            return Ok(());
        }
        let failed = |error: &dyn std::fmt::Display| StartError::one(&context.file, error.to_string());
        let (id, versions) = (Arc::clone(&self.integration.id), Arc::clone(&context.versions));
        let changed = context.publisher.with_store(move |store| {
            Versions::change(&versions, store, |versions, _| Ok(versions.go_beyond(&id, published)))
        });
        if let Some(version) = changed.recv().map_err(|error| failed(&error))?.map_err(|error| failed(&error))? {
            self.tables = Arc::new(MappingTables { version, ..MappingTables::clone(&self.tables) });
            // The model outlives its senders.
            let _ = context.updates.send((self.index, Update::Mapping(Arc::clone(&self.tables))));
        }
        Ok(())
    }

    /// Gives it to a worker, and lets CMS dial in from then on.
    fn put_to_work(
        self,
        context: &ServiceContext,
        publish: PublishHandle,
        restored: Restored,
        running: &mut Running,
    ) -> Result<(), StartError> {
        let failed = |error: std::io::Error| StartError::one(&context.file, error.to_string());
        let forward = self.plan.is_some().then(|| self.relay());
        let Some(worker) = self.worker(context, publish, restored, forward.clone()) else { return Ok(()) };
        let (to_worker, place) = context.workers.assign(worker).map_err(failed)?;
        running.worker = Some((to_worker.clone(), place));
        let Self { integration, plan: Some(plan), tls, tables, bound, metrics, .. } = self else { return Ok(()) };
        let Some(forward) = forward else { return Ok(()) };
        let Some(realtime) = &integration.realtime else { return Ok(()) };
        let bound = match bound {
            Some(bound) => bound,
            None => preparation::bind(realtime.listen, &integration.id, &context.file)
                .map_err(|problem| StartError(vec![problem]))?,
        };
        let address = bound.local_addr().ok();
        metrics.tls_expires(tls.as_ref().map(|files| files.expires));
        let settings = preparation::feed_settings(&integration, realtime, &plan, tls.as_ref());
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let stop = context.stop.child_token();
        let feed = FeedInputs {
            id: Arc::clone(&integration.id),
            settings: Arc::clone(&settings),
            to_worker,
            metrics: metrics.clone(),
            forward: Arc::clone(&forward),
            stop: stop.clone(),
        };
        forward.set_targets(&realtime.forward);
        let source = RunningSource::spawn(feed.build(bound).map_err(failed)?, stop);
        running.feed = Some(RunningFeed { settings, metrics, tables, address, forward, source });
        Ok(())
    }

    /// Returns what passes on its bytes; to nobody yet.
    fn relay(&self) -> Arc<Relay> {
        let rule = PauseRule::of_layout(self.integration.settings.thresholds.snapshot_idle);
        let metrics = self.metrics.clone();
        Relay::new(Arc::clone(&self.integration.id), rule, move |target| metrics.forward(target))
    }

    /// Returns what the worker owns.
    fn worker(
        &self,
        context: &ServiceContext,
        publish: PublishHandle,
        restored: Restored,
        forward: Option<Arc<Relay>>,
    ) -> Option<IntegrationWorker> {
        let Self { integration, index, plan, tables, metrics, .. } = self;
        let read_by = plan.clone().or_else(preparation::plan_without_feed)?;
        let mut engine = Engine::new(integration.settings.clone(), read_by, Arc::clone(tables));
        let event_names = context.config.privacy.event_names;
        let refresh_after = integration.realtime.as_ref().and_then(|realtime| realtime.refresh_after);
        let (checkpoint, last_events) = restored.into_engine(&mut engine, refresh_after, event_names);
        Some(IntegrationWorker::new(WorkerParts {
            id: Arc::clone(&integration.id),
            index: *index,
            engine,
            encoder: Encoder::new(Arc::clone(&integration.id), context.config.kafka.format),
            publish,
            metrics: metrics.clone(),
            model: context.updates.clone(),
            refused: Arc::clone(&context.refused),
            checkpoint,
            last_events,
            has_feed: plan.is_some(),
            forward,
            removed: integration.is_removed.then(|| RemovedMetrics::new(&context.metrics, &integration.id)),
            forget_after: *context.forget_after.lock(),
            event_names,
        }))
    }
}

/// Starts integrations whose agents are read from Kafka first, however long that takes, unless it is stopped. Blocks.
pub(super) fn start_from_kafka(
    context: &Arc<ServiceContext>,
    waiting: Vec<(StartingIntegration, Restored)>,
    stop: &CancellationToken,
) -> Started {
    let (all, restored): (Vec<StartingIntegration>, Vec<Restored>) = waiting.into_iter().unzip();
    let ids: Vec<Arc<str>> = all.iter().map(|starting| Arc::clone(&starting.integration.id)).collect();
    let wait = StartWait::new(&ids, &context.view, &context.kafka);
    let read = from_kafka::read(&context.config, &ids, restored, &context.publisher, &wait, stop);
    drop(wait);
    match read {
        Ok(restored) => {
            let start = |(starting, restored): (StartingIntegration, Restored)| {
                (starting.index, starting.start(context, restored))
            };
            all.into_iter().zip(restored).map(start).collect()
        }
        Err(error) => {
            let failed = |starting: StartingIntegration| {
                (starting.index, Err(StartError::one(&context.file, error.to_string())))
            };
            all.into_iter().map(failed).collect()
        }
    }
}

impl Running {
    /// Sends something to its worker, where it has one.
    pub(super) async fn control(&self, control: Control) {
        let Some((to_worker, _)) = &self.worker else { return };
        if to_worker.send(WorkerMessage::Control(control)).await.is_err() {
            tracing::error!(target: SERVICE, integration = %self.id, "its worker has ended: not reloaded");
        }
    }

    /// Ends the feed: once this returns, everything that it had read is on its way to the worker.
    pub(super) async fn end_feed(&mut self) {
        if let Some(feed) = self.feed.take() {
            feed.source.end().await;
        }
    }

    /// Ends it, while the others run. What Kafka has not acknowledged within `grace` stays in the store.
    pub(super) async fn end(mut self, context: Arc<ServiceContext>, grace: Duration) {
        self.end_feed().await;
        if let Some((to_worker, place)) = self.worker.take() {
            let (done, ended) = tokio::sync::oneshot::channel();
            if to_worker.send(WorkerMessage::Control(Control::Stop { done })).await.is_ok() {
                // A worker that ends drops it.
                let _ = ended.await;
            }
            context.workers.left(place);
        }
        context.senders.write().remove(&self.index);
        context.handles.remove(self.index);
        let Self { id, .. } = self;
        let closed = tokio::task::spawn_blocking(move || {
            let kept = context.publisher.close(&id, Instant::now() + grace);
            context.kafka.ended(&id);
            tracing::info!(target: SERVICE, integration = %id, kept, "the integration has ended");
        });
        if let Err(error) = closed.await {
            tracing::error!(target: SERVICE, %error, "an integration has not ended as it should");
        }
    }
}

/// Why an integration is not at work.
pub(super) fn log_failure(id: &str, StartError(problems): &StartError) {
    for problem in problems {
        tracing::error!(target: SERVICE, integration = id, "it cannot be started: {}", Problem::line(problem));
    }
}
