//! Values that a spreadsheet program has made of ids: numbers in scientific notation, dates, errors of formulas.
//!
//! What was entered cannot be told from them any more, so that they are refused. An id that really looks like one of these
//! has no other way in: none that Avaya or injixo gives does.

use std::sync::LazyLock;

use regex::Regex;

/// What to do about a cell that the program has taken for a number or a date.
const REMEDY: &str = "format the column as text in the spreadsheet and enter the id again";

static SCIENTIFIC: LazyLock<Option<Regex>> = LazyLock::new(|| regex(r"^[+-]?\d+([.,]\d*)?[eE][+-]\d+$"));

static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let month = "(jan(uary?)?|feb(ruary?)?|mar(ch)?|märz?|mrz|apr(il)?|ma[iy]|june?|juni|jul[iy]?|aug(ust)?|sep(t(ember)?)?|o[ck]t(ober)?|nov(ember)?|de[cz](ember)?)\\.?";
    let time = r"([ t]\d{1,2}:\d{2}(:\d{2})?)?";
    regex(&format!(
        r"^(\d{{1,2}}[./]\d{{1,2}}[./](\d{{4}}|\d{{2}}){time}|\d{{1,2}}-\d{{1,2}}-\d{{4}}{time}|\d{{4}}-\d{{2}}-\d{{2}}{time}|\d{{1,2}}\.?[ -]?{month}([ -]?(\d{{4}}|\d{{2}}))?|{month}[ -]?(\d{{4}}|\d{{2}}))$"
    ))
});

static FORMULA_ERROR: LazyLock<Option<Regex>> = LazyLock::new(|| regex(r"^(#[A-ZÄÖÜ][A-ZÄÖÜ/ 0-9]*[!?]?|Err:\d{3})$"));

static GROUPED: LazyLock<Option<Regex>> = LazyLock::new(|| regex(r"^\d+([.,’'\u{a0}\u{202f} ]\d+)+$"));

/// A pattern of this file always compiles, as a test shows.
fn regex(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

/// Returns what has become of an id, and what to do.
pub(super) fn of_id(value: &str) -> Option<String> {
    // Most ids are digits, letters and nothing else.
    if !value.bytes().any(|byte| byte.is_ascii_digit() || byte == b'#') {
        return None;
    }
    let is_match = |pattern: &LazyLock<Option<Regex>>, value: &str| {
        pattern.as_ref().is_some_and(|pattern| pattern.is_match(value))
    };
    let is = |pattern| is_match(pattern, value);
    if value.len() > 1 && value.bytes().all(|byte| byte == b'#') {
        return Some("is ### of a column that was too narrow: make it wider and save again".to_owned());
    }
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if is(&SCIENTIFIC) {
        return Some(format!("is a number in scientific notation, whose last digits are lost: {REMEDY}"));
    }
    if is_match(&DATE, &value.to_lowercase()) {
        return Some(format!("is a date, which the spreadsheet has made of an id: {REMEDY}"));
    }
    if is(&FORMULA_ERROR) {
        return Some("is the error of a formula: correct the formula, or enter the id itself".to_owned());
    }
    None
}

/// Returns the same for a login id, in which nothing groups digits.
pub(super) fn of_login(value: &str) -> Option<String> {
    if value.strip_prefix('\'').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit())) {
        return Some("begins with an apostrophe: leave it out, and format the column as text".to_owned());
    }
    let is_grouped = || GROUPED.as_ref().is_some_and(|pattern| pattern.is_match(value));
    let grouped = || format!("is a number with separators of thousands or decimals: {REMEDY}");
    of_id(value).or_else(|| is_grouped().then(grouped))
}

/// Returns what a formula says that keeps zeros: `="04711"` is 04711.
pub(super) fn unwrapped(value: &str) -> &str {
    let inside = value.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    inside.filter(|inside| !inside.contains('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_has_made_of_an_id_is_recognised() {
        let cases = [
            ("scientific", "4.71E+11 4,71E+11 3.01204E+5 3e+05 4,E+11"),
            (
                "date",
                "01.02.2026 1/2/2026 1.2.26 2026-02-01 4-3-2026 2026-02-01T00:00:00 03.Apr 3-Apr 04.Mär Apr-26 Mrz26 Sep.26 Dez2026",
            ),
            ("formula", "#N/A #NV #NAME? #WERT! #REF! #VALUE! #DIV/0! Err:502"),
            ("narrow", "### ########"),
            ("thousands", "4.711 4,711 301'204 1.301.204,00 4711,0 4711.00 4,711.0"),
            ("apostrophe", "'04711 '4711"),
        ];
        for (kind, values) in cases {
            for value in values.split(' ') {
                let told = of_login(value).unwrap_or_default();
                assert!(told.contains(kind), "{value}: {told}");
            }
        }
        assert!(of_login("301\u{a0}204").is_some() && of_id("01.02.2026 00:00").is_some());
    }

    #[test]
    fn ids_and_names_are_left_alone() {
        for id in [
            "4711",
            "04711",
            "E-1",
            "E10",
            "1E5",
            "10017",
            "A#1",
            "#1",
            "12-34",
            "12-34-56",
            "a.b@c.de",
            "AVAIL",
            "AUX:3",
            "Jan",
            "Doe, J.",
            "Mai, Linh",
            "J. Roe 2",
            "2026",
            "",
            "-",
            "Ä1",
            "12.345.678-9",
            "Martin1",
            "Maria2",
            "Mayer 2",
            "Martin 2",
            "Jan 1",
            "Decker2",
            "NOVA-1",
            "MARKT-001",
            "1-Marketing",
            "'t Hart, P.",
        ] {
            assert_eq!(of_login(id), None, "{id}");
        }
        assert_eq!(of_id("1.234"), None, "an employee's id may have any form");
    }

    #[test]
    fn a_formula_that_keeps_zeros_is_unwrapped() {
        for (cell, expected) in
            [("=\"04711\"", "04711"), ("=A1", "=A1"), ("=\"a\"&\"b\"", "=\"a\"&\"b\""), ("=\"", "=\"")]
        {
            assert_eq!(unwrapped(cell), expected);
        }
    }
}
