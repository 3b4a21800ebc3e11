//! Pseudonyms: any feed of any layout.
//!
//! * no bytes bring it down, and what comes out are as many, in as many chunks;
//! * however the feed is cut, the same comes out;
//! * unless it says so (`changed`), each line is of the kind that it was, valid where it was valid and about somebody where it was
//!   about somebody; of a valid record what stays is the same;
//! * the same twice: somebody's pseudonym is theirs in all records, and nobody else's.
#![no_main]

use std::collections::HashMap;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rtalink::capture::pseudonym::Pseudonyms;
use rtalink::capture::pseudonymise::{MaskedCounts, Pseudonymiser};
use rtalink::capture::{CaptureEntry, Happening};
use rtalink::time::Timestamp;
use rtalink::wire::decode::Decoder;
use rtalink::wire::framing::Run;
use rtalink::wire::layout::LayoutSpec;
use rtalink::wire::lines::LineKind;
use rtalink::wire::plan::Plan;
use rtalink_fuzz::{chunks, feed, layout};

/// When records count as received.
const AT: Timestamp = Timestamp::from_millis(1_767_600_000_000);

fn masked(layout: &LayoutSpec, zone: &str, cut: &[&[u8]]) -> (Vec<u8>, MaskedCounts) {
    let plan = Plan::compile(layout, zone).unwrap_or_else(|error| panic!("{error}"));
    let mut pseudonymiser = Pseudonymiser::new(plan, Pseudonyms::new(b"fuzz"));
    let entries = cut.iter().map(|bytes| CaptureEntry {
        at: Timestamp::from_micros(0),
        connection: 0,
        happening: Happening::Data(bytes.to_vec()),
    });
    let mut out = Vec::new();
    for entry in entries {
        pseudonymiser.push(entry, &mut out).unwrap_or_else(|error| panic!("{error}"));
    }
    pseudonymiser.finish(&mut out);
    let pieces: Vec<Vec<u8>> = out
        .into_iter()
        .map(|entry| match entry.happening {
            Happening::Data(bytes) => bytes,
            other => panic!("{other:?}"),
        })
        .collect();
    let lengths = |pieces: &mut dyn Iterator<Item = usize>| pieces.collect::<Vec<_>>();
    assert_eq!(lengths(&mut pieces.iter().map(Vec::len)), lengths(&mut cut.iter().map(|piece| piece.len())));
    (pieces.concat(), pseudonymiser.counts())
}

/// Whose record it is, as far as that is looked at: of an invalid one less is read.
fn who(decoder: &mut Decoder, plan: &Plan, bytes: &[u8]) -> Option<(String, Option<u32>)> {
    let whole = decoder.decode(plan, bytes, AT).is_ok();
    decoder.identify(plan, bytes, whole).map(|who| (who.login_id.to_owned(), who.acd))
}

fn check(layout: &LayoutSpec, zone: &str, stream: &[u8], cut: &[&[u8]]) {
    let Ok(plan) = Plan::compile(layout, zone) else { return };
    let (whole, counts) = masked(layout, zone, &[stream]);
    assert_eq!((&whole, counts), (&masked(layout, zone, cut).0, masked(layout, zone, cut).1), "cut otherwise");
    if counts.changed > 0 {
        return;
    }
    let run = |bytes: &[u8]| Run { bytes: Bytes::copy_from_slice(bytes), offset: 0 };
    let (before, after) = (run(stream), run(&whole));
    let pairs = plan.ends().records(&before).zip(plan.ends().records(&after));
    let (mut one, mut other) = (Decoder::default(), Decoder::default());
    let mut pseudonyms: HashMap<String, String> = HashMap::new();
    let mut people: HashMap<String, String> = HashMap::new();
    for (before, after) in pairs {
        assert_eq!(
            (before.offset, before.bytes.len(), before.too_long),
            (after.offset, after.bytes.len(), after.too_long)
        );
        if before.too_long {
            continue;
        }
        let kind = plan.lines().classify(before.bytes);
        assert_eq!(kind, plan.lines().classify(after.bytes));
        // A marker is about nobody, whatever it looks like.
        if kind != LineKind::Record {
            continue;
        }
        let who =
            [(&mut one, before.bytes), (&mut other, after.bytes)].map(|(decoder, bytes)| who(decoder, &plan, bytes));
        match (one.decode(&plan, before.bytes, AT), other.decode(&plan, after.bytes, AT)) {
            (Ok(before), Ok(after)) => {
                let (before, after) = (before.record, after.record);
                assert_eq!(
                    (before.mode, before.direction, before.on_hold, before.recognised, before.aux_reason, before.times),
                    (after.mode, after.direction, after.on_hold, after.recognised, after.aux_reason, after.times)
                );
            }
            (Err(_), Err(_)) => {}
            (before, after) => panic!("{before:?} became {after:?}"),
        }
        let [Some((person, acd)), Some((pseudonym, its_acd))] = who else { continue };
        assert_eq!(acd, its_acd);
        let known = pseudonyms.entry(person.clone()).or_insert_with(|| pseudonym.clone());
        assert_eq!(*known, pseudonym, "{person:?}");
        if person.is_ascii() {
            let known = people.entry(pseudonym.clone()).or_insert_with(|| person.clone());
            assert!(*known == person || !known.is_ascii(), "{known:?} and {person:?} are both {pseudonym:?}");
        }
    }
}

fn run(input: &[u8]) -> Result<()> {
    if let Some((layout, stream)) = layout::from_text(input) {
        let (front, back) = stream.split_at(stream.len() / 2);
        check(&layout, "Europe/Berlin", stream, &[front, back]);
        return Ok(());
    }
    let mut u = Unstructured::new(input);
    let layout = layout::arbitrary(&mut u)?;
    let zone = u.choose(&layout::ZONES)?;
    let stream = feed::records(&mut u, &layout, 8)?;
    let cut = chunks(&mut u, &stream)?;
    check(&layout, zone, &stream, &cut);
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    // An input that is used up says nothing.
    let _ = run(input);
});
