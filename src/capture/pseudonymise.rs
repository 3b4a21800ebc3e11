//! A capture with its people replaced: the same entries at the same times with as many bytes, and other people in them.
//!
//! A record can only be masked when all of it is there, but each chunk keeps its time and its length: where one ends inside a
//! record, it and everything after it wait for the rest. Bytes that do not form a record become filler. Peers' addresses are
//! left out.
//!
//! Nothing passes in clear: bytes leave only as what [`Masker`] made of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;

use crate::time::Timestamp;
use crate::wire::framing::{Framer, Piece, Run};
use crate::wire::mask::{Masked, Masker, anything};
use crate::wire::plan::Plan;

use super::pseudonym::Pseudonyms;
use super::{CaptureEntry, Happening};

/// Bytes that may wait for the end of a record.
const MOST_WAITING: usize = 64 * 1024 * 1024;

/// A connection holds half a record, and too much has come on others since.
#[derive(Debug, thiserror::Error)]
#[error("connection {0} has sent half a record, and 64 MiB wait behind it: record without that connection")]
pub struct TooMuchWaits(u64);

/// What became of the lines so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskedCounts {
    /// Valid records, with pseudonyms.
    pub records: u64,
    /// Markers and skipped lines.
    pub lines: u64,
    /// Records that are not valid, before and after.
    pub broken: u64,
    /// Lines that may say something else than before.
    pub changed: u64,
}

impl MaskedCounts {
    fn add(&mut self, masked: Masked) {
        match masked {
            Masked::Record => self.records += 1,
            Masked::Line => self.lines += 1,
            Masked::Broken => self.broken += 1,
            Masked::Changed => self.changed += 1,
        }
    }
}

/// The bytes of a connection from its opening to its end.
#[derive(Debug, Default)]
struct Stream {
    framer: Framer,
    /// Received, and not part of a record yet.
    buffer: BytesMut,
    /// How many bytes have been received and how many masked so far.
    received: u64,
    masked: u64,
    /// Masked, and not passed on yet.
    ready: VecDeque<u8>,
}

#[derive(Debug)]
enum Waiting {
    Ready(CaptureEntry),
    Data { at: Timestamp, connection: u64, stream: u64, length: usize },
}

/// Replaces the people in a capture, entry by entry.
#[derive(Debug)]
pub struct Pseudonymiser {
    plan: Arc<Plan>,
    masker: Masker,
    pseudonyms: Pseudonyms,
    streams: HashMap<u64, Stream>,
    /// The number of the stream of each open connection.
    open: HashMap<u64, u64>,
    opened: u64,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    counts: MaskedCounts,
}

impl Pseudonymiser {
    /// Creates one for a feed of that layout.
    pub fn new(plan: Arc<Plan>, pseudonyms: Pseudonyms) -> Self {
        Self {
            plan,
            masker: Masker::default(),
            pseudonyms,
            streams: HashMap::new(),
            open: HashMap::new(),
            opened: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            counts: MaskedCounts::default(),
        }
    }

    /// Returns what became of the lines so far.
    pub const fn counts(&self) -> MaskedCounts {
        self.counts
    }

    /// Takes the next entry; `out` gets what can be passed on.
    ///
    /// # Errors
    /// When too much waits for the end of a record.
    pub fn push(&mut self, entry: CaptureEntry, out: &mut Vec<CaptureEntry>) -> Result<(), TooMuchWaits> {
        let CaptureEntry { at, connection, happening } = entry;
        match happening {
            Happening::Open { encoding, .. } => {
                self.end(connection);
                self.begin(connection);
                let happening = Happening::Open { peer: String::new(), encoding };
                self.waiting.push_back(Waiting::Ready(CaptureEntry { at, connection, happening }));
            }
            Happening::Data(bytes) => self.data(at, connection, &bytes),
            Happening::Close => {
                self.end(connection);
                self.waiting.push_back(Waiting::Ready(CaptureEntry { at, connection, happening }));
            }
        }
        self.pass_on(out);
        match self.waiting.front() {
            Some(Waiting::Data { connection, .. }) if self.waiting_bytes > MOST_WAITING => {
                Err(TooMuchWaits(*connection))
            }
            _ => Ok(()),
        }
    }

    /// Ends the capture: what is left of records becomes filler.
    pub fn finish(&mut self, out: &mut Vec<CaptureEntry>) {
        let mut open: Vec<u64> = self.open.keys().copied().collect();
        open.sort_unstable();
        open.into_iter().for_each(|connection| self.end(connection));
        self.pass_on(out);
    }

    fn begin(&mut self, connection: u64) -> u64 {
        self.opened += 1;
        self.open.insert(connection, self.opened);
        self.streams.insert(self.opened, Stream::default());
        self.opened
    }

    fn data(&mut self, at: Timestamp, connection: u64, bytes: &[u8]) {
        let number = match self.open.get(&connection) {
            Some(number) => *number,
            None => self.begin(connection),
        };
        self.waiting.push_back(Waiting::Data { at, connection, stream: number, length: bytes.len() });
        self.waiting_bytes += bytes.len();
        let Some(stream) = self.streams.get_mut(&number) else { return };
        stream.received += bytes.len() as u64;
        stream.buffer.extend_from_slice(bytes);
        let mut mask = Mask {
            plan: &self.plan,
            masker: &mut self.masker,
            pseudonyms: &mut self.pseudonyms,
            counts: &mut self.counts,
        };
        while let Some(piece) = stream.framer.next(self.plan.ends(), &mut stream.buffer) {
            match piece {
                Piece::Records(run) => {
                    stream.skipped_to(run.offset, &self.plan, true);
                    let masked = mask.run(&run);
                    stream.put(&masked);
                }
                Piece::TooLong(run) => {
                    stream.skipped_to(run.offset, &self.plan, true);
                    let masked = mask.broken(&run.bytes);
                    stream.put(&masked);
                }
            }
        }
        let has_ended = !stream.framer.is_half_read(&BytesMut::new());
        stream.skipped_to(stream.received - stream.buffer.len() as u64, &self.plan, has_ended);
    }

    fn end(&mut self, connection: u64) {
        let Some(stream) = self.open.remove(&connection).and_then(|number| self.streams.get_mut(&number)) else {
            return;
        };
        let mut mask = Mask {
            plan: &self.plan,
            masker: &mut self.masker,
            pseudonyms: &mut self.pseudonyms,
            counts: &mut self.counts,
        };
        if let Some(rest) = stream.framer.finish(&mut stream.buffer) {
            stream.skipped_to(rest.offset, &self.plan, true);
            let masked = mask.broken(&rest.bytes);
            stream.put(&masked);
        }
        stream.skipped_to(stream.received, &self.plan, false);
    }

    /// Passes on what is masked, from the front.
    fn pass_on(&mut self, out: &mut Vec<CaptureEntry>) {
        while let Some(front) = self.waiting.pop_front() {
            match front {
                Waiting::Ready(entry) => out.push(entry),
                Waiting::Data { at, connection, stream, length } => {
                    let ready = self.streams.get_mut(&stream).map(|stream| &mut stream.ready);
                    let Some(ready) = ready.filter(|ready| ready.len() >= length) else {
                        self.waiting.push_front(front);
                        return;
                    };
                    self.waiting_bytes -= length;
                    let bytes = ready.drain(..length).collect();
                    out.push(CaptureEntry { at, connection, happening: Happening::Data(bytes) });
                }
            }
        }
        // Nothing waits: streams that have ended are no longer needed.
        let open: Vec<u64> = self.open.values().copied().collect();
        self.streams.retain(|number, _| open.contains(number));
    }
}

impl Stream {
    fn put(&mut self, masked: &[u8]) {
        self.masked += masked.len() as u64;
        self.ready.extend(masked);
    }

    /// Bytes up to there were dropped as the rest of a record that is too long: they become filler, and its end where it was
    /// found.
    fn skipped_to(&mut self, offset: u64, plan: &Plan, has_ended: bool) {
        let length = usize::try_from(offset.saturating_sub(self.masked)).unwrap_or(0);
        if length == 0 {
            return;
        }
        let end = plan.ends().terminator();
        let end = if has_ended { end } else { &[] };
        let filled = anything(plan, length.saturating_sub(end.len()));
        self.put(&filled);
        self.put(end);
    }
}

struct Mask<'a> {
    plan: &'a Plan,
    masker: &'a mut Masker,
    pseudonyms: &'a mut Pseudonyms,
    counts: &'a mut MaskedCounts,
}

impl Mask<'_> {
    /// Whole records, with their ends.
    fn run(&mut self, run: &Run) -> Vec<u8> {
        let mut out = Vec::with_capacity(run.bytes.len());
        let at = |offset: u64| usize::try_from(offset - run.offset).unwrap_or(usize::MAX);
        let mut records = self.plan.ends().records(run);
        let mut done = 0;
        while let Some(frame) = records.next() {
            let begin = at(frame.offset);
            let end = at(records.offset());
            let after = begin + frame.bytes.len();
            // What is skipped before a record is about nobody.
            out.extend_from_slice(&run.bytes[done..begin]);
            done = end;
            if frame.too_long {
                // The rest, up to its end, which stays.
                let ending = end - self.plan.ends().terminator().len();
                out.extend(self.broken(&run.bytes[begin..after]));
                out.extend(anything(self.plan, ending - after));
                out.extend_from_slice(&run.bytes[ending..end]);
            } else {
                let (masked, what) = self.masker.line(self.plan, frame.bytes, self.pseudonyms);
                self.counts.add(what);
                out.extend(masked);
                // A CR, and the end.
                out.extend_from_slice(&run.bytes[after..end]);
            }
        }
        out.extend_from_slice(&run.bytes[done..]);
        out
    }

    fn broken(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (masked, what) = self.masker.broken(self.plan, bytes, false, self.pseudonyms);
        self.counts.add(what);
        masked
    }
}
