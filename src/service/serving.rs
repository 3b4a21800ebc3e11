//! HTTP while the service runs: from before the agents are restored until after the last acknowledgement.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::model::Http;
use crate::http;
use crate::http::limits::HttpLimits;
use crate::http::readiness::Readiness;
use crate::http::reload::ReloadRequests;
use crate::integration::command::Commands;
use crate::views::model::ReadModel;

use super::context::ServiceContext;
use super::upkeep::Upkeep;

/// Where requests go that change something.
pub(super) struct Requests {
    pub(super) commands: Commands,
    pub(super) reloads: Option<ReloadRequests>,
}

/// HTTP that is served; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) address: SocketAddr,
    readiness: Arc<Readiness>,
    access: Arc<ArcSwap<Http>>,
    http: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

impl Serving {
    /// Starts serving, not ready yet.
    pub(super) fn start(
        listeners: Vec<TcpListener>,
        model: &ReadModel,
        context: &ServiceContext,
        requests: Requests,
    ) -> std::io::Result<Self> {
        let first = listeners.first().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        let address = first.local_addr()?;
        let ServiceContext { metrics, config, handles, view, .. } = context;
        let stop = CancellationToken::new();
        let readiness = Arc::new(Readiness::new(&config.store, metrics, handles.clone()));
        let access = Arc::new(ArcSwap::from_pointee(config.http.clone()));
        let state = http::State {
            model: model.clone(),
            metrics: metrics.clone(),
            readiness: Arc::clone(&readiness),
            service: view.clone(),
            commands: requests.commands,
            reloads: requests.reloads,
            access: Arc::clone(&access),
            format: config.kafka.format,
        };
        let http = tokio::spawn(http::serve(listeners, state, HttpLimits::default(), stop.clone()));
        tokio::spawn(Upkeep::new(metrics, model, view, &config.store).run(stop.clone()));
        let (looks, looked_until) = (Arc::clone(&readiness), stop.clone());
        tokio::spawn(async move { looks.run(looked_until).await });
        let guard = stop.clone().drop_guard();
        Ok(Self { address, readiness, access, http, stop, _stop_when_dropped: guard })
    }

    /// The agents are restored and CMS can dial in: ready if the store is.
    pub(super) fn all_is_there(&self) {
        self.readiness.all_is_there();
    }

    /// Changes who may do what from now on.
    pub(super) fn change_access(&self, http: &Http) {
        self.access.store(Arc::new(http.clone()));
    }

    /// Ends it, once requests in progress are answered.
    pub(super) async fn end(self) {
        self.stop.cancel();
        // It ends by itself; a panic in it is in the log.
        let _ = self.http.await;
    }
}
