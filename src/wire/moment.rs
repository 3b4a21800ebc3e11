//! Times in records: what a field says, and which moment that is.
//!
//! UNIX times and local times with their offset are instants. A local time without one is in the integration's zone: when
//! clocks go back, some occur twice; when they go forward, some do not occur. A format may also lack the date. Which moment
//! is meant can then depend on when the record was received, so a field is read once ([`WrittenTime::read`]), and what it
//! said is resolved for each receipt ([`WrittenTime::at`]). Neither allocates where the field is a time.

use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::time::Timestamp;

use super::fields;
use super::record::Times;

/// How far the feed's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(10);

/// UNIX times from here on are milliseconds: 10^11 s are in the year 5138.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

/// What a field says about a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrittenTime {
    /// That instant.
    Instant(Timestamp),
    /// A local time that clocks show twice.
    Twice { earlier: Timestamp, later: Timestamp },
    /// A local time that clocks skip.
    Never,
    /// A time of day, local where no offset is given.
    OfDay { time: Time, offset: Option<Offset> },
}

/// The moment that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// `None`: the given time does not occur.
    pub(super) at: Option<Timestamp>,
    /// It occurs twice, and nothing excludes either of the two.
    pub(super) is_unsure: bool,
}

impl Moment {
    const NEVER: Self = Self { at: None, is_unsure: false };

    const fn sure(at: Timestamp) -> Self {
        Self { at: Some(at), is_unsure: false }
    }
}

impl Times {
    pub(super) fn set_timestamp(&mut self, moment: Moment) {
        self.timestamp = moment.at;
        self.timestamp_is_unsure = moment.is_unsure;
        self.impossible += u8::from(moment.at.is_none());
    }

    pub(super) fn set_state_start(&mut self, moment: Moment) {
        self.state_start = moment.at;
        self.state_start_is_unsure = moment.is_unsure;
        self.impossible += u8::from(moment.at.is_none());
    }
}

impl WrittenTime {
    /// Reads UNIX seconds or milliseconds, or a time of `format`, which is local in `zone` unless it says otherwise.
    pub(super) fn read(bytes: &[u8], format: Option<&str>, zone: &TimeZone) -> Option<Self> {
        match format {
            None => unix(bytes).map(Self::Instant),
            Some(format) => Self::of(&BrokenDownTime::parse(format, bytes).ok()?, zone),
        }
    }

    fn of(told: &BrokenDownTime, zone: &TimeZone) -> Option<Self> {
        if let Some(instant) = told.timestamp() {
            return Some(Self::Instant(of_jiff(instant)));
        }
        if told.year().is_none() && told.iso_week_year().is_none() {
            told.hour()?;
            let is_time_alone = !has_part_of_date(told) && told.iana_time_zone().is_none();
            return is_time_alone.then(|| Some(Self::OfDay { time: told.to_time().ok()?, offset: told.offset() }))?;
        }
        let local = told.to_datetime().ok()?;
        match (told.offset(), told.iana_time_zone()) {
            (Some(offset), _) => instant(offset, local).map(Self::Instant),
            (None, Some(name)) => Self::local(local, &TimeZone::get(name).ok()?),
            (None, None) => Self::local(local, zone),
        }
    }

    fn local(local: DateTime, zone: &TimeZone) -> Option<Self> {
        match zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => instant(offset, local).map(Self::Instant),
            AmbiguousOffset::Fold { before, after } => {
                Some(Self::Twice { earlier: instant(before, local)?, later: instant(after, local)? })
            }
            AmbiguousOffset::Gap { .. } => Some(Self::Never),
        }
    }

    /// Returns which moment it is in a record that was received then.
    #[inline]
    pub(super) fn at(self, zone: &TimeZone, received_at: Timestamp) -> Moment {
        let latest = received_at.plus(AHEAD);
        match self {
            Self::Instant(at) => Moment::sure(at),
            Self::Twice { later, .. } if later <= latest => Moment { at: Some(later), is_unsure: true },
            Self::Twice { earlier, .. } => Moment::sure(earlier),
            Self::Never => Moment::NEVER,
            Self::OfDay { time, offset: None } => latest_of_day(time, zone, latest).unwrap_or(Moment::NEVER),
            Self::OfDay { time, offset: Some(offset) } => {
                latest_of_day(time, &TimeZone::fixed(offset), latest).unwrap_or(Moment::NEVER)
            }
        }
    }
}

/// Returns the latest moment up to `latest` at which clocks in `zone` show `time`.
fn latest_of_day(time: Time, zone: &TimeZone, latest: Timestamp) -> Option<Moment> {
    let shown = zone.to_datetime(jiff::Timestamp::from_microsecond(latest.as_micros()).ok()?);
    // Clocks that go back over midnight have shown tomorrow already, and a day may be missing.
    let mut date = shown.date().tomorrow().ok()?;
    for _ in 0..4 {
        let local = date.to_datetime(time);
        match WrittenTime::local(local, zone)? {
            WrittenTime::Instant(at) if at <= latest => return Some(Moment::sure(at)),
            told @ WrittenTime::Twice { earlier, .. } if earlier <= latest => {
                return Some(told.at(zone, latest.minus(AHEAD)));
            }
            // Clocks have passed it without showing it.
            WrittenTime::Never if local <= shown => return None,
            _ => date = date.yesterday().ok()?,
        }
    }
    None
}

/// Whether any part of the date is given. The year is not checked.
fn has_part_of_date(told: &BrokenDownTime) -> bool {
    let weeks = [told.iso_week(), told.sunday_based_week(), told.monday_based_week()];
    told.month().is_some()
        || told.day().is_some()
        || told.day_of_year().is_some()
        || told.weekday().is_some()
        || weeks.iter().any(Option::is_some)
}

fn instant(offset: Offset, local: DateTime) -> Option<Timestamp> {
    offset.to_timestamp(local).ok().map(of_jiff)
}

fn of_jiff(instant: jiff::Timestamp) -> Timestamp {
    Timestamp::from_micros(instant.as_microsecond())
}

/// Parses UNIX seconds or milliseconds.
fn unix(bytes: &[u8]) -> Option<Timestamp> {
    let value = fields::number(bytes)?;
    let seconds_or_millis = i64::try_from(value).ok()?;
    let millis = if value >= FIRST_MILLISECONDS { seconds_or_millis } else { seconds_or_millis.checked_mul(1_000)? };
    // Beyond the calendar's range nothing could be published.
    (millis < 253_402_300_800_000).then(|| Timestamp::from_millis(millis))
}

/// Checks that `format` is the format of a time, with or without a date: a sample is written with it and read back.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_format(format: &str) -> Result<(), String> {
    let sample = jiff::civil::datetime(2026, 3, 9, 17, 5, 42, 0);
    let zoned = sample.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
    let written = strtime::format(format, &zoned).map_err(|error| error.to_string())?;
    let told = BrokenDownTime::parse(format, &written).map_err(|error| error.to_string())?;
    let is_dated = told.year().is_some() || told.iso_week_year().is_some();
    if told.timestamp().is_none() {
        if is_dated {
            told.to_datetime().map_err(|error| error.to_string())?;
        } else if has_part_of_date(&told) {
            return Err("it says a part of the date without the year".to_owned());
        } else if told.iana_time_zone().is_some() {
            return Err("it says the time zone without the date".to_owned());
        }
        if told.hour().is_none() || told.minute().is_none() {
            return Err("it does not say hour and minute".to_owned());
        }
    }
    // Seconds may be left out; everything else has to come back as it was.
    let read = match WrittenTime::of(&told, &TimeZone::UTC) {
        Some(WrittenTime::Instant(at)) => jiff::Timestamp::from_microsecond(at.as_micros()).ok(),
        Some(WrittenTime::OfDay { time, .. }) => {
            sample.date().to_datetime(time).to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
        }
        _ => None,
    };
    let is_same = read.is_some_and(|read| (0..60).contains(&(zoned.timestamp().as_second() - read.as_second())));
    if is_same { Ok(()) } else { Err(format!("{written:?}, written with it, is read as another time")) }
}

#[cfg(test)]
#[path = "moment_tests.rs"]
mod tests;
