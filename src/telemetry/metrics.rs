//! The registry of the metrics, and what it exports.
//!
//! The recorder is an object, not a global: two services in one process (a test) do not mix their figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Label};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use parking_lot::Mutex;

use super::names::{self, Kind, Metric};
use super::{process, repeats};

/// Upper bounds of the histograms: 1-2-5 steps from 10 µs to 60 s.
const BUCKETS: [f64; 21] = [
    1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0,
    60.0,
];

/// What is exported of integrations that are no longer in the configuration.
const REMOVED: [Metric; 2] = [names::REMOVED_PENDING, names::REMOVED_AGENTS];

/// The registry of one service.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    /// Integrations that are, or were, no longer in the configuration, and whether they still are.
    removed: Arc<Mutex<BTreeMap<Arc<str>, bool>>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Creates an empty registry.
    ///
    /// # Errors
    /// When the buckets are refused.
    pub fn new() -> Result<Self, BuildError> {
        let mut builder = PrometheusBuilder::new();
        for metric in names::ALL.iter().filter(|metric| metric.kind == Kind::Histogram) {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), &BUCKETS)?;
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let metrics = Self { recorder: Arc::new(recorder), handle, removed: Arc::default() };
        metrics::with_local_recorder(&*metrics.recorder, || {
            for metric in names::ALL {
                match metric.kind {
                    Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
                    Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
                    Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
                }
            }
        });
        metrics.gauge(names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")]).set(1.0);
        Ok(metrics)
    }

    /// Returns the exposition, with the process and its log, which belong to no service.
    pub fn render(&self) -> String {
        self.counter(names::LOG_SUPPRESSED, &[]).absolute(repeats::suppressed_total());
        let mut exposition = self.handle.render();
        let removed = self.removed.lock();
        if !removed.is_empty() {
            let label = |(id, is_removed): (&Arc<str>, &bool)| (format!("integration=\"{id}\""), *is_removed);
            let labels: Vec<(String, bool)> = removed.iter().map(label).collect();
            let is_hidden = |line: &&str| {
                let says_what_is_left = REMOVED.iter().any(|metric| line.starts_with(metric.name));
                let of = labels.iter().find(|(label, _)| !line.starts_with('#') && line.contains(label));
                of.is_some_and(|(_, is_removed)| *is_removed != says_what_is_left)
            };
            exposition = exposition.split_inclusive('\n').filter(|line| !is_hidden(line)).collect();
        }
        drop(removed);
        exposition + &process::exposition()
    }

    /// Sets whether an integration is no longer in the configuration. Then nothing is wrong with its feed, and only what is
    /// left of it is exported. Its figures go on where they were if it comes back.
    pub fn set_removed(&self, integration: &Arc<str>, is_removed: bool) {
        let mut removed = self.removed.lock();
        if is_removed || removed.contains_key(integration) {
            removed.insert(Arc::clone(integration), is_removed);
        }
    }

    /// Moves histogram samples out of their buffers; to be called every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Returns a counter; values in the order of the metric's labels.
    pub fn counter(&self, metric: Metric, values: &[&str]) -> Counter {
        metrics::with_local_recorder(&*self.recorder, || metrics::counter!(metric.name, labels(metric, values)))
    }

    /// Returns a gauge.
    pub fn gauge(&self, metric: Metric, values: &[&str]) -> Gauge {
        metrics::with_local_recorder(&*self.recorder, || metrics::gauge!(metric.name, labels(metric, values)))
    }

    /// Returns a histogram.
    pub fn histogram(&self, metric: Metric, values: &[&str]) -> Histogram {
        metrics::with_local_recorder(&*self.recorder, || metrics::histogram!(metric.name, labels(metric, values)))
    }
}

fn labels(metric: Metric, values: &[&str]) -> Vec<Label> {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    metric.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
}
