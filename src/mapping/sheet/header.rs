//! The header of a list: which columns it has, in which order, by their English names or by those of German planners.

use crate::mapping::spelling;

/// A column that a list can have.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it may be called instead. Case, blanks, hyphens and underscores do not count, and `ü` is `ue`.
    pub also: &'static [&'static str],
    /// Whether a list without it is refused.
    pub is_required: bool,
}

impl Column {
    pub(super) fn is_called(&self, heading: &str) -> bool {
        [&self.name].into_iter().chain(self.also).any(|name| what_counts(name).eq(what_counts(heading)))
    }
}

/// Returns a heading without what does not count: in lower case, letters and digits alone, `ü` as `ue`.
pub fn folded(heading: &str) -> String {
    what_counts(heading).collect()
}

fn what_counts(heading: &str) -> impl Iterator<Item = char> {
    let spelled = |c: char| match c {
        'ä' => ['a', 'e'],
        'ö' => ['o', 'e'],
        'ü' => ['u', 'e'],
        'ß' => ['s', 's'],
        c => [c, ' '],
    };
    heading.chars().flat_map(char::to_lowercase).flat_map(spelled).filter(|c| c.is_alphanumeric())
}

/// Where the columns of a list stand in a file.
#[derive(Debug)]
pub(super) struct Header<const N: usize> {
    /// Place of each column, from 0.
    pub(super) places: [Option<usize>; N],
    /// Number of fields of the header.
    pub(super) width: usize,
    /// Places of what is no column of the list, and whether these have headings.
    pub(super) others: Vec<(usize, bool)>,
}

impl<const N: usize> Header<N> {
    /// Looks for the columns among the headings.
    ///
    /// # Errors
    /// Two headings that are one column, as places.
    pub(super) fn of<'h>(
        columns: &[Column; N],
        headings: impl Iterator<Item = &'h str>,
    ) -> Result<Self, (usize, usize, usize)> {
        let mut header = Self { places: [None; N], width: 0, others: Vec::new() };
        for (place, heading) in headings.enumerate() {
            header.width = place + 1;
            let Some(column) = columns.iter().position(|column| column.is_called(heading)) else {
                header.others.push((place, !spelling::trim(heading).is_empty()));
                continue;
            };
            if let Some(before) = header.places[column].replace(place) {
                return Err((column, before, place));
            }
        }
        Ok(header)
    }

    /// Returns how many columns were found.
    pub(super) fn found(&self) -> usize {
        self.places.iter().flatten().count()
    }
}

/// Returns how a spreadsheet names the column at a place: A, B, … Z, AA, …
pub(super) fn letters(place: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = place + 1;
    while rest > 0 {
        rest -= 1;
        letters.insert(0, char::from(b'A' + u8::try_from(rest % 26).unwrap_or_default()));
        rest /= 26;
    }
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_found_however_they_are_written() {
        let column = Column { name: "valid_from", also: &["gültig ab"], is_required: false };
        for heading in
            ["valid_from", "Valid From", " VALID-FROM ", "Gültig ab", "gueltig_ab", "GÜLTIG AB:", "\u{a0}validFrom"]
        {
            assert!(column.is_called(heading), "{heading:?}");
        }
        for heading in ["valid_to", "valid", "", "gültig"] {
            assert!(!column.is_called(heading), "{heading:?}");
        }
    }

    #[test]
    fn places_are_named_as_a_spreadsheet_names_them() {
        let named: Vec<String> = [0, 1, 25, 26, 27, 51, 52, 701, 702].into_iter().map(letters).collect();
        assert_eq!(named, ["A", "B", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA"]);
    }
}
