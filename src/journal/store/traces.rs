//! Searches files that were set aside for somebody: nothing can be deleted from a damaged database, but its bytes can be read.
//!
//! Policy: a file that cannot be read, or not in time, counts as one that contains them. A short login id is also found by
//! chance: the caller learns where to look, and nothing is deleted here.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use memchr::memmem::Finder;

use super::quarantine;

/// Bytes that are read at a time.
const PIECE: usize = 1024 * 1024;

/// Returns files in the store's directory that were set aside and have `text` somewhere in their bytes. Those that cannot be
/// searched before the deadline are among them.
pub fn quarantined_with(directory: &Path, text: &str, deadline: Instant) -> Vec<PathBuf> {
    let finder = Finder::new(text.as_bytes());
    let may_have = |file: &PathBuf| has(file, &finder, deadline).unwrap_or(true);
    quarantine::list(directory).into_iter().filter(may_have).collect()
}

fn has(file: &Path, finder: &Finder<'_>, deadline: Instant) -> io::Result<bool> {
    let mut file = File::open(file)?;
    let overlap = finder.needle().len().saturating_sub(1);
    let mut bytes = Vec::with_capacity(PIECE + overlap);
    loop {
        if file.by_ref().take(PIECE as u64).read_to_end(&mut bytes)? == 0 {
            return Ok(false);
        }
        if finder.find(&bytes).is_some() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        bytes.drain(..bytes.len() - overlap.min(bytes.len()));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn somebody_is_found_wherever_they_stand_and_only_in_what_was_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let across_two_pieces = [&vec![b'.'; PIECE - 3][..], b"301204", &[b'.'; 10]].concat();
        write("journal.db.corrupt-1", &across_two_pieces);
        write("journal.db.corrupt-1-wal", b"3012 04, 30120");
        write("journal.db.corrupt-2", b"301204");
        write("journal.db.corrupt-3", b"");
        write("journal.db", b"301204");
        let soon = || Instant::now() + Duration::from_secs(60);
        let named = |files: Vec<PathBuf>| -> Vec<String> {
            files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        let found = named(quarantined_with(folder.path(), "301204", soon()));
        assert_eq!(found, ["journal.db.corrupt-1", "journal.db.corrupt-2"]);
        assert_eq!(named(quarantined_with(folder.path(), "4711", soon())), Vec::<String>::new());
        // There is no time to search more than the first piece.
        let found = named(quarantined_with(folder.path(), "4711", Instant::now()));
        assert_eq!(found, ["journal.db.corrupt-1", "journal.db.corrupt-1-wal", "journal.db.corrupt-2"]);
    }
}
