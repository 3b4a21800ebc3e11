//! `rtalink store`: what is in the local store, and whether it is sound.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::json;

use crate::store::{self, InspectedIntegration, Inspection};
use crate::time::Timestamp;

use super::configuration;
use super::output::stdout;

/// Shows what is in the local store, or checks that it is sound.
///
/// Only reads, and works while the service runs. `inspect` says what waits for Kafka and what is remembered, `verify` reads
/// everything and exits 1 when something is wrong.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  rtalink store inspect --config rtalink.toml\n  rtalink store verify --directory data"
)]
pub(super) struct Args {
    /// What to do.
    action: Action,
    /// Configuration file, for its `store.directory`.
    #[arg(long, value_name = "FILE", required_unless_present = "directory", conflicts_with = "directory")]
    config: Option<PathBuf>,
    /// The store directory, without a configuration.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// What waits for Kafka, and what is remembered
    Inspect,
    /// Reads everything and says whether it is sound
    Verify,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let directory = match (&args.directory, &args.config) {
        (Some(directory), _) => directory.clone(),
        (None, Some(config)) => configuration::valid(config)?.store.directory,
        (None, None) => bail!("expected --config or --directory"),
    };
    let mut out = stdout();
    let result = match args.action {
        Action::Inspect => {
            let found = store::inspect(&directory)?;
            let text = if args.json { as_json(&found) } else { as_text(&found, Timestamp::now()) };
            writeln!(out, "{text}").map_err(Into::into)
        }
        Action::Verify => verify(args, &directory, &mut out),
    };
    out.flush()?;
    result
}

fn verify(args: &Args, directory: &std::path::Path, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let findings = store::verify(directory)?;
    if args.json {
        writeln!(out, "{}", json!({ "sound": findings.is_empty(), "findings": findings }))?;
    } else {
        findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))?;
    }
    let place = directory.display();
    if !findings.is_empty() {
        bail!(
            "{place}: {} finding(s): keep a copy of the directory, check the disk, and restart the service: it sets aside what \
             is damaged and recovers from Kafka",
            findings.len()
        );
    }
    if !args.json {
        writeln!(out, "{place}: sound").context("cannot write")?;
    }
    Ok(())
}

fn as_json(found: &Inspection) -> String {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let integration = |row: &InspectedIntegration| {
        json!({
            "id": row.id,
            "number": row.number,
            "entries": row.entries,
            "events": row.events,
            "bytes": row.bytes,
            "oldestAt": time(row.oldest_at),
            "first": row.first,
            "next": row.next,
            "acknowledgedTo": row.acknowledged_to,
            "coveredTo": row.covered_to,
            "checkpointAt": time(row.checkpoint_at),
            "agents": row.agents,
            "heldAt": row.held_at,
            "recovered": row.recovered,
        })
    };
    let files: serde_json::Map<_, _> = found.files.iter().map(|(name, bytes)| (name.clone(), json!(bytes))).collect();
    json!({
        "schemaVersion": found.schema_version,
        "id": found.id,
        "commits": found.commits,
        "lostCommits": found.lost_commits,
        "openedAt": found.opened_at,
        "isOpen": found.is_open,
        "pid": found.pid,
        "files": files,
        "setAside": found.set_aside.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "integrations": found.integrations.iter().map(integration).collect::<Vec<_>>(),
    })
    .to_string()
}

fn as_text(found: &Inspection, now: Timestamp) -> String {
    let mut lines = vec![
        format!("store     {}, schema version {}, {} commits", found.id, found.schema_version, found.commits),
        match (found.is_open, found.pid) {
            (true, Some(pid)) => format!("open      by process {pid}"),
            (true, None) => "open      by a process".to_owned(),
            (false, _) => "open      no".to_owned(),
        },
    ];
    if found.lost_commits > 0 {
        lines.push(format!("lost      {} commits: the next start recovers agents from Kafka", found.lost_commits));
    }
    lines.extend(found.files.iter().map(|(name, size)| format!("file      {name:<16} {}", bytes(*size))));
    lines.extend(found.set_aside.iter().map(|path| format!("set aside {}", path.display())));
    for row in &found.integrations {
        lines.push(String::new());
        lines.push(row.id.clone());
        lines.extend(integration(row, now));
    }
    if found.integrations.is_empty() {
        lines.push("no integration yet".to_owned());
    }
    lines.join("\n")
}

fn integration(row: &InspectedIntegration, now: Timestamp) -> Vec<String> {
    let past = |at: Timestamp| format!("{at}, {} ago", age(at, now));
    let range =
        row.first.map_or_else(|| "none".to_owned(), |first| format!("{first} to {}", row.next.saturating_sub(1)));
    vec![
        format!("  journal          {} entries, {} events, {}", row.entries, row.events, bytes(row.bytes)),
        format!("  oldest entry     {}", row.oldest_at.map_or_else(|| "none".to_owned(), past)),
        format!("  positions        {range}, next {}", row.next),
        format!("  acknowledged to  {}", row.acknowledged_to),
        format!(
            "  checkpoint       {}{}",
            row.covered_to,
            row.checkpoint_at.map_or_else(|| ", never written".to_owned(), |at| format!(", {}", past(at)))
        ),
        format!("  agents           {}{}", row.agents, if row.recovered { "" } else { ", not yet recovered" }),
        format!(
            "  held             {}",
            row.held_at.map_or_else(|| "no".to_owned(), |at| format!("from position {at}"))
        ),
    ]
}

fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(at).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn bytes(count: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", count / unit, count % unit * 10 / unit);
    match count {
        0..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{} KiB", tenths(1_024)),
        1_048_576..1_073_741_824 => format!("{} MiB", tenths(1_048_576)),
        _ => format!("{} GiB", tenths(1_073_741_824)),
    }
}
