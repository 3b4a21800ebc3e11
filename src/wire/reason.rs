//! Why a record is invalid: the reason in dead letters, counters and the output of `decode`.

use super::column::Column;
use super::record::{LONGEST_VALUE, MOST_SKILLS};

/// Why bytes are not a valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Longer than `max_record`.
    #[error("longer than max_record")]
    TooLong,
    /// The connection or file ended before the record did.
    #[error("the input ended before the record did")]
    Truncated,
    /// A byte 0.
    #[error("contains a NUL byte")]
    NulByte,
    /// Bytes that the layout's encoding does not have.
    #[error("contains bytes that the layout's encoding does not have")]
    Undecodable,
    /// Fewer fields than the layout has.
    #[error("fewer fields than the layout has")]
    TooFewFields,
    /// More fields than the layout has, and `extra_fields` is `error`.
    #[error("more fields than the layout has")]
    TooManyFields,
    /// An invisible character in the login id, which would distinguish people whom nobody can tell apart.
    #[error("{} has an invisible character, U+{:04X}", Column::LoginId.name(), u32::from(*.0))]
    Invisible(char),
    /// A required column is null.
    #[error("{} is empty", .0.name())]
    Missing(Column),
    /// A column that must be a number is not one, or is out of range.
    #[error("{} is not a number in range", .0.name())]
    BadNumber(Column),
    /// A column that must be a time or a duration is not one.
    #[error("{} is not a time of the expected form", .0.name())]
    BadTime(Column),
    /// A column with fixed spellings has another.
    #[error("{} has none of its allowed values", .0.name())]
    BadValue(Column),
    /// A level without a skill, a level out of range, or a group that is cut off.
    #[error("impossible skill group")]
    BadSkillGroup,
    /// A quote that is not closed, or text after the closing one.
    #[error("broken quotes")]
    BadQuote,
    /// More than [`LONGEST_VALUE`](super::record::LONGEST_VALUE) bytes in a column whose text is kept.
    #[error("{} is longer than {LONGEST_VALUE} bytes", .0.name())]
    LongValue(Column),
    /// More than [`MOST_SKILLS`](super::record::MOST_SKILLS), in one record or in the rows of an agent.
    #[error("more than {MOST_SKILLS} skills of one agent")]
    TooManySkills,
    /// The agent table is full: this would be a new agent, or more of a known one than there is room for.
    #[error("more agents than the table holds")]
    TooManyAgents,
}

impl Reason {
    /// Every [`Self::label`].
    pub const LABELS: [&'static str; 16] = [
        "too_long",
        "truncated",
        "nul_byte",
        "undecodable",
        "too_few_fields",
        "too_many_fields",
        "invisible_character",
        "missing_value",
        "bad_number",
        "bad_time",
        "bad_value",
        "bad_skill_group",
        "bad_quote",
        "value_too_long",
        "too_many_skills",
        "too_many_agents",
    ];

    /// Returns the label in metrics and headers: a small fixed set.
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Truncated => "truncated",
            Self::NulByte => "nul_byte",
            Self::Undecodable => "undecodable",
            Self::TooFewFields => "too_few_fields",
            Self::TooManyFields => "too_many_fields",
            Self::Invisible(_) => "invisible_character",
            Self::Missing(_) => "missing_value",
            Self::BadNumber(_) => "bad_number",
            Self::BadTime(_) => "bad_time",
            Self::BadValue(_) => "bad_value",
            Self::BadSkillGroup => "bad_skill_group",
            Self::BadQuote => "bad_quote",
            Self::LongValue(_) => "value_too_long",
            Self::TooManySkills => "too_many_skills",
            Self::TooManyAgents => "too_many_agents",
        }
    }
}
