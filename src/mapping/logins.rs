//! The list of names: what agents are called whose feed tells their login ids only.

use std::collections::HashMap;
use std::sync::Arc;

use super::sheet::{self, Column, Occurrences, RowProblem};
use super::{cells, lookalike, spelling};

const COLUMNS: [Column; 2] = [
    Column {
        name: "login_id",
        also: &["login", "agent ID", "Login-ID", "Anmeldekennung", "Agentenkennung"],
        is_required: true,
    },
    Column { name: "name", also: &["agent name", "Agentenname", "Name des Agenten"], is_required: true },
];

const LOGIN_ID: usize = 0;
const NAME: usize = 1;

/// What a names file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRows {
    /// By login id, in the spelling in which they are looked up.
    pub rows: HashMap<String, Arc<str>>,
    /// What a planner may not have meant, each kind once, with its count and its first line.
    pub remarks: Vec<RowProblem>,
}

/// Reads a names file: one login id with two names is an error; one name of two logins is not, and identifies nobody.
///
/// # Errors
/// Every problem in it.
pub fn parse_names(file: &[u8]) -> Result<NameRows, Vec<RowProblem>> {
    let mut rows: HashMap<String, (u64, Arc<str>)> = HashMap::new();
    let mut trimmed = Occurrences::default();
    let remarks = sheet::read(file, &COLUMNS, |row| {
        let [login_id, name] = cells::values(row, &mut trimmed);
        cells::usable(row, LOGIN_ID, login_id, lookalike::of_login)?;
        cells::usable(row, NAME, name, |_| None)?;
        match rows.get(&*spelling::normal(login_id)) {
            Some((before, known)) if !spelling::is_same(known, name) => {
                Err(row.wrong(cells::again(*before, COLUMNS[LOGIN_ID].name, COLUMNS[NAME].name)))
            }
            Some(_) => Ok(()),
            None => {
                rows.insert(spelling::normal(login_id).into_owned(), (row.line, name.into()));
                Ok(())
            }
        }
    })?;
    let rows = rows.into_iter().map(|(key, (_, name))| (key, name)).collect();
    Ok(NameRows { rows, remarks: remarks.into_iter().chain(cells::trimmed_remark(&trimmed)).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_id_has_one_name() {
        let read =
            parse_names("Name des Agenten;Login-ID\n\"Müller, J.\";04711\nRoe;04712\nRoe; 04713\n".as_bytes()).unwrap();
        let mut rows: Vec<_> = read.rows.iter().map(|(login, name)| format!("{login}={name}")).collect();
        rows.sort_unstable();
        assert_eq!(rows, ["04711=Müller, J.", "04712=Roe", "04713=Roe"]);
        let problems = parse_names(b"login_id,name\n1,Ada\n1,Ada\n1,Bo\n2,\n3E+11,Cy\n").unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            told[0],
            "line 4: the login_id of line 2 is here again, with another name: one of the two lines has to go"
        );
        assert_eq!(told[1], "line 5: name (column B) is empty: fill it in, or delete the row");
        assert!(told[2].starts_with("line 6: login_id (column A) is a number in scientific notation"), "{}", told[2]);
    }
}
