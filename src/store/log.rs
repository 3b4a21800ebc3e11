//! Which pages were written, as SQLite's log says.
//!
//! A sweep has to know what changes behind its back, and SQLite tells nobody. But everything that is committed stands in
//! the log, a frame for each page: a header of 24 bytes that begins with the number of the page, and the page. The frames of one
//! use of the log have the same eight bytes of salt as its header; whatever is behind them is of an earlier use. The format is
//! that of <https://www.sqlite.org/fileformat2.html#walformat>.
//!
//! Invariant: no page is left out that was committed since the last look. Between two looks the log must be begun anew once at
//! most, as it is by one commit. Cost: a small read for each page that was written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

const HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// How far the log has been looked at.
#[derive(Debug)]
pub(super) struct Log {
    file: PathBuf,
    salt: [u8; 8],
    frames: u64,
}

impl Log {
    /// From here on.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) fn begin(file: PathBuf) -> io::Result<Self> {
        let mut log = Self { file, salt: [0; 8], frames: 0 };
        log.look()?;
        Ok(log)
    }

    /// Pages that were committed since the last look, and perhaps some that were not.
    ///
    /// # Errors
    /// When the log cannot be read; then it is not known.
    pub(super) fn look(&mut self) -> io::Result<Vec<u32>> {
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
        while let Some(frame) = read::<24>(&file, HEADER + self.frames * (FRAME_HEADER + page))? {
            if self::salt(&frame[8..16]) != self.salt {
                break;
            }
            pages.push(u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]));
            self.frames += 1;
        }
        Ok(pages)
    }
}

fn salt(bytes: &[u8]) -> [u8; 8] {
    let mut salt = [0; 8];
    salt.copy_from_slice(bytes);
    salt
}

/// So many bytes at a place; nothing where the file ends before.
fn read<const N: usize>(file: &File, at: u64) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match file.read_exact_at(&mut bytes, at) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
