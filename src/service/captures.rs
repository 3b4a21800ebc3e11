//! Captures in the folder `[privacy] captures`: how they are named, and how they are deleted when their time is over.
//!
//! Only files with such names are deleted, by the time of their last change: anything else there is somebody else's. A file
//! that cannot be deleted is a WARN each time, since its deletion was promised.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::model::{Config, PrivacyConfig};
use crate::config::problem::{Origin, Problem};
use crate::telemetry::targets::SERVICE;
use crate::time::Timestamp;

const INTERVAL: Duration = Duration::from_secs(3600);
const PREFIX: &str = "rtalink-";
const SUFFIX: &str = ".capture";
const PSEUDONYMISED: &str = "-pseudonymised";

/// Returns the name of a capture of an integration.
pub fn file_name(integration: &str, at: Timestamp, pseudonymised: bool) -> String {
    let mark = if pseudonymised { PSEUDONYMISED } else { "" };
    format!("{PREFIX}{integration}-{}{mark}{SUFFIX}", at.stamp())
}

/// Whether a file has such a name.
fn is_ours(name: &str) -> bool {
    let Some(stem) = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX)) else { return false };
    let stem = stem.strip_suffix(PSEUDONYMISED).unwrap_or(stem);
    let Some((integration, time)) = stem.rsplit_once('-') else { return false };
    let is_time = |(at, byte): (usize, u8)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    !integration.is_empty() && time.len() == 16 && time.bytes().enumerate().all(is_time)
}

/// Returns the captures there that were last written more than `keep` before `now`.
fn outdated(folder: &Path, keep: Duration, now: SystemTime) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let is_old = || metadata.modified().is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > keep));
        if metadata.is_file() && entry.file_name().to_str().is_some_and(is_ours) && is_old() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Deletes what is too old.
fn delete_outdated(folder: &Path, keep: Duration, now: SystemTime) {
    let found = match outdated(folder, keep, now) {
        Ok(found) => found,
        // Nothing has been recorded yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            tracing::warn!(
                target: SERVICE, %error, folder = %folder.display(), "captures cannot be looked at: old ones stay"
            );
            return;
        }
    };
    let mut deleted = 0;
    for file in found {
        match fs::remove_file(&file) {
            Ok(()) => deleted += 1,
            Err(error) => {
                tracing::warn!(target: SERVICE, %error, file = %file.display(), "a capture is too old and cannot be deleted")
            }
        }
    }
    if deleted > 0 {
        tracing::info!(target: SERVICE, deleted, folder = %folder.display(), "captures deleted: their time is over");
    }
}

/// Deletes what is too old, now and every hour, until it is aborted.
pub(super) async fn keep_clean(privacy: PrivacyConfig) {
    let Some(folder) = privacy.captures else { return };
    let mut hours = tokio::time::interval(INTERVAL);
    loop {
        hours.tick().await;
        let (folder, keep) = (folder.clone(), privacy.retention.captures);
        // A panic in there has been logged.
        let _ = tokio::task::spawn_blocking(move || delete_outdated(&folder, keep, SystemTime::now())).await;
    }
}

/// Returns a warning about a folder that others may read.
pub fn warning(config: &Config, file: &Path) -> Option<Problem> {
    let folder = config.privacy.captures.as_ref()?;
    let mode = fs::metadata(folder).ok()?.permissions().mode() & 0o777;
    let message = format!("[privacy] captures: others may look into {} (mode {mode:o})", folder.display());
    let problem =
        || Problem::warning(Origin::File(file.into()), message).hint("captures hold personal data: chmod 700");
    (mode & 0o077 != 0).then(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ours() {
        let at = Timestamp::parse_rfc3339("2026-01-05T08:00:09.120Z").unwrap();
        let names = [false, true].map(|pseudonymised| file_name("avaya-1", at, pseudonymised));
        assert_eq!(
            names,
            ["rtalink-avaya-1-20260105T080009Z.capture", "rtalink-avaya-1-20260105T080009Z-pseudonymised.capture"]
        );
        assert!(names.iter().all(|name| is_ours(name)));
        let others = [
            "monday.capture",
            "rtalink.toml",
            "rtalink-notes.capture",
            "rtalink--20260105T080009Z.capture",
            "rtalink-avaya-1-20260105T080009Z.capture.bak",
            "rtalink-avaya-1-2026-105T080009Z.capture",
        ];
        assert_eq!(others.map(is_ours), [false; 6]);
    }

    #[test]
    fn old_captures_go_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let hours = |hours: u32| hours * Duration::from_secs(3600);
        let files = [
            ("rtalink-a-20260105T080009Z.capture", 25, false),
            ("rtalink-a-20260105T080009Z-pseudonymised.capture", 25, false),
            ("rtalink-a-20260106T080009Z.capture", 23, true),
            ("monday.capture", 1_000, true),
        ];
        for (name, age, _) in files {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_modified(now - hours(age)).unwrap();
        }
        fs::create_dir(folder.path().join("rtalink-b-20260105T080009Z.capture")).unwrap();
        delete_outdated(folder.path(), hours(24), now);
        delete_outdated(&folder.path().join("missing"), hours(24), now);
        for (name, _, stays) in files {
            assert_eq!(folder.path().join(name).exists(), stays, "{name}");
        }
        assert!(folder.path().join("rtalink-b-20260105T080009Z.capture").exists());
    }
}
