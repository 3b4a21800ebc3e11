//! Reads an integration's mapping files and gives each content a version that only grows.
//!
//! The version is kept in the store directory, so that it goes on growing over restarts. A content that was in force at
//! the last stop keeps its version.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::config::model::{Integration, Mapping};
use crate::config::problem::{Origin, Problem};
use crate::mapping::files;
use crate::mapping::tables::{Activity, MappingTables};
use crate::time::Timestamp;

/// Reads what an integration's mapping names; the version is still open (0).
///
/// # Errors
/// Every problem in the files, with file and line.
pub fn read(mapping: &Mapping) -> Result<MappingTables, Vec<Problem>> {
    let mut problems = Vec::new();
    let users = read_file(mapping.users.as_deref(), files::parse_users, &mut problems);
    let activities = read_file(mapping.activities.as_deref(), files::parse_activities, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let (id, name) = mapping.default_activity.clone();
    Ok(MappingTables {
        version: 0,
        identify_by: mapping.identify_by,
        users,
        activities,
        default_activity: Arc::new(Activity { activity_id: id, activity_name: name }),
    })
}

type Rows<T> = HashMap<String, Arc<T>>;

fn read_file<T>(
    path: Option<&Path>,
    parse: impl Fn(&[u8]) -> Result<Rows<T>, Vec<files::RowProblem>>,
    problems: &mut Vec<Problem>,
) -> Rows<T> {
    let Some(path) = path else { return Rows::new() };
    let parsed = match fs::read(path) {
        Ok(bytes) => parse(&bytes),
        Err(error) => {
            let message = format!("cannot be read: {error}");
            problems.push(Problem::error(Origin::File(path.into()), message));
            return Rows::new();
        }
    };
    parsed.unwrap_or_else(|rows| {
        problems.extend(
            rows.into_iter()
                .map(|row| Problem::error(Origin::line(path, usize::try_from(row.line).unwrap_or(0)), row.message)),
        );
        Rows::new()
    })
}

/// Versions by integration, on disk.
#[derive(Debug)]
pub struct Versions {
    path: PathBuf,
    known: BTreeMap<String, Version>,
    /// No version that is given from now on is smaller.
    least: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    version: u64,
    content: u64,
}

const FILE: &str = "mapping-versions.json";

impl Versions {
    /// Opens the file in `directory`, which is made when missing. A file that cannot be understood is set aside: the
    /// versions go on from the clock, which is beyond any that were counted.
    ///
    /// # Errors
    /// When the directory cannot be made or written, or the file cannot be read.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.join(FILE);
        let mut least = 1;
        let known = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).or_else(|error| {
                let aside = directory.join(format!("{FILE}.corrupt"));
                tracing::error!(file = %path.display(), aside = %aside.display(), %error, "set aside: not readable");
                least = u64::try_from(Timestamp::now().as_millis() / 1_000).unwrap_or(least);
                fs::rename(&path, aside).map(|()| BTreeMap::new())
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let versions = Self { path, known, least };
        versions.save()?;
        Ok(versions)
    }

    /// Gives `tables` of that integration its version.
    ///
    /// # Errors
    /// When a new version cannot be written down.
    pub fn assign(&mut self, integration: &Integration, tables: MappingTables) -> io::Result<Arc<MappingTables>> {
        let content = content(&tables);
        let before = self.known.get(&*integration.id).copied();
        let version = match before {
            Some(known) if known.content == content => known.version,
            Some(known) => self.least.max(known.version + 1),
            None => self.least,
        };
        let now = Version { version, content };
        if before != Some(now) {
            self.known.insert(integration.id.to_string(), now);
            self.save()?;
        }
        Ok(Arc::new(MappingTables { version, ..tables }))
    }

    fn save(&self) -> io::Result<()> {
        let aside = self.path.with_extension("json.new");
        let json = serde_json::to_vec_pretty(&self.known)?;
        fs::write(&aside, json)?;
        fs::File::open(&aside)?.sync_all()?;
        fs::rename(&aside, &self.path)
    }
}

/// A digest of what the tables say.
fn content(tables: &MappingTables) -> u64 {
    let users: BTreeMap<_, _> = tables.users.iter().collect();
    let activities: BTreeMap<_, _> = tables.activities.iter().collect();

    FixedState::with_seed(0).hash_one(&(tables.identify_by as u8, users, activities, &tables.default_activity))
}
