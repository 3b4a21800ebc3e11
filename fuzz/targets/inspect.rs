//! Finding the layout of a feed: any bytes, and feeds in any layout.
//!
//! * nothing brings it down, and none of it takes long;
//! * how sure something is lies between 0 and 1, and has a reason;
//! * a layout that is found compiles, and what it makes of the feed accounts for every line: valid, invalid, skipped or marker;
//! * the same feed in other pieces has the same layout;
//! * report and layout can be written, whatever bytes are in them.
#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rtalink::capture::{CaptureEntry, Happening};
use rtalink::inspect::{Feed, Inspection, inspect};
use rtalink::time::Timestamp;
use rtalink::wire::plan::Plan;
use rtalink_fuzz::{chunks, feed, layout};

/// Snapshots that a feed in a layout has at most.
const ROUNDS: usize = 6;
/// From one to the next, in milliseconds.
const PERIOD: i64 = 5_000;
/// Of the first one: 2026-01-05T08:00:00Z.
const START: i64 = 1_767_600_000_000;

/// Puts a feed together from what came at a time each, in pieces.
fn of(rounds: &[Vec<u8>], mut pieces: impl FnMut(usize, &[u8]) -> Vec<Vec<u8>>) -> Feed {
    let mut feed = Feed::default();
    for (number, round) in rounds.iter().enumerate() {
        let at = Timestamp::from_millis(START + i64::try_from(number).unwrap_or(0) * PERIOD);
        for bytes in pieces(number, round) {
            feed.take(&CaptureEntry { at, connection: 0, happening: Happening::Data(bytes) });
        }
    }
    feed
}

fn check_sure(found: &Inspection) {
    let all = [
        (found.framing.confidence, &found.framing.evidence),
        (found.encoding.confidence, &found.encoding.evidence),
        (found.fields.confidence, &found.fields.evidence),
    ];
    let columns = found.columns.iter().map(|column| (column.confidence, &column.evidence));
    for (confidence, evidence) in all.into_iter().chain(columns) {
        assert!((0.0..=1.0).contains(&confidence), "{confidence}: {evidence}");
    }
}

fn check(rounds: &[Vec<u8>], u: &mut Unstructured<'_>) -> Result<()> {
    let whole = of(rounds, |_, bytes| vec![bytes.to_vec()]);
    let mut cut = Vec::new();
    for round in rounds {
        cut.push(chunks(u, round)?.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
    }
    let pieces = of(rounds, |number, _| cut[number].clone());
    let (found, again) = match (inspect(&whole, &[]), inspect(&pieces, &[])) {
        (Ok(found), Ok(again)) => (found, again),
        (one, other) => {
            assert_eq!(one.err().map(|error| error.to_string()), other.err().map(|error| error.to_string()));
            return Ok(());
        }
    };
    assert_eq!(found.layout, again.layout, "pieces change the layout");
    check_sure(&found);
    assert!(!found.to_text().is_empty());
    assert_eq!(found.layout_text("acme").is_some(), found.layout.is_some());
    let Some(layout) = &found.layout else { return Ok(()) };
    let zone = found.time_zone.as_ref().map_or("UTC", |zone| zone.value.as_str());
    assert!(Plan::compile(layout, zone).is_ok(), "does not compile: {layout:?}");
    let fit = found.fit.as_ref().expect("a layout is tried");
    assert_eq!(fit.valid + fit.invalid + fit.skipped + fit.markers, found.lines);
    assert!(fit.misfits.iter().map(|misfit| misfit.count).sum::<usize>() == fit.invalid);
    Ok(())
}

fn run(input: &[u8]) -> Result<()> {
    if let Some((_, stream)) = layout::from_text(input) {
        return check(&vec![stream.to_vec(); 3], &mut Unstructured::new(stream));
    }
    let mut u = Unstructured::new(input);
    let rounds = match u.arbitrary()? {
        true => {
            let layout = layout::arbitrary(&mut u)?;
            (0..u.int_in_range(1..=ROUNDS)?).map(|_| feed::records(&mut u, &layout, 5)).collect::<Result<_>>()?
        }
        false => {
            let length = u.len() * 3 / 4;
            vec![u.bytes(length)?.to_vec()]
        }
    };
    check(&rounds, &mut u)
}

fuzz_target!(|input: &[u8]| {
    // An input that is used up says nothing.
    let _ = run(input);
});
