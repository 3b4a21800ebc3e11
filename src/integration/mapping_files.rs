//! Reads an integration's mapping files and gives each content a version that only grows.
//!
//! The version is kept in the store, so that it goes on growing over restarts. A content that was in force at the last stop
//! keeps its version.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::config::file;
use crate::config::model::{Config, Integration, Mapping};
use crate::config::problem::{Origin, Problem};
use crate::journal::store::{Store, StoreError};
use crate::mapping::files::{self, RowProblem, Rows};
use crate::mapping::tables::{Activity, MappingTables};

/// Reads what an integration's mapping names; the version is still open (0).
///
/// # Errors
/// Every problem in the files, with file and line.
pub fn read(mapping: &Mapping) -> Result<MappingTables, Vec<Problem>> {
    let mut problems = Vec::new();
    let tables = check(mapping, &mut problems);
    tables.ok_or_else(|| problems.into_iter().filter(Problem::is_error).collect())
}

/// The same for who also wants to hear what a planner may not have meant: warnings. Nothing where there is an error.
pub fn check(mapping: &Mapping, problems: &mut Vec<Problem>) -> Option<MappingTables> {
    let before = problems.len();
    let users = read_file(mapping.users.as_deref(), files::parse_users, problems);
    let activities = read_file(mapping.activities.as_deref(), files::parse_activities, problems);
    if problems[before..].iter().any(Problem::is_error) {
        return None;
    }
    let (id, name) = mapping.default_activity.clone();
    Some(MappingTables {
        version: 0,
        identify_by: mapping.identify_by,
        users,
        activities,
        default_activity: Arc::new(Activity { activity_id: id, activity_name: name }),
    })
}

/// A warning about an integration that has neither users nor activities: it works, and tells nobody anything.
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

fn read_file<T>(
    path: Option<&Path>,
    parse: impl Fn(&[u8]) -> Result<Rows<T>, Vec<RowProblem>>,
    problems: &mut Vec<Problem>,
) -> HashMap<String, Arc<T>> {
    let Some(path) = path else { return HashMap::new() };
    let parsed = match file::read(path, file::LARGEST_MAPPING) {
        Ok(bytes) => parse(&bytes),
        Err(error) => {
            let message = format!("cannot be read: {}", file::reason(&error));
            problems.push(Problem::error(Origin::File(path.into()), message));
            return HashMap::new();
        }
    };
    let origin = |row: &RowProblem| Origin::line(path, usize::try_from(row.line).unwrap_or(0));
    match parsed {
        Ok(Rows { rows, remarks }) => {
            problems.extend(remarks.into_iter().map(|remark| Problem::warning(origin(&remark), remark.message)));
            rows
        }
        Err(rows) => {
            problems.extend(rows.into_iter().map(|row| Problem::error(origin(&row), row.message)));
            HashMap::new()
        }
    }
}

/// Versions by integration, as the store has them.
#[derive(Debug)]
pub struct Versions {
    known: BTreeMap<Arc<str>, Version>,
    /// No version that is given from now on is smaller.
    least: u64,
}

/// A version of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Only grows.
    pub version: u64,
    /// A digest of its content.
    pub content: u64,
}

impl Versions {
    /// Those of the configured integrations.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn load(store: &Store, config: &Config) -> Result<Self, StoreError> {
        let mut known = BTreeMap::new();
        for integration in &config.integrations {
            if let Some((version, content)) = store.mapping_version(&integration.id)? {
                known.insert(Arc::clone(&integration.id), Version { version, content });
            }
        }
        Ok(Self { known, least: store.least_mapping_version()? })
    }

    /// Gives `tables` of that integration its version: that of the last time if they say the same, else a new one.
    pub fn assign(&mut self, integration: &Integration, tables: MappingTables) -> Arc<MappingTables> {
        let content = content(&tables);
        let version = match self.known.get(&integration.id) {
            Some(known) if known.content == content => known.version,
            Some(known) => self.least.max(known.version + 1),
            None => self.least,
        };
        self.known.insert(Arc::clone(&integration.id), Version { version, content });
        Arc::new(MappingTables { version, ..tables })
    }

    /// The same tables with a version beyond `published`, where theirs is not: another machine has counted before.
    pub fn beyond(
        &mut self,
        integration: &Arc<str>,
        published: u64,
        tables: &Arc<MappingTables>,
    ) -> Arc<MappingTables> {
        match self.known.get_mut(integration) {
            Some(known) if known.version <= published => {
                known.version = published + 1;
                Arc::new(MappingTables { version: known.version, ..MappingTables::clone(tables) })
            }
            _ => Arc::clone(tables),
        }
    }

    /// That of an integration.
    pub fn of(&self, integration: &str) -> Option<Version> {
        self.known.get(integration).copied()
    }

    /// Writes all of them down.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn save(&self, store: &mut Store) -> Result<(), StoreError> {
        for (integration, Version { version, content }) in &self.known {
            if store.mapping_version(integration)? != Some((*version, *content)) {
                store.set_mapping_version(integration, *version, *content)?;
            }
        }
        Ok(())
    }
}

/// A digest of what the tables say.
fn content(tables: &MappingTables) -> u64 {
    let users: BTreeMap<_, _> = tables.users.iter().collect();
    let activities: BTreeMap<_, _> = tables.activities.iter().collect();

    FixedState::with_seed(0).hash_one(&(tables.identify_by as u8, users, activities, &tables.default_activity))
}
