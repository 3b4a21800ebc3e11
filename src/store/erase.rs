//! Erasing: what was deleted is not to be found in the bytes of the store any more.
//!
//! SQLite leaves what is deleted where it was: in free pages, in the free parts of pages, in copies that balancing a tree has
//! left behind, and in the write-ahead log. So the file is written anew from what is in its tables (`VACUUM`, with its
//! intermediate copy in memory, not in another file), and then the log is emptied into it and cut off. In what state the
//! file was before does not matter, nor which version has written it.
//!
//! Policy: a file of more than [`MOST_ERASED`] waits until it is smaller: it is that large only while Kafka is away, or an
//! integration is paused, and the messages that wait are not to be kept waiting by a copy of all of them. What was to be
//! erased and is not is a row in `meta`, so that a restart goes on with it. What the file system and the disk make of bytes
//! that are overwritten or cut off is beyond us.
//!
//! Cost: reads and writes the whole file. Nothing else is written meanwhile.

use std::time::Duration;

use crate::fail_point;

use super::database::{BUSY, Place, Store};
use super::error::StoreError;
use super::meta;

/// The largest file that is written anew, in bytes.
pub const MOST_ERASED: u64 = 64 * 1024 * 1024;

/// How long readers of the log are waited for: ours are quick.
const PATIENCE: Duration = Duration::from_millis(500);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// Nothing that was deleted is in the file or its log.
    Done,
    /// The file is too large: it waits for its journal to become shorter.
    TooLarge,
    /// Somebody reads in the log, which can therefore not be cut off: try again.
    Busy,
}

impl Store {
    /// Whether something that was forgotten waits to be erased.
    ///
    /// # Errors
    /// When the row that says so is damaged.
    pub fn is_erase_due(&self) -> Result<bool, StoreError> {
        Ok(meta::get(&self.connection, meta::ERASE)?.is_some())
    }

    /// Writes the file anew without anything that was deleted from it. `is_last`: nothing else waits to be erased.
    ///
    /// # Errors
    /// When the store cannot be written; then it is as it was, and the erasing is still due.
    pub fn erase(&mut self, is_last: bool) -> Result<Erased, StoreError> {
        if matches!(self.place, Place::Memory { .. }) {
            return Ok(Erased::Done);
        }
        let pragma = |name: &str| self.connection.pragma_query_value::<i64, _>(None, name, |row| row.get(0));
        let pages = pragma("page_count")? - pragma("freelist_count")?;
        if pages.saturating_mul(pragma("page_size")?).unsigned_abs() > MOST_ERASED {
            return Ok(Erased::TooLarge);
        }
        fail_point::reach(fail_point::BEFORE_ERASE);
        // An intermediate file would be one more place where people are found.
        self.connection.pragma_update(None, "temp_store", "MEMORY")?;
        self.connection.execute_batch("VACUUM")?;
        fail_point::reach(fail_point::IN_ERASE);
        self.connection.busy_timeout(PATIENCE)?;
        let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        self.connection.busy_timeout(BUSY)?;
        let is_busy: bool = emptied?;
        if is_busy {
            return Ok(Erased::Busy);
        }
        if is_last {
            self.transaction(|connection| meta::remove(connection, meta::ERASE))?;
        }
        fail_point::reach(fail_point::AFTER_ERASE);
        Ok(Erased::Done)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::Write;
    use super::super::tests::{batch, store};
    use super::*;

    #[test]
    fn a_large_store_waits() {
        const ROW: usize = 8 << 20;
        let folder = TempDir::new().unwrap();
        let mut store = store(folder.path());
        let number = store.integration("avaya-1").unwrap().number;
        let content = vec![b'x'; ROW];
        let rows = MOST_ERASED / ROW as u64 + 1;
        for first in 0..rows {
            store.commit(&[batch(number, first * 10, &content)]).unwrap();
        }
        assert_eq!(store.erase(true).unwrap(), Erased::TooLarge);
        // Kafka has it, and a checkpoint covers it: the rows leave.
        let to = rows * 10;
        let covered =
            Write::Checkpoint { integration: number, covered_to: to, agents: &[], feed: b"", recovered: true };
        store.commit(&[Write::Acknowledged { integration: number, to }, covered]).unwrap();
        assert_eq!(store.erase(true).unwrap(), Erased::Done);
        println!("a store of {rows} rows of 8 MiB, limit {} MiB: waits until they are gone", MOST_ERASED >> 20);
    }
}
