//! The lists of a mapping: [users](super::users), and here activities.
//!
//! A file with a single error is refused as a whole: half a mapping would publish mapped people as unmapped. Errors go to the
//! log, where nobody is named: they contain line numbers, and no values of a users file.

use std::collections::HashMap;
use std::sync::Arc;

use super::sheet::{self, Column, Occurrences};
use super::tables::Activity;
use super::{cells, key, lookalike, spelling};

pub use super::sheet::RowProblem;
pub use super::users::{USERS_HEADER, UserRows, parse_users};

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

/// Header of an activities file.
pub const ACTIVITIES_HEADER: [&str; 3] = ["external_activity", "activity_id", "activity_name"];

/// What an activities file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityRows {
    /// By external activity, in the spelling in which they are looked up.
    pub rows: HashMap<String, Arc<Activity>>,
    /// What a planner may not have meant, each kind once, with its count and its first line.
    pub remarks: Vec<RowProblem>,
}

/// Reads an activities file: several keys per activity are fine, one key for two activities is not.
///
/// # Errors
/// Every problem in it.
pub fn parse_activities(file: &[u8]) -> Result<ActivityRows, Vec<RowProblem>> {
    let mut rows: HashMap<String, (u64, Arc<Activity>)> = HashMap::new();
    let (mut trimmed, mut odd_blanks) = (Occurrences::default(), Occurrences::default());
    let remarks = sheet::read(file, &ACTIVITIES_COLUMNS, |row| {
        let [external, id, name] = cells::values(row, &mut trimmed);
        cells::usable(row, 0, external, lookalike::of_id)?;
        cells::usable(row, 1, id, lookalike::of_id)?;
        odd_blanks.add(row.line, usize::from(spelling::has_odd_blanks(external)));
        let external = spelling::normal(external);
        key::check_spelling(&external).map_err(|message| row.wrong(message))?;
        let activity = Activity { activity_id: id.to_owned(), activity_name: name.to_owned() };
        match rows.get(&*external) {
            Some((before, known)) if !spelling::is_same(&known.activity_id, &activity.activity_id) => {
                Err(row.wrong(cells::again(*before, "external_activity", "activity_id")))
            }
            Some(_) => Ok(()),
            None => {
                rows.insert(external.into_owned(), (row.line, Arc::new(activity)));
                Ok(())
            }
        }
    })?;
    let rows = rows.into_iter().map(|(key, (_, activity))| (key, activity)).collect();
    let more = [cells::trimmed_remark(&trimmed), cells::odd_blanks_remark(&odd_blanks, "external_activity")];
    Ok(ActivityRows { rows, remarks: remarks.into_iter().chain(more.into_iter().flatten()).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activity_keys_are_checked() {
        let file = "external_activity,activity_id,activity_name\nACD,1,Call\nAUX:x,2,Break\n";
        let problems = parse_activities(file.as_bytes()).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].line, 3);
    }
}
