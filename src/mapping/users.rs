//! The list of users: external users, their employees, and perhaps the ACD and the time for which a row counts.
//!
//! Several identifiers per person are fine; one identifier for two people is not, unless their rows count at different times or
//! on different ACDs. Dates are days of the integration's zone: a row counts from the beginning of `valid_from` until the
//! beginning of `valid_to`.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::time::Timestamp;

use super::scoped::{Scope, ScopedUsers};
use super::sheet::{self, Column, Occurrences, Row, RowProblem};
use super::tables::User;
use super::{cells, lookalike, spelling};

/// Columns of a users file.
const COLUMNS: [Column; 6] = [
    Column {
        name: "external_user",
        also: &[
            "external user identifier",
            "externe Benutzerkennung",
            "externe Benutzer-ID",
            "externer Benutzer",
            "externe Kennung",
            "login_id",
            "Anmeldekennung",
        ],
        is_required: true,
    },
    Column {
        name: "employee_id",
        also: &["employee number", "Mitarbeiter-ID", "Mitarbeiternummer", "Mitarbeiterkennung", "Personalnummer"],
        is_required: true,
    },
    Column { name: "employee_name", also: &["employee", "Mitarbeitername", "Mitarbeiter", "name"], is_required: true },
    Column { name: "acd", also: &["ACD number", "ACD-Nummer"], is_required: false },
    Column { name: "valid_from", also: &["gültig ab", "gültig von"], is_required: false },
    Column { name: "valid_to", also: &["valid until", "gültig bis"], is_required: false },
];

const EXTERNAL_USER: usize = 0;
const EMPLOYEE_ID: usize = 1;
const ACD: usize = 3;
const VALID_FROM: usize = 4;
const VALID_TO: usize = 5;

/// Header of a users file; further columns are optional.
pub const USERS_HEADER: [&str; 3] = ["external_user", "employee_id", "employee_name"];

/// Most rows of one external user: each is compared with the others.
pub const MOST_ROWS_OF_ONE: usize = 100;

/// What a users file says.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRows {
    /// By external user, in the spelling in which they are looked up: what counts everywhere and always.
    pub rows: HashMap<String, Arc<User>>,
    /// What counts on one ACD, or for a time.
    pub scoped: ScopedUsers,
    /// What a planner may not have meant, each kind once, with its count and its first line.
    pub remarks: Vec<RowProblem>,
}

/// A row that was read.
struct UserRow {
    line: u64,
    scope: Scope,
    /// The same as days.
    days: [Option<Date>; 2],
    user: Arc<User>,
}

/// Reads a users file whose dates are days of that zone (an IANA name).
///
/// # Errors
/// Every problem in it.
pub fn parse_users(file: &[u8], zone: &str) -> Result<UserRows, Vec<RowProblem>> {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let mut rows: HashMap<String, Vec<UserRow>> = HashMap::new();
    let (mut trimmed, mut odd_blanks) = (Occurrences::default(), Occurrences::default());
    let remarks = sheet::read(file, &COLUMNS, |row| {
        let values = cells::values(row, &mut trimmed);
        let [external, id, name, ..] = values;
        cells::usable(row, EXTERNAL_USER, external, lookalike::of_login)?;
        cells::usable(row, EMPLOYEE_ID, id, lookalike::of_id)?;
        odd_blanks.add(row.line, usize::from(spelling::has_odd_blanks(external)));
        let (scope, days) = scope(row, &values, &zone)?;
        let user = Arc::new(User { employee_id: id.to_owned(), employee_name: name.to_owned() });
        let known = rows.entry(spelling::normal(external).into_owned()).or_default();
        if known.len() >= MOST_ROWS_OF_ONE {
            return Err(
                row.problem(EXTERNAL_USER, &format!("is in more than {MOST_ROWS_OF_ONE} lines: delete old ones"))
            );
        }
        let is_other = |known: &&UserRow| !spelling::is_same(&known.user.employee_id, id);
        if let Some(other) = known.iter().filter(is_other).find(|known| known.scope.overlaps(&scope)) {
            return Err(row.wrong(contradiction(other, &scope)));
        }
        if !known.iter().any(|known| known.scope == scope) {
            known.push(UserRow { line: row.line, scope, days, user });
        }
        Ok(())
    })?;
    let more = [
        cells::trimmed_remark(&trimmed),
        cells::odd_blanks_remark(&odd_blanks, COLUMNS[EXTERNAL_USER].name),
        missing_day(&rows),
    ];
    let remarks = remarks.into_iter().chain(more.into_iter().flatten()).collect();
    let mut always = HashMap::new();
    let mut scoped = HashMap::new();
    for (key, rows) in rows {
        match rows.iter().find(|row| row.scope.is_unlimited()) {
            // All others of this user say the same.
            Some(row) => drop(always.insert(key, Arc::clone(&row.user))),
            None => drop(scoped.insert(key, rows.into_iter().map(|row| (row.scope, row.user)).collect())),
        }
    }
    Ok(UserRows { rows: always, scoped: ScopedUsers::new(scoped), remarks })
}

fn contradiction(other: &UserRow, scope: &Scope) -> String {
    let again = cells::again(other.line, COLUMNS[EXTERNAL_USER].name, COLUMNS[EMPLOYEE_ID].name);
    if other.scope.is_unlimited() && scope.is_unlimited() {
        return again;
    }
    format!("{again}, or must count for another time (valid_from, valid_to) or on another acd")
}

/// Reads where and when a row counts.
fn scope(row: &Row<'_, 6>, values: &[&str; 6], zone: &TimeZone) -> Result<(Scope, [Option<Date>; 2]), RowProblem> {
    let acd = match values[ACD] {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|_| row.problem(ACD, "is no number of an ACD: expected digits, or nothing for every ACD"))?,
        ),
    };
    let mut days = [None, None];
    for (day, column) in days.iter_mut().zip([VALID_FROM, VALID_TO]) {
        if !values[column].is_empty() {
            let date = date(values[column])
                .ok_or_else(|| row.problem(column, "is no date: expected 2026-12-31 or 31.12.2026"))?;
            *day = Some(date);
        }
    }
    if let [Some(from), Some(to)] = days
        && to <= from
    {
        let what = "is not after valid_from: it is the first day on which the row no longer counts";
        return Err(row.problem(VALID_TO, what));
    }
    let [from, to] = days.map(|day| day.and_then(|day| beginning(day, zone)));
    // One of the last days that there are means for ever as an end, and as a beginning nothing.
    if days[0].is_some() && from.is_none() {
        return Err(row.problem(VALID_FROM, "is too far away: expected a day on which the row begins to count"));
    }
    Ok((Scope { acd, from, to }, days))
}

/// Reads `2026-12-31` or `31.12.2026`.
fn date(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.split(['-', '.']).collect();
    let is_number = |part: &&str| !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let [one, two, three] = parts.as_slice() else { return None };
    if !parts.iter().all(is_number) {
        return None;
    }
    let (year, month, day) = match (text.contains('-'), text.contains('.')) {
        (true, false) => (one, two, three),
        (false, true) => (three, two, one),
        _ => return None,
    };
    // A year of two digits may be of any century.
    let year = Some(year).filter(|year| year.len() == 4)?;
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// Returns when a day begins: where midnight does not occur, the moment at which clocks go forward.
fn beginning(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    Some(Timestamp::from_micros(day.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond()))
}

/// Returns a remark on rows between which exactly a day is missing: their ends were probably meant to be inclusive.
fn missing_day(rows: &HashMap<String, Vec<UserRow>>) -> Option<RowProblem> {
    let mut lines = Vec::new();
    for rows in rows.values() {
        for row in rows {
            let is_next = |other: &&UserRow| {
                let day_after = row.days[1].and_then(|to| to.tomorrow().ok());
                day_after.is_some() && other.days[0] == day_after && other.scope.acd == row.scope.acd
            };
            lines.extend(rows.iter().find(is_next).map(|next| next.line.max(row.line)));
        }
    }
    lines.sort_unstable();
    let mut gaps = Occurrences::default();
    lines.iter().for_each(|line| gaps.add(*line, 1));
    gaps.remark(|values| {
        format!("{values} of valid_from one day after the valid_to of another line, which is the first day that does not count")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_a_file_is_told_with_its_line() {
        let cases = [
            ("external_user,employee_id,employee_name\n0471,7,Ada\n471,7,Ada\n", ""),
            ("\u{feff}external_user,employee_id,employee_name\r\n0471,7,\"Ada, B.\"\r\n", ""),
            ("external_user,employee_id,employee_name\n0471,7,Ada\n0471,7,Ada\n", ""),
            (
                "external_user,employee_id,employee_name\n0471,7,Ada\n,8,Bo\n12,9\n0471,8,Bo\n",
                "line 3: external_user (column A) is empty: fill it in, or delete the row; line 4: expected 3 fields, as the \
                 header has (external_user,employee_id,employee_name), found 2: fill in what is missing; line 5: the external_user of line 2 is here again, with another employee_id: one of the two \
                 lines has to go",
            ),
            (
                "user,id,name\n",
                "line 1: the header lacks external_user and employee_id: expected \"external_user,employee_id,employee_name\"",
            ),
        ];
        for (file, expected) in cases {
            let problems = parse_users(file.as_bytes(), "UTC").err().unwrap_or_default();
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(told.join("; "), expected, "{file:?}");
        }
    }

    /// Returns the rows with their ids and names, and the remarks.
    fn read(rows: &str) -> Result<(Vec<String>, Vec<String>), Vec<String>> {
        let told = |problems: Vec<RowProblem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        let file = format!("{}\n{rows}", USERS_HEADER.join(","));
        let UserRows { rows, remarks, .. } = parse_users(file.as_bytes(), "UTC").map_err(told)?;
        let row =
            |(external, user): (&String, &Arc<User>)| format!("{external}={}:{}", user.employee_id, user.employee_name);
        let mut rows: Vec<String> = rows.iter().map(row).collect();
        rows.sort_unstable();
        Ok((rows, told(remarks)))
    }

    #[test]
    fn white_space_around_values_is_left_out_and_told_once() {
        let file = "4710,1,A\n4711 ,1,A\n 4712,2, B\n4713\u{a0},3,C\n\u{feff}4714,4,D\n4715,5 ,E\n4716,6\u{a0},F\n";
        let (rows, remarks) = read(file).unwrap();
        assert_eq!(rows, ["4710=1:A", "4711=1:A", "4712=2:B", "4713=3:C", "4714=4:D", "4715=5:E", "4716=6:F"]);
        let expected = "line 3: white space around 7 values is left out; this is the first";
        assert_eq!(remarks, [expected]);
        assert_eq!(read("4711,1,A\n"), Ok((vec!["4711=1:A".to_owned()], vec![])));
    }

    #[test]
    fn names_are_spelled_as_they_are_looked_up_and_odd_blanks_in_them_are_told() {
        let (rows, remarks) = read("\"Mu\u{308}ller, J.\",1,A\n\"Doe,  J.\",2,B\n\"Roe,\u{a0}R.\",3,C\n").unwrap();
        assert_eq!(rows, ["Doe,  J.=2:B", "M\u{fc}ller, J.=1:A", "Roe,\u{a0}R.=3:C"]);
        let expected = "line 3: 2 values of external_user with two blanks in a row, or white space other than blanks, \
                        which the feed must have too; this is the first";
        assert_eq!(remarks, [expected]);
    }

    #[test]
    fn what_becomes_one_id_is_one() {
        let again =
            "the external_user of line 2 is here again, with another employee_id: one of the two lines has to go";
        for (one, other) in [("4711", "4711 "), ("M\u{fc}ller", "Mu\u{308}ller"), ("\u{feff}1", "\u{a0}1")] {
            assert_eq!(read(&format!("{one},1,A\n{other},2,B\n")), Err(vec![format!("line 3: {again}")]));
            assert_eq!(read(&format!("{one},1,A\n{other},1 ,A\n")).unwrap().0.len(), 1);
        }
    }

    #[test]
    fn what_nobody_sees_in_an_id_is_refused_and_in_a_name_it_is_not() {
        let cases = [
            (
                "\u{200b}4714,4,D\n",
                "line 2: external_user (column A) has the invisible character U+200B in it: write it without",
            ),
            (
                "4714,4\u{200d},D\n",
                "line 2: employee_id (column B) has the invisible character U+200D in it: write it without",
            ),
            (
                "47\u{feff}14,4,D\n",
                "line 2: external_user (column A) has the invisible character U+FEFF in it: write it without",
            ),
            ("\u{a0},4,D\n", "line 2: external_user (column A) is empty: fill it in, or delete the row"),
            ("4714,\u{feff} ,D\n", "line 2: employee_id (column B) is empty: fill it in, or delete the row"),
        ];
        for (rows, expected) in cases {
            assert_eq!(read(rows), Err(vec![expected.to_owned()]), "{rows:?}");
        }
        assert_eq!(read("4714,4,D\u{200d}\n").unwrap().0, ["4714=4:D\u{200d}"]);
    }

    #[test]
    fn a_quote_that_is_not_closed_in_its_line_is_named_and_swallows_no_row_in_silence() {
        let open = |line: u64, name: &str| {
            format!("line {line}: {name} has a quote that is not closed in its line: close it, or leave it out")
        };
        let cases = [
            // Never closed; closed by the quote of a later row; by one in the next row; at the very end.
            ("4711,1,A\n4712,2,\"B\n4713,3,C\n", vec![open(3, "employee_name (column C)")]),
            ("4711,1,\"A\n4712,2,\"B\"\n4713,3,C\n", vec![open(2, "employee_name (column C)")]),
            (
                "4711,\"1,A\n4712,2\",B\n,3,C\n",
                vec![
                    open(2, "employee_id (column B)"),
                    "line 4: external_user (column A) is empty: fill it in, or delete the row".into(),
                ],
            ),
            ("4711,1,A\n4712,2,\"B", vec![open(3, "employee_name (column C)")]),
            ("\"4711,1,A", vec![open(2, "external_user (column A)")]),
            ("\"4711\n\",1,A\n", vec![open(2, "external_user (column A)")]),
            ("4711,1,A,\"\n", vec![open(2, "field 4")]),
        ];
        for (rows, expected) in cases {
            assert_eq!(read(rows), Err(expected.clone()), "{rows:?}");
            let with_cr = read(&rows.replace('\n', "\r\n"));
            assert_eq!(with_cr, Err(expected), "{rows:?} with CRLF");
        }
        // A quote inside a value is a character like any other.
        assert_eq!(
            read("4711,1,A \"Bo\" C\n4712,2,\"D \"\"E\"\"\"\n").unwrap().0,
            ["4711=1:A \"Bo\" C", "4712=2:D \"E\""]
        );
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        for end in ["\n", "\r\n", "\r"] {
            let file =
                ["external_user,employee_id,employee_name", "1,1,A", "", "", "2,,B", "3,3", "4,4,D", ""].join(end);
            let problems = parse_users(file.as_bytes(), "UTC").unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [5, 6], "{end:?}");
            let file = file.replace("2,,B", "2,2,\u{e4}\u{fc}").replace("3,3", "3,3,C").into_bytes();
            let at = file.len() - 9;
            let mixed = [&file[..at], b"\xe4", &file[at..]].concat();
            let problems = parse_users(&mixed, "UTC").unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [6], "{end:?}");
        }
    }

    #[test]
    fn what_a_spreadsheet_has_spoilt_is_refused_with_its_column_and_the_remedy() {
        let remedy = "format the column as text in the spreadsheet and enter the id again";
        let scientific = "is a number in scientific notation, whose last digits are lost";
        let date = "is a date, which the spreadsheet has made of an id";
        let cases = [
            ("3.01E+11,1,A\n", format!("external_user (column A) {scientific}: {remedy}")),
            ("4711,01.02.2026,A\n", format!("employee_id (column B) {date}: {remedy}")),
            (
                "4.711,1,A\n",
                format!("external_user (column A) is a number with separators of thousands or decimals: {remedy}"),
            ),
            (
                "4711,#N/A,A\n",
                "employee_id (column B) is the error of a formula: correct the formula, or enter the id itself"
                    .to_owned(),
            ),
        ];
        for (rows, expected) in cases {
            assert_eq!(read(rows), Err(vec![format!("line 2: {expected}")]), "{rows:?}");
        }
        assert_eq!(read("\"=\"\"04711\"\"\",1.234,#N/A\n").unwrap().0, ["04711=1.234:#N/A"]);
    }

    /// Whose the login id is at noon of a day, or the problems.
    fn on(rows: &str, zone: &str, days: &[(u32, &str)]) -> Result<Vec<String>, Vec<String>> {
        let file = format!("external_user;employee_id;employee_name;ACD;g\u{fc}ltig ab;g\u{fc}ltig bis\n{rows}");
        let read = parse_users(file.as_bytes(), zone);
        let read = read.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let at = |moment: &str| Timestamp::parse_rfc3339(moment).unwrap();
        let told = |(acd, moment): &(u32, &str)| {
            let scoped = read.scoped.user("4711", *acd, at(moment)).or_else(|| read.rows.get("4711"));
            scoped.map_or("-".to_owned(), |user| user.employee_id.clone())
        };
        let remarks = read.remarks.iter().map(ToString::to_string);
        Ok(days.iter().map(told).chain(remarks).collect())
    }

    #[test]
    fn a_login_id_is_somebody_elses_from_a_day_on() {
        let rows =
            "4711;E1;Ada;;;1.4.2026\n4711;E2;Bo;;2026-04-01;31.12.2026\n4711;E3;Cy;2;2026-12-31;\n4712;E4;Di;;;\n";
        let moments = [
            (1, "2026-03-31T21:59:59Z"),
            (1, "2026-03-31T22:00:00Z"),
            (1, "2026-12-30T22:59:59Z"),
            (1, "2026-12-30T23:00:00Z"),
            (2, "2026-12-30T23:00:00Z"),
        ];
        assert_eq!(on(rows, "Europe/Berlin", &moments).unwrap(), ["E1", "E2", "E2", "-", "E3"]);
        assert_eq!(on(rows, "UTC", &moments).unwrap(), ["E1", "E1", "E2", "E2", "E2"]);
        // Clocks go forward at midnight: the day begins an hour later.
        let moments = [(1, "2026-04-23T21:59:59Z"), (1, "2026-04-23T22:00:00Z")];
        assert_eq!(on("4711;E1;A;;2026-04-24;\n", "Africa/Cairo", &moments).unwrap(), ["-", "E1"]);
    }

    #[test]
    fn rows_that_contradict_each_other_are_refused_with_both_lines() {
        let again = "the external_user of line 2 is here again, with another employee_id: one of the two lines has to go, or must count \
                     for another time (valid_from, valid_to) or on another acd";
        let cases = [
            ("4711;E1;A;;;2026-04-02\n4711;E2;B;;2026-04-01;\n", format!("line 3: {again}")),
            ("4711;E1;A;;;\n4711;E2;B;1;;\n", format!("line 3: {again}")),
            ("4711;E1;A;1;;\n4711;E2;B;1;2026-04-01;\n", format!("line 3: {again}")),
            ("4711;E1;A;x;;\n", "line 2: acd (column D) is no number of an ACD: expected digits, or nothing for every ACD".to_owned()),
            ("4711;E1;A;;4/1/2026;\n", "line 2: valid_from (column E) is no date: expected 2026-12-31 or 31.12.2026".to_owned()),
            ("4711;E1;A;;31.12.9999;\n", "line 2: valid_from (column E) is too far away: expected a day on which the row begins to count".to_owned()),
            ("4711;E1;A;;;31.11.2026\n", "line 2: valid_to (column F) is no date: expected 2026-12-31 or 31.12.2026".to_owned()),
            ("4711;E1;A;;;31.12.26\n", "line 2: valid_to (column F) is no date: expected 2026-12-31 or 31.12.2026".to_owned()),
            (
                "4711;E1;A;;2026-04-01;2026-04-01\n",
                "line 2: valid_to (column F) is not after valid_from: it is the first day on which the row no longer counts".to_owned(),
            ),
        ];
        for (rows, expected) in cases {
            assert_eq!(on(rows, "UTC", &[]), Err(vec![expected]), "{rows:?}");
        }
        for rows in ["4711;E1;A;;;2026-04-02\n4711;E1;B;;2026-04-01;\n", "4711;E1;A;1;;\n4711;E2;B;2;;\n"] {
            assert_eq!(on(rows, "UTC", &[]), Ok(vec![]), "{rows:?}");
        }
        let many: String = (0..=MOST_ROWS_OF_ONE).map(|acd| format!("4711;E1;A;{acd};;\n")).collect();
        let told = on(&many, "UTC", &[]).unwrap_err();
        println!("{} rows of one user, limit {MOST_ROWS_OF_ONE}: {}", MOST_ROWS_OF_ONE + 1, told[0]);
        assert_eq!(told, ["line 102: external_user (column A) is in more than 100 lines: delete old ones"]);
    }

    #[test]
    fn a_day_between_two_rows_is_told() {
        let rows = "4711;E1;A;;;31.12.2026\n4711;E2;B;;01.01.2027;\n";
        let remark = "line 3: 1 value of valid_from one day after the valid_to of another line, which is the first day that does \
                      not count; this is the first";
        assert_eq!(on(rows, "UTC", &[(1, "2026-12-31T12:00:00Z")]), Ok(vec!["-".to_owned(), remark.to_owned()]));
    }
}
