//! The directory of the store: whether it can be one, before anything is opened in it.
//!
//! Two kinds of trouble. A directory that cannot be made or is not ours will not become so by waiting: it is refused. A disk
//! that is full, busy, read-only or failing is a fault that passes: the service starts in memory, and says so.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};

use super::error::{OpenError, not_ours as message};
use super::inspect::{self, InspectError};
use super::{DATABASE, lock, space};

/// How the file or folder is named that a look makes and removes.
const PROBE: &str = ".writable-";

/// What [`look`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The service would refuse to start.
    Refused(String),
    /// It would start with a store in memory, not ready.
    InMemory(String),
    /// A process has it: the service itself, perhaps.
    Held(Option<u32>),
}

/// Makes the directory, if need be.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    // Ours may be the directory and not the file in it. Whatever else is wrong with that, it is set aside for.
    match OpenOptions::new().write(true).open(directory.join(DATABASE)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// Whether somebody has to change the directory, or its name. Everything else may pass.
pub(super) fn is_not_ours(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::IsADirectory
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
    ) || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

pub(super) fn not_ours(directory: &Path, error: &io::Error) -> OpenError {
    OpenError::NotOurs { directory: directory.into(), why: error.to_string() }
}

/// Looks whether a store can be opened in `directory`; nothing of the look stays there.
pub fn look(directory: &Path) -> Option<Finding> {
    let refused = |why: &dyn std::fmt::Display| Finding::Refused(message(directory, &why.to_string()));
    // What is there of it: the directory, or the folder that it would be made in.
    let mut there = directory;
    while let Err(error) = there.symlink_metadata() {
        match there.parent() {
            Some(parent) if error.kind() == ErrorKind::NotFound => there = parent,
            _ => return Some(refused(&error)),
        }
        if there.as_os_str().is_empty() {
            there = Path::new(".");
        }
    }
    match there.metadata() {
        Ok(found) if !found.is_dir() => return Some(refused(&io::Error::from(ErrorKind::NotADirectory))),
        Err(error) => return Some(refused(&error)),
        Ok(_) => {}
    }
    // Rights are not all that a file system can have against it: only trying tells.
    let database = directory.join(DATABASE);
    let tried = if there == directory {
        tempfile::Builder::new().prefix(PROBE).tempfile_in(there).map(drop)
    } else {
        tempfile::Builder::new().prefix(PROBE).tempdir_in(there).map(drop)
    };
    let writable = || rustix::fs::accessat(CWD, &database, Access::WRITE_OK | Access::READ_OK, AtFlags::EACCESS);
    let written = tried.and_then(|()| if database.exists() { Ok(writable()?) } else { Ok(()) });
    match written {
        Err(error) if is_not_ours(&error) => return Some(refused(&error)),
        Err(error) => return Some(Finding::InMemory(error.to_string())),
        Ok(()) => {}
    }
    if let Some(pid) = lock::holder(directory) {
        return Some(Finding::Held(pid));
    }
    if let Err(error @ InspectError::Newer { .. }) = inspect::ReadOnly::open(directory) {
        return Some(Finding::Refused(error.to_string()));
    }
    space::shortage(there, || 0).map(Finding::InMemory)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;
    use crate::store::{Opened, Settings, Sync, open, open_in_memory};

    fn settings(directory: &Path) -> Settings {
        Settings { directory: directory.into(), sync: Sync::Normal }
    }

    #[test]
    fn what_cannot_be_a_directory_of_ours_is_refused_by_both_unless_it_is_not_needed() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let loop_ = folder.path().join("loop");
        std::os::unix::fs::symlink(&loop_, &loop_).unwrap();
        let long = folder.path().join("x".repeat(300));
        let cases: [PathBuf; 5] = [file.clone(), file.join("data"), loop_.join("data"), long, "/proc/no/such".into()];
        for directory in cases {
            let found = look(&directory);
            assert!(
                matches!(&found, Some(Finding::Refused(why)) if why.contains("cannot be used")),
                "{directory:?}: {found:?}"
            );
            let refused = open(&settings(&directory));
            assert!(matches!(refused, Err(OpenError::NotOurs { .. })), "{directory:?}: {refused:?}");
            let Opened { store, incidents } = open_in_memory(&settings(&directory)).unwrap();
            assert!(!store.is_durable() && incidents.is_empty(), "{directory:?}: {incidents:?}");
        }
    }

    #[test]
    fn what_can_be_made_is_found_fit_and_nothing_is_made_by_looking() {
        let folder = TempDir::new().unwrap();
        let directory = folder.path().join("a/b");
        assert_eq!(look(&directory), None);
        assert!(!folder.path().join("a").exists());
        let store = open(&settings(&directory)).unwrap().store;
        assert_eq!(look(&directory), Some(Finding::Held(Some(std::process::id()))));
        drop(store);
        assert_eq!(look(&directory), None);
    }
}
