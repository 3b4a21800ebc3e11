//! Table `meta`: what concerns the store as a whole, as text.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::checksum::Checksum;
use super::error::StoreError;
use super::rows::StoreNumber;

/// The store's id.
pub(super) const ID: &str = "id";
/// Commits so far.
pub(super) const COMMITS: &str = "commits";
/// The latest format of contents that was written into it; see [`super::schema::FORMAT`].
pub(super) const FORMAT: &str = "format";
/// The version of the program that last opened it.
pub(super) const PROGRAM: &str = "program";
/// When it was last opened, RFC 3339.
pub(super) const OPENED_AT: &str = "opened_at";
/// No version of a mapping that is given from now on is smaller.
pub(super) const LEAST_MAPPING_VERSION: &str = "least_mapping_version";

/// The lineage of an integration's journal, by the integration's number.
pub(super) fn runs(number: StoreNumber) -> String {
    format!("runs/{number}")
}

/// [`DUE`] while something that was forgotten may still be found in the bytes of the file.
pub(super) const ERASE: &str = "erase";
/// See [`ERASE`].
pub(super) const DUE: &str = "due";

fn checksum(key: &str, value: &str) -> i64 {
    Checksum::default().bytes(key.as_bytes()).bytes(value.as_bytes()).finish()
}

pub(super) fn get(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    let row = connection
        .query_row("SELECT value, checksum FROM meta WHERE key = ?1", [key], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    match row {
        Some((value, found)) if found != checksum(key, &value) => {
            Err(StoreError::Corrupt(format!("table meta: the checksum of {key} is wrong")))
        }
        row => Ok(row.map(|(value, _)| value)),
    }
}

/// A value that every store has.
pub(super) fn require<T: std::str::FromStr>(connection: &Connection, key: &str) -> Result<T, StoreError> {
    let value = get(connection, key)?;
    let parsed = value.as_deref().and_then(|value| value.parse().ok());
    parsed.ok_or_else(|| StoreError::Corrupt(format!("table meta: {key} is {value:?}")))
}

/// Removes a value; not an error if there is none.
pub(super) fn remove(connection: &Connection, key: &str) -> Result<(), StoreError> {
    connection.execute("DELETE FROM meta WHERE key = ?1", [key])?;
    Ok(())
}

pub(super) fn set(connection: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    let mut replace = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2, ?3)")?;
    replace.execute(params![key, value, checksum(key, value)])?;
    Ok(())
}
