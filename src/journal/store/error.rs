//! What can go wrong with a store, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

/// Why the service refuses to start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the store open.
    #[error(
        "the store in {} is in use by {}: stop that process, or give this one a `store.directory` of its own",
        directory.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The store directory.
        directory: PathBuf,
        /// Who has it, where that could be read.
        pid: Option<u32>,
    },
    /// The directory cannot be the store's, however long one waits.
    #[error("{}", not_ours(directory, why))]
    NotOurs {
        /// The store directory.
        directory: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A newer program wrote the file.
    #[error(
        "{} has schema version {found}, this program knows versions up to {known}: start the newer program again, or move \
         the file away to begin with an empty store",
        file.display()
    )]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// A newer program wrote contents into it, in the same tables.
    #[error(
        "{} was written by rtalink {program}, with contents of format {found}; this program knows formats up to {known}: start \
         the newer program again, or move the file away to begin with an empty store",
        file.display()
    )]
    NewerContents {
        /// The database.
        file: PathBuf,
        /// The version of that program.
        program: String,
        /// Its format.
        found: u32,
        /// The last format that this program knows.
        known: u32,
    },
    /// Not even a store in memory could be created.
    #[error("there is no store, not even in memory ({0}): give the process more memory")]
    NoMemory(StoreError),
}

/// Says that a directory cannot be the store's, and what to do.
pub(super) fn not_ours(directory: &Path, why: &str) -> String {
    format!(
        "the store directory {} cannot be used ({why}): name another in `store.directory`, or give this user the right to make \
         and write it; with `[store] in_memory = true` the service runs without one, and loses what waits when it ends",
        directory.display()
    )
}

/// What happened while a store was opened. Each needs a person's attention: data may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incident {
    /// A file was not usable; the store begins anew without it.
    Quarantined {
        /// The file.
        file: PathBuf,
        /// Its new name.
        kept_as: PathBuf,
        /// What was wrong with it.
        why: String,
    },
    /// The store is older than it once was: commits are gone.
    RolledBack {
        /// Commits that it has.
        found: u64,
        /// Commits that it had.
        expected: u64,
    },
    /// The directory cannot be written: the store is in memory.
    NotWritable {
        /// The store directory.
        directory: PathBuf,
        /// What the system said.
        why: String,
    },
}

impl Incident {
    /// Every [`Self::kind`].
    pub const KINDS: [&'static str; 3] = ["set_aside", "rolled_back", "not_writable"];

    /// A label for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Quarantined { .. } => "set_aside",
            Self::RolledBack { .. } => "rolled_back",
            Self::NotWritable { .. } => "not_writable",
        }
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quarantined { file, kept_as, why } => write!(
                f,
                "{} is not usable ({why}) and was renamed to {}: what it held beyond Kafka is lost to the service; check the \
                 disk, and delete the renamed file when nobody needs it",
                file.display(),
                kept_as.display()
            ),
            Self::RolledBack { found, expected } => write!(
                f,
                "the store has {found} commits and once had {expected}: what was committed after that is lost; check the disk, \
                 or whether an old copy was put in place"
            ),
            Self::NotWritable { directory, why } => write!(
                f,
                "the store directory {} cannot be written ({why}): the store is in memory and is lost when the process ends; \
                 make the directory writable, with room, and restart",
                directory.display()
            ),
        }
    }
}

/// Why the store could not do what it was asked to. The transaction did not happen. Only [`Self::Corrupt`] is damage.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room.
    #[error(
        "the disk of the store is full ({0}): make room; until then nothing is published, and of what comes each agent's latest state is kept"
    )]
    Full(String),
    /// It may no longer write.
    #[error("the store cannot be written ({0}): check permissions and whether the disk was remounted read-only")]
    NotWritable(String),
    /// What was read is not what was written.
    #[error("the store is damaged ({0}): it must be set aside and replaced by a new one; check the disk")]
    Corrupt(String),
    /// The disk failed.
    #[error("the disk of the store fails ({0}): check the disk and the system's log")]
    Io(String),
    /// Another program has locked it.
    #[error("the store is busy ({0}): end other programs that have its file open")]
    Busy(String),
    /// There is not enough memory for the request.
    #[error("there is no memory for the store ({0}): give the process more")]
    NoMemory(String),
    /// Anything else.
    #[error("the store refuses ({0}): report this")]
    Other(String),
}

impl StoreError {
    /// Every [`Self::kind`].
    pub const KINDS: [&'static str; 7] = ["full", "not_writable", "corrupt", "io", "busy", "no_memory", "other"];

    /// A label for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Full(_) => "full",
            Self::NotWritable(_) => "not_writable",
            Self::Corrupt(_) => "corrupt",
            Self::Io(_) => "io",
            Self::Busy(_) => "busy",
            Self::NoMemory(_) => "no_memory",
            Self::Other(_) => "other",
        }
    }

    /// Whether the content is not what was written. With any other error the content may be intact.
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt(_))
    }

    /// Returns what was found, without the advice.
    pub fn detail(&self) -> &str {
        match self {
            Self::Full(why)
            | Self::NotWritable(why)
            | Self::Corrupt(why)
            | Self::Io(why)
            | Self::Busy(why)
            | Self::NoMemory(why)
            | Self::Other(why) => why,
        }
    }
}

/// Failures of reading that are damage.
const DAMAGED: [i32; 3] = [ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_DATA, ffi::SQLITE_IOERR_CORRUPTFS];

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let why = error.to_string();
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => Self::Full(why),
                ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => Self::NotWritable(why),
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(why),
                // The file ends before what it refers to, or the file system has found it damaged.
                ErrorCode::SystemIoFailure if DAMAGED.contains(&failure.extended_code) => Self::Corrupt(why),
                ErrorCode::SystemIoFailure => Self::Io(why),
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                    Self::Busy(why)
                }
                ErrorCode::OutOfMemory => Self::NoMemory(why),
                _ => Self::Other(why),
            },
            // A column has another type than was written, or a row that is always there is not.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows => Self::Corrupt(why),
            _ => Self::Other(why),
        }
    }
}
