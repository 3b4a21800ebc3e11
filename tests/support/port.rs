//! A port without a service: its messages go to whoever has the receiver.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rtalink::integration::worker::WORKER_CHANNEL;
use rtalink::sources::rta::forward::passage::PauseRule;
use rtalink::sources::rta::forward::relay::Relay;
use rtalink::sources::rta::listener::{self, FeedInputs};
use rtalink::sources::rta::settings::FeedSettings;
use rtalink::sources::rta::worker_channel::{self, WorkerReceiver};
use rtalink::telemetry::feed_metrics::FeedMetrics;
use rtalink::telemetry::forward_metrics::ForwardMetrics;
use rtalink::telemetry::metrics::Metrics;
use rtalink::wire::plan::Plan;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

pub(crate) struct Port {
    /// The port ends with it.
    pub(crate) runtime: Runtime,
    pub(crate) metrics: Metrics,
    pub(crate) address: SocketAddr,
    pub(crate) receiver: WorkerReceiver<(), ()>,
}

impl Port {
    pub(crate) fn open(plan: Arc<Plan>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let metrics = Metrics::new().unwrap();
        let (mut senders, receiver) = worker_channel::channels(1, WORKER_CHANNEL);
        let to_worker = senders.remove(0);
        let id: Arc<str> = "a".into();
        let settings = FeedSettings { plan, allow: Vec::new(), idle_after: None, tls: None };
        let rule = PauseRule::of_layout(Duration::from_millis(500));
        let feed = FeedInputs {
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            to_worker,
            metrics: FeedMetrics::new(&metrics, &id),
            forward: Relay::new(Arc::clone(&id), rule, |_| ForwardMetrics::noop()),
            id,
            stop: CancellationToken::new(),
        };
        let bound = listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = bound.local_addr().unwrap();
        let listener = {
            let _inside = runtime.enter();
            bound.listen().unwrap()
        };
        runtime.spawn(feed.listen(listener));
        Self { runtime, metrics, address, receiver }
    }
}
