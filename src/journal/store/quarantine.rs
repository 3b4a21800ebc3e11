//! Sets files aside: under a new name with the time, never over an earlier one, and nothing is deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::time::Timestamp;

use super::DATABASE;

const CORRUPT: &str = ".corrupt-";
/// What SQLite keeps next to a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Renames the database with what belongs to it; returns its new name. SQLite finds its other files by that name.
pub(super) fn database(directory: &Path) -> io::Result<PathBuf> {
    let name = free_name(directory, DATABASE);
    for companion in COMPANIONS {
        rename_if_there(
            &directory.join(format!("{DATABASE}{companion}")),
            &directory.join(format!("{name}{companion}")),
        )?;
    }
    let aside = directory.join(&name);
    rename_if_there(&directory.join(DATABASE), &aside)?;
    Ok(aside)
}

/// Renames one file; returns its new name.
pub(super) fn file(directory: &Path, name: &str) -> io::Result<PathBuf> {
    let aside = directory.join(free_name(directory, name));
    fs::rename(directory.join(name), &aside)?;
    Ok(aside)
}

/// Files in `directory` that were set aside, sorted by name.
pub(super) fn list(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut aside: Vec<PathBuf> =
        names.filter(|name| name.to_string_lossy().contains(CORRUPT)).map(|name| directory.join(name)).collect();
    aside.sort();
    aside
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn free_name(directory: &Path, name: &str) -> String {
    let is_taken = |name: &str| {
        let parts = [""].into_iter().chain(COMPANIONS);
        parts.into_iter().any(|part| directory.join(format!("{name}{part}")).symlink_metadata().is_ok())
    };
    let wanted = format!("{name}{CORRUPT}{}", Timestamp::now().stamp());
    if !is_taken(&wanted) {
        return wanted;
    }
    let numbered = |number: u32| format!("{wanted}-{number}");
    (2..).map(numbered).find(|name| !is_taken(name)).unwrap_or(wanted)
}
