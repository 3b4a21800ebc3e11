//! `rtalink capture --forward`: what is recorded goes to further targets too, before there is a layout.
//!
//! Nothing says which of two connections is CMS and where a snapshot begins. So the oldest open connection is forwarded, and
//! a snapshot begins with the connection or with the first byte after a pause of [`PAUSE`].

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use parking_lot::Mutex;

use crate::config;
use crate::sources::rta::forward::passage::PauseRule;
use crate::sources::rta::forward::relay::Relay;
use crate::telemetry::forward_metrics::ForwardMetrics;
use crate::time::Timestamp;

/// Between two refreshes of a report no byte comes for longer than this.
const PAUSE: Duration = Duration::from_millis(500);

/// Where what is recorded goes besides.
pub(super) struct Forwarding {
    relay: Arc<Relay>,
    /// Connections that are open.
    open: Mutex<BTreeSet<u64>>,
}

/// Reads `--forward`.
pub(super) fn target(text: &str) -> anyhow::Result<Arc<str>> {
    if config::is_forward_target(text) {
        return Ok(text.into());
    }
    bail!("expected host:port, such as 10.1.2.4:7001, cloudlink.example:7001 or [2001:db8::4]:7001")
}

impl Forwarding {
    /// Dials these targets whenever somebody dials the port.
    pub(super) fn start(targets: &[Arc<str>], address: SocketAddr) -> Self {
        let rule = PauseRule { pause: PAUSE, after: Duration::ZERO };
        let relay = Relay::new("capture".into(), rule, |_| ForwardMetrics::noop());
        relay.listens_at(address);
        relay.set_targets(targets);
        Self { relay, open: Mutex::default() }
    }

    pub(super) fn opened(&self, connection: u64) {
        self.relay.opened(connection);
        let mut open = self.open.lock();
        open.insert(connection);
        self.let_oldest_speak(&open);
    }

    pub(super) fn read(&self, connection: u64, bytes: &[u8], at: Timestamp) {
        self.relay.read(connection, bytes, at);
    }

    pub(super) fn closed(&self, connection: u64) {
        self.relay.closed(connection);
        let mut open = self.open.lock();
        open.remove(&connection);
        self.let_oldest_speak(&open);
    }

    fn let_oldest_speak(&self, open: &BTreeSet<u64>) {
        if let Some(oldest) = open.first() {
            self.relay.speaks(*oldest);
        }
    }

    /// Gives the targets a moment for the last bytes.
    pub(super) async fn finish(&self) {
        self.relay.finish().await;
    }
}
