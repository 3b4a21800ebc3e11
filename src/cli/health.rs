//! `rtalink health`: whether a running service is well, for health checks of containers and for scripts.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::output::stdout;
use super::positive_duration;
use super::remote::{Answer, Target};

/// Fields of the answer of `/health/ready`, each with its name for people and what it says when nothing is missing.
const PARTS: [(&str, &str, &[&str]); 3] = [
    ("agentTable", "agent table", &["complete"]),
    ("listeners", "listeners", &["bound"]),
    ("store", "store", &["writable", "opened", "in memory, as configured"]),
];

/// Asks a running service whether it is ready: prints `ready` and exits 0, or says what is missing and exits 1.
///
/// Ready means that CMS can dial in and that what it sends is kept; an outage of Kafka does not count.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  rtalink health --http 127.0.0.1:9464 --timeout 3s")]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Only whether the process answers.
    #[arg(long)]
    live: bool,
    /// How long the answer may take.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = positive_duration)]
    timeout: Duration,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (path, well) = if args.live { ("/health/live", "live") } else { ("/health/ready", "ready") };
    let (address, answer) = args.target.ask(&format!("GET {path}"), args.timeout)?;
    let Answer { status, body } = answer.with_context(|| format!("not {well}: no answer from rtalink at {address}"))?;
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    // Somebody else may have the port.
    let Some(said) = answer.get("status").and_then(Value::as_str) else {
        bail!("not {well}: what answers at {address} is not rtalink (status {status})");
    };
    if status == 200 && said == well {
        writeln!(stdout(), "{well}")?;
        return Ok(());
    }
    let missing = missing(&answer);
    if missing.is_empty() {
        bail!("not {well}: rtalink at {address} says {said:?} (status {status})");
    }
    bail!("not {well}: {missing}")
}

/// What is not as it has to be, in one line.
fn missing(answer: &Value) -> String {
    let kafka = answer.pointer("/kafka/waitingFor").and_then(Value::as_str);
    let awaited = answer.get("waitsFor").and_then(Value::as_str).map(|awaited| {
        let why = kafka.map(|why| format!(" ({why})")).unwrap_or_default();
        format!("waits for {awaited}{why}")
    });
    let parts = PARTS.iter().filter_map(|(field, name, good)| {
        let said = answer.get(field)?.as_str()?;
        let why = answer.get(format!("{field}Error")).and_then(Value::as_str);
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        (!good.contains(&said)).then(|| format!("{name}: {said}{why}"))
    });
    parts.chain(awaited).collect::<Vec<_>>().join("; ").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let cases = [
            (
                json!({ "agentTable": "being recovered", "listeners": "waiting for the agent table", "store": "opened" }),
                "agent table: being recovered; listeners: waiting for the agent table",
            ),
            (
                json!({ "agentTable": "complete", "listeners": "bound", "store": "no", "storeError": "the disk is\nfull" }),
                "store: no (the disk is full)",
            ),
            (
                json!({ "agentTable": "being recovered", "waitsFor": "Kafka", "kafka": { "waitingFor": "no\nbroker" } }),
                "agent table: being recovered; waits for Kafka (no broker)",
            ),
            (json!({ "waitsFor": "Kafka", "kafka": {} }), "waits for Kafka"),
        ];
        for (answer, expected) in cases {
            assert_eq!(missing(&answer), expected);
        }
    }
}
