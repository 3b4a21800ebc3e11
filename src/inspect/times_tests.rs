//! Columns that tell time, in feeds of a few records.

use super::*;

#[test]
fn durations_are_read_as_the_decoder_reads_them() {
    let cases = [
        ("75", Some(75)),
        ("1:15", Some(75)),
        ("01:00:05", Some(3_605)),
        (":45", Some(45)),
        ("::5", Some(5)),
        ("1:60", None),
        ("x", None),
        (":", None),
        ("1::5", None),
    ];
    for (text, expected) in cases {
        assert_eq!(seconds(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn forms_of_times_are_read() {
    let cases = [
        ("1767600000", None),
        ("1767600000000", None),
        ("05.01.2026 08:00:00", Some("%d.%m.%Y %H:%M:%S")),
        ("20260105080000", Some("%Y%m%d%H%M%S")),
        ("2026-01-05T10:00:00+0200", Some("%Y-%m-%dT%H:%M:%S%z")),
    ];
    for (text, format) in cases {
        assert_eq!(read(text.as_bytes(), format).map(Read::seconds), Some(1_767_600_000.0), "{text}");
    }
    assert_eq!(read(b"08:00:03", Some("%H:%M:%S")).map(Read::seconds), Some(28_803.0));
}

#[test]
fn zones_have_names() {
    let cases = [
        (0, "+00:00", Some("UTC")),
        (120, "+02:00", Some("Etc/GMT-2")),
        (-300, "-05:00", Some("Etc/GMT+5")),
        (330, "+05:30", Some("Asia/Kolkata")),
        (75, "+01:15", None),
    ];
    for (minutes, text, name) in cases {
        assert_eq!((zone_text(minutes).as_str(), zone_name(minutes).as_deref()), (text, name));
    }
}
