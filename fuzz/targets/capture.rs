//! Capture files: any line.
//!
//! * no line brings the parser down;
//! * what it reads, written and read again, is the same, and the second writing is the first, in every encoding;
//! * every entry can be written: whatever a feed sends and whoever sends it.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rtalink::capture::{CaptureEntry, Happening};
use rtalink::time::Timestamp;
use rtalink::wire::encoding::Encoding;

#[derive(Arbitrary, Debug)]
enum Told<'a> {
    Open(&'a str, Option<u8>),
    Data(&'a [u8]),
    Close,
}

/// From -9999 to 9999, as far as RFC 3339 goes.
const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

fn check(entry: &CaptureEntry) {
    for (name, encoding) in Encoding::NAMES {
        let line = entry.to_line_in(encoding).unwrap_or_else(|error| panic!("{entry:?} cannot be written: {error}"));
        assert!(!line.contains('\n'), "{line:?} is more than a line");
        let read = CaptureEntry::parse(&line, encoding).unwrap_or_else(|error| panic!("{name} {line}: {error}"));
        assert_eq!(&read, entry, "{name} {line}");
        assert_eq!(read.to_line_in(encoding).ok(), Some(line));
    }
    // ASCII reads alike in all of them.
    let line = entry.to_line().unwrap_or_else(|error| panic!("{entry:?} cannot be written: {error}"));
    for (name, encoding) in Encoding::NAMES {
        assert_eq!(CaptureEntry::parse(&line, encoding).ok().as_ref(), Some(entry), "{name} {line}");
    }
}

fn run(input: &[u8]) -> Result<()> {
    let Some((&first, rest)) = input.split_first() else { return Ok(()) };
    if first != b'{' {
        let mut u = Unstructured::new(rest);
        let at = Timestamp::from_micros(u.int_in_range(TIMES)?);
        let connection = u.arbitrary()?;
        let happening = match u.arbitrary()? {
            Told::Open(peer, encoding) => {
                let encoding = encoding.and_then(|number| Encoding::NAMES.get(usize::from(number)));
                Happening::Open { peer: peer.to_owned(), encoding: encoding.map(|(_, encoding)| *encoding) }
            }
            Told::Data(bytes) => Happening::Data(bytes.to_vec()),
            Told::Close => Happening::Close,
        };
        check(&CaptureEntry { at, connection, happening });
        return Ok(());
    }
    for line in String::from_utf8_lossy(input).lines() {
        for (_, encoding) in Encoding::NAMES {
            match CaptureEntry::parse(line, encoding) {
                Ok(entry) => check(&entry),
                Err(error) => drop(error.to_string()),
            }
        }
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    // An input that is used up says nothing.
    let _ = run(input);
});
