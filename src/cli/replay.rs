//! `rtalink replay`: a capture through decode, track and map, offline and deterministic.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::ArgGroup;

use crate::config::mapping as mapping_files;
use crate::config::model::{Format, Integration, PrivacyConfig, Realtime};
use crate::engine::replay::Replay;
use crate::engine::{Engine, Finding};
use crate::kafka::encode::Encoder;
use crate::mapping::tables::MappingTables;
use crate::time::Timestamp;
use crate::tracker::settings::{FeedMode, SnapshotEnd};
use crate::wire::plan::Plan;

use super::account::Account;
use super::agent_report::AgentReport;
use super::capture_lines;
use super::compare::{self, Comparison};
use super::layout_choice::{self, FeedOptions, LayoutChoice};
use super::output::stdout;
use super::summary::{self, Summary, Window};
use super::trace::Trace;

/// Plays a capture through decode, track and map, offline: one JSON line per agent event.
///
/// Deterministic: timers run on the capture's time, and the mapping has version 1. What was read, and what became of it, is
/// told on stderr. Without a configuration nobody is mapped, and what it would say of the feed can be given: --acd, --time-zone,
/// --mode, --snapshot-end.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("which").args(["integration", "layout", "layout_file"]).required(true).multiple(true),
    after_help = "Example:\n  rtalink replay --config rtalink.toml --integration avaya-1 monday.capture\n  rtalink replay --layout-file acme.toml --trace --agent 301204 monday.capture\n  rtalink replay --layout-file acme.toml --summary --from 2026-01-05T08:00 --to 2026-01-05T09:00 --compare report.csv monday.capture"
)]
pub(super) struct Args {
    #[command(flatten)]
    which: LayoutChoice,
    /// The capture; - for stdin.
    capture: PathBuf,
    /// Without an integration: the ACD number in events; 1 unless given.
    #[arg(long, value_name = "N", conflicts_with = "integration")]
    acd: Option<u32>,
    /// Without an integration: the IANA zone of local times in the feed; UTC unless given.
    #[arg(long, value_name = "ZONE", conflicts_with = "integration", value_parser = layout_choice::time_zone)]
    time_zone: Option<String>,
    /// Without an integration: snapshot, delta or event; snapshot unless given.
    #[arg(long, value_name = "MODE", conflicts_with = "integration", value_parser = layout_choice::mode)]
    mode: Option<FeedMode>,
    /// Without an integration: repeat, idle or marker; unless given, marker if the layout has one, idle if it has one row per agent
    /// and skill, else repeat.
    #[arg(long, value_name = "END", conflicts_with = "integration", value_parser = layout_choice::snapshot_end)]
    snapshot_end: Option<SnapshotEnd>,
    /// Print minutes per agent, mode and reason instead of events.
    #[arg(long)]
    summary: bool,
    /// With --summary: time from then on counts, not from when a state began. RFC 3339, or local as in 2026-01-05T08:00.
    #[arg(long, value_name = "TIME", requires = "summary")]
    from: Option<String>,
    /// With --summary: time until then counts.
    #[arg(long, value_name = "TIME", requires = "summary")]
    to: Option<String>,
    /// With --summary: print the minutes beside those of a CMS agent report of the same time, a CSV file with login ids.
    #[arg(long, value_name = "FILE", requires = "summary")]
    compare: Option<PathBuf>,
    /// Print feed statuses too, among the events: lines with a `kind`.
    #[arg(long, conflicts_with = "summary")]
    statuses: bool,
    /// Print what came in among what came out of it: records, ends of snapshots, feed statuses and events.
    #[arg(long, conflicts_with_all = ["summary", "statuses"])]
    trace: bool,
    /// With --trace: only the records and events of this agent.
    #[arg(long, value_name = "LOGIN", requires = "trace")]
    agent: Option<String>,
    /// Exit with 1 if a record is invalid.
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let options = FeedOptions {
        acd: args.acd,
        time_zone: args.time_zone.clone(),
        mode: args.mode,
        snapshot_end: args.snapshot_end,
    };
    let (config, integration, realtime) = args.which.feed(&options)?;
    let mut replay = replay(&config.privacy, &integration, &realtime)?.with_survey();
    if args.trace {
        replay = replay.with_trace();
    }
    let report = args.compare.as_deref().map(compare::read).transpose()?;
    let window = args.window(&integration.time_zone)?;
    let entries = capture_lines::entries(&args.capture, realtime.layout.encoding)?;
    let mut sink = Sink {
        encoder: Encoder::new(Arc::clone(&integration.id), Format::Json),
        summary: args.summary.then(|| Summary::new(window, report.is_some())),
        report,
        statuses: args.statuses,
        trace: args.trace.then(|| Trace::new(Arc::clone(replay.plan()), args.agent.clone())),
        account: Account::default(),
        out: stdout(),
    };
    let mut findings = Vec::new();
    let mut last = None;
    for entry in entries {
        let entry = entry?;
        last = last.max(Some(entry.at));
        if let Some(summary) = &mut sink.summary {
            summary.line(entry.at);
        }
        replay.play(&entry, &mut findings);
        sink.put(&mut findings, &mut replay)?;
    }
    replay.finish(&mut findings);
    sink.put(&mut findings, &mut replay)?;
    let account = sink.finish(last)?.close(&replay);
    eprint!("{account}");
    match account.invalid() {
        invalid @ 1.. if args.strict => bail!("{invalid} invalid record(s), and --strict is given"),
        _ => Ok(()),
    }
}

impl Args {
    /// What --from and --to say; local times are those of the zone.
    fn window(&self, time_zone: &str) -> anyhow::Result<Window> {
        let instant = |text: &String| instant(text, time_zone);
        let window = Window {
            from: self.from.as_ref().map(instant).transpose().context("--from")?,
            to: self.to.as_ref().map(instant).transpose().context("--to")?,
        };
        if window.from.zip(window.to).is_some_and(|(from, to)| from >= to) {
            bail!("--from is not before --to: nothing lies between");
        }
        Ok(window)
    }
}

/// A point in time, with an offset or without.
fn instant(text: &str, time_zone: &str) -> anyhow::Result<Timestamp> {
    if let Ok(at) = Timestamp::parse_rfc3339(text) {
        return Ok(at);
    }
    let local = text.parse::<jiff::civil::DateTime>().and_then(|local| local.in_tz(time_zone));
    let local = local.with_context(|| {
        format!("{text:?} is no time: expected 2026-01-05T08:00:00Z, or 2026-01-05T08:00 in the zone {time_zone}")
    })?;
    Ok(Timestamp::from_millis(local.timestamp().as_millisecond()))
}

/// An engine for the integration, with nothing known.
pub(super) fn replay(
    privacy: &PrivacyConfig,
    integration: &Integration,
    realtime: &Realtime,
) -> anyhow::Result<Replay> {
    let plan = Plan::compile(&privacy.layout(&realtime.layout), &integration.time_zone)?;
    let tables = mapping_files::read(&integration.mapping).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", told.join("\n"))
    })?;
    let tables = Arc::new(MappingTables { version: 1, ..privacy.tables(tables) });
    let engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), tables);
    Ok(Replay::new(engine, plan, integration.settings.thresholds.snapshot_idle))
}

struct Sink<W> {
    encoder: Encoder,
    summary: Option<Summary>,
    /// To compare the summary with.
    report: Option<AgentReport>,
    statuses: bool,
    trace: Option<Trace>,
    account: Account,
    out: W,
}

impl<W: Write> Sink<W> {
    fn put(&mut self, findings: &mut Vec<Finding>, replay: &mut Replay) -> anyhow::Result<()> {
        findings.iter().for_each(|finding| self.account.add(finding));
        if let Some(trace) = &mut self.trace {
            return trace.write(replay.take_trace(), findings, &mut self.encoder, &mut self.out);
        }
        for finding in findings.drain(..) {
            let message = match (finding, &mut self.summary) {
                (Finding::Event(event, _), Some(summary)) => {
                    summary.add(&event);
                    continue;
                }
                (Finding::Event(event, annotation), None) => self.encoder.event_message(&event, &annotation, None)?,
                (Finding::Status(status), _) if self.statuses => self.encoder.status_message(&status)?,
                _ => continue,
            };
            self.out.write_all(&message.payload)?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(mut self, end: Option<Timestamp>) -> anyhow::Result<Account> {
        if let (Some(summary), Some(end)) = (self.summary, end) {
            let begin = summary.begin();
            let spent = summary.close(end);
            let comparison = self.report.map(|report| Comparison::new(&spent, report));
            match &comparison {
                Some(comparison) => comparison.write(&mut self.out)?,
                None => summary::write(&spent, &mut self.out)?,
            }
            self.out.flush()?;
            comparison.iter().for_each(|comparison| eprint!("{comparison}"));
            summary::before_line(&spent, begin).iter().for_each(|line| eprintln!("before     {line}"));
        }
        self.out.flush()?;
        if let Some(trace) = &self.trace {
            trace.report();
        }
        Ok(self.account)
    }
}
