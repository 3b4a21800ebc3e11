//! Which pages were written, according to SQLite's log.
//!
//! A sweep has to know what changes behind its back, and SQLite does not report it. But everything that is committed is in
//! the log, a frame for each page: a header of 24 bytes that begins with the number of the page, and the page. The frames of
//! one use of the log have the same eight bytes of salt as its header; whatever follows them is from an earlier use. The
//! format is that of <https://www.sqlite.org/fileformat2.html#walformat>.
//!
//! Invariant: no page that was committed since the last look is left out. Between two looks the log must be restarted once at
//! most, as one commit does. Cost: a small read for each page that was written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

const HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// How far the log has been read.
#[derive(Debug)]
pub(super) struct WriteAheadLog {
    file: PathBuf,
    salt: [u8; 8],
    frames: u64,
}

impl WriteAheadLog {
    /// Begins at a point where so many frames are committed.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) fn begin(file: PathBuf, committed: u64) -> io::Result<Self> {
        let mut log = Self { file, salt: [0; 8], frames: 0 };
        log.take_written(false)?;
        log.frames = committed;
        Ok(log)
    }

    /// Returns pages that were written since the last call about what is committed. `is_committed`: so are these. Frames of a
    /// transaction that failed are overwritten by the next one, and have to be read again.
    ///
    /// # Errors
    /// When the log cannot be read; then the pages are not known.
    pub(super) fn take_written(&mut self, is_committed: bool) -> io::Result<Vec<u32>> {
        let file = match File::open(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let Some(header) = read::<32>(&file, 0)? else { return Ok(Vec::new()) };
        let page = u64::from(u32::from_be_bytes([header[8], header[9], header[10], header[11]]));
        let salt = salt(&header[16..24]);
        if salt != self.salt {
            (self.salt, self.frames) = (salt, 0);
        }
        let mut pages = Vec::new();
        let mut frames = self.frames;
        while let Some(frame) = read::<24>(&file, HEADER + frames * (FRAME_HEADER + page))? {
            if self::salt(&frame[8..16]) != self.salt {
                break;
            }
            pages.push(u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]));
            frames += 1;
        }
        if is_committed {
            self.frames = frames;
        }
        Ok(pages)
    }
}

fn salt(bytes: &[u8]) -> [u8; 8] {
    let mut salt = [0; 8];
    salt.copy_from_slice(bytes);
    salt
}

/// Reads so many bytes at an offset; `None` where the file ends before.
fn read<const N: usize>(file: &File, at: u64) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match file.read_exact_at(&mut bytes, at) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_is_written_over_the_frames_of_a_failed_transaction_is_seen() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("a.db");
        let connection = Connection::open(&file).unwrap();
        let run = |sql: &str| connection.execute_batch(sql).unwrap();
        run("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 5; CREATE TABLE t (v)");
        run(
            "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 60) INSERT INTO t SELECT randomblob(3000) FROM n",
        );
        let log = folder.path().join("a.db-wal");
        let committed =
            || -> i64 { connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1)).unwrap() };
        let mut seen = WriteAheadLog::begin(log.clone(), committed().unsigned_abs()).unwrap();
        assert_eq!(seen.take_written(true).unwrap(), [0; 0]);
        run("BEGIN; UPDATE t SET v = randomblob(3000); ROLLBACK");
        assert!(seen.take_written(false).unwrap().len() > 20, "they stand in the log");
        let mut begun = WriteAheadLog::begin(log, committed().unsigned_abs()).unwrap();
        run("UPDATE t SET v = randomblob(3000) WHERE rowid = 1");
        for log in [&mut seen, &mut begun] {
            assert!(!log.take_written(true).unwrap().is_empty());
        }
    }
}
