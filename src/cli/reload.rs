//! `rtalink reload`: asks a running service to read its configuration and its mapping files again.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::output::stdout;
use super::remote::{Answer, Target};

/// How long it may take: the service gives up waiting sooner.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads the configuration and the mapping files of a running service again, as SIGHUP does, and says what has changed.
///
/// Exits 1 if that was refused, with the reasons: then nothing at all has changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  rtalink reload --http 127.0.0.1:9464")]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (http, answer) = args.target.ask("POST /api/v1/reload", PATIENCE)?;
    let Answer { status, body } = answer.with_context(|| format!("no answer from rtalink at {http} (--http ADDR)"))?;
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    for warning in texts(&answer, "warnings") {
        eprintln!("{warning}");
    }
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
    match status {
        200 => {
            let mut out = stdout();
            for line in changes(&answer) {
                writeln!(out, "{line}")?;
            }
            out.flush()?;
            Ok(())
        }
        202 => bail!("{}", text("waitsFor")),
        422 => {
            let problems: Vec<&str> = texts(&answer, "problems").collect();
            bail!("refused, the running configuration stays in force\n{}", problems.join("\n"))
        }
        _ if text("error").is_empty() => bail!("rtalink at {http} answered {status}"),
        _ => bail!("{}", text("error")),
    }
}

fn texts<'a>(answer: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    answer.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// What has changed, in lines for people.
fn changes(answer: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for integration in answer.get("integrations").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| integration.get(key).and_then(Value::as_str).unwrap_or_default();
        let keys: Vec<&str> = texts(integration, "keys").collect();
        let keys = if keys.is_empty() { String::new() } else { format!(": {}", keys.join(", ")) };
        let (id, what) = (text("integration"), text("change"));
        lines.push(format!("{id}: {what}{keys}"));
        let Some(mapping) = integration.get("mapping") else { continue };
        let number = |of: &Value, key: &str| of.get(key).and_then(Value::as_u64).unwrap_or_default();
        let versions = format!("version {}, before {}", number(mapping, "version"), number(mapping, "versionBefore"));
        let figures = ["users", "activities", "names"].map(|list| {
            let difference = mapping.get(list).unwrap_or(&Value::Null);
            let [added, removed, changed] = ["added", "removed", "changed"].map(|key| number(difference, key));
            if added + removed + changed == 0 {
                String::new()
            } else {
                format!("; {list} +{added} -{removed} ~{changed}")
            }
        });
        lines.push(format!("{id}: mapping {versions}{}", figures.concat()));
    }
    let keys: Vec<&str> = texts(answer, "needsRestart").collect();
    if !keys.is_empty() {
        lines.push(format!("waits for a restart: {}", keys.join(", ")));
    }
    if lines.is_empty() {
        lines.push("nothing has changed".to_owned());
    }
    lines
}
