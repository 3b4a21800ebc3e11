//! The text of one field: what a column says about an agent.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::tz::TimeZone;

use crate::time::Timestamp;
use crate::wire::layout::{Column, ColumnSpec, FieldPlace, FieldStyle, Framing, LayoutSpec};
use crate::wire::states::{Direction, Mode, StateCode};
use crate::wire::words::Words;

use super::agent::{SimulatedAgent, Skill};
use super::error::SimulateError;
use super::manner::DurationForm;

/// A column, ready to be written.
#[derive(Clone, Debug)]
pub(super) struct RenderedField {
    pub(super) column: Column,
    pub(super) place: Option<FieldPlace>,
    /// How null is written.
    pub(super) null: String,
    /// Everything that is read as null.
    nulls: Vec<String>,
    format: Option<String>,
    /// How a duration is spelled.
    pub(super) durations: DurationForm,
    /// The site's words for values of this column, as far as they can be written.
    aux_reasons: Words<u32>,
    directions: Words<Direction>,
    /// The last ignored column before the extension.
    precedes_extension: bool,
}

/// What a record is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct RenderedRow<'a> {
    pub(super) agent: &'a SimulatedAgent,
    /// The agent's state, spelled and as the layout's table reads it.
    pub(super) code: &'a str,
    pub(super) meaning: StateCode,
    /// The skill of this row or group.
    pub(super) skill: Option<Skill>,
    pub(super) at: Timestamp,
    pub(super) acd: u32,
    pub(super) zone: &'a TimeZone,
}

impl RenderedField {
    /// Creates the column as that layout writes it; `next` is the one after it.
    pub(super) fn new(spec: &ColumnSpec, next: Option<&ColumnSpec>, layout: &LayoutSpec) -> Self {
        let nulls: Vec<String> = spec.null.iter().chain(&layout.null).cloned().collect();
        let can_be_blank = layout.fields != FieldStyle::Whitespace;
        let is_blank = |null: &&String| null.trim().is_empty();
        let blank = nulls.iter().find(is_blank).filter(|_| can_be_blank);
        let can_be_written = |word: &str| {
            let Ok(bytes) = layout.encoding.encode(word) else { return false };
            let fits = match layout.fields {
                FieldStyle::Whitespace => !bytes.iter().any(|byte| matches!(byte, b' ' | b'\t')),
                FieldStyle::Separator(separator) => !bytes.contains(&separator),
                FieldStyle::FixedWidth => spec.place.is_none_or(|place| bytes.len() <= place.width),
                FieldStyle::FixedCharacters => spec.place.is_none_or(|place| word.chars().count() <= place.width),
            };
            let is_plain = !layout.quote.is_some_and(|quote| bytes.contains(&quote))
                && !matches!(&layout.framing, Framing::Terminator(end) if end.iter().any(|byte| bytes.contains(byte)));
            fits && is_plain && word.trim() == word && !nulls.iter().any(|null| null == word)
        };
        let aux_reasons = only(&layout.aux_reasons, can_be_written);
        let directions = only(&layout.directions, can_be_written);
        let null = blank.or_else(|| nulls.iter().find(|null| !is_blank(null))).map_or("0", String::as_str).to_owned();
        Self {
            column: spec.column,
            place: spec.place,
            null,
            nulls,
            format: spec.format.clone(),
            durations: DurationForm::default(),
            aux_reasons,
            directions,
            precedes_extension: next.is_some_and(|next| next.column == Column::Extension),
        }
    }

    /// Whether a listener takes this text for null.
    pub(super) fn reads_as_null(&self, text: &str) -> bool {
        self.nulls.iter().any(|null| null == text)
    }

    /// Returns a text of an AUX reason that reads as the same reason: the site's word for it, or the number. `None` where
    /// that number is a word for another one.
    pub(super) fn aux_reason(&self, reason: u32) -> Option<Cow<'_, str>> {
        let number = || {
            let number = reason.to_string();
            self.aux_reasons.lookup(number.as_bytes()).is_none().then_some(Cow::Owned(number))
        };
        spelled(&self.aux_reasons, reason).map(Cow::Borrowed).or_else(number)
    }

    /// Returns the same for a direction.
    pub(super) fn direction(&self, direction: Direction) -> Option<&str> {
        let name = Some(direction.name()).filter(|name| self.directions.lookup(name.as_bytes()).is_none());
        spelled(&self.directions, direction).or(name)
    }

    /// Writes the text, or null.
    ///
    /// The meaning of the ignored columns of the public Cisco record is not known; they are zero, except the one before the
    /// extension, which is 1 as in that record.
    pub(super) fn write(&self, row: &RenderedRow<'_>, out: &mut String) {
        let state = &row.agent.state;
        let written = match self.column {
            Column::LoginId => text(out, &row.agent.login_id),
            Column::State => text(out, row.code),
            Column::Name => text(out, &row.agent.name),
            Column::AuxReason => self.aux_reason(state.aux_reason).is_some_and(|reason| text(out, &reason)),
            Column::Direction => match state.direction {
                Direction::None if row.meaning.direction == Direction::None => false,
                direction => self.direction(direction).is_some_and(|direction| text(out, direction)),
            },
            Column::WorkSplit => state.work_split.is_some_and(|split| number(out, split)),
            Column::Extension => text(out, &row.agent.extension),
            Column::Duration => self.durations.write(row.at.since(state.since).as_secs(), out),
            Column::Timestamp => self.time(row.at, row.zone, out),
            Column::StateStart => self.time(state.since, row.zone, out),
            Column::Acd => number(out, row.acd + row.agent.acd_offset),
            Column::Role => text(out, row.agent.role),
            Column::OnHold => number(out, u8::from(state.on_hold)),
            Column::Location => text(out, row.agent.location),
            Column::LogoutReason => state.mode == Mode::Unstaff && number(out, 1_u8),
            Column::Skill => row.skill.is_some_and(|skill| number(out, skill.skill)),
            Column::Level => row.skill.is_some_and(|skill| number(out, skill.level)),
            Column::Ignored => number(out, u8::from(self.precedes_extension)),
        };
        if !written {
            out.push_str(&self.null);
        }
    }

    /// Checks that the column's format of local time can be written.
    pub(super) fn check(&self) -> Result<(), SimulateError> {
        let Some(format) = &self.format else { return Ok(()) };
        let sample = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        jiff::fmt::strtime::format(format, &sample).map(|_| ()).map_err(|error| SimulateError::TimeFormat {
            column: self.column.name(),
            format: format.clone(),
            message: error.to_string(),
        })
    }

    fn time(&self, time: Timestamp, zone: &TimeZone, out: &mut String) -> bool {
        let Some(format) = &self.format else {
            return number(out, time.as_millis().div_euclid(1_000));
        };
        let Ok(instant) = jiff::Timestamp::from_microsecond(time.as_micros()) else { return false };
        let civil = jiff::fmt::strtime::format(format, &instant.to_zoned(zone.clone()));
        civil.is_ok_and(|civil| text(out, &civil))
    }
}

/// Returns those of the words that pass.
fn only<T: Copy>(words: &Words<T>, pass: impl Fn(&str) -> bool) -> Words<T> {
    Words::new(words.rows().iter().filter(|(word, _)| pass(word)).cloned())
}

/// Returns the first word that is read as `meaning`.
fn spelled<T: Copy + PartialEq>(words: &Words<T>, meaning: T) -> Option<&str> {
    let is_meant = |(word, _): &&(String, T)| words.lookup(word.as_bytes()) == Some(meaning);
    words.rows().iter().find(is_meant).map(|(word, _)| word.as_str())
}

fn text(out: &mut String, value: &str) -> bool {
    out.push_str(value);
    !value.is_empty()
}

fn number(out: &mut String, value: impl std::fmt::Display) -> bool {
    write!(out, "{value}").is_ok()
}
