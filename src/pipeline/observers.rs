//! What the publisher has to tell, as metrics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::publish::journal::StoreObserver;
use crate::publish::message::Route;
use crate::publish::observer::{Observer, Statistics};
use crate::store::{Incident, StoreError};
use crate::telemetry::metrics::{FeedMetrics, Metrics};
use crate::telemetry::names;

/// Figures of all producers together.
#[derive(Debug)]
pub struct KafkaFigures {
    metrics: Metrics,
    queued: Mutex<HashMap<Arc<str>, u64>>,
}

impl KafkaFigures {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Arc<Self> {
        metrics.gauge(names::KAFKA_QUEUE, &[]).set(0.0);
        Arc::new(Self { metrics: metrics.clone(), queued: Mutex::default() })
    }
}

/// Observes one integration's producer.
#[derive(Debug)]
pub struct ProducerObserver {
    /// Whose.
    pub integration: Arc<str>,
    /// Its metrics.
    pub feed: FeedMetrics,
    /// Those of all.
    pub kafka: Arc<KafkaFigures>,
    /// Called for every latency of an event, for those who want percentiles of their own.
    pub latencies: Option<LatencySink>,
}

/// Observes the journal.
#[derive(Debug)]
pub struct JournalObserver {
    metrics: Metrics,
    feeds: HashMap<Arc<str>, FeedMetrics>,
}

impl JournalObserver {
    /// For these integrations.
    pub fn new(metrics: &Metrics, ids: &[Arc<str>], feeds: &[FeedMetrics]) -> Self {
        for kind in StoreError::KINDS.iter().chain(&Incident::KINDS) {
            metrics.counter(names::STORE_ERRORS, &[kind]).increment(0);
        }
        Self { metrics: metrics.clone(), feeds: ids.iter().cloned().zip(feeds.iter().cloned()).collect() }
    }
}

impl StoreObserver for JournalObserver {
    fn written(&self, integration: &Arc<str>, took: Duration) {
        if let Some(feed) = self.feeds.get(integration) {
            feed.journal.record(took.as_secs_f64());
        }
    }

    fn size(&self, bytes: u64) {
        #[allow(clippy::cast_precision_loss)] // bytes of a disk
        self.metrics.gauge(names::JOURNAL_BYTES, &[]).set(bytes as f64);
    }

    fn failed(&self, kind: &str) {
        self.metrics.counter(names::STORE_ERRORS, &[kind]).increment(1);
    }
}

/// What happened to the store before it was open: in the log and counted.
pub(super) fn tell(metrics: &Metrics, incidents: &[Incident]) {
    for incident in incidents {
        metrics.counter(names::STORE_ERRORS, &[incident.kind()]).increment(1);
        tracing::error!(kind = incident.kind(), "{incident}");
    }
}

/// Takes the latency of each acknowledged event.
#[derive(Clone)]
pub struct LatencySink(pub Arc<dyn Fn(Duration) + Send + Sync>);

impl std::fmt::Debug for LatencySink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LatencySink")
    }
}

impl Observer for ProducerObserver {
    fn acknowledged(&self, route: Route, latency: Option<Duration>) {
        if route != Route::AgentState {
            return;
        }
        let Some(latency) = latency else { return };
        self.feed.latency.record(latency.as_secs_f64());
        if let Some(sink) = &self.latencies {
            (sink.0)(latency);
        }
    }

    fn kafka_error(&self, kind: &str) {
        self.kafka.metrics.counter(names::KAFKA_ERRORS, &[kind]).increment(1);
    }

    fn dropped(&self, reason: &str) {
        self.feed.undeliverable(reason);
    }

    fn statistics(&self, statistics: &Statistics) {
        let total = {
            let mut queued = self.kafka.queued.lock();
            queued.insert(Arc::clone(&self.integration), statistics.queue_messages);
            queued.values().sum::<u64>()
        };
        #[allow(clippy::cast_precision_loss)] // bounded by the queues
        self.kafka.metrics.gauge(names::KAFKA_QUEUE, &[]).set(total as f64);
        if let Some(rtt) = statistics.broker_rtt {
            let gauge = |quantile| self.kafka.metrics.gauge(names::KAFKA_RTT, &[quantile]);
            gauge("0.5").set(rtt.p50.as_secs_f64());
            gauge("0.99").set(rtt.p99.as_secs_f64());
        }
    }
}
