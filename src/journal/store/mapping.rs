//! Table `mapping`: the version that an integration's mapping has, with a digest of its content.
//!
//! Versions only grow, across restarts too. Where it is not known which were used before (a store that was set aside or
//! rolled back, a JSON file that cannot be read), the versions continue from the clock, in seconds, which is beyond any that
//! were used: [`least_version`].
//!
//! Earlier programs kept the versions in `mapping-versions.json`. It is taken over once and then renamed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Deserialize;

use crate::time::Timestamp;

use super::checksum::Checksum;
use super::error::{Incident, StoreError};
use super::meta;
use super::quarantine;
use super::rows::{signed, unsigned};

pub(super) const JSON: &str = "mapping-versions.json";
const MIGRATED: &str = "mapping-versions.json.migrated";

#[derive(Deserialize)]
struct JsonVersion {
    version: u64,
    content: u64,
}

fn checksum(integration: &str, version: i64, content: i64) -> i64 {
    Checksum::default().bytes(integration.as_bytes()).number(version).number(content).finish()
}

/// Version and digest of an integration's mapping.
pub(super) fn get(connection: &Connection, integration: &str) -> Result<Option<(u64, u64)>, StoreError> {
    let sql = "SELECT version, content, checksum FROM mapping WHERE integration = ?1";
    let row = connection.query_row(sql, [integration], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((version, content, found)) = row else { return Ok(None) };
    checked(integration, version, content, found).map(Some)
}

fn checked(integration: &str, version: i64, content: i64, found: i64) -> Result<(u64, u64), StoreError> {
    if checksum(integration, version, content) != found {
        return Err(StoreError::Corrupt(format!("table mapping: the checksum of {integration:?} is wrong")));
    }
    Ok((unsigned(version)?, content.cast_unsigned()))
}

/// Checks every row.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT integration, version, content, checksum FROM mapping")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let integration: String = row.get(0)?;
        checked(&integration, row.get(1)?, row.get(2)?, row.get(3)?)?;
    }
    Ok(())
}

/// A version of an integration's mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingVersion {
    /// Id of the integration.
    pub integration: Arc<str>,
    /// Only grows.
    pub version: u64,
    /// A digest of its content.
    pub content: u64,
}

/// Adds or replaces a version.
pub(super) fn set(connection: &Connection, integration: &str, version: u64, content: u64) -> Result<(), StoreError> {
    // The digest is 64 bits unsigned; a column is signed.
    let (version, content) = (signed(version)?, content.cast_signed());
    connection.execute(
        "INSERT OR REPLACE INTO mapping VALUES (?1, ?2, ?3, ?4)",
        params![integration, version, content, checksum(integration, version, content)],
    )?;
    Ok(())
}

/// The least version for a mapping that has none, or whose content is new.
pub(super) fn least_version(connection: &Connection) -> Result<u64, StoreError> {
    match meta::get(connection, meta::LEAST_MAPPING_VERSION)? {
        None => Ok(1),
        Some(_) => meta::require(connection, meta::LEAST_MAPPING_VERSION),
    }
}

/// Makes versions from now on greater than any that were used.
pub(super) fn forget(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let seconds = (now.as_millis() / 1_000).max(1);
    meta::set(connection, meta::LEAST_MAPPING_VERSION, &seconds.to_string())
}

/// The JSON file of an earlier program, to be taken over.
pub(super) enum Legacy {
    None,
    Versions(BTreeMap<String, (u64, u64)>),
    Broken(String),
}

impl Legacy {
    pub(super) fn read(directory: &Path) -> Self {
        let bytes = match fs::read(directory.join(JSON)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::None,
            // The directory is not one, which a write there will find out too.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Self::None,
            Err(error) => return Self::Broken(error.to_string()),
        };
        match serde_json::from_slice::<BTreeMap<String, JsonVersion>>(&bytes) {
            Ok(known) => Self::Versions(
                known.into_iter().map(|(id, JsonVersion { version, content })| (id, (version, content))).collect(),
            ),
            Err(error) => Self::Broken(error.to_string()),
        }
    }

    /// Takes it over, within a transaction of the caller. Doing so twice does no harm: the greater version wins.
    pub(super) fn take_over(&self, connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
        match self {
            Self::None => Ok(()),
            Self::Broken(_) => forget(connection, now),
            Self::Versions(known) => known.iter().try_for_each(|(id, &(version, content))| {
                let has_later = get(connection, id)?.is_some_and(|(known, _)| known >= version);
                // No version is that large, but a damaged file may say so.
                let is_possible = i64::try_from(version).is_ok();
                if has_later || !is_possible { Ok(()) } else { set(connection, id, version, content) }
            }),
        }
    }

    /// Renames the file, once its content is safe.
    pub(super) fn rename(self, directory: &Path) -> io::Result<Option<Incident>> {
        match self {
            Self::None => Ok(None),
            Self::Versions(_) => fs::rename(directory.join(JSON), directory.join(MIGRATED)).map(|()| None),
            Self::Broken(why) => {
                let kept_as = quarantine::file(directory, JSON)?;
                Ok(Some(Incident::Quarantined { file: directory.join(JSON), kept_as, why }))
            }
        }
    }
}
