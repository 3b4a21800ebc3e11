//! Which lines are records, and what the others are: headers, comments, ends of snapshots.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::wire::lines::expression;

use super::class::Shape;
use super::feed::Line;
use super::separator::Counts;
use super::style::Style;

/// Lines of one text that are no records; numbers in the text may differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherLines {
    /// The first of them.
    pub example: String,
    /// A regular expression that matches them and no record.
    pub pattern: String,
    /// How many there are.
    pub count: usize,
    /// What they are for.
    pub role: Role,
}

/// What a line that is no record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The end of a snapshot.
    Marker,
    /// At the beginning of a snapshot or of the feed, or a comment anywhere.
    Header,
    /// Seldom and nowhere in particular: perhaps a record that is broken.
    Stray,
}

/// Returns which lines are records, in their order.
pub(super) fn records(lines: &[Line<'_>], style: &Style) -> Vec<bool> {
    let rows: Vec<Vec<&[u8]>> = lines.iter().map(|line| style.cells(line.bytes)).collect();
    let counts: Vec<usize> = rows.iter().map(Vec::len).collect();
    let Some(counts) = Counts::of(&counts) else { return vec![false; lines.len()] };
    let fits: Vec<bool> = rows
        .iter()
        .zip(lines)
        .map(|(row, line)| counts.has(row.len()) && !line.bytes.trim_ascii().is_empty())
        .collect();
    let columns = if style.fields.is_fixed() { style.places.len() } else { counts.least };
    let kinds: Vec<Option<Kind>> = (0..columns).map(|column| Kind::of(&rows, &fits, column)).collect();
    let with_digits = share(lines.iter().zip(&fits).filter(|(_, fits)| **fits).map(|(line, _)| has_digit(line.bytes)));
    let is_record = |((row, line), fits): ((&Vec<&[u8]>, &Line<'_>), &bool)| {
        *fits && kinds_agree(row, &kinds) && (with_digits < 0.9 || has_digit(line.bytes))
    };
    rows.iter().zip(lines).zip(&fits).map(is_record).collect()
}

/// What nearly all values of a column are.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// Numbers or times, where that is what they are.
    shape: Option<Shape>,
    /// Never nothing.
    is_always_there: bool,
}

impl Kind {
    fn of(rows: &[Vec<&[u8]>], fits: &[bool], column: usize) -> Option<Self> {
        let mut shapes: BTreeMap<Shape, usize> = BTreeMap::new();
        for (row, _) in rows.iter().zip(fits).filter(|(_, fits)| **fits) {
            *shapes.entry(row.get(column).map_or(Shape::Null, |cell| Shape::of(cell))).or_default() += 1;
        }
        let all: usize = shapes.values().sum();
        let nulls = shapes.remove(&Shape::Null).unwrap_or(0);
        let filled = all - nulls;
        let like = |shape: Shape| shapes.get(&shape).copied().unwrap_or(0);
        // Of a few agents, a line in three may be a header.
        let is_mostly = |count: usize| filled > 0 && count * 5 >= filled * 3;
        let shape = if is_mostly(like(Shape::Number)) {
            Some(Shape::Number)
        } else {
            is_mostly(like(Shape::Number) + like(Shape::Time)).then_some(Shape::Time)
        };
        (all > 0).then_some(Self { shape, is_always_there: nulls * 4 <= all })
    }
}

/// Whether a line has numbers where the others do, and something where the others always have.
fn kinds_agree(row: &[&[u8]], kinds: &[Option<Kind>]) -> bool {
    let (mut asked, mut wrong) = (0, 0);
    for (column, kind) in kinds.iter().enumerate() {
        let Some(kind) = kind else { continue };
        let shape = row.get(column).map_or(Shape::Null, |cell| Shape::of(cell));
        if kind.is_always_there || (kind.shape.is_some() && shape != Shape::Null) {
            asked += 1;
            let is_missing = kind.is_always_there && shape == Shape::Null;
            let is_other = match kind.shape {
                Some(Shape::Number) => matches!(shape, Shape::Text | Shape::Marks | Shape::Time),
                Some(_) => matches!(shape, Shape::Text | Shape::Marks),
                None => false,
            };
            wrong += usize::from(is_missing || is_other);
        }
    }
    asked == 0 || wrong * 2 < asked || (asked == 1 && wrong == 0)
}

fn has_digit(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_digit)
}

fn share(all: impl Iterator<Item = bool>) -> f64 {
    let (mut yes, mut count) = (0, 0);
    for one in all {
        yes += usize::from(one);
        count += 1;
    }
    yes as f64 / f64::from(count.max(1))
}

/// Where a line that is no record stands.
#[derive(Clone, Copy, Debug, Default)]
struct Stands {
    count: usize,
    /// Directly, or behind others of its kind, at the beginning of a burst.
    first: usize,
    /// At the end of one.
    last: usize,
    /// In a run of such lines between two records, or before the first or after the last one.
    before_all: bool,
    after_all: bool,
}

/// Returns what the lines that are no records are.
pub(super) fn others(lines: &[Line<'_>], is_record: &[bool], has_times: bool) -> Vec<OtherLines> {
    let mut kinds: BTreeMap<Vec<u8>, (Vec<usize>, Stands)> = BTreeMap::new();
    let records: Vec<usize> = (0..lines.len()).filter(|index| is_record.get(*index) == Some(&true)).collect();
    for index in (0..lines.len()).filter(|index| is_record.get(*index) == Some(&false)) {
        let Some(line) = lines.get(index) else { continue };
        let (examples, stands) = kinds.entry(template(line.bytes)).or_default();
        examples.push(index);
        let after = records.partition_point(|record| *record < index);
        let before = after.checked_sub(1).and_then(|before| lines.get(*records.get(before)?));
        let next = records.get(after).and_then(|next| lines.get(*next));
        let is_same = |other: &Line<'_>| other.burst == line.burst && other.connection == line.connection;
        stands.count += 1;
        stands.first += usize::from(!before.is_some_and(is_same) && next.is_some_and(is_same));
        stands.last += usize::from(before.is_some_and(is_same) && !next.is_some_and(is_same));
        stands.before_all |= before.is_none();
        stands.after_all |= next.is_none();
    }
    let bursts = lines.last().map_or(0, |line| line.burst + 1);
    let mut found: Vec<OtherLines> = Vec::new();
    let texts: Vec<&[u8]> = records.iter().take(2_000).filter_map(|index| Some(lines.get(*index)?.bytes)).collect();
    for (indices, stands) in kinds.values() {
        let examples: Vec<&[u8]> = indices.iter().filter_map(|index| Some(lines.get(*index)?.bytes)).collect();
        let Some(example) = examples.first() else { continue };
        let role = if has_times && bursts > 1 {
            if stands.last * 2 > stands.count && stands.count * 2 >= bursts {
                Role::Marker
            } else if stands.first * 2 > stands.count || (stands.count >= 2 && is_comment(example)) || stands.before_all
            {
                Role::Header
            } else {
                Role::Stray
            }
        } else if stands.after_all && !stands.before_all {
            Role::Marker
        } else if stands.before_all || stands.count >= 2 {
            Role::Header
        } else {
            Role::Stray
        };
        let example = String::from_utf8_lossy(example).into_owned();
        found.push(OtherLines { example, pattern: pattern(&examples, &texts), count: stands.count, role });
    }
    found.sort_by_key(|other| Reverse(other.count));
    keep_one_marker(&mut found);
    found
}

/// Of several lines at the end of each snapshot one is enough: a text rather than an empty line, and the most frequent one.
fn keep_one_marker(found: &mut [OtherLines]) {
    let markers = found.iter().enumerate().filter(|(_, other)| other.role == Role::Marker);
    let best = markers.max_by_key(|(_, other)| (!other.example.trim().is_empty(), other.count)).map(|(index, _)| index);
    for (index, other) in found.iter_mut().enumerate() {
        if other.role == Role::Marker && Some(index) != best {
            other.role = Role::Header;
        }
    }
}

fn is_comment(line: &[u8]) -> bool {
    line.is_empty() || matches!(line.first(), Some(b'#' | b';' | b'*' | b'-' | b'=' | b'!' | b'/' | b'%'))
}

/// Returns the line with its numbers replaced, so that lines with the time or a counter in them are one kind.
fn template(line: &[u8]) -> Vec<u8> {
    let mut template = Vec::with_capacity(line.len());
    for byte in line.trim_ascii_end() {
        match byte {
            b'0'..=b'9' if template.last() == Some(&b'0') => {}
            b'0'..=b'9' => template.push(b'0'),
            other => template.push(*other),
        }
    }
    template
}

/// Returns an expression for these lines: their text if they are all the same, else what they begin with, else their form.
/// None of `records` matches it.
fn pattern(examples: &[&[u8]], records: &[&[u8]]) -> String {
    let first = examples.first().copied().unwrap_or_default().trim_ascii_end();
    let is_padded = examples.iter().any(|example| example.len() > example.trim_ascii_end().len());
    let all_same = examples.iter().all(|example| example.trim_ascii_end() == first);
    let end = if is_padded { " *$" } else { "$" };
    let common =
        examples.iter().map(|example| example.iter().zip(first).take_while(|(one, other)| one == other).count());
    let common = common.min().unwrap_or(0).min(first.len());
    let prefix = first.get(..common).unwrap_or_default();
    let digits_at = prefix.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |at| at + 1);
    let prefix = prefix.get(..digits_at).unwrap_or_default().trim_ascii_end();
    let whole = format!("^{}{end}", escaped(first));
    let begins = format!("^{}", escaped(prefix));
    let form = format!("^{}{end}", with_numbers(first));
    let is_apart = |pattern: &String| {
        let Ok(expression) = expression(pattern) else { return false };
        let reaches = examples.iter().all(|example| expression.is_match(example));
        reaches && !records.iter().any(|record| expression.is_match(record))
    };
    let candidates = if all_same { [whole, begins, form.clone()] } else { [begins, whole, form.clone()] };
    candidates.into_iter().filter(|pattern| pattern != "^").find(is_apart).unwrap_or(form)
}

/// Returns `text` as an expression that matches it; what is not ASCII as bytes.
fn escaped(text: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'\\' | b'.' | b'+' | b'*' | b'?' | b'(' | b')' | b'|' | b'[' | b']' | b'{' | b'}' | b'^' | b'$' => {
            format!("\\{}", char::from(*byte))
        }
        b' '..=b'~' => char::from(*byte).to_string(),
        other => format!("\\x{other:02x}"),
    };
    text.iter().map(one).collect()
}

/// The same with any numbers.
fn with_numbers(text: &[u8]) -> String {
    let mut pattern = String::new();
    for part in text.chunk_by(|one, other| one.is_ascii_digit() == other.is_ascii_digit()) {
        if part.first().is_some_and(u8::is_ascii_digit) {
            pattern.push_str("[0-9]+");
        } else {
            pattern.push_str(&escaped(part));
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8], burst: usize) -> Line<'_> {
        Line { bytes, at: None, connection: 0, burst, offset: 0 }
    }

    #[test]
    fn headers_and_ends_are_told_from_records() {
        let text: [&[u8]; 10] = [
            b"# report 17",
            b"Login|State|Time",
            b"301204|ACD|12",
            b"301205|AUX|3",
            b"END",
            b"# report 18",
            b"Login|State|Time",
            b"301204|ACD|15",
            b"301205|AUX|6",
            b"END",
        ];
        let lines: Vec<_> = text.iter().enumerate().map(|(index, text)| line(text, index / 5)).collect();
        let is_record = records(&lines, &Style::separated(b'|', None));
        let numbers: Vec<usize> = (0..10).filter(|index| is_record[*index]).collect();
        assert_eq!(numbers, [2, 3, 7, 8]);
        for has_times in [true, false] {
            let found = others(&lines, &is_record, has_times);
            let mut seen: Vec<_> =
                found.iter().map(|other| (other.pattern.as_str(), other.count, other.role)).collect();
            seen.sort_by_key(|other| other.0);
            let expected = [
                ("^# report", 2, Role::Header),
                ("^END$", 2, Role::Marker),
                (r"^Login\|State\|Time$", 2, Role::Header),
            ];
            assert_eq!(seen, expected, "{has_times}");
        }
    }

    type Case<'a> = (&'a [&'a [u8]], &'a [&'a [u8]], &'a str);

    #[test]
    fn patterns_do_not_match_records() {
        let cases: [Case<'_>; 4] = [
            (&[b"END"], &[b"301"], "^END$"),
            (&[b"end 17", b"end 18"], &[b"301"], "^end"),
            (&[b"3 rows", b"4 rows"], &[b"3 ACD"], "^[0-9]+ rows$"),
            (&[b"Gespr\xE4ch"], &[b"301"], "^Gespr\\xe4ch$"),
        ];
        for (examples, records, expected) in cases {
            assert_eq!(pattern(examples, records), expected);
        }
    }
}
