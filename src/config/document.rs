//! The configuration as a tree of values that know where they are written; file and environment are merged into it.
//!
//! A file with syntax errors still gives the tree of what could be read, so that one run shows as much as possible.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Origin, Problem};

/// A value and where it is written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
    /// Comes from a file that a variable names, as secrets do: never shown.
    pub(super) secret: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    /// A number with a fraction, as it is written.
    Float(String),
    Boolean(bool),
    /// A date or time, or an integer out of range: no key takes one.
    Other(&'static str),
    List(Vec<Node>),
    Table(Table),
}

/// Keys in the order of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<DocumentEntry>,
}

#[derive(Clone, Debug)]
pub(super) struct DocumentEntry {
    pub(super) key: String,
    /// Where the key is written.
    pub(super) origin: Origin,
    pub(super) node: Node,
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&DocumentEntry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Node {
    pub(super) fn new(origin: Origin, value: Value) -> Self {
        Self { origin, value, secret: false }
    }

    /// Returns the value for a message: short, and without anything that may be secret.
    pub(super) fn shown(&self) -> String {
        const LONGEST: usize = 60;
        if self.secret {
            return "the content of the file".to_owned();
        }
        match &self.value {
            Value::Text(text) if text.chars().count() > LONGEST => {
                format!("{:?}…", text.chars().take(LONGEST).collect::<String>())
            }
            Value::Text(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.clone(),
            Value::Boolean(value) => value.to_string(),
            Value::Other(what) => (*what).to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }

    /// Returns a variable that spells a list or a table as TOML (`["a", "b"]`, `{ id = "1" }`), as that list or table.
    ///
    /// # Errors
    /// Why it is not valid TOML.
    pub(super) fn expanded(&self) -> Result<Option<Self>, String> {
        let Value::Text(text) = &self.value else { return Ok(None) };
        let trimmed = text.trim();
        if !self.origin.is_variable() || !trimmed.starts_with(['[', '{']) {
            return Ok(None);
        }
        let parsed = DeValue::parse(trimmed).map_err(|error| error.message().to_owned())?;
        Ok(Some(Self { secret: self.secret, ..convert(parsed.get_ref(), &|_| self.origin.clone(), &self.origin) }))
    }
}

/// Syntax errors that affect only their own line; any other may swallow what follows.
const SPOILS_ITS_LINE: [&str; 3] = ["string values must be quoted", "invalid basic string", "invalid literal string"];

/// The content of a text, and what is wrong with its syntax.
pub(super) struct ParsedDocument {
    pub(super) root: Node,
    pub(super) errors: Vec<Problem>,
    /// The first line from which the tree may be guesswork.
    pub(super) doubtful_from: usize,
}

/// Parses TOML text; `file` is for origins only.
pub(super) fn parse(text: &str, file: &Arc<Path>) -> ParsedDocument {
    let lines = Lines::new(text, file);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut doubtful_from = usize::MAX;
    let mut problems: Vec<(usize, Problem)> = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let (line, _) = lines.position(span.start);
        let message = match error.message() {
            "duplicate key" => format!("duplicate key {:?}", text.get(span.clone()).unwrap_or_default()),
            message => {
                if !SPOILS_ITS_LINE.iter().any(|prefix| message.starts_with(prefix)) {
                    doubtful_from = doubtful_from.min(line);
                }
                format!("not valid TOML: {message}")
            }
        };
        if !problems.iter().any(|(known, _)| *known == line) {
            problems.push((line, Problem::error(lines.origin(span.start), message)));
        }
    }
    let root = DeValue::Table(table.into_inner());
    let file_origin = Origin::File(file.clone());
    let mut root = convert_root(root, &lines);
    root.origin = file_origin;
    ParsedDocument { root, errors: problems.into_iter().map(|(_, problem)| problem).collect(), doubtful_from }
}

fn convert_root(root: DeValue<'_>, lines: &Lines<'_>) -> Node {
    convert(&root, &|offset| lines.origin(offset), &Origin::File(lines.file.clone()))
}

fn convert(value: &DeValue<'_>, locate: &dyn Fn(usize) -> Origin, origin: &Origin) -> Node {
    let child = |spanned: &Spanned<DeValue<'_>>| convert(spanned.get_ref(), locate, &locate(spanned.span().start));
    let converted = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("a number out of range"), Value::Integer),
        DeValue::Float(number) => Value::Float(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Array(items) => Value::List(items.iter().map(child).collect()),
        DeValue::Table(table) => {
            let mut keys: Vec<_> = table.iter().collect();
            keys.sort_by_key(|(key, _)| key.span().start);
            let entry = |(key, node): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let key: &Spanned<std::borrow::Cow<'_, str>> = key;
                DocumentEntry { key: key.get_ref().to_string(), origin: locate(key.span().start), node: child(node) }
            };
            Value::Table(Table { entries: keys.into_iter().map(entry).collect() })
        }
    };
    Node::new(origin.clone(), converted)
}

/// Byte offsets to lines and columns.
struct Lines<'a> {
    text: &'a str,
    file: &'a Arc<Path>,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str, file: &'a Arc<Path>) -> Self {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes());
        Self { text, file, starts: std::iter::once(0).chain(ends.map(|end| end + 1)).collect() }
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.trim_start_matches('\u{feff}').chars().count() + 1)
    }

    fn origin(&self, offset: usize) -> Origin {
        let (line, column) = self.position(offset);
        Origin::Place { file: self.file.clone(), line, column: Some(column) }
    }
}
