//! What a feed of a layout sends: mostly records of that layout, with values that mean something, and now and then
//! anything.

use arbitrary::{Result, Unstructured};
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rtalink::wire::layout::{Column, ColumnSpec, FieldStyle, Framing, LayoutSpec, Repeat};

/// Agents of a feed: few, so that they come again.
const LOGINS: [&str; 12] =
    ["301204", "301205", "0471", "471", "7", "ä", "a b", "\"x", "\u{a0}471", "7 ", "4\u{200b}71", "\u{feff}7"];

/// Local times around the changes of the clocks in the zones of layouts.
const LOCAL: [&str; 9] = [
    "2026-10-25 02:30:00",
    "2026-03-29 02:30:00",
    "2026-03-29 01:59:59",
    "2026-04-05 01:45:00",
    "2026-10-04 02:15:00",
    "2026-01-05 09:00:00",
    "2026-01-05 23:59:58",
    "2026-01-06 00:00:03",
    "2026-12-31 12:00:00",
];

/// Values of any column.
const ODD: [&str; 14] = [
    "",
    "0",
    "N/A",
    "-",
    "NULL",
    " ",
    "\t",
    "\"",
    "99999999999999999999",
    "4294967296",
    "-1",
    "é",
    "\u{20ac}",
    "x\"\"y",
];

/// One record, its end left out.
///
/// # Errors
/// Where the input cannot say so many things.
pub fn record(u: &mut Unstructured<'_>, layout: &LayoutSpec) -> Result<Vec<u8>> {
    if u.ratio(1_u8, 24_u8)? {
        let length = u.int_in_range(0..=40)?;
        return Ok(u.bytes(usize::min(length, u.len()))?.to_vec());
    }
    if u.ratio(1_u8, 24_u8)? {
        return Ok(u.choose(&[&b"END"[..], b"", b"#", b"-", b"END 5", b"5"])?.to_vec());
    }
    let mut fields = Vec::new();
    for column in &layout.columns {
        fields.push((column, field(u, layout, column.column, column.format.as_deref())?));
    }
    if let Some(groups) = &layout.skills {
        let times = match groups.repeat {
            Repeat::Times(times) if !u.ratio(1_u8, 8_u8)? => times,
            _ => u.int_in_range(0..=6)?,
        };
        let at = groups.at.unwrap_or_else(|| end_of(&layout.columns));
        let width = end_of(&groups.columns);
        let mut record = join(u, layout, fields)?;
        for number in 0..times {
            let mut group = Vec::new();
            for column in &groups.columns {
                group.push((column, field(u, layout, column.column, None)?));
            }
            if layout.fields.is_fixed() {
                let base = at + number * width;
                group.iter().for_each(|(column, value)| put(&mut record, base, column, value));
            } else {
                record.extend(gap(u, layout)?);
                record.extend(join(u, layout, group)?);
            }
        }
        return finish(u, layout, record);
    }
    let record = join(u, layout, fields)?;
    finish(u, layout, record)
}

/// The end of a record.
pub fn end(layout: &LayoutSpec) -> &[u8] {
    match &layout.framing {
        Framing::Terminator(end) => end,
        Framing::Length(_) => b"",
    }
}

/// Several records with their ends. A record may come again as it was, or with one byte changed.
///
/// # Errors
/// Where the input cannot say so many things.
pub fn records(u: &mut Unstructured<'_>, layout: &LayoutSpec, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut last = Vec::new();
    if u.ratio(1_u8, 8_u8)? {
        bytes.extend_from_slice(u.choose(&[&b"\xef\xbb\xbf"[..], b"\xef\xbb", b"\xef\xbb\xbf\x0c", b"\x0c"])?);
    }
    for _ in 0..u.int_in_range(1..=most)? {
        if u.ratio(1_u8, 16_u8)? {
            bytes.push(b'\x0c');
        }
        if last.is_empty() || u.ratio(2_u8, 3_u8)? {
            last = record(u, layout)?;
        } else if u.arbitrary()? {
            let at = u.choose_index(last.len())?;
            last[at] = u.arbitrary()?;
        }
        bytes.extend_from_slice(&last);
        bytes.extend_from_slice(end(layout));
    }
    if u.ratio(1_u8, 6_u8)? {
        let torn = u.int_in_range(0..=bytes.len())?;
        bytes.truncate(torn);
    }
    Ok(bytes)
}

fn end_of(columns: &[ColumnSpec]) -> usize {
    columns.iter().filter_map(|column| column.place).map(|place| place.at + place.width).max().unwrap_or(0)
}

fn put(record: &mut Vec<u8>, base: usize, column: &ColumnSpec, value: &[u8]) {
    let Some(place) = column.place else { return };
    let from = base + place.at;
    if record.len() < from + place.width {
        record.resize(from + place.width, b' ');
    }
    for (to, byte) in record[from..from + place.width].iter_mut().zip(value) {
        *to = *byte;
    }
}

fn gap(u: &mut Unstructured<'_>, layout: &LayoutSpec) -> Result<Vec<u8>> {
    Ok(match layout.fields {
        FieldStyle::Separator(byte) => vec![byte],
        FieldStyle::Whitespace | FieldStyle::FixedWidth | FieldStyle::FixedCharacters => {
            (*u.choose(&[" ", " ", "  ", "\t", " \t "])?).into()
        }
    })
}

fn join(u: &mut Unstructured<'_>, layout: &LayoutSpec, fields: Vec<(&ColumnSpec, Vec<u8>)>) -> Result<Vec<u8>> {
    let mut record = Vec::new();
    for (number, (column, value)) in fields.into_iter().enumerate() {
        if layout.fields.is_fixed() {
            put(&mut record, 0, column, &value);
            continue;
        }
        if number > 0 {
            record.extend(gap(u, layout)?);
        }
        match layout.quote {
            Some(quote) if u.ratio(1_u8, 3_u8)? => {
                record.push(quote);
                for byte in value {
                    record.push(byte);
                    if byte == quote && u.ratio(7_u8, 8_u8)? {
                        record.push(quote);
                    }
                }
                record.push(quote);
            }
            _ => record.extend(value),
        }
    }
    Ok(record)
}

fn finish(u: &mut Unstructured<'_>, layout: &LayoutSpec, mut record: Vec<u8>) -> Result<Vec<u8>> {
    if u.ratio(1_u8, 16_u8)? {
        record.extend(gap(u, layout)?);
    }
    if let Framing::Length(length) = layout.framing
        && !u.ratio(1_u8, 16_u8)?
    {
        record.resize(length, b' ');
    }
    Ok(record)
}

fn field(u: &mut Unstructured<'_>, layout: &LayoutSpec, column: Column, format: Option<&str>) -> Result<Vec<u8>> {
    if u.ratio(1_u8, 32_u8)? {
        return encoded(layout, u.choose(&ODD)?);
    }
    let text: &str = match column {
        Column::LoginId => u.choose(&LOGINS)?,
        Column::State => {
            let rows = layout.states.rows();
            match rows.is_empty() || u.ratio(1_u8, 16_u8)? {
                true => "95",
                false => &rows[u.choose_index(rows.len())?].0,
            }
        }
        Column::Timestamp | Column::StateStart if format.is_some() => {
            return local(u, layout, format.unwrap_or_default());
        }
        Column::Timestamp | Column::StateStart => {
            return Ok((1_767_599_990_u64 + u.int_in_range(0..=30)?).to_string().into_bytes());
        }
        Column::Duration => u.choose(&[
            "0",
            "3",
            "4",
            "6",
            "15",
            "75",
            "1:15",
            ":45",
            "  :45",
            "01:00:05",
            "4294967295",
            "4294967295:59:59",
        ])?,
        Column::Direction => u.choose(&["in", "OUT", "none", "0", "1", "2", "ein", "ohne"])?,
        Column::OnHold => u.choose(&["0", "1", "Y", "n"])?,
        Column::Acd => u.choose(&["1", "1", "2"])?,
        Column::AuxReason => u.choose(&["0", "3", "4", "99", "7", "Pause", "ä", "a b"])?,
        Column::Skill | Column::WorkSplit => u.choose(&["232", "240", "0", "9", "Sü"])?,
        Column::Level => u.choose(&["1", "16", "51", "0", "99", "100"])?,
        Column::Name => u.choose(&["Ada", "Bo", "Müller, A", "ß\"", ""])?,
        Column::Extension | Column::Role | Column::Location | Column::LogoutReason | Column::Ignored => {
            u.choose(&["801326", "", "0", "Zürich", "x y"])?
        }
    };
    encoded(layout, text)
}

/// One of the local times in that format. A blank of a format stands for any number of them.
fn local(u: &mut Unstructured<'_>, layout: &LayoutSpec, format: &str) -> Result<Vec<u8>> {
    let local: DateTime = u.choose(&LOCAL)?.parse().unwrap_or_else(|_| unreachable!("they are times"));
    let shift = SignedDuration::from_secs(u.int_in_range(-5..=5)?);
    let zone = TimeZone::fixed(jiff::tz::offset(u.int_in_range(0..=2)?));
    let written = local.checked_add(shift).and_then(|local| local.to_zoned(zone));
    let mut text = written.map(|zoned| zoned.strftime(format).to_string()).unwrap_or_default();
    if u.ratio(1_u8, 32_u8)? {
        text = text.replace(' ', &" ".repeat(300));
    }
    encoded(layout, &text)
}

/// In the layout's encoding, or as UTF-8 where that does not have it.
fn encoded(layout: &LayoutSpec, text: &str) -> Result<Vec<u8>> {
    Ok(layout.encoding.encode(text).unwrap_or_else(|_| text.as_bytes().to_vec()))
}
