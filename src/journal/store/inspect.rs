//! Inspects a store that this process does not own: read-only, without the lock, and without creating a file.
//!
//! Three cases. SQLite's shared memory is next to the database (a process has it open, or had when it crashed): it is read
//! through that, WAL included. There is no WAL: the file is complete and read as immutable. There is a WAL and no shared
//! memory (a copy, a backup): SQLite would create a file to read it, so both are copied to a temporary folder.
//!
//! Cost: `inspect` reads the keys of the journal, not the contents.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::time::Timestamp;

use super::database::BUSY;
use super::error::StoreError;
use super::rows::{IntegrationRow, StoreNumber, unsigned};
use super::{DATABASE, lock, meta, open, quarantine, schema};

/// Why a store cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// No database.
    #[error("there is no store in {}: expected {DATABASE}, which `rtalink run` makes when it first starts", .0.display())]
    Missing(PathBuf),
    /// Not one of ours, or damaged at first sight.
    #[error("{} is not usable ({why}): the next start sets it aside and begins anew", file.display())]
    Unusable {
        /// The database.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It cannot be read, but may be intact.
    #[error("{} cannot be read ({error}): check permissions and the disk", file.display())]
    Unreadable {
        /// The database.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is from a newer program.
    #[error("{} has schema version {found}, this program knows versions up to {known}: use the newer program", file.display())]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// The copy that reading needs could not be made.
    #[error("the store cannot be copied to a temporary folder to be read: {0}: make room, or set TMPDIR")]
    Copy(#[from] io::Error),
    /// A row could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for InspectError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Version of its tables.
    pub schema_version: i64,
    /// Its id.
    pub id: String,
    /// Commits so far.
    pub commits: u64,
    /// Commits that the lock file knows of and the store does not have.
    pub lost_commits: u64,
    /// When a service last opened it, RFC 3339.
    pub opened_at: Option<String>,
    /// Whether a process has it open.
    pub is_open: bool,
    /// The process, where that can be read.
    pub pid: Option<u32>,
    /// Names and bytes of its files.
    pub files: Vec<(String, u64)>,
    /// Files that were set aside.
    pub quarantined: Vec<PathBuf>,
    /// What is known of each integration.
    pub integrations: Vec<InspectedIntegration>,
}

/// What a store holds of an integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedIntegration {
    /// Its id.
    pub id: String,
    /// Its number in the tables.
    pub number: StoreNumber,
    /// Rows in the journal.
    pub entries: u64,
    /// Messages in them.
    pub events: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// When the first of them was written.
    pub oldest_at: Option<Timestamp>,
    /// The first position in the journal.
    pub first: Option<u64>,
    /// The position of the next message.
    pub next: u64,
    /// Everything below is in Kafka.
    pub acknowledged_to: u64,
    /// The agents are as they are after all messages below.
    pub covered_to: u64,
    /// When that was written.
    pub checkpoint_at: Option<Timestamp>,
    /// Rows in table `agent`.
    pub agents: u64,
    /// Nothing from here on is published.
    pub paused_at: Option<u64>,
    /// The agent table is whole.
    pub recovered: bool,
}

/// Looks into the store in `directory`. Not for the process that has it open: opening and closing a file releases the locks
/// that SQLite holds on it for the whole process.
///
/// # Errors
/// When there is no store, or when it cannot be read.
pub fn inspect(directory: &Path) -> Result<Inspection, InspectError> {
    // Before the database is read: a running service only counts further.
    let counted = lock::counted_in(directory);
    let holder = lock::holder(directory);
    let files = files(directory);
    let opened = ReadOnly::open(directory)?;
    let connection = &opened.connection;
    let integrations = IntegrationRow::all(connection)?.into_iter().map(|row| integration(connection, row));
    let integrations = integrations.collect::<Result<_, _>>()?;
    let id: String = meta::require(connection, meta::ID)?;
    let commits: u64 = meta::require(connection, meta::COMMITS)?;
    let expected = counted.filter(|counted| counted.id.to_string() == id).map_or(0, |counted| counted.commits);
    Ok(Inspection {
        schema_version: schema::version_of(connection)?,
        id,
        commits,
        lost_commits: expected.saturating_sub(commits),
        opened_at: meta::get(connection, meta::OPENED_AT)?,
        is_open: holder.is_some(),
        pid: holder.flatten(),
        files,
        quarantined: quarantine::list(directory),
        integrations,
    })
}

fn integration(connection: &Connection, row: IntegrationRow) -> Result<InspectedIntegration, StoreError> {
    let sql = "SELECT count(*), coalesce(sum(count), 0), coalesce(sum(length(content)), 0), min(first) FROM journal
               WHERE integration = ?1";
    let (entries, events, bytes, first): (i64, i64, i64, Option<i64>) =
        connection.query_row(sql, [row.number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let oldest_at: Option<i64> = match first {
        Some(first) => Some(connection.query_row(
            "SELECT written_at FROM journal WHERE integration = ?1 AND first = ?2",
            rusqlite::params![row.number, first],
            |row| row.get(0),
        )?),
        None => None,
    };
    let agents: i64 =
        connection.query_row("SELECT count(*) FROM agent WHERE integration = ?1", [row.number], |row| row.get(0))?;
    Ok(InspectedIntegration {
        id: row.id,
        number: row.number,
        entries: unsigned(entries)?,
        events: unsigned(events)?,
        bytes: unsigned(bytes)?,
        oldest_at: oldest_at.map(Timestamp::from_micros),
        first: first.map(unsigned).transpose()?,
        next: row.next,
        acknowledged_to: row.acknowledged_to,
        covered_to: row.covered_to,
        checkpoint_at: row.checkpoint_at,
        agents: unsigned(agents)?,
        paused_at: row.paused_at,
        recovered: row.recovered,
    })
}

fn files(directory: &Path) -> Vec<(String, u64)> {
    let names = ["", "-wal", "-shm"].map(|part| format!("{DATABASE}{part}"));
    let size = |name: String| directory.join(&name).metadata().ok().map(|found| (name, found.len()));
    names.into_iter().filter_map(size).collect()
}

/// A connection that changes nothing, within one read transaction.
pub(super) struct ReadOnly {
    pub(super) connection: Connection,
    // Where what is read was copied to: deleted after the connection is closed.
    _copy: Option<TempDir>,
}

impl ReadOnly {
    pub(super) fn open(directory: &Path) -> Result<Self, InspectError> {
        let file = directory.join(DATABASE);
        if file.symlink_metadata().is_err() {
            return Err(InspectError::Missing(directory.into()));
        }
        match open::damage(directory, lock::counted_in(directory)) {
            Ok(None) => {}
            Ok(Some(why)) => return Err(InspectError::Unusable { file, why }),
            Err(error) => return Err(InspectError::Unreadable { file, error }),
        }
        let beside = |part: &str| directory.join(format!("{DATABASE}{part}"));
        let has_wal = beside("-wal").metadata().is_ok_and(|found| found.len() > 0);
        let (uri, copy) = if beside("-shm").exists() && beside("-wal").exists() {
            (uri(&file, ""), None)
        } else if has_wal {
            let folder = TempDir::new()?;
            let copy = folder.path().join(DATABASE);
            fs::copy(&file, &copy)?;
            fs::copy(beside("-wal"), folder.path().join(format!("{DATABASE}-wal")))?;
            (uri(&copy, ""), Some(folder))
        } else {
            (uri(&file, "?immutable=1"), None)
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(uri, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.execute_batch("BEGIN")?;
        let (found, known) = (schema::version_of(&connection)?, schema::version());
        if found > known {
            return Err(InspectError::Newer { file, found, known });
        }
        if found < 1 {
            return Err(InspectError::Unusable { file, why: "it has no tables yet".to_owned() });
        }
        Ok(Self { connection, _copy: copy })
    }
}

/// What is not written as it is in the path of a URI.
const NOT_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// The file as SQLite takes it with parameters.
fn uri(file: &Path, parameters: &str) -> String {
    // A path from the working directory has no authority before it.
    let file = std::path::absolute(file).unwrap_or_else(|_| file.into());
    format!("file:{}{parameters}", percent_encode(file.as_os_str().as_bytes(), NOT_IN_PATHS))
}
