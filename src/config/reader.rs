//! Typed reading of a tree: every reader takes what it understands, adds a problem for the rest, and goes on.

use std::borrow::Cow;

use super::document::{DocumentEntry, Node, Table, Value};
use super::problem::{Origin, Problem, Problems};
use super::schema::{Section, advice};

/// A value about to be read, with its name for messages.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    pub(super) node: &'a Node,
    pub(super) name: &'a str,
    pub(super) problems: &'a Problems,
}

impl Slot<'_> {
    /// Adds an error about this value.
    pub(super) fn error<T>(&self, message: impl Into<String>, hint: Option<String>) -> Option<T> {
        let message = format!("{}: {}", self.name, message.into());
        self.problems.add(Problem { hint, ..Problem::error(self.node.origin.clone(), message) });
        None
    }

    /// Adds a warning about this value.
    pub(super) fn warning(&self, message: &str) {
        self.problems.add(Problem::warning(self.node.origin.clone(), format!("{}: {message}", self.name)));
    }

    /// Adds an error that says what was expected and what came.
    pub(super) fn wrong<T>(&self, expected: &str, hint: Option<String>) -> Option<T> {
        self.error(format!("expected {expected}, found {}", self.node.shown()), hint)
    }

    /// The text, if it is one.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of an environment variable, which may stand for a value of any type.
    pub(super) fn as_variable(&self) -> Option<&str> {
        self.as_text().filter(|_| self.node.origin.is_variable()).map(str::trim)
    }
}

/// One table with the keys that it may have.
pub(super) struct TableReader<'a> {
    pub(super) origin: Origin,
    pub(super) problems: &'a Problems,
    /// Its name in messages.
    heading: String,
    table: Cow<'a, Table>,
}

impl<'a> TableReader<'a> {
    /// Reads `slot` as a table with the keys of `section`; anything but a table counts as an empty one.
    pub(super) fn open(slot: Slot<'a>, section: Section) -> Self {
        Self::open_as(slot, section, section.heading)
    }

    /// Does the same for a table that has another name in messages.
    pub(super) fn open_as(slot: Slot<'a>, section: Section, heading: &str) -> Self {
        let reader = Self::open_any(slot, heading);
        for DocumentEntry { key, origin, .. } in &reader.table.entries {
            if !section.keys.contains(&key.as_str()) {
                let message = format!("unknown key {key:?} in {}", reader.heading);
                reader.problems.add(Problem::error(origin.clone(), message).hint(advice(key, section)));
            }
        }
        reader
    }

    /// Reads `slot` as a table with keys of any name.
    pub(super) fn open_any(slot: Slot<'a>, heading: &str) -> Self {
        let Slot { node, problems, .. } = slot;
        let table = match (&node.value, node.expanded()) {
            (Value::Table(table), _) => Cow::Borrowed(table),
            (_, Ok(Some(Node { value: Value::Table(table), .. }))) => Cow::Owned(table),
            (_, Err(error)) => {
                slot.error::<()>(format!("not valid TOML: {error}"), None);
                Cow::default()
            }
            // A text where a table of properties should be may be a password.
            (Value::Text(_), _) => {
                slot.error::<()>("expected a table, found text", None);
                Cow::default()
            }
            _ => {
                slot.wrong::<()>("a table", None);
                Cow::default()
            }
        };
        Self { origin: node.origin.clone(), problems, heading: heading.to_owned(), table }
    }

    /// Creates a reader for a table that is not there.
    pub(super) fn absent(origin: Origin, problems: &'a Problems, section: Section) -> Self {
        Self { origin, problems, heading: section.heading.to_owned(), table: Cow::default() }
    }

    /// All entries, for tables with keys of any name.
    pub(super) fn entries(&self) -> &[DocumentEntry] {
        &self.table.entries
    }

    pub(super) fn slot<'s>(&'s self, key: &'s str) -> Option<Slot<'s>> {
        let entry = self.table.get(key)?;
        Some(Slot { node: &entry.node, name: key, problems: self.problems })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Returns where the value of `key` is written, or the table if there is none.
    pub(super) fn origin_of(&self, key: &str) -> Origin {
        self.table.get(key).map_or_else(|| self.origin.clone(), |entry| entry.node.origin.clone())
    }

    /// The value of `key`, `None` where it is absent or wrong.
    pub(super) fn optional<T>(&self, key: &str, convert: impl FnOnce(Slot<'_>) -> Option<T>) -> Option<T> {
        convert(self.slot(key)?)
    }

    /// The value of `key`, the default where it is absent or wrong.
    pub(super) fn or<T>(&self, key: &str, default: T, convert: impl FnOnce(Slot<'_>) -> Option<T>) -> T {
        self.optional(key, convert).unwrap_or(default)
    }

    /// The value of `key`; its absence is an error.
    pub(super) fn required<T>(
        &self,
        key: &str,
        example: &str,
        convert: impl FnOnce(Slot<'_>) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            let message = format!("{key:?} is missing in {}", self.heading);
            self.problems.missing(Problem::error(self.origin.clone(), message).hint(format!("add {key} = {example}")));
        }
        self.optional(key, convert)
    }

    /// The table below `key`; an empty one where it is absent.
    pub(super) fn table<'s>(&'s self, key: &'s str, section: Section) -> TableReader<'s> {
        match self.slot(key) {
            Some(slot) => TableReader::open(slot, section),
            None => TableReader::absent(self.origin.clone(), self.problems, section),
        }
    }
}
