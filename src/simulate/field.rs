//! The text of one field: what a column says of an agent.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::agent::{Agent, Skill};
use super::error::SimulateError;
use crate::time::Timestamp;
use crate::wire::layout::{Column, ColumnSpec, FieldStyle, LayoutSpec, Place};
use crate::wire::states::{Direction, Mode, StateCode};

/// A column, ready to be written.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) column: Column,
    pub(super) place: Option<Place>,
    /// How null is written.
    pub(super) null: String,
    /// Everything that is read as null.
    nulls: Vec<String>,
    format: Option<String>,
    /// The last column before the extension that nobody looks at.
    precedes_extension: bool,
}

/// What a record is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) agent: &'a Agent,
    /// The agent's state, spelled and as the layout's table reads it.
    pub(super) code: &'a str,
    pub(super) meaning: StateCode,
    /// Of this row or group.
    pub(super) skill: Option<Skill>,
    pub(super) at: Timestamp,
    pub(super) acd: u32,
    pub(super) zone: &'a TimeZone,
}

impl Field {
    /// The column as that layout writes it; `next` is the one after it.
    pub(super) fn new(spec: &ColumnSpec, next: Option<&ColumnSpec>, layout: &LayoutSpec) -> Self {
        let nulls: Vec<String> = spec.null.iter().chain(&layout.null).cloned().collect();
        let can_be_blank = layout.fields != FieldStyle::Whitespace;
        let is_blank = |null: &&String| null.trim().is_empty();
        let blank = nulls.iter().find(is_blank).filter(|_| can_be_blank);
        let null = blank.or_else(|| nulls.iter().find(|null| !is_blank(null))).map_or("0", String::as_str).to_owned();
        Self {
            column: spec.column,
            place: spec.place,
            null,
            nulls,
            format: spec.format.clone(),
            precedes_extension: next.is_some_and(|next| next.column == Column::Extension),
        }
    }

    /// Whether a listener takes this text for null.
    pub(super) fn reads_as_null(&self, text: &str) -> bool {
        self.nulls.iter().any(|null| null == text)
    }

    /// Writes the text, or null.
    ///
    /// Nobody knows what the ignored columns of the public Cisco record mean; they are zero, save the one before the
    /// extension, which is 1 as in that record.
    pub(super) fn write(&self, row: &Row<'_>, out: &mut String) {
        let state = &row.agent.state;
        let written = match self.column {
            Column::LoginId => text(out, &row.agent.login_id),
            Column::State => text(out, row.code),
            Column::Name => text(out, &row.agent.name),
            Column::AuxReason => number(out, state.aux_reason),
            Column::Direction => match state.direction {
                Direction::None if row.meaning.direction == Direction::None => false,
                direction => text(out, direction.name()),
            },
            Column::WorkSplit => state.work_split.is_some_and(|split| number(out, split)),
            Column::Extension => text(out, &row.agent.extension),
            Column::Duration => number(out, row.at.since(state.since).as_secs()),
            Column::Timestamp => self.time(row.at, row.zone, out),
            Column::StateStart => self.time(state.since, row.zone, out),
            Column::Acd => number(out, row.acd),
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

    /// Whether the column's form of civil time can be written.
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

fn text(out: &mut String, value: &str) -> bool {
    out.push_str(value);
    !value.is_empty()
}

fn number(out: &mut String, value: impl std::fmt::Display) -> bool {
    write!(out, "{value}").is_ok()
}
