//! Decoding: any record of any layout.
//!
//! * a layout that a configuration may have compiles;
//! * no bytes bring the decoder down, and what it read before changes nothing: a fresh one says the same;
//! * who a record is about is the same, whether the whole record is read or only as much as tells that;
//! * of a record without its end, an agent is named only if it is that of the whole record;
//! * levels are 1 to 99, places lie within the record;
//! * **the shortcut**: where a record is taken for the last one but for the clock, decoding it says the same as decoding the
//!   last one did, with exactly the times that the shortcut told, whenever it is received.
#![no_main]

use std::fmt::Write as _;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rtalink::time::Timestamp;
use rtalink::wire::decode::Decoder;
use rtalink::wire::framing::Run;
use rtalink::wire::layout::LayoutSpec;
use rtalink::wire::lines::LineKind;
use rtalink::wire::plan::Plan;
use rtalink::wire::record::Record;
use rtalink::wire::unchanged::LastRecord;
use rtalink_fuzz::{feed, layout};

/// Receipt of the first record, near a change of the clocks.
const BEGINNINGS: [i64; 6] = [1_774_745_700, 1_792_889_400, 1_792_893_000, 1_775_314_000, 1_791_041_000, 1_767_600_000];

/// What a record says, less its times.
fn told(record: &Record<'_>) -> String {
    let text = |raw: Option<rtalink::wire::record::RawText<'_>>| raw.map(|raw| raw.text().into_owned());
    let mut told = format!(
        "{:?} {:?} {} {:?} {:?} {} {:?} {:?}",
        record.login_id,
        record.acd,
        record.mode,
        record.direction,
        record.on_hold,
        record.recognised,
        record.raw_state.text(),
        record.aux_reason,
    );
    let texts = [record.work_split, record.extension, record.name, record.role, record.location, record.logout_reason];
    for raw in texts {
        let _ = write!(told, " {:?}", text(raw));
    }
    for skill in record.skills.iter() {
        assert!(skill.level.is_none_or(|level| (1..=99).contains(&level)));
        assert!(skill.skill.is(&skill.skill.text()));
        let _ = write!(told, " {:?}/{:?}", skill.skill.text(), skill.level);
    }
    told
}

fn check(layout: &LayoutSpec, zone: &str, stream: Vec<u8>, begin: Timestamp, step: Duration) {
    let Ok(plan) = Plan::compile(layout, zone) else { return };
    let run = Run { bytes: Bytes::from(stream), offset: 0 };
    let mut used = Decoder::default();
    // What the last valid record told.
    let mut last: Option<(LastRecord, String)> = None;
    let mut at = begin;
    for frame in plan.ends().records(&run).filter(|frame| !frame.too_long) {
        if plan.lines().classify(frame.bytes) != LineKind::Record {
            continue;
        }
        let mut fresh = Decoder::default();
        at = at.plus(step);
        let decoded = used.decode(&plan, frame.bytes, at);
        let again = fresh.decode(&plan, frame.bytes, at);
        assert_eq!(format!("{decoded:?}"), format!("{again:?}"), "the decoder remembers");

        let mut identifier = Decoder::default();
        let identity = identifier.identify(&plan, frame.bytes, true).map(|who| (who.login_id.to_owned(), who.acd));
        if let (Ok(decoded), Some((login_id, acd))) = (&decoded, &identity) {
            assert_eq!((decoded.record.login_id, decoded.record.acd), (login_id.as_str(), *acd));
        }
        for length in [frame.bytes.len() / 2, frame.bytes.len().saturating_sub(1)] {
            let front = identifier.identify(&plan, &frame.bytes[..length], false);
            let front = front.map(|who| (who.login_id.to_owned(), who.acd));
            assert!(front.is_none() || front == identity, "{front:?} is read of the front of {identity:?}");
        }

        let same = last.as_ref().and_then(|(last, told)| Some((last.times_if_same(&plan, frame.bytes, at)?, told)));
        let Ok(decoded) = decoded else {
            assert!(same.is_none() || plan.merges_rows(), "an invalid record is taken for the last one");
            continue;
        };
        let text = told(&decoded.record);
        if let Some((times, before)) = same {
            assert_eq!(&text, before, "another record is taken for the last one");
            assert_eq!(times, decoded.record.times);
        }
        let mut remembered = LastRecord::default();
        remembered.remember(frame.bytes, &decoded);
        if let Some(times) = remembered.times_if_same(&plan, frame.bytes, at) {
            assert_eq!(times, decoded.record.times, "{}", frame.bytes.escape_ascii());
        }
        let later = at.plus(step * 7);
        if let (Some(times), Ok(decoded)) =
            (remembered.times_if_same(&plan, frame.bytes, later), fresh.decode(&plan, frame.bytes, later))
        {
            assert_eq!(times, decoded.record.times, "{} later", frame.bytes.escape_ascii());
        }
        last = Some((remembered, text));
    }
}

fn run(input: &[u8]) -> Result<()> {
    if let Some((layout, stream)) = layout::from_text(input) {
        check(
            &layout,
            "Europe/Berlin",
            stream.to_vec(),
            Timestamp::from_millis(BEGINNINGS[1] * 1_000),
            Duration::from_secs(240),
        );
        return Ok(());
    }
    let mut u = Unstructured::new(input);
    let layout = layout::arbitrary(&mut u)?;
    let zone = u.choose(&layout::ZONES)?;
    let stream = feed::records(&mut u, &layout, 8)?;
    let begin = Timestamp::from_millis(u.choose(&BEGINNINGS)? * 1_000);
    check(&layout, zone, stream, begin, Duration::from_secs(u.int_in_range(0..=3_600)?));
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    // An input that is used up says nothing.
    let _ = run(input);
});
