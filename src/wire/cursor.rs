//! Walking the fields of one frame, one type per style.

use super::fields::{Field, Mismatch, blank_separated, separated, trim, trim_end, trim_start};
use super::marks::MarkCursor;
use super::plan::{PlanColumn, PlanGroups};
use super::reason::Reason;

/// Bytes of a volatile column in its frame, including blanks around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    pub(super) from: u32,
    pub(super) to: u32,
}

#[allow(clippy::cast_possible_truncation)] // a frame is at most max_record long
pub(super) const fn area(from: usize, to: usize) -> Area {
    Area { from: from as u32, to: to as u32 }
}

/// The fields of a frame, from left to right.
pub(super) trait Fields<'a> {
    /// The frame.
    fn frame(&self) -> &'a [u8];

    /// The next field.
    fn next(&mut self, column: &PlanColumn) -> Result<Field<'a>, Reason>;

    /// Returns the place of the field just read, with the blanks around it.
    fn last_area(&self) -> Area;

    /// Goes to the group with that number. False where the frame ends before it.
    fn enter_group(&mut self, groups: &PlanGroups, number: usize) -> bool;

    /// Whether the frame has ended inside a group.
    fn is_cut_off(&self) -> bool;

    /// Whether something follows the last field.
    fn has_more(&self) -> bool;
}

/// The fields of a frame that may lack its end.
pub(super) trait CutFields<'a>: Fields<'a> {
    /// Whether the field just read is known to have ended.
    fn field_is_whole(&self, column: &PlanColumn) -> bool;
}

fn reason(error: nom::Err<Mismatch>) -> Reason {
    match error {
        nom::Err::Error(Mismatch::Reason(reason)) | nom::Err::Failure(Mismatch::Reason(reason)) => reason,
        _ => Reason::TooFewFields,
    }
}

/// One byte between two fields.
pub(super) struct Separated<'a> {
    frame: &'a [u8],
    rest: &'a [u8],
    separator: u8,
    quote: Option<u8>,
    ended: bool,
    /// Bytes that were left before and after the last field.
    last: (usize, usize),
}

impl<'a> Separated<'a> {
    #[inline]
    pub(super) const fn new(frame: &'a [u8], separator: u8, quote: Option<u8>) -> Self {
        Self { frame, rest: frame, separator, quote, ended: frame.is_empty(), last: (0, 0) }
    }
}

impl<'a> Fields<'a> for Separated<'a> {
    fn frame(&self) -> &'a [u8] {
        self.frame
    }

    #[inline]
    fn next(&mut self, _: &PlanColumn) -> Result<Field<'a>, Reason> {
        if self.ended {
            return Err(Reason::TooFewFields);
        }
        let (rest, field) = separated(self.separator, self.quote)(self.rest).map_err(reason)?;
        self.last = (self.rest.len(), rest.len());
        match rest.split_first() {
            Some((_, after)) => self.rest = after,
            None => {
                self.rest = rest;
                self.ended = true;
            }
        }
        Ok(field)
    }

    fn last_area(&self) -> Area {
        area(self.frame.len() - self.last.0, self.frame.len() - self.last.1)
    }

    #[inline]
    fn enter_group(&mut self, _: &PlanGroups, _: usize) -> bool {
        !self.ended
    }

    #[inline]
    fn is_cut_off(&self) -> bool {
        self.ended
    }

    fn has_more(&self) -> bool {
        !self.ended
    }
}

impl<'a> CutFields<'a> for Separated<'a> {
    fn field_is_whole(&self, _: &PlanColumn) -> bool {
        !self.ended
    }
}

/// Runs of blanks and tabs between two fields; those at either end do not count.
pub(super) struct BlankSeparated<'a> {
    frame: &'a [u8],
    rest: &'a [u8],
    quote: Option<u8>,
    /// Bytes that were left before and after the last field.
    last: (usize, usize),
}

impl<'a> BlankSeparated<'a> {
    #[inline]
    pub(super) fn new(frame: &'a [u8], quote: Option<u8>) -> Self {
        Self { frame, rest: trim_start(frame), quote, last: (0, 0) }
    }
}

impl<'a> Fields<'a> for BlankSeparated<'a> {
    fn frame(&self) -> &'a [u8] {
        self.frame
    }

    #[inline]
    fn next(&mut self, _: &PlanColumn) -> Result<Field<'a>, Reason> {
        if self.rest.is_empty() {
            return Err(Reason::TooFewFields);
        }
        let (rest, field) = blank_separated(self.quote)(self.rest).map_err(reason)?;
        self.last = (self.rest.len(), rest.len());
        self.rest = trim_start(rest);
        Ok(field)
    }

    fn last_area(&self) -> Area {
        area(self.frame.len() - self.last.0, self.frame.len() - self.last.1)
    }

    #[inline]
    fn enter_group(&mut self, _: &PlanGroups, _: usize) -> bool {
        !self.rest.is_empty()
    }

    #[inline]
    fn is_cut_off(&self) -> bool {
        self.rest.is_empty()
    }

    fn has_more(&self) -> bool {
        !self.rest.is_empty()
    }
}

impl<'a> CutFields<'a> for BlankSeparated<'a> {
    fn field_is_whole(&self, _: &PlanColumn) -> bool {
        !self.rest.is_empty() || matches!(self.frame.last(), Some(b' ' | b'\t'))
    }
}

/// Fields of a whole frame, none of which is quoted; their ends are marked. With `RUNS` a run of blanks separates two fields, and
/// those at either end do not count: the end of the frame is taken off before it is marked.
pub(super) struct Marked<'a, 'm, const RUNS: bool> {
    frame: &'a [u8],
    marks: MarkCursor<'m>,
    /// Where the next field begins, or blanks before it; beyond the end of the frame where there is none.
    at: usize,
    last: Area,
}

impl<'a, 'm, const RUNS: bool> Marked<'a, 'm, RUNS> {
    /// Begins with the frame as it was marked.
    #[inline(always)]
    pub(super) fn new(frame: &'a [u8], marks: MarkCursor<'m>) -> Self {
        Self { frame, marks, at: usize::from(frame.is_empty()), last: area(0, 0) }
    }
}

impl<'a, const RUNS: bool> Fields<'a> for Marked<'a, '_, RUNS> {
    #[inline(always)]
    fn frame(&self) -> &'a [u8] {
        self.frame
    }

    #[inline(always)]
    fn next(&mut self, _: &PlanColumn) -> Result<Field<'a>, Reason> {
        if self.is_cut_off() {
            return Err(Reason::TooFewFields);
        }
        let mut end = self.marks.pass();
        while RUNS && end == self.at {
            self.at += 1;
            end = self.marks.pass();
        }
        let bytes = self.frame.get(self.at..end).unwrap_or_default();
        self.last = area(self.at, end);
        self.at = end + 1;
        Ok(Field::plain(if RUNS { bytes } else { trim(bytes) }))
    }

    #[inline(always)]
    fn last_area(&self) -> Area {
        self.last
    }

    #[inline(always)]
    fn enter_group(&mut self, _: &PlanGroups, _: usize) -> bool {
        self.has_more()
    }

    #[inline(always)]
    fn is_cut_off(&self) -> bool {
        self.at > self.frame.len()
    }

    #[inline(always)]
    fn has_more(&self) -> bool {
        !self.is_cut_off()
    }
}

/// Returns the field that has these bytes for its place.
#[inline]
fn placed(bytes: &[u8], quote: Option<u8>) -> Field<'_> {
    let bytes = trim(bytes);
    match (quote, bytes) {
        (Some(quote), [first, inner @ .., last]) if *first == quote && *last == quote => {
            Field { bytes: inner, doubled: inner.windows(2).any(|pair| pair == [quote, quote]) }
        }
        _ => Field::plain(bytes),
    }
}

/// Every column has its place, in bytes.
pub(super) struct FixedWidth<'a> {
    frame: &'a [u8],
    quote: Option<u8>,
    /// First byte of the group being read; of the record before the first group.
    base: usize,
    /// First byte after the columns read so far.
    reached: usize,
    last: Area,
}

impl<'a> FixedWidth<'a> {
    #[inline]
    pub(super) const fn new(frame: &'a [u8], quote: Option<u8>) -> Self {
        Self { frame, quote, base: 0, reached: 0, last: area(0, 0) }
    }
}

impl<'a> Fields<'a> for FixedWidth<'a> {
    fn frame(&self) -> &'a [u8] {
        self.frame
    }

    #[inline]
    fn next(&mut self, column: &PlanColumn) -> Result<Field<'a>, Reason> {
        let from = self.base + column.place.at;
        let to = from + column.place.width;
        self.reached = self.reached.max(to);
        // In a shorter line the missing columns are empty.
        let from = from.min(self.frame.len());
        let to = to.min(self.frame.len());
        self.last = area(from, to);
        Ok(placed(&self.frame[from..to], self.quote))
    }

    fn last_area(&self) -> Area {
        self.last
    }

    #[inline]
    fn enter_group(&mut self, groups: &PlanGroups, number: usize) -> bool {
        self.base = groups.at + number * groups.width;
        groups.width > 0 && self.base < trim_end(self.frame).len()
    }

    fn is_cut_off(&self) -> bool {
        false
    }

    fn has_more(&self) -> bool {
        !trim(self.frame.get(self.reached..).unwrap_or_default()).is_empty()
    }
}

impl<'a> CutFields<'a> for FixedWidth<'a> {
    fn field_is_whole(&self, column: &PlanColumn) -> bool {
        self.frame.len() >= column.place.at + column.place.width
    }
}

/// Every column has its place, in characters of UTF-8.
///
/// A frame that is ASCII is left to [`FixedWidth`]. Bytes that are not UTF-8 have places, too: each that does not continue a
/// character is one. So a place does not depend on what follows it.
pub(super) struct FixedCharacters<'a> {
    frame: &'a [u8],
    quote: Option<u8>,
    /// First character of the group being read; of the record before the first group.
    base: usize,
    /// First character after the columns read so far.
    reached: usize,
    /// Where a character is known to begin: most columns follow each other.
    known: Character,
    last: Area,
}

/// A character of a frame.
#[derive(Clone, Copy)]
struct Character {
    number: usize,
    at: usize,
}

impl Character {
    const FIRST: Self = Self { number: 0, at: 0 };

    /// Returns the character of that number, or the end of the frame.
    fn find(self, frame: &[u8], number: usize) -> Self {
        let mut found = if number < self.number { Self::FIRST } else { self };
        while found.number < number && found.at < frame.len() {
            let expected = continuations(frame[found.at]);
            let rest = frame[found.at + 1..].iter().take(expected);
            found.at += 1 + rest.take_while(|byte| matches!(byte, 0x80..=0xbf)).count();
            found.number += 1;
        }
        found
    }
}

/// Returns how many bytes follow the first one of a character.
const fn continuations(first: u8) -> usize {
    match first {
        0xc2..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0..=0xf4 => 3,
        _ => 0,
    }
}

impl<'a> FixedCharacters<'a> {
    pub(super) const fn new(frame: &'a [u8], quote: Option<u8>) -> Self {
        Self { frame, quote, base: 0, reached: 0, known: Character::FIRST, last: area(0, 0) }
    }

    fn byte_of(&mut self, character: usize) -> usize {
        self.known = self.known.find(self.frame, character);
        self.known.at
    }
}

impl<'a> Fields<'a> for FixedCharacters<'a> {
    fn frame(&self) -> &'a [u8] {
        self.frame
    }

    fn next(&mut self, column: &PlanColumn) -> Result<Field<'a>, Reason> {
        let from = self.base + column.place.at;
        let to = from + column.place.width;
        self.reached = self.reached.max(to);
        let (from, to) = (self.byte_of(from), self.byte_of(to));
        self.last = area(from, to);
        Ok(placed(&self.frame[from..to], self.quote))
    }

    fn last_area(&self) -> Area {
        self.last
    }

    fn enter_group(&mut self, groups: &PlanGroups, number: usize) -> bool {
        self.base = groups.at + number * groups.width;
        groups.width > 0 && self.byte_of(self.base) < trim_end(self.frame).len()
    }

    fn is_cut_off(&self) -> bool {
        false
    }

    fn has_more(&self) -> bool {
        let from = self.known.find(self.frame, self.reached).at;
        !trim(&self.frame[from..]).is_empty()
    }
}

impl<'a> CutFields<'a> for FixedCharacters<'a> {
    fn field_is_whole(&self, column: &PlanColumn) -> bool {
        let end = column.place.at + column.place.width;
        self.known.find(self.frame, end).number == end
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
