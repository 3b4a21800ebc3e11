//! Columns that tell time: durations, times of the record, beginnings of states.
//!
//! A duration grows like the clock and begins anew; the time of the record is the same for all records of a snapshot and goes
//! with the clock; the beginning of a state stays while the state lasts. Without times of receipt, the snapshots are the clock.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime::BrokenDownTime;

use super::class::{Shape, is_null, number};
use super::finding::percent;
use super::table::Table;

/// What a column of times is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeColumn {
    pub(super) column: usize,
    pub(super) kind: TimeKind,
    pub(super) confidence: f64,
    pub(super) evidence: String,
}

/// Which kind of time it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TimeKind {
    /// Time in the state.
    Duration,
    /// Time since something that does not end with the state, such as the log-in.
    LongDuration,
    /// Time of the record; the format, and minutes that its zone is ahead of UTC.
    Timestamp(Option<String>, Option<i64>),
    /// Beginning of the state.
    StateStart(Option<String>, Option<i64>),
}

/// Forms of date and time that reports have; the first that fits all values and the clock is meant.
const FORMATS: [&str; 26] = [
    "%d.%m.%Y %H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d-%m-%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y%m%d%H%M%S",
    "%Y%m%d %H%M%S",
    "%Y%m%dT%H%M%S",
    "%d.%m.%y %H:%M:%S",
    "%m/%d/%y %H:%M:%S",
    "%d/%m/%y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%Y-%m-%d %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%d-%b-%Y %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S%:z",
    "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%SZ",
    "%H:%M:%S",
    "%H:%M",
    "%I:%M:%S %p",
];

/// Values of a column that are tried with each form.
const TRIED: usize = 400;

/// Finds the columns that tell time.
pub(super) fn find(table: &Table<'_>, columns: &[usize]) -> Vec<TimeColumn> {
    let mut found: Vec<TimeColumn> = columns.iter().filter_map(|column| moment(table, *column)).collect();
    let rest = columns.iter().filter(|column| !found.iter().any(|known| known.column == **column));
    let durations: Vec<TimeColumn> = rest.filter_map(|column| duration(table, *column)).collect();
    found.extend(durations);
    found
}

/// Reads s, mm:ss or hh:mm:ss as the decoder does, leading parts perhaps empty.
pub(super) fn seconds(value: &[u8]) -> Option<i64> {
    let mut parts = 0_i64;
    let mut has_digits = false;
    for (index, part) in value.trim_ascii().split(|byte| *byte == b':').enumerate() {
        let unit = if part.is_empty() && !has_digits { 0 } else { i64::try_from(number(part)?).ok()? };
        has_digits |= !part.is_empty();
        if index > 2 || (index > 0 && unit > 59) || unit > i64::from(u32::MAX) {
            return None;
        }
        parts = parts * 60 + unit;
    }
    has_digits.then_some(parts)
}

/// Whether a column holds how long something lasts.
fn duration(table: &Table<'_>, column: usize) -> Option<TimeColumn> {
    let filled: Vec<&[u8]> = table.column(column).filter(|value| !is_null(value)).collect();
    let readable = filled.iter().filter(|value| seconds(value).is_some()).count();
    if filled.is_empty() || readable * 100 < filled.len() * 98 || filled.len() * 2 < table.rows.len() {
        return None;
    }
    let step = usual_step(table, column);
    let (mut pairs, mut grown, mut begun, mut still) = (0, 0, 0, 0);
    for (before, after) in table.pairs() {
        let (Some(was), Some(is)) = (seconds(before.cell(column)), seconds(after.cell(column))) else { continue };
        let passed = match before.line.at.zip(after.line.at) {
            Some((one, other)) => other.since(one).as_secs_f64(),
            None => step?,
        };
        pairs += 1;
        let moved = (is - was) as f64;
        if (moved - passed).abs() <= 1.5 + passed / 20.0 && moved > 0.0 {
            grown += 1;
        } else if (is as f64) <= passed + 2.5 {
            begun += 1;
        } else if moved == 0.0 {
            still += 1;
        }
    }
    let fits = grown + begun;
    if pairs < 2 || fits * 20 < pairs * 19 || grown * 10 < pairs * 3 {
        return None;
    }
    let with_colons = filled.iter().any(|value| value.contains(&b':'));
    let form = if with_colons { "with colons" } else { "in seconds" };
    let kind = if begun == 0 && pairs > 200 { TimeKind::LongDuration } else { TimeKind::Duration };
    let evidence = format!(
        "{form}; from one snapshot to the next it grows by the time between them in {} of {pairs} cases and begins anew in {begun}{}",
        percent(grown, pairs),
        if still > 0 { format!(", stands still in {still}") } else { String::new() }
    );
    let confidence = 0.6 + 0.39 * f64::from(begun > 0) * fits as f64 / pairs as f64;
    Some(TimeColumn { column, kind, confidence, evidence })
}

/// Without times of receipt: by how many seconds durations grow from one snapshot to the next.
fn usual_step(table: &Table<'_>, column: usize) -> Option<f64> {
    let mut steps: BTreeMap<i64, usize> = BTreeMap::new();
    for (before, after) in table.pairs() {
        if let (Some(was), Some(is)) = (seconds(before.cell(column)), seconds(after.cell(column)))
            && is > was
        {
            *steps.entry(is - was).or_default() += 1;
        }
    }
    steps.into_iter().max_by_key(|(_, count)| *count).map(|(step, _)| step as f64)
}

/// Seconds since 1970 of what stands there, and whether that is a local time or one without a date.
#[derive(Clone, Copy, Debug)]
enum Read {
    Instant(f64),
    Local(f64),
    OfDay(f64),
}

impl Read {
    const fn seconds(self) -> f64 {
        match self {
            Self::Instant(seconds) | Self::Local(seconds) | Self::OfDay(seconds) => seconds,
        }
    }
}

const DAY: f64 = 86_400.0;

fn read(value: &[u8], format: Option<&str>) -> Option<Read> {
    let Some(format) = format else {
        let value = number(value)? as f64;
        return if (1e9..4e9).contains(&value) {
            Some(Read::Instant(value))
        } else {
            (1e12..4e12).contains(&value).then_some(Read::Instant(value / 1_000.0))
        };
    };
    let told = BrokenDownTime::parse(format, value).ok()?;
    let of_day =
        |time: Time| f64::from(time.hour()) * 3_600.0 + f64::from(time.minute()) * 60.0 + f64::from(time.second());
    if told.year().is_none() {
        return Some(Read::OfDay(of_day(told.to_time().ok()?)));
    }
    let local: DateTime = told.to_datetime().ok()?;
    let epoch = Date::constant(1970, 1, 1);
    let days = f64::from(epoch.until(local.date()).ok()?.get_days());
    let seconds = days * DAY + of_day(local.time());
    match told.offset() {
        Some(offset) => Some(Read::Instant(seconds - f64::from(offset.seconds()))),
        None if format.ends_with('Z') => Some(Read::Instant(seconds)),
        None => Some(Read::Local(seconds)),
    }
}

/// Whether a column holds points in time.
fn moment(table: &Table<'_>, column: usize) -> Option<TimeColumn> {
    let filled: Vec<&[u8]> = table.column(column).filter(|value| !is_null(value) && *value != b"0").collect();
    if filled.len() * 10 < table.rows.len() || filled.is_empty() {
        return None;
    }
    let step = (filled.len() / TRIED).max(1);
    let sample: Vec<&[u8]> = filled.iter().step_by(step).copied().collect();
    let is_plausible =
        |value: &[u8]| value.len() >= 4 && matches!(Shape::of(value), Shape::Number | Shape::Time | Shape::Text);
    if !sample.iter().all(|value| is_plausible(value)) {
        return None;
    }
    let formats = [None].into_iter().chain(FORMATS.into_iter().map(Some));
    let fits_all = |format: &Option<&str>| {
        let read = sample.iter().filter(|value| read(value, *format).is_some()).count();
        read * 50 >= sample.len() * 49
    };
    let candidates: Vec<Option<&str>> = formats.filter(fits_all).collect();
    let mut found: Vec<TimeColumn> =
        candidates.into_iter().filter_map(|format| of_format(table, column, format)).collect();
    found.sort_by(|one, other| other.confidence.total_cmp(&one.confidence));
    found.into_iter().next()
}

/// What the values of a column of this form say.
fn of_format(table: &Table<'_>, column: usize, format: Option<&str>) -> Option<TimeColumn> {
    let has_date = format.is_none_or(|format| format.contains("%Y") || format.contains("%y"));
    let is_instant = format.is_none_or(|format| format.ends_with('z') || format.ends_with('Z'));
    let mut stays = 0;
    let mut pairs = 0;
    for (before, after) in table.pairs() {
        if read(before.cell(column), format).is_some() && read(after.cell(column), format).is_some() {
            pairs += 1;
            stays += usize::from(before.cell(column) == after.cell(column));
        }
    }
    let ahead: Vec<f64> = table
        .rows
        .iter()
        .filter_map(|row| {
            let told = read(row.cell(column), format)?.seconds();
            let at = row.line.at?.as_micros() as f64 / 1e6;
            Some(if has_date { told - at } else { (told - at.rem_euclid(DAY)).rem_euclid(DAY) })
        })
        .collect();
    let name = format.map_or_else(|| "UNIX time".to_owned(), |format| format!("form {format:?}"));
    let coarse = if format.is_some_and(|format| !format.contains("%S")) { 60.0 } else { 0.0 };
    let is_steady = is_one_clock(table, column);
    if ahead.is_empty() {
        if pairs == 0 {
            return None;
        }
        // Without a clock: the record's time is the same in a snapshot, and another one in the next.
        let (kind, why) = if is_steady && stays * 4 < pairs {
            (TimeKind::Timestamp(format.map(str::to_owned), None), "the same in all records of a snapshot")
        } else if has_date && stays * 2 > pairs {
            (TimeKind::StateStart(format.map(str::to_owned), None), "stays from one snapshot to the next")
        } else {
            return None;
        };
        return Some(TimeColumn { column, kind, confidence: 0.6, evidence: format!("{name}; {why}") });
    }
    let most = spread_end(&ahead, has_date)?;
    let (latest, range) = most;
    let offset = quarter_hours(latest + coarse / 2.0);
    let minutes = (!is_instant).then_some(offset / 60);
    let is_possible =
        if is_instant { latest.abs() < 600.0 } else { (-14 * 60..=14 * 60).contains(&(offset / 60)) || !has_date };
    if !is_possible {
        return None;
    }
    let told_zone = minutes.map_or_else(String::new, |minutes| format!(", {} UTC", zone_text(wrapped(minutes))));
    if range <= 20.0 + coarse && (is_steady || stays * 4 < pairs.max(1)) && pairs > 0 {
        let evidence = format!("{name}{told_zone}; goes with the clock, the same in all records of a snapshot");
        let kind = TimeKind::Timestamp(format.map(str::to_owned), minutes.map(wrapped));
        return Some(TimeColumn { column, kind, confidence: 0.97, evidence });
    }
    if stays * 10 >= pairs * 3 && pairs > 0 && !is_steady {
        let evidence = format!(
            "{name}{told_zone}; never later than the record, and stays from one snapshot to the next in {}",
            percent(stays, pairs)
        );
        let kind = TimeKind::StateStart(format.map(str::to_owned), minutes.map(wrapped));
        let confidence = if has_date { 0.95 } else { 0.85 };
        return Some(TimeColumn { column, kind, confidence, evidence });
    }
    None
}

/// Returns the latest of the distances from the clock, a few outliers left out, and how far the earliest is from it. Distances
/// of times of day are a circle: its largest gap is where they begin.
fn spread_end(ahead: &[f64], has_date: bool) -> Option<(f64, f64)> {
    let mut sorted = ahead.to_vec();
    sorted.sort_by(f64::total_cmp);
    if has_date {
        let latest = *sorted.get(sorted.len() - 1 - sorted.len() / 1_000)?;
        return Some((latest, latest - sorted.first()?));
    }
    let first = *sorted.first()?;
    let around = sorted.last().map(|last| first + DAY - last)?;
    let gaps = sorted.windows(2).map(|pair| (pair[1] - pair[0], pair[0]));
    let (gap, latest) = gaps.chain([(around, *sorted.last()?)]).max_by(|one, other| one.0.total_cmp(&other.0))?;
    Some((latest, DAY - gap))
}

/// Whether all records of a snapshot tell much the same.
fn is_one_clock(table: &Table<'_>, column: usize) -> bool {
    let mut distinct: BTreeMap<usize, Vec<&[u8]>> = BTreeMap::new();
    for row in &table.rows {
        let values = distinct.entry(row.snapshot).or_default();
        if values.len() < 4 && !values.contains(&row.cell(column)) {
            values.push(row.cell(column));
        }
    }
    let one = distinct.values().filter(|values| values.len() <= 2).count();
    one * 10 >= distinct.len() * 9
}

/// Rounds to quarters of an hour, which zones have; what is a little earlier counts as that quarter.
fn quarter_hours(seconds: f64) -> i64 {
    ((seconds + 300.0) / 900.0).floor() as i64 * 900
}

/// A time of day may be of tomorrow.
const fn wrapped(minutes: i64) -> i64 {
    if minutes > 14 * 60 { minutes - 24 * 60 } else { minutes }
}

/// Returns minutes ahead of UTC as people write them.
pub(super) fn zone_text(minutes: i64) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// Returns a name of the zone database for so many minutes ahead of UTC; its names count the other way round.
pub(super) fn zone_name(minutes: i64) -> Option<String> {
    match minutes {
        0 => Some("UTC".to_owned()),
        minutes if minutes % 60 == 0 => {
            let sign = if minutes > 0 { '-' } else { '+' };
            Some(format!("Etc/GMT{sign}{}", minutes.abs() / 60))
        }
        // Zones that never change their clocks.
        210 => Some("Asia/Tehran".to_owned()),
        270 => Some("Asia/Kabul".to_owned()),
        330 => Some("Asia/Kolkata".to_owned()),
        345 => Some("Asia/Kathmandu".to_owned()),
        390 => Some("Asia/Yangon".to_owned()),
        570 => Some("Australia/Darwin".to_owned()),
        _ => None,
    }
}

/// Returns the middle of these durations.
pub(super) fn median(mut all: Vec<Duration>) -> Option<Duration> {
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

#[cfg(test)]
#[path = "times_tests.rs"]
mod tests;
