//! `rtalink replay`: a capture through decode, track and map, offline and deterministic.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::mapping as mapping_files;
use crate::config::model::{Format, Integration, PrivacyConfig, Realtime};
use crate::engine::replay::Replay;
use crate::engine::{Engine, Finding};
use crate::kafka::encode::Encoder;
use crate::mapping::tables::MappingTables;
use crate::time::Timestamp;
use crate::wire::plan::Plan;

use super::account::Account;
use super::output::stdout;
use super::summary::Summary;
use super::{OneIntegration, capture_lines, configuration};

/// Plays a capture through decode, track and map, offline: one JSON line per agent event.
///
/// Deterministic: timers run on the capture's time, and the mapping has version 1. What was read, and what became of it, is
/// told on stderr.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  rtalink replay --config rtalink.toml --integration avaya-1 monday.capture")]
pub(super) struct Args {
    #[command(flatten)]
    which: OneIntegration,
    /// The capture.
    capture: PathBuf,
    /// Print minutes per agent, mode and reason instead of events.
    #[arg(long)]
    summary: bool,
    /// Print feed statuses too, among the events: lines with a `kind`.
    #[arg(long, conflicts_with = "summary")]
    statuses: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (config, integration, realtime) = configuration::integration(&args.which.config, &args.which.integration)?;
    let mut replay = replay(&config.privacy, &integration, &realtime)?.with_survey();
    let encoder = Encoder::new(Arc::clone(&integration.id), Format::Json);
    let entries = capture_lines::entries(&args.capture, realtime.layout.encoding)?;
    let mut sink = Sink {
        encoder,
        summary: args.summary.then(Summary::default),
        statuses: args.statuses,
        account: Account::default(),
        out: stdout(),
    };
    let mut findings = Vec::new();
    let mut last = None;
    for entry in entries {
        let entry = entry?;
        last = last.max(Some(entry.at));
        replay.play(&entry, &mut findings);
        sink.put(&mut findings)?;
    }
    replay.finish(&mut findings);
    sink.put(&mut findings)?;
    let account = sink.finish(last)?;
    eprint!("{}", account.close(&replay));
    Ok(())
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
    statuses: bool,
    account: Account,
    out: W,
}

impl<W: Write> Sink<W> {
    fn put(&mut self, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
        for finding in findings.drain(..) {
            self.account.add(&finding);
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
            summary.write(end, &mut self.out)?;
        }
        self.out.flush()?;
        Ok(self.account)
    }
}
