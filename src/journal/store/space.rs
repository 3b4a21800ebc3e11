//! Room on the disk of the store.
//!
//! A database that has taken the last block of its disk cannot even delete: that needs room in the WAL, and emptying the WAL
//! needs room in the database. So the journal stops growing while some is left, and what Kafka has can still leave.

use std::path::Path;

/// What is kept free, or a quarter of a disk that is smaller than four times that.
const LEFT_ALONE: u64 = 32 * 1024 * 1024;

/// Room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Free for a user without privileges.
    pub free: u64,
    /// The size of the disk.
    pub size: u64,
}

impl Space {
    /// Returns the room on the disk of `directory`; `None` where its file system does not say.
    pub fn of(directory: &Path) -> Option<Self> {
        let space = rustix::fs::statvfs(directory).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Some(Self { free: bytes(space.f_bavail), size: bytes(space.f_blocks) })
    }
}

/// Returns an error where so little is free that nothing more should be added; `inside` returns how many bytes are free in
/// the database, and is called only where the disk alone has too little.
pub(super) fn shortage(directory: &Path, inside: impl FnOnce() -> u64) -> Option<String> {
    // A file system that does not say has no bounds that we could respect.
    let Space { free, size } = Space::of(directory)?;
    let least = LEFT_ALONE.min(size / 4);
    if free >= least {
        return None;
    }
    let free = free.saturating_add(inside());
    let mebibytes = |bytes: u64| bytes / (1024 * 1024);
    (free < least).then(|| format!("{} MiB are free, {} are needed", mebibytes(free), mebibytes(least)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_of_the_tests_has_room_and_one_that_is_not_there_has_no_bounds() {
        let not_asked = || panic!("the database is asked without need");
        assert_eq!(shortage(&std::env::temp_dir(), not_asked), None);
        assert_eq!(shortage(Path::new("/no/such/directory"), not_asked), None);
        let space = Space::of(&std::env::temp_dir()).unwrap();
        assert!(space.free <= space.size && space.size > 0, "{space:?}");
    }
}
