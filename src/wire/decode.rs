//! One frame to one record.
//!
//! The decoder owns the little memory that a record needs beside its bytes (skill slots, a login id that has to be
//! re-encoded), so decoding allocates nothing once that has grown. Limits and encodings are checked before any field.

use super::fields::{self, Field, Mismatch, blank_separated, is_blank, separated, trim, trim_end};
use super::layout::{Column, ExtraFields, FieldStyle, Repeat};
use super::plan::{Plan, PlanColumn, PlanGroups};
use super::reason::Reason;
use super::record::{RawText, Record, SkillSlot, Skills, Times};
use super::states::{Direction, Mode, StateCode};

/// Reads frames, one at a time.
#[derive(Debug, Default)]
pub struct Decoder {
    login_id: String,
    skills: Vec<SkillSlot>,
    areas: Vec<Area>,
}

/// Bytes of a volatile column in its frame, blanks around it included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    pub(super) from: u32,
    pub(super) to: u32,
}

/// A valid record with the places in it that may differ without a change.
#[derive(Clone, Copy, Debug)]
pub struct Decoded<'a> {
    /// The record.
    pub record: Record<'a>,
    /// One for each volatile column of the plan.
    pub areas: &'a [Area],
}

/// Who a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Login id.
    pub login_id: &'a str,
    /// ACD, where the layout has the column.
    pub acd: Option<u32>,
}

impl Decoder {
    /// Reads a whole record.
    ///
    /// # Errors
    /// Why it is invalid.
    pub fn decode<'a>(&'a mut self, plan: &'a Plan, frame: &'a [u8]) -> Result<Decoded<'a>, Reason> {
        if memchr::memchr(0, frame).is_some() {
            return Err(Reason::NulByte);
        }
        if !plan.encoding.validate(frame) {
            return Err(Reason::Undecodable);
        }
        self.skills.clear();
        self.areas.clear();
        let mut cursor = Cursor::new(plan, frame);
        let mut values = Values::default();
        for (index, column) in plan.columns.iter().enumerate() {
            let (field, area) = cursor.next(column)?;
            if plan.volatile.contains(&index) {
                self.areas.push(area);
            }
            values.set(plan, column, field)?;
        }
        match &plan.groups {
            Some(groups) => read_groups(plan, groups, &mut cursor, &mut self.skills)?,
            None => self.skills.extend(values.plain_skill(frame)?),
        }
        if plan.extra_fields == ExtraFields::Error && cursor.has_more() {
            return Err(Reason::TooManyFields);
        }
        let login_id = values.login_id.ok_or(Reason::Missing(Column::LoginId))?;
        let login_id = login_text(&mut self.login_id, raw_text(plan, login_id));
        let skills = Skills { frame, slots: &self.skills, encoding: plan.encoding, quote: plan.quote };
        Ok(Decoded { record: values.record(plan, login_id, skills)?, areas: &self.areas })
    }

    /// Who `frame` is about, whatever else is wrong with it. `whole` is false where its end is missing: then a field
    /// counts only if something follows it.
    pub fn identify<'a>(&'a mut self, plan: &Plan, frame: &'a [u8], whole: bool) -> Option<Identity<'a>> {
        let mut cursor = Cursor::new(plan, frame);
        let mut login_id = None;
        let mut acd = None;
        for column in &plan.columns[..=plan.identified_by] {
            let (field, _) = cursor.next(column).ok()?;
            let wanted = matches!(column.column, Column::LoginId | Column::Acd);
            if !wanted {
                continue;
            }
            let is_whole = whole || cursor.field_is_whole(column);
            if !is_whole || is_null(column, field) || field.bytes.contains(&0) || !plan.encoding.validate(field.bytes) {
                return None;
            }
            if column.column == Column::LoginId {
                login_id = Some(field);
            } else {
                acd = Some(small_number(field)?);
            }
        }
        let login_id = login_text(&mut self.login_id, raw_text(plan, login_id?));
        Some(Identity { login_id, acd })
    }
}

fn raw_text<'a>(plan: &Plan, field: Field<'a>) -> RawText<'a> {
    let doubled = if field.doubled { plan.quote } else { None };
    RawText { bytes: field.bytes, encoding: plan.encoding, doubled }
}

/// The login id as text: borrowed from the frame where its bytes are the text.
fn login_text<'a>(scratch: &'a mut String, raw: RawText<'a>) -> &'a str {
    if raw.doubled.is_none()
        && raw.bytes.is_ascii()
        && let Ok(text) = std::str::from_utf8(raw.bytes)
    {
        return text;
    }
    scratch.clear();
    scratch.push_str(&raw.text());
    scratch
}

fn small_number(field: Field<'_>) -> Option<u32> {
    u32::try_from(fields::number(field.bytes)?).ok()
}

#[inline]
fn is_null(column: &PlanColumn, field: Field<'_>) -> bool {
    column.null.iter().any(|spelling| **spelling == *field.bytes)
}

/// Walks the fields of a frame.
struct Cursor<'a> {
    frame: &'a [u8],
    rest: &'a [u8],
    style: FieldStyle,
    quote: Option<u8>,
    /// Separated fields only: the last field has been read.
    ended: bool,
    /// Fixed width only: first byte after the columns read so far, and that of the group being read.
    reached: usize,
    group_at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn new(plan: &Plan, frame: &'a [u8]) -> Self {
        let rest = if plan.style == FieldStyle::Whitespace { trim(frame) } else { frame };
        let ended = plan.style != FieldStyle::FixedWidth && rest.is_empty();
        Self { frame, rest, style: plan.style, quote: plan.quote, ended, reached: 0, group_at: 0 }
    }

    /// The next field, and its bytes with the blanks around them.
    #[inline]
    fn next(&mut self, column: &PlanColumn) -> Result<(Field<'a>, Area), Reason> {
        if self.style == FieldStyle::FixedWidth {
            return Ok(self.fixed(column));
        }
        if self.ended {
            return Err(Reason::TooFewFields);
        }
        // The frame may have been trimmed at its end: positions count from where `rest` begins in it.
        let begin = self.rest.as_ptr() as usize - self.frame.as_ptr() as usize;
        let parsed = match self.style {
            FieldStyle::Separator(separator) => separated(separator, self.quote)(self.rest),
            FieldStyle::Whitespace | FieldStyle::FixedWidth => blank_separated(self.quote)(self.rest),
        };
        let (rest, field) = parsed.map_err(reason)?;
        let end = begin + (self.rest.len() - rest.len());
        match self.style {
            FieldStyle::Separator(_) => match rest.split_first() {
                Some((_, after)) => self.rest = after,
                None => self.end(),
            },
            FieldStyle::Whitespace | FieldStyle::FixedWidth => {
                let blank = rest.iter().take_while(|byte| is_blank(**byte)).count();
                self.rest = &rest[blank..];
                self.ended = self.rest.is_empty();
            }
        }
        Ok((field, area(begin, end)))
    }

    fn end(&mut self) {
        self.rest = &[];
        self.ended = true;
    }

    fn fixed(&mut self, column: &PlanColumn) -> (Field<'a>, Area) {
        let from = self.group_at + column.place.at;
        let to = from + column.place.width;
        self.reached = self.reached.max(to);
        let from = from.min(self.frame.len());
        let to = to.min(self.frame.len());
        let bytes = trim(&self.frame[from..to]);
        let field = match (self.quote, bytes) {
            (Some(quote), [first, inner @ .., last]) if *first == quote && *last == quote => {
                let doubled = inner.windows(2).any(|pair| pair == [quote, quote]);
                Field { bytes: inner, doubled, quoted: true }
            }
            _ => Field::plain(bytes),
        };
        (field, area(from, to))
    }

    /// In a frame without its end: whether the field just read is known to have ended.
    fn field_is_whole(&self, column: &PlanColumn) -> bool {
        match self.style {
            FieldStyle::FixedWidth => self.frame.len() >= column.place.at + column.place.width,
            // A separator was consumed behind it; of blanks at the end of the frame the trimmed rest does not tell.
            FieldStyle::Separator(_) => !self.ended,
            FieldStyle::Whitespace => !self.ended || self.frame.last().copied().is_some_and(is_blank),
        }
    }

    fn has_more(&self) -> bool {
        match self.style {
            FieldStyle::FixedWidth => !trim(self.frame.get(self.reached..).unwrap_or_default()).is_empty(),
            FieldStyle::Separator(_) | FieldStyle::Whitespace => !self.ended,
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // a frame is at most max_record long
const fn area(from: usize, to: usize) -> Area {
    Area { from: from as u32, to: to as u32 }
}

fn reason(error: nom::Err<Mismatch>) -> Reason {
    match error {
        nom::Err::Error(Mismatch::Reason(reason)) | nom::Err::Failure(Mismatch::Reason(reason)) => reason,
        _ => Reason::TooFewFields,
    }
}

/// Levels are 1-16, reserve levels appear as 51 and 52; what has more than two digits is none.
const LEVELS: std::ops::RangeInclusive<u64> = 1..=99;

fn level(column: &PlanColumn, field: Field<'_>) -> Result<Option<u16>, Reason> {
    if is_null(column, field) {
        return Ok(None);
    }
    let level = fields::number(field.bytes).ok_or(Reason::BadNumber(Column::Level))?;
    if !LEVELS.contains(&level) {
        return Err(Reason::BadSkillGroup);
    }
    Ok(u16::try_from(level).ok())
}

fn slot(frame: &[u8], field: Field<'_>, level: Option<u16>) -> SkillSlot {
    let begin = field.bytes.as_ptr() as usize - frame.as_ptr() as usize;
    let Area { from, to } = area(begin, begin + field.bytes.len());
    SkillSlot { from, to, doubled: field.doubled, level }
}

fn read_groups(
    plan: &Plan,
    groups: &PlanGroups,
    cursor: &mut Cursor<'_>,
    skills: &mut Vec<SkillSlot>,
) -> Result<(), Reason> {
    let frame = cursor.frame;
    let is_fixed = plan.style == FieldStyle::FixedWidth;
    let mut read = 0;
    loop {
        let done = match groups.repeat {
            Repeat::Times(times) => read == times,
            Repeat::Rest if is_fixed => groups.width == 0 || groups.at + read * groups.width >= trim_end(frame).len(),
            Repeat::Rest => cursor.ended,
        };
        if done {
            return Ok(());
        }
        cursor.group_at = groups.at + read * groups.width;
        if let Some(slot) = read_group(groups, cursor)? {
            skills.push(slot);
        }
        read += 1;
    }
}

/// One group; `None` where it is empty. Under `repeat = "rest"` an empty skill may end the record inside its group.
#[inline]
fn read_group(groups: &PlanGroups, cursor: &mut Cursor<'_>) -> Result<Option<SkillSlot>, Reason> {
    let mut skill: Option<Field<'_>> = None;
    let mut level_field: Option<(&PlanColumn, Field<'_>)> = None;
    let may_end = groups.repeat == Repeat::Rest;
    let is_empty = |column: &PlanColumn, field: Field<'_>| {
        is_null(column, field) || groups.empty.as_deref().is_some_and(|empty| empty == field.bytes)
    };
    for (index, column) in groups.columns.iter().enumerate() {
        let is_cut_off = may_end && index > 0 && cursor.ended && cursor.style != FieldStyle::FixedWidth;
        if is_cut_off {
            return if skill.is_none() && level_field.is_none() { Ok(None) } else { Err(Reason::BadSkillGroup) };
        }
        let (field, _) = cursor.next(column)?;
        match column.column {
            Column::Skill if !is_empty(column, field) => skill = Some(field),
            Column::Level if !is_empty(column, field) => level_field = Some((column, field)),
            _ => {}
        }
        // A skill keeps a level of 0 as what it is: impossible.
        if column.column == Column::Level && level_field.is_none() && skill.is_some() && !is_null(column, field) {
            level_field = Some((column, field));
        }
    }
    match (skill, level_field) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Reason::BadSkillGroup),
        (Some(skill), level_field) => {
            let level = level_field.map_or(Ok(None), |(column, field)| level(column, field))?;
            Ok(Some(slot(cursor.frame, skill, level)))
        }
    }
}

/// The columns of a record while it is being read.
#[derive(Default)]
struct Values<'a> {
    login_id: Option<Field<'a>>,
    state: Option<Field<'a>>,
    name: Option<Field<'a>>,
    work_split: Option<Field<'a>>,
    extension: Option<Field<'a>>,
    role: Option<Field<'a>>,
    location: Option<Field<'a>>,
    logout_reason: Option<Field<'a>>,
    skill: Option<Field<'a>>,
    level: Option<u16>,
    acd: Option<u32>,
    aux_reason: Option<u32>,
    direction: Option<Direction>,
    on_hold: bool,
    times: Times,
}

impl<'a> Values<'a> {
    #[inline]
    fn set(&mut self, plan: &Plan, column: &PlanColumn, field: Field<'a>) -> Result<(), Reason> {
        if column.column == Column::Ignored || is_null(column, field) {
            return Ok(());
        }
        let format = column.format.as_deref();
        let time = || fields::time(field.bytes, format, &plan.time_zone).ok_or(Reason::BadTime(column.column));
        let number = || small_number(field).ok_or(Reason::BadNumber(column.column));
        match column.column {
            Column::LoginId => self.login_id = Some(field),
            Column::State => self.state = Some(field),
            Column::Name => self.name = Some(field),
            Column::WorkSplit => self.work_split = Some(field),
            Column::Extension => self.extension = Some(field),
            Column::Role => self.role = Some(field),
            Column::Location => self.location = Some(field),
            Column::LogoutReason => self.logout_reason = Some(field),
            Column::Skill => self.skill = Some(field),
            Column::Level => self.level = level(column, field)?,
            Column::Acd => self.acd = Some(number()?),
            Column::AuxReason => self.aux_reason = Some(number()?),
            Column::Direction => {
                let direction = fields::direction(field.bytes);
                self.direction = Some(direction.ok_or(Reason::BadValue(column.column))?);
            }
            Column::OnHold => {
                self.on_hold = fields::yes_or_no(field.bytes).ok_or(Reason::BadValue(column.column))?;
            }
            Column::Duration => {
                let duration = fields::duration(field.bytes);
                self.times.duration = Some(duration.ok_or(Reason::BadTime(column.column))?);
            }
            Column::Timestamp => self.times.timestamp = Some(time()?),
            Column::StateStart => self.times.state_start = Some(time()?),
            Column::Ignored => {}
        }
        Ok(())
    }

    /// The skill of a layout with one row per agent and skill.
    fn plain_skill(&self, frame: &[u8]) -> Result<Option<SkillSlot>, Reason> {
        match (self.skill, self.level) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Reason::BadSkillGroup),
            (Some(skill), level) => Ok(Some(slot(frame, skill, level))),
        }
    }

    fn record(self, plan: &Plan, login_id: &'a str, skills: Skills<'a>) -> Result<Record<'a>, Reason> {
        let text = |field| raw_text(plan, field);
        let raw_state = text(self.state.ok_or(Reason::Missing(Column::State))?);
        let code = lookup(plan, raw_state);
        let known = code.unwrap_or(StateCode {
            mode: Mode::Unknown,
            direction: Direction::None,
            on_hold: false,
            aux_reason: None,
        });
        Ok(Record {
            login_id,
            acd: self.acd,
            mode: known.mode,
            direction: self.direction.unwrap_or(known.direction),
            on_hold: self.on_hold || known.on_hold,
            recognised: code.is_some(),
            raw_state,
            aux_reason: self.aux_reason.or(known.aux_reason),
            work_split: self.work_split.map(text),
            extension: self.extension.map(text),
            name: self.name.map(text),
            role: self.role.map(text),
            location: self.location.map(text),
            logout_reason: self.logout_reason.map(text),
            times: self.times,
            skills,
        })
    }
}

fn lookup(plan: &Plan, raw_state: RawText<'_>) -> Option<StateCode> {
    if raw_state.doubled.is_none() && raw_state.bytes.is_ascii() {
        return plan.states.lookup(raw_state.bytes);
    }
    plan.states.lookup(raw_state.text().as_bytes())
}
