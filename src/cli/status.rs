//! `rtalink status`: how a running service is doing, on one screen, and what to do next.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::views::advice::Urgency;
use crate::views::status::Status;

use super::output::stdout;
use super::remote::{Answer, Target};
use super::{status_bundle, status_screen};

/// How long an answer may take: the service gives itself so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Shows how a running service is doing, and says what to do next.
///
/// Exits 0 when that could be shown, whatever it is; with --check 1 where something has to be done now.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rtalink status\n  rtalink status --json | jq .next.advice\n  rtalink status --check\n  rtalink status --bundle rtalink.tar.gz"
)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Prints the document of /api/v1/status instead.
    #[arg(long)]
    json: bool,
    /// Writes an archive (.tar.gz) for somebody who is to help: status, health, metrics, configuration without secrets, the
    /// last lines of the log, and what could not be read. Nobody is named in it.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    bundle: Option<PathBuf>,
    /// Exits 1 where something has to be done now, for scripts and schedulers.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let body = fetched(&args.target, "/api/v1/status")?;
    let status: Status = serde_json::from_str(&body).context("the answer is no status of rtalink")?;
    if let Some(file) = &args.bundle {
        status_bundle::write(&args.target, file, status.clone())?;
        return verdict(args, &status);
    }
    let mut out = stdout();
    if args.json {
        let document: Value = serde_json::from_str(&body)?;
        writeln!(out, "{document:#}")?;
    } else {
        write!(out, "{}", status_screen::screen(&status, shows_colours()))?;
    }
    out.flush()?;
    verdict(args, &status)
}

/// The failure that `--check` asks for.
fn verdict(args: &Args, status: &Status) -> anyhow::Result<()> {
    if args.check && status.next.urgency == Urgency::Now {
        bail!("{}: {}", status.next.state, status.next.advice);
    }
    Ok(())
}

/// Returns the body of an answer that is one.
pub(super) fn fetched(target: &Target, path: &str) -> anyhow::Result<String> {
    let (http, answer) = target.ask(&format!("GET {path}"), PATIENCE)?;
    let Answer { status, body } = answer.with_context(|| {
        format!(
            "no answer from rtalink at {http}: does it run, and is that where `[http]` listens? say where with --http ADDR or \
             --config FILE"
        )
    })?;
    if status == 200 {
        return Ok(body);
    }
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    match (status, answer.get("error").and_then(Value::as_str)) {
        (404, Some(_)) => bail!("rtalink at {http} has no {path}: it is older than this command"),
        (_, Some(error)) => bail!("{error}"),
        _ => bail!("what answers at {http} is not rtalink (status {status})"),
    }
}

/// Whether to show colours: on terminals, not in files, and not for people who do not want them (<https://no-color.org>).
fn shows_colours() -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !is_unwanted
}
