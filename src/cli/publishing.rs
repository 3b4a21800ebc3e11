//! `rtalink pause ID` and `rtalink resume ID`: ask a running service to stop publishing for an integration, or to go on.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::output::stdout;
use super::remote::{Answer, Target};

/// Stops publishing for an integration. Receiving goes on, everything is kept.
///
/// What is missed is published by `rtalink resume`, in order and with its own times. Holds over restarts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  rtalink pause avaya-1 --http 127.0.0.1:9464")]
pub(super) struct PauseArgs {
    #[command(flatten)]
    one: One,
}

/// Goes on publishing for an integration: first what was missed, in order and with its own times.
///
/// Also takes an integration back that another instance publishes for (exactly-once delivery).
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  rtalink resume avaya-1 --http 127.0.0.1:9464")]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    one: One,
}

/// How long it may take: a request waits five seconds for the store.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
struct One {
    /// Id of the integration.
    #[arg(value_name = "ID")]
    integration: String,
    #[command(flatten)]
    target: Target,
}

pub(super) fn pause(args: &PauseArgs) -> anyhow::Result<()> {
    ask(&args.one, "pause")
}

pub(super) fn resume(args: &ResumeArgs) -> anyhow::Result<()> {
    ask(&args.one, "resume")
}

fn ask(one: &One, what: &str) -> anyhow::Result<()> {
    let One { integration, target } = one;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if integration.is_empty() || !integration.bytes().all(is_plain) {
        bail!("{integration:?} is no id of an integration: lower-case letters, digits and hyphens");
    }
    let path = format!("/api/v1/integrations/{integration}/{what}");
    let (http, answer) = target.ask(&format!("POST {path}"), PATIENCE)?;
    let Answer { status, body } = answer.with_context(|| format!("no answer from rtalink at {http} (--http ADDR)"))?;
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let publishing = text("publishing");
    let mut out = stdout();
    match (status, answer.get("changed").and_then(Value::as_bool)) {
        (200, Some(true)) => writeln!(out, "{integration}: {publishing}")?,
        (200, _) => writeln!(out, "{integration}: {publishing}, as it was before")?,
        (202, _) => writeln!(out, "{integration}: {publishing}; not written down yet, the store does not answer")?,
        _ if body.is_empty() => bail!("rtalink at {http} answered {status}"),
        _ => bail!("{}", if text("error").is_empty() { body } else { text("error") }),
    }
    Ok(())
}
