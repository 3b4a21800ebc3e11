//! The recorded feed: what each connection sent, and when.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::capture::{CaptureEntry, Happening};
use crate::time::Timestamp;
use crate::wire::framing::{Ends, Frame, Run};
use crate::wire::layout::{Framing, MOST_MAX_RECORD};

/// Silence after which what comes next is another refresh: the default of `snapshot_idle`.
pub(super) const SILENCE: Duration = Duration::from_millis(500);

/// A recorded feed, in memory.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    connections: Vec<Connection>,
    /// Those that are open, by the number that the capture has for them.
    open: HashMap<u64, usize>,
}

/// What one connection sent.
#[derive(Clone, Debug, Default)]
struct Connection {
    bytes: Vec<u8>,
    arrivals: Vec<Arrival>,
}

/// Bytes that came at once.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    /// Where they end.
    end: usize,
    /// `None`: nobody wrote down when they came.
    at: Option<Timestamp>,
}

impl Feed {
    /// Returns a feed of which only the bytes are known.
    pub fn raw(bytes: &[u8]) -> Self {
        let mut feed = Self::default();
        feed.receive(0, None, bytes);
        feed
    }

    /// Adds a line of a capture.
    pub fn take(&mut self, entry: &CaptureEntry) {
        match &entry.happening {
            Happening::Open { .. } | Happening::Close => {
                self.open.remove(&entry.connection);
            }
            Happening::Data(bytes) => self.receive(entry.connection, Some(entry.at), bytes),
        }
    }

    fn receive(&mut self, number: u64, at: Option<Timestamp>, bytes: &[u8]) {
        let index = *self.open.entry(number).or_insert_with(|| {
            self.connections.push(Connection::default());
            self.connections.len() - 1
        });
        if let Some(connection) = self.connections.get_mut(index) {
            connection.bytes.extend_from_slice(bytes);
            connection.arrivals.push(Arrival { end: connection.bytes.len(), at });
        }
    }

    /// Returns how many bytes there are.
    pub fn len(&self) -> usize {
        self.connections.iter().map(|connection| connection.bytes.len()).sum()
    }

    /// Whether there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is known when the bytes came.
    pub(super) fn has_times(&self) -> bool {
        self.connections.iter().flat_map(|connection| &connection.arrivals).any(|arrival| arrival.at.is_some())
    }

    /// Returns the bytes of each connection.
    pub(super) fn streams(&self) -> impl Iterator<Item = &[u8]> {
        self.connections.iter().map(|connection| connection.bytes.as_slice())
    }

    /// Returns the bytes of each burst: what came without a silence in between.
    pub(super) fn bursts(&self) -> Vec<&[u8]> {
        let of_one = |connection: &'_ Connection| {
            let mut begins = connection.bursts();
            begins.push(connection.bytes.len());
            begins.windows(2).map(|pair| pair[0]..pair[1]).collect::<Vec<Range<usize>>>()
        };
        let slices = self
            .connections
            .iter()
            .flat_map(|connection| of_one(connection).into_iter().filter_map(|range| connection.bytes.get(range)));
        slices.filter(|bytes| !bytes.is_empty()).collect()
    }

    /// Cuts the feed into lines.
    pub(super) fn cut(&self, framing: &Framing) -> Cut {
        let ends = Ends::new(framing.clone(), MOST_MAX_RECORD);
        let runs = self.connections.iter().map(|connection| {
            let whole = match framing {
                Framing::Terminator(end) => {
                    let last = memchr::memmem::rfind(&connection.bytes, end);
                    last.map_or(0, |at| at + end.len())
                }
                Framing::Length(length) => connection.bytes.len() / length * length,
            };
            let bytes = Bytes::copy_from_slice(connection.bytes.get(..whole).unwrap_or_default());
            Run { bytes, offset: 0 }
        });
        Cut { runs: runs.collect(), ends }
    }
}

impl Connection {
    /// Returns where bursts begin.
    fn bursts(&self) -> Vec<usize> {
        let mut begins = Vec::new();
        let mut end = 0;
        let mut last: Option<Timestamp> = None;
        for arrival in &self.arrivals {
            let is_silent = |(at, last): (Timestamp, Timestamp)| at.since(last) >= SILENCE;
            if begins.is_empty() || arrival.at.zip(last).is_some_and(is_silent) {
                begins.push(end);
            }
            end = arrival.end;
            last = arrival.at.or(last);
        }
        begins
    }
}

/// A feed that is cut into lines.
#[derive(Debug)]
pub(super) struct Cut {
    runs: Vec<Run>,
    ends: Ends,
}

/// A line: a record or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Without its end.
    pub(super) bytes: &'a [u8],
    /// When its last byte came.
    pub(super) at: Option<Timestamp>,
    /// Which connection it came on.
    pub(super) connection: usize,
    /// The burst that its last byte came in, counted over all connections.
    pub(super) burst: usize,
    /// Distance from the beginning of the connection.
    pub(super) offset: u64,
}

impl Cut {
    /// Returns the lines, connection after connection.
    pub(super) fn lines<'a>(&'a self, feed: &Feed) -> Vec<Line<'a>> {
        let mut lines = Vec::new();
        let mut bursts_before = 0;
        for (index, (run, connection)) in self.runs.iter().zip(&feed.connections).enumerate() {
            let begins = connection.bursts();
            let mut arrival = 0;
            let mut burst = 0;
            let mut records = self.ends.records(run);
            while let Some(Frame { bytes, offset, .. }) = records.next() {
                let last = usize::try_from(records.offset()).unwrap_or(usize::MAX).saturating_sub(1);
                while connection.arrivals.get(arrival).is_some_and(|arrival| arrival.end <= last) {
                    arrival += 1;
                }
                while begins.get(burst + 1).is_some_and(|begin| *begin <= last) {
                    burst += 1;
                }
                let at = connection.arrivals.get(arrival).and_then(|arrival| arrival.at);
                lines.push(Line { bytes, at, connection: index, burst: bursts_before + burst, offset });
            }
            bursts_before += begins.len();
        }
        lines
    }

    /// Returns how many bytes at the ends of connections are no whole line.
    pub(super) fn left_over(&self, feed: &Feed) -> usize {
        feed.len() - self.runs.iter().map(|run| run.bytes.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_time_of_their_last_byte_and_a_silence_begins_a_burst() {
        let mut feed = Feed::default();
        let at = |millis| Some(Timestamp::from_millis(millis));
        feed.receive(0, at(0), b"a\nb");
        feed.receive(0, at(10), b"c\n");
        feed.receive(0, at(900), b"d\ne\nf");
        let cut = feed.cut(&Framing::Terminator(b"\n".to_vec()));
        let lines = cut.lines(&feed);
        let seen: Vec<_> =
            lines.iter().map(|line| (line.bytes, line.at.map(Timestamp::as_millis), line.burst)).collect();
        let expected: [(&[u8], _, _); 4] =
            [(b"a", Some(0), 0), (b"bc", Some(10), 0), (b"d", Some(900), 1), (b"e", Some(900), 1)];
        assert_eq!((seen.as_slice(), cut.left_over(&feed)), (&expected[..], 1));
        assert_eq!(feed.bursts(), [&b"a\nbc\n"[..], b"d\ne\nf"]);
    }
}
