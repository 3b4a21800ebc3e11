//! What can change while a port is open.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::wire::plan::Plan;

use super::tls::Tls;

/// What can change while a port is open.
#[derive(Debug)]
pub struct FeedSettings {
    /// The layout.
    pub plan: Arc<Plan>,
    /// Who may connect; empty: anybody.
    pub allow: Vec<IpNet>,
    /// Silence that is reported to the worker, where it ends snapshots.
    pub idle_after: Option<Duration>,
    /// TLS for new connections; `None`: the port is plain text.
    pub tls: Option<Arc<Tls>>,
}

impl FeedSettings {
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allow.is_empty() || self.allow.iter().any(|network| network.contains(&address))
    }
}
