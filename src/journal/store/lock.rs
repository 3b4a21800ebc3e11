//! `store.lock`: one process per store directory, and a count of commits outside of the database.
//!
//! Two lines of text at fixed offsets: who holds the lock, and how many commits which store has seen. The second is written
//! after every commit, without `fsync`: it survives a crash of the process, and that is when a WAL can be torn. A count
//! that is missing or damaged proves nothing.
//!
//! Cost: one `pwrite` per commit.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use uuid::Uuid;

use crate::telemetry::targets::JOURNAL;

use super::checksum::Checksum;
use super::place::PRIVATE_FILE;

pub(super) const FILE: &str = "store.lock";
const COUNT_OFFSET: u64 = 64;
const COUNT_LENGTH: usize = 128;

/// Commits that a store had when the line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommitCount {
    pub(super) id: Uuid,
    pub(super) commits: u64,
}

/// The lock, held while this lives.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

pub(super) enum LockError {
    Held { pid: Option<u32> },
    Io(io::Error),
}

impl Lock {
    pub(super) fn acquire(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(FILE);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE_FILE).open(path);
        let file = open.map_err(LockError::Io)?;
        let mut attempts = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // `store inspect` checks whether it is held by taking it for a moment.
                Err(TryLockError::WouldBlock) if attempts < 3 => {
                    attempts += 1;
                    thread::park_timeout(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => return Err(LockError::Held { pid: pid(&file) }),
                Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
            }
        }
        let mut line = format!("pid {}", std::process::id());
        let width = usize::try_from(COUNT_OFFSET).unwrap_or_default() - 1;
        line = format!("{line:width$}\n");
        file.write_all_at(line.as_bytes(), 0).map_err(LockError::Io)?;
        Ok(Self { file })
    }

    pub(super) fn counted(&self) -> Option<CommitCount> {
        counted(&self.file)
    }

    /// Writes the count. It is only an aid: the store works even if it cannot be written.
    pub(super) fn count(&self, counted: CommitCount) {
        let text = format!("commits {:020} of {}", counted.commits, counted.id);
        let line = format!("{text} check {:08x}\n", Checksum::default().bytes(text.as_bytes()).finish());
        if let Err(error) = self.file.write_all_at(line.as_bytes(), COUNT_OFFSET) {
            tracing::debug!(target: JOURNAL, %error, "the count of commits could not be written to the lock file");
        }
    }
}

/// Whether a process has the store open, and which one where that can be read.
pub(super) fn holder(directory: &Path) -> Option<Option<u32>> {
    let file = File::open(directory.join(FILE)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(pid(&file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Returns what the lock file in `directory` counts.
pub(super) fn counted_in(directory: &Path) -> Option<CommitCount> {
    counted(&File::open(directory.join(FILE)).ok()?)
}

fn pid(file: &File) -> Option<u32> {
    line(file, 0, 32)?.strip_prefix("pid ")?.trim().parse().ok()
}

fn counted(file: &File) -> Option<CommitCount> {
    let line = line(file, COUNT_OFFSET, COUNT_LENGTH)?;
    let (text, check) = line.split_once(" check ")?;
    if i64::from_str_radix(check, 16).ok()? != Checksum::default().bytes(text.as_bytes()).finish() {
        return None;
    }
    let (commits, id) = text.strip_prefix("commits ")?.split_once(" of ")?;
    Some(CommitCount { id: id.parse().ok()?, commits: commits.parse().ok()? })
}

fn line(file: &File, offset: u64, length: usize) -> Option<String> {
    let mut buffer = vec![0; length];
    let count = file.read_at(&mut buffer, offset).ok()?;
    let text = std::str::from_utf8(&buffer[..count]).ok()?;
    Some(text.split('\n').next()?.to_owned())
}
