//! Rows that somebody may have meant: the same key but for case, blanks, or zeros that a spreadsheet has dropped.
//!
//! A near match maps nobody: two people may have such login ids. It is shown to whoever can tell.

use std::collections::HashMap;

use super::spelling;

/// Most rows that are named for one key.
pub const MOST_NEAR: usize = 3;

/// In what two keys differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Zeros in front of a number.
    Zeros,
    /// Capitals and small letters.
    Case,
    /// White space.
    Blanks,
}

impl Difference {
    /// Name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zeros => "zeros",
            Self::Case => "case",
            Self::Blanks => "blanks",
        }
    }
}

/// Keys by what is left of them without these differences.
#[derive(Debug, Default)]
pub struct NearIndex<'k> {
    by_rest: HashMap<String, Vec<&'k str>>,
}

impl<'k> NearIndex<'k> {
    /// Indexes the keys of a list.
    pub fn of(keys: impl Iterator<Item = &'k str>) -> Self {
        let mut by_rest: HashMap<String, Vec<&'k str>> = HashMap::new();
        for key in keys {
            by_rest.entry(rest(key)).or_default().push(key);
        }
        by_rest.values_mut().for_each(|near| near.sort_unstable());
        Self { by_rest }
    }

    /// Returns the keys that are near to another, at most [`MOST_NEAR`], with what they differ in.
    pub fn near(&self, key: &str) -> Vec<(&'k str, Vec<Difference>)> {
        let key = spelling::normal(key);
        let near = self.by_rest.get(&rest(&key)).into_iter().flatten().filter(|near| **near != &*key);
        near.take(MOST_NEAR).map(|near| (*near, differences(&key, near))).collect()
    }
}

fn rest(key: &str) -> String {
    without_zeros(&without_blanks(&spelling::normal(key).to_lowercase()))
}

fn without_blanks(key: &str) -> String {
    key.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Returns a key without zeros in front of a number, in each part of an activity's key.
fn without_zeros(key: &str) -> String {
    let part = |part: &str| {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let rest = part.trim_start_matches('0');
        if !is_number {
            part.to_owned()
        } else if rest.is_empty() {
            "0".to_owned()
        } else {
            rest.to_owned()
        }
    };
    let parts: Vec<String> = key.split(':').map(part).collect();
    parts.join(":")
}

/// Returns what must not count for both to be the same.
fn differences(one: &str, other: &str) -> Vec<Difference> {
    let (lower, closed) = (|key: &str| key.to_lowercase(), without_blanks);
    let differs = |form: &dyn Fn(&str) -> String| form(one) != form(other);
    let mut differences = Vec::new();
    differences.extend(differs(&|key| closed(&lower(key))).then_some(Difference::Zeros));
    differences.extend(differs(&|key| without_zeros(&closed(key))).then_some(Difference::Case));
    let blanks = |key: &str| key.chars().filter(|c| c.is_whitespace()).collect();
    // What else, if nothing else, keeps them apart.
    let is_by_blanks = differences.is_empty() || differs(&blanks);
    differences.extend(is_by_blanks.then_some(Difference::Blanks));
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_meant_are_found_with_what_they_differ_in() {
        let keys = ["4711", "0815", "Becker, Tom", "müller", "AUX:03", "1", "01", "001", "0001", "00"];
        let index = NearIndex::of(keys.into_iter());
        let cases = [
            ("04711", "4711 zeros"),
            ("004711 ", "4711 zeros"),
            ("815", "0815 zeros"),
            ("becker,Tom", "Becker, Tom case+blanks"),
            ("Becker,  Tom", "Becker, Tom blanks"),
            ("MU\u{308}LLER", "müller case"),
            ("AUX:3", "AUX:03 zeros"),
            ("aux: 3", "AUX:03 zeros+case+blanks"),
            ("00001", "0001 zeros, 001 zeros, 01 zeros"),
            ("0", "00 zeros"),
            ("4711", ""),
            ("47110", ""),
            ("E04711", ""),
        ];
        for (key, expected) in cases {
            let near = index.near(key).into_iter().map(|(near, differences)| {
                let names: Vec<&str> = differences.into_iter().map(Difference::name).collect();
                format!("{near} {}", names.join("+"))
            });
            assert_eq!(near.collect::<Vec<_>>().join(", "), expected, "{key:?}");
        }
    }
}
