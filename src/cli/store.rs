//! `rtalink store`: what is in the local store, and whether it is sound.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::config::model::Config;
use crate::integration::removal::{self, Removed};
use crate::journal::store::{self, InspectedIntegration, Inspection};
use crate::time::Timestamp;

use super::configuration;
use super::output::stdout;

/// Shows what is in the local store, checks that it is sound, or deletes what is left of an integration.
///
/// `inspect` and `verify` only read, and work while the service runs: the one says what waits for Kafka and what is remembered, the
/// other reads everything and exits 1 when something is wrong. `drop ID` deletes what waits and everybody who is remembered of an
/// integration that is not in the configuration any more; the service must not run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  rtalink store inspect --config rtalink.toml\n  rtalink store verify --directory data\n  rtalink store drop avaya-2 --config rtalink.toml"
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

/// Which store is looked at.
#[derive(Debug, clap::Args)]
struct Place {
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

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// What waits for Kafka, and what is remembered
    Inspect(Place),
    /// Reads everything and says whether it is sound
    Verify(Place),
    /// Deletes what is left of an integration that is not in the configuration any more
    Drop(DropArgs),
}

#[derive(Debug, clap::Args)]
struct DropArgs {
    /// Its id
    #[arg(value_name = "ID")]
    id: String,
    /// Configuration file, for the store and for Kafka
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Leaves its people on the topic `current`, for instance because Kafka is gone for good
    #[arg(long)]
    without_tombstones: bool,
}

impl Place {
    /// The directory, and the configuration where it was named by one.
    fn find(&self) -> anyhow::Result<(PathBuf, Option<Config>)> {
        match (&self.directory, &self.config) {
            (Some(directory), _) => Ok((directory.clone(), None)),
            (None, Some(config)) => {
                let config = configuration::valid(config)?;
                Ok((config.store.directory.clone(), Some(config)))
            }
            (None, None) => bail!("expected --config or --directory"),
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut out = stdout();
    let result = match &args.action {
        Action::Inspect(place) => {
            let (directory, config) = place.find()?;
            let found = store::inspect(&directory)?;
            let config = config.as_ref();
            let text = if place.json { as_json(&found, config) } else { as_text(&found, config, Timestamp::now()) };
            writeln!(out, "{text}").map_err(Into::into)
        }
        Action::Verify(place) => verify(place, &place.find()?.0, &mut out),
        Action::Drop(args) => drop_integration(args, &mut out),
    };
    out.flush()?;
    result
}

fn drop_integration(args: &DropArgs, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let DropArgs { id, config, without_tombstones } = args;
    let config = configuration::valid(config)?;
    let removed = removal::remove(&config, id, !without_tombstones)?;
    let Removed { messages, agents, tombstones, is_erased } = removed;
    writeln!(
        out,
        "{id}: dropped, {messages} message(s) that Kafka does not have, {agents} agent(s), {tombstones} tombstone(s) sent"
    )?;
    if !is_erased {
        writeln!(out, "their bytes leave the file when the service has written it anew")?;
    }
    Ok(())
}

/// Whether an integration of the store is in the configuration; unknown without one.
fn is_configured(config: Option<&Config>, id: &str) -> Option<bool> {
    config.map(|config| config.integrations.iter().any(|integration| *integration.id == *id))
}

fn verify(args: &Place, directory: &std::path::Path, out: &mut impl std::io::Write) -> anyhow::Result<()> {
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

fn as_json(found: &Inspection, config: Option<&Config>) -> String {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let integration = |row: &InspectedIntegration| {
        json!({
            "id": row.id,
            "configured": is_configured(config, &row.id),
            "number": row.number.get(),
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
            "heldAt": row.paused_at,
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
        "setAside": found.quarantined.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "integrations": found.integrations.iter().map(integration).collect::<Vec<_>>(),
    })
    .to_string()
}

fn as_text(found: &Inspection, config: Option<&Config>, now: Timestamp) -> String {
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
    lines.extend(found.quarantined.iter().map(|path| format!("set aside {}", path.display())));
    for row in &found.integrations {
        lines.push(String::new());
        let is_removed = is_configured(config, &row.id) == Some(false);
        let note =
            if is_removed { "  not in the configuration: `rtalink store drop` deletes what is left of it" } else { "" };
        lines.push(format!("{}{note}", row.id));
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
            row.paused_at.map_or_else(|| "no".to_owned(), |at| format!("from position {at}"))
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
