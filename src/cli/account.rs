//! What `replay` says on stderr when it is done: what came in, and what became of it.
//!
//! A few aligned lines. Those that would say nothing (no invalid record, no unlisted code) are left out, the others are always
//! there, in the same order. Nobody is named.

use std::collections::BTreeMap;
use std::fmt;

use crate::engine::replay::Replay;
use crate::engine::survey::UnlistedCodes;
use crate::engine::{DeadLetter, Finding};
use crate::tracker::BriefCounts;
use crate::tracker::event::{Cause, StatusKind};
use crate::tracker::status::Totals;

use super::paragraphs::{InvalidRecords, Periods, codes_line, paragraph, plural, times_line};

/// Adds up what the engine finds.
#[derive(Debug, Default)]
pub(super) struct Account {
    invalid: InvalidRecords,
    causes: [u64; Cause::ALL.len()],
    statuses: BTreeMap<&'static str, u64>,
    periods: Periods,
}

impl Account {
    /// Takes a finding in.
    pub(super) fn add(&mut self, finding: &Finding) {
        match finding {
            Finding::Event(event, _) => self.causes[event.cause as usize] += 1,
            Finding::Status(status) => *self.statuses.entry(status.event.kind.name()).or_default() += 1,
            Finding::DeadLetter(DeadLetter { reason, offset, received_at, .. }) => {
                self.invalid.add(*reason, *offset, Some(*received_at));
            }
            Finding::Snapshot(snapshot) => snapshot.period.into_iter().for_each(|period| self.periods.add(period)),
            Finding::Close(..) | Finding::Probe(_) => {}
        }
    }

    /// With the figures of what was played.
    pub(super) fn close(self, replay: &Replay) -> ClosedAccount {
        let engine = replay.engine();
        let unlisted = replay.survey().map(|survey| survey.codes());
        let codes = unlisted.map(UnlistedCodes::by_frequency).unwrap_or_default();
        ClosedAccount {
            account: self,
            totals: engine.totals(),
            agents: engine.tracker().table().iter().count(),
            logged_in: engine.figures().logged_in,
            codes: codes.into_iter().map(|(code, count)| (code.to_owned(), count)).collect(),
            other_codes: unlisted.map_or(0, UnlistedCodes::other_codes),
            unread: replay.unread().bytes,
            refused: replay.unread().connections,
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
    /// Bytes of connections that the engine had closed.
    unread: u64,
    /// How many connections that were.
    refused: u64,
}

impl ClosedAccount {
    /// Records that are not valid.
    pub(super) const fn invalid(&self) -> u64 {
        self.totals.invalid
    }
}

/// The service would not have read them either: it closes connections that bring nothing valid.
fn unread_line(bytes: u64, connections: u64) -> Option<String> {
    let (s, has) = (plural(connections), if connections == 1 { "was" } else { "were" });
    (bytes > 0).then(|| {
        format!(
            "{bytes} bytes of {connections} connection{s} that {has} closed before: replaced, or without a valid record"
        )
    })
}

/// `3 CHANGED, 1 LOGGED_OUT`, behind their sum.
fn by_name<'a>(counts: impl Iterator<Item = (&'a str, u64)> + Clone) -> String {
    let parts: Vec<String> =
        counts.clone().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    let sum: u64 = counts.map(|(_, count)| count).sum();
    if parts.is_empty() { "0".to_owned() } else { format!("{sum}: {}", parts.join(", ")) }
}

impl fmt::Display for ClosedAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, totals, agents, logged_in, codes, other_codes, unread, refused } = self;
        let Totals { records, invalid, skipped, markers, complete_snapshots, incomplete_snapshots, .. } = totals;
        let impossible_times = &totals.impossible_times;
        let all = records.all() + invalid;
        let (changed, unchanged) = (records.changed, records.unchanged);
        paragraph(f, "records", [format!("{all}: {changed} changed, {unchanged} unchanged, {invalid} invalid")])?;
        paragraph(f, "invalid", account.invalid.lines())?;
        paragraph(f, "unread", unread_line(*unread, *refused))?;
        paragraph(f, "lines", [format!("{skipped} skipped, {markers} marker{}", plural(*markers))])?;
        let period = account.periods.median().map_or(String::new(), |period| format!(", one every {period:?}"));
        let snapshots = format!("{complete_snapshots} complete{period}; {incomplete_snapshots} cut off");
        paragraph(f, "snapshots", [snapshots])?;
        paragraph(f, "agents", [format!("{agents}, {logged_in} of them logged in at the end")])?;
        let causes = Cause::ALL.into_iter().map(|cause| (cause.name(), account.causes[cause as usize]));
        paragraph(f, "events", [by_name(causes)])?;
        let statuses = StatusKind::NAMES.into_iter();
        let statuses = statuses.map(|name| (name, account.statuses.get(name).copied().unwrap_or(0)));
        paragraph(f, "statuses", [by_name(statuses)])?;
        paragraph(f, "codes", codes_line(codes.iter().map(|(code, count)| (code.as_str(), *count)), *other_codes))?;
        let BriefCounts { states, logouts } = totals.absorbed;
        let too_brief = (states + logouts > 0).then(|| {
            format!(
                "{states} state{} of short_states and {logouts} log-out{} within logout_hold: not published",
                plural(states),
                plural(logouts)
            )
        });
        paragraph(f, "too brief", too_brief)?;
        paragraph(f, "times", times_line(*impossible_times))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::Timestamp;
    use crate::tracker::RecordCounts;
    use crate::tracker::event::{SnapshotEvent, StatusEvent};
    use crate::tracker::status::{FeedFigures, FeedStatus};
    use crate::wire::layout::Column;
    use crate::wire::reason::Reason;

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
        ClosedAccount {
            account,
            totals,
            agents: 0,
            logged_in: 0,
            codes: Vec::new(),
            other_codes: 0,
            unread: 0,
            refused: 0,
        }
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
            unread: 312,
            refused: 1,
            ..closed(account, totals)
        };
        let expected = "\
records    20: 3 changed, 14 unchanged, 3 invalid
invalid    2 too_few_fields (fewer fields than the layout has), the first at offset 120, read at 2026-01-05T08:00:00.120Z
           1 missing_value (state is empty), the first at offset 300, read at 2026-01-05T08:00:00.120Z
unread     312 bytes of 1 connection that was closed before: replaced, or without a valid record
lines      2 skipped, 1 marker
snapshots  5 complete, one every 3.12s; 1 cut off
agents     12, 11 of them logged in at the end
events     3: 1 OBSERVED, 2 CHANGED
statuses   3: 2 CONNECTED, 1 DISCONNECTED
codes      records with codes that are not in the table: 7 of \"95\", 1 of \"\\x1b\", 4 of others
too brief  12 states of short_states and 1 log-out within logout_hold: not published
times      2 local times that do not occur: is the time zone right?
";
        assert_eq!(closed.to_string(), expected);
    }
}
