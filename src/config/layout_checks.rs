//! Whether the parts of a layout fit together: framing, separator or fixed width, columns, skills.

use crate::wire::column::{Column, Occurs};
use crate::wire::encoding::Encoding;
use crate::wire::layout::{ColumnSpec, FieldPlace, FieldStyle, Framing, MOST_MAX_RECORD, Repeat, SkillGroups};
use crate::wire::plan::MAX_COLUMNS;

use super::columns::{WrittenColumn, WrittenSkills};
use super::problem::{Origin, Problem};
use super::reader::TableReader;

/// What was read of a layout.
pub(super) struct LayoutParts<'r> {
    pub(super) layout: &'r TableReader<'r>,
    pub(super) framing: Framing,
    pub(super) max_record: usize,
    pub(super) separator: Option<FieldStyle>,
    /// How columns that have a place have it.
    pub(super) fixed: FieldStyle,
    pub(super) encoding: Encoding,
    pub(super) quote: Option<u8>,
    /// `None` where they could not be read at all.
    pub(super) columns: Option<Vec<WrittenColumn>>,
    pub(super) skills: Option<WrittenSkills>,
}

impl LayoutParts<'_> {
    fn error(&self, origin: Origin, message: impl Into<String>, hint: &str) {
        self.layout.problems.add(Problem::error(origin, message).hint(hint));
    }

    fn written(&self) -> &[WrittenColumn] {
        self.columns.as_deref().unwrap_or_default()
    }
}

/// Adds a problem for everything that does not fit; returns how fields are separated, and the groups of skills with their
/// place.
pub(super) fn check(parts: &LayoutParts<'_>) -> (FieldStyle, Option<SkillGroups>) {
    if parts.columns.is_some() {
        check_occurrences(parts);
    }
    check_bytes(parts);
    if parts.max_record > MOST_MAX_RECORD {
        let message = format!("max_record: {} bytes are more than a record may have, 1 MiB", parts.max_record);
        let hint = "a record is a line about one agent: if lines are longer, record_end may be wrong";
        parts.error(parts.layout.origin_of("max_record"), message, hint);
    }
    if parts.written().len() > MAX_COLUMNS {
        let message = format!("columns: there are {}, at most {MAX_COLUMNS} can be", parts.written().len());
        let hint = "with extra_fields = \"ignore\", those behind the last one needed can be left out";
        parts.error(parts.layout.origin_of("columns"), message, hint);
    }
    if let Framing::Length(length) = parts.framing
        && length > parts.max_record
    {
        let message = format!("record_length: {length} is more than max_record, {} bytes", parts.max_record);
        parts.error(parts.layout.origin_of("record_length"), message, "set max_record to at least the same");
    }
    let groups = parts.skills.as_ref().map(|skills| skills.groups.clone());
    let in_skills = parts.skills.iter().flat_map(|skills| &skills.columns);
    let is_fixed = parts.written().iter().chain(in_skills).any(|column| column.is_placed);
    if is_fixed {
        check_fixed_width(parts);
        let end = end_of(parts.written().iter().map(|column| &column.spec));
        return (parts.fixed, groups.map(|groups| SkillGroups { at: groups.at.or(Some(end)), ..groups }));
    }
    if parts.layout.has("width_in") && parts.columns.is_some() {
        let message = "width_in: no column has at and width";
        parts.error(parts.layout.origin_of("width_in"), message, "remove it, or give every column its at and width");
    }
    if !parts.layout.has("separator") && parts.columns.is_some() {
        let problem = Problem::error(parts.layout.origin.clone(), "nothing tells fields apart");
        let hint = "add a separator (one byte, or \"whitespace\"), or give every column its at and width";
        parts.layout.problems.missing(problem.hint(hint));
    }
    if let Some(skills) = parts.skills.as_ref().filter(|skills| skills.groups.at.is_some()) {
        let message = "skills: at is for columns of fixed width";
        parts.error(skills.origin.clone(), message, "remove it: groups follow the columns");
    }
    (parts.separator.unwrap_or(FieldStyle::Whitespace), groups)
}

fn check_occurrences(parts: &LayoutParts<'_>) {
    let columns = parts.written();
    let find = |column| columns.iter().find(|written| written.spec.column == column);
    for required in Column::ALL.into_iter().filter(|column| column.properties().occurs == Occurs::Once) {
        if find(required).is_none() {
            let message = format!("columns: {:?} is missing", required.name());
            let problem = Problem::error(parts.layout.origin_of("columns"), message);
            parts.layout.problems.missing(problem.hint("every record must say who and in what state"));
        }
    }
    for (index, written) in columns.iter().enumerate() {
        let column = written.spec.column;
        let may_repeat = column.properties().occurs == Occurs::Repeatedly;
        if !may_repeat && columns[..index].iter().any(|other| other.spec.column == column) {
            let message = format!("columns: {:?} occurs twice", column.name());
            parts.error(written.origin.clone(), message, "a column that is not needed is called \"-\"");
        }
    }
    let plain = find(Column::Skill).or_else(|| find(Column::Level));
    match (&parts.skills, plain) {
        (Some(_), Some(plain)) => {
            let message = format!("columns: {:?} beside skills = {{ … }}", plain.spec.column.name());
            let hint = "a feed has several skills in a row, or one row per agent and skill: keep one of the two";
            parts.error(plain.origin.clone(), message, hint);
        }
        (None, Some(plain)) if plain.spec.column == Column::Level => {
            parts.error(
                plain.origin.clone(),
                "columns: \"level\" without \"skill\"",
                "add \"skill\", or call it \"-\"",
            );
        }
        _ => {}
    }
}

/// Separator, quote and record end must differ from each other.
fn check_bytes(parts: &LayoutParts<'_>) {
    let end = match &parts.framing {
        Framing::Terminator(end) => end.as_slice(),
        Framing::Length(_) => &[],
    };
    let separator = match parts.separator {
        Some(FieldStyle::Separator(byte)) => Some(byte),
        _ => None,
    };
    if separator.is_some_and(|byte| end.contains(&byte)) {
        let origin = parts.layout.origin_of("separator");
        parts.error(origin, "separator: is part of record_end", "fields could not be told from records");
    }
    let Some(quote) = parts.quote else { return };
    let is_blank = quote == b' ' || quote == b'\t';
    if separator == Some(quote) || end.contains(&quote) || is_blank {
        let origin = parts.layout.origin_of("quote");
        parts.error(origin, "quote: is a blank, the separator or part of record_end", "use another byte");
    }
}

fn check_fixed_width(parts: &LayoutParts<'_>) {
    let fixed = "columns have at and width";
    if parts.layout.has("separator") {
        let message = format!("separator: {fixed} as well");
        parts.error(parts.layout.origin_of("separator"), message, "fields have a separator or fixed places: keep one");
    }
    if parts.layout.has("quote") {
        let message = format!("quote: has no meaning where {fixed}");
        parts.error(parts.layout.origin_of("quote"), message, "remove it");
    }
    if parts.fixed == FieldStyle::FixedCharacters
        && parts.encoding == Encoding::Utf8
        && matches!(parts.framing, Framing::Length(_))
    {
        let message = "width_in: record_length counts bytes, and in utf-8 a character may take several";
        let hint = "records of so many characters need a record_end";
        parts.error(parts.layout.origin_of("width_in"), message, hint);
    }
    let unit = if parts.fixed == FieldStyle::FixedCharacters { "character" } else { "byte" };
    let in_skills = parts.skills.iter().flat_map(|skills| &skills.columns);
    for written in parts.written().iter().chain(in_skills).filter(|column| !column.is_placed) {
        let message = format!("column {:?} has no place, but others do", written.spec.column.name());
        let hint = "with fixed width every column has at and width; what is not needed is left out";
        parts.error(written.origin.clone(), message, hint);
    }
    let (limit, limit_name) = match parts.framing {
        Framing::Length(length) => (length.min(parts.max_record), "record_length"),
        Framing::Terminator(_) => (parts.max_record, "max_record"),
    };
    for written in parts.written() {
        let end = written.spec.place.map_or(0, end_of_place);
        if end > limit {
            let message = format!(
                "column {:?} ends at {unit} {end}, beyond {limit_name}, {limit} bytes",
                written.spec.column.name()
            );
            parts.error(written.origin.clone(), message, "places count from 0");
        }
    }
    let Some(WrittenSkills { groups, origin, .. }) = &parts.skills else { return };
    let at = groups.at.unwrap_or_else(|| end_of(parts.written().iter().map(|column| &column.spec)));
    let repeat = match groups.repeat {
        Repeat::Times(times) => times,
        Repeat::Rest => 1,
    };
    let end = end_of(&groups.columns).saturating_mul(repeat).saturating_add(at);
    if end > limit {
        let message = format!("skills: the groups end at {unit} {end}, beyond {limit_name}, {limit} bytes");
        let hint = "a group is as wide as its columns reach, and follows the one before it at once";
        parts.error(origin.clone(), message, hint);
    }
}

fn end_of<'c>(columns: impl IntoIterator<Item = &'c ColumnSpec>) -> usize {
    columns.into_iter().filter_map(|column| column.place).map(end_of_place).max().unwrap_or(0)
}

fn end_of_place(place: FieldPlace) -> usize {
    place.at.saturating_add(place.width)
}
