//! The directory of the store: whether it can be one, before anything is opened in it.
//!
//! Two kinds of errors. A directory that cannot be created or is not ours will not get better by waiting: it is refused. A
//! disk that is full, busy, read-only or failing may recover: the service starts in memory, and says so.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};

use crate::telemetry::targets::JOURNAL;

use super::error::{OpenError, not_ours as message};
use super::inspect::{self, InspectError};
use super::{DATABASE, lock, space};

/// The name of the file or folder that a check creates and removes.
const PROBE: &str = ".writable-";

/// What [`probe`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeFinding {
    /// The service would refuse to start.
    Refused(String),
    /// It would start with a store in memory, not ready.
    InMemory(String),
    /// A process has it: the service itself, perhaps.
    Held(Option<u32>),
}

/// Creates the directory, if needed, and makes it and its content private: agents have names and login ids.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(directory)?;
    close(directory);
    // The directory may be ours and the file in it not. For anything else that is wrong with the file, it is set aside.
    match OpenOptions::new().write(true).open(directory.join(DATABASE)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// Permissions of the directory and of the files in it: for this user alone.
const PRIVATE_DIRECTORY: u32 = 0o700;
pub(super) const PRIVATE_FILE: u32 = 0o600;

/// Creates a file that nobody else may read, where there is none. SQLite gives the files next to it the same permissions.
pub(super) fn make_private(file: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE_FILE).open(file).map(drop)
}

/// Removes others' permissions that an earlier version, a copy or somebody's `umask` has left. A folder that has other things
/// in it, or another owner, is not ours to close: that is logged, and the files are closed nevertheless.
fn close(directory: &Path) {
    let mut is_ours_alone = true;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !OURS.iter().any(|ours| name.starts_with(ours)) {
            is_ours_alone = false;
        } else if let Ok(found) = entry.metadata()
            && found.is_file()
            && found.mode() & 0o077 != 0
            && let Err(error) = fs::set_permissions(entry.path(), Permissions::from_mode(PRIVATE_FILE))
        {
            tracing::warn!(
                target: JOURNAL, file = %entry.path().display(), %error, "others may read it, and that cannot be changed"
            );
        }
    }
    let Ok(found) = directory.metadata() else { return };
    let mode = found.mode() & 0o777;
    if mode & 0o077 == 0 {
        return;
    }
    let is_closed = is_ours_alone && fs::set_permissions(directory, Permissions::from_mode(PRIVATE_DIRECTORY)).is_ok();
    let (directory, mode) = (directory.display(), format!("{mode:o}"));
    if is_closed {
        tracing::info!(
            target: JOURNAL, %directory, mode, "others could look into the store directory: now they cannot"
        );
    } else if found.mode() & 0o002 != 0 {
        tracing::warn!(
            target: JOURNAL, %directory, mode, "everybody may write into the store directory: chmod 700, or name a folder of its own"
        );
    } else {
        tracing::info!(
            target: JOURNAL, %directory, mode, "others may look into the store directory, not into its files"
        );
    }
}

/// How the names begin of everything that the store creates in its directory.
const OURS: [&str; 4] = [DATABASE, lock::FILE, super::mapping::JSON, PROBE];

/// Whether somebody has to change the directory, or its name. Any other error may pass.
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

/// Checks whether a store can be opened in `directory`; leaves nothing there.
pub fn probe(directory: &Path) -> Option<ProbeFinding> {
    let refused = |why: &dyn std::fmt::Display| ProbeFinding::Refused(message(directory, &why.to_string()));
    // The part of it that exists: the directory, or the folder in which it would be created.
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
    // Permissions are not all that can prevent it: only trying shows.
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
        Err(error) => return Some(ProbeFinding::InMemory(error.to_string())),
        Ok(()) => {}
    }
    if let Some(pid) = lock::holder(directory) {
        return Some(ProbeFinding::Held(pid));
    }
    if let Err(error @ InspectError::Newer { .. }) = inspect::ReadOnly::open(directory) {
        return Some(ProbeFinding::Refused(error.to_string()));
    }
    space::shortage(there, || 0).map(ProbeFinding::InMemory)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;
    use crate::journal::store::{Opened, StoreSettings, Sync, open, open_in_memory};

    fn settings(directory: &Path) -> StoreSettings {
        StoreSettings { directory: directory.into(), sync: Sync::Normal }
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
            let found = probe(&directory);
            assert!(
                matches!(&found, Some(ProbeFinding::Refused(why)) if why.contains("cannot be used")),
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
        assert_eq!(probe(&directory), None);
        assert!(!folder.path().join("a").exists());
        let store = open(&settings(&directory)).unwrap().store;
        assert_eq!(probe(&directory), Some(ProbeFinding::Held(Some(std::process::id()))));
        drop(store);
        assert_eq!(probe(&directory), None);
    }

    /// Returns names and permissions of what is in a folder, and its own.
    fn modes(folder: &Path) -> Vec<String> {
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut modes: Vec<String> =
            entries.map(|path| format!("{} {:o}", path.file_name().unwrap().display(), mode(&path))).collect();
        modes.sort_unstable();
        modes.insert(0, format!("{:o}", mode(folder)));
        modes
    }

    #[test]
    fn what_is_in_a_store_is_for_nobody_else_and_what_was_open_is_closed() {
        let folder = TempDir::new().unwrap();
        let directory = folder.path().join("data");
        let closed = ["700", "journal.db 600", "journal.db-shm 600", "journal.db-wal 600", "store.lock 600"];
        let store = open(&settings(&directory)).unwrap().store;
        assert_eq!(modes(&directory), closed);
        // As an older version, which did not care, left it; opened while the log is still there, as after a crash.
        let copied = folder.path().join("copied");
        fs::create_dir(&copied).unwrap();
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let copy = copied.join(entry.file_name());
            fs::copy(entry.path(), &copy).unwrap();
            fs::set_permissions(copy, Permissions::from_mode(0o644)).unwrap();
        }
        fs::set_permissions(&copied, Permissions::from_mode(0o755)).unwrap();
        drop(store);
        let store = open(&settings(&copied)).unwrap().store;
        assert_eq!(modes(&copied), closed);
        // What is set aside is as private.
        let store = store.quarantine_and_open("for a test").unwrap().store;
        let open_for_others = |mode: &String| !mode.ends_with("600") && mode != "700";
        assert_eq!(modes(&copied).into_iter().filter(open_for_others).collect::<Vec<_>>(), Vec::<String>::new());
        drop(store);
        // Somebody else's things stay as they are.
        let shared = folder.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::write(shared.join("notes"), "").unwrap();
        for path in [&shared, &shared.join("notes")] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        let store = open(&settings(&shared)).unwrap().store;
        assert_eq!(modes(&shared)[0], "755");
        assert!(
            modes(&shared).contains(&"notes 755".to_owned()) && modes(&shared).contains(&"journal.db 600".to_owned())
        );
        drop(store);
    }
}
