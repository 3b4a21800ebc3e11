//! What the service remembers on disk: the journal, the agent tables, and versions of mappings.
//!
//! Purpose: one SQLite file, `journal.db`, in the store directory. A batch is in it before it goes to Kafka and leaves it
//! when Kafka has acknowledged it *and* the agent table on disk includes it; a restart continues from there without Kafka.
//!
//! Invariants:
//!
//! * A commit is one transaction: all of it or nothing. Nobody else writes: the lock file lets one process in.
//! * No row is trusted unchecked. Each has a checksum over all of its columns, and the row of an integration knows how many
//!   rows of the journal and of agents there must be. SQLite notices neither a flipped bit in a blob nor a row that is gone.
//! * A store that has gone back in time is noticed: the lock file counts commits too, outside of the database.
//!
//! Failure policy: only another process and a newer program's file prevent a start. A file that is damaged or foreign is set
//! aside, never deleted; a directory that cannot be written is replaced by memory. Both are an [`Incident`] that the caller
//! must report. Nothing here retries, and no content of a file makes it panic.
//!
//! Cost: a commit is one append to the WAL and, with [`Sync::Full`], one `fsync`. Opening reads all of a small file (up to 64
//! MiB); of a large one it reads everything but the contents of the journal, which are checked as they are read.

mod checksum;
mod commit;
#[cfg(test)]
mod damage_tests;
mod database;
mod erase;
mod error;
#[cfg(test)]
mod figures_tests;
mod inspect;
mod lock;
mod log;
mod mapping;
mod meta;
mod open;
mod place;
mod quarantine;
mod reader;
mod rows;
mod run;
mod schema;
mod scrub;
mod space;
#[cfg(test)]
mod tests;
mod traces;
mod verify;

use std::path::PathBuf;

pub use crate::config::model::Sync;

pub use commit::{AgentKey, AgentRow, Released, Write};
pub use database::{Hurry, MOST_LOG, Store, StoredIntegration, log_bytes};
pub use erase::{Erased, Sweep};
pub use error::{Incident, OpenError, StoreError};
pub use inspect::{InspectError, InspectedIntegration, Inspection, inspect};
pub use mapping::MappingVersion;
pub use open::{Opened, open, open_in_memory};
pub use place::{ProbeFinding, probe};
pub use reader::{JournalRow, StoreReader};
pub use rows::StoreNumber;
pub use run::Lineage;
pub use schema::FORMAT;
pub use space::Space;
pub use traces::quarantined_with;
pub use verify::verify;

/// Returns the version of SQLite.
pub fn version() -> String {
    rusqlite::version().to_owned()
}

/// Where the store is, and how it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Created when missing.
    pub directory: PathBuf,
    /// What a commit survives.
    pub sync: Sync,
}

/// The database in the store directory.
pub const DATABASE: &str = "journal.db";
