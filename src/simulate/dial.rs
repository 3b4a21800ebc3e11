//! The TCP side: dials in like CMS and writes each snapshot when it is due.
//!
//! Open loop: due times are fixed when the first connection is established and never move, so that a slow listener cannot
//! slow the feed down unnoticed; refreshes that are due while nobody listens are left out, as CMS keeps no snapshots either.
//! A listener that closes its side, even half of it, counts as gone and is dialled again at the next refresh.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::telemetry::targets::SIMULATE;

use super::error::SimulateError;
use super::feed::{Action, SimulatedFeed};
use super::settings::SimulatedFeedSettings;
use super::sink::Sink;
pub use super::sink::TruthSink;
use super::truth::TruthCause;
use crate::time::Timestamp;

/// Pause after the first failed attempt to connect; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Most time for one attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time after the end for a half-written snapshot to get out, and for the listener to close its side.
const GRACE: Duration = Duration::from_secs(2);

/// Where to dial, and with what.
#[derive(Clone, Debug)]
pub struct SimulateSettings {
    /// `host:port`.
    pub target: String,
    /// What to stream.
    pub feed: SimulatedFeedSettings,
    /// How long, from the first connection on; `None`: until cancelled.
    pub duration: Option<Duration>,
    /// How long to dial in vain before giving up; `None`: for ever.
    pub give_up_after: Option<Duration>,
    /// Where the transitions go.
    pub truth: TruthSink,
}

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DialSummary {
    /// Snapshots written.
    pub snapshots: u64,
    /// Valid records in them.
    pub records: u64,
    /// Lines that are not valid records.
    pub garbage_lines: u64,
    /// Bytes written, those of twins included.
    pub bytes: u64,
    /// True transitions by cause.
    pub transitions: BTreeMap<TruthCause, u64>,
    /// Connections made again after they broke or were dropped.
    pub reconnects: u64,
}

/// Streams until the duration is over or `cancel` says so, then closes cleanly.
///
/// # Errors
/// Invalid settings, nobody listening within `give_up_after`, or a truth that cannot be written.
pub async fn run(settings: SimulateSettings, cancel: CancellationToken) -> Result<DialSummary, SimulateError> {
    settings.feed.renderer()?;
    let mut sink = Sink::open(&settings.truth).await?;
    let mut wire = Wire {
        target: settings.target,
        give_up_after: settings.give_up_after,
        cancel,
        end: None,
        connections: BTreeMap::new(),
        newest: None,
        bytes: 0,
        reconnects: 0,
    };
    if !wire.dial(0).await? {
        return Ok(DialSummary::default());
    }
    let start = Timestamp::now();
    let begin = Instant::now();
    wire.end = settings.duration.map(|duration| begin + duration);
    let mut feed = SimulatedFeed::new(&settings.feed, start)?;
    let refresh = settings.feed.refresh;
    let mut number = 0_u32;
    loop {
        let due = begin + refresh.saturating_mul(number);
        match wire.wait_until(due, feed.connection()).await {
            Wait::Due => {}
            Wait::Gone => {
                feed.lost();
                continue;
            }
            Wait::End => break,
        }
        if !wire.is_open(feed.connection()) {
            if !wire.redial(feed.connection()).await? {
                break;
            }
            let passed = begin.elapsed().as_nanos() / refresh.as_nanos();
            if passed > u128::from(number) {
                number = u32::try_from(passed).unwrap_or(u32::MAX).saturating_add(1);
                continue;
            }
        }
        let actions = feed.refresh(start.plus(refresh.saturating_mul(number)));
        if wire.carry_out(actions).await? {
            feed.delivered();
        } else {
            feed.lost();
        }
        sink.put(feed.take_truth()).await?;
        number = number.saturating_add(1);
    }
    wire.close_all().await;
    sink.finish().await?;
    let counts = feed.counts();
    Ok(DialSummary {
        snapshots: counts.snapshots,
        records: counts.records,
        garbage_lines: counts.garbage_lines,
        bytes: wire.bytes,
        transitions: feed.truths().counts().clone(),
        reconnects: wire.reconnects,
    })
}

/// The connections of one run.
struct Wire {
    target: String,
    give_up_after: Option<Duration>,
    cancel: CancellationToken,
    /// When the duration is over; known from the first connection on.
    end: Option<Instant>,
    /// Those that are open.
    connections: BTreeMap<u32, TcpStream>,
    /// The highest number so far.
    newest: Option<u32>,
    bytes: u64,
    reconnects: u64,
}

enum Wait {
    Due,
    /// The listener closed the connection.
    Gone,
    /// Cancelled, or the duration is over.
    End,
}

impl Wire {
    fn is_open(&self, connection: u32) -> bool {
        self.connections.contains_key(&connection)
    }

    /// Waits for the time, or for the end where that comes first.
    async fn wait_until(&mut self, due: Instant, connection: u32) -> Wait {
        let is_last = self.end.is_some_and(|end| due >= end);
        let until = self.end.filter(|_| is_last).unwrap_or(due);
        let open = self.connections.get_mut(&connection);
        let wait = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Wait::End,
            () = peer_closed(open) => Wait::Gone,
            () = sleep_until(until) => if is_last { Wait::End } else { Wait::Due },
        };
        if matches!(wait, Wait::Gone) {
            info!(target: SIMULATE, target_address = %self.target, "listener closed the connection");
            self.connections.remove(&connection);
        }
        wait
    }

    /// Carries out the actions; true if every byte that the listener should hear has been written.
    async fn carry_out(&mut self, actions: Vec<Action>) -> Result<bool, SimulateError> {
        let mut all_heard = true;
        for action in actions {
            match action {
                Action::Send { connection, bytes, heard: true } => {
                    all_heard &= (self.is_open(connection) || self.dial(connection).await?)
                        && self.write(connection, &bytes).await;
                }
                Action::Send { connection, bytes, heard: false } => {
                    // A twin dials in; one that the listener has replaced and closed would take over if it dialled again.
                    let is_new = self.newest.is_none_or(|newest| connection > newest);
                    if self.is_open(connection) || (is_new && self.dial_once(connection).await.is_ok()) {
                        self.write(connection, &bytes).await;
                    }
                }
                Action::Close { connection } => self.close(connection).await,
            }
        }
        Ok(all_heard)
    }

    async fn write(&mut self, connection: u32, bytes: &[u8]) -> bool {
        let Some(stream) = self.connections.get_mut(&connection) else { return false };
        let written = tokio::select! {
            written = stream.write_all(bytes) => written,
            () = ended(&self.cancel, self.end, GRACE) => Err(io::ErrorKind::TimedOut.into()),
        };
        match written {
            Ok(()) => self.bytes += bytes.len() as u64,
            Err(error) => {
                debug!(target: SIMULATE, connection, %error, "write failed");
                self.connections.remove(&connection);
                return false;
            }
        }
        true
    }

    async fn redial(&mut self, connection: u32) -> Result<bool, SimulateError> {
        let is_open = self.dial(connection).await?;
        self.reconnects += u64::from(is_open);
        Ok(is_open)
    }

    /// Dials until somebody listens; `false` when it is time to end.
    async fn dial(&mut self, connection: u32) -> Result<bool, SimulateError> {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let cancel = self.cancel.clone();
            let end = self.end;
            let attempt = tokio::select! {
                attempt = self.dial_once(connection) => attempt,
                () = ended(&cancel, end, Duration::ZERO) => return Ok(false),
            };
            let Err(source) = attempt else { return Ok(true) };
            if self.give_up_after.is_some_and(|patience| began.elapsed() >= patience) {
                return Err(SimulateError::Unreachable { target: self.target.clone(), source });
            }
            if pause == FIRST_PAUSE {
                warn!(
                    target: SIMULATE, target_address = %self.target, error = %source, "nobody listens, dialling again"
                );
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = ended(&cancel, end, Duration::ZERO) => return Ok(false),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn dial_once(&mut self, connection: u32) -> io::Result<()> {
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.target)).await??;
        stream.set_nodelay(true)?;
        info!(target: SIMULATE, target_address = %self.target, connection, "connected");
        self.connections.insert(connection, stream);
        self.newest = self.newest.max(Some(connection));
        Ok(())
    }

    /// Half-closes, so that the listener reads to the end, and waits until it has closed too: a busy one could read the next
    /// connection first, and take nothing more of this one.
    async fn close(&mut self, connection: u32) {
        let Some(mut stream) = self.connections.remove(&connection) else { return };
        if let Err(error) = stream.shutdown().await {
            debug!(target: SIMULATE, connection, %error, "listener was gone before the end");
        } else if timeout(GRACE, peer_closed(Some(&mut stream))).await.is_err() {
            debug!(target: SIMULATE, connection, "listener keeps its side open");
        }
    }

    async fn close_all(&mut self) {
        let open: Vec<u32> = self.connections.keys().copied().collect();
        for connection in open {
            self.close(connection).await;
        }
    }
}

/// Returns when the listener has closed; what it says is not looked at.
async fn peer_closed(stream: Option<&mut TcpStream>) {
    let Some(stream) = stream else { return pending().await };
    let mut ignored = [0_u8; 256];
    while stream.read(&mut ignored).await.is_ok_and(|length| length > 0) {}
}

/// Returns so long after the cancellation or the end.
async fn ended(cancel: &CancellationToken, end: Option<Instant>, after: Duration) {
    let duration_over = async {
        match end {
            Some(end) => sleep_until(end).await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = duration_over => {}
    }
    sleep(after).await;
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
