//! Room on the disk of the store.
//!
//! A database that has taken the last block of its disk cannot even delete: that needs room in the WAL, and emptying the WAL
//! needs room in the database. So the journal stops growing while some is left, and what Kafka has can still leave.

use std::path::Path;

/// What is left alone, or a quarter of a disk that is smaller than four times that.
const LEFT_ALONE: u64 = 32 * 1024 * 1024;

/// What is wrong, where so little is free that nothing more should be added; `inside` tells how many bytes are free in the
/// database, and is asked only where the disk alone has too little.
pub(super) fn shortage(directory: &Path, inside: impl FnOnce() -> u64) -> Option<String> {
    // A file system that does not tell has no bounds that we could respect.
    let space = rustix::fs::statvfs(directory).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
    let (free, total) = (bytes(space.f_bavail), bytes(space.f_blocks));
    let least = LEFT_ALONE.min(total / 4);
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
    }
}
