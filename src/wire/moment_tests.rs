use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// Returns what a field of that format means if received at that time: the moment, `?` before one that is unsure, `never`, or
/// `-` where it is not a time.
fn shown(text: &str, format: Option<&str>, zone: &str, received_at: &str) -> String {
    let zone = TimeZone::get(zone).unwrap();
    let Some(told) = WrittenTime::read(text.as_bytes(), format, &zone) else { return "-".to_owned() };
    match told.at(&zone, at(received_at)) {
        Moment { at: None, is_unsure } => format!("never{}", if is_unsure { "?" } else { "" }),
        Moment { at: Some(at), is_unsure } => format!("{}{at}", if is_unsure { "?" } else { "" }),
    }
}

#[test]
fn instants_are_what_they_are() {
    let cases = [
        ("1767600000", None, "2026-01-05T08:00:00.000Z"),
        ("1767600000250", None, "2026-01-05T08:00:00.250Z"),
        ("17676x0000", None, "-"),
        ("999999999999999999", None, "-"),
        ("1767600000", Some("%s"), "2026-01-05T08:00:00.000Z"),
        ("05.01.2026 09:00:00", Some("%d.%m.%Y %H:%M:%S"), "2026-01-05T08:00:00.000Z"),
        ("05.01.2026 09:00", Some("%d.%m.%Y %H:%M"), "2026-01-05T08:00:00.000Z"),
        ("05.13.2026 09:00:00", Some("%d.%m.%Y %H:%M:%S"), "-"),
        // With an offset the hour that occurs twice is unambiguous, and one that does not occur is still a time.
        ("2026-10-25 02:30:00 +0200", Some("%F %T %z"), "2026-10-25T00:30:00.000Z"),
        ("2026-10-25 02:30:00 +0100", Some("%F %T %z"), "2026-10-25T01:30:00.000Z"),
        ("2026-03-29 02:30:00 +0100", Some("%F %T %z"), "2026-03-29T01:30:00.000Z"),
        ("2026-01-05 03:00:00 America/New_York", Some("%F %T %Q"), "2026-01-05T08:00:00.000Z"),
    ];
    for (text, format, expected) in cases {
        // Whenever they are received.
        for received_at in ["1999-01-01T00:00:00Z", "2026-10-25T00:35:00Z", "2050-01-01T00:00:00Z"] {
            assert_eq!(shown(text, format, "Europe/Berlin", received_at), expected, "{text:?}");
        }
    }
}

#[test]
fn of_two_moments_the_later_is_meant_unless_it_is_still_to_come() {
    let format = Some("%d.%m.%Y %H:%M:%S");
    let cases = [
        ("25.10.2026 02:09:53", "2026-10-25T01:10:00Z", "?2026-10-25T01:09:53.000Z"),
        // The feed's clock may be ahead by ten seconds, and not by more.
        ("25.10.2026 02:10:10", "2026-10-25T01:10:00Z", "?2026-10-25T01:10:10.000Z"),
        ("25.10.2026 02:10:11", "2026-10-25T01:10:00Z", "2026-10-25T00:10:11.000Z"),
        ("25.10.2026 02:09:53", "2026-10-25T00:10:00Z", "2026-10-25T00:09:53.000Z"),
        ("25.10.2026 02:09:53", "2026-10-26T12:00:00Z", "?2026-10-25T01:09:53.000Z"),
        ("25.10.2026 01:59:59", "2026-10-25T01:10:00Z", "2026-10-24T23:59:59.000Z"),
        ("25.10.2026 03:00:00", "2026-10-25T02:00:00Z", "2026-10-25T02:00:00.000Z"),
        ("29.03.2026 02:00:00", "2026-03-29T01:00:00Z", "never"),
        ("29.03.2026 02:59:59", "2026-03-29T01:00:00Z", "never"),
        ("29.03.2026 03:00:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00.000Z"),
        ("29.03.2026 01:59:59", "2026-03-29T01:00:00Z", "2026-03-29T00:59:59.000Z"),
    ];
    for (text, received_at, expected) in cases {
        assert_eq!(shown(text, format, "Europe/Berlin", received_at), expected, "{text} at {received_at}");
    }
}

#[test]
fn without_a_date_it_is_the_latest_moment_of_that_time_of_day() {
    let cases = [
        ("09:00:00", "Europe/Berlin", "2026-01-05T08:00:01Z", "2026-01-05T08:00:00.000Z"),
        ("09:00:10", "Europe/Berlin", "2026-01-05T08:00:00Z", "2026-01-05T08:00:10.000Z"),
        ("09:00:11", "Europe/Berlin", "2026-01-05T08:00:00Z", "2026-01-04T08:00:11.000Z"),
        // Midnight, from either side.
        ("23:59:58", "Europe/Berlin", "2026-01-04T23:00:01Z", "2026-01-04T22:59:58.000Z"),
        ("00:00:03", "Europe/Berlin", "2026-01-04T22:59:58Z", "2026-01-04T23:00:03.000Z"),
        ("00:00:09", "Europe/Berlin", "2026-01-04T22:59:58Z", "2026-01-03T23:00:09.000Z"),
        // The hour that occurs twice, while it does, and on the day after.
        ("02:30:00", "Europe/Berlin", "2026-10-25T00:30:05Z", "2026-10-25T00:30:00.000Z"),
        ("02:30:00", "Europe/Berlin", "2026-10-25T01:15:00Z", "2026-10-25T00:30:00.000Z"),
        ("02:30:00", "Europe/Berlin", "2026-10-25T01:30:05Z", "?2026-10-25T01:30:00.000Z"),
        ("02:30:00", "Europe/Berlin", "2026-10-25T20:00:00Z", "?2026-10-25T01:30:00.000Z"),
        ("02:30:00", "Europe/Berlin", "2026-10-25T00:29:00Z", "2026-10-24T00:30:00.000Z"),
        ("02:30:00", "Europe/Berlin", "2026-10-26T02:00:00Z", "2026-10-26T01:30:00.000Z"),
        // The hour that does not occur: it would have been today, or it is not so late yet.
        ("02:30:00", "Europe/Berlin", "2026-03-29T01:00:00Z", "never"),
        ("02:30:00", "Europe/Berlin", "2026-03-29T20:00:00Z", "never"),
        ("02:30:00", "Europe/Berlin", "2026-03-29T00:59:49Z", "2026-03-28T01:30:00.000Z"),
        ("02:30:00", "Europe/Berlin", "2026-03-30T00:30:00Z", "2026-03-30T00:30:00.000Z"),
        // In Havana clocks go back over midnight, and forward over it.
        ("00:30:00", "America/Havana", "2026-11-01T05:45:00Z", "?2026-11-01T05:30:00.000Z"),
        ("00:30:00", "America/Havana", "2026-11-01T05:15:00Z", "2026-11-01T04:30:00.000Z"),
        ("00:30:00", "America/Havana", "2026-03-08T06:00:00Z", "never"),
        // Half an hour.
        ("01:45:00", "Australia/Lord_Howe", "2026-04-04T15:16:00Z", "?2026-04-04T15:15:00.000Z"),
        ("24:00:00", "Europe/Berlin", "2026-01-05T08:00:00Z", "-"),
        ("9 Uhr", "Europe/Berlin", "2026-01-05T08:00:00Z", "-"),
    ];
    for (text, zone, received_at, expected) in cases {
        assert_eq!(shown(text, Some("%H:%M:%S"), zone, received_at), expected, "{text} {zone} at {received_at}");
    }
    let with_offset = |text, received_at| shown(text, Some("%H:%M:%S %z"), "Europe/Berlin", received_at);
    assert_eq!(with_offset("02:30:00 +0200", "2026-10-25T01:15:00Z"), "2026-10-25T00:30:00.000Z");
    assert_eq!(with_offset("02:30:00 +0100", "2026-10-25T01:15:00Z"), "2026-10-24T01:30:00.000Z");
}

#[test]
fn a_form_of_a_time_has_hour_and_minute_and_all_of_a_date_or_nothing_of_it() {
    for format in [
        "%d.%m.%Y %H:%M:%S",
        "%Y%m%d%H%M%S",
        "%d.%m.%y %H:%M",
        "%m/%d/%Y %I:%M:%S %p",
        "%s",
        "%F %T %z",
        "%F %T %Q",
        "%G-W%V-%u %H:%M",
        "%Y %j %T",
        "%H:%M:%S",
        "%H:%M",
        "%I:%M %p",
        "%H:%M:%S %z",
        "um %H Uhr %M",
        "%F %T%.f",
        "%F %T.%f",
        "%H:%M:%S%.3f",
        "%e. %b %Y %k:%M",
        "%A, %d %B %Y %l:%M:%S %P",
    ] {
        assert_eq!(check_format(format), Ok(()), "{format}");
    }
    for format in
        ["", "x", "%!", "%d.%m.%Y", "%d.%m. %H:%M:%S", "%c", "%a %H:%M", "%Y", "%M:%S", "%H", "%I:%M", "%T %Q", "%Z"]
    {
        assert!(check_format(format).is_err(), "{format}");
    }
}

/// Finds the same by looking at the clock minute by minute, backwards.
fn by_walking(time: Time, zone: &TimeZone, latest: jiff::Timestamp) -> Option<jiff::Timestamp> {
    let minute = jiff::SignedDuration::from_mins(1);
    let mut at = latest;
    loop {
        let (before, shown) = (zone.to_datetime(at - minute), zone.to_datetime(at));
        if shown.time() == time {
            return Some(at);
        }
        // The clock was put forward, past it.
        let today = shown.date().to_datetime(time);
        if shown.duration_since(before) > minute && before < today && today < shown {
            return None;
        }
        at -= minute;
    }
}

proptest! {
    #![proptest_config(Config { rng_seed: RngSeed::Fixed(12), cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_latest_moment_is_the_one_that_a_walk_back_in_time_finds(
        zone in prop_oneof![
            Just(("Europe/Berlin", ["2026-03-29T01:00Z", "2026-10-25T01:00Z"])),
            Just(("America/Havana", ["2026-03-08T05:00Z", "2026-11-01T05:00Z"])),
            Just(("Australia/Lord_Howe", ["2026-04-04T15:00Z", "2026-10-03T15:30Z"])),
            Just(("Asia/Kathmandu", ["2026-03-29T01:00Z", "2026-10-25T01:00Z"])),
        ],
        is_autumn in any::<bool>(),
        minutes in -36 * 60..36 * 60_i64,
        hour in 0..24_i8,
        minute in 0..60_i8,
    ) {
        let (name, changes) = zone;
        let zone = TimeZone::get(name).unwrap();
        let change: jiff::Timestamp = changes[usize::from(is_autumn)].parse().unwrap();
        let latest = change + jiff::SignedDuration::from_mins(minutes);
        let time = Time::new(hour, minute, 0, 0).unwrap();
        let received_at = of_jiff(latest).minus(AHEAD);
        let moment = WrittenTime::OfDay { time, offset: None }.at(&zone, received_at);
        prop_assert_eq!(moment.at, by_walking(time, &zone, latest).map(of_jiff));
        // Twice it occurs only around the change, and then both moments show the same.
        prop_assert!(!moment.is_unsure || moment.at.is_some());
    }
}
