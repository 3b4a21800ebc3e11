//! A byte stream, cut into records.
//!
//! Two layers. [`Framer`] is at the socket: it splits whatever has been received into a run of whole records, which crosses
//! to the worker without a copy, and a rest. [`Records`] walks such a run. What comes out does not depend on how the stream
//! was chunked.
//!
//! Invisible bytes are not part of a record: a byte order mark at the beginning of a connection and form feeds before a
//! record are skipped, and count neither for `max_record` nor for a record's length. The bytes stay in the runs, so that
//! offsets are distances from the beginning of the connection; a run may consist of them alone.
//!
//! Bounds: the rest never exceeds `max_record` plus a terminator. A longer record is reported once, with its first
//! `max_record` bytes; what follows is dropped up to the next terminator without looking at any byte twice.
//!
//! ```
//! use bytes::BytesMut;
//! use rtalink::wire::framing::{Ends, Framer, Piece};
//! use rtalink::wire::layout::Framing;
//!
//! let ends = Ends::new(Framing::Terminator(b"\n".to_vec()), 4_096);
//! let (mut framer, mut buffer) = (Framer::default(), BytesMut::from("4711 AVAIL\n4712 AUX\n47"));
//! let Some(Piece::Records(run)) = framer.next(&ends, &mut buffer) else { panic!("two records are whole") };
//! assert!(ends.records(&run).map(|frame| frame.bytes).eq([&b"4711 AVAIL"[..], b"4712 AUX"]));
//! assert_eq!(buffer, "47");
//! ```

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use super::layout::Framing;

/// What the framer found at the front of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Whole records with their ends, and what may be skipped before them; or that alone.
    Records(Run),
    /// The first `max_record` bytes of a longer record. The rest of it is being skipped.
    TooLong(Run),
}

/// Bytes with their place in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The bytes.
    pub bytes: Bytes,
    /// Distance of the first one from the beginning of the connection.
    pub offset: u64,
}

/// Printers' reports have it before each page.
pub(super) const FORM_FEED: u8 = 0x0c;

/// In UTF-8. Relays write it at the beginning of a connection, whatever the encoding of the feed is.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where records begin and end.
#[derive(Debug)]
pub struct Ends {
    framing: Framing,
    finder: Finder<'static>,
    max_record: usize,
    /// Neither the mark nor a form feed is part of a record's end or of anything else that counts.
    drops_mark: bool,
    drops_form_feeds: bool,
}

impl Ends {
    /// Creates it for a checked layout: the terminator is not empty, the length not zero.
    pub fn new(framing: Framing, max_record: usize) -> Self {
        let needle = match &framing {
            Framing::Terminator(end) => end.as_slice(),
            Framing::Length(_) => b"",
        };
        let finder = Finder::new(needle).into_owned();
        let drops_mark = !needle.iter().any(|byte| BYTE_ORDER_MARK.contains(byte));
        let drops_form_feeds = !needle.contains(&FORM_FEED);
        Self { framing, finder, max_record, drops_mark, drops_form_feeds }
    }

    /// Returns the same for a layout in which a form feed has a meaning of its own.
    #[must_use]
    pub fn keeping_form_feeds(self) -> Self {
        Self { drops_form_feeds: false, ..self }
    }

    /// Whether both cut every stream alike.
    pub fn same_as(&self, other: &Self) -> bool {
        self.framing == other.framing
            && self.max_record == other.max_record
            && self.drops_form_feeds == other.drops_form_feeds
    }

    /// Returns the longest record in bytes.
    pub const fn max_record(&self) -> usize {
        self.max_record
    }

    /// Returns the whole records of `run`, one after the other.
    pub fn records<'a>(&'a self, run: &'a Run) -> Records<'a> {
        Records { ends: self, rest: &run.bytes, offset: run.offset }
    }

    /// Returns what ends a record; empty where its length does.
    pub const fn terminator(&self) -> &[u8] {
        match &self.framing {
            Framing::Terminator(end) => end.as_slice(),
            Framing::Length(_) => &[],
        }
    }

    /// Whether `record`, followed by its end, is cut as one.
    pub fn cuts_after(&self, record: &[u8]) -> bool {
        match &self.framing {
            Framing::Length(_) => true,
            Framing::Terminator(end) => {
                let line = [record, end].concat();
                self.finder.find(&line) == Some(record.len())
            }
        }
    }

    /// Whether records have one length, and `frame` is as long.
    pub(super) fn is_full_length(&self, frame: &[u8]) -> bool {
        matches!(&self.framing, Framing::Length(length) if *length == frame.len())
    }

    /// Returns how many bytes are skipped at the front of `bytes`, where a record begins; `offset` is the place of the first.
    #[inline]
    fn passed_over(&self, bytes: &[u8], offset: u64) -> usize {
        if offset != 0 && bytes.first() != Some(&FORM_FEED) {
            return 0;
        }
        let is_mark = offset == 0 && self.drops_mark && bytes.starts_with(BYTE_ORDER_MARK);
        let mark = if is_mark { BYTE_ORDER_MARK.len() } else { 0 };
        let is_form_feed = |byte: &&u8| self.drops_form_feeds && **byte == FORM_FEED;
        mark + bytes[mark..].iter().take_while(is_form_feed).count()
    }

    /// Whether `bytes`, the first of a connection, may yet become a byte order mark.
    fn may_become_mark(&self, bytes: &[u8]) -> bool {
        self.drops_mark && bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(bytes)
    }

    /// Returns the length of the longest prefix of `bytes` that consists of whole records; nothing before `from` ends one.
    /// `offset` is the place of the first byte.
    fn whole(&self, bytes: &[u8], from: usize, offset: u64) -> usize {
        match &self.framing {
            Framing::Length(length) => {
                let mut whole = 0;
                loop {
                    let begin = whole + self.passed_over(&bytes[whole..], offset + whole as u64);
                    if bytes.len() - begin < *length {
                        return whole;
                    }
                    whole = begin + length;
                }
            }
            Framing::Terminator(end) => match end.as_slice() {
                [byte] => memchr::memrchr(*byte, &bytes[from..]).map_or(0, |at| from + at + 1),
                // From the front: a terminator may overlap itself.
                _ => self.finder.find_iter(&bytes[from..]).last().map_or(0, |at| from + at + end.len()),
            },
        }
    }

    /// A CR before LF belongs to the end of the line.
    fn drops_cr(&self) -> bool {
        matches!(&self.framing, Framing::Terminator(end) if end.first() == Some(&b'\n'))
    }

    #[inline]
    fn without_cr<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        match record {
            [line @ .., b'\r'] if self.drops_cr() => line,
            _ => record,
        }
    }

    fn terminator_len(&self) -> usize {
        match &self.framing {
            Framing::Terminator(end) => end.len(),
            Framing::Length(_) => 0,
        }
    }
}

/// Cuts what a connection receives.
#[derive(Debug, Default)]
pub struct Framer {
    /// Bytes at the front of the buffer that are known to hold no terminator.
    scanned: usize,
    /// A record was too long; everything up to its end is dropped.
    skipping: bool,
    /// The offset of the first byte in the buffer.
    offset: u64,
}

impl Framer {
    /// Takes the next piece from the front of `buffer`; `None` when more bytes are needed.
    pub fn next(&mut self, ends: &Ends, buffer: &mut BytesMut) -> Option<Piece> {
        if self.skipping && !self.skip(ends, buffer) {
            return None;
        }
        if self.offset == 0 && ends.may_become_mark(buffer) {
            return None;
        }
        let whole = ends.whole(buffer, self.scanned, self.offset);
        if whole > 0 {
            self.scanned = 0;
            return Some(Piece::Records(self.take(buffer, whole)));
        }
        let passed_over = ends.passed_over(buffer, self.offset);
        if passed_over > 0 {
            self.scanned = self.scanned.saturating_sub(passed_over);
            return Some(Piece::Records(self.take(buffer, passed_over)));
        }
        let keep = ends.terminator_len().saturating_sub(1);
        if ends.terminator_len() > 0 && buffer.len() > ends.max_record + keep + usize::from(ends.drops_cr()) {
            self.skipping = true;
            self.scanned = 0;
            let mut run = self.take(buffer, ends.max_record);
            run.bytes = Bytes::copy_from_slice(&run.bytes);
            return Some(Piece::TooLong(run));
        }
        self.scanned = buffer.len().saturating_sub(keep);
        None
    }

    /// Whether the last record has begun and not ended.
    pub fn is_half_read(&self, buffer: &BytesMut) -> bool {
        self.skipping || !buffer.is_empty()
    }

    /// Another layout cuts from now on: what was known about the buffer no longer holds.
    pub fn reset(&mut self) {
        self.scanned = 0;
        self.skipping = false;
    }

    /// The stream has ended: returns what is left of a record without an end. One that was reported as too long is not
    /// reported again.
    pub fn finish(&mut self, buffer: &mut BytesMut) -> Option<Run> {
        let skipping = std::mem::take(&mut self.skipping);
        self.scanned = 0;
        let rest = self.take(buffer, buffer.len());
        (!skipping && !rest.bytes.is_empty()).then_some(rest)
    }

    /// Drops bytes up to the end of the record that was too long. True when it was found.
    fn skip(&mut self, ends: &Ends, buffer: &mut BytesMut) -> bool {
        let found = ends.finder.find(buffer);
        let dropped = match found {
            Some(at) => at + ends.terminator_len(),
            None => buffer.len().saturating_sub(ends.terminator_len().saturating_sub(1)),
        };
        self.take(buffer, dropped);
        self.skipping = found.is_none();
        !self.skipping
    }

    fn take(&mut self, buffer: &mut BytesMut, length: usize) -> Run {
        let run = Run { bytes: buffer.split_to(length).freeze(), offset: self.offset };
        self.offset += length as u64;
        run
    }
}

/// One record's bytes without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The record. Where it is longer than `max_record`, only that many bytes of it.
    pub bytes: &'a [u8],
    /// Distance of its first byte from the beginning of the connection.
    pub offset: u64,
    /// The place of the first byte behind it and its end.
    pub end: u64,
    /// It is longer than `max_record`.
    pub too_long: bool,
}

/// Walks a run of whole records.
#[derive(Debug)]
pub struct Records<'a> {
    ends: &'a Ends,
    rest: &'a [u8],
    offset: u64,
}

impl Records<'_> {
    /// Returns where the last returned record ends, including its end.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns what is left of `run`, whose records these are; `None` where nothing is left.
    pub fn rest_of(&self, run: &Run) -> Option<Run> {
        (!self.rest.is_empty()).then(|| Run { bytes: run.bytes.slice_ref(self.rest), offset: self.offset })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        let passed_over = self.ends.passed_over(self.rest, self.offset);
        self.rest = &self.rest[passed_over..];
        self.offset += passed_over as u64;
        if self.rest.is_empty() {
            return None;
        }
        let (length, consumed) = match &self.ends.framing {
            Framing::Length(length) => (*length, *length),
            Framing::Terminator(end) => {
                let at = match end.as_slice() {
                    [byte] => memchr::memchr(*byte, self.rest)?,
                    _ => self.ends.finder.find(self.rest)?,
                };
                (at, at + end.len())
            }
        };
        let (record, rest) = self.rest.split_at_checked(consumed)?;
        let offset = self.offset;
        self.rest = rest;
        self.offset += consumed as u64;
        let line = self.ends.without_cr(&record[..length]);
        let too_long = line.len() > self.ends.max_record;
        let bytes = &line[..line.len().min(self.ends.max_record)];
        Some(Frame { bytes, offset, end: self.offset, too_long })
    }
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
