//! Reads the files that an integration's mapping names.

use std::path::Path;
use std::sync::Arc;

use crate::mapping::files::{self, ActivityRows, RowProblem, UserRows};
use crate::mapping::logins::{self, NameRows};
use crate::mapping::tables::{Activity, MappingTables};

use super::file;
use super::model::{Integration, Mapping};
use super::problem::{Origin, Problem};

/// Reads what an integration's mapping names; the version is still open (0).
///
/// # Errors
/// Every problem in the files, with file and line.
pub fn read(mapping: &Mapping) -> Result<MappingTables, Vec<Problem>> {
    let mut problems = Vec::new();
    let tables = check(mapping, &mut problems);
    tables.ok_or_else(|| problems.into_iter().filter(Problem::is_error).collect())
}

/// The same, with warnings about what a planner may not have meant. `None` where there is an error.
pub fn check(mapping: &Mapping, problems: &mut Vec<Problem>) -> Option<MappingTables> {
    let before = problems.len();
    let users = mapping.users.as_deref().and_then(|path| {
        let parse = |bytes: &[u8]| files::parse_users(bytes, &mapping.time_zone);
        read_file(path, parse, |users: &mut UserRows| &mut users.remarks, problems)
    });
    let activities = mapping.activities.as_deref().and_then(|path| {
        read_file(path, files::parse_activities, |activities: &mut ActivityRows| &mut activities.remarks, problems)
    });
    let names = mapping
        .names
        .as_deref()
        .and_then(|path| read_file(path, logins::parse_names, |names: &mut NameRows| &mut names.remarks, problems));
    if problems[before..].iter().any(Problem::is_error) {
        return None;
    }
    let (users, scoped) = users.map(|users| (users.rows, users.scoped)).unwrap_or_default();
    let activities = activities.map(|activities| activities.rows).unwrap_or_default();
    let (id, name) = mapping.default_activity.clone();
    Some(MappingTables {
        version: 0,
        identify_by: mapping.identify_by,
        users,
        scoped,
        names: names.map(|names| names.rows).unwrap_or_default(),
        activities,
        default_activity: Arc::new(Activity { activity_id: id, activity_name: name }),
    })
}

/// Returns a warning about an integration that has neither users nor activities: it works, but nobody learns anything from it.
pub fn absence(integration: &Integration, configuration: &Path) -> Option<Problem> {
    let Mapping { users: None, activities: None, default_activity: (_, name), .. } = &integration.mapping else {
        return None;
    };
    let id = &integration.id;
    let message = format!("integration {id:?} has no mapping: nobody becomes an employee, and every activity {name:?}");
    let hint = "put users.csv and activities.csv into the folder `mapping` beside the configuration, or name them in \
                [integration.mapping]";
    Some(Problem::warning(Origin::File(configuration.into()), message).hint(hint))
        .filter(|_| integration.realtime.is_some())
}

/// Returns what a file says; remarks and problems go to `problems`.
fn read_file<T>(
    path: &Path,
    parse: impl Fn(&[u8]) -> Result<T, Vec<RowProblem>>,
    remarks: impl Fn(&mut T) -> &mut Vec<RowProblem>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let bytes = match file::read(path, file::LARGEST_MAPPING) {
        Ok(bytes) => bytes,
        Err(error) => {
            let message = format!("cannot be read: {}", file::reason(&error));
            problems.push(Problem::error(Origin::File(path.into()), message));
            return None;
        }
    };
    let origin = |row: &RowProblem| Origin::line(path, usize::try_from(row.line).unwrap_or(0));
    match parse(&bytes) {
        Ok(mut read) => {
            let remarks = std::mem::take(remarks(&mut read));
            problems.extend(remarks.into_iter().map(|remark| Problem::warning(origin(&remark), remark.message)));
            Some(read)
        }
        Err(rows) => {
            let problem =
                |row: RowProblem| Problem { content: row.content.clone(), ..Problem::error(origin(&row), row.message) };
            problems.extend(rows.into_iter().map(problem));
            None
        }
    }
}
