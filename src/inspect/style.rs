//! How the fields of a record are told apart, and the fields of a line.

use crate::wire::layout::{FieldPlace, FieldStyle};

/// A way to take a record apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// Separator, blanks or fixed places.
    pub(super) fields: FieldStyle,
    /// The byte around quoted fields.
    pub(super) quote: Option<u8>,
    /// With fixed width: where the columns are.
    pub(super) places: Vec<FieldPlace>,
}

impl Style {
    pub(super) const fn separated(separator: u8, quote: Option<u8>) -> Self {
        Self { fields: FieldStyle::Separator(separator), quote, places: Vec::new() }
    }

    pub(super) const fn whitespace(quote: Option<u8>) -> Self {
        Self { fields: FieldStyle::Whitespace, quote, places: Vec::new() }
    }

    pub(super) const fn fixed(places: Vec<FieldPlace>) -> Self {
        Self { fields: FieldStyle::FixedWidth, quote: None, places }
    }

    /// Returns the fields of a line, as the decoder reads them: without blanks and quotes around them.
    pub(super) fn cells<'a>(&self, line: &'a [u8]) -> Vec<&'a [u8]> {
        match self.fields {
            FieldStyle::Separator(separator) => self.split(line, |byte| byte == separator, separator),
            FieldStyle::Whitespace => {
                let line = line.trim_ascii();
                let mut cells = self.split(line, is_blank, b' ');
                cells.retain(|cell| !cell.is_empty());
                cells
            }
            // Places are looked for in bytes.
            FieldStyle::FixedWidth | FieldStyle::FixedCharacters => {
                let cell = |place: &FieldPlace| {
                    let from = place.at.min(line.len());
                    let to = (place.at + place.width).min(line.len());
                    trim(line.get(from..to).unwrap_or_default())
                };
                self.places.iter().map(cell).collect()
            }
        }
    }

    fn split<'a>(&self, line: &'a [u8], is_end: impl Fn(u8) -> bool, separator: u8) -> Vec<&'a [u8]> {
        let mut cells = Vec::new();
        let mut from = 0;
        if line.is_empty() {
            return cells;
        }
        loop {
            while line.get(from).is_some_and(|byte| is_blank(*byte) && *byte != separator && !is_end(*byte)) {
                from += 1;
            }
            let rest = line.get(from..).unwrap_or_default();
            let quoted = self.quote.filter(|quote| rest.first() == Some(quote)).and_then(|quote| closed(rest, quote));
            let skipped = quoted.unwrap_or(0);
            let length = rest[skipped..].iter().position(|byte| is_end(*byte));
            let whole = skipped + length.unwrap_or(rest.len() - skipped);
            let cell = trim(&rest[..whole]);
            cells.push(match quoted {
                Some(end) if cell.len() == end => &cell[1..end - 1],
                _ => cell,
            });
            if length.is_none() {
                return cells;
            }
            from += whole + 1;
        }
    }
}

/// Returns the length of the quoted text at the front, quotes included; `None` where it is not closed.
fn closed(text: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text.get(at..)?.iter().position(|byte| *byte == quote)?;
        if text.get(at + 1) != Some(&quote) {
            return Some(at + 1);
        }
        at += 2;
    }
}

pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart_as_the_decoder_does() {
        let cases: [(Style, &str, &[&str]); 6] = [
            (Style::separated(b'|', None), "1| a b |", &["1", "a b", ""]),
            (Style::separated(b',', Some(b'"')), "1,\"a,\"\"b\" ,c", &["1", "a,\"\"b", "c"]),
            (Style::separated(b',', Some(b'"')), "1,O\"B,\"open", &["1", "O\"B", "\"open"]),
            (Style::separated(b'\t', None), "\t\tx", &["", "", "x"]),
            (Style::whitespace(None), "  1   ACD \t IN ", &["1", "ACD", "IN"]),
            (
                Style::fixed(vec![
                    FieldPlace { at: 0, width: 4 },
                    FieldPlace { at: 4, width: 3 },
                    FieldPlace { at: 7, width: 9 },
                ]),
                "47  ACD x",
                &["47", "ACD", "x"],
            ),
        ];
        for (style, line, cells) in cases {
            let found: Vec<String> =
                style.cells(line.as_bytes()).iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
            assert_eq!(found, cells, "{line:?}");
        }
    }
}
