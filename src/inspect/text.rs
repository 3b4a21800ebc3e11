//! A layout as it is written in a configuration.
//!
//! Whatever [`LayoutSpec`] can say is written, so that the text read back is the same layout. Columns can have remarks.

use std::fmt::Write as _;

use crate::wire::column::Column;
use crate::wire::encoding::Encoding;
use crate::wire::layout::{
    ColumnSpec, DEFAULT_MAX_RECORD, ExtraFields, FieldStyle, Framing, LayoutSpec, Repeat, SkillGroups,
};
use crate::wire::states::{Direction, StateCode, StateTable};

/// Remarks beside parts of a layout.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    /// Above the table.
    pub head: Vec<String>,
    /// One for each column, empty where there is nothing to say.
    pub columns: Vec<String>,
    /// For codes of the state table.
    pub states: Vec<(String, String)>,
}

/// Writes `[layout.NAME]`.
pub fn layout(name: &str, spec: &LayoutSpec, remarks: &Remarks) -> String {
    let mut out = String::new();
    for line in &remarks.head {
        line_of(&mut out, format_args!("# {line}"));
    }
    line_of(&mut out, format_args!("[layout.{}]", key(name)));
    if spec.encoding != Encoding::Utf8 {
        line_of(&mut out, format_args!("encoding = {}", quoted(encoding_name(spec.encoding))));
    }
    match &spec.framing {
        Framing::Terminator(end) if end == b"\n" => {}
        Framing::Terminator(end) => {
            line_of(&mut out, format_args!("record_end = {}", quoted(&spec.encoding.decode(end))))
        }
        Framing::Length(length) => line_of(&mut out, format_args!("record_length = {length}")),
    }
    if spec.max_record != DEFAULT_MAX_RECORD {
        line_of(&mut out, format_args!("max_record = {}", spec.max_record));
    }
    match spec.fields {
        FieldStyle::Separator(byte) => {
            line_of(&mut out, format_args!("separator = {}", quoted(&spec.encoding.decode(&[byte]))));
        }
        FieldStyle::Whitespace => line_of(&mut out, format_args!("separator = \"whitespace\"")),
        FieldStyle::FixedWidth => {}
        FieldStyle::FixedCharacters => line_of(&mut out, format_args!("width_in = \"characters\"")),
    }
    if let Some(quote) = spec.quote {
        line_of(&mut out, format_args!("quote = {}", quoted(&spec.encoding.decode(&[quote]))));
    }
    if !spec.skip.is_empty() {
        line_of(&mut out, format_args!("skip = [{}]", list(&spec.skip)));
    }
    if let Some(marker) = &spec.marker {
        line_of(&mut out, format_args!("marker = {}", quoted(marker)));
    }
    line_of(&mut out, format_args!("columns = ["));
    for (index, column) in spec.columns.iter().enumerate() {
        let remark = remarks.columns.get(index).filter(|remark| !remark.is_empty());
        let remark = remark.map_or_else(String::new, |remark| format!("  # {remark}"));
        line_of(&mut out, format_args!("  {},{remark}", column_text(column)));
    }
    line_of(&mut out, format_args!("]"));
    if let Some(groups) = &spec.skills {
        line_of(&mut out, format_args!("skills = {}", skills_text(groups)));
    }
    let named = if spec.states == StateTable::rta_codes() {
        Some("rta-codes")
    } else {
        (spec.states == StateTable::cms_names()).then_some("cms-names")
    };
    if let Some(named) = named {
        line_of(&mut out, format_args!("states = {}", quoted(named)));
    }
    if spec.null != ["", "N/A"] {
        line_of(&mut out, format_args!("null = [{}]", list(&spec.null)));
    }
    if spec.extra_fields == ExtraFields::Ignore {
        line_of(&mut out, format_args!("extra_fields = \"ignore\""));
    }
    if named.is_none() {
        line_of(&mut out, format_args!("\n[layout.{}.states]", key(name)));
        for (code, state) in spec.states.rows() {
            let remark = remarks.states.iter().find(|(known, _)| known == code);
            let remark = remark.map_or_else(String::new, |(_, remark)| format!("  # {remark}"));
            line_of(&mut out, format_args!("{} = {}{remark}", quoted(code), quoted(&state_text(state))));
        }
    }
    if !spec.aux_reasons.rows().is_empty() {
        line_of(&mut out, format_args!("\n[layout.{}.aux_reasons]", key(name)));
        for (word, reason) in spec.aux_reasons.rows() {
            line_of(&mut out, format_args!("{} = {reason}", quoted(word)));
        }
    }
    if !spec.directions.rows().is_empty() {
        line_of(&mut out, format_args!("\n[layout.{}.directions]", key(name)));
        for (word, direction) in spec.directions.rows() {
            line_of(&mut out, format_args!("{} = {}", quoted(word), quoted(&direction.name().to_lowercase())));
        }
    }
    out
}

fn line_of(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

/// Returns the name that configuration has for an encoding.
pub(super) fn encoding_name(encoding: Encoding) -> &'static str {
    Encoding::NAMES.iter().find(|(_, known)| *known == encoding).map_or("utf-8", |(name, _)| name)
}

fn column_text(column: &ColumnSpec) -> String {
    let name = quoted(column.column.name());
    if column.place.is_none() && column.null.is_empty() && column.format.is_none() {
        return name;
    }
    let mut text = format!("{{ field = {name}");
    if let Some(place) = column.place {
        text.push_str(&format!(", at = {}, width = {}", place.at, place.width));
    }
    if !column.null.is_empty() {
        text.push_str(&format!(", null = [{}]", list(&column.null)));
    }
    if let Some(format) = &column.format {
        text.push_str(&format!(", format = {}", quoted(format)));
    }
    text.push_str(" }");
    text
}

fn skills_text(groups: &SkillGroups) -> String {
    let columns: Vec<String> = groups.columns.iter().map(column_text).collect();
    let repeat = match groups.repeat {
        Repeat::Times(times) => times.to_string(),
        Repeat::Rest => "\"rest\"".to_owned(),
    };
    let empty = groups.empty.as_ref().map_or_else(String::new, |empty| format!(", empty = {}", quoted(empty)));
    let at = groups.at.map_or_else(String::new, |at| format!(", at = {at}"));
    format!("{{ columns = [{}], repeat = {repeat}{empty}{at} }}", columns.join(", "))
}

/// Returns a state as configuration spells it.
pub(super) fn state_text(state: &StateCode) -> String {
    let mut text = state.mode.name().to_owned();
    if let Some(reason) = state.aux_reason {
        text.push_str(&format!(":{reason}"));
    }
    match state.direction {
        Direction::None => {}
        Direction::In => text.push_str(":in"),
        Direction::Out => text.push_str(":out"),
    }
    if state.on_hold {
        text.push_str(":hold");
    }
    text
}

fn list(texts: &[String]) -> String {
    texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

/// A name that needs no quotes stays as it is.
fn key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// Returns a string of TOML: in single quotes where backslashes would have to be doubled.
fn quoted(text: &str) -> String {
    let is_literal = text.contains('\\') && !text.contains('\'') && !text.chars().any(char::is_control);
    if is_literal {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Returns whether a column is worth a line of its own.
pub(super) const fn is_read(column: Column) -> bool {
    !matches!(column, Column::Ignored)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::wire::layout::{FieldPlace, builtin};
    use crate::wire::words::Words;

    /// The layout that a configuration with this text has.
    fn read(text: &str) -> LayoutSpec {
        let whole = format!(
            "[kafka]\nbootstrap_servers = \"k:9092\"\n[[integration]]\nid = \"a\"\nkind = \"avaya-cms\"\nacd = 1\n{text}"
        );
        let loaded = config::parse(&whole, Path::new("r.toml"), []);
        let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        let config = loaded.config.unwrap_or_else(|| panic!("{}\n{text}", problems.join("\n")));
        (*config.layouts["mine"]).clone()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let cisco = builtin::get("cisco-icm-20").unwrap();
        let plain = ColumnSpec::plain;
        let state = |text: &str| StateCode::parse(text).unwrap();
        let odd = LayoutSpec {
            encoding: Encoding::Windows1252,
            framing: Framing::Terminator(b"\x1e".to_vec()),
            max_record: 10_000,
            fields: FieldStyle::Separator(0xA7),
            quote: Some(b'"'),
            skip: vec![r"^\# it's".to_owned(), "^$".to_owned()],
            marker: Some(r"^END \d+$".to_owned()),
            columns: vec![
                plain(Column::LoginId),
                ColumnSpec { null: vec!["\"".to_owned()], ..plain(Column::State) },
                ColumnSpec { format: Some("%d.%m.%Y %H:%M:%S".to_owned()), ..plain(Column::StateStart) },
                plain(Column::AuxReason),
                plain(Column::Direction),
            ],
            states: StateTable::new([
                ("Gespr\u{e4}ch".to_owned(), state("ACD:in")),
                ("P".to_owned(), state("AUX:3:out:hold")),
            ]),
            aux_reasons: Words::new([("Zu Tisch".to_owned(), 4)]),
            directions: Words::new([("ein".to_owned(), Direction::In)]),
            null: vec!["-".to_owned()],
            extra_fields: ExtraFields::Ignore,
            skills: None,
        };
        let at = |column, at, width| ColumnSpec { place: Some(FieldPlace { at, width }), ..plain(column) };
        let fixed = LayoutSpec {
            framing: Framing::Length(64),
            fields: FieldStyle::FixedWidth,
            columns: vec![at(Column::LoginId, 0, 10), at(Column::State, 10, 5)],
            skills: Some(SkillGroups {
                columns: vec![at(Column::Skill, 0, 4), at(Column::Level, 4, 2)],
                repeat: Repeat::Rest,
                empty: None,
                at: Some(20),
            }),
            states: StateTable::cms_names(),
            ..cisco.clone()
        };
        for spec in [cisco, odd, fixed] {
            assert_eq!(read(&layout("mine", &spec, &Remarks::default())), spec);
        }
    }
}
