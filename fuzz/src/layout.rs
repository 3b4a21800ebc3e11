//! A layout, from bytes or from text.

use std::path::Path;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use rtalink::config;
use rtalink::wire::encoding::Encoding;
use rtalink::wire::layout::{
    Column, ColumnSpec, ExtraFields, FieldPlace, FieldStyle, Framing, LayoutSpec, Repeat, SkillGroups, builtin,
};
use rtalink::wire::states::{Direction, Mode, StateTable};
use rtalink::wire::words::Words;

/// Zones of civil times: with a change of the clocks, without, and with one of half an hour.
pub const ZONES: [&str; 3] = ["Europe/Berlin", "UTC", "Australia/Lord_Howe"];

/// What stands around a layout that is text.
const AROUND: &str = r#"
[kafka]
bootstrap_servers = "embedded"
[[integration]]
id = "case"
kind = "avaya-cms"
acd = 1
time_zone = "Europe/Berlin"
[integration.realtime]
port = 7001
bind = "127.0.0.1"
layout = "case"
snapshot_end = "idle"
[layout.case]
"#;

/// The layout and the feed of an input that is text; `None` where it is none, or no valid layout.
pub fn from_text(input: &[u8]) -> Option<(Arc<LayoutSpec>, &[u8])> {
    let end = input.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(input.get(..end)?).ok()?;
    let loaded = config::parse(&format!("{AROUND}{text}"), Path::new("case.toml"), []);
    let layout = loaded.config?.layouts.get("case")?.clone();
    Some((layout, input.get(end + 1..)?))
}

/// Any layout that a configuration could have; most of them compile.
///
/// # Errors
/// Where the input cannot say so many things.
pub fn arbitrary(u: &mut Unstructured<'_>) -> Result<LayoutSpec> {
    if u.ratio(1_u8, 16_u8)? {
        return Ok(builtin::get(u.choose(&builtin::NAMES)?).unwrap_or_else(|| unreachable!("a name of theirs")));
    }
    let fields = match u.int_in_range(0..=4)? {
        0 => FieldStyle::Whitespace,
        1 => FieldStyle::FixedWidth,
        4 => FieldStyle::FixedCharacters,
        2 => FieldStyle::Separator(*u.choose(b"|;,\t :\xA7\x0C")?),
        _ => FieldStyle::Separator(u.arbitrary()?),
    };
    let is_fixed = fields.is_fixed();
    let max_record = if u.ratio(1_u8, 4_u8)? { u.int_in_range(1..=64)? } else { 4 * 1024 };
    let framing = framing(u, max_record)?;
    let taken = |byte: u8| {
        byte == b' '
            || byte == b'\t'
            || fields == FieldStyle::Separator(byte)
            || matches!(&framing, Framing::Terminator(end) if end.contains(&byte))
    };
    let quote = Some(*u.choose(b"\"'q0")?).filter(|byte| !is_fixed && !taken(*byte));
    let quote = if u.ratio(1_u8, 2_u8)? { quote } else { None };
    let mut places = Places { is_fixed, next: 0 };
    let has_rows = u.ratio(1_u8, 6_u8)?;
    let mut columns =
        columns(u, has_rows)?.into_iter().map(|column| spec(u, column, &mut places)).collect::<Result<Vec<_>>>()?;
    if is_fixed && u.ratio(1_u8, 4_u8)? {
        // Places may overlap and stand in any order.
        columns.reverse();
    }
    let skills = if !has_rows && u.ratio(1_u8, 2_u8)? { Some(groups(u, &places)?) } else { None };
    let patterns = ["^#", "^$", "^END$", "^END", r"\bEND\b", "^-", "^[0-9]$"];
    Ok(LayoutSpec {
        encoding: Encoding::NAMES[u.choose_index(Encoding::NAMES.len())?].1,
        framing,
        max_record,
        fields,
        quote,
        skip: if u.ratio(1_u8, 3_u8)? { vec![(*u.choose(&patterns)?).to_owned()] } else { Vec::new() },
        marker: if u.ratio(1_u8, 3_u8)? { Some((*u.choose(&patterns)?).to_owned()) } else { None },
        columns,
        skills,
        states: states(u)?,
        aux_reasons: words(u, &[("Pause", 3), ("ä", 4), ("7", 8), ("a b", u32::MAX)])?,
        directions: words(u, &[("ein", Direction::In), ("1", Direction::In), ("ohne", Direction::None)])?,
        null: nulls(u)?,
        extra_fields: if u.arbitrary()? { ExtraFields::Error } else { ExtraFields::Ignore },
    })
}

fn framing(u: &mut Unstructured<'_>, max_record: usize) -> Result<Framing> {
    Ok(match u.int_in_range(0..=5)? {
        0 | 1 => Framing::Terminator(b"\n".to_vec()),
        2 => Framing::Terminator(b"\r\n".to_vec()),
        // Some overlap themselves.
        3 => Framing::Terminator(u.choose(&[&b"##"[..], b"\n\n", b"aba", b"\x03", b"\n-\n"])?.to_vec()),
        4 => {
            let length = u.int_in_range(1..=4)?;
            Framing::Terminator(u.bytes(length.min(u.len()))?.to_vec())
        }
        _ => Framing::Length(u.int_in_range(1..=max_record.min(96))?),
    })
}

/// Login id and state, and what else the fuzzer wants, in any order; no column but `-` twice.
fn columns(u: &mut Unstructured<'_>, has_rows: bool) -> Result<Vec<Column>> {
    let mut columns = vec![Column::LoginId, Column::State];
    let wanted: u32 = u.arbitrary()?;
    for (index, (_, column)) in Column::NAMES.iter().enumerate().skip(2) {
        let is_of_rows = matches!(column, Column::Skill | Column::Level);
        if wanted >> index & 1 == 1 && !is_of_rows {
            columns.push(*column);
        }
    }
    if has_rows {
        columns.push(Column::Skill);
        if u.arbitrary()? {
            columns.push(Column::Level);
        }
    }
    for last in (1..columns.len()).rev() {
        columns.swap(last, u.int_in_range(0..=last)?);
    }
    Ok(columns)
}

struct Places {
    is_fixed: bool,
    next: usize,
}

impl Places {
    fn place(&mut self, u: &mut Unstructured<'_>) -> Result<Option<FieldPlace>> {
        if !self.is_fixed {
            return Ok(None);
        }
        let width = u.int_in_range(1..=12)?;
        let at = if u.ratio(1_u8, 8_u8)? { u.int_in_range(0..=20)? } else { self.next };
        self.next = self.next.max(at + width);
        Ok(Some(FieldPlace { at, width }))
    }
}

fn spec(u: &mut Unstructured<'_>, column: Column, places: &mut Places) -> Result<ColumnSpec> {
    let formats = [
        "%d.%m.%Y %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y%m%d%H%M%S",
        "%H:%M:%S",
        "%H:%M",
        "%H%M%z",
        "%s",
        "%F %T %z",
        "%F %T %Q",
        "%c",
    ];
    let format = matches!(column, Column::Timestamp | Column::StateStart) && u.arbitrary()?;
    Ok(ColumnSpec {
        column,
        null: if u.ratio(1_u8, 4_u8)? { nulls(u)? } else { Vec::new() },
        place: places.place(u)?,
        format: if format { Some((*u.choose(&formats)?).to_owned()) } else { None },
    })
}

fn groups(u: &mut Unstructured<'_>, before: &Places) -> Result<SkillGroups> {
    let shapes: [&[Column]; 4] = [
        &[Column::Skill, Column::Level],
        &[Column::Level, Column::Skill],
        &[Column::Skill],
        &[Column::Ignored, Column::Skill, Column::Ignored, Column::Level],
    ];
    let shape: &[Column] = u.choose(&shapes)?;
    let mut places = Places { is_fixed: before.is_fixed, next: 0 };
    Ok(SkillGroups {
        columns: shape.iter().map(|column| spec(u, *column, &mut places)).collect::<Result<_>>()?,
        repeat: if u.arbitrary()? { Repeat::Rest } else { Repeat::Times(u.int_in_range(1..=20)?) },
        empty: if u.arbitrary()? { Some((*u.choose(&["0", "", "-"])?).to_owned()) } else { None },
        at: if before.is_fixed && u.ratio(1_u8, 4_u8)? { Some(u.int_in_range(0..=60)?) } else { None },
    })
}

fn nulls(u: &mut Unstructured<'_>) -> Result<Vec<String>> {
    let sets: [&[&str]; 5] = [&["", "N/A"], &[], &[""], &["0", "-", "ä"], &["N/A", "NULL", "0"]];
    Ok(u.choose(&sets)?.iter().map(|text| (*text).to_owned()).collect())
}

/// Some of the words, from the front.
fn words<T: Copy>(u: &mut Unstructured<'_>, all: &[(&str, T)]) -> Result<Words<T>> {
    let count = u.int_in_range(0..=all.len())?;
    Ok(Words::new(all[..count].iter().map(|(word, meaning)| ((*word).to_owned(), *meaning))))
}

fn states(u: &mut Unstructured<'_>) -> Result<StateTable> {
    Ok(match u.int_in_range(0..=3)? {
        0 | 1 => StateTable::rta_codes(),
        2 => StateTable::cms_names(),
        _ => {
            let codes = Mode::ALL.map(|mode| format!("{mode}"));
            let mut rows: Vec<_> = codes.iter().map(|name| (name.to_lowercase(), name.clone())).collect();
            rows.push(("ä|b\"".to_owned(), "AUX:3".to_owned()));
            rows.push(("32".to_owned(), "ACD:in".to_owned()));
            let parsed = rows.into_iter().filter_map(|(code, text)| {
                rtalink::wire::states::StateCode::parse(&text).ok().map(|state| (code, state))
            });
            StateTable::new(parsed)
        }
    })
}
