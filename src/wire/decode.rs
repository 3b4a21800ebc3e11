//! Decodes one frame to one record.
//!
//! The decoder owns the little memory that a record needs besides its bytes (skill slots, a login id that has to be
//! re-encoded, a bit for each byte), so decoding allocates nothing once that has grown. Limits and encodings are checked before any field.

use std::borrow::Cow;

use crate::time::Timestamp;

use super::column::{Column, GroupPart};
use super::cursor::{Area, BlankSeparated, CutFields, Fields, FixedCharacters, FixedWidth, Marked, Separated, area};
use super::fields::{self, Field, trim_end};
use super::layout::{ExtraFields, FieldStyle, Repeat};
use super::marks::Marks;
use super::moment::WrittenTime;
use super::plan::{Plan, PlanColumn, PlanGroups};
use super::reason::Reason;
use super::record::{LONGEST_VALUE, MOST_SKILLS, RawText, Record, SkillSlot, Skills, Times};
use super::states::{Direction, Mode, StateCode};
use super::visible;

/// Reads frames, one at a time.
#[derive(Debug, Default)]
pub struct Decoder {
    login_id: String,
    read: Reading,
    marks: Marks,
}

/// What is read of a record besides its columns.
#[derive(Debug, Default)]
struct Reading {
    skills: Vec<SkillSlot>,
    areas: Vec<Area>,
}

/// A valid record with the places in it that may differ without a change.
#[derive(Clone, Copy, Debug)]
pub struct Decoded<'a> {
    /// The record.
    pub record: Record<'a>,
    /// One for each volatile column of the plan.
    pub areas: &'a [Area],
    /// What was given as the state's beginning.
    pub(super) start: Option<WrittenTime>,
}

/// The agent that a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Login id.
    pub login_id: &'a str,
    /// ACD, where the layout has the column.
    pub acd: Option<u32>,
}

impl Decoder {
    /// Reads a whole record. Which moment a local time means can depend on when it was received.
    ///
    /// # Errors
    /// Why it is invalid.
    pub fn decode<'a>(
        &'a mut self,
        plan: &'a Plan,
        frame: &'a [u8],
        received_at: Timestamp,
    ) -> Result<Decoded<'a>, Reason> {
        let Self { login_id, read, marks } = self;
        read.skills.clear();
        read.areas.clear();
        let is_quoted = plan.quote.is_some_and(|quote| memchr::memchr(quote, frame).is_some());
        let is_ascii = match plan.style {
            FieldStyle::Separator(separator) => marks.mark(frame, [separator])?,
            FieldStyle::Whitespace => marks.mark(trim_end(frame), [b' ', b'\t'])?,
            FieldStyle::FixedWidth | FieldStyle::FixedCharacters => {
                if memchr::memchr(0, frame).is_some() {
                    return Err(Reason::NulByte);
                }
                frame.is_ascii()
            }
        };
        if !is_ascii && !plan.encoding.validate(frame) {
            return Err(Reason::Undecodable);
        }
        // The style of the layout is decided here, not field by field.
        let values = match plan.style {
            FieldStyle::Separator(separator) if is_quoted => {
                read.all(plan, Separated::new(frame, separator, plan.quote), received_at)?
            }
            FieldStyle::Whitespace if is_quoted => {
                read.all(plan, BlankSeparated::new(frame, plan.quote), received_at)?
            }
            FieldStyle::Separator(_) => read.all(plan, Marked::<false>::new(frame, marks.cursor()), received_at)?,
            FieldStyle::Whitespace => {
                read.all(plan, Marked::<true>::new(trim_end(frame), marks.cursor()), received_at)?
            }
            FieldStyle::FixedCharacters if !is_ascii => {
                read.all(plan, FixedCharacters::new(frame, plan.quote), received_at)?
            }
            FieldStyle::FixedWidth | FieldStyle::FixedCharacters => {
                read.all(plan, FixedWidth::new(frame, plan.quote), received_at)?
            }
        };
        let told = values.login_id.ok_or(Reason::Missing(Column::LoginId))?;
        let login_id = login_text(login_id, plan, told)?;
        let skills = Skills { frame, slots: &read.skills, encoding: plan.encoding, quote: plan.quote };
        let start = values.start;
        Ok(Decoded { record: values.record(plan, login_id, skills)?, areas: &read.areas, start })
    }

    /// Returns whom `frame` is about, whatever else is wrong with it. Unless it is known to be `whole`, a field counts only
    /// if a separator follows it, the next column or the full length of the record: it may have been cut off.
    pub fn identify<'a>(&'a mut self, plan: &Plan, frame: &'a [u8], whole: bool) -> Option<Identity<'a>> {
        let whole = whole || plan.ends().is_full_length(frame);
        let (login_id, acd) = match plan.style {
            FieldStyle::Separator(separator) => identity(plan, Separated::new(frame, separator, plan.quote), whole)?,
            FieldStyle::Whitespace => identity(plan, BlankSeparated::new(frame, plan.quote), whole)?,
            FieldStyle::FixedCharacters if !frame.is_ascii() => {
                identity(plan, FixedCharacters::new(frame, plan.quote), whole)?
            }
            FieldStyle::FixedWidth | FieldStyle::FixedCharacters => {
                identity(plan, FixedWidth::new(frame, plan.quote), whole)?
            }
        };
        let login_id = login_text(&mut self.login_id, plan, login_id).ok()?;
        Some(Identity { login_id, acd })
    }
}

impl Reading {
    /// Reads all fields.
    #[inline(always)]
    fn all<'a>(
        &mut self,
        plan: &Plan,
        mut fields: impl Fields<'a>,
        received_at: Timestamp,
    ) -> Result<Values<'a>, Reason> {
        let mut values = Values::default();
        for column in &plan.columns {
            let field = fields.next(column)?;
            if column.volatile.is_some() {
                self.areas.push(fields.last_area());
            }
            if column.column != Column::Ignored && !is_null(column, field) {
                values.set(plan, column, field, received_at)?;
            }
        }
        match &plan.groups {
            Some(groups) => read_groups(groups, &mut fields, &mut self.skills)?,
            None => self.skills.extend(values.plain_skill(fields.frame())?),
        }
        if plan.extra_fields == ExtraFields::Error && fields.has_more() {
            return Err(Reason::TooManyFields);
        }
        Ok(values)
    }
}

/// Returns login id and ACD, as far as they can be read.
#[inline]
fn identity<'a>(plan: &Plan, mut fields: impl CutFields<'a>, whole: bool) -> Option<(Field<'a>, Option<u32>)> {
    let mut login_id = None;
    let mut acd = None;
    for column in &plan.columns[..=plan.identified_by] {
        let field = fields.next(column).ok()?;
        if !column.identifies {
            continue;
        }
        let is_whole = whole || fields.field_is_whole(column);
        if !is_whole || is_null(column, field) || field.bytes.contains(&0) || !plan.encoding.validate(field.bytes) {
            return None;
        }
        if field.bytes.len() > LONGEST_VALUE {
            return None;
        }
        if column.column == Column::LoginId {
            login_id = Some(field);
        } else {
            acd = Some(small_number(field)?);
        }
    }
    Some((login_id?, acd))
}

fn raw_text<'a>(plan: &Plan, field: Field<'a>) -> RawText<'a> {
    let doubled = if field.doubled { plan.quote } else { None };
    RawText { bytes: field.bytes, encoding: plan.encoding, doubled }
}

/// Returns the login id as text, without the white space around it: borrowed from the frame where its bytes are the text.
#[inline]
fn login_text<'a>(scratch: &'a mut String, plan: &Plan, field: Field<'a>) -> Result<&'a str, Reason> {
    if !field.doubled
        && !field.bytes.is_empty()
        && field.bytes.iter().all(u8::is_ascii_graphic)
        && let Ok(text) = std::str::from_utf8(field.bytes)
    {
        return Ok(text);
    }
    let bytes = visible::trim(plan.encoding, field.bytes);
    if bytes.is_empty() || plan.login_id().null.has(bytes) {
        return Err(Reason::Missing(Column::LoginId));
    }
    if !plan.encoding.validate(bytes) {
        // A fixed-width field may cut a character that is whole in the record.
        return Err(Reason::Undecodable);
    }
    let text = raw_text(plan, Field { bytes, ..field }).text();
    if let Some(character) = visible::invisible(&text) {
        return Err(Reason::Invisible(character));
    }
    match text {
        Cow::Borrowed(text) => Ok(text),
        Cow::Owned(text) => {
            *scratch = text;
            Ok(scratch)
        }
    }
}

fn small_number(field: Field<'_>) -> Option<u32> {
    u32::try_from(fields::number(field.bytes)?).ok()
}

#[inline(always)]
fn is_null(column: &PlanColumn, field: Field<'_>) -> bool {
    column.null.has(field.bytes)
}

/// Levels are 1-16, reserve levels appear as 51 and 52; a number with more than two digits is not a level.
const LOWEST_LEVEL: u16 = 1;
const HIGHEST_LEVEL: u16 = 99;

/// Reads a level that is not null.
#[inline(always)]
fn level(bytes: &[u8]) -> Result<u16, Reason> {
    // Nearly all have one digit or two.
    let level = match *bytes {
        [ones @ b'0'..=b'9'] => u16::from(ones - b'0'),
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => u16::from(tens - b'0') * 10 + u16::from(ones - b'0'),
        _ => {
            let number = fields::number(bytes).ok_or(Reason::BadNumber(Column::Level))?;
            u16::try_from(number).unwrap_or(u16::MAX)
        }
    };
    if (LOWEST_LEVEL..=HIGHEST_LEVEL).contains(&level) { Ok(level) } else { Err(Reason::BadSkillGroup) }
}

#[inline(always)]
fn slot(frame: &[u8], field: Field<'_>, level: Option<u16>) -> SkillSlot {
    let begin = field.bytes.as_ptr() as usize - frame.as_ptr() as usize;
    let Area { from, to } = area(begin, begin + field.bytes.len());
    SkillSlot { from, to, doubled: field.doubled, level }
}

#[inline(always)]
fn read_groups<'a>(
    groups: &PlanGroups,
    fields: &mut impl Fields<'a>,
    skills: &mut Vec<SkillSlot>,
) -> Result<(), Reason> {
    match &groups.columns[..] {
        [skill, level] if groups.are_pairs => {
            read_each_group(groups, fields, skills, |fields| read_pair(groups, skill, level, fields))
        }
        _ => read_each_group(groups, fields, skills, |fields| read_group(groups, fields)),
    }
}

#[inline(always)]
fn read_each_group<'a, F: Fields<'a>>(
    groups: &PlanGroups,
    fields: &mut F,
    skills: &mut Vec<SkillSlot>,
    mut read_one: impl FnMut(&mut F) -> Result<Group<'a>, Reason>,
) -> Result<(), Reason> {
    let most = if let Repeat::Times(times) = groups.repeat { times } else { usize::MAX };
    for number in 0..most {
        if !fields.enter_group(groups, number) && groups.repeat == Repeat::Rest {
            break;
        }
        if let Some(slot) = read_one(fields)?.slot(groups, fields.frame())? {
            if skills.len() == MOST_SKILLS {
                return Err(Reason::TooManySkills);
            }
            skills.push(slot);
        }
    }
    Ok(())
}

/// What a group says, where that is not null.
#[derive(Default)]
struct Group<'a> {
    skill: Option<&'a [u8]>,
    is_doubled: bool,
    level: Option<&'a [u8]>,
}

impl<'a> Group<'a> {
    #[inline(always)]
    fn set_skill(&mut self, groups: &PlanGroups, column: &PlanColumn, field: Field<'a>) -> Result<(), Reason> {
        if groups.empty.has(field.bytes) || is_null(column, field) {
            return Ok(());
        }
        if field.bytes.len() > LONGEST_VALUE {
            return Err(Reason::LongValue(Column::Skill));
        }
        self.skill = Some(field.bytes);
        self.is_doubled = field.doubled;
        Ok(())
    }

    #[inline(always)]
    fn set_level(&mut self, column: &PlanColumn, field: Field<'a>) {
        if !is_null(column, field) {
            self.level = Some(field.bytes);
        }
    }

    /// Returns the skill; `None` where the group is empty.
    #[inline(always)]
    fn slot(&self, groups: &PlanGroups, frame: &[u8]) -> Result<Option<SkillSlot>, Reason> {
        match (self.skill, self.level) {
            (Some(skill), told) => {
                let field = Field { bytes: skill, doubled: self.is_doubled };
                let level = match told {
                    Some(told) => Some(level(told)?),
                    None => None,
                };
                Ok(Some(slot(frame, field, level)))
            }
            (None, Some(level)) if !groups.empty.has(level) => Err(Reason::BadSkillGroup),
            (None, _) => Ok(None),
        }
    }

    /// Returns it where the record ends inside of it: under `repeat = "rest"` an empty skill may.
    fn cut_off(self) -> Result<Self, Reason> {
        if self.skill.is_none() && self.level.is_none() { Ok(self) } else { Err(Reason::BadSkillGroup) }
    }
}

/// Reads a group of a skill and its level: without a look at what each column is, a record costs 15 % less.
#[inline(always)]
fn read_pair<'a>(
    groups: &PlanGroups,
    skill: &PlanColumn,
    level: &PlanColumn,
    fields: &mut impl Fields<'a>,
) -> Result<Group<'a>, Reason> {
    let mut group = Group::default();
    group.set_skill(groups, skill, fields.next(skill)?)?;
    if groups.repeat == Repeat::Rest && fields.is_cut_off() {
        return group.cut_off();
    }
    group.set_level(level, fields.next(level)?);
    Ok(group)
}

/// Reads a group of whatever columns.
#[inline(always)]
fn read_group<'a>(groups: &PlanGroups, fields: &mut impl Fields<'a>) -> Result<Group<'a>, Reason> {
    let mut group = Group::default();
    for (index, column) in groups.columns.iter().enumerate() {
        if index > 0 && groups.repeat == Repeat::Rest && fields.is_cut_off() {
            return group.cut_off();
        }
        let field = fields.next(column)?;
        match column.group_part {
            GroupPart::Skill => group.set_skill(groups, column, field)?,
            GroupPart::Level => group.set_level(column, field),
            GroupPart::Filling => {}
        }
    }
    Ok(group)
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
    on_hold: Option<bool>,
    times: Times,
    start: Option<WrittenTime>,
    state_start_text: Option<&'a [u8]>,
}

impl<'a> Values<'a> {
    /// Takes a field that is not null.
    #[inline]
    fn set(
        &mut self,
        plan: &Plan,
        column: &PlanColumn,
        field: Field<'a>,
        received_at: Timestamp,
    ) -> Result<(), Reason> {
        if field.bytes.len() > LONGEST_VALUE {
            // For numbers and times too: none is as long.
            return Err(Reason::LongValue(column.column));
        }
        let format = column.format.as_deref();
        let told = || WrittenTime::read(field.bytes, format, &plan.time_zone).ok_or(Reason::BadTime(column.column));
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
            Column::Level => self.level = Some(level(field.bytes)?),
            Column::Acd => self.acd = Some(number()?),
            Column::AuxReason => {
                let word = plan.aux_reasons.meaning(raw_text(plan, field));
                self.aux_reason = Some(word.map_or_else(number, Ok)?);
            }
            Column::Direction => {
                let word = plan.directions.meaning(raw_text(plan, field));
                let direction = word.or_else(|| fields::direction(field.bytes));
                self.direction = Some(direction.ok_or(Reason::BadValue(column.column))?);
            }
            Column::OnHold => {
                let on_hold = fields::yes_or_no(field.bytes);
                self.on_hold = Some(on_hold.ok_or(Reason::BadValue(column.column))?);
            }
            Column::Duration => {
                let duration = fields::duration(field.bytes);
                self.times.duration = Some(duration.ok_or(Reason::BadTime(column.column))?);
            }
            Column::Timestamp => self.times.set_timestamp(told()?.at(&plan.time_zone, received_at)),
            Column::StateStart => {
                let told = told()?;
                self.start = Some(told);
                self.times.set_state_start(told.at(&plan.time_zone, received_at));
                self.state_start_text = self.times.state_start.map(|_| field.bytes);
            }
            Column::Ignored => {}
        }
        Ok(())
    }

    /// Returns the skill of a layout with one row per agent and skill.
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
        let code = plan.states.meaning(raw_state);
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
            on_hold: if known.on_hold { Some(true) } else { self.on_hold },
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
            state_start_text: self.state_start_text,
            skills,
        })
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
