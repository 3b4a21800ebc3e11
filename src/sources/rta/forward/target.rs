//! One target: dials it whenever there is something to forward, and writes what the [`Relay`] has for it.
//!
//! Its connection lives as that of CMS does: it is dialled when CMS connects, and closed when CMS closes, once it has the
//! last bytes. A target that cannot be reached is dialled again, after pauses that grow; one that takes nothing for
//! [`STALL`], or is further behind than is kept, is closed with a reset, so that no old bytes wait in the kernel, and dialled
//! again likewise. What a target sends is read and ignored: CMS would not listen either. One that ends its side goes on
//! being written to.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::session::ConnectionId;
use crate::sources::rta::listener::KEEPALIVE;
use crate::telemetry::repeats::RepeatLimiter;
use crate::telemetry::targets::FEED;
use crate::time::Timestamp;

use super::passage::{DropReason, Next, TargetId};
use super::relay::Relay;

/// The longest a target may take nothing while there is something for it.
const STALL: Duration = Duration::from_secs(15);

/// The longest that dialling may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pauses before a target is dialled again.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A connection that lasted so long was a good one: the next pause is the shortest again.
const GOOD_AFTER: Duration = Duration::from_mins(1);

/// A target that stays away is warned of so often.
const WARN_EVERY: Duration = Duration::from_mins(5);

/// Drives one target.
pub(super) struct TargetTask {
    id: TargetId,
    address: Arc<str>,
    relay: Arc<Relay>,
    stop: CancellationToken,
    pause: Duration,
    warnings: RepeatLimiter,
}

/// How a connection of a target ended.
#[derive(Debug)]
enum Ended {
    /// CMS has ended its own, and the target has everything.
    Over,
    /// The target is too slow.
    TooSlow,
    /// The target closed it, or it broke.
    Lost(io::Error),
}

/// Why a target cannot be dialled.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no answer within {PATIENCE:?}")]
    TimedOut,
    #[error("it is this very port: what came in would come in again")]
    Loop,
}

impl TargetTask {
    pub(super) fn new(id: TargetId, address: Arc<str>, relay: Arc<Relay>, stop: CancellationToken) -> Self {
        Self { id, address, relay, stop, pause: SHORTEST_PAUSE, warnings: RepeatLimiter::new(WARN_EVERY) }
    }

    /// Runs until it is stopped.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.follow_all() => {}
        }
    }

    /// Follows one connection of CMS after the other.
    async fn follow_all(&mut self) {
        loop {
            let connection = self.relay.next_connection(self.id).await;
            self.pause = SHORTEST_PAUSE;
            self.follow(connection).await;
        }
    }

    /// Follows a connection of CMS to its end, over as many of the target's as that takes.
    async fn follow(&mut self, connection: ConnectionId) {
        let relay = Arc::clone(&self.relay);
        let id = self.id;
        let leave = || relay.leave(connection, id, DropReason::NotConnected);
        loop {
            let dialled = tokio::select! {
                biased;
                () = relay.is_over(connection, self.id) => return leave(),
                dialled = self.dial() => dialled,
            };
            let reason = match dialled {
                Ok(stream) => {
                    let begun = Instant::now();
                    let ended = self.write(connection, stream).await;
                    if begun.elapsed() >= GOOD_AFTER {
                        self.pause = SHORTEST_PAUSE;
                    }
                    match ended {
                        Ended::Over => return leave(),
                        Ended::TooSlow => {
                            self.warn("it does not take what comes", DropReason::TooSlow);
                            DropReason::TooSlow
                        }
                        Ended::Lost(error) => {
                            self.warn(error, DropReason::NotConnected);
                            DropReason::NotConnected
                        }
                    }
                }
                Err(error) => {
                    self.warn(error, DropReason::NotConnected);
                    DropReason::NotConnected
                }
            };
            relay.disconnected(connection, self.id, reason);
            tokio::select! {
                biased;
                () = relay.is_over(connection, self.id) => return leave(),
                () = tokio::time::sleep(self.pause) => {}
            }
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn dial(&self) -> Result<TcpStream, DialError> {
        let stream = timeout(PATIENCE, TcpStream::connect(&*self.address)).await.map_err(|_| DialError::TimedOut)??;
        let (here, there) = (stream.local_addr()?, stream.peer_addr()?);
        if self.relay.is_own_port(here, there) {
            return Err(DialError::Loop);
        }
        // Whatever CMS sends is passed on at once, as it would have come.
        stream.set_nodelay(true)?;
        socket2::SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE)?;
        Ok(stream)
    }

    /// Writes until the connection of CMS or of the target ends.
    async fn write(&mut self, connection: ConnectionId, mut stream: TcpStream) -> Ended {
        self.relay.connected(connection, self.id);
        tracing::info!(target: FEED, integration = %self.relay.id, to = %self.address, "forwarding");
        let ended = self.write_all(connection, &mut stream).await;
        match &ended {
            // The target sees an orderly end, as it would of CMS; an error here has nothing left to lose.
            Ended::Over => drop(stream.shutdown().await),
            // Old bytes must not wait in the kernel for a target that comes back.
            Ended::TooSlow | Ended::Lost(_) => drop(socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))),
        }
        ended
    }

    async fn write_all(&self, connection: ConnectionId, stream: &mut TcpStream) -> Ended {
        let (mut input, mut output) = stream.split();
        let mut listens = true;
        loop {
            let next = tokio::select! {
                biased;
                next = self.relay.next(connection, self.id) => next,
                heard = ignore(&mut input), if listens => match heard {
                    Ok(goes_on) => {
                        listens = goes_on;
                        continue;
                    }
                    Err(error) => return Ended::Lost(error),
                },
            };
            match next {
                Next::Send(bytes) => match timeout(STALL, output.write(&bytes)).await {
                    Ok(Ok(written)) => self.relay.given(connection, self.id, written),
                    Ok(Err(error)) => return Ended::Lost(error),
                    Err(_) => return Ended::TooSlow,
                },
                Next::TooSlow => return Ended::TooSlow,
                Next::Over => return Ended::Over,
                Next::Wait => {}
            }
        }
    }

    fn warn(&mut self, why: impl std::fmt::Display, reason: DropReason) {
        if let Some(suppressed) = self.warnings.admit(Timestamp::now()) {
            tracing::warn!(
                target: FEED, integration = %self.relay.id, to = %self.address, reason = reason.label(), %why, suppressed,
                "not forwarded: it is dialled again, and begins with a whole snapshot"
            );
        }
    }
}

/// Reads what a target sends, which nobody wants. False once it has ended its side.
async fn ignore(input: &mut ReadHalf<'_>) -> io::Result<bool> {
    let mut ignored = [0; 1024];
    input.read(&mut ignored).await.map(|count| count > 0)
}
