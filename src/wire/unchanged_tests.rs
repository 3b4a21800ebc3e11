use std::time::Duration;

use jiff::tz::TimeZone;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::wire::decode::Decoder;
use crate::wire::encoding::Encoding;
use crate::wire::layout::{Column, ColumnSpec, ExtraFields, FieldPlace, LayoutSpec, Repeat, SkillGroups, builtin};
use crate::wire::record::{RawText, Record};
use crate::wire::states::StateTable;

use super::*;

const AT: Timestamp = Timestamp::from_millis(1_767_600_000_000);

#[test]
fn who_shares_bytes_with_the_clock_is_decoded() {
    let shared = [(0, 4, 8, 4), (0, 4, 3, 4), (2, 4, 0, 4), (4, 4, 4, 4)];
    let cases = [(0, 4, 4, 4, true)].into_iter().chain(shared.map(|(a, b, c, d)| (a, b, c, d, false)));
    for (login_at, login_width, duration_at, duration_width, is_same) in cases {
        let column =
            |column, at, width| ColumnSpec { place: Some(FieldPlace { at, width }), ..ColumnSpec::plain(column) };
        let skills = (duration_at == 8).then(|| SkillGroups {
            columns: vec![column(Column::Skill, 0, 1)],
            repeat: Repeat::Times(3),
            empty: None,
            at: Some(6),
        });
        let layout = LayoutSpec {
            fields: FieldStyle::FixedWidth,
            columns: vec![
                column(Column::LoginId, login_at, login_width),
                column(Column::Duration, duration_at, duration_width),
                column(Column::State, 12, 2),
            ],
            skills,
            ..builtin::get("cisco-icm-20").unwrap()
        };
        let plan = Plan::compile(&layout, "UTC").unwrap();
        let frame = b"11111111111120";
        let mut decoder = Decoder::default();
        let mut last = LastRecord::default();
        last.remember(frame, &decoder.decode(&plan, frame, AT).unwrap());
        assert_eq!(last.times_if_same(&plan, frame, AT).is_some(), is_same, "{login_at} {duration_at}");
    }
}

/// A null of two bytes and one character is as wide as one digit: what has as many bytes is wider.
#[test]
fn bytes_are_no_characters() {
    let column = |column, at, width| ColumnSpec {
        null: vec!["ä".to_owned()],
        place: Some(FieldPlace { at, width }),
        ..ColumnSpec::plain(column)
    };
    let layout = LayoutSpec {
        fields: FieldStyle::FixedCharacters,
        columns: vec![column(Column::LoginId, 0, 4), column(Column::Duration, 4, 1), column(Column::State, 5, 2)],
        skills: None,
        extra_fields: ExtraFields::Ignore,
        ..builtin::get("cisco-icm-20").unwrap()
    };
    let plan = Plan::compile(&layout, "UTC").unwrap();
    let mut decoder = Decoder::default();
    let mut last = LastRecord::default();
    let mut same = |remembered: &str, frame: &str| {
        last.remember(remembered.as_bytes(), &decoder.decode(&plan, remembered.as_bytes(), AT).unwrap());
        last.times_if_same(&plan, frame.as_bytes(), AT).map(|times| times.duration.map(|duration| duration.as_secs()))
    };
    // 20 in the one is 12 in the other.
    assert_eq!(same("4711ä20", "47111220"), None);
    assert_eq!(same("4711520", "4711620"), Some(Some(6)));
    assert_eq!(same("4711520", "4711ä20"), None);
    assert_eq!(same("ü711520", "ü711620"), Some(Some(6)), "before the clock anything may be");
}

#[test]
fn a_quoted_duration_is_not_read_with_its_quotes() {
    // A digit for a quote: odd, but allowed.
    let columns = [Column::LoginId, Column::State, Column::Duration].map(ColumnSpec::plain);
    let layout = LayoutSpec {
        quote: Some(b'0'),
        fields: FieldStyle::Separator(b'|'),
        columns: columns.into(),
        skills: None,
        ..builtin::get("cisco-icm-20").unwrap()
    };
    let plan = Plan::compile(&layout, "UTC").unwrap();
    let frame = b"301204|20|0750";
    let mut decoder = Decoder::default();
    let decoded = decoder.decode(&plan, frame, AT).unwrap();
    assert_eq!(decoded.record.times.duration.map(|duration| duration.as_secs()), Some(75));
    let mut last = LastRecord::default();
    last.remember(frame, &decoded);
    assert_eq!(last.times_if_same(&plan, frame, AT), None);
    assert_eq!(
        last.times_if_same(&plan, b"301204|20|75", AT).map(|times| times.duration),
        Some(decoded.record.times.duration)
    );
}

const ZONES: [&str; 4] = ["Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "UTC"];

/// When clocks change in one of them.
const CHANGES: [&str; 6] = [
    "2026-03-29T01:00:00Z",
    "2026-10-25T01:00:00Z",
    "2026-03-08T05:00:00Z",
    "2026-11-01T05:00:00Z",
    "2026-04-04T15:00:00Z",
    "2026-10-03T15:30:00Z",
];

fn one_of<T: Copy>(random: &mut ChaCha8Rng, all: &[T]) -> T {
    all[random.random_range(0..all.len())]
}

fn some_layout(random: &mut ChaCha8Rng) -> LayoutSpec {
    let separators = [b'|', b',', b'\t', b' '].map(FieldStyle::Separator);
    let fields = match random.random_range(0..4) {
        0 => FieldStyle::Whitespace,
        1 => FieldStyle::FixedWidth,
        2 => FieldStyle::FixedCharacters,
        _ => one_of(random, &separators),
    };
    let others =
        [Column::Duration, Column::Timestamp, Column::StateStart, Column::AuxReason, Column::Ignored, Column::Acd];
    let mut columns = vec![Column::LoginId, Column::State];
    columns.extend(others.into_iter().filter(|_| random.random_bool(0.6)));
    for last in (1..columns.len()).rev() {
        columns.swap(last, random.random_range(0..=last));
    }
    let formats = [
        None,
        Some("%d.%m.%Y %H:%M:%S"),
        Some("%d.%m.%Y_%H:%M:%S"),
        Some("%d.%m.%Y_%H:%M:%S"),
        Some("%H:%M:%S"),
        Some("%H:%M:%S"),
        Some("%s"),
        Some("%T%z"),
    ];
    let nulls: [&[&str]; 5] = [&["", "N/A"], &["0"], &["", ":45", "0"], &[], &["", "ä"]];
    let mut reached = 0;
    let columns = columns.into_iter().map(|column| {
        let at = if random.random_bool(0.1) { random.random_range(0..=reached) } else { reached };
        let place = FieldPlace { at, width: random.random_range(1..24) };
        reached = reached.max(at + place.width);
        let is_time = matches!(column, Column::Timestamp | Column::StateStart);
        ColumnSpec {
            null: one_of(random, &nulls).iter().map(|null| (*null).to_owned()).collect(),
            place: fields.is_fixed().then_some(place),
            format: one_of(random, &formats).filter(|_| is_time).map(str::to_owned),
            ..ColumnSpec::plain(column)
        }
    });
    let columns: Vec<ColumnSpec> = columns.collect();
    let nulls_are_ascii = columns.iter().flat_map(|column| &column.null).all(|null| null.is_ascii());
    LayoutSpec {
        columns,
        fields,
        encoding: if nulls_are_ascii {
            one_of(random, &[Encoding::Utf8, Encoding::Iso8859_1, Encoding::Ascii])
        } else {
            Encoding::Utf8
        },
        quote: one_of(random, &[None, Some(b'"'), Some(b'0')]).filter(|_| !fields.is_fixed()),
        skills: None,
        states: StateTable::cms_names(),
        null: vec![String::new()],
        extra_fields: one_of(random, &[ExtraFields::Error, ExtraFields::Ignore]),
        ..builtin::get("cisco-icm-20").unwrap()
    }
}

/// Returns a value of the column as of about that time.
fn some_value(random: &mut ChaCha8Rng, column: &ColumnSpec, zone: &TimeZone, at: Timestamp) -> Vec<u8> {
    if random.random_bool(0.03) {
        return one_of(
            random,
            &[&b""[..], b"N/A", b"0", b"\xfc", b"\0", b"\"1\"", b"x\"", b"99:99", b"  ", b"\xc3\xa4"],
        )
        .to_vec();
    }
    let text = match column.column {
        Column::LoginId => one_of(random, &["4711", "0471"]).to_owned(),
        Column::State => one_of(random, &["AUX", "AVAIL", "AUX"]).to_owned(),
        Column::Duration => {
            one_of(random, &["0", ":45", "1:05", "75", "00:00:07", " 5", "12", "13", "14", "1:65"]).to_owned()
        }
        Column::Timestamp | Column::StateStart => {
            let ago = random.random_range(-20..2_400);
            let at = jiff::Timestamp::from_second(at.as_millis() / 1_000 - ago).unwrap().to_zoned(zone.clone());
            // Now and then as the clock would have shown it an hour later, when it occurs twice or not at all.
            let local = at.datetime() + jiff::SignedDuration::from_hours(i64::from(random.random_bool(0.3)));
            match &column.format {
                None => at.timestamp().as_second().to_string(),
                Some(format) if format.contains("%z") || format.contains("%s") => at.strftime(format).to_string(),
                // A blank of a format stands for any number of them.
                Some(format) if random.random_bool(0.05) => {
                    local.strftime(format).to_string().replace(' ', &" ".repeat(300))
                }
                Some(format) => local.strftime(format).to_string(),
            }
        }
        _ => one_of(random, &["1", "3"]).to_owned(),
    };
    text.into_bytes()
}

fn joined(random: &mut ChaCha8Rng, layout: &LayoutSpec, values: &[Vec<u8>], spaces: &[(u8, bool)]) -> Vec<u8> {
    let mut frame = Vec::new();
    for (number, (value, (blanks, is_quoted))) in values.iter().zip(spaces).enumerate() {
        let blanks = b" ".repeat(usize::from(*blanks));
        let value = match layout.quote {
            Some(quote) if *is_quoted => [&[quote], &value[..], &[quote]].concat(),
            _ => value.clone(),
        };
        if let Some(place) = layout.columns[number].place {
            frame.resize(frame.len().max(place.at + place.width), b' ');
            let padded = [&blanks[..], &value].concat();
            let width = padded.len().min(place.width);
            frame[place.at..place.at + place.width].fill(b' ');
            frame[place.at..place.at + width].copy_from_slice(&padded[..width]);
            continue;
        }
        if number > 0 {
            frame.push(if let FieldStyle::Separator(byte) = layout.fields { byte } else { b' ' });
        }
        frame.extend([&blanks[..], &value, &blanks].concat());
    }
    if random.random_bool(0.02) {
        let at = random.random_range(0..=frame.len().saturating_sub(1));
        frame[at] = one_of(random, b"0: |\"x");
    }
    if random.random_bool(0.02) {
        frame.truncate(random.random_range(0..frame.len()));
    }
    frame
}

/// Returns all that a record says except its times.
fn said(record: &Record<'_>) -> String {
    let text = |raw: Option<RawText<'_>>| raw.map(|raw| raw.text().into_owned());
    let texts = [record.work_split, record.extension, record.name, record.role, record.location, record.logout_reason];
    let skills: Vec<_> = record.skills.iter().map(|skill| (skill.skill.text().into_owned(), skill.level)).collect();
    let state = (record.mode, record.direction, record.on_hold, record.recognised, record.aux_reason);
    format!(
        "{:?} {:?} {state:?} {:?} {:?} {skills:?}",
        record.login_id,
        record.acd,
        text(Some(record.raw_state)),
        texts.map(text)
    )
}

#[test]
fn the_shortcut_says_what_the_decoder_says() {
    let (mut compared, mut taken, mut unsure, mut impossible) = (0, 0, 0, 0);
    for seed in 0..3_000 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let layout = some_layout(&mut random);
        let name = one_of(&mut random, &ZONES);
        let (plan, zone) = (Plan::compile(&layout, name).unwrap(), TimeZone::get(name).unwrap());
        let mut at = Timestamp::parse_rfc3339(one_of(&mut random, &CHANGES)).unwrap();
        at = at.plus(Duration::from_secs(random.random_range(0..4_500))).minus(Duration::from_secs(1_200));
        let mut decoder = Decoder::default();
        let mut last: Option<(LastRecord, String)> = None;
        let mut values: Vec<_> =
            layout.columns.iter().map(|column| some_value(&mut random, column, &zone, at)).collect();
        let mut spaces = vec![(0, false); values.len()];
        for _ in 0..8 {
            at = at.plus(Duration::from_secs(random.random_range(0..600)));
            for (number, column) in layout.columns.iter().enumerate() {
                let is_volatile = matches!(column.column, Column::Duration | Column::Timestamp);
                if random.random_bool(if is_volatile { 0.8 } else { 0.03 }) {
                    values[number] = some_value(&mut random, column, &zone, at);
                }
                if random.random_bool(0.03) {
                    spaces[number] = (random.random_range(0..2), random.random_bool(0.5));
                }
            }
            let frame = joined(&mut random, &layout, &values, &spaces);
            let same = last.as_ref().and_then(|(last, said)| Some((last.times_if_same(&plan, &frame, at)?, said)));
            let decoded = decoder.decode(&plan, &frame, at);
            compared += 1;
            if let Some((times, before)) = same {
                let what = || format!("seed {seed}: {:?} at {at}", String::from_utf8_lossy(&frame));
                let decoded = decoded.unwrap_or_else(|reason| panic!("{}: {reason}", what()));
                assert_eq!(times, decoded.record.times, "{}", what());
                assert_eq!(*before, said(&decoded.record), "{}", what());
                taken += 1;
                unsure += usize::from(times.timestamp_is_unsure || times.state_start_is_unsure);
                impossible += usize::from(times.impossible > 0);
            } else if let Ok(decoded) = decoded {
                let mut record = LastRecord::default();
                record.remember(&frame, &decoded);
                last = Some((record, said(&decoded.record)));
            }
        }
    }
    // The comparison only means something if the shortcut is taken.
    assert!(compared == 24_000 && taken > 4_000 && unsure > 100 && impossible > 10, "{taken} {unsure} {impossible}");
}
