//! What the publisher reports, as metrics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::engine::CloseReason;
use crate::journal::message::Route;
use crate::journal::store::{Incident, StoreError};
use crate::journal::{self, StoreObserver};
use crate::kafka::dead_letter;
use crate::kafka::observer::{self, Observer, Statistics, Window};
use crate::sources::rta::listener;
use crate::telemetry::feed_metrics::FeedMetrics;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::names::{self, Metric};
use crate::telemetry::targets::INTEGRATION;

/// Returns the metrics of an integration, with every possible reason.
pub(crate) fn feed_metrics(metrics: &Metrics, integration: &Arc<str>) -> FeedMetrics {
    let feed = FeedMetrics::new(metrics, integration);
    observer::KafkaCondition::ALL.iter().for_each(|condition| feed.kafka_condition(condition.label(), false));
    feed.expect(listener::REFUSALS.into_iter().chain(CloseReason::ALL.map(CloseReason::label)), &dead_letter::REFUSED);
    feed
}

/// Kind of store error: the store is older than what Kafka has.
const BEHIND_KAFKA: &str = "behind_kafka";

/// Figures of all producers together.
#[derive(Debug)]
pub struct KafkaFigures {
    metrics: Metrics,
    /// The last ones, by integration.
    statistics: Mutex<HashMap<Arc<str>, Statistics>>,
}

impl KafkaFigures {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Arc<Self> {
        for kind in observer::kinds_of_an_outage() {
            metrics.counter(names::KAFKA_ERRORS, &[&kind]).increment(0);
        }
        let figures = Self { metrics: metrics.clone(), statistics: Mutex::default() };
        figures.record(&HashMap::new());
        Arc::new(figures)
    }

    fn take(&self, integration: &Arc<str>, statistics: &Statistics) {
        let mut latest = self.statistics.lock();
        latest.insert(Arc::clone(integration), statistics.clone());
        self.record(&latest);
    }

    /// An integration's producer has ended.
    pub fn ended(&self, integration: &Arc<str>) {
        let mut latest = self.statistics.lock();
        latest.remove(integration);
        self.record(&latest);
    }

    /// Kafka has failed for somebody who has no producer yet.
    pub fn failed(&self, kind: &str) {
        self.metrics.counter(names::KAFKA_ERRORS, &[kind]).increment(1);
    }

    fn record(&self, latest: &HashMap<Arc<str>, Statistics>) {
        let queued: u64 = latest.values().map(|statistics| statistics.queue_messages).sum();
        #[allow(clippy::cast_precision_loss)] // bounded by the queues
        self.metrics.gauge(names::KAFKA_QUEUE, &[]).set(queued as f64);
        let slowest = |window_of: fn(&Statistics) -> Option<Window>| {
            latest.values().filter_map(window_of).max_by_key(|window| window.p99).unwrap_or_default()
        };
        self.window(names::KAFKA_INTERNAL, slowest(|statistics| statistics.internal_latency));
        self.window(names::KAFKA_OUTBUF, slowest(|statistics| statistics.outbuf_latency));
        self.window(names::KAFKA_RTT, slowest(|statistics| statistics.broker_rtt));
    }

    fn window(&self, metric: Metric, window: Window) {
        self.metrics.gauge(metric, &["0.5"]).set(window.p50.as_secs_f64());
        self.metrics.gauge(metric, &["0.99"]).set(window.p99.as_secs_f64());
    }
}

/// Observes one integration's producer.
#[derive(Debug)]
pub struct ProducerObserver {
    /// The integration's id.
    pub integration: Arc<str>,
    /// Its metrics.
    pub feed: FeedMetrics,
    /// The figures of all producers.
    pub kafka: Arc<KafkaFigures>,
    /// Called for every latency of an event, for callers that want percentiles of their own.
    pub latencies: Option<LatencySink>,
}

/// Observes the journal.
#[derive(Debug)]
pub struct JournalObserver {
    metrics: Metrics,
    feeds: Mutex<HashMap<Arc<str>, FeedMetrics>>,
}

impl JournalObserver {
    /// Creates one that knows no integration yet.
    pub fn new(metrics: &Metrics) -> Self {
        let more = journal::TROUBLES.iter().chain(&[BEHIND_KAFKA]);
        for kind in StoreError::KINDS.iter().chain(more).chain(&Incident::KINDS) {
            metrics.counter(names::STORE_ERRORS, &[kind]).increment(0);
        }
        metrics.gauge(names::JOURNAL_BYTES, &[]).set(0.0);
        Self { metrics: metrics.clone(), feeds: Mutex::default() }
    }

    /// Reports an integration with these metrics from now on.
    pub fn add(&self, integration: &Arc<str>, metrics: &FeedMetrics) {
        self.feeds.lock().insert(Arc::clone(integration), metrics.clone());
    }
}

impl StoreObserver for JournalObserver {
    fn written(&self, integration: &Arc<str>, took: Duration) {
        if let Some(feed) = self.feeds.lock().get(integration) {
            feed.journal.record(took.as_secs_f64());
        }
    }

    fn size(&self, bytes: u64) {
        #[allow(clippy::cast_precision_loss)] // bytes of a disk
        self.metrics.gauge(names::JOURNAL_BYTES, &[]).set(bytes as f64);
    }

    fn filled(&self, integration: &Arc<str>, ratio: f64) {
        if let Some(feed) = self.feeds.lock().get(integration) {
            feed.fill_ratio.set(ratio);
        }
    }

    fn failed(&self, kind: &str) {
        self.metrics.counter(names::STORE_ERRORS, &[kind]).increment(1);
    }
}

/// Logs and counts what happened to the store before it was open.
pub(crate) fn record_incidents(metrics: &Metrics, incidents: &[Incident]) {
    for incident in incidents {
        metrics.counter(names::STORE_ERRORS, &[incident.kind()]).increment(1);
        tracing::error!(target: INTEGRATION, kind = incident.kind(), "{incident}");
    }
}

/// Called with an integration and a latency.
pub type LatencyFn = dyn Fn(&str, Duration) + Send + Sync;

/// Takes the integration and the latency of each acknowledged event.
#[derive(Clone)]
pub struct LatencySink(pub Arc<LatencyFn>);

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
            (sink.0)(&self.integration, latency);
        }
    }

    fn kafka_error(&self, kind: &str) {
        self.kafka.failed(kind);
    }

    fn behind(&self) {
        self.kafka.metrics.counter(names::STORE_ERRORS, &[BEHIND_KAFKA]).increment(1);
    }

    fn condition(&self, condition: observer::KafkaCondition, lasts: bool) {
        self.feed.kafka_condition(condition.label(), lasts);
    }

    fn dropped(&self, reason: &str) {
        self.feed.undeliverable(reason);
    }

    fn statistics(&self, statistics: &Statistics) {
        self.kafka.take(&self.integration, statistics);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(p50: u64, p99: u64) -> Option<Window> {
        Some(Window { p50: Duration::from_millis(p50), p99: Duration::from_millis(p99) })
    }

    #[test]
    fn windows_are_those_of_the_slowest_integration_and_end_with_the_traffic() {
        let metrics = Metrics::new().unwrap();
        let kafka = KafkaFigures::new(&metrics);
        let statistics = |queue_messages, internal_latency, broker_rtt| Statistics {
            queue_messages,
            internal_latency,
            broker_rtt,
            ..Statistics::default()
        };
        // Statistics of integrations a and b, one after the other; then in the exposition: queue, and p50 and p99 of the time
        // in the queue and of round trips.
        let script = [
            ("a", statistics(3, millis(1, 4), millis(10, 20)), [3.0, 0.001, 0.004, 0.01, 0.02]),
            ("b", statistics(2, millis(2, 3), millis(15, 30)), [5.0, 0.001, 0.004, 0.015, 0.03]),
            ("b", statistics(0, None, None), [3.0, 0.001, 0.004, 0.01, 0.02]),
            ("a", statistics(0, None, None), [0.0; 5]),
        ];
        for (step, (integration, statistics, expected)) in script.into_iter().enumerate() {
            kafka.take(&integration.into(), &statistics);
            let exposition = metrics.render();
            let value = |series: &str| -> f64 {
                let line = exposition.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
                line.unwrap_or_else(|| panic!("{series} is missing")).parse().unwrap()
            };
            let told = [
                value("rtalink_kafka_queue_messages"),
                value("rtalink_kafka_internal_latency_seconds{quantile=\"0.5\"}"),
                value("rtalink_kafka_internal_latency_seconds{quantile=\"0.99\"}"),
                value("rtalink_kafka_broker_rtt_seconds{quantile=\"0.5\"}"),
                value("rtalink_kafka_broker_rtt_seconds{quantile=\"0.99\"}"),
            ];
            assert_eq!(told, expected, "step {step}");
            assert_eq!(value("rtalink_kafka_outbuf_latency_seconds{quantile=\"0.99\"}"), 0.0);
        }
    }
}
