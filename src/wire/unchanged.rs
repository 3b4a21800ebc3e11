//! Is this record the one we had, but for the clock?
//!
//! In a snapshot feed 95-99 % of the records say nothing new. Such a record is recognised by its bytes: everything
//! outside the volatile columns (duration, timestamp) must be what the agent's last valid record had, and of those
//! columns only the digits are read. Bytes that are equal decode equally, so a record taken this way is valid and has
//! the state of the last one: the shortcut can not be wrong. Skill columns are compared even where details are off,
//! because a broken skill group makes a record invalid; one that differs costs a decode, nothing else. Where columns of fixed
//! width share bytes with a volatile one, equal bytes outside say nothing of them: there is no shortcut.

use super::cursor::Area;
use super::decode::Decoded;
use super::fields;
use super::layout::{Column, FieldStyle};
use super::plan::Plan;
use super::record::Times;

/// The last valid record of an agent.
#[derive(Clone, Debug, Default)]
pub struct LastRecord {
    bytes: Vec<u8>,
    areas: Vec<Area>,
}

impl LastRecord {
    /// Remembers `frame` as decoded.
    pub fn remember(&mut self, frame: &[u8], decoded: &Decoded<'_>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(frame);
        self.areas.clear();
        self.areas.extend_from_slice(decoded.areas);
    }

    /// Forgets it: the next record is decoded.
    pub fn forget(&mut self) {
        self.bytes = Vec::new();
        self.areas = Vec::new();
    }

    /// What `frame` tells about time if it is the remembered record in all else; `None` if it has to be decoded.
    #[inline]
    pub fn times_if_same(&self, plan: &Plan, frame: &[u8]) -> Option<Times> {
        if self.areas.is_empty() {
            return (!self.bytes.is_empty() && self.bytes == frame && plan.volatile.is_empty()).then(Times::default);
        }
        if self.areas.len() != plan.volatile.len() || plan.shares_volatile_bytes {
            return None;
        }
        let mut times = Times::default();
        let mut kept = 0;
        let mut rest = frame;
        for (area, index) in self.areas.iter().zip(&plan.volatile) {
            rest = rest.strip_prefix(self.bytes.get(kept..area.from as usize)?)?;
            kept = area.to as usize;
            let column = plan.columns.get(*index)?;
            let length = match plan.style {
                FieldStyle::Separator(separator) => rest.iter().position(|byte| *byte == separator),
                FieldStyle::Whitespace => rest.iter().position(|byte| fields::is_blank(*byte)),
                FieldStyle::FixedWidth => Some((kept - area.from as usize).min(rest.len())),
            };
            let (bytes, after) = rest.split_at(length.unwrap_or(rest.len()));
            rest = after;
            let value = fields::trim(bytes);
            if plan.quote.is_some_and(|quote| value.first() == Some(&quote)) {
                // A quote may be a digit, too: what is inside is read by the decoder alone.
                return None;
            }
            match column.column {
                Column::Duration => times.duration = Some(fields::duration(value)?),
                _ => times.timestamp = Some(fields::time(value, column.format.as_deref(), &plan.time_zone)?),
            }
            if column.null.has(value) {
                return None;
            }
        }
        (rest == self.bytes.get(kept..)?).then_some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode::Decoder;
    use crate::wire::layout::{ColumnSpec, LayoutSpec, Place, Repeat, SkillGroups, builtin};
    use crate::wire::plan::Plan;

    #[test]
    fn who_shares_bytes_with_the_clock_is_decoded() {
        let shared = [(0, 4, 8, 4), (0, 4, 3, 4), (2, 4, 0, 4), (4, 4, 4, 4)];
        let cases = [(0, 4, 4, 4, true)].into_iter().chain(shared.map(|(a, b, c, d)| (a, b, c, d, false)));
        for (login_at, login_width, duration_at, duration_width, is_same) in cases {
            let column =
                |column, at, width| ColumnSpec { place: Some(Place { at, width }), ..ColumnSpec::plain(column) };
            let skills = (duration_at == 8).then(|| SkillGroups {
                columns: vec![column(Column::Skill, 0, 1)],
                repeat: Repeat::Times(3),
                empty: None,
                at: Some(6),
            });
            let layout = LayoutSpec {
                fields: FieldStyle::FixedWidth,
                columns: vec![
                    column(Column::LoginId, login_at, login_width),
                    column(Column::Duration, duration_at, duration_width),
                    column(Column::State, 12, 2),
                ],
                skills,
                ..builtin::get("cisco-icm-20").unwrap()
            };
            let plan = Plan::compile(&layout, "UTC").unwrap();
            let frame = b"11111111111120";
            let mut decoder = Decoder::default();
            let mut last = LastRecord::default();
            last.remember(frame, &decoder.decode(&plan, frame).unwrap());
            assert_eq!(last.times_if_same(&plan, frame).is_some(), is_same, "{login_at} {duration_at}");
        }
    }

    #[test]
    fn a_quoted_duration_is_not_read_with_its_quotes() {
        // A digit for a quote: odd, and allowed.
        let columns = [Column::LoginId, Column::State, Column::Duration].map(ColumnSpec::plain);
        let layout = LayoutSpec {
            quote: Some(b'0'),
            fields: FieldStyle::Separator(b'|'),
            columns: columns.into(),
            skills: None,
            ..builtin::get("cisco-icm-20").unwrap()
        };
        let plan = Plan::compile(&layout, "UTC").unwrap();
        let frame = b"301204|20|0750";
        let mut decoder = Decoder::default();
        let decoded = decoder.decode(&plan, frame).unwrap();
        assert_eq!(decoded.record.times.duration.map(|duration| duration.as_secs()), Some(75));
        let mut last = LastRecord::default();
        last.remember(frame, &decoded);
        assert_eq!(last.times_if_same(&plan, frame), None);
        assert_eq!(
            last.times_if_same(&plan, b"301204|20|75").map(|times| times.duration),
            Some(decoded.record.times.duration)
        );
    }
}
