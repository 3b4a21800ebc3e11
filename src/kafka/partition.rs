//! Which partition a key is in: murmur2, as in Java's producers and librdkafka's `murmur2_random`. Pure.

use std::collections::BTreeSet;

/// Returns the partition of a key that is not empty, among so many.
pub(super) fn of(key: &[u8], partitions: usize) -> Option<i32> {
    let partitions = u32::try_from(partitions).ok().filter(|count| *count > 0)?;
    i32::try_from((murmur2(key) & 0x7fff_ffff) % partitions).ok()
}

/// Returns every partition that may hold the key in a topic that has so many and may have had fewer before.
pub(super) fn ever_of(key: &[u8], partitions: usize) -> BTreeSet<i32> {
    (1..=partitions).filter_map(|count| of(key, count)).collect()
}

/// MurmurHash2 with Kafka's seed.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mix = |word: u32| {
        let mixed = word.wrapping_mul(M);
        (mixed ^ (mixed >> 24)).wrapping_mul(M)
    };
    #[allow(clippy::cast_possible_truncation)] // keys are short
    let mut hash = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_mul(M) ^ mix(u32::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafka() {
        // From librdkafka's rdmurmur2.c, which took them from Java.
        let cases: [(&str, u32); 5] = [
            ("kafka", 0xd067_cf64),
            ("giberish123456789", 0x8f55_2b0c),
            ("1234", 0x9fc9_7b14),
            ("234", 0xe7c0_09ca),
            ("34", 0x8739_30da),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
        assert_eq!((of(b"kafka", 6), of(b"kafka", 0)), (Some(0x5067_cf64 % 6), None));
        for key in [&b"kafka"[..], b"1234", b"34"] {
            let ever = ever_of(key, 6);
            assert!((1..=6).all(|count| ever.contains(&of(key, count).unwrap())), "{ever:?}");
            assert!(ever.iter().all(|partition| (0..6).contains(partition)), "{ever:?}");
        }
    }
}
