//! What accounts on stderr have in common: aligned paragraphs, invalid records by reason, the median period of snapshots.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::time::Timestamp;
use crate::wire::escape::escape;
use crate::wire::reason::Reason;

/// Appends a paragraph: a title in front of the first line, blanks in front of the others; nothing where there is no line.
pub(super) fn paragraph(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    lines: impl IntoIterator<Item = String>,
) -> fmt::Result {
    lines.into_iter().enumerate().try_for_each(|(number, line)| {
        let title = if number == 0 { title } else { "" };
        writeln!(f, "{title:<11}{line}")
    })
}

pub(super) const fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The line about codes that the table of states lacks, if there are any.
pub(super) fn codes_line<'a>(codes: impl IntoIterator<Item = (&'a str, u64)>, other_codes: u64) -> Option<String> {
    let codes = codes.into_iter().map(|(code, count)| format!("{count} of \"{}\"", escape(code.as_bytes())));
    let other_codes = (other_codes > 0).then(|| format!("{other_codes} of others"));
    let codes: Vec<String> = codes.chain(other_codes).collect();
    (!codes.is_empty()).then(|| format!("records with codes that are not in the table: {}", codes.join(", ")))
}

/// The line about local times that no clock shows, if there are any.
pub(super) fn times_line(impossible: u64) -> Option<String> {
    let verb = if impossible == 1 { "does" } else { "do" };
    let s = plural(impossible);
    (impossible > 0).then(|| format!("{impossible} local time{s} that {verb} not occur: is the time zone right?"))
}

/// Invalid records, by reason.
#[derive(Debug, Default)]
pub(super) struct InvalidRecords {
    /// In the order of their first records. Reasons are few.
    by_reason: Vec<InvalidReason>,
}

#[derive(Debug)]
struct InvalidReason {
    reason: Reason,
    count: u64,
    offset: u64,
    /// Where that is known.
    received_at: Option<Timestamp>,
}

impl InvalidRecords {
    pub(super) fn add(&mut self, reason: Reason, offset: u64, received_at: Option<Timestamp>) {
        match self.by_reason.iter_mut().find(|invalid| invalid.reason == reason) {
            Some(invalid) => invalid.count += 1,
            None => self.by_reason.push(InvalidReason { reason, count: 1, offset, received_at }),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.by_reason.iter().map(|invalid| invalid.count).sum()
    }

    /// A line for each reason.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.by_reason.iter().map(|InvalidReason { reason, count, offset, received_at }| {
            let label = reason.label();
            let read = received_at.map_or_else(String::new, |at| format!(", read at {at}"));
            format!("{count} {label} ({reason}), the first at offset {offset}{read}")
        })
    }
}

/// Periods of snapshots, to the millisecond.
#[derive(Debug, Default)]
pub(super) struct Periods {
    /// How often the feed took so many milliseconds for a snapshot. At most a day: longer is no period.
    counts: BTreeMap<u64, u64>,
}

const LONGEST: Duration = Duration::from_hours(24);

impl Periods {
    pub(super) fn add(&mut self, period: Duration) {
        let millis = u64::try_from(period.as_millis()).ok().filter(|_| period <= LONGEST);
        // What was read at one moment says nothing of how often the report runs.
        if let Some(millis) = millis.filter(|millis| *millis > 0) {
            *self.counts.entry(millis).or_default() += 1;
        }
    }

    pub(super) fn median(&self) -> Option<Duration> {
        let middle = self.counts.values().sum::<u64>().div_ceil(2);
        let mut seen = 0;
        let reaches_middle = |(_, count): &(&u64, &u64)| {
            seen += **count;
            seen >= middle
        };
        self.counts.iter().find(reaches_middle).map(|(millis, _)| Duration::from_millis(*millis))
    }
}
