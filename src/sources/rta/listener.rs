//! The port that CMS dials: one listener per integration.
//!
//! A peer that is not on the allow-list is closed and counted before a byte is read. Errors of `accept` (no file descriptors
//! left) are waited out with a growing pause instead of a busy loop. Connections are bounded; the session keeps only a few of
//! them (`session`), and TLS handshakes are bounded before they count as connections (`handshakes`).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::session::ConnectionId;
use crate::sources::Source;
use crate::telemetry::feed_metrics::FeedMetrics;
use crate::telemetry::targets::FEED;

use super::connection::{ConnectionEnd, FeedConnection};
use super::forward::relay::Relay;
use super::handshakes::Handshakes;
use super::settings::FeedSettings;
use super::stream::FeedStream;
use super::tls::{self, Failure, Tls};
use super::worker_channel::WorkerSender;

/// Most open connections of one listener; the session keeps at most five of them.
pub const MAX_CONNECTIONS: usize = 16;

/// Why a connection is closed before a record is read.
const NOT_ALLOWED: &str = "not_allowed";
const TOO_MANY_CONNECTIONS: &str = "too_many_connections";

/// Every reason.
pub const REFUSALS: [&str; 9] = [
    NOT_ALLOWED,
    TOO_MANY_CONNECTIONS,
    tls::EXPECTED,
    tls::UNEXPECTED,
    tls::TIMEOUT,
    tls::DISPLACED,
    tls::PEER_CERTIFICATE,
    tls::REFUSED_BY_PEER,
    tls::HANDSHAKE,
];

/// A dead peer is noticed after 60 s of silence and 3 unanswered probes, 10 s apart.
pub(super) const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(3);

/// Connections that the system keeps until they are accepted.
const BACKLOG: i32 = 128;

const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A port that is bound, but that nobody can dial yet.
#[derive(Debug)]
pub struct Bound(Socket);

impl Bound {
    /// Returns its address.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Lets it be dialled from now on.
    ///
    /// # Errors
    /// When another process listens there already.
    pub fn listen(self) -> io::Result<TcpListener> {
        self.0.listen(BACKLOG)?;
        TcpListener::from_std(self.0.into())
    }
}

/// Takes a port. `::` takes IPv4 too, whatever the machine's default for that; where it has no IPv6 at all, IPv4 alone.
///
/// # Errors
/// When it is in use or may not be bound.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
    match take(address) {
        Err(error) if is_without_ipv6(&error) && address.ip() == Ipv6Addr::UNSPECIFIED => take(everywhere),
        taken => taken,
    }
}

/// Checks that somebody could listen there now.
///
/// # Errors
/// Those of [`bind`], and when another process listens there.
pub fn probe(address: SocketAddr) -> io::Result<()> {
    bind(address)?.0.listen(1)
}

/// Whether that is so because the machine has no IPv6: none at all, or no address of it.
pub fn is_without_ipv6(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(|errno| Some(errno.raw_os_error())).contains(&error.raw_os_error())
}

fn take(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(Bound(socket))
}

/// A bound port with all that its connections need.
#[derive(Debug)]
pub struct FeedInputs<C> {
    /// Its id, for logs.
    pub id: Arc<str>,
    /// Settings that can change.
    pub settings: Arc<ArcSwap<FeedSettings>>,
    /// Sends to the worker.
    pub to_worker: WorkerSender<C>,
    /// The feed's metrics.
    pub metrics: FeedMetrics,
    /// Gets every byte.
    pub forward: Arc<Relay>,
    /// Ends the listener and its connections.
    pub stop: CancellationToken,
}

/// A feed whose port can be dialled.
#[derive(Debug)]
pub struct FeedPort<C> {
    feed: FeedInputs<C>,
    listener: TcpListener,
}

impl<C> FeedInputs<C> {
    /// Lets CMS dial in from now on: it is accepted once this runs.
    ///
    /// # Errors
    /// When another process listens there already.
    pub fn build(self, bound: Bound) -> io::Result<FeedPort<C>> {
        Ok(FeedPort { feed: self, listener: bound.listen()? })
    }
}

impl<C: Send + Sync + 'static> Source for FeedPort<C> {
    async fn run(self) {
        self.feed.listen(self.listener).await;
    }
}

/// Numbers of connections, unique in the process.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

impl<C: Send + Sync + 'static> FeedInputs<C> {
    /// Accepts until it is stopped; returns when the last connection has ended.
    pub async fn listen(self, listener: TcpListener) {
        if let Ok(address) = listener.local_addr() {
            self.forward.listens_at(address);
        }
        let connections = TaskTracker::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let handshakes = Handshakes::default();
        let mut pause = SHORTEST_PAUSE;
        loop {
            let accepted = tokio::select! {
                // A peer that dials during shutdown is not let in.
                biased;
                () = self.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pause = SHORTEST_PAUSE;
                    self.admit(stream, peer, &places, &handshakes, &connections);
                }
                Err(error) => {
                    // A number in JSON too, which a u128 is not.
                    let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                    tracing::warn!(target: FEED, integration = %self.id, %error, pause_ms, "accept failed");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        connections.close();
        connections.wait().await;
        self.forward.finish().await;
    }

    fn admit(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        places: &Arc<Semaphore>,
        handshakes: &Handshakes,
        connections: &TaskTracker,
    ) {
        let refusals = Refusals { integration: Arc::clone(&self.id), metrics: self.metrics.clone(), peer };
        let settings = self.settings.load();
        if !settings.allows(peer.ip()) {
            refusals.refuse(NOT_ALLOWED, "it is not on the allow-list");
            return;
        }
        if let Err(error) = socket2::SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE) {
            tracing::debug!(target: FEED, integration = %self.id, %error, "no TCP keepalive");
        }
        let id: ConnectionId = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(target: FEED, integration = %self.id, connection = id, %peer, "accepted");
        let connection = FeedConnection {
            integration: Arc::clone(&self.id),
            id,
            settings: Arc::clone(&self.settings),
            to_worker: self.to_worker.clone(),
            close: self.stop.child_token(),
            bytes: self.metrics.bytes.clone(),
            forward: Arc::clone(&self.forward),
        };
        let Some(tls) = settings.tls.clone() else {
            let Some(place) = refusals.place(places) else { return };
            connections.spawn(read(connection, FeedStream::Plain(stream), refusals, place));
            return;
        };
        let gives_way = handshakes.begin(id);
        let (handshakes, places) = (handshakes.clone(), Arc::clone(places));
        connections.spawn(async move {
            let close = connection.close.clone();
            let shaken = tokio::select! {
                () = close.cancelled() => None,
                shaken = shake_hands(&tls, stream, &gives_way) => Some(shaken),
            };
            handshakes.end(id);
            match shaken {
                None => {}
                Some(Ok(stream)) => {
                    let Some(place) = refusals.place(&places) else { return };
                    read(connection, stream, refusals, place).await;
                }
                Some(Err(failure)) => match failure.reason() {
                    Some(reason) => refusals.refuse(reason, &failure),
                    None => tracing::debug!(target: FEED, connection = id, %peer, %failure, "connection ended"),
                },
            }
        });
    }
}

async fn shake_hands(tls: &Tls, stream: TcpStream, gives_way: &CancellationToken) -> Result<FeedStream, Failure> {
    tokio::select! {
        () = gives_way.cancelled() => Err(Failure::Displaced),
        shaken = tls.accept(stream) => shaken.map(FeedStream::Tls),
    }
}

/// What to do about a peer that wants TLS.
const SPEAKS_TLS: &str =
    "it speaks TLS, and this port plain text: configure [integration.realtime.tls], or let CMS dial without TLS";

/// Reads a connection to its end; its place is free afterwards.
async fn read<C>(connection: FeedConnection<C>, stream: FeedStream, refusals: Refusals, place: OwnedSemaphorePermit) {
    let (id, peer) = (connection.id, refusals.peer.to_string().into());
    match connection.run(stream, peer).await {
        Ok(ConnectionEnd::Over) => {}
        Ok(ConnectionEnd::SpeaksTls) => refusals.refuse(tls::UNEXPECTED, SPEAKS_TLS),
        Err(error) => tracing::debug!(target: FEED, connection = id, %error, "connection given up"),
    }
    drop(place);
}

/// Logs why a peer is closed, and counts it.
struct Refusals {
    integration: Arc<str>,
    metrics: FeedMetrics,
    peer: SocketAddr,
}

impl Refusals {
    /// Takes a place among the connections, if there is one.
    fn place(&self, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(places).try_acquire_owned().ok();
        if place.is_none() {
            self.refuse(TOO_MANY_CONNECTIONS, format_args!("{MAX_CONNECTIONS} are open"));
        }
        place
    }

    fn refuse(&self, reason: &'static str, why: impl std::fmt::Display) {
        self.metrics.refused(reason);
        tracing::warn!(
            target: FEED, integration = %self.integration, peer = %self.peer, reason, %why, "connection refused"
        );
    }
}
