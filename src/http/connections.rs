//! Connections over HTTP: accepted while there is a place, served within time limits, and ended.
//!
//! A peer may be slow or silent, send garbage, or never read an answer: that costs a place for a bounded time and a bounded
//! buffer, and nobody else anything: [`Places`] decides who has a place, and who must give it back. Failures of `accept` (no
//! file descriptors left) are waited out.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry::targets::HTTP;

use super::limits::{HttpLimits, LARGEST_HEAD, MOST_HEADERS};
use super::places::Places;
use super::refusals::{RefusalReason, Refusals};
use super::stream::{PeerSocket, RequestProgress};

/// How long the last answers may take when the service shuts down.
const END: Duration = Duration::from_secs(2);

const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The answer where there is no place.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 10\r\ncontent-length: 0\r\n\r\n";

/// Where a request comes from and how far its connection is.
#[derive(Clone, Debug)]
pub(super) struct RequestOrigin {
    pub(super) peer: SocketAddr,
    pub(super) progress: Arc<RequestProgress>,
}

/// Accepts until it is stopped, then waits for the answers that are on their way.
pub(super) async fn accept(
    listeners: &[TcpListener],
    routes: Router,
    limits: HttpLimits,
    refusals: Arc<Refusals>,
    stop: CancellationToken,
) {
    let places = Places::new(limits);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = next(listeners) => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // A connection that was gone before it was accepted is not a failure.
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    tracing::warn!(target: HTTP, %error, "HTTP cannot accept, will be tried again");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
                continue;
            }
        };
        let ip = peer.ip().to_canonical();
        let progress = Arc::new(RequestProgress::default());
        match places.take(ip, &progress) {
            Ok(place) => {
                let (routes, refusals, stop) = (routes.clone(), Arc::clone(&refusals), stop.clone());
                let origin = RequestOrigin { peer, progress };
                connections.spawn(async move {
                    let displaced = place.displaced.clone();
                    let ended = tokio::select! {
                        ended = serve(socket, origin, routes, limits, stop) => ended,
                        () = displaced.cancelled() => Some(RefusalReason::Displaced),
                    };
                    if let Some(reason) = ended {
                        refusals.count(reason, ip);
                    }
                    drop(place);
                });
            }
            Err(reason) => {
                refusals.count(reason, ip);
                // As much as the system takes at once, without waiting.
                let _ = socket.try_write(NO_PLACE);
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// The next connection to any of them; the first is asked first.
async fn next(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|context| {
        let mut accepted = listeners.iter().map(|listener| listener.poll_accept(context));
        accepted.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// Serves a connection; returns why we ended it, if we did.
async fn serve(
    socket: TcpStream,
    origin: RequestOrigin,
    routes: Router,
    limits: HttpLimits,
    stop: CancellationToken,
) -> Option<RefusalReason> {
    let RequestOrigin { peer, progress } = origin.clone();
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(origin.clone());
        let answer = routes.call(request);
        async move { answer.await as Result<Response, Infallible> }
    });
    let _ = socket.set_nodelay(true);
    let stream = TokioIo::new(PeerSocket::new(socket, limits.stall_time, Arc::clone(&progress)));
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
                Err(_) => return Some(RefusalReason::TooOld),
            }
        }
    };
    let error = ended.err()?;
    tracing::debug!(target: HTTP, %peer, %error, "a connection over HTTP has ended");
    match error {
        _ if progress.is_stalled() => Some(RefusalReason::SlowReader),
        error if error.is_timeout() => (!progress.is_idle()).then_some(RefusalReason::SlowRequest),
        error if error.is_parse_too_large() => Some(RefusalReason::HeadTooLarge),
        error if error.is_parse() => Some(RefusalReason::Malformed),
        _ => None,
    }
}
