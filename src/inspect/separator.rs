//! What separates fields: a byte, or blanks.
//!
//! The separator is in every record, equally often or, with skill groups that end early, in equal steps; and what it
//! separates is of one kind in each column. Several bytes may pass, such as the colons of durations. So this only ranks
//! candidates; [`super::inspect`] tries the best ones.

use std::collections::BTreeMap;

use crate::wire::layout::FieldStyle;

use super::class::{Class, Shape};
use super::finding::{Finding, percent};
use super::style::Style;

/// How separated records look with one candidate.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The way to take records apart, with the evidence.
    pub(super) style: Finding<Style>,
    /// It fits nearly every line, and nothing else could explain it.
    pub(super) is_clear: bool,
    score: f64,
}

/// The numbers of fields that records have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// The fewest.
    pub(super) least: usize,
    /// The most.
    pub(super) most: usize,
    /// What numbers differ by; 0: they do not.
    pub(super) step: usize,
    /// How many lines have one of these.
    pub(super) fitting: usize,
}

impl Counts {
    /// Finds the numbers that `counts` have in common; those of few lines are no records.
    pub(super) fn of(counts: &[usize]) -> Option<Self> {
        let mut histogram: BTreeMap<usize, usize> = BTreeMap::new();
        for count in counts.iter().filter(|count| **count > 1) {
            *histogram.entry(*count).or_default() += 1;
        }
        let all: usize = histogram.values().sum();
        let (&usual, &share) = histogram.iter().max_by_key(|(_, share)| **share)?;
        if share * 10 >= all * 9 {
            return Some(Self { least: usual, most: usual, step: 0, fitting: share });
        }
        let frequent: Vec<usize> =
            histogram.iter().filter(|(_, share)| **share * 100 >= all).map(|(count, _)| *count).collect();
        let step = frequent.windows(2).map(|pair| pair[1] - pair[0]).min()?;
        // Headers have other numbers: the chain of steps that has the usual number counts.
        let in_chain = |count: &&usize| count.abs_diff(usual).is_multiple_of(step);
        let chain: Vec<usize> = frequent.iter().filter(in_chain).copied().collect();
        let position = chain.iter().position(|count| *count == usual)?;
        let is_near = |pair: &[usize]| pair[1] - pair[0] <= 2 * step;
        let below = chain.get(..=position)?.windows(2).rev().take_while(|pair| is_near(pair)).count();
        let above = chain.get(position..)?.windows(2).take_while(|pair| is_near(pair)).count();
        let (least, most) = (*chain.get(position - below)?, *chain.get(position + above)?);
        let counts = Self { least, most, step, fitting: 0 };
        let fitting = histogram.iter().filter(|(count, _)| counts.has(**count)).map(|(_, share)| share).sum();
        Some(Self { fitting, ..counts })
    }

    /// Whether a record may have so many fields.
    pub(super) const fn has(&self, count: usize) -> bool {
        count >= self.least
            && if self.step == 0 {
                count == self.least
            } else {
                (count - self.least).is_multiple_of(self.step) && count <= self.most + 8 * self.step
            }
    }
}

/// Returns the candidates, the best one first.
pub(super) fn candidates(lines: &[&[u8]]) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let bytes = (0..=u8::MAX).filter(|byte| may_separate(*byte, lines));
    let styles = bytes.map(FieldStyle::Separator).chain([FieldStyle::Whitespace]);
    for fields in styles {
        let with_quotes = [None, Some(b'"'), Some(b'\'')].into_iter();
        let of_style = with_quotes.filter_map(|quote| candidate(lines, fields, quote));
        // Quotes that open and close around fields are quotes, if they do no harm.
        let is_as_good = |best: &Candidate, other: &Candidate| match best.style.value.quote {
            None => other.score > best.score * 0.99,
            Some(_) => other.score > best.score * 1.01,
        };
        let best = of_style.reduce(|best, other| if is_as_good(&best, &other) { other } else { best });
        found.extend(best);
    }
    found.sort_by(|one, other| other.score.total_cmp(&one.score));
    found
}

/// Whether it occurs in most lines and is no part of a word.
fn may_separate(byte: u8, lines: &[&[u8]]) -> bool {
    let is_word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'"' | b'\'' | 0);
    let having = lines.iter().filter(|line| line.contains(&byte)).count();
    !is_word && having * 5 >= lines.len() * 3
}

/// How likely a byte separates, before anything is seen.
const fn usual(fields: FieldStyle) -> f64 {
    match fields {
        FieldStyle::Separator(b'\t' | b'|' | b';' | b',' | 0x01 | 0x1c..=0x1f) => 1.0,
        FieldStyle::Separator(b'^' | b'~' | b'!' | b'#' | b'$' | b'%' | b'&' | b'*' | b'@' | 0xA7) => 0.9,
        FieldStyle::Whitespace => 0.85,
        FieldStyle::Separator(b' ') => 0.8,
        FieldStyle::Separator(b':' | b'/' | b'=') => 0.6,
        FieldStyle::Separator(_) | FieldStyle::FixedWidth | FieldStyle::FixedCharacters => 0.4,
    }
}

fn candidate(lines: &[&[u8]], fields: FieldStyle, quote: Option<u8>) -> Option<Candidate> {
    let style = match fields {
        FieldStyle::Separator(byte) => Style::separated(byte, quote),
        FieldStyle::Whitespace => Style::whitespace(quote),
        FieldStyle::FixedWidth | FieldStyle::FixedCharacters => return None,
    };
    let rows: Vec<Vec<&[u8]>> = lines.iter().map(|line| style.cells(line)).collect();
    let counts: Vec<usize> = rows.iter().map(Vec::len).collect();
    let separated = counts.iter().filter(|count| **count > 1).count();
    let counts = Counts::of(&counts)?;
    let fitting = counts.fitting as f64 / separated.max(1) as f64;
    let covered = separated as f64 / lines.len().max(1) as f64;
    let fit_rows: Vec<&Vec<&[u8]>> = rows.iter().filter(|row| counts.has(row.len())).collect();
    let purity = purity(&fit_rows, counts.least);
    let marks =
        fit_rows.iter().map(|row| row.iter().filter(|cell| Shape::of(cell) == Shape::Marks).count()).sum::<usize>();
    let fields_per_row = fit_rows.iter().map(|row| row.len()).sum::<usize>() as f64 / fit_rows.len().max(1) as f64;
    let useful = fields_per_row - marks as f64 / fit_rows.len().max(1) as f64;
    let is_quoted = quote.is_some_and(|quote| {
        let (opened, closed) = quotes(lines, &style, quote);
        closed > 0 && closed * 20 >= opened * 19
    });
    if quote.is_some() && !is_quoted {
        return None;
    }
    // Padding looks like many empty fields: single blanks separate only where there are few.
    let nulls = fit_rows.iter().map(|row| row.iter().filter(|cell| cell.is_empty()).count()).sum::<usize>() as f64;
    let is_padding = fields == FieldStyle::Separator(b' ')
        && (counts.step > 0 || nulls > 0.3 * fields_per_row * fit_rows.len() as f64);
    // As many fields as there are words is what any text has.
    let is_text =
        fields == FieldStyle::Whitespace && counts.step == 1 && (purity < 0.98 || counts.most < counts.least + 4);
    if is_padding || is_text {
        return None;
    }
    let in_place = is_in_place(lines, fields);
    let place = if in_place && usual(fields) < 0.8 { 0.3 } else { 1.0 };
    let place = if is_within_times(lines, fields) { place * 0.4 } else { place };
    let variable = if counts.step == 0 { 1.0 } else { 0.9 };
    let score =
        usual(fields) * fitting.powi(2) * covered.sqrt() * purity.powi(3) * (1.0 + useful).ln() * variable * place;
    let name = match fields {
        FieldStyle::Whitespace => "blanks".to_owned(),
        FieldStyle::Separator(byte) if byte.is_ascii_graphic() => format!("{:?}", char::from(byte)),
        FieldStyle::Separator(byte) => format!("0x{byte:02x}"),
        FieldStyle::FixedWidth | FieldStyle::FixedCharacters => String::new(),
    };
    let number = match counts.step {
        0 => format!("{} fields", counts.least),
        step => format!("{} to {} fields in steps of {step}", counts.least, counts.most),
    };
    let quoted = quote.filter(|_| is_quoted).map_or_else(String::new, |quote| {
        format!("; {} fields are in {}", quotes(lines, &style, quote).1, char::from(quote))
    });
    let evidence = format!(
        "with {name}, {} of {} lines have {number}, and {:.0} % of the values are of their column's kind{quoted}",
        percent(counts.fitting, lines.len()),
        lines.len(),
        purity * 100.0
    );
    let is_clear = fitting > 0.97 && covered > 0.9 && purity > 0.93 && useful >= 3.0 && usual(fields) >= 0.9;
    let confidence = fitting * covered * purity * (0.9 + usual(fields) / 10.0);
    Some(Candidate { style: Finding::sure(style, confidence.min(0.99), evidence), is_clear, score })
}

/// Counts the fields that begin with a quote, and those of them that end with one.
fn quotes(lines: &[&[u8]], style: &Style, quote: u8) -> (usize, usize) {
    let mut quoted = (0, 0);
    for line in lines {
        // With the quote a quoted field is whole, without it one shows its quotes.
        let plain = Style { quote: None, ..style.clone() };
        let begun = plain.cells(line).iter().filter(|cell| cell.len() > 1 && cell.first() == Some(&quote)).count();
        let open = style.cells(line).iter().filter(|cell| cell.len() > 1 && cell.first() == Some(&quote)).count();
        quoted.0 += begun;
        quoted.1 += begun.saturating_sub(open);
    }
    quoted
}

/// Returns the share of values that are of the kind that most values of their column are, nulls left out.
fn purity(rows: &[&Vec<&[u8]>], columns: usize) -> f64 {
    let mut pure = 0;
    let mut all = 0;
    for column in 0..columns {
        let mut shapes: BTreeMap<Shape, usize> = BTreeMap::new();
        for cell in rows.iter().filter_map(|row| row.get(column)) {
            *shapes.entry(Shape::of(cell)).or_default() += 1;
        }
        shapes.remove(&Shape::Null);
        // Durations below a minute may be plain numbers.
        if let (Some(numbers), Some(times)) = (shapes.get(&Shape::Number).copied(), shapes.get(&Shape::Time).copied()) {
            shapes.insert(Shape::Time, numbers + times);
            shapes.remove(&Shape::Number);
        }
        pure += shapes.values().max().copied().unwrap_or(0);
        all += shapes.values().sum::<usize>();
    }
    if all == 0 { 0.0 } else { pure as f64 / all as f64 }
}

/// Whether the byte always has a digit before it and two behind it, as in times of day.
fn is_within_times(lines: &[&[u8]], fields: FieldStyle) -> bool {
    let FieldStyle::Separator(byte @ (b':' | b'.')) = fields else { return false };
    let (mut all, mut within) = (0, 0);
    for line in lines {
        for at in memchr::memchr_iter(byte, line) {
            let is_digit = |at: usize| line.get(at).is_some_and(u8::is_ascii_digit);
            all += 1;
            within += usize::from(is_digit(at + 1) && is_digit(at + 2) && !is_digit(at + 3));
        }
    }
    all > 0 && within * 20 >= all * 19
}

/// Whether the byte stands at the same places in all lines, as the colons of fixed columns do.
fn is_in_place(lines: &[&[u8]], fields: FieldStyle) -> bool {
    let FieldStyle::Separator(byte) = fields else { return false };
    let places = |line: &[u8]| -> Vec<usize> {
        line.iter().enumerate().filter(|(_, found)| **found == byte).map(|(at, _)| at).collect()
    };
    let Some(first) = lines.iter().map(|line| places(line)).find(|places| !places.is_empty()) else { return false };
    let same = lines.iter().filter(|line| places(line) == first).count();
    same * 10 >= lines.len() * 9
}

/// Returns those lines that look most like records: they have a digit, are not much shorter than most and begin with no mark
/// of a comment. All of them where few would be left.
pub(super) fn likely_records<'a>(lines: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut lengths: Vec<usize> = lines.iter().map(|line| line.trim_ascii_end().len()).collect();
    lengths.sort_unstable();
    let usual = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
    let is_likely = |line: &&&[u8]| {
        let begins_as_comment =
            matches!(line.first(), Some(b'#' | b'*' | b'=' | b'-' | b'!' | b'%' | b'>' | b'<' | b'['));
        let has_digit = line.iter().any(|byte| Class::of(*byte) == Class::Digit);
        has_digit && !begins_as_comment && line.trim_ascii_end().len() * 5 >= usual * 2
    };
    let likely: Vec<&[u8]> = lines.iter().filter(is_likely).copied().collect();
    if likely.len() * 2 >= lines.len() {
        likely
    } else {
        lines.iter().filter(|line| !line.is_empty()).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(lines: &[&str]) -> Option<(FieldStyle, Option<u8>)> {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        candidates(&lines).into_iter().next().map(|found| (found.style.value.fields, found.style.value.quote))
    }

    #[test]
    fn separators_are_found() {
        let pipe = FieldStyle::Separator(b'|');
        let comma = FieldStyle::Separator(b',');
        let cases: [(&[&str], FieldStyle, Option<u8>); 6] = [
            (&["301204|Becker, Anna|32|00:12", "301205|Li|50|04:10"], pipe, None),
            (&["301204|A|32|9|1", "301205|B|50", "301206|B|50|7|2|8|1", "301207|B|50|7|2"], pipe, None),
            (&["1,\"Becker, Anna\",ACD,12", "2,\"Li, Bo\",AUX,7", "3,\"Q\",AUX,9"], comma, Some(b'"')),
            (&["1  ACD  12  -", "2  AUX  250 IN", "31 AUX 7   IN"], FieldStyle::Whitespace, None),
            (&["1\tACD\t\t12", "2\tAUX\tIN\t250"], FieldStyle::Separator(b'\t'), None),
            (&["1:ACD:IN:12", "2:AUX::250", "331:ACW::20"], FieldStyle::Separator(b':'), None),
        ];
        for (lines, fields, quote) in cases {
            assert_eq!(best(lines), Some((fields, quote)), "{lines:?}");
        }
    }

    type Case<'a> = (&'a [usize], Option<(usize, usize, usize)>);

    #[test]
    fn numbers_of_fields_may_grow_in_steps() {
        let cases: [Case<'_>; 5] = [
            (&[3, 8, 10, 8, 12, 14, 3, 10, 8], Some((8, 14, 2))),
            (&[9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 3], Some((9, 9, 0))),
            (&[5, 7, 9, 7, 11], Some((5, 11, 2))),
            (&[4, 5, 6, 4], Some((4, 6, 1))),
            (&[1, 1], None),
        ];
        for (counts, expected) in cases {
            let found = Counts::of(counts).map(|counts| (counts.least, counts.most, counts.step));
            assert_eq!(found, expected, "{counts:?}");
        }
    }
}
