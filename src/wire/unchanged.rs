//! Is this record the one we had, except for the clock?
//!
//! In a snapshot feed 95-99 % of the records say nothing new. Such a record is recognised by its bytes: everything outside
//! the volatile columns (duration, timestamp) must be what the agent's last valid record had, and of those columns only the
//! values are read. Equal bytes decode equally, except for one thing: which moment a local `state_start` means can depend on
//! when it was received, so what it said is remembered, and resolved again. Whatever is not plain in a volatile column (null,
//! quoted, longer than a value may be, not printable) is left to the decoder. So a record taken this way is valid, has the
//! state of the last one, and gives the times that decoding it would give.
//!
//! Skill columns are compared even where details are off, because a broken skill group makes a record invalid; one that
//! differs costs a decode, nothing else. Where columns of fixed width share bytes with a volatile one, equal bytes outside
//! say nothing about them: there is no shortcut.

use crate::time::Timestamp;

use super::column::Volatile;
use super::cursor::Area;
use super::decode::Decoded;
use super::fields;
use super::layout::FieldStyle;
use super::moment::WrittenTime;
use super::plan::Plan;
use super::record::{LONGEST_VALUE, Times};

/// The last valid record of an agent.
#[derive(Clone, Debug, Default)]
pub struct LastRecord {
    bytes: Vec<u8>,
    areas: Vec<Area>,
    start: Option<WrittenTime>,
    /// The `state_start` was a moment that occurs.
    has_start: bool,
}

impl LastRecord {
    /// Remembers `frame` as decoded.
    pub fn remember(&mut self, frame: &[u8], decoded: &Decoded<'_>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(frame);
        self.areas.clear();
        self.areas.extend_from_slice(decoded.areas);
        self.start = decoded.start;
        self.has_start = decoded.record.times.state_start.is_some();
    }

    /// Forgets it: the next record is decoded.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether `frame` is the remembered record, byte for byte: that is enough where the layout has no time.
    #[inline]
    pub fn is(&self, frame: &[u8]) -> bool {
        !self.bytes.is_empty() && self.bytes == frame
    }

    /// Returns what `frame`, received then, says about time if it is otherwise the remembered record; `None` if it has to be
    /// decoded.
    #[inline]
    pub fn times_if_same(&self, plan: &Plan, frame: &[u8], received_at: Timestamp) -> Option<Times> {
        if self.bytes.is_empty() || self.areas.len() != plan.volatile.len() || plan.shares_volatile_bytes {
            return None;
        }
        let mut times = Times::default();
        let mut kept = 0;
        let mut rest = frame;
        for (area, (index, volatile)) in self.areas.iter().zip(&plan.volatile) {
            rest = rest.strip_prefix(self.bytes.get(kept..area.from as usize)?)?;
            kept = area.to as usize;
            let column = plan.columns.get(*index)?;
            let length = match plan.style {
                FieldStyle::Separator(separator) => rest.iter().position(|byte| *byte == separator),
                FieldStyle::Whitespace => rest.iter().position(|byte| fields::is_blank(*byte)),
                FieldStyle::FixedWidth => Some((kept - area.from as usize).min(rest.len())),
                FieldStyle::FixedCharacters => {
                    // As many bytes are as many characters only where both are ASCII; the value is looked at below.
                    let before = self.bytes.get(area.from as usize..kept)?;
                    if !before.is_ascii() {
                        return None;
                    }
                    Some(before.len().min(rest.len()))
                }
            };
            let (bytes, after) = rest.split_at(length.unwrap_or(rest.len()));
            rest = after;
            let value = fields::trim(bytes);
            // A quote may be a digit, too: only the decoder reads what is inside.
            let is_quoted = plan.quote.is_some_and(|quote| value.first() == Some(&quote));
            let is_plain = value.len() <= LONGEST_VALUE && value.iter().all(|byte| (b' '..=b'~').contains(byte));
            if is_quoted || !is_plain || column.null.has(value) {
                return None;
            }
            match volatile {
                Volatile::Duration => times.duration = Some(fields::duration(value)?),
                Volatile::Timestamp => {
                    let told = WrittenTime::read(value, column.format.as_deref(), &plan.time_zone)?;
                    times.set_timestamp(told.at(&plan.time_zone, received_at));
                }
            }
        }
        if rest != self.bytes.get(kept..)? {
            return None;
        }
        if let Some(start) = self.start {
            times.set_state_start(start.at(&plan.time_zone, received_at));
            // A time that did not occur before and does today, or the other way round, is another start.
            if times.state_start.is_some() != self.has_start {
                return None;
            }
        }
        Some(times)
    }
}

#[cfg(test)]
#[path = "unchanged_tests.rs"]
mod tests;
