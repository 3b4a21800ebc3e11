//! `rtalink status --bundle FILE`: what somebody needs who is to help from afar, as a compressed archive.
//!
//! Nobody is named in it, and no secret is: the service takes both out of its configuration and its log, and what is left of
//! names and of the text of errors is taken out here. Whatever cannot be had, say for the role of a token, is replaced by the
//! reason. The archive is complete when it appears under its name.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::views::advice;
use crate::views::span::size;
use crate::views::status::{IntegrationStatus, Status};

use super::output::stdout;
use super::remote::Target;
use super::status::{PATIENCE, fetched};
use super::status_screen;

const README: &str = "\
How an rtalink was doing, for somebody who is to help. Nobody is named in here, and no secret is:

status.txt          how it was doing, and what to do next
status.json         the same, with all figures (docs/http.md, GET /api/v1/status)
health.json         /health/ready
metrics.txt         /metrics
configuration.toml  file and environment, read last; (withheld) stands for what may be a secret, a name or a path, and patterns
                    are shown by their shape: A and a for letters, 9 for digits
log.txt             the last lines of the log at INFO and above
layouts.json        what came in each layout, and what could not be read of it: counts
versions.json       of the programs and the system

Look into it before you hand it over.
";

/// Stands where the text of an error was: it may name users, hosts and files.
const SEE_LOG: &str = "see log.txt";

/// A file of the archive.
type Part = (&'static str, String);

/// Writes the archive, and says what is in it.
pub(super) fn write(target: &Target, file: &Path, status: Status) -> anyhow::Result<()> {
    let mut parts: Vec<Part> = vec![("README.txt", README.to_owned())];
    let status = without_names(status);
    parts.push(("status.txt", status_screen::screen(&status, false)));
    parts.push(("status.json", format!("{:#}\n", serde_json::to_value(&status)?)));
    let mut missing = Vec::new();
    let mut add = |name: &'static str, got: anyhow::Result<String>| match got {
        Ok(text) => parts.push((name, text)),
        Err(error) => {
            missing.push(format!("{name}: {error:#}"));
            parts.push((name, "could not be had: the command that made this archive said why\n".to_owned()));
        }
    };
    add("health.json", health(target));
    add("metrics.txt", fetched(target, "/metrics"));
    add("configuration.toml", fetched(target, "/api/v1/configuration"));
    add("log.txt", fetched(target, "/api/v1/log").and_then(|body| log(&body)));
    parts.push(("layouts.json", format!("{:#}\n", layouts(&status.integrations))));
    parts.push(("versions.json", format!("{:#}\n", versions(&status))));
    let bytes = archive(&parts).context("the archive cannot be made")?;
    save(file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
    for reason in missing {
        eprintln!("rtalink: warning: not in the archive: {reason}");
    }
    let mut out = stdout();
    writeln!(
        out,
        "{}: {} files, {}. Look into it before you hand it over.",
        file.display(),
        parts.len(),
        size(bytes.len() as u64)
    )?;
    Ok(())
}

/// The status without what people call their integrations, and without the text of errors.
fn without_names(mut status: Status) -> Status {
    if let Some(error) = &mut status.kafka.last_error {
        error.message = format!("{}, {SEE_LOG}", error.kind);
    }
    let hide = |text: &mut Option<String>| {
        if let Some(text) = text {
            SEE_LOG.clone_into(text);
        }
    };
    hide(&mut status.kafka.waiting_for);
    hide(&mut status.store.error);
    for one in &mut status.integrations {
        one.name.clone_from(&one.id);
        hide(&mut one.waiting_for);
    }
    advice::conclude(&mut status);
    status
}

/// The health, whatever it is, without the text of errors.
fn health(target: &Target) -> anyhow::Result<String> {
    let (_, answer) = target.ask("GET /health/ready", PATIENCE)?;
    let mut body: Value = serde_json::from_str(&answer?.body)?;
    let texts = ["/storeError", "/kafka/waitingFor", "/kafka/lastError/message"];
    for text in texts {
        if let Some(value) = body.pointer_mut(text).filter(|value| value.is_string()) {
            *value = SEE_LOG.into();
        }
    }
    Ok(format!("{body:#}\n"))
}

fn log(body: &str) -> anyhow::Result<String> {
    let body: Value = serde_json::from_str(body)?;
    let lines = body["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = match body["earlier"].as_u64() {
        None | Some(0) => String::new(),
        Some(earlier) => format!("({earlier} earlier lines are not kept)\n"),
    };
    for line in lines.iter().filter_map(Value::as_str) {
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

/// What came in each layout, all integrations that have it together.
fn layouts(integrations: &[IntegrationStatus]) -> Value {
    let mut layouts: BTreeMap<&str, Vec<&IntegrationStatus>> = BTreeMap::new();
    for one in integrations.iter().filter(|one| !one.layout.is_empty()) {
        layouts.entry(&one.layout).or_default().push(one);
    }
    let sums = |all: &[&IntegrationStatus], counts_of: fn(&IntegrationStatus) -> &BTreeMap<String, u64>| {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (name, count) in all.iter().flat_map(|one| counts_of(one)) {
            *sums.entry(name.clone()).or_default() += count;
        }
        sums
    };
    let entry = |(name, all): (&str, Vec<&IntegrationStatus>)| {
        let figures = json!({
            "integrations": all.iter().map(|one| &one.id).collect::<Vec<_>>(),
            "records": sums(&all, |one| &one.records),
            "unreadable": sums(&all, |one| &one.unreadable),
            "completeSnapshots": all.iter().map(|one| one.complete_snapshots).sum::<u64>(),
            "incompleteSnapshots": all.iter().map(|one| one.incomplete_snapshots).sum::<u64>(),
        });
        (name.to_owned(), figures)
    };
    Value::Object(layouts.into_iter().map(entry).collect())
}

fn versions(status: &Status) -> Value {
    let of_system = |file: &str| std::fs::read_to_string(file).map(|text| text.trim().to_owned()).unwrap_or_default();
    json!({
        "service": status.versions,
        "command": env!("CARGO_PKG_VERSION"),
        "kernel": of_system("/proc/sys/kernel/osrelease"),
        "architecture": std::env::consts::ARCH,
    })
}

fn archive(parts: &[Part]) -> std::io::Result<Vec<u8>> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(at);
        archive.append_data(&mut header, format!("rtalink-status/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

/// Readable by its owner alone, as temporary files are.
fn save(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.persist(file)?;
    Ok(())
}
