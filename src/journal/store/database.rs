//! The open store.
//!
//! Every change goes through [`Store::transaction`]: one transaction, which also counts itself, followed by the count in the
//! lock file.

use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use uuid::Uuid;

use crate::fail_point;
use crate::telemetry::targets::JOURNAL;
use crate::time::Timestamp;

use super::commit::{self, Released, Write};
use super::erase::WrittenPages;
use super::error::StoreError;
use super::lock::{CommitCount, Lock};
use super::mapping::MappingVersion;
use super::reader::StoreReader;
use super::rows::{self, IntegrationRow, StoreNumber};
use super::run::Lineage;
use super::{DATABASE, StoreSettings, mapping, meta, space};

/// How long a statement waits for another connection.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// How long it waits at a time: after that it checks for a hurry.
const BUSY_STEP: Duration = Duration::from_millis(100);
/// The WAL is looked at after so many commits ...
const LOOK_AT_WAL: u64 = 64;
/// ... and emptied from this size on.
pub const MOST_LOG: u64 = 32 * 1024 * 1024;
/// The WAL is copied into the database once it has so many pages more, when nothing waits to be committed: 4 MiB. It then begins
/// anew, unless there is always a reader.
const COPY_PAGES: u64 = 1_000;
/// The same, whatever waits: 12 MiB.
const COPY_PAGES_BUSY: u64 = 3_000;

/// Where the database is.
#[derive(Debug)]
pub(super) enum StoreLocation {
    /// In the directory; the lock is held as long.
    Directory { settings: StoreSettings, lock: Lock },
    /// In memory, under this name for other connections of the process.
    Memory { uri: String, settings: StoreSettings },
}

/// Ends the waiting of a store for other programs that have its file.
#[derive(Clone, Debug, Default)]
pub struct Hurry(Arc<AtomicBool>);

impl Hurry {
    /// From now on nothing waits for more than a moment.
    pub fn up(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_up(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The store; owned by one thread.
#[derive(Debug)]
pub struct Store {
    // The order matters: the connection is closed before the lock is released.
    pub(super) connection: Connection,
    pub(super) place: StoreLocation,
    pub(super) id: Uuid,
    /// The id of this opening.
    pub(super) run: Uuid,
    pub(super) commits: u64,
    pub(super) hurry: Hurry,
    /// `Some` while a sweep is in progress.
    pub(super) written: Option<WrittenPages>,
    /// What the WAL has that is not copied into the database.
    pub(super) log: LogPages,
}

/// How many pages the WAL has, as SQLite tells after each commit, and how many it had when it was last copied.
#[derive(Debug)]
pub(super) struct LogPages {
    now: Arc<AtomicU64>,
    copied: u64,
}

impl LogPages {
    /// Counts from now on, and so keeps SQLite from copying by itself.
    pub(super) fn count(connection: &mut Connection) -> Result<Self, StoreError> {
        let now = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&now);
        connection.wal_hook(Some(move |_: &mut Wal, pages: c_int| {
            counted.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { now, copied: 0 })
    }

    fn not_copied(&self) -> u64 {
        let now = self.now.load(Ordering::Relaxed);
        // With fewer pages than it had then, it has begun anew.
        if now < self.copied { now } else { now - self.copied }
    }

    fn copied(&mut self) {
        self.copied = self.now.load(Ordering::Relaxed);
    }
}

/// What is known of an integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredIntegration {
    /// Its number in the store.
    pub number: StoreNumber,
    /// The position of the next message.
    pub next: u64,
    /// Everything below is in Kafka.
    pub acknowledged_to: u64,
    /// The agents are as they are after all messages below.
    pub covered_to: u64,
    /// Nothing from this position on is published.
    pub paused_at: Option<u64>,
    /// Bytes of the contents in the journal.
    pub bytes: u64,
    /// Agents in the table.
    pub agents: u64,
    /// The agent table is whole: false in a new store and in one that lost commits.
    pub recovered: bool,
    /// A `rtalink.store.v1.FeedMemory`; empty where there was no checkpoint.
    pub feed: Vec<u8>,
}

impl From<IntegrationRow> for StoredIntegration {
    fn from(row: IntegrationRow) -> Self {
        Self {
            number: row.number,
            next: row.next,
            acknowledged_to: row.acknowledged_to,
            covered_to: row.covered_to,
            paused_at: row.paused_at,
            bytes: row.bytes,
            agents: row.agents,
            recovered: row.recovered,
            feed: row.feed,
        }
    }
}

impl Store {
    /// Returns the store's id: random, created with the file.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the means for another thread to shorten the waiting of this one.
    pub fn hurry(&self) -> Hurry {
        self.hurry.clone()
    }

    /// False: it lives in memory, because the directory cannot be written.
    pub fn is_durable(&self) -> bool {
        matches!(self.place, StoreLocation::Directory { .. })
    }

    /// Returns the ids of all integrations that have a row.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a row is not as it was written.
    pub fn integrations(&self) -> Result<Vec<String>, StoreError> {
        Ok(IntegrationRow::all(&self.connection)?.into_iter().map(|row| row.id).collect())
    }

    /// Deletes all messages and agents of an integration. Its positions stay: no position is ever used twice.
    ///
    /// # Errors
    /// On any error nothing has changed.
    pub fn remove_integration(&mut self, number: StoreNumber) -> Result<(), StoreError> {
        self.transaction(|connection| {
            let Some(row) = IntegrationRow::find(connection, number)? else { return Ok(()) };
            for table in ["journal", "agent"] {
                connection.execute(&format!("DELETE FROM {table} WHERE integration = ?1"), [number])?;
            }
            let IntegrationRow { number, id, next, .. } = row;
            let next = next.max(row.acknowledged_to).max(row.covered_to);
            let emptied = IntegrationRow {
                number,
                id,
                next,
                acknowledged_to: next,
                covered_to: next,
                ..IntegrationRow::default()
            };
            emptied.save(connection)?;
            meta::set(connection, meta::ERASE, meta::DUE)
        })
    }

    /// Returns what is known of an integration, which is added when missing.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the journal lacks rows that it had, and any error of a commit.
    pub fn integration(&mut self, id: &str) -> Result<StoredIntegration, StoreError> {
        let all = IntegrationRow::all(&self.connection)?;
        // A new number was never used before: rows of an integration are not deleted.
        let number = all.last().map_or(StoreNumber::FIRST, |last| last.number.next());
        if let Some(row) = all.into_iter().find(|row| row.id == id) {
            row.check_journal(&self.connection)?;
            return Ok(row.into());
        }
        let row = IntegrationRow { number, id: id.to_owned(), ..IntegrationRow::default() };
        self.transaction(|connection| row.save(connection))?;
        Ok(row.into())
    }

    /// Returns the runs that counted an integration's journal, without this one. What cannot be read is unknown: then less of
    /// what Kafka says is trusted.
    pub fn lineage(&self, number: StoreNumber) -> Lineage {
        let found = meta::get(&self.connection, &meta::runs(number));
        let parsed = found.map(|text| text.map_or_else(|| Some(Lineage::default()), |text| Lineage::parse(&text)));
        parsed.ok().flatten().unwrap_or_else(|| {
            tracing::warn!(
                target: JOURNAL, %number,
                "the store's row of the runs of an integration is damaged: they are taken for unknown"
            );
            Lineage::default()
        })
    }

    /// Returns this run's id, different at each opening.
    pub fn run(&self) -> Uuid {
        self.run
    }

    /// Records that this run continues an integration, by its number, at a position. Where that cannot be written, less of
    /// what Kafka says is trusted after the next start. A run that continues it once more began where it did.
    pub fn begin_run(&mut self, (number, first): (StoreNumber, u64)) -> Lineage {
        let known = self.lineage(number);
        if known.run() == Some(self.run) && known.first() <= first {
            return known;
        }
        let lineage = known.followed_by(self.run, first);
        let written = self.transaction(|connection| meta::set(connection, &meta::runs(number), &lineage.to_string()));
        if let Err(error) = written {
            tracing::warn!(
                target: JOURNAL, kind = error.kind(), %error, "the beginning of this run cannot be written down"
            );
        }
        lineage
    }

    /// Passes the `memory` of every agent to `take`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when an agent is not as it was written, or is missing; `take` may have got others by then.
    pub fn agents(&self, number: StoreNumber, take: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        agents(&self.connection, number, &mut |_, _, memory| take(memory))
    }

    /// Does all of `writes`, in their order, or none of them. Returns the room that was freed, for integrations that got any.
    ///
    /// # Errors
    /// On any error nothing has changed.
    pub fn commit(&mut self, writes: &[Write<'_>]) -> Result<Vec<Released>, StoreError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let [batch, acknowledged, checkpoint] = [
            writes.iter().any(|write| matches!(write, Write::Batch { .. })),
            writes.iter().any(|write| matches!(write, Write::Acknowledged { .. })),
            writes.iter().any(|write| matches!(write, Write::Checkpoint { .. })),
        ];
        let reach = |is_so: bool, point| {
            if is_so {
                fail_point::reach(point)
            }
        };
        reach(batch, fail_point::BATCH_TAKEN);
        reach(acknowledged, fail_point::BEFORE_ACKNOWLEDGED_TO);
        reach(checkpoint, fail_point::BEFORE_CHECKPOINT);
        let released = self.transaction(|connection| commit::apply(connection, writes, Timestamp::now()))?;
        reach(batch, fail_point::BATCH_WRITTEN);
        reach(acknowledged, fail_point::AFTER_ACKNOWLEDGED_TO);
        reach(checkpoint, fail_point::AFTER_CHECKPOINT);
        if self.commits.is_multiple_of(LOOK_AT_WAL) {
            self.bound_wal();
        }
        Ok(released)
    }

    /// Copies the WAL into the database once that is due, as SQLite would do within a commit, which then takes milliseconds
    /// longer. `is_busy`: something waits to be committed. What fails is tried again after the next commit, which reports what
    /// is wrong with the disk.
    pub fn copy_log(&mut self, is_busy: bool) {
        let due = if is_busy { COPY_PAGES_BUSY } else { COPY_PAGES };
        if !self.is_durable() || self.log.not_copied() < due {
            return;
        }
        match self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            Ok(()) => self.log.copied(),
            Err(error) => tracing::debug!(target: JOURNAL, %error, "the WAL of the store cannot be copied"),
        }
    }

    /// Returns an error while the disk has so little room that the journal must not grow. Deleting from it is still possible.
    pub fn shortage(&self) -> Option<StoreError> {
        match &self.place {
            StoreLocation::Directory { settings, .. } => {
                let pragma = |name: &str| self.connection.query_row(name, [], |row| row.get::<_, i64>(0)).unwrap_or(0);
                let inside =
                    || pragma("PRAGMA freelist_count").saturating_mul(pragma("PRAGMA page_size")).unsigned_abs();
                space::shortage(&settings.directory, inside).map(StoreError::Full)
            }
            StoreLocation::Memory { .. } => None,
        }
    }

    /// Returns a reader with a connection of its own, for another thread. It must be dropped before
    /// [`Store::quarantine_and_open`].
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn reader(&self) -> Result<StoreReader, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match &self.place {
            StoreLocation::Directory { settings, .. } => {
                Connection::open_with_flags(settings.directory.join(DATABASE), flags)?
            }
            StoreLocation::Memory { uri, .. } => Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?,
        };
        connection.busy_timeout(BUSY)?;
        Ok(StoreReader { connection })
    }

    /// Returns the version of an integration's mapping and the digest of its content.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the row is not as it was written.
    pub fn mapping_version(&self, integration: &str) -> Result<Option<(u64, u64)>, StoreError> {
        mapping::get(&self.connection, integration)
    }

    /// Returns the least new version: a mapping without one gets this, one whose content has changed gets the greater of this
    /// and its version plus one. It is 1 unless versions were lost; then it is beyond them.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the row is not as it was written.
    pub fn least_mapping_version(&self) -> Result<u64, StoreError> {
        mapping::least_version(&self.connection)
    }

    /// Remembers the versions of these integrations' mappings, all of them or none.
    ///
    /// # Errors
    /// On any error nothing has changed.
    pub fn set_mapping_versions(&mut self, versions: &[MappingVersion]) -> Result<(), StoreError> {
        self.transaction(|connection| {
            let mut versions = versions.iter();
            versions.try_for_each(|known| mapping::set(connection, &known.integration, known.version, known.content))
        })
    }

    /// Runs `change` in a transaction that counts itself.
    pub(super) fn transaction<T>(
        &mut self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let result = self.counted(change);
        // One that failed may have been written as well.
        if let Some(written) = &mut self.written {
            written.note(result.is_ok(), false);
        }
        result
    }

    /// Does the same for the sweep, noting all that is written meanwhile.
    pub(super) fn swept(
        &mut self,
        change: impl FnOnce(&Connection) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let is_swept = self.counted(change);
        if let Some(written) = &mut self.written {
            written.note(is_swept.is_ok(), is_swept.is_ok());
        }
        is_swept
    }

    fn counted<T>(&mut self, change: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let commits = self.commits + 1;
        let transaction = self.begin()?;
        let result = change(&transaction)?;
        meta::set(&transaction, meta::COMMITS, &commits.to_string())?;
        fail_point::reach(fail_point::BEFORE_STORE_COMMIT);
        transaction.commit()?;
        fail_point::reach(fail_point::AFTER_STORE_COMMIT);
        self.commits = commits;
        if let StoreLocation::Directory { lock, .. } = &self.place {
            lock.count(CommitCount { id: self.id, commits });
        }
        Ok(result)
    }

    /// Waits until it is our turn to write.
    fn begin(&self) -> Result<Transaction<'_>, StoreError> {
        let since = Instant::now();
        self.connection.busy_timeout(BUSY_STEP)?;
        loop {
            match Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate) {
                Err(error)
                    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && since.elapsed() < BUSY
                        && !self.hurry.is_up() => {}
                begun => return Ok(begun?),
            }
        }
    }

    /// Empties a WAL that has grown because there was always a reader. Does not wait: there will be another attempt.
    fn bound_wal(&self) {
        let Some(wal) = self.wal() else { return };
        if wal.metadata().is_ok_and(|found| found.len() > MOST_LOG) {
            let emptied = self
                .connection
                .busy_timeout(Duration::ZERO)
                .and_then(|()| self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)))
                .is_ok_and(|is_busy: bool| !is_busy);
            tracing::debug!(target: JOURNAL, emptied, "the WAL of the store has grown");
        }
    }

    pub(super) fn wal(&self) -> Option<PathBuf> {
        match &self.place {
            StoreLocation::Directory { settings, .. } => Some(log(&settings.directory)),
            StoreLocation::Memory { .. } => None,
        }
    }
}

fn log(directory: &Path) -> PathBuf {
    directory.join(format!("{DATABASE}-wal"))
}

/// Returns the bytes of SQLite's log next to the database in that directory. It cannot be emptied while somebody reads it: a
/// transaction that another program keeps open lets it grow until the disk is full.
pub fn log_bytes(directory: &Path) -> u64 {
    log(directory).metadata().map_or(0, |found| found.len())
}

/// Passes ACD, login id and memory of every agent to `take`, checked.
pub(super) fn agents(
    connection: &Connection,
    number: StoreNumber,
    take: &mut dyn FnMut(i64, &str, &[u8]),
) -> Result<(), StoreError> {
    let Some(integration) = IntegrationRow::find(connection, number)? else { return Ok(()) };
    let mut statement =
        connection.prepare("SELECT acd, login_id, checksum, memory FROM agent WHERE integration = ?1")?;
    let mut found = statement.query([number])?;
    let mut count = 0_u64;
    while let Some(row) = found.next()? {
        let as_corrupt = |error: rusqlite::types::FromSqlError| StoreError::Corrupt(error.to_string());
        let (acd, checksum): (i64, i64) = (row.get(0)?, row.get(2)?);
        let login_id = row.get_ref(1)?.as_str().map_err(as_corrupt)?;
        let memory = row.get_ref(3)?.as_blob().map_err(as_corrupt)?;
        if rows::of_agent(number, acd, login_id, memory) != checksum {
            let id = &integration.id;
            return Err(StoreError::Corrupt(format!("table agent: the checksum of a row of {id} is wrong")));
        }
        take(acd, login_id, memory);
        count += 1;
    }
    if count == integration.agents {
        return Ok(());
    }
    let IntegrationRow { id, agents, .. } = integration;
    Err(StoreError::Corrupt(format!("integration {id}: there are {count} agents, expected {agents}")))
}
