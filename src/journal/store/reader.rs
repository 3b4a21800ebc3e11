//! Reads the journal alongside the thread that writes it.
//!
//! Its own connection sees what is committed. Each call is a short read transaction, so that it never keeps the WAL from
//! being emptied. Cost: a range of the primary key; every content is read once and its checksum computed.

use rusqlite::{Connection, params};

use crate::time::Timestamp;

use super::error::StoreError;
use super::rows::{self, StoreNumber, signed, unsigned};

/// Reads rows of the journal; see [`super::Store::reader`].
#[derive(Debug)]
pub struct StoreReader {
    pub(super) connection: Connection,
}

/// A row of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Position of its first message.
    pub first: u64,
    /// Messages in it.
    pub count: u32,
    /// When it was written.
    pub written_at: Timestamp,
    /// A `rtalink.store.v1.Batch`.
    pub content: Vec<u8>,
}

impl JournalRow {
    /// The position after its last message.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.count.into())
    }
}

impl StoreReader {
    /// Rows that end after position `from`, in order: as many as fit into `most_bytes`, but at least one if there is one.
    /// They end before a row that is not as it was written.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the first one is not as it was written.
    pub fn batches(
        &self,
        integration: StoreNumber,
        from: u64,
        most_bytes: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let mut found = Vec::new();
        let mut bytes = 0_usize;
        let visited = visit(&self.connection, integration, from, &mut |row| {
            bytes = bytes.saturating_add(row.content.len());
            if bytes > most_bytes && !found.is_empty() {
                return false;
            }
            found.push(row);
            bytes < most_bytes
        });
        match visited {
            Err(StoreError::Corrupt(_)) if !found.is_empty() => Ok(found),
            visited => visited.map(|()| found),
        }
    }

    /// Does the same, skipping rows that are not as they were written: from the first intact one on.
    ///
    /// # Errors
    /// When the store cannot be read, which says nothing about its content.
    pub fn sound_batches(
        &self,
        integration: StoreNumber,
        from: u64,
        most_bytes: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let mut from = from;
        loop {
            match self.batches(integration, from, most_bytes) {
                Err(error) if error.is_damage() => match self.next_row(integration, from)? {
                    Some(next) => from = next,
                    None => return Ok(Vec::new()),
                },
                found => return found,
            }
        }
    }

    /// Returns where the first row after position `from` begins, whatever is in it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn next_row(&self, integration: StoreNumber, from: u64) -> Result<Option<u64>, StoreError> {
        let statement = "SELECT min(first) FROM journal WHERE integration = ?1 AND first > ?2";
        let next: Option<i64> =
            self.connection.query_row(statement, params![integration, signed(from)?], |row| row.get(0))?;
        next.map(unsigned).transpose()
    }
}

/// Calls `take` with the rows that end after `from`, checked, until it returns false.
pub(super) fn visit(
    connection: &Connection,
    integration: StoreNumber,
    from: u64,
    take: &mut dyn FnMut(JournalRow) -> bool,
) -> Result<(), StoreError> {
    // A row that begins before `from` may end after it: there is at most one, the last that begins there.
    let mut statement = connection.prepare(
        "SELECT first, count, written_at, checksum, content FROM journal
         WHERE integration = ?1 AND first >= coalesce(
            (SELECT max(first) FROM journal WHERE integration = ?1 AND first <= ?2), 0)
         ORDER BY first",
    )?;
    let mut rows = statement.query(params![integration, signed(from)?])?;
    let mut end = 0;
    while let Some(row) = rows.next()? {
        let (first, count, at, checksum): (i64, i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let content = row.get_ref(4)?.as_blob().map_err(|error| StoreError::Corrupt(error.to_string()))?;
        if rows::of_journal(integration, first, count, at, content) != checksum {
            return Err(StoreError::Corrupt(format!("table journal: the checksum of position {first} is wrong")));
        }
        let count = u32::try_from(count).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let row = JournalRow {
            first: unsigned(first)?,
            count,
            written_at: Timestamp::from_micros(at),
            content: content.into(),
        };
        if row.first < end {
            return Err(StoreError::Corrupt(format!("table journal: position {first} stands in two rows")));
        }
        end = row.end();
        if end > from && !take(row) {
            break;
        }
    }
    Ok(())
}
