//! When a change of the mapping files of an integration is to be taken: once they have all been still for a while. A file is
//! often written in pieces, and two of them one after the other.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::time::Timestamp;

/// How long files have to be still.
pub(super) const STILL: Duration = Duration::from_secs(2);
/// How long a file may be away before it is reported: editors and shares replace files.
pub(super) const AWAY: Duration = Duration::from_secs(10);

/// After how long files that were read and are not in force are read again, though they have not changed: what kept them from
/// being read, or from being written down, may be over.
pub(super) const AGAIN: Duration = Duration::from_secs(60);

/// What tells one content of a file from another, without reading it. A link is followed: where it leads to counts, so that a
/// folder of links that is swapped as a whole (a ConfigMap) is another content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    device: u64,
    file: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Signature {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            file: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Returns the signatures of files; `None` where there is no file. Blocks for as long as the file system does.
pub(super) fn signatures<'f>(files: impl Iterator<Item = &'f PathBuf>) -> Vec<Option<Signature>> {
    let of = |file: &PathBuf| file.metadata().ok().filter(Metadata::is_file).map(|metadata| Signature::of(&metadata));
    files.map(of).collect()
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Wait,
    /// The files have changed and are still, are back, or were not taken: read them.
    Read,
    /// A file has been away for long.
    Away(PathBuf),
}

/// The files of one integration, as they were last seen.
#[derive(Debug)]
pub(super) struct FileWatch {
    files: Vec<PathBuf>,
    /// As they were when they were last read.
    read: Vec<Option<Signature>>,
    seen: Vec<Option<Signature>>,
    since: Timestamp,
    /// When what was read and is not in force is read again.
    again_at: Option<Timestamp>,
    away_since: Option<Timestamp>,
    is_away_told: bool,
}

impl FileWatch {
    /// Watches files that were read before the first look. They are read once more, as they may have changed between the two.
    pub(super) fn new(files: Vec<PathBuf>, seen: Vec<Option<Signature>>, now: Timestamp) -> Self {
        Self { files, read: Vec::new(), seen, since: now, again_at: None, away_since: None, is_away_told: false }
    }

    /// The files.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What was read is not in force: it is read again after a while, unless it changes before.
    pub(super) fn read_again(&mut self, now: Timestamp) {
        self.again_at = Some(now.plus(AGAIN));
    }

    /// What was read was not what had been seen.
    pub(super) fn has_changed_meanwhile(&mut self) {
        self.read.clear();
    }

    /// Takes a look.
    pub(super) fn look(&mut self, seen: Vec<Option<Signature>>, now: Timestamp) -> Next {
        if seen != self.seen {
            self.seen = seen;
            self.since = now;
        }
        if let Some(away) = self.away() {
            let away = away.to_path_buf();
            let since = *self.away_since.get_or_insert(now);
            if self.is_away_told || now.since(since) < AWAY {
                return Next::Wait;
            }
            self.is_away_told = true;
            return Next::Away(away);
        }
        self.away_since = None;
        let is_due = self.again_at.is_some_and(|again| again <= now);
        if self.seen == self.read {
            // What is back may be what was not taken before it went.
            if !std::mem::take(&mut self.is_away_told) && !is_due {
                return Next::Wait;
            }
        } else if now.since(self.since) < STILL {
            return Next::Wait;
        }
        self.is_away_told = false;
        self.again_at = None;
        self.read.clone_from(&self.seen);
        Next::Read
    }

    fn away(&self) -> Option<&Path> {
        self.files.iter().zip(&self.seen).find(|(_, seen)| seen.is_none()).map(|(file, _)| file.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file by its inode and its size.
    fn file(text: &str) -> Option<Signature> {
        let (file, bytes) = text.split_once('/')?;
        Some(Signature { device: 1, file: file.parse().ok()?, bytes: bytes.parse().ok()?, modified: (0, 0) })
    }

    /// Looks every second at two files, `inode/size` or `-`; what is done, from the second look on.
    fn play(looks: &str) -> String {
        let files = vec![PathBuf::from("users.csv"), PathBuf::from("activities.csv")];
        let looks: Vec<Vec<Option<Signature>>> =
            looks.split(", ").map(|look| look.split(' ').map(file).collect()).collect();
        let at = |second: usize| Timestamp::from_millis(i64::try_from(second).unwrap_or_default() * 1_000);
        let after_start = |second: usize| at(second + 2);
        let mut watch = FileWatch::new(files, looks[0].clone(), at(0));
        assert_eq!(watch.look(looks[0].clone(), at(1)), Next::Wait);
        assert_eq!(watch.look(looks[0].clone(), at(2)), Next::Read, "they may have changed since they were read");
        let mut told = Vec::new();
        for (second, look) in looks.into_iter().enumerate().skip(1) {
            match watch.look(look, after_start(second)) {
                Next::Wait => {}
                Next::Read => told.push(format!("{second} read")),
                Next::Away(file) => told.push(format!("{second} {} away", file.display())),
            }
        }
        told.join(", ")
    }

    #[test]
    fn a_change_is_read_once_all_files_have_been_still() {
        let cases = [
            ("1/5 2/5, 1/5 2/5, 1/5 2/5, 1/5 2/5", ""),
            ("1/5 2/5, 1/6 2/5, 1/6 2/5, 1/6 2/5, 1/6 2/5, 1/6 2/5", "3 read"),
            // Written in pieces, and the other one after it.
            ("1/5 2/5, 1/1 2/5, 1/3 2/5, 1/6 2/5, 1/6 2/5, 1/6 2/9, 1/6 2/9, 1/6 2/9, 1/6 2/9", "7 read"),
            // A swap of links, or a rename: another file of the same size.
            ("1/5 2/5, 7/5 2/5, 7/5 2/5, 7/5 2/5", "3 read"),
            // Back to what was read is no change.
            ("1/5 2/5, 1/1 2/5, 1/5 2/5, 1/5 2/5, 1/5 2/5, 1/5 2/5", ""),
        ];
        for (looks, expected) in cases {
            assert_eq!(play(looks), expected, "{looks}");
        }
    }

    #[test]
    fn a_file_that_is_away_for_a_moment_is_not_reported() {
        let away = |count: usize| vec!["- 2/5"; count].join(", ");
        let cases = [
            (format!("1/5 2/5, {}, 1/5 2/5, 1/5 2/5", away(10)), ""),
            (format!("1/5 2/5, {}, 1/6 2/5, 1/6 2/5, 1/6 2/5", away(10)), "13 read"),
            (format!("1/5 2/5, {}, 1/5 2/5, 1/5 2/5", away(14)), "11 users.csv away, 15 read"),
            (format!("1/5 2/5, {}, 1/6 2/5, 1/6 2/5, 1/6 2/5, 1/6 2/5", away(11)), "11 users.csv away, 14 read"),
        ];
        for (looks, expected) in cases {
            assert_eq!(play(&looks), expected, "{looks}");
        }
    }

    #[test]
    fn what_was_not_taken_is_read_again_after_a_while() {
        let (files, seen) = (vec![PathBuf::from("users.csv")], vec![file("1/5")]);
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        let mut watch = FileWatch::new(files, seen.clone(), at(0));
        assert_eq!(watch.look(seen.clone(), at(2)), Next::Read);
        watch.read_again(at(3));
        let reads: Vec<i64> = (4..200).filter(|second| watch.look(seen.clone(), at(*second)) == Next::Read).collect();
        assert_eq!(reads, [63], "once, unless it is not taken again");
        watch.has_changed_meanwhile();
        assert_eq!(watch.look(seen, at(201)), Next::Read);
    }
}
