//! Erasing: makes what was deleted disappear from the bytes of the store.
//!
//! A sweep goes over all pages of the file, some at a time, and zeroes what nothing refers to ([`super::scrub`]); then the
//! log is emptied into the file and truncated. Between two portions the store keeps writing, so that nobody waits for a large
//! file, and its size does not matter. Its previous state does not matter either, nor which version wrote it.
//!
//! What was deleted before a sweep began is gone when it has ended, although pages change behind its back. SQLite copies
//! unreferenced bytes along with what it moves: it swaps neighbouring pages, copies a root as it is, and moves pages to give
//! room back. But all of that is written, and so it is in the log ([`super::log`]): a page that was written after the sweep
//! has passed it is swept again. So remains are always ahead of the sweep, or on a page that it comes back to.
//!
//! A pending erasure is a row in `meta`, so that a restart continues it, with a new sweep. What the file system and the disk
//! do with bytes that are overwritten or cut off is beyond us.
//!
//! Cost: reads the whole file once, writes the pages that had something; [`PORTION`] pages at a time.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, Statement};

use crate::fail_point;
use crate::telemetry::targets::JOURNAL;

use super::database::Store;
use super::error::StoreError;
use super::log::WriteAheadLog;
use super::meta;
use super::scrub::{self, PageFormat};

/// Pages that are looked at in one transaction: 2 MiB.
const PORTION: u32 = 512;

/// How long to wait for readers of the log: ours are quick.
const PATIENCE: Duration = Duration::from_millis(100);

/// The page that SQLite uses for locking, and which holds nothing, begins here.
const LOCK_BYTE: u64 = 1 << 30;

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// Nothing that was deleted before the sweep began is in the file or its log.
    Done,
    /// There is more to do.
    More,
    /// Somebody reads the log, which therefore cannot be truncated: try again.
    Busy,
}

/// How far a sweep has come.
#[derive(Debug)]
pub struct Sweep {
    /// The next page; beyond the last one, only the log is left.
    next: u32,
    /// Pages at a time.
    portion: u32,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { next: 1, portion: PORTION }
    }
}

/// What was written while a sweep is in progress.
#[derive(Debug)]
pub(super) struct WrittenPages {
    log: WriteAheadLog,
    pages: BTreeSet<u32>,
    /// The log could not be read: what else was written is unknown.
    is_unknown: bool,
}

impl WrittenPages {
    fn since_now(log: PathBuf, connection: &Connection) -> Result<Self, StoreError> {
        // A checkpoint, however far it gets, says how many frames of the log are committed.
        let committed: i64 = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))?;
        let log = WriteAheadLog::begin(log, u64::try_from(committed).unwrap_or(0))
            .map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(Self { log, pages: BTreeSet::new(), is_unknown: false })
    }

    /// Notes that something was written, committed or not. `is_swept`: by the sweep, which leaves nothing on a page that it
    /// writes.
    pub(super) fn note(&mut self, is_committed: bool, is_swept: bool) {
        match self.log.take_written(is_committed) {
            Ok(_) if is_swept => {}
            Ok(pages) => self.pages.extend(pages),
            Err(error) => {
                tracing::debug!(target: JOURNAL, %error, "the log of the store cannot be read: the sweep begins anew");
                self.is_unknown = true;
            }
        }
    }
}

impl Store {
    /// Whether something that was forgotten waits to be erased.
    ///
    /// # Errors
    /// When the row that says so is damaged.
    pub fn is_erase_due(&self) -> Result<bool, StoreError> {
        Ok(meta::get(&self.connection, meta::ERASE)?.is_some())
    }

    /// Continues a sweep. `is_last`: nothing else waits to be erased.
    ///
    /// # Errors
    /// When the store cannot be read or written; then the portion is as it was, and the erasure is still due.
    pub fn erase(&mut self, sweep: &mut Sweep, is_last: bool) -> Result<Erased, StoreError> {
        let Some(log) = self.wal() else { return Ok(Erased::Done) };
        if sweep.next == 1 || self.written.as_ref().is_none_or(|written| written.is_unknown) {
            fail_point::reach(fail_point::BEFORE_ERASE);
            sweep.next = 1;
            self.written = Some(WrittenPages::since_now(log, &self.connection)?);
        }
        let pages: u32 = self.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let again = self.written.as_ref().map(|written| written.pages.clone()).unwrap_or_default();
        let end = sweep.next.saturating_add(sweep.portion).min(pages + 1).max(sweep.next);
        if sweep.next < end || !again.is_empty() {
            let passed = again.range(..sweep.next).copied().filter(|page| *page <= pages);
            let numbers: Vec<u32> = passed.chain(sweep.next..end).collect();
            self.swept(|connection| Pages::of(connection)?.sweep(numbers))?;
            sweep.next = end;
            if let Some(written) = &mut self.written {
                written.pages.clear();
            }
            if end <= pages {
                return Ok(Erased::More);
            }
        }
        fail_point::reach(fail_point::IN_ERASE);
        self.connection.busy_timeout(PATIENCE)?;
        let is_busy: bool = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if is_busy {
            return Ok(Erased::Busy);
        }
        self.written = None;
        if is_last {
            self.transaction(|connection| meta::remove(connection, meta::ERASE))?;
        }
        fail_point::reach(fail_point::AFTER_ERASE);
        Ok(Erased::Done)
    }
}

impl Store {
    /// Does the same all at once, for a caller that does nothing else meanwhile.
    ///
    /// # Errors
    /// Those of [`Store::erase`].
    pub fn erase_at_once(&mut self) -> Result<Erased, StoreError> {
        let mut sweep = Sweep::default();
        loop {
            match self.erase(&mut sweep, true)? {
                Erased::More => self.copy_log(false),
                erased => return Ok(erased),
            }
        }
    }
}

/// What a page is for, as the file itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Free,
    /// The first page of an overflow, and the page of the tree that has the content's beginning.
    OverflowOf(u32),
    /// Any other page of an overflow, and the one before it.
    OverflowBehind(u32),
    Tree,
}

/// The pages of a database, within a transaction.
struct Pages<'a> {
    format: PageFormat,
    count: u32,
    /// Free pages that list others.
    lists: HashSet<u32>,
    /// The content of the last pointer map page that was read, and its number.
    map: RefCell<(u32, Vec<u8>)>,
    read: RefCell<Statement<'a>>,
    write: RefCell<Statement<'a>>,
}

impl<'a> Pages<'a> {
    fn of(connection: &'a Connection) -> Result<Self, StoreError> {
        let count = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let mut pages = Self {
            format: PageFormat { page: 0, usable: 0 },
            count,
            lists: HashSet::new(),
            map: RefCell::default(),
            read: connection.prepare("SELECT data FROM sqlite_dbpage WHERE pgno = ?1")?.into(),
            write: connection.prepare("UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1")?.into(),
        };
        let header = pages.read(1)?;
        let reserved: usize = header.get(20).copied().unwrap_or_default().into();
        pages.format = PageFormat { page: header.len(), usable: header.len().saturating_sub(reserved) };
        if scrub::number32(&header, 52)? == 0 {
            return Err(StoreError::Other("its file does not say what its pages are for".to_owned()));
        }
        let mut list = scrub::number32(&header, 32)?;
        while list != 0 {
            if !pages.lists.insert(list) {
                return Err(StoreError::Corrupt("the list of free pages has no end".to_owned()));
            }
            list = scrub::number32(&pages.read(list)?, 0)?;
        }
        Ok(pages)
    }

    fn sweep(&self, numbers: Vec<u32>) -> Result<(), StoreError> {
        numbers.into_iter().try_for_each(|number| self.clean(number))
    }

    fn clean(&self, number: u32) -> Result<(), StoreError> {
        // The first page describes the tables, and nobody.
        if number == 1 || self.is_of_the_file(number) {
            return Ok(());
        }
        let mut page = self.read(number)?;
        let is_news = match self.use_of(number)? {
            Use::Free if self.lists.contains(&number) => {
                let used = scrub::used_of_list(&page, self.format)?;
                scrub::behind(&mut page, used)?
            }
            Use::Free => scrub::behind(&mut page, 0)?,
            Use::Tree => scrub::tree(&mut page, self.format)?,
            Use::OverflowOf(_) | Use::OverflowBehind(_) if scrub::number32(&page, 0)? != 0 => false,
            Use::OverflowOf(_) | Use::OverflowBehind(_) => {
                let used = self.used_of_last(number)?;
                scrub::behind(&mut page, used)?
            }
        };
        if is_news {
            self.write.borrow_mut().execute(rusqlite::params![number, page])?;
        }
        Ok(())
    }

    /// Returns how many bytes are used of the last page of an overflow.
    fn used_of_last(&self, last: u32) -> Result<usize, StoreError> {
        let (mut page, mut pages) = (last, 1);
        let in_tree = loop {
            match self.use_of(page)? {
                Use::OverflowOf(tree) => break tree,
                Use::OverflowBehind(before) if pages < self.count => (page, pages) = (before, pages + 1),
                _ => return Err(StoreError::Corrupt("pages of a content lead nowhere".to_owned())),
            }
        };
        let tree = self.read(in_tree)?;
        let found = scrub::overflows(&tree, self.format)?.into_iter().find(|overflow| overflow.first == page);
        let overflow = found.ok_or_else(|| StoreError::Corrupt("nobody has a content that is there".to_owned()))?;
        scrub::used_of_last(overflow, usize::try_from(pages).unwrap_or(usize::MAX), self.format)
    }

    fn read(&self, number: u32) -> Result<Vec<u8>, StoreError> {
        Ok(self.read.borrow_mut().query_row([number], |row| row.get(0))?)
    }

    /// Returns the page that says what a page is for.
    fn map_of(&self, number: u32) -> u32 {
        let entries = u32::try_from(self.format.usable / 5).unwrap_or(u32::MAX) + 1;
        let map = (number - 2) / entries * entries + 2;
        if self.is_lock(map) { map + 1 } else { map }
    }

    fn is_lock(&self, number: u32) -> bool {
        u64::from(number) == LOCK_BYTE / self.format.page as u64 + 1
    }

    fn is_of_the_file(&self, number: u32) -> bool {
        self.is_lock(number) || self.map_of(number) == number
    }

    fn use_of(&self, number: u32) -> Result<Use, StoreError> {
        let map = self.map_of(number);
        let place = number.checked_sub(map + 1).and_then(|index| usize::try_from(index * 5).ok());
        let unknown = || StoreError::Corrupt(format!("the file does not say what page {number} is for"));
        let place = place.ok_or_else(unknown)?;
        if self.map.borrow().0 != map {
            *self.map.borrow_mut() = (map, self.read(map)?);
        }
        let (_, entries) = &*self.map.borrow();
        let other = scrub::number32(entries, place + 1)?;
        match entries.get(place) {
            Some(1 | 5) => Ok(Use::Tree),
            Some(2) => Ok(Use::Free),
            Some(3) => Ok(Use::OverflowOf(other)),
            Some(4) => Ok(Use::OverflowBehind(other)),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
#[path = "erase_tests.rs"]
mod tests;
