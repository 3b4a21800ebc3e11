//! Lists as an office program has saved them (`tests/lists`, written by `make lists`), and as Excel would have: every variant
//! is the same list, or is refused with the line, the column and what to do.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rtalink::mapping::files::{self, RowProblem};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/lists")
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names of the saved lists that begin and end so.
fn saved(begin: &str, end: &str) -> Vec<String> {
    let entries = fs::read_dir(folder()).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(begin) && name.ends_with(end)).collect();
    names.sort_unstable();
    names
}

fn texts(problems: &[RowProblem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// Rows of a users file as text, and the remarks.
fn users(file: &[u8]) -> Result<(Vec<String>, Vec<String>), Vec<String>> {
    let read = files::parse_users(file, "Europe/Berlin").map_err(|problems| texts(&problems))?;
    let rows: BTreeMap<_, _> = read.rows.iter().collect();
    let rows = rows.into_iter().map(|(key, user)| format!("{key} {} {}", user.employee_id, user.employee_name));
    Ok((rows.collect(), texts(&read.remarks)))
}

const PEOPLE: [&str; 4] = [
    "04711 10017 Jörg Müller",
    "123456789012 E-7 Roe \"Rich\", R.",
    "301204 10018 Anna Weiß-Ångström",
    "301205 10019 Becker, Tom",
];

#[test]
fn every_variant_that_an_office_program_saves_is_the_same_list() {
    let variants = saved("users-", ".csv");
    let read = variants.iter().filter(|name| name.contains("-de-") || name.contains("-en-"));
    let mut count = 0;
    for name in read {
        let file = bytes(name);
        let (rows, remarks) = users(&file).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
        assert_eq!(rows, PEOPLE, "{name}");
        let extra = "line 1: column C is not read: known are ";
        let expected: &[&str] = if name.contains("-de-") { &[extra] } else { &[] };
        assert_eq!(remarks.len(), expected.len(), "{name}: {remarks:?}");
        assert!(
            remarks.iter().zip(expected).all(|(remark, expected)| remark.starts_with(expected)),
            "{name}: {remarks:?}"
        );
        count += 1;
        // As on Windows: CRLF, and a byte order mark before UTF-8.
        if !name.contains("utf-16") {
            let crlf = file.iter().flat_map(|byte| if *byte == b'\n' { vec![b'\r', b'\n'] } else { vec![*byte] });
            let crlf: Vec<u8> = crlf.collect();
            assert_eq!(users(&crlf).unwrap().0, PEOPLE, "{name} with CRLF");
            if name.contains("utf-8") {
                assert_eq!(users(&[b"\xef\xbb\xbf", &*crlf].concat()).unwrap().0, PEOPLE, "{name} with a mark");
            }
        }
    }
    assert_eq!(count, 18, "{variants:?}");
    for name in saved("activities-", ".csv") {
        let read = files::parse_activities(&bytes(&name)).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
        let rows: BTreeMap<_, _> = read.rows.iter().collect();
        let rows: Vec<String> =
            rows.into_iter().map(|(key, row)| format!("{key} {} {}", row.activity_id, row.activity_name)).collect();
        assert_eq!(rows, ["ACD|split=232 3 Gespräch", "AUX:3 7 Besprechung, groß", "AVAIL 2 Verfügbar"], "{name}");
        assert_eq!(read.remarks, [], "{name}");
    }
}

#[test]
fn what_cannot_be_taken_is_refused_with_its_line_and_the_remedy() {
    let cases = [
        ("users-ms-dos.csv", "line 2: not Windows-1252, but probably a code page of MS-DOS or the Macintosh"),
        ("users-macintosh.csv", "line 2: not Windows-1252, but probably a code page of MS-DOS or the Macintosh"),
        ("users.xlsx", "line 1: this is a workbook (.xlsx or .ods), not a list"),
        ("users.html", "line 1: this is a page or an XML spreadsheet, not a list"),
    ];
    for (name, expected) in cases {
        let remedy = "save the sheet as \"CSV UTF-8 (comma delimited)\"";
        assert_eq!(users(&bytes(name)), Err(vec![format!("{expected}: {remedy}")]), "{name}");
    }
}

/// The program has recognised numbers and dates, as it does with a double click on a list.
#[test]
fn what_a_double_click_has_spoilt_is_refused_cell_by_cell() {
    let remedy = "format the column as text in the spreadsheet and enter the id again";
    let (user, employee) = ("external_user (column A)", "employee_id (column B)");
    let scientific = "is a number in scientific notation, whose last digits are lost";
    let date = "is a date, which the spreadsheet has made of an id";
    let grouped = "is a number with separators of thousands or decimals";
    let mut expected = vec![
        format!("line 3: {user} {scientific}: {remedy}"),
        format!("line 5: {employee} {date}: {remedy}"),
        format!("line 6: {employee} {date}: {remedy}"),
        format!("line 7: {employee} {date}: {remedy}"),
        format!("line 8: {user} {scientific}: {remedy}"),
    ];
    assert_eq!(users(&bytes("spoilt-de.csv")), Err(expected.clone()));
    expected.push(format!("line 9: {user} {grouped}: {remedy}"));
    assert_eq!(users(&bytes("spoilt-en.csv")), Err(expected));
}
