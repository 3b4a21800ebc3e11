//! A feed written to a capture in simulated time: no socket, no waiting.

use std::time::Duration;

use crate::capture::{CaptureEntry, Happening};
use crate::time::Timestamp;
use crate::wire::encoding::Encoding;

use super::error::SimulateError;
use super::feed::{Action, FeedCounts};
use super::settings::SimulatedFeedSettings;
use super::stream::{SimulatedStream, stream};
use super::truth::Truth;

/// Most bytes of a chunk: what a read of a socket brings at once.
const CHUNK: usize = 8 * 1024;

/// Time between two chunks of a snapshot.
const BETWEEN: Duration = Duration::from_millis(1);

/// Where the simulated CMS seems to be.
const PEER: &str = "192.0.2.1:40000";

/// Makes the lines of a capture, refresh by refresh.
#[derive(Debug)]
pub struct Recording {
    stream: SimulatedStream,
    open: Vec<u32>,
    /// Of the text in what is sent.
    encoding: Encoding,
    bytes: u64,
}

impl Recording {
    /// Starts a recording that lasts so long in the time of the feed.
    ///
    /// # Errors
    /// Invalid settings.
    pub fn new(settings: &SimulatedFeedSettings, start: Timestamp, duration: Duration) -> Result<Self, SimulateError> {
        let refreshes = duration.as_nanos().div_ceil(settings.refresh.as_nanos().max(1));
        let stream = stream(settings, start, usize::try_from(refreshes).unwrap_or(usize::MAX))?;
        Ok(Self { stream, open: Vec::new(), encoding: settings.layout.encoding, bytes: 0 })
    }

    /// Returns what has been recorded.
    pub fn counts(&self) -> FeedCounts {
        self.stream.feed().counts()
    }

    /// Returns the stream behind the recording.
    pub fn stream(&self) -> &SimulatedStream {
        &self.stream
    }

    /// Returns how many bytes the feed had.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the transitions that a listener can know of by now.
    pub fn truth(&self) -> &[Truth] {
        self.stream.truth()
    }

    /// Returns the lines of the next refresh; `None` after the last.
    pub fn refresh(&mut self) -> Option<Vec<CaptureEntry>> {
        let (at, actions) = self.stream.refresh()?;
        let mut entries = Vec::new();
        for action in actions {
            match action {
                Action::Send { connection, bytes, .. } => self.send(connection, &bytes, at, &mut entries),
                Action::Close { connection } => {
                    self.open.retain(|open| *open != connection);
                    entries.push(CaptureEntry { at, connection: connection.into(), happening: Happening::Close });
                }
            }
        }
        Some(entries)
    }

    fn send(&mut self, connection: u32, bytes: &[u8], at: Timestamp, entries: &mut Vec<CaptureEntry>) {
        let mut at = at;
        if !self.open.contains(&connection) {
            self.open.push(connection);
            let happening = Happening::Open { peer: PEER.to_owned(), encoding: Some(self.encoding) };
            entries.push(CaptureEntry { at, connection: connection.into(), happening });
        }
        for chunk in bytes.chunks(CHUNK) {
            entries.push(CaptureEntry {
                at,
                connection: connection.into(),
                happening: Happening::Data(chunk.to_vec()),
            });
            at = at.plus(BETWEEN);
        }
        self.bytes += bytes.len() as u64;
    }
}
