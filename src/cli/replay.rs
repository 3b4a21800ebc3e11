//! `rtalink replay`: a capture through decode, track and map, offline and deterministic.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::config::model::{Format, Integration, Privacy, Realtime};
use crate::feed::capture::Entry;
use crate::mapping::tables::MappingTables;
use crate::pipeline::engine::{Engine, Finding};
use crate::pipeline::mapping_files;
use crate::pipeline::replay::Replay;
use crate::publish::encode::Encoder;
use crate::time::Timestamp;
use crate::wire::encoding::Encoding;
use crate::wire::plan::Plan;

use super::output::stdout;
use super::summary::Summary;
use super::{OneIntegration, configuration};

/// Most bytes of a line of a capture: a read of a connection as base64 takes far less.
pub(super) const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// Plays a capture through decode, track and map, offline: one JSON line per agent event.
///
/// Deterministic: timers run on the capture's time, and the mapping has version 1.
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
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (config, integration, realtime) = configuration::integration(&args.which.config, &args.which.integration)?;
    let mut replay = replay(&config.privacy, &integration, &realtime)?;
    let encoder = Encoder::new(Arc::clone(&integration.id), Format::Json);
    let mut sink = Sink { encoder, summary: args.summary.then(Summary::default), out: stdout() };
    let mut findings = Vec::new();
    let mut last = None;
    for_each_entry(&args.capture, realtime.layout.encoding, |entry| {
        last = last.max(Some(entry.at));
        replay.play(&entry, &mut findings);
        sink.put(&mut findings)
    })?;
    replay.finish(&mut findings);
    sink.put(&mut findings)?;
    sink.finish(last)
}

/// Reads a capture, entry by entry. Empty lines say nothing.
pub(super) fn for_each_entry(
    capture: &Path,
    encoding: Encoding,
    mut take: impl FnMut(Entry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let name = capture.display();
    let file = File::open(capture).with_context(|| format!("cannot read {name}"))?;
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1_usize.. {
        line.clear();
        let read = lines.by_ref().take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut line);
        if read.with_context(|| format!("{name}:{number}: cannot be read"))? == 0 {
            break;
        }
        if line.len() > LONGEST_LINE {
            bail!("{name}:{number}: the line is longer than {} MiB: this is no capture", LONGEST_LINE >> 20);
        }
        let line = std::str::from_utf8(&line).with_context(|| format!("{name}:{number}: the line is not UTF-8"))?;
        if !line.trim().is_empty() {
            take(Entry::parse(line.trim_end(), encoding).with_context(|| format!("{name}:{number}"))?)?;
        }
    }
    Ok(())
}

/// An engine for the integration, with nothing known.
pub(super) fn replay(privacy: &Privacy, integration: &Integration, realtime: &Realtime) -> anyhow::Result<Replay> {
    let plan = Plan::compile(&privacy.layout(&realtime.layout), &integration.time_zone)?;
    let tables = mapping_files::read(&integration.mapping).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", told.join("\n"))
    })?;
    let tables = Arc::new(MappingTables { version: 1, ..privacy.tables(tables) });
    let engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), tables);
    Ok(Replay::new(engine, plan, integration.settings.snapshot_idle))
}

struct Sink<W> {
    encoder: Encoder,
    summary: Option<Summary>,
    out: W,
}

impl<W: Write> Sink<W> {
    fn put(&mut self, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
        for finding in findings.drain(..) {
            let Finding::Event(event, annotation) = finding else { continue };
            if let Some(summary) = &mut self.summary {
                summary.add(&event);
                continue;
            }
            let message = self.encoder.event_message(&event, &annotation, None)?;
            self.out.write_all(&message.payload)?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(mut self, end: Option<Timestamp>) -> anyhow::Result<()> {
        if let (Some(summary), Some(end)) = (self.summary, end) {
            summary.write(end, &mut self.out)?;
        }
        self.out.flush()?;
        Ok(())
    }
}
