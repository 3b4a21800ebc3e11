//! `[layout.NAME]`: how a site's feed looks.

use std::sync::Arc;

use crate::wire::encoding::Encoding;
use crate::wire::layout::{DEFAULT_MAX_RECORD, ExtraFields, FieldStyle, Framing, LayoutSpec};
use crate::wire::states::{Direction, Mode, StateCode, StateTable};
use crate::wire::words::Words;

use super::columns;
use super::document::{DocumentEntry, Value};
use super::layout_checks::{self, LayoutParts};
use super::problem::{Origin, Problem};
use super::reader::{Slot, TableReader};
use super::schema::nearest;
use super::values;

/// A layout by name, as far as it could be read: with problems of its own it is a stand-in, so that what refers to it can
/// still be checked.
pub(super) struct NamedLayout {
    pub(super) name: String,
    pub(super) spec: Arc<LayoutSpec>,
}

/// Reads one layout.
pub(super) fn read(name: &str, layout: &TableReader<'_>) -> NamedLayout {
    let encoding = layout.or("encoding", Encoding::Utf8, values::choice(&Encoding::NAMES));
    let max_record = layout.or("max_record", DEFAULT_MAX_RECORD, values::size);
    let separator = layout.optional("separator", |slot| separator(slot, encoding));
    let widths = [("bytes", FieldStyle::FixedWidth), ("characters", FieldStyle::FixedCharacters)];
    let quote = layout.optional("quote", |slot| single_byte(slot, encoding));
    let written = layout.required("columns", "[\"login_id\", \"state\", …]", values::list(columns::column));
    let states = layout.required("states", "\"rta-codes\", \"cms-names\" or a table", states);
    let parts = LayoutParts {
        layout,
        framing: framing(layout, encoding),
        max_record,
        separator,
        fixed: layout.or("width_in", FieldStyle::FixedWidth, values::choice(&widths)),
        encoding,
        quote,
        columns: written,
        skills: layout.optional("skills", columns::skills),
    };
    let (fields, skills) = layout_checks::check(&parts);
    let spec = LayoutSpec {
        encoding,
        max_record,
        fields,
        quote,
        skip: layout.or("skip", Vec::new(), values::list(pattern)),
        marker: layout.optional("marker", |slot| Some(pattern(slot).unwrap_or_default())),
        columns: parts.columns.unwrap_or_default().into_iter().map(|written| written.spec).collect(),
        skills,
        states: states.unwrap_or_else(StateTable::rta_codes),
        aux_reasons: layout.or("aux_reasons", Words::default(), words(encoding, AUX_REASONS, aux_reason)),
        directions: layout.or("directions", Words::default(), words(encoding, DIRECTIONS, direction)),
        null: layout.or("null", vec![String::new(), "N/A".to_owned()], values::list(values::text)),
        extra_fields: layout.or(
            "extra_fields",
            ExtraFields::Error,
            values::choice(&[("error", ExtraFields::Error), ("ignore", ExtraFields::Ignore)]),
        ),
        framing: parts.framing,
    };
    NamedLayout { name: name.to_owned(), spec: Arc::new(spec) }
}

fn framing(layout: &TableReader<'_>, encoding: Encoding) -> Framing {
    let length = layout.optional("record_length", values::size);
    let end = layout.optional("record_end", |slot| record_end(slot, encoding));
    if layout.has("record_length") && layout.has("record_end") {
        let problem = Problem::error(layout.origin_of("record_length"), "record_length: record_end is given as well");
        layout.problems.add(problem.hint("a record ends with certain bytes or after a number of them: keep one"));
    }
    length.map_or_else(|| Framing::Terminator(end.unwrap_or_else(|| b"\n".to_vec())), Framing::Length)
}

fn record_end(slot: Slot<'_>, encoding: Encoding) -> Option<Vec<u8>> {
    let text = values::text(slot)?;
    if text.is_empty() {
        let hint = "records of one length without an end have record_length instead";
        return slot.error("is empty", Some(hint.to_owned()));
    }
    encoded(slot, &text, encoding)
}

fn separator(slot: Slot<'_>, encoding: Encoding) -> Option<FieldStyle> {
    if slot.as_text() == Some("whitespace") {
        return Some(FieldStyle::Whitespace);
    }
    let text = values::text(slot)?;
    match encoded(slot, &text, encoding)?[..] {
        [byte] => Some(FieldStyle::Separator(byte)),
        _ => slot.wrong(
            "one byte, or \"whitespace\"",
            nearest(&text, ["whitespace"]).map(|name| format!("did you mean {name:?}?")),
        ),
    }
}

fn single_byte(slot: Slot<'_>, encoding: Encoding) -> Option<u8> {
    let text = values::text(slot)?;
    match encoded(slot, &text, encoding)?[..] {
        [byte] => Some(byte),
        _ => slot.wrong("one byte", None),
    }
}

fn encoded(slot: Slot<'_>, text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding.encode(text) {
        Ok(bytes) => Some(bytes),
        Err(character) => slot.error(format!("the layout's encoding does not have {character:?}"), None),
    }
}

/// A regular expression over bytes.
fn pattern(slot: Slot<'_>) -> Option<String> {
    let text = values::text(slot)?;
    if text.is_empty() {
        return slot.error("is empty and would match every line", Some("an empty line is \"^$\"".to_owned()));
    }
    match crate::wire::lines::expression(&text) {
        Ok(_) => Some(text),
        Err(error) => {
            let text_of_error = error.to_string();
            let reason = text_of_error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            slot.error(format!("{} is no regular expression: {reason}", slot.node.shown()), None)
        }
    }
}

fn states(slot: Slot<'_>) -> Option<StateTable> {
    let is_table = matches!(slot.node.value, Value::Table(_)) || matches!(slot.node.expanded(), Ok(Some(_)));
    if !is_table {
        let is_codes = values::choice(&[("rta-codes", true), ("cms-names", false)])(slot)?;
        return Some(if is_codes { StateTable::rta_codes() } else { StateTable::cms_names() });
    }
    let table = TableReader::open_any(slot, "[layout.NAME.states]");
    if table.entries().is_empty() {
        return slot.error("has no rows", Some("write rows like \"32\" = \"ACD:in\"".to_owned()));
    }
    let row = |entry: &DocumentEntry| {
        let slot = Slot { node: &entry.node, name: &entry.key, problems: slot.problems };
        Some((entry.key.clone(), state_code(slot)?))
    };
    Some(StateTable::new(table.entries().iter().filter_map(row)))
}

/// What a table of a site's words is called, and a row of it.
type Wording = (&'static str, &'static str);

const AUX_REASONS: Wording = ("[layout.NAME.aux_reasons]", "\"Pause\" = 3");
const DIRECTIONS: Wording = ("[layout.NAME.directions]", "\"ein\" = \"in\"");

/// A table of a site's own words.
fn words<T: Copy>(
    encoding: Encoding,
    (heading, example): Wording,
    meaning: impl Fn(Slot<'_>) -> Option<T>,
) -> impl FnOnce(Slot<'_>) -> Option<Words<T>> {
    move |slot| {
        let table = TableReader::open_any(slot, heading);
        let is_table = matches!(slot.node.value, Value::Table(_)) || matches!(slot.node.expanded(), Ok(Some(_)));
        if is_table && table.entries().is_empty() {
            return slot.error("has no rows", Some(format!("write rows like {example}")));
        }
        let row = |entry: &DocumentEntry| {
            let slot = Slot { node: &entry.node, name: &entry.key, problems: slot.problems };
            if entry.key.trim().is_empty() {
                return slot.error("is no word", Some("list it under null if it stands for nothing".to_owned()));
            }
            encoded(slot, &entry.key, encoding)?;
            Some((entry.key.clone(), meaning(slot)?))
        };
        Some(Words::new(table.entries().iter().filter_map(row)))
    }
}

fn aux_reason(slot: Slot<'_>) -> Option<u32> {
    values::integer(0..=u32::MAX)(slot)
}

fn direction(slot: Slot<'_>) -> Option<Direction> {
    values::choice(&[("in", Direction::In), ("out", Direction::Out), ("none", Direction::None)])(slot)
}

fn state_code(slot: Slot<'_>) -> Option<StateCode> {
    let text = values::text(slot)?;
    StateCode::parse(&text).map_or_else(
        |message| {
            let mode = text.split(':').next().unwrap_or_default();
            let meant = nearest(mode, Mode::ALL.map(Mode::name)).filter(|name| *name != mode);
            let hint = meant.map(|name| format!("did you mean {name:?}? names of modes are in capitals"));
            slot.error(message, hint)
        },
        Some,
    )
}

/// Adds a problem where `[layout.NAME]` uses a name that is taken.
pub(super) fn check_name(name: &str, origin: &Origin, layout: &TableReader<'_>) {
    if crate::wire::layout::builtin::NAMES.contains(&name) {
        let problem = Problem::error(origin.clone(), format!("{name:?} is the name of a built-in layout"));
        layout.problems.add(problem.hint("give yours another name"));
    }
}
