//! Groups of skills, found in feeds of a few records.

use super::*;
use crate::inspect::feed::Line;

fn table<'a>(rows: &[&'a str], style: &Style) -> Table<'a> {
    let row = |(number, text): (usize, &&'a str)| {
        let line = Line { bytes: text.as_bytes(), at: None, connection: 0, burst: 0, offset: number as u64 };
        (line, style.cells(text.as_bytes()))
    };
    let mut table = Table::new(rows.iter().enumerate().map(row));
    table.identify(0, &[]);
    table
}

type Case<'a> = (&'a [&'a str], usize, usize, bool, Option<usize>, &'a [&'a str]);

#[test]
fn groups_are_found_behind_the_columns() {
    let pipe = Style::separated(b'|', None);
    let cases: [Case<'_>; 3] = [
        (
            &["1|20|232|1|240|2|0|0", "2|30|240|1|0|0|0|0", "3|20|301|1|232|1|240|3", "1|30|232|1|240|2|0|0"],
            2,
            2,
            true,
            Some(1),
            &["0"],
        ),
        (&["1|20|232|1|240|2", "2|30|240|1", "3|20|301|1|232|1|240|3", "1|30|232|1|240|2"], 2, 2, false, Some(1), &[]),
        (&["1|20|232|240|", "2|30|240|301|", "3|20|240|301|232", "1|30|232|240|"], 2, 1, true, None, &[""]),
    ];
    for (rows, at, width, is_constant, level, empty) in cases {
        let found = groups(&table(rows, &pipe), &pipe, 1).unwrap();
        let seen = (found.at, found.width, found.is_constant, found.level.map(|level| level.at));
        assert_eq!(seen, (at, width, is_constant, level), "{rows:?}");
        assert_eq!(found.empty, empty, "{rows:?}");
    }
}

#[test]
fn groups_of_fixed_width_are_found() {
    let places = [0, 5, 8, 12].map(|at| FieldPlace { at, width: 4 }).to_vec();
    let style = Style::fixed(places);
    let rows =
        ["1001 20 232 1 240 2", "1002 30 240 1", "1003 20 301 1 232 1 240 3", "1001 30 232 1 240 2", "1002 20 240 1"];
    let found = groups(&table(&rows, &style), &style, 4).unwrap();
    assert_eq!((found.at, found.width, found.level.map(|level| level.at)), (8, 6, Some(4)));
}

#[test]
fn a_row_per_skill_is_found() {
    let semicolon = Style::separated(b';', None);
    let rows = ["1;20;232;1", "1;20;240;2", "2;30;240;1", "2;30;301;1", "1;30;232;1", "1;30;240;2"];
    let found = rows_found(&table(&rows, &semicolon));
    assert_eq!(found, Some((2, Some(3))));
}

fn rows_found(table: &Table<'_>) -> Option<(usize, Option<usize>)> {
    rows(table, &[1, 2, 3]).map(|found| (found.skill, found.level))
}
