//! The types of columns, in one table: [`Column::properties`] says what is true of each.
//!
//! Whatever else needs to know asks the table. Only what a column's value *does* is decided elsewhere, by matches without a
//! wildcard: where it goes when a record is decoded ([`super::decode`]), and how the simulator writes it. So a new type is a
//! variant here and a row in the table, and the compiler names the rest.
//!
//! ```
//! use rtalink::wire::column::{Column, Privacy};
//!
//! assert_eq!(Column::StateStart.name(), "state_start");
//! assert_eq!(Column::Name.properties().privacy, Privacy::Name);
//! let personal = Column::ALL.into_iter().filter(|column| column.properties().privacy != Privacy::Nobody);
//! assert_eq!(personal.map(Column::name).collect::<Vec<_>>().join(" "), "login_id state name extension location -");
//! ```

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    /// Required; text, leading zeros count.
    LoginId,
    /// Required; looked up in the state table.
    State,
    /// The agent's name.
    Name,
    /// AUX reason, a number or a word of the site's.
    AuxReason,
    /// in, out, none, 0, 1, 2 or a word of the site's; beats the direction of the state code.
    Direction,
    /// The split or skill that the agent is working for.
    WorkSplit,
    /// Extension.
    Extension,
    /// Time in the current mode and direction: s, mm:ss or hh:mm:ss; leading parts may be empty.
    Duration,
    /// Time of the record.
    Timestamp,
    /// When the state began.
    StateStart,
    /// ACD number, wins over the integration's.
    Acd,
    /// Role of the agent in the skill.
    Role,
    /// 1, 0, Y or N.
    OnHold,
    /// Location.
    Location,
    /// Log-out reason.
    LogoutReason,
    /// Skill of this row, where there is one row per agent and skill.
    Skill,
    /// Level of that skill.
    Level,
    /// Not read. It is the last one.
    Ignored,
}

/// What is true of every column of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// The name that configuration has for it.
    pub name: &'static str,
    /// How its value is read.
    pub value: ValueKind,
    /// Whom it says something about.
    pub privacy: Privacy,
    /// How often a layout has it among its columns.
    pub occurs: Occurs,
    /// What it is in a group of skills; `None`: it cannot be in one.
    pub in_group: Option<GroupPart>,
    /// It may differ between records of an unchanged state.
    pub volatile: Option<Volatile>,
    /// It says which agent a record is about.
    pub identifies: bool,
    /// It says when the state began, directly or by its duration.
    pub tells_start: bool,
}

/// How the value of a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// As it is.
    Text,
    /// By the table of states.
    StateCode,
    /// A number.
    Number,
    /// A number, or a word of the site's.
    NumberOrWord,
    /// One of a few words.
    Word,
    /// A length of time.
    Duration,
    /// A point in time; the only kind with a format.
    Time,
    /// Not at all.
    Nothing,
}

/// Whom a column says something about. That decides how it is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// A person, by an id: replaced by one of the same shape.
    Id,
    /// A person, by name: replaced by letters, and not read at all where names are ignored.
    Name,
    /// A person's place: replaced by letters.
    Place,
    /// The state. What the table of states does not have may be a name, and is replaced by letters.
    StateCode,
    /// Nobody: the state, or what an agent works for and how. It stays.
    Nobody,
    /// Unknown: replaced by filler.
    Unknown,
}

/// How often a layout has a column, not counting groups of skills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurs {
    /// Exactly once.
    Once,
    /// At most once.
    AtMostOnce,
    /// As often as it likes.
    Repeatedly,
}

/// What a column is in a group of skills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupPart {
    /// Nothing that is read.
    Filling,
    /// The skill.
    Skill,
    /// Its level.
    Level,
}

/// A value that moves with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatile {
    /// It grows until the state changes.
    Duration,
    /// It is the time of the record.
    Timestamp,
}

impl Properties {
    /// Returns the most usual case: a column that may be there once, outside of groups, and is none of the rest.
    const fn of(name: &'static str, value: ValueKind, privacy: Privacy) -> Self {
        Self {
            name,
            value,
            privacy,
            occurs: Occurs::AtMostOnce,
            in_group: None,
            volatile: None,
            identifies: false,
            tells_start: false,
        }
    }
}

impl Column {
    /// Every column, in the order of the declaration.
    pub const ALL: [Self; 18] = [
        Self::LoginId,
        Self::State,
        Self::Name,
        Self::AuxReason,
        Self::Direction,
        Self::WorkSplit,
        Self::Extension,
        Self::Duration,
        Self::Timestamp,
        Self::StateStart,
        Self::Acd,
        Self::Role,
        Self::OnHold,
        Self::Location,
        Self::LogoutReason,
        Self::Skill,
        Self::Level,
        Self::Ignored,
    ];

    /// Every column with the name that configuration has for it.
    pub const NAMES: [(&'static str, Self); Self::ALL.len()] = names();

    /// Returns what is true of it.
    pub const fn properties(self) -> Properties {
        use Properties as P;
        use ValueKind as V;
        match self {
            Self::LoginId => P { occurs: Occurs::Once, identifies: true, ..P::of("login_id", V::Text, Privacy::Id) },
            Self::State => P { occurs: Occurs::Once, ..P::of("state", V::StateCode, Privacy::StateCode) },
            Self::Name => P::of("name", V::Text, Privacy::Name),
            Self::AuxReason => P::of("aux_reason", V::NumberOrWord, Privacy::Nobody),
            Self::Direction => P::of("direction", V::Word, Privacy::Nobody),
            Self::WorkSplit => P::of("work_split", V::Text, Privacy::Nobody),
            Self::Extension => P::of("extension", V::Text, Privacy::Id),
            Self::Duration => {
                let volatile = Some(Volatile::Duration);
                P { volatile, tells_start: true, ..P::of("duration", V::Duration, Privacy::Nobody) }
            }
            Self::Timestamp => {
                P { volatile: Some(Volatile::Timestamp), ..P::of("timestamp", V::Time, Privacy::Nobody) }
            }
            Self::StateStart => P { tells_start: true, ..P::of("state_start", V::Time, Privacy::Nobody) },
            Self::Acd => P { identifies: true, ..P::of("acd", V::Number, Privacy::Nobody) },
            Self::Role => P::of("role", V::Text, Privacy::Nobody),
            Self::OnHold => P::of("on_hold", V::Word, Privacy::Nobody),
            Self::Location => P::of("location", V::Text, Privacy::Place),
            Self::LogoutReason => P::of("logout_reason", V::Text, Privacy::Nobody),
            Self::Skill => P { in_group: Some(GroupPart::Skill), ..P::of("skill", V::Text, Privacy::Nobody) },
            Self::Level => P { in_group: Some(GroupPart::Level), ..P::of("level", V::Number, Privacy::Nobody) },
            Self::Ignored => {
                let in_group = Some(GroupPart::Filling);
                P { occurs: Occurs::Repeatedly, in_group, ..P::of("-", V::Nothing, Privacy::Unknown) }
            }
        }
    }

    /// Returns the name that configuration has for it.
    pub const fn name(self) -> &'static str {
        self.properties().name
    }
}

// Evaluated by `cargo check` too, which looks at no associated constant.
const _: [(&str, Column); Column::ALL.len()] = Column::NAMES;

/// Returns the names of all columns. It does not compile where [`Column::ALL`] lacks one, or has them in another order.
const fn names() -> [(&'static str, Column); Column::ALL.len()] {
    let mut names = [("", Column::Ignored); Column::ALL.len()];
    assert!(names.len() == Column::Ignored as usize + 1, "Column::ALL lacks a column");
    let mut index = 0;
    while index < names.len() {
        let column = Column::ALL[index];
        assert!(column as usize == index, "Column::ALL is in the order of the declaration");
        names[index] = (column.name(), column);
        index += 1;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_columns_have_one_name() {
        let mut names = Column::ALL.map(Column::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn the_documentation_names_every_column() {
        let page = include_str!("../../docs/layouts.md");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
        for name in Column::ALL.map(Column::name) {
            assert!(rows.iter().any(|row| row.contains(&format!("`{name}`"))), "{name:?}");
        }
    }

    /// The decoder has a place for these two.
    #[test]
    fn an_agent_is_identified_by_login_id_and_acd() {
        let identifying = Column::ALL.into_iter().filter(|column| column.properties().identifies);
        assert!(identifying.eq([Column::LoginId, Column::Acd]));
    }
}
