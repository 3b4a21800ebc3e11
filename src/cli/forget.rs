//! `rtalink forget LOGIN`: asks a running service to forget a person, or, where none runs, one of its own.

use std::io::{ErrorKind, Write as _};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::forget_offline;
use super::output::stdout;
use super::remote::{Answer, Target};

/// Forgets a person: nothing of them stays in the store, and the topic `current` gets a tombstone for them.
///
/// Refused while the feed still shows them. With --config it also works while the service does not run: as its user, please, who
/// owns the store. Not reached are the topics of events, dead letters and the audit, which keep what
/// they have for as long as they are configured to, backups, and what consumers have made of it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  rtalink forget 301204 --http 127.0.0.1:9464 --token-file admin.token\n  rtalink forget 301204 --config rtalink.toml"
)]
pub(super) struct Args {
    /// Login id of the person.
    #[arg(value_name = "LOGIN")]
    login_id: String,
    /// In this integration alone; all, without it.
    #[arg(long, value_name = "ID")]
    integration: Option<String>,
    /// On this ACD alone; all, without it. With --integration a tombstone is sent also for somebody who is not known.
    #[arg(long, value_name = "N")]
    acd: Option<u32>,
    #[command(flatten)]
    target: Target,
}

/// A little more than the service takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Args { login_id, integration, acd, target } = args;
    let mut body = json!({ "loginId": login_id });
    if let Some(integration) = integration {
        body["integration"] = integration.as_str().into();
    }
    if let Some(acd) = acd {
        body["acd"] = (*acd).into();
    }
    const REQUEST: &str = "POST /api/v1/forget";
    let body = body.to_string();
    let (http, answer) = target.ask_with(REQUEST, &body, PATIENCE)?;
    let answer = match (answer, target.config()) {
        (Ok(answer), _) => answer,
        (Err(error), Some(file)) if error.kind() == ErrorKind::ConnectionRefused => {
            forget_offline::ask(file, REQUEST, &body, PATIENCE)?
        }
        (Err(error), _) => {
            let hint = "if it does not run, give --config FILE instead";
            return Err(error).with_context(|| format!("no answer from rtalink at {http} (--http ADDR): {hint}"));
        }
    };
    print_answer(&http, login_id, &answer)
}

fn print_answer(http: &str, login_id: &str, Answer { status, body }: &Answer) -> anyhow::Result<()> {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
    let list = |key: &str| answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let places = |key: &str| -> String {
        let place =
            |place: &Value| format!("{} ACD {}", place["integration"].as_str().unwrap_or_default(), place["acd"]);
        list(key).iter().map(place).collect::<Vec<_>>().join(", ")
    };
    let mut out = stdout();
    match status {
        200 => writeln!(out, "{login_id}: forgotten ({})", places("forgotten"))?,
        202 => writeln!(
            out,
            "{login_id}: will be forgotten ({}) while the service runs, also over a restart; {}",
            places("forgotten"),
            text("waitsFor")
        )?,
        409 => bail!("{login_id} ({}): {}", places("inFeed"), text("error")),
        _ if body.is_empty() => bail!("rtalink at {http} answered {status}"),
        _ => bail!("{}", if text("error").is_empty() { body } else { text("error") }),
    }
    out.flush()?;
    let set_aside: Vec<String> = list("setAside").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if set_aside.is_empty() {
        return Ok(());
    }
    bail!(
        "these damaged stores were set aside and still hold {login_id}, or something like it; delete them when nobody needs \
         them: {}",
        set_aside.join(", ")
    )
}
