//! Walking the fields of one frame, one type per style.

use super::fields::{Field, Mismatch, blank_separated, separated, trim, trim_end, trim_start};
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

    /// In a frame without its end: whether the field just read is known to have ended.
    fn field_is_whole(&self, column: &PlanColumn) -> bool;

    /// Whether something follows the last field.
    fn has_more(&self) -> bool;
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

    fn field_is_whole(&self, _: &PlanColumn) -> bool {
        !self.ended
    }

    fn has_more(&self) -> bool {
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

    fn field_is_whole(&self, _: &PlanColumn) -> bool {
        !self.rest.is_empty() || matches!(self.frame.last(), Some(b' ' | b'\t'))
    }

    fn has_more(&self) -> bool {
        !self.rest.is_empty()
    }
}

/// Every column has its place.
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
        let bytes = trim(&self.frame[from..to]);
        let field = match (self.quote, bytes) {
            (Some(quote), [first, inner @ .., last]) if *first == quote && *last == quote => {
                Field { bytes: inner, doubled: inner.windows(2).any(|pair| pair == [quote, quote]) }
            }
            _ => Field::plain(bytes),
        };
        self.last = area(from, to);
        Ok(field)
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

    fn field_is_whole(&self, column: &PlanColumn) -> bool {
        self.frame.len() >= column.place.at + column.place.width
    }

    fn has_more(&self) -> bool {
        !trim(self.frame.get(self.reached..).unwrap_or_default()).is_empty()
    }
}
