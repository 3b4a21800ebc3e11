//! Durations and sizes as people write them.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 24 * 3_600_000)];

const SIZE_UNITS: [(&str, u64); 5] = [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// What durations look like, for messages.
pub(super) const DURATION_FORM: &str = "a whole number with ms, s, m, h or d, such as \"500ms\", \"3s\", \"15m\"";

/// What sizes look like, for messages.
pub(super) const SIZE_FORM: &str = "a number of bytes, or a whole number with KiB, MiB or GiB, such as \"64KiB\"";

/// Parses `500ms`, `3s`, `15m`, `1h`, `2d`.
pub fn duration(text: &str) -> Option<Duration> {
    scaled(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Parses `64KiB`, `1GiB`, `4096`.
pub(super) fn size(text: &str) -> Option<u64> {
    scaled(text, &SIZE_UNITS)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let cases = [
            ("500ms", Some(500)),
            ("3s", Some(3_000)),
            ("15m", Some(900_000)),
            ("1 h", Some(3_600_000)),
            ("2d", Some(172_800_000)),
            ("3", None),
            ("", None),
            ("s", None),
            ("-3s", None),
            ("1.5s", None),
            ("3 S", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(duration(text), milliseconds.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_binary_units() {
        let cases = [
            ("4096", Some(4096)),
            ("64KiB", Some(65_536)),
            ("1GiB", Some(1 << 30)),
            ("2 MiB", Some(2 << 20)),
            ("1KB", None),
            ("1kib", None),
            ("KiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), bytes, "{text:?}");
        }
    }
}
