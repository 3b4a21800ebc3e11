//! Connections over HTTP: accepted while there is a place, served within their times, and ended.
//!
//! A peer may be slow or silent, send rubbish, or take nothing of an answer: it costs a place for a bounded time and a bounded
//! buffer, and nobody else anything. Places are counted by address, so that one machine cannot take those of all others, and
//! this machine's are counted apart. Failures of `accept` (no file descriptors left) are waited out.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hashbrown::HashMap;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::{LARGEST_HEAD, Limits, MOST_HEADERS};
use super::refusals::{Reason, Refusals};
use super::stream::{Progress, Stream};

/// How long the last answers may take when the service ends.
const END: Duration = Duration::from_secs(2);

const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What is said where there is no place.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 10\r\ncontent-length: 0\r\n\r\n";

/// Where a request comes from and how far its connection is.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) peer: SocketAddr,
    pub(super) progress: Arc<Progress>,
}

/// Accepts until it is stopped, then waits for the answers that are on their way.
pub(super) async fn accept(
    listener: TcpListener,
    routes: Router,
    limits: Limits,
    refusals: Arc<Refusals>,
    stop: CancellationToken,
) {
    let places = Arc::new(Places { limits, taken: Mutex::default() });
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // One that was gone before it was accepted is nobody's failure.
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    tracing::warn!(%error, "HTTP cannot accept, will be tried again");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
                continue;
            }
        };
        let ip = peer.ip().to_canonical();
        match places.take(ip) {
            Ok(place) => {
                let (routes, refusals, stop) = (routes.clone(), Arc::clone(&refusals), stop.clone());
                connections.spawn(async move {
                    if let Some(reason) = serve(socket, peer, routes, limits, stop).await {
                        refusals.count(reason, ip);
                    }
                    drop(place);
                });
            }
            Err(reason) => {
                refusals.count(reason, ip);
                // As much as the system takes at once: nobody waits for it.
                let _ = socket.try_write(NO_PLACE);
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// Why it was ended by us, if it was.
async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    routes: Router,
    limits: Limits,
    stop: CancellationToken,
) -> Option<Reason> {
    let progress = Arc::new(Progress::default());
    let origin = Origin { peer, progress: Arc::clone(&progress) };
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(origin.clone());
        let answer = routes.call(request);
        async move { answer.await as Result<Response, Infallible> }
    });
    let _ = socket.set_nodelay(true);
    let stream = TokioIo::new(Stream::new(socket, limits.stall_time, Arc::clone(&progress)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(stream, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // What has not gone by then would keep the end waiting.
            let _ = tokio::time::timeout(END, connection).await;
            return None;
        }
        () = tokio::time::sleep(limits.longest_connection) => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(limits.last_answer, connection).await {
                Ok(ended) => ended,
                Err(_) => return Some(Reason::TooOld),
            }
        }
    };
    let error = ended.err()?;
    tracing::debug!(%peer, %error, "a connection over HTTP has ended");
    match error {
        _ if progress.is_stalled() => Some(Reason::SlowReader),
        error if error.is_timeout() => (!progress.is_idle()).then_some(Reason::SlowRequest),
        error if error.is_parse_too_large() => Some(Reason::HeadTooLarge),
        error if error.is_parse() => Some(Reason::Malformed),
        _ => None,
    }
}

/// Who has how many connections.
#[derive(Debug)]
struct Places {
    limits: Limits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    by_address: HashMap<IpAddr, usize>,
    /// By other machines, all together.
    others: usize,
}

/// A connection's; given back when it is dropped.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    fn take(self: &Arc<Self>, ip: IpAddr) -> Result<Place, Reason> {
        let address = counted_as(ip);
        let mut taken = self.taken.lock();
        let of_address = taken.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= self.limits.most_of_one_address {
            return Err(Reason::TooManyOfOneAddress);
        }
        if !address.is_loopback() {
            if taken.others >= self.limits.most_connections {
                return Err(Reason::TooManyConnections);
            }
            taken.others += 1;
        }
        taken.by_address.insert(address, of_address + 1);
        Ok(Place { places: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if !self.address.is_loopback() {
            taken.others -= 1;
        }
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// All of loopback is one, and so is a /64 of IPv6: who has one address of it has all.
fn counted_as(ip: IpAddr) -> IpAddr {
    match ip {
        ip if ip.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::{MOST_CONNECTIONS, MOST_OF_ONE_ADDRESS};
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_the_places_of_others_and_others_not_those_of_this_machine() {
        let places = Arc::new(Places { limits: Limits::default(), taken: Mutex::default() });
        let take = |text: &str| places.take(ip(text));
        let first: Vec<Place> = (0..MOST_OF_ONE_ADDRESS).map(|_| take("10.0.0.1").unwrap()).collect();
        assert_eq!(take("10.0.0.1").unwrap_err(), Reason::TooManyOfOneAddress);
        let network: Vec<Place> =
            (0..MOST_OF_ONE_ADDRESS).map(|host| take(&format!("2001:db8::{host:x}")).unwrap()).collect();
        assert_eq!(take("2001:db8::ffff:1").unwrap_err(), Reason::TooManyOfOneAddress);
        let rest: Vec<Place> = (0..MOST_CONNECTIONS - first.len() - network.len())
            .map(|host| take(&format!("10.0.1.{host}")).unwrap())
            .collect();
        assert_eq!(take("10.0.2.1").unwrap_err(), Reason::TooManyConnections);
        let own: Vec<Place> =
            (0..MOST_OF_ONE_ADDRESS).map(|host| take(&format!("127.0.0.{}", host + 1)).unwrap()).collect();
        assert_eq!(take("::1").unwrap_err(), Reason::TooManyOfOneAddress);
        drop(own);
        drop(first);
        assert!(take("10.0.2.1").is_ok());
        drop((network, rest));
        let left = places.taken.lock();
        assert!(left.by_address.is_empty() && left.others == 0, "{left:?}");
    }
}
