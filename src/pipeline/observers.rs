//! What the publisher has to tell, as metrics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::publish::message::Route;
use crate::publish::observer::{Observer, Statistics};
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
