//! Agents to bytes, in any layout; and what a listener can read from them.
//!
//! Every field goes through the same steps: its text, what the layout's framing cannot carry replaced (blanks by `_`
//! where blanks separate, characters that the encoding lacks by `?`), quotes where needed, padding.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::time::Timestamp;
use crate::wire::encoding::Encoding;
use crate::wire::layout::{Column, FieldStyle, Framing, LayoutSpec, Repeat};
use crate::wire::states::{Direction, Mode, StateCode};

use super::agent::{SimulatedAgent, SimulatedState, Skill};
use super::error::SimulateError;
use super::field::{RenderedField, RenderedRow};
use super::manner::Manner;
use super::spell;

/// Writes records in one layout.
#[derive(Clone, Debug)]
pub struct Renderer {
    layout: Arc<LayoutSpec>,
    fields: Vec<RenderedField>,
    /// The fields of one skill group.
    group: Vec<RenderedField>,
    /// Width of a group, with fixed width.
    group_width: usize,
    marker: Option<Vec<u8>>,
    manner: Manner,
    zone: TimeZone,
    acd: u32,
}

/// The records of one refresh, marker included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenderedSnapshot {
    /// As they go over the wire.
    pub bytes: Vec<u8>,
    /// Where each record ends in them; the marker is not a record.
    pub ends: Vec<usize>,
}

/// An agent's state as a listener reads it from a layout: what the layout does not show is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// [`Mode::Unknown`] where the table has no code for the agent's mode nor for a related one.
    pub mode: Mode,
    /// Direction of the call.
    pub direction: Direction,
    /// An ACD call waits on hold.
    pub on_hold: bool,
    /// In AUX only, and only where the layout shows it.
    pub aux_reason: Option<u32>,
    /// The code itself where the table does not have it.
    pub raw: Option<&'static str>,
    /// Work split.
    pub work_split: Option<u32>,
    /// In the order of the report.
    pub skills: Vec<Skill>,
}

impl Renderer {
    /// Creates a renderer for that layout; `time_zone` is the IANA name of the zone of its local times.
    ///
    /// # Errors
    /// An unknown time zone, or a format of local time that cannot be written.
    pub fn new(layout: Arc<LayoutSpec>, acd: u32, time_zone: &str) -> Result<Self, SimulateError> {
        let zone = TimeZone::get(time_zone)
            .map_err(|error| SimulateError::TimeZone { name: time_zone.to_owned(), message: error.to_string() })?;
        let fields_of = |columns: &[_]| -> Vec<RenderedField> {
            let numbered = columns.iter().enumerate();
            numbered.map(|(index, spec)| RenderedField::new(spec, columns.get(index + 1), &layout)).collect()
        };
        let fields = fields_of(&layout.columns);
        fields.iter().try_for_each(RenderedField::check)?;
        let group = layout.skills.as_ref().map(|groups| fields_of(&groups.columns)).unwrap_or_default();
        let group_width = width(&group);
        let marker = layout.marker.as_deref().and_then(spell::marker).map(|text| encode(layout.encoding, &text));
        Ok(Self { fields, group, group_width, marker, manner: Manner::default(), zone, acd, layout })
    }

    /// Returns the same, printed in that manner.
    #[must_use]
    pub fn in_manner(mut self, manner: &Manner) -> Self {
        self.fields.iter_mut().for_each(|field| field.durations = manner.durations);
        self.manner = manner.clone();
        self
    }

    /// Returns the layout that is written.
    pub fn layout(&self) -> &Arc<LayoutSpec> {
        &self.layout
    }

    /// Returns a snapshot of these agents, in order, all of them as they are: a logged-out agent appears only with a log-out
    /// row.
    pub fn snapshot<'a>(
        &self,
        agents: impl IntoIterator<Item = &'a SimulatedAgent>,
        at: Timestamp,
    ) -> RenderedSnapshot {
        let mut snapshot = RenderedSnapshot::default();
        self.append_records(agents, at, &mut snapshot);
        snapshot
    }

    /// Returns the same with the lines that come before the records; `is_first`: no snapshot has been sent yet.
    pub fn headed_snapshot<'a>(
        &self,
        agents: impl IntoIterator<Item = &'a SimulatedAgent>,
        at: Timestamp,
        is_first: bool,
    ) -> RenderedSnapshot {
        let mut snapshot = RenderedSnapshot::default();
        if is_first || !self.manner.headers_once {
            for line in self.manner.header_lines(at) {
                let begin = snapshot.bytes.len();
                snapshot.bytes.extend(encode(self.layout.encoding, &line));
                self.end_record(begin, &mut snapshot.bytes);
            }
        }
        self.append_records(agents, at, &mut snapshot);
        snapshot
    }

    fn append_records<'a>(
        &self,
        agents: impl IntoIterator<Item = &'a SimulatedAgent>,
        at: Timestamp,
        snapshot: &mut RenderedSnapshot,
    ) {
        for agent in agents {
            self.records(agent, at, snapshot);
        }
        if let Some(marker) = &self.marker {
            let begin = snapshot.bytes.len();
            snapshot.bytes.extend_from_slice(marker);
            self.end_record(begin, &mut snapshot.bytes);
        }
    }

    /// Appends the agent's record, or one per skill where the layout has one row per agent and skill.
    pub fn records(&self, agent: &SimulatedAgent, at: Timestamp, snapshot: &mut RenderedSnapshot) {
        let (code, meaning) = self.spelled(&agent.state);
        let row = RenderedRow { agent, code, meaning, skill: None, at, acd: self.acd, zone: &self.zone };
        let mut write = |row: &RenderedRow<'_>| {
            self.record(row, &mut snapshot.bytes);
            snapshot.ends.push(snapshot.bytes.len());
        };
        if self.has_row_per_skill() {
            agent.skills.iter().for_each(|skill| write(&RenderedRow { skill: Some(*skill), ..row }));
        } else {
            write(&row);
        }
    }

    /// Whether records say when a state began, so that a state entered again can be distinguished from one that lasts.
    pub fn shows_start(&self) -> bool {
        self.fields.iter().any(|field| field.column.properties().tells_start)
    }

    /// Whether there is one row per agent and skill.
    pub fn has_row_per_skill(&self) -> bool {
        self.fields.iter().any(|field| field.column == Column::Skill)
    }

    /// Whether the layout's table has a code for exactly this mode, or, for log-outs, for one of the two.
    pub fn has_code(&self, mode: Mode) -> bool {
        let state = SimulatedState { mode, ..SimulatedState::logged_out(Timestamp::default()) };
        let (_, meaning) = self.spelled(&state);
        let listed = self.layout.states.rows().iter().any(|(_, code)| code.mode == mode);
        listed || (mode.is_logged_out() && meaning.mode.is_logged_out())
    }

    /// Returns what a listener reads from the agent's record.
    pub fn visible(&self, agent: &SimulatedAgent) -> Visible {
        let state = &agent.state;
        let (code, meaning) = self.spelled(state);
        let is_listed = self.layout.states.lookup(code.as_bytes()).is_some();
        let find = |column| self.fields.iter().find(|field| field.column == column);
        let told_reason = find(Column::AuxReason).filter(|field| {
            let written = field.aux_reason(state.aux_reason);
            written.is_some_and(|written| !field.reads_as_null(&written))
        });
        let aux_reason = told_reason.map(|_| state.aux_reason).or(meaning.aux_reason);
        let told_direction = find(Column::Direction).filter(|field| field.direction(state.direction).is_some());
        let work_split = find(Column::WorkSplit).and_then(|field| match state.work_split {
            Some(split) => (!field.reads_as_null(&split.to_string())).then_some(split),
            None if field.reads_as_null(&field.null) => None,
            None => field.null.parse().ok(),
        });
        Visible {
            mode: meaning.mode,
            direction: told_direction.map_or(meaning.direction, |_| state.direction),
            on_hold: meaning.on_hold || (state.on_hold && find(Column::OnHold).is_some()),
            aux_reason: aux_reason.filter(|_| meaning.mode == Mode::Aux),
            raw: (!is_listed).then(|| state.mode.name()),
            work_split,
            skills: self.visible_skills(agent),
        }
    }

    fn visible_skills(&self, agent: &SimulatedAgent) -> Vec<Skill> {
        let (columns, most) = match &self.layout.skills {
            Some(groups) => match groups.repeat {
                Repeat::Times(times) => (&self.group, times),
                Repeat::Rest => (&self.group, usize::MAX),
            },
            None if self.has_row_per_skill() => (&self.fields, usize::MAX),
            None => return Vec::new(),
        };
        let has_level = columns.iter().any(|field| field.column == Column::Level);
        let shown = |skill: &Skill| Skill { level: if has_level { skill.level } else { 0 }, ..*skill };
        agent.skills.iter().take(most).map(shown).collect()
    }

    fn spelled(&self, state: &SimulatedState) -> (&str, StateCode) {
        let unlisted = StateCode { mode: Mode::Unknown, direction: Direction::None, on_hold: false, aux_reason: None };
        spell::state(&self.layout.states, state).unwrap_or((state.mode.name(), unlisted))
    }

    /// Appends one record with its end.
    fn record(&self, row: &RenderedRow<'_>, out: &mut Vec<u8>) {
        let begin = out.len();
        let mut text = String::new();
        for (index, field) in self.fields.iter().enumerate() {
            text.clear();
            field.write(row, &mut text);
            let at = field.place.map(|place| begin + place.at);
            self.put((index == 0, begin), at, field, &text, out);
        }
        self.groups(row, begin, &mut text, out);
        self.end_record(begin, out);
    }

    fn groups(&self, row: &RenderedRow<'_>, begin: usize, text: &mut String, out: &mut Vec<u8>) {
        let Some(groups) = &self.layout.skills else { return };
        let times = match groups.repeat {
            Repeat::Times(times) => times,
            Repeat::Rest => row.agent.skills.len(),
        };
        for number in 0..times {
            let skill = row.agent.skills.get(number).copied();
            for field in &self.group {
                text.clear();
                match (field.column, skill) {
                    (Column::Skill, None) => text.push_str(groups.empty.as_deref().unwrap_or(&field.null)),
                    (Column::Level, None) => text.push('0'),
                    _ => field.write(&RenderedRow { skill, ..*row }, text),
                }
                let first = begin + groups.at.unwrap_or(0) + number * self.group_width;
                self.put((false, begin), field.place.map(|place| first + place.at), field, text, out);
            }
        }
    }

    /// Appends a field, or puts it in its place. It may be the first of the record, which begins there.
    fn put(
        &self,
        (is_first, begin): (bool, usize),
        at: Option<usize>,
        field: &RenderedField,
        text: &str,
        out: &mut Vec<u8>,
    ) {
        let mut bytes = encode(self.layout.encoding, text);
        if let Framing::Terminator(end) = &self.layout.framing {
            replace(&mut bytes, |byte| end.contains(&byte), b'_');
        }
        match self.layout.fields {
            FieldStyle::FixedWidth => {
                let Some((at, place)) = at.zip(field.place) else { return };
                self.cut(&mut bytes, place.width);
                bytes.resize(place.width, b' ');
                out.resize(out.len().max(at + place.width), b' ');
                out[at..at + place.width].copy_from_slice(&bytes);
            }
            FieldStyle::FixedCharacters => {
                let Some((at, place)) = at.zip(field.place) else { return };
                put_characters(self.layout.encoding, (begin, at - begin), place.width, &bytes, out);
            }
            FieldStyle::Separator(separator) => {
                if !is_first {
                    out.push(separator);
                }
                if self.layout.quote.is_none() {
                    replace(&mut bytes, |byte| byte == separator, if separator == b' ' { b'_' } else { b' ' });
                }
                self.put_quoted(&bytes, separator, out);
            }
            FieldStyle::Whitespace => {
                if !is_first {
                    out.push(b' ');
                }
                replace(&mut bytes, |byte| matches!(byte, b' ' | b'\t'), b'_');
                self.put_quoted(&bytes, b' ', out);
            }
        }
    }

    fn put_quoted(&self, bytes: &[u8], separator: u8, out: &mut Vec<u8>) {
        let needs = |quote: &u8| bytes.contains(quote) || bytes.contains(&separator);
        let is_asked_for = self.manner.quotes_all && !bytes.is_empty();
        let needing = self.layout.quote.filter(|quote| is_asked_for || needs(quote));
        let Some(quote) = needing else {
            out.extend_from_slice(bytes);
            return;
        };
        out.push(quote);
        for &byte in bytes {
            if byte == quote {
                out.push(quote);
            }
            out.push(byte);
        }
        out.push(quote);
    }

    /// Shortens to so many bytes without cutting a character in half.
    fn cut(&self, bytes: &mut Vec<u8>, width: usize) {
        bytes.truncate(width);
        while !self.layout.encoding.validate(bytes) {
            bytes.pop();
        }
    }

    /// Ends the record that begins there.
    pub(super) fn end_record(&self, begin: usize, out: &mut Vec<u8>) {
        match &self.layout.framing {
            Framing::Terminator(end) => {
                if self.manner.trims && self.layout.fields.is_fixed() {
                    let blanks = out[begin..].iter().rev().take_while(|byte| **byte == b' ').count();
                    out.truncate(out.len() - blanks);
                }
                if self.manner.with_cr && end.first() == Some(&b'\n') {
                    out.push(b'\r');
                }
                out.extend_from_slice(end);
            }
            Framing::Length(length) => out.resize(begin + length, b' '),
        }
    }

    /// Returns the fields before the skill groups.
    pub(super) fn fields(&self) -> &[RenderedField] {
        &self.fields
    }
}

/// Encodes the text; characters that the encoding lacks become `?`.
pub(super) fn encode(encoding: Encoding, text: &str) -> Vec<u8> {
    if text.is_ascii() {
        return text.as_bytes().to_vec();
    }
    encoding.encode(text).unwrap_or_else(|_| {
        let mut utf8 = [0_u8; 4];
        let one = |c: char| encoding.encode(c.encode_utf8(&mut utf8)).unwrap_or_else(|_| vec![b'?']);
        text.chars().flat_map(one).collect()
    })
}

/// Puts a field at a place in characters of the record that begins there.
fn put_characters(encoding: Encoding, (begin, at): (usize, usize), width: usize, field: &[u8], out: &mut Vec<u8>) {
    let mut record: Vec<char> = encoding.decode(&out[begin..]).chars().collect();
    record.resize(record.len().max(at + width), ' ');
    let padded = encoding.decode(field).chars().chain(std::iter::repeat(' ')).take(width).collect::<Vec<char>>();
    record[at..at + width].copy_from_slice(&padded);
    out.truncate(begin);
    out.extend(encode(encoding, &record.into_iter().collect::<String>()));
}

fn replace(bytes: &mut [u8], is_wrong: impl Fn(u8) -> bool, by: u8) {
    bytes.iter_mut().filter(|byte| is_wrong(**byte)).for_each(|byte| *byte = by);
}

/// Returns the bytes from the first place to the end of the last.
fn width(fields: &[RenderedField]) -> usize {
    fields.iter().filter_map(|field| field.place).map(|place| place.at + place.width).max().unwrap_or(0)
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
