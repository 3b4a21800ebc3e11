//! The tables, as steps from one schema version to the next.
//!
//! Version N is the result of the first N steps; `user_version` of the file says how many it has seen. **A new version is a
//! new step at the end of [`STEPS`]**; an older step is never changed, because files made by it exist.
//!
//! Every step runs in one transaction with its `user_version`, so that a crash leaves the old version or the new one.

use rusqlite::{Connection, TransactionBehavior};

use super::error::StoreError;

/// "rtal": distinguishes our files from others.
pub(super) const APPLICATION_ID: i64 = 0x7274_616c;

/// The format of contents: routes, headers, and values of enums that an older program does not know. **Adding one must raise
/// this**, as a test checks. A program refuses a file of a newer format before it has changed anything, so that an image that
/// is rolled back does not take what it cannot read for damage.
pub const FORMAT: u32 = 1;

/// A file up to this size is checked in full when it is opened; of a larger one the journal's contents are not.
pub(super) const CHECKED_IN_FULL: i64 = 64 * 1024 * 1024;

/// The steps to version 1, to version 2, and so on.
pub(super) const STEPS: &[&str] = &["
CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE integration (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    next INTEGER NOT NULL,
    acknowledged_to INTEGER NOT NULL,
    covered_to INTEGER NOT NULL,
    held_at INTEGER,
    recovered INTEGER NOT NULL,
    checkpoint_at INTEGER,
    entries INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    agents INTEGER NOT NULL,
    feed BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE journal (
    integration INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (integration, first)
) WITHOUT ROWID;
CREATE TABLE agent (
    integration INTEGER NOT NULL,
    acd INTEGER NOT NULL,
    login_id TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    memory BLOB NOT NULL,
    PRIMARY KEY (integration, acd, login_id)
) WITHOUT ROWID;
CREATE TABLE mapping (
    integration TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    content INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
"];

/// The version that this program writes.
pub(super) fn version() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// The version of the file.
pub(super) fn version_of(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Migrates the file to the version after the last of `steps`. A file without tables gets all of them.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    let done = usize::try_from(version_of(connection)?)
        .map_err(|_| StoreError::Corrupt("its schema version is below zero".to_owned()))?;
    if done == 0 {
        // Only has an effect before the first table.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    for (index, step) in steps.iter().enumerate().skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}

/// Checks that the tables are those that `steps` create: a damaged definition would read columns under other names.
pub(super) fn check_tables(connection: &Connection, steps: &[&str]) -> Result<(), StoreError> {
    let mut model = Connection::open_in_memory()?;
    migrate(&mut model, steps)?;
    let found = tables(connection)?;
    let missing = tables(&model)?.into_iter().find(|table| !found.contains(table));
    missing.map_or(Ok(()), |(name, _)| Err(StoreError::Corrupt(format!("table {name} is not as it was made"))))
}

/// Whether the tables are those of this version and no others. Then the file is not of a newer one, whatever its number says:
/// **every step changes a table**.
pub(super) fn is_ours(connection: &Connection) -> Result<bool, StoreError> {
    let mut model = Connection::open_in_memory()?;
    migrate(&mut model, STEPS)?;
    Ok(tables(connection)? == tables(&model)?)
}

fn tables(connection: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table'")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Runs SQLite's own check of the pages. Of a file beyond [`CHECKED_IN_FULL`] the journal is left out: its rows are counted
/// when an integration is opened and checked as they are read.
pub(super) fn check_pages(connection: &Connection) -> Result<(), StoreError> {
    let pragma = |name: &str| connection.pragma_query_value::<i64, _>(None, name, |row| row.get(0));
    let size = pragma("page_count")?.saturating_mul(pragma("page_size")?);
    if size <= CHECKED_IN_FULL {
        check_pragma(connection, "PRAGMA quick_check(1)")?;
        // A quick check does not compare an index with its table.
        return check_pragma(connection, "PRAGMA integrity_check(integration)");
    }
    ["meta", "integration", "mapping", "agent"]
        .iter()
        .try_for_each(|table| check_pragma(connection, &format!("PRAGMA integrity_check({table})")))
}

fn check_pragma(connection: &Connection, pragma: &str) -> Result<(), StoreError> {
    let first: String = connection.query_row(pragma, [], |row| row.get(0))?;
    if first == "ok" { Ok(()) } else { Err(StoreError::Corrupt(first.replace('\n', " "))) }
}
