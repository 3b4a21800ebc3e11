//! `rtalink decode`: raw feed bytes to one JSON line per record.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use bytes::BytesMut;
use serde::Serialize;

use crate::time::Timestamp;
use crate::wire::decode::Decoder;
use crate::wire::escape::escape;
use crate::wire::framing::{Frame, Framer, Piece};
use crate::wire::layout::Framing;
use crate::wire::lines::LineKind;
use crate::wire::plan::Plan;
use crate::wire::reason::Reason;
use crate::wire::record::{RawText, Record};

use super::output::stdout;
use super::{OneIntegration, configuration};

/// Turns raw feed bytes into one JSON line per record, stateless, with all columns.
///
/// A bad record gives {"error": …, "offset": …, "raw": …} and decoding goes on. Which moment a local time is can depend on
/// when it is received, if it occurs twice or has no date: here it counts as received when decoding begins.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  nc -l 7001 | rtalink decode --config rtalink.toml --integration avaya-1")]
pub(super) struct Args {
    #[command(flatten)]
    which: OneIntegration,
    /// File with the bytes; stdin if not given.
    input: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordLine<'a> {
    login_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_name: Option<String>,
    mode: &'static str,
    direction: &'static str,
    raw_state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    aux_reason: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_hold: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    work_split: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acd: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logout_reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skills: Vec<SkillLine>,
    offset: u64,
}

#[derive(Serialize)]
struct SkillLine {
    skill: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<u16>,
}

#[derive(Serialize)]
struct ErrorLine {
    error: String,
    offset: u64,
    raw: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (_, integration, realtime) = configuration::integration(&args.which.config, &args.which.integration)?;
    let plan = Plan::compile(&realtime.layout, &integration.time_zone)?;
    let mut input: Box<dyn Read> = match &args.input {
        Some(path) => Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?),
        None => Box::new(std::io::stdin().lock()),
    };
    let is_fixed_length = matches!(realtime.layout.framing, Framing::Length(_));
    let mut lines = Lines { plan: &plan, decoder: Decoder::default(), received_at: Timestamp::now(), out: stdout() };
    let mut framer = Framer::default();
    let mut buffer = BytesMut::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let count = input.read(&mut chunk).context("cannot read the input")?;
        if count == 0 {
            break;
        }
        buffer.extend_from_slice(&chunk[..count]);
        while let Some(piece) = framer.next(plan.ends(), &mut buffer) {
            match piece {
                Piece::Records(run) => plan.ends().records(&run).try_for_each(|frame| lines.frame(frame))?,
                Piece::TooLong(run) => lines.error(Reason::TooLong, run.offset, &run.bytes)?,
            }
        }
        lines.out.flush()?;
    }
    if let Some(rest) = framer.finish(&mut buffer) {
        let bytes = rest.bytes.strip_suffix(b"\r").unwrap_or(&rest.bytes);
        if is_fixed_length {
            lines.error(Reason::Truncated, rest.offset, bytes)?;
        } else {
            let end = rest.offset + rest.bytes.len() as u64;
            lines.frame(Frame { bytes, offset: rest.offset, end, too_long: false })?;
        }
    }
    lines.out.flush()?;
    Ok(())
}

struct Lines<'a, W> {
    plan: &'a Plan,
    decoder: Decoder,
    received_at: Timestamp,
    out: W,
}

impl<W: Write> Lines<'_, W> {
    fn frame(&mut self, frame: Frame<'_>) -> anyhow::Result<()> {
        if frame.too_long {
            return self.error(Reason::TooLong, frame.offset, frame.bytes);
        }
        if self.plan.lines().classify(frame.bytes) != LineKind::Record {
            return Ok(());
        }
        match self.decoder.decode(self.plan, frame.bytes, self.received_at) {
            Ok(decoded) => {
                serde_json::to_writer(&mut self.out, &record_line(&decoded.record, frame.offset))
                    .map_err(std::io::Error::from)?;
                self.out.write_all(b"\n")?;
                Ok(())
            }
            Err(reason) => self.error(reason, frame.offset, frame.bytes),
        }
    }

    fn error(&mut self, reason: Reason, offset: u64, raw: &[u8]) -> anyhow::Result<()> {
        let line = ErrorLine { error: format!("{}: {reason}", reason.label()), offset, raw: escape(raw) };
        serde_json::to_writer(&mut self.out, &line).map_err(std::io::Error::from)?;
        self.out.write_all(b"\n")?;
        Ok(())
    }
}

fn record_line<'a>(record: &Record<'a>, offset: u64) -> RecordLine<'a> {
    let text = |raw: Option<RawText<'_>>| raw.map(|raw| raw.text().into_owned());
    RecordLine {
        login_id: record.login_id,
        agent_name: text(record.name),
        mode: record.mode.name(),
        direction: record.direction.name(),
        raw_state: record.raw_state.text().into_owned(),
        aux_reason: record.aux_reason,
        on_hold: record.on_hold,
        work_split: text(record.work_split),
        extension: text(record.extension),
        duration_seconds: record.times.duration.map(|duration| duration.as_secs()),
        timestamp: record.times.timestamp.map(|at| at.to_string()),
        state_start: record.times.state_start.map(|at| at.to_string()),
        acd: record.acd,
        role: text(record.role),
        location: text(record.location),
        logout_reason: text(record.logout_reason),
        skills: record
            .skills
            .iter()
            .map(|skill| SkillLine { skill: skill.skill.text().into_owned(), level: skill.level })
            .collect(),
        offset,
    }
}
