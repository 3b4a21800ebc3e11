//! A layout, compiled once.
//!
//! The plan knows for every column where its null spellings are, which columns identify an agent, and which may change
//! from record to record without the agent's state changing (durations, timestamps). Everything that can be decided
//! before the first record is decided here.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::column::{Column, GroupPart, Occurs, Volatile};
use super::encoding::Encoding;
use super::framing::{Ends, FORM_FEED};
use super::layout::{ColumnSpec, ExtraFields, FieldPlace, FieldStyle, Framing, LayoutSpec, Repeat, SkillGroups};
use super::lines::LinePatterns;
use super::states::{Direction, StateTable};
use super::words::Words;

/// Most columns, not counting skill groups.
pub const MAX_COLUMNS: usize = 256;

/// Why a layout cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// `skip` or `marker` is not a regular expression.
    #[error("not a regular expression: {0}")]
    Pattern(#[from] regex::Error),
    /// A required column is missing.
    #[error("the layout has no column {:?}", .0.name())]
    MissingColumn(Column),
    /// A column appears twice.
    #[error("column {:?} stands twice", .0.name())]
    RepeatedColumn(Column),
    /// More columns than [`MAX_COLUMNS`].
    #[error("more than {MAX_COLUMNS} columns")]
    TooManyColumns,
    /// A null spelling that the encoding does not have.
    #[error("the encoding does not have the character {0:?} of a null value")]
    NullNotEncodable(char),
    /// Fixed width without a place, or a place without fixed width.
    #[error("column {:?} needs a place exactly where the layout is of fixed width", .0.name())]
    Place(Column),
    /// Skill groups together with plain skill columns, or groups without a skill.
    #[error("skill groups need one column \"skill\" and exclude plain columns \"skill\" and \"level\"")]
    SkillGroups,
    /// An empty terminator or a record of no length.
    #[error("a record needs an end or a length")]
    NoEnd,
    /// Records of one length in bytes, and columns at places in characters of which some take several.
    #[error("a record's length counts bytes, its places characters: in this encoding that may differ")]
    LengthOfCharacters,
    /// An IANA zone that the bundled database does not have.
    #[error("unknown time zone {0:?}")]
    TimeZone(String),
}

/// Spellings that mean nothing, of null or of what fills a group. Most are empty or of one byte; most fields differ
/// from the others by their first byte.
#[derive(Debug)]
pub(super) struct Spellings {
    has_empty: bool,
    /// Those of one byte: bit n of them all stands for byte n.
    bytes: [u64; 4],
    /// How those of more bytes begin.
    firsts: [u64; 4],
    longer: Vec<Box<[u8]>>,
}

impl Spellings {
    fn new(spellings: impl IntoIterator<Item = Box<[u8]>>) -> Self {
        let mut all = Self { has_empty: false, bytes: [0; 4], firsts: [0; 4], longer: Vec::new() };
        for spelling in spellings {
            match *spelling {
                [] => all.has_empty = true,
                [byte] => all.bytes[usize::from(byte >> 6)] |= 1 << (byte & 63),
                [first, ..] => {
                    all.firsts[usize::from(first >> 6)] |= 1 << (first & 63);
                    all.longer.push(spelling);
                }
            }
        }
        all
    }

    /// Whether `field` is one of them.
    #[inline(always)]
    pub(super) fn has(&self, field: &[u8]) -> bool {
        let is_in = |set: &[u64; 4], byte: u8| set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1;
        match *field {
            [] => self.has_empty,
            [byte] => is_in(&self.bytes, byte),
            [first, ..] => is_in(&self.firsts, first) && self.has_longer(field),
        }
    }

    #[cold]
    fn has_longer(&self, field: &[u8]) -> bool {
        self.longer.iter().any(|spelling| **spelling == *field)
    }
}

/// A compiled column.
#[derive(Debug)]
pub(super) struct PlanColumn {
    pub(super) column: Column,
    /// Copied from its [properties](Column::properties), for every record.
    pub(super) volatile: Option<Volatile>,
    pub(super) group_part: GroupPart,
    pub(super) identifies: bool,
    pub(super) null: Spellings,
    pub(super) place: FieldPlace,
    pub(super) format: Option<String>,
}

/// Compiled skill groups.
#[derive(Debug)]
pub(super) struct PlanGroups {
    pub(super) columns: Vec<PlanColumn>,
    pub(super) repeat: Repeat,
    /// What fills the skill of an empty group.
    pub(super) empty: Spellings,
    /// A group is a skill and its level, as nearly all layouts have it.
    pub(super) are_pairs: bool,
    /// Fixed width only: where the first group begins, and how wide a group is.
    pub(super) at: usize,
    pub(super) width: usize,
}

/// A compiled layout. Immutable and shared; every batch carries the one it was framed with.
#[derive(Debug)]
pub struct Plan {
    pub(super) encoding: Encoding,
    pub(super) style: FieldStyle,
    pub(super) quote: Option<u8>,
    pub(super) columns: Vec<PlanColumn>,
    pub(super) groups: Option<PlanGroups>,
    pub(super) states: StateTable,
    pub(super) aux_reasons: Words<u32>,
    pub(super) directions: Words<Direction>,
    pub(super) extra_fields: ExtraFields,
    pub(super) time_zone: TimeZone,
    /// Index of the login id, and of the last column that identifies an agent.
    login: usize,
    pub(super) identified_by: usize,
    /// Indices of the columns that may differ between records of an unchanged state, in their order.
    pub(super) volatile: Vec<(usize, Volatile)>,
    /// Fixed width only: a volatile column shares bytes with another one. Such a record is always decoded.
    pub(super) shares_volatile_bytes: bool,
    merges_rows: bool,
    computes_start: bool,
    ends: Ends,
    lines: LinePatterns,
}

impl Plan {
    /// Compiles `spec`; local times in the feed are in the IANA zone `time_zone`.
    ///
    /// # Errors
    /// When the parts of the layout do not fit together. `config` finds the same before, with file and line.
    pub fn compile(spec: &LayoutSpec, time_zone: &str) -> Result<Arc<Self>, PlanError> {
        if spec.columns.len() > MAX_COLUMNS {
            return Err(PlanError::TooManyColumns);
        }
        if matches!(&spec.framing, Framing::Length(0)) || spec.framing == Framing::Terminator(Vec::new()) {
            return Err(PlanError::NoEnd);
        }
        if spec.fields == FieldStyle::FixedCharacters
            && spec.encoding == Encoding::Utf8
            && matches!(&spec.framing, Framing::Length(_))
        {
            return Err(PlanError::LengthOfCharacters);
        }
        let compiler = Compiler { spec };
        let columns = spec.columns.iter().map(|column| compiler.column(column)).collect::<Result<Vec<_>, _>>()?;
        let position = |wanted| columns.iter().position(|column| column.column == wanted);
        for column in &columns {
            let times = columns.iter().filter(|other| other.column == column.column).count();
            if times > 1 && column.column.properties().occurs != Occurs::Repeatedly {
                return Err(PlanError::RepeatedColumn(column.column));
            }
        }
        for required in Column::ALL.into_iter().filter(|column| column.properties().occurs == Occurs::Once) {
            position(required).ok_or(PlanError::MissingColumn(required))?;
        }
        let login = position(Column::LoginId).ok_or(PlanError::MissingColumn(Column::LoginId))?;
        let merges_rows = position(Column::Skill).is_some();
        if position(Column::Level).is_some() && !merges_rows {
            return Err(PlanError::MissingColumn(Column::Skill));
        }
        if merges_rows && spec.skills.is_some() {
            return Err(PlanError::SkillGroups);
        }
        let volatile = columns.iter().enumerate().filter_map(|(index, column)| Some((index, column.volatile?)));
        let volatile: Vec<(usize, Volatile)> = volatile.collect();
        let end_of_columns = columns.iter().map(|column| column.place.at + column.place.width).max().unwrap_or(0);
        let groups = spec.skills.as_ref().map(|groups| compiler.groups(groups, end_of_columns)).transpose()?;
        Ok(Arc::new(Self {
            encoding: spec.encoding,
            style: style(spec),
            quote: spec.quote,
            shares_volatile_bytes: spec.fields.is_fixed()
                && volatile.iter().any(|(index, _)| shares_bytes(*index, &columns, groups.as_ref())),
            groups,
            states: spec.states.clone(),
            aux_reasons: spec.aux_reasons.clone(),
            directions: spec.directions.clone(),
            extra_fields: spec.extra_fields,
            time_zone: TimeZone::get(time_zone).map_err(|_| PlanError::TimeZone(time_zone.to_owned()))?,
            login,
            identified_by: columns.iter().rposition(|column| column.identifies).unwrap_or(login),
            merges_rows,
            computes_start: columns.iter().any(|column| column.column.properties().tells_start),
            ends: ends(spec),
            lines: LinePatterns::compile(spec.marker.as_deref(), &spec.skip)?,
            columns,
            volatile,
        }))
    }

    /// Returns how a byte stream of this layout is cut.
    pub const fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Returns which lines are not records.
    pub const fn lines(&self) -> &LinePatterns {
        &self.lines
    }

    pub(super) fn login_id(&self) -> &PlanColumn {
        &self.columns[self.login]
    }

    /// Whether there is one row per agent and skill, so that the rows of an agent have to be merged.
    pub const fn merges_rows(&self) -> bool {
        self.merges_rows
    }

    /// Whether records say something about time.
    pub const fn has_times(&self) -> bool {
        self.computes_start || !self.volatile.is_empty()
    }

    /// Whether records say when the state began, directly or by its duration.
    pub const fn computes_start(&self) -> bool {
        self.computes_start
    }
}

/// In all encodings but UTF-8 a character is a byte.
fn style(spec: &LayoutSpec) -> FieldStyle {
    match spec.fields {
        FieldStyle::FixedCharacters if spec.encoding != Encoding::Utf8 => FieldStyle::FixedWidth,
        style => style,
    }
}

fn ends(spec: &LayoutSpec) -> Ends {
    let ends = Ends::new(spec.framing.clone(), spec.max_record);
    let has_meaning = spec.fields == FieldStyle::Separator(FORM_FEED) || spec.quote == Some(FORM_FEED);
    if has_meaning { ends.keeping_form_feeds() } else { ends }
}

/// Whether a fixed-width column overlaps another one.
fn shares_bytes(index: usize, columns: &[PlanColumn], groups: Option<&PlanGroups>) -> bool {
    let end = |place: FieldPlace| place.at.saturating_add(place.width);
    let Some(own) = columns.get(index).map(|column| column.place) else { return false };
    let others = columns.iter().enumerate().filter(|(other, _)| *other != index);
    let mut places = others.map(|(_, column)| column.place);
    // Groups continue to the end of the record, or might: it is enough that one begins before the column's end.
    places.any(|place| place.at < end(own) && own.at < end(place)) || groups.is_some_and(|groups| groups.at < end(own))
}

struct Compiler<'a> {
    spec: &'a LayoutSpec,
}

impl Compiler<'_> {
    fn column(&self, column: &ColumnSpec) -> Result<PlanColumn, PlanError> {
        let is_fixed = self.spec.fields.is_fixed();
        if column.place.is_some() != is_fixed {
            return Err(PlanError::Place(column.column));
        }
        let spellings = self.spec.null.iter().chain(&column.null);
        let properties = column.column.properties();
        Ok(PlanColumn {
            column: column.column,
            volatile: properties.volatile,
            // Where it cannot be in a group, this is never asked.
            group_part: properties.in_group.unwrap_or(GroupPart::Filling),
            identifies: properties.identifies,
            null: Spellings::new(spellings.map(|text| self.encode(text)).collect::<Result<Vec<_>, _>>()?),
            place: column.place.unwrap_or(FieldPlace { at: 0, width: 0 }),
            format: column.format.clone(),
        })
    }

    fn groups(&self, groups: &SkillGroups, end_of_columns: usize) -> Result<PlanGroups, PlanError> {
        let allowed = |column: &ColumnSpec| column.column.properties().in_group.is_some();
        let skills = groups.columns.iter().filter(|column| column.column == Column::Skill).count();
        if skills != 1 || !groups.columns.iter().all(allowed) {
            return Err(PlanError::SkillGroups);
        }
        let columns = groups.columns.iter().map(|column| self.column(column)).collect::<Result<Vec<_>, _>>()?;
        Ok(PlanGroups {
            width: columns.iter().map(|column| column.place.at + column.place.width).max().unwrap_or(0),
            are_pairs: columns.iter().map(|column| column.group_part).eq([GroupPart::Skill, GroupPart::Level]),
            columns,
            repeat: groups.repeat,
            empty: Spellings::new(groups.empty.as_deref().map(|text| self.encode(text)).transpose()?),
            at: groups.at.unwrap_or(end_of_columns),
        })
    }

    fn encode(&self, text: &str) -> Result<Box<[u8]>, PlanError> {
        let bytes = self.spec.encoding.encode(text).map_err(PlanError::NullNotEncodable)?;
        Ok(bytes.into_boxed_slice())
    }
}
