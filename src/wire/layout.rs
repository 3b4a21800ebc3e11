//! What a site's feed looks like, as configured.
//!
//! There is no public byte layout of Generic RTA, so the layout is data. A [`LayoutSpec`] has been checked for its
//! spelling (names, sizes) by `config`; whether its parts fit together is checked when it is compiled
//! ([`super::plan::Plan::compile`]).

pub use super::column::Column;

use super::column::Privacy;
use super::encoding::Encoding;
use super::states::{Direction, StateTable};
use super::words::Words;

/// Default of `max_record`.
pub const DEFAULT_MAX_RECORD: usize = 4 * 1024;

/// The largest `max_record`: beyond it, a peer that never ends a record could take any amount of memory.
pub const MOST_MAX_RECORD: usize = 1024 * 1024;

/// A layout as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutSpec {
    /// The encoding of all text in a record.
    pub encoding: Encoding,
    /// How a record ends.
    pub framing: Framing,
    /// Longest record in bytes without its end; a longer one is invalid.
    pub max_record: usize,
    /// How fields are separated.
    pub fields: FieldStyle,
    /// The byte around quoted fields; doubled inside, it stands for itself.
    pub quote: Option<u8>,
    /// Regular expressions of lines that are not records.
    pub skip: Vec<String>,
    /// Regular expression of the line that ends a snapshot; looked for before `skip`.
    pub marker: Option<String>,
    /// In the order of the record.
    pub columns: Vec<ColumnSpec>,
    /// Repeated groups after the columns.
    pub skills: Option<SkillGroups>,
    /// Meaning of the state column.
    pub states: StateTable,
    /// The site's words for AUX reasons, besides numbers.
    pub aux_reasons: Words<u32>,
    /// The site's words for directions; they come before the spellings that are built in.
    pub directions: Words<Direction>,
    /// Spellings of null in every column.
    pub null: Vec<String>,
    /// What to do with fields after the last known one.
    pub extra_fields: ExtraFields,
}

impl LayoutSpec {
    /// Returns the same, with names ignored.
    #[must_use]
    pub fn without_names(&self) -> Self {
        let mut spec = self.clone();
        let names = spec.columns.iter_mut().filter(|column| column.column.properties().privacy == Privacy::Name);
        names.for_each(|column| column.column = Column::Ignored);
        spec
    }
}

/// How a record ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// With these bytes; where they begin with LF, a CR before them is dropped.
    Terminator(Vec<u8>),
    /// After so many bytes.
    Length(usize),
}

/// How fields are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldStyle {
    /// One byte between two fields.
    Separator(u8),
    /// Runs of blanks and tabs between two fields; those at either end of the record do not count.
    Whitespace,
    /// Every column has its place, in bytes.
    FixedWidth,
    /// Every column has its place, in characters (Unicode code points).
    FixedCharacters,
}

impl FieldStyle {
    /// Whether every column has its place.
    pub const fn is_fixed(self) -> bool {
        matches!(self, Self::FixedWidth | Self::FixedCharacters)
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// What it holds.
    pub column: Column,
    /// Spellings of null, besides those of the layout.
    pub null: Vec<String>,
    /// Place and width; with [`FieldStyle::FixedWidth`] or [`FieldStyle::FixedCharacters`] only, and then always.
    pub place: Option<FieldPlace>,
    /// Format of a time (`%d.%m.%Y %H:%M:%S`), local unless it has an offset, perhaps without a date; without it the column
    /// is UNIX seconds or milliseconds.
    pub format: Option<String>,
}

impl ColumnSpec {
    /// Returns a column with nothing special about it.
    pub const fn plain(column: Column) -> Self {
        Self { column, null: Vec::new(), place: None, format: None }
    }
}

/// Where a field of fixed width is, in bytes or in characters as the layout's [`FieldStyle`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldPlace {
    /// The position of its first one, from 0.
    pub at: usize,
    /// How many there are.
    pub width: usize,
}

/// Groups of skill columns that repeat to the right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillGroups {
    /// Skill, Level or Ignored, in the order of a group; exactly one Skill. With fixed width each has its place
    /// relative to the beginning of the group.
    pub columns: Vec<ColumnSpec>,
    /// How many groups there are.
    pub repeat: Repeat,
    /// Spelling of the skill in an empty group, which is skipped.
    pub empty: Option<String>,
    /// With fixed width: where the first group begins.
    pub at: Option<usize>,
}

/// How many groups follow the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Exactly so many.
    Times(usize),
    /// As many as the record has.
    Rest,
}

/// What to do with fields after the last known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraFields {
    /// The record is invalid.
    Error,
    /// They are not read.
    Ignore,
}

/// The layouts that need no configuration.
pub mod builtin {
    use super::{
        Column, ColumnSpec, DEFAULT_MAX_RECORD, Encoding, ExtraFields, FieldStyle, Framing, LayoutSpec, Repeat,
        SkillGroups, StateTable, Words,
    };

    /// Names of the built-in layouts.
    pub const NAMES: [&str; 2] = ["cisco-icm-20", "cisco-icm-60"];

    /// Returns the built-in layout of that name.
    pub fn get(name: &str) -> Option<LayoutSpec> {
        match name {
            "cisco-icm-20" => Some(cisco_icm(20)),
            "cisco-icm-60" => Some(cisco_icm(60)),
            _ => None,
        }
    }

    /// Returns the Cisco ICM variant of Generic RTA: 9 leading fields and (skill, level) pairs, padded with zeros, separated
    /// by single blanks. Source: the one public record, a Cisco PG log (manualsbrain.com manual 1695638, p. 39).
    fn cisco_icm(pairs: usize) -> LayoutSpec {
        let plain = ColumnSpec::plain;
        let work_split = ColumnSpec { null: vec!["0".to_owned()], ..plain(Column::WorkSplit) };
        LayoutSpec {
            encoding: Encoding::Utf8,
            framing: Framing::Terminator(b"\n".to_vec()),
            max_record: DEFAULT_MAX_RECORD,
            fields: FieldStyle::Whitespace,
            quote: None,
            skip: Vec::new(),
            marker: None,
            columns: vec![
                plain(Column::LoginId),
                plain(Column::State),
                plain(Column::AuxReason),
                plain(Column::Ignored),
                plain(Column::Ignored),
                work_split,
                plain(Column::Ignored),
                plain(Column::Ignored),
                plain(Column::Extension),
            ],
            skills: Some(SkillGroups {
                columns: vec![plain(Column::Skill), plain(Column::Level)],
                repeat: Repeat::Times(pairs),
                empty: Some("0".to_owned()),
                at: None,
            }),
            states: StateTable::rta_codes(),
            aux_reasons: Words::default(),
            directions: Words::default(),
            null: vec![String::new(), "N/A".to_owned()],
            extra_fields: ExtraFields::Error,
        }
    }
}
