//! What all integrations of a service share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::model::{Config, Integration};
use crate::integration::command::{Command, Control, Task};
use crate::integration::handles::Handles;
use crate::integration::mapping_versions::Versions;
use crate::integration::metrics_bridge::{self, JournalObserver, KafkaFigures, LatencySink};
use crate::kafka::Publisher;
use crate::sources::rta::listener::Bound;
use crate::sources::rta::worker_channel::{WorkerMessage, WorkerSender};
use crate::telemetry::feed_metrics::FeedMetrics;
use crate::telemetry::metrics::Metrics;
use crate::views::model::{IntegrationIndex, Update, Updates};
use crate::views::service::ServiceView;

use super::preparation::{self, Prepared};
use super::running::StartingIntegration;
use super::workers::Workers;

/// The ways to the workers of the integrations that are at work.
pub(super) type WorkerSenders = Arc<RwLock<HashMap<IntegrationIndex, WorkerSender<Control>>>>;

/// What all integrations share. Everything that can change while they run can change for each of them alone.
#[derive(Debug)]
pub(super) struct ServiceContext {
    /// File of the configuration, for messages.
    pub(super) file: PathBuf,
    /// What a restart is needed for: of Kafka, the store and privacy. Its integrations are those of the start.
    pub(super) config: Config,
    pub(super) metrics: Metrics,
    /// What is shown of the service as a whole.
    pub(super) view: ServiceView,
    /// Takes the figures of feeds that are no longer configured, and that nobody sees.
    pub(super) unseen: Metrics,
    pub(super) kafka: Arc<KafkaFigures>,
    pub(super) journal: Arc<JournalObserver>,
    pub(super) publisher: Publisher,
    pub(super) handles: Handles,
    pub(super) senders: WorkerSenders,
    pub(super) workers: Workers,
    pub(super) updates: Updates,
    /// Of the mappings. Changed where the store is at hand, so that none is in force that is not written down.
    pub(super) versions: Arc<Mutex<Versions>>,
    /// Messages that nobody took at the end.
    pub(super) refused: Arc<AtomicUsize>,
    pub(super) latencies: Option<LatencySink>,
    /// How long after they were last seen agents are forgotten; changes with a reload.
    pub(super) forget_after: Mutex<Option<Duration>>,
    /// Ends the feeds.
    pub(super) stop: CancellationToken,
}

impl ServiceContext {
    /// Returns what an integration is started with, and shows it in the model as one of which nothing is known yet.
    pub(super) fn starting(
        &self,
        integration: Integration,
        index: IntegrationIndex,
        prepared: Prepared,
        bound: Option<Bound>,
    ) -> StartingIntegration {
        let Prepared { plan, tls, tables } = prepared;
        let tables = Arc::new(tables);
        let metrics = self.feed_metrics(&integration);
        let mut model = preparation::model(&integration, &metrics, bound.as_ref());
        model.mapping_version = tables.version;
        model.mapping = Some(Arc::clone(&tables));
        // The model outlives its senders.
        let _ = self.updates.send((index, Update::Begin(Box::new(model))));
        StartingIntegration { integration, index, plan, tls, tables, bound, metrics }
    }

    /// Registers the metrics of an integration that begins. Nothing is wrong with the feed of one that is not configured.
    fn feed_metrics(&self, integration: &Integration) -> FeedMetrics {
        let metrics = if integration.is_removed { &self.unseen } else { &self.metrics };
        self.metrics.set_removed(&integration.id, integration.is_removed);
        let feed = metrics_bridge::feed_metrics(metrics, &integration.id);
        self.journal.add(&integration.id, &feed);
        feed
    }
}

/// Passes on what HTTP asks for. A command for an integration without a worker is not carried out: dropping it says so.
pub(super) async fn carry_out(mut commands: mpsc::Receiver<Command>, senders: WorkerSenders) {
    while let Some(Command { index, task }) = commands.recv().await {
        let to_worker = senders.read().get(&index).cloned();
        if let Some(to_worker) = to_worker {
            let control = match task {
                Task::Publishing { pause, done } => Control::Publishing { pause, done },
                Task::Forget(forget) => Control::Forget(forget),
            };
            // A worker that has ended drops it too.
            let _ = to_worker.send(WorkerMessage::Control(control)).await;
        }
    }
}
