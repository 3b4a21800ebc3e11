//! What a failing disk does to the files of a store.

use std::fs::{self, OpenOptions};
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Flipped at a time, at most.
const MOST_BITS: u32 = 8;

/// Damages one of the store's files; says how. `None`: there was nothing to damage.
pub(crate) fn strike(store: &Path, seed: u64) -> Option<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let files = ["journal.db", "journal.db-wal"].map(|name| store.join(name));
    let files: Vec<_> = files.into_iter().filter(|file| file.metadata().is_ok_and(|found| found.len() > 0)).collect();
    let file = files.get(rng.random_range(0..files.len().max(1)))?;
    let length = file.metadata().expect("it is there").len();
    let name = file.file_name().expect("a name").to_string_lossy();
    if rng.random_bool(0.5) {
        let left = rng.random_range(0..length);
        OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(left)).expect("a file of ours");
        return Some(format!("{name} cut to {left} of {length} bytes"));
    }
    let mut bytes = fs::read(file).expect("a file of ours");
    let mut bits = Vec::new();
    for _ in 0..rng.random_range(1..=MOST_BITS) {
        let (at, bit) = (rng.random_range(0..bytes.len()), rng.random_range(0..8));
        bytes[at] ^= 1 << bit;
        bits.push(format!("{at}.{bit}"));
    }
    fs::write(file, bytes).expect("a file of ours");
    Some(format!("{name} of {length} bytes, bits {} flipped", bits.join(" ")))
}
