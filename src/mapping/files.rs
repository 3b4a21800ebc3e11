//! The CSV files of a mapping. A file with a single error is refused as a whole: half a mapping would publish people as
//! unmapped who are not. What is wrong goes to the log, where nobody is named: it has lines, and no values of a users file.

use std::collections::HashMap;
use std::sync::Arc;

use super::key;
use super::tables::{Activity, User};

/// Header of a users file.
pub const USERS_HEADER: [&str; 3] = ["external_user", "employee_id", "employee_name"];
/// Header of an activities file.
pub const ACTIVITIES_HEADER: [&str; 3] = ["external_activity", "activity_id", "activity_name"];

/// Something wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct RowProblem {
    /// From 1; the header is line 1.
    pub line: u64,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Reads a users file: several identifiers per person are fine, one identifier for two people is not.
///
/// # Errors
/// Every problem in it.
pub fn parse_users(file: &[u8]) -> Result<HashMap<String, Arc<User>>, Vec<RowProblem>> {
    parse(
        file,
        USERS_HEADER,
        |_| Ok(()),
        |id, name| User { employee_id: id, employee_name: name },
        |user| &user.employee_id,
    )
}

/// Reads an activities file: several keys per activity are fine, one key for two activities is not.
///
/// # Errors
/// Every problem in it.
pub fn parse_activities(file: &[u8]) -> Result<HashMap<String, Arc<Activity>>, Vec<RowProblem>> {
    let activity = |id, name| Activity { activity_id: id, activity_name: name };
    parse(file, ACTIVITIES_HEADER, key::check_spelling, activity, |activity| &activity.activity_id)
}

fn parse<T>(
    file: &[u8],
    header: [&str; 3],
    check_key: impl Fn(&str) -> Result<(), String>,
    make: impl Fn(String, String) -> T,
    id_of: impl Fn(&T) -> &str,
) -> Result<HashMap<String, Arc<T>>, Vec<RowProblem>> {
    let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let mut problems = Vec::new();
    let mut problem = |line, message| problems.push(RowProblem { line, message });
    match reader.headers() {
        Ok(found) if found.iter().eq(header) => {}
        // Another file, perhaps the other of the two: its rows say nothing here, and may name people.
        Ok(_) => {
            problem(1, format!("expected the header {:?}, found another line", header.join(",")));
            return Err(problems);
        }
        Err(error) => problem(1, format!("not a CSV file in UTF-8: {error}")),
    }
    let mut rows: HashMap<String, (u64, Arc<T>)> = HashMap::new();
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                problem(line, format!("not readable as CSV in UTF-8: {error}"));
                continue;
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        let (Some(external), Some(id), Some(name), 3) = (row.get(0), row.get(1), row.get(2), row.len()) else {
            problem(line, format!("expected 3 fields ({}), found {}", header.join(","), row.len()));
            continue;
        };
        if external.is_empty() || id.is_empty() {
            let empty = if external.is_empty() { header[0] } else { header[1] };
            problem(line, format!("{empty} is empty"));
            continue;
        }
        if let Err(message) = check_key(external) {
            problem(line, message);
            continue;
        }
        let value = make(id.to_owned(), name.to_owned());
        match rows.get(external) {
            Some((before, known)) if id_of(known) != id_of(&value) => problem(
                line,
                format!(
                    "the {} of line {before} is here again, with another {}: one of the two lines has to go",
                    header[0], header[1],
                ),
            ),
            Some(_) => {}
            None => {
                rows.insert(external.to_owned(), (line, Arc::new(value)));
            }
        }
    }
    if problems.is_empty() {
        Ok(rows.into_iter().map(|(key, (_, value))| (key, value)).collect())
    } else {
        Err(problems)
    }
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
                "line 3: external_user is empty; line 4: expected 3 fields (external_user,employee_id,employee_name), \
                 found 2; line 5: the external_user of line 2 is here again, with another employee_id: one of the two \
                 lines has to go",
            ),
            (
                "user,id,name\n",
                "line 1: expected the header \"external_user,employee_id,employee_name\", found another line",
            ),
        ];
        for (file, expected) in cases {
            let problems = parse_users(file.as_bytes()).err().unwrap_or_default();
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(told.join("; "), expected, "{file:?}");
        }
    }

    #[test]
    fn activity_keys_are_checked() {
        let file = "external_activity,activity_id,activity_name\nACD,1,Call\nAUX:x,2,Break\n";
        let problems = parse_activities(file.as_bytes()).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].line, 3);
    }
}
