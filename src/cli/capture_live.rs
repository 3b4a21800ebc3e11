//! What `capture` shows while it records: who is connected, how much has come, and how long ago the last of it.
//!
//! On a terminal that is one line, written anew every second. Otherwise a log line every five seconds for each connection, as
//! long as there is one. Comings and goings are logged in both cases. Counting costs a search for line ends; nothing waits for
//! it.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;

use crate::capture::{CaptureEntry, Happening};
use crate::telemetry::targets::CLI;
use crate::time::Timestamp;
use crate::wire::framing::{Ends, Framer, Piece};

/// Between two looks, on a terminal and otherwise.
const ON_TERMINAL: Duration = Duration::from_secs(1);
const IN_LOG: Duration = Duration::from_secs(5);

/// A connection that is open.
#[derive(Default)]
struct LiveConnection {
    peer: String,
    bytes: u64,
    lines: u64,
    last_at: Option<Timestamp>,
    framer: Framer,
    buffer: BytesMut,
}

/// What has come so far.
pub(super) struct Live {
    ends: Ends,
    open: BTreeMap<u64, LiveConnection>,
}

/// The same, being shown until it is dropped.
pub(super) struct Shown {
    live: Arc<Mutex<Live>>,
    is_terminal: bool,
    ticker: tokio::task::JoinHandle<()>,
}

impl Live {
    /// Nobody is connected. Lines end so.
    pub(super) fn new(ends: Ends) -> Self {
        Self { ends, open: BTreeMap::new() }
    }

    /// Begins to show it, on the runtime of the caller.
    pub(super) fn start(self) -> Shown {
        let live = Arc::new(Mutex::new(self));
        let is_terminal = std::io::stderr().is_terminal();
        let shown = Arc::clone(&live);
        let ticker = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(if is_terminal { ON_TERMINAL } else { IN_LOG });
            ticks.tick().await; // the first is at once
            loop {
                ticks.tick().await;
                let live = shown.lock();
                if is_terminal { live.rewrite(Timestamp::now()) } else { live.log(Timestamp::now()) }
            }
        });
        Shown { live, is_terminal, ticker }
    }

    fn take(&mut self, entry: &CaptureEntry) {
        match &entry.happening {
            Happening::Open { peer, .. } => {
                tracing::info!(target: CLI, %peer, "connected");
                let connection = LiveConnection { peer: peer.clone(), ..LiveConnection::default() };
                self.open.insert(entry.connection, connection);
            }
            Happening::Data(bytes) => {
                if let Some(connection) = self.open.get_mut(&entry.connection) {
                    connection.receive(&self.ends, bytes, entry.at);
                }
            }
            Happening::Close => {
                if let Some(LiveConnection { peer, bytes, lines, .. }) = self.open.remove(&entry.connection) {
                    tracing::info!(target: CLI, %peer, bytes, lines, "closed");
                }
            }
        }
    }

    fn log(&self, now: Timestamp) {
        for connection in self.open.values() {
            let LiveConnection { peer, bytes, lines, .. } = connection;
            let last = connection.last(now);
            tracing::info!(target: CLI, %peer, bytes, lines, %last, "recording");
        }
    }

    fn rewrite(&self, now: Timestamp) {
        // A terminal that is gone is nobody's loss.
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", self.line(now));
    }

    /// One line, which fits a terminal of 80 characters: about the connection that was last heard, and how many others there are.
    fn line(&self, now: Timestamp) -> String {
        let Some(latest) = self.open.values().max_by_key(|connection| connection.last_at) else {
            return "nobody is connected".to_owned();
        };
        let LiveConnection { peer, bytes, lines, .. } = latest;
        let others = match self.open.len() - 1 {
            0 => String::new(),
            others => format!(" (+{others})"),
        };
        format!("{peer}{others}: {}, {lines} lines, last {}", size(*bytes), latest.last(now))
    }
}

impl LiveConnection {
    fn receive(&mut self, ends: &Ends, bytes: &[u8], at: Timestamp) {
        self.bytes += bytes.len() as u64;
        self.last_at = Some(at);
        self.buffer.extend_from_slice(bytes);
        while let Some(piece) = self.framer.next(ends, &mut self.buffer) {
            self.lines += match piece {
                Piece::Records(run) => ends.records(&run).count() as u64,
                Piece::TooLong(_) => 1,
            };
        }
    }

    /// How long ago something came.
    fn last(&self, now: Timestamp) -> String {
        let ago = self.last_at.map(|at| now.since(at).as_secs());
        ago.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds}s ago"))
    }
}

fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // for people
    let bytes_of = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes_of(1_024)),
        _ => format!("{:.1} MiB", bytes_of(1_048_576)),
    }
}

impl Shown {
    /// Counts what was received.
    pub(super) fn take(&self, entry: &CaptureEntry) {
        let mut live = self.live.lock();
        if self.is_terminal && !matches!(entry.happening, Happening::Data(_)) {
            clear_line();
        }
        live.take(entry);
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.ticker.abort();
        if self.is_terminal {
            clear_line();
        }
    }
}

/// What is logged begins at the front of the line.
fn clear_line() {
    let _ = write!(std::io::stderr(), "\r\x1b[K"); // nobody may look any more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::layout::Framing;

    #[test]
    fn a_line_says_who_and_how_much_and_how_long_ago() {
        let mut live = Live::new(Ends::new(Framing::Terminator(b"\r\n".to_vec()), 4_096));
        let at = |seconds: i64| Timestamp::from_millis(1_000 * seconds);
        let mut take = |connection, seconds, happening| {
            live.take(&CaptureEntry { at: at(seconds), connection, happening });
            live.line(at(10))
        };
        let open = |peer: &str| Happening::Open { peer: peer.to_owned(), encoding: None };
        let data = |text: &str| Happening::Data(text.as_bytes().to_vec());
        assert_eq!(take(0, 0, open("10.1.2.3:40000")), "10.1.2.3:40000: 0 B, 0 lines, last never");
        assert_eq!(take(0, 3, data("301204 20\r\n301205 20\r")), "10.1.2.3:40000: 21 B, 1 lines, last 7s ago");
        assert_eq!(take(0, 4, data("\n")), "10.1.2.3:40000: 22 B, 2 lines, last 6s ago", "an end in two chunks");
        assert_eq!(take(1, 5, open("10.1.2.4:1")), "10.1.2.3:40000 (+1): 22 B, 2 lines, last 6s ago");
        let much = "x".repeat(5_000) + "\r\n";
        assert_eq!(take(1, 9, data(&much)), "10.1.2.4:1 (+1): 4.9 KiB, 1 lines, last 1s ago", "too long, and one line");
        assert_eq!(take(1, 9, Happening::Close), "10.1.2.3:40000: 22 B, 2 lines, last 6s ago");
        assert_eq!(take(0, 9, Happening::Close), "nobody is connected");
        assert_eq!(size(3 << 20), "3.0 MiB");
    }
}
