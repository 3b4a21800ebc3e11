//! What `replay` says on stderr when it is done: what came in, and what became of it.
//!
//! A few aligned lines. Those that would say nothing (no invalid record, no unlisted code) are left out, the others are always
//! there, in the same order. Nobody is named.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::engine::replay::Replay;
use crate::engine::{DeadLetter, Finding};
use crate::time::Timestamp;
use crate::tracker::BriefCounts;
use crate::tracker::event::{Cause, StatusKind};
use crate::tracker::status::Totals;
use crate::wire::escape::escape;
use crate::wire::reason::Reason;

/// Records that are invalid for one reason.
#[derive(Debug)]
struct Invalid {
    reason: Reason,
    count: u64,
    offset: u64,
    received_at: Timestamp,
}

/// Adds up what the engine finds.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// In the order of their first records. Reasons are few.
    invalid: Vec<Invalid>,
    causes: [u64; Cause::ALL.len()],
    statuses: BTreeMap<&'static str, u64>,
    /// How often the feed took so many milliseconds for a snapshot. At most a day: longer is no period.
    periods: BTreeMap<u64, u64>,
}

const LONGEST: Duration = Duration::from_hours(24);

impl Account {
    /// Takes a finding in.
    pub(super) fn add(&mut self, finding: &Finding) {
        match finding {
            Finding::Event(event, _) => self.causes[event.cause as usize] += 1,
            Finding::Status(status) => *self.statuses.entry(status.event.kind.name()).or_default() += 1,
            Finding::DeadLetter(letter) => self.add_invalid(letter),
            Finding::Snapshot(snapshot) => {
                let period = snapshot.period.filter(|period| *period <= LONGEST);
                let millis = period.and_then(|period| u64::try_from(period.as_millis()).ok());
                // What was read at one moment says nothing of how often the report runs.
                if let Some(millis) = millis.filter(|millis| *millis > 0) {
                    *self.periods.entry(millis).or_default() += 1;
                }
            }
            Finding::Close(..) | Finding::Probe(_) => {}
        }
    }

    fn add_invalid(&mut self, letter: &DeadLetter) {
        let DeadLetter { reason, offset, received_at, .. } = *letter;
        match self.invalid.iter_mut().find(|invalid| invalid.reason == reason) {
            Some(invalid) => invalid.count += 1,
            None => self.invalid.push(Invalid { reason, count: 1, offset, received_at }),
        }
    }

    fn median_period(&self) -> Option<Duration> {
        let middle = self.periods.values().sum::<u64>().div_ceil(2);
        let mut seen = 0;
        let reaches_middle = |(_, count): &(&u64, &u64)| {
            seen += **count;
            seen >= middle
        };
        self.periods.iter().find(reaches_middle).map(|(millis, _)| Duration::from_millis(*millis))
    }

    /// With the figures of what was played.
    pub(super) fn close(self, replay: &Replay) -> ClosedAccount {
        let engine = replay.engine();
        let survey = replay.survey();
        let codes = survey.map(|survey| survey.codes()).unwrap_or_default();
        ClosedAccount {
            account: self,
            totals: engine.totals(),
            agents: engine.tracker().table().iter().count(),
            logged_in: engine.figures().logged_in,
            codes: codes.into_iter().map(|(code, count)| (code.to_owned(), count)).collect(),
            other_codes: survey.map_or(0, |survey| survey.other_codes()),
        }
    }
}

/// An account to be shown.
#[derive(Debug)]
pub(super) struct ClosedAccount {
    account: Account,
    totals: Totals,
    agents: usize,
    logged_in: u32,
    codes: Vec<(String, u64)>,
    other_codes: u64,
}

/// A title in front of the first line of a paragraph, blanks in front of the others.
fn paragraph(f: &mut fmt::Formatter<'_>, title: &str, lines: impl IntoIterator<Item = String>) -> fmt::Result {
    lines.into_iter().enumerate().try_for_each(|(number, line)| {
        let title = if number == 0 { title } else { "" };
        writeln!(f, "{title:<11}{line}")
    })
}

/// `3 CHANGED, 1 LOGGED_OUT`, behind their sum.
fn by_name<'a>(counts: impl Iterator<Item = (&'a str, u64)> + Clone) -> String {
    let parts: Vec<String> =
        counts.clone().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    let sum: u64 = counts.map(|(_, count)| count).sum();
    if parts.is_empty() { "0".to_owned() } else { format!("{sum}: {}", parts.join(", ")) }
}

const fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

impl fmt::Display for ClosedAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, totals, agents, logged_in, codes, other_codes } = self;
        let Totals { records, invalid, skipped, markers, complete_snapshots, incomplete_snapshots, .. } = totals;
        let impossible_times = &totals.impossible_times;
        let all = records.all() + invalid;
        let (changed, unchanged) = (records.changed, records.unchanged);
        paragraph(f, "records", [format!("{all}: {changed} changed, {unchanged} unchanged, {invalid} invalid")])?;
        paragraph(f, "invalid", account.invalid.iter().map(Invalid::to_string))?;
        paragraph(f, "lines", [format!("{skipped} skipped, {markers} marker{}", plural(*markers))])?;
        let period = account.median_period().map_or(String::new(), |period| format!(", one every {period:?}"));
        let snapshots = format!("{complete_snapshots} complete{period}; {incomplete_snapshots} cut off");
        paragraph(f, "snapshots", [snapshots])?;
        paragraph(f, "agents", [format!("{agents}, {logged_in} of them logged in at the end")])?;
        let causes = Cause::ALL.into_iter().map(|cause| (cause.name(), account.causes[cause as usize]));
        paragraph(f, "events", [by_name(causes)])?;
        let statuses = StatusKind::NAMES.into_iter();
        let statuses = statuses.map(|name| (name, account.statuses.get(name).copied().unwrap_or(0)));
        paragraph(f, "statuses", [by_name(statuses)])?;
        let codes = codes.iter().map(|(code, count)| format!("{count} of \"{}\"", escape(code.as_bytes())));
        let other_codes = (*other_codes > 0).then(|| format!("{other_codes} of others"));
        let codes: Vec<String> = codes.chain(other_codes).collect();
        let codes =
            (!codes.is_empty()).then(|| format!("records with codes that are not in the table: {}", codes.join(", ")));
        paragraph(f, "codes", codes)?;
        let BriefCounts { states, logouts } = totals.absorbed;
        let too_brief = (states + logouts > 0).then(|| {
            format!(
                "{states} state{} of short_states and {logouts} log-out{} within logout_hold: not published",
                plural(states),
                plural(logouts)
            )
        });
        paragraph(f, "too brief", too_brief)?;
        let times = (*impossible_times > 0).then(|| {
            let verb = if *impossible_times == 1 { "does" } else { "do" };
            let s = plural(*impossible_times);
            format!("{impossible_times} local time{s} that {verb} not occur: is time_zone right?")
        });
        paragraph(f, "times", times)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, count, offset, received_at } = self;
        let label = reason.label();
        write!(f, "{count} {label} ({reason}), the first at offset {offset}, read at {received_at}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::RecordCounts;
    use crate::tracker::event::{SnapshotEvent, StatusEvent};
    use crate::tracker::status::{FeedFigures, FeedStatus};
    use crate::wire::layout::Column;

    fn letter(reason: Reason, offset: u64) -> Finding {
        let received_at = Timestamp::parse_rfc3339("2026-01-05T08:00:00.120Z").unwrap();
        Finding::DeadLetter(DeadLetter { reason, offset, raw: Vec::new(), received_at })
    }

    fn status(kind: StatusKind) -> Finding {
        let event = StatusEvent { kind, at: Timestamp::default(), affected: 0 };
        Finding::Status(Box::new(FeedStatus { event, figures: FeedFigures::default(), no_valid_record: false }))
    }

    fn snapshot(millis: Option<u64>) -> Finding {
        Finding::Snapshot(SnapshotEvent { complete: true, period: millis.map(Duration::from_millis) })
    }

    fn closed(account: Account, totals: Totals) -> ClosedAccount {
        ClosedAccount { account, totals, agents: 0, logged_in: 0, codes: Vec::new(), other_codes: 0 }
    }

    #[test]
    fn nothing_came() {
        let expected = "\
records    0: 0 changed, 0 unchanged, 0 invalid
lines      0 skipped, 0 markers
snapshots  0 complete; 0 cut off
agents     0, 0 of them logged in at the end
events     0
statuses   0
";
        assert_eq!(closed(Account::default(), Totals::default()).to_string(), expected);
    }

    #[test]
    fn everything_came() {
        let mut account = Account::default();
        let findings = [
            letter(Reason::TooFewFields, 120),
            letter(Reason::Missing(Column::State), 300),
            letter(Reason::TooFewFields, 7),
            status(StatusKind::Disconnected),
            status(StatusKind::Connected),
            status(StatusKind::Connected),
            snapshot(None),
            snapshot(Some(3_120)),
            snapshot(Some(3_000)),
            snapshot(Some(60_000)),
            snapshot(Some(0)),
            snapshot(Some(1_000_000_000)),
        ];
        findings.iter().for_each(|finding| account.add(finding));
        account.causes[Cause::Changed as usize] = 2;
        account.causes[Cause::Observed as usize] = 1;
        let totals = Totals {
            records: RecordCounts { changed: 3, unchanged: 14 },
            invalid: 3,
            impossible_times: 2,
            absorbed: BriefCounts { states: 12, logouts: 1 },
            skipped: 2,
            probes: 0,
            markers: 1,
            complete_snapshots: 5,
            incomplete_snapshots: 1,
            events: 3,
        };
        let closed = ClosedAccount {
            agents: 12,
            logged_in: 11,
            codes: vec![("95".to_owned(), 7), ("\u{1b}".to_owned(), 1)],
            other_codes: 4,
            ..closed(account, totals)
        };
        let expected = "\
records    20: 3 changed, 14 unchanged, 3 invalid
invalid    2 too_few_fields (fewer fields than the layout has), the first at offset 120, read at 2026-01-05T08:00:00.120Z
           1 missing_value (state is empty), the first at offset 300, read at 2026-01-05T08:00:00.120Z
lines      2 skipped, 1 marker
snapshots  5 complete, one every 3.12s; 1 cut off
agents     12, 11 of them logged in at the end
events     3: 1 OBSERVED, 2 CHANGED
statuses   3: 2 CONNECTED, 1 DISCONNECTED
codes      records with codes that are not in the table: 7 of \"95\", 1 of \"\\x1b\", 4 of others
too brief  12 states of short_states and 1 log-out within logout_hold: not published
times      2 local times that do not occur: is time_zone right?
";
        assert_eq!(closed.to_string(), expected);
    }
}
