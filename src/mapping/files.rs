//! The CSV files of a mapping, as a [sheet](super::sheet) of users or of activities.
//!
//! A file with a single error is refused as a whole: half a mapping would publish mapped people as unmapped. Errors go to the
//! log, where nobody is named: they contain line numbers, and no values of a users file.

use std::collections::HashMap;
use std::sync::Arc;

use super::sheet::{self, Column, Occurrences, Row};
use super::tables::{Activity, User};
use super::{key, lookalike, spelling};

pub use super::sheet::RowProblem;

/// Columns of a users file.
pub const USERS_COLUMNS: [Column; 3] = [
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
];

/// Columns of an activities file.
pub const ACTIVITIES_COLUMNS: [Column; 3] = [
    Column {
        name: "external_activity",
        also: &["external activity identifier", "externe Aktivität", "externe Aktivitätskennung", "externer Status"],
        is_required: true,
    },
    Column {
        name: "activity_id",
        also: &["activity number", "Aktivitäts-ID", "Aktivitätsnummer", "Aktivitätskennung"],
        is_required: true,
    },
    Column {
        name: "activity_name",
        also: &["activity", "Aktivitätsname", "Aktivität", "Bezeichnung", "name"],
        is_required: true,
    },
];

/// Header of a users file.
pub const USERS_HEADER: [&str; 3] = ["external_user", "employee_id", "employee_name"];
/// Header of an activities file.
pub const ACTIVITIES_HEADER: [&str; 3] = ["external_activity", "activity_id", "activity_name"];

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingRows<T> {
    /// By external user or activity, in the spelling in which they are looked up.
    pub rows: HashMap<String, Arc<T>>,
    /// What a planner may not have meant, each kind once, with its count and its first line.
    pub remarks: Vec<RowProblem>,
}

/// Reads a users file: several identifiers per person are fine, one identifier for two people is not.
///
/// # Errors
/// Every problem in it.
pub fn parse_users(file: &[u8]) -> Result<MappingRows<User>, Vec<RowProblem>> {
    let user = |id, name| User { employee_id: id, employee_name: name };
    parse(file, &USERS_COLUMNS, |_| Ok(()), lookalike::of_login, user, |user| &user.employee_id)
}

/// Reads an activities file: several keys per activity are fine, one key for two activities is not.
///
/// # Errors
/// Every problem in it.
pub fn parse_activities(file: &[u8]) -> Result<MappingRows<Activity>, Vec<RowProblem>> {
    let activity = |id, name| Activity { activity_id: id, activity_name: name };
    let check_key = key::check_spelling;
    parse(file, &ACTIVITIES_COLUMNS, check_key, lookalike::of_id, activity, |activity| &activity.activity_id)
}

fn parse<T>(
    file: &[u8],
    columns: &[Column; 3],
    check_key: impl Fn(&str) -> Result<(), String>,
    spoilt: impl Fn(&str) -> Option<String>,
    make: impl Fn(String, String) -> T,
    id_of: impl Fn(&T) -> &str,
) -> Result<MappingRows<T>, Vec<RowProblem>> {
    let mut rows: HashMap<String, (u64, Arc<T>)> = HashMap::new();
    let (mut trimmed, mut odd_blanks) = (Occurrences::default(), Occurrences::default());
    let remarks = sheet::read(file, columns, |row| {
        let [external, id, name] = values(row, &mut trimmed);
        usable(row, 0, external, &spoilt)?;
        usable(row, 1, id, lookalike::of_id)?;
        odd_blanks.add(row.line, usize::from(spelling::has_odd_blanks(external)));
        let external = spelling::normal(external);
        check_key(&external).map_err(|message| row.wrong(message))?;
        let value = make(id.to_owned(), name.to_owned());
        match rows.get(&*external) {
            Some((before, known)) if !spelling::is_same(id_of(known), id_of(&value)) => {
                let [external, id, _] = columns;
                Err(row.wrong(format!(
                    "the {} of line {before} is here again, with another {}: one of the two lines has to go",
                    external.name, id.name,
                )))
            }
            Some(_) => Ok(()),
            None => {
                rows.insert(external.into_owned(), (row.line, Arc::new(value)));
                Ok(())
            }
        }
    })?;
    let rows = rows.into_iter().map(|(key, (_, value))| (key, value)).collect();
    let odd_blanks = odd_blanks.remark(|values| {
        let inside = "two blanks in a row, or white space other than blanks";
        format!("{values} of {} with {inside}, which the feed must have too", columns[0].name)
    });
    Ok(MappingRows { rows, remarks: remarks.into_iter().chain(trimmed_remark(&trimmed)).chain(odd_blanks).collect() })
}

/// Returns the values of a row without white space around them, which is counted.
fn values<'r, const N: usize>(row: &'r Row<'_, N>, trimmed: &mut Occurrences) -> [&'r str; N] {
    let mut count = 0;
    let values = std::array::from_fn(|column| {
        let value = row.value(column);
        let rest = spelling::trim(value);
        count += usize::from(rest != value);
        spelling::trim(lookalike::unwrapped(rest))
    });
    trimmed.add(row.line, count);
    values
}

fn trimmed_remark(trimmed: &Occurrences) -> Option<RowProblem> {
    trimmed.remark(|values| format!("white space around {values} is left out"))
}

/// Checks an id.
fn usable<const N: usize>(
    row: &Row<'_, N>,
    column: usize,
    id: &str,
    spoilt: impl Fn(&str) -> Option<String>,
) -> Result<(), RowProblem> {
    if id.is_empty() {
        return Err(row.problem(column, "is empty: fill it in, or delete the row"));
    }
    if let Some(c) = spelling::invisible(id) {
        let what = format!("has the invisible character U+{:04X} in it: write it without", u32::from(c));
        return Err(row.problem(column, &what));
    }
    spoilt(id).map_or(Ok(()), |what| Err(row.problem(column, &what)))
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
            let problems = parse_users(file.as_bytes()).err().unwrap_or_default();
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(told.join("; "), expected, "{file:?}");
        }
    }

    /// Returns the rows with their ids and names, and the remarks.
    fn read(rows: &str) -> Result<(Vec<String>, Vec<String>), Vec<String>> {
        let told = |problems: Vec<RowProblem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        let file = format!("{}\n{rows}", USERS_HEADER.join(","));
        let MappingRows { rows, remarks } = parse_users(file.as_bytes()).map_err(told)?;
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
            let problems = parse_users(file.as_bytes()).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [5, 6], "{end:?}");
            let file = file.replace("2,,B", "2,2,\u{e4}\u{fc}").replace("3,3", "3,3,C").into_bytes();
            let at = file.len() - 9;
            let mixed = [&file[..at], b"\xe4", &file[at..]].concat();
            let problems = parse_users(&mixed).unwrap_err();
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

    #[test]
    fn activity_keys_are_checked() {
        let file = "external_activity,activity_id,activity_name\nACD,1,Call\nAUX:x,2,Break\n";
        let problems = parse_activities(file.as_bytes()).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].line, 3);
    }
}
