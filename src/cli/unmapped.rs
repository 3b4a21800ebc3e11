//! `rtalink unmapped`: the users and activities that a running service cannot map, as rows for the mapping files.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::mapping::files::{ACTIVITIES_HEADER, USERS_HEADER};

use super::output::stdout;
use super::remote::{Answer, Target};

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Prints the users and activities that nobody has mapped, with rows of the mapping files that were perhaps meant for them.
///
/// A row is near where it differs only in case, in blanks or in leading zeros, which spreadsheets drop. With `--csv` it prints
/// rows for the mapping files: the ids of employees and activities are still to be filled in, except where a near row has them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  rtalink unmapped --http 127.0.0.1:9464\n  rtalink unmapped --csv=users --integration avaya-1 >> mapping/users.csv"
)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Only this integration.
    #[arg(long, value_name = "ID")]
    integration: Option<String>,
    /// Rows for the mapping files, separated by commas: both lists with their headers, or one without, ready to append.
    #[arg(long, value_name = "LIST", num_args = 0..=1, require_equals = true, default_missing_value = "both")]
    csv: Option<Lists>,
}

/// What `--csv` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Lists {
    /// Both, each under its header.
    Both,
    /// Rows of a users file.
    Users,
    /// Rows of an activities file.
    Activities,
}

/// The two lists, with the names of their fields.
struct List {
    entries: &'static str,
    key: &'static str,
    id: &'static str,
    name: &'static str,
    header: [&'static str; 3],
    one: &'static str,
}

const USERS: List = List {
    entries: "users",
    key: "externalUser",
    id: "employeeId",
    name: "employeeName",
    header: USERS_HEADER,
    one: "user",
};

const ACTIVITIES: List = List {
    entries: "activities",
    key: "externalActivity",
    id: "activityId",
    name: "activityName",
    header: ACTIVITIES_HEADER,
    one: "activity",
};

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (http, answer) = args.target.ask("GET /api/v1/unmapped", PATIENCE)?;
    let Answer { status, body } = answer.with_context(|| format!("no answer from rtalink at {http} (--http ADDR)"))?;
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    if status != 200 {
        let error = answer.get("error").and_then(Value::as_str).map_or(body.clone(), str::to_owned);
        bail!("rtalink at {http} answered {status}: {error}");
    }
    let all = answer.get("integrations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let id = |one: &Value| text(one, "integration").to_owned();
    let wanted: Vec<&Value> =
        all.iter().filter(|one| args.integration.as_ref().is_none_or(|wanted| *wanted == id(one))).collect();
    if let (Some(wanted_id), true) = (&args.integration, wanted.is_empty()) {
        let known: Vec<String> = all.iter().map(id).collect();
        bail!("no integration {wanted_id:?}: expected one of {}", known.join(", "));
    }
    let mut out = stdout();
    match args.csv {
        None => wanted.iter().try_for_each(|one| print(one, &mut out))?,
        Some(lists) => {
            if wanted.len() > 1 {
                let known: Vec<String> = all.iter().map(id).collect();
                bail!("each integration has its own mapping: give --integration, one of {}", known.join(", "));
            }
            wanted.iter().try_for_each(|one| print_csv(one, lists, &mut out))?;
        }
    }
    out.flush()?;
    Ok(())
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn entries<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// For people.
fn print(integration: &Value, out: &mut impl Write) -> io::Result<()> {
    let id = text(integration, "integration");
    let [users, activities] = [&USERS, &ACTIVITIES].map(|list| entries(integration, list.entries).len());
    writeln!(out, "{id}: {users} unmapped user(s), {activities} unmapped activity(ies)")?;
    for list in [&USERS, &ACTIVITIES] {
        for entry in entries(integration, list.entries) {
            let name = Some(text(entry, "name")).filter(|name| !name.is_empty());
            let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
            let (key, count) = (text(entry, list.key), entry.get("count").and_then(Value::as_u64).unwrap_or_default());
            let shared = match text(entry, "reason") {
                "ambiguous" => "; two logins share the name: nobody can tell whose row it is",
                _ => "",
            };
            writeln!(out, "  {} {key}{name}: {count} event(s), last {}{shared}", list.one, text(entry, "lastSeen"))?;
            for near in entries(entry, "near") {
                writeln!(out, "    {}", meant(list, key, near))?;
            }
        }
    }
    let not_listed = integration.get("notListed").and_then(Value::as_u64).unwrap_or_default();
    if not_listed > 0 {
        writeln!(out, "  and {not_listed} event(s) of more, which are not listed")?;
    }
    Ok(())
}

/// A row that may have been meant, and what to do.
fn meant(list: &List, key: &str, near: &Value) -> String {
    let found = text(near, list.key);
    let differs: Vec<&str> = entries(near, "differsIn").iter().filter_map(Value::as_str).collect();
    let row = format!("the list has {found:?} for {}", named(text(near, list.id), text(near, list.name)));
    let fix = if key == found {
        return format!("the list has it for {}{}", named(text(near, list.id), text(near, list.name)), scope(near));
    } else if is_in_feed(near) {
        "which is somebody in the feed: probably another person".to_owned()
    } else if differs == ["zeros"] && key.len() > found.len() {
        format!("without its zeros: format the column as text, and write {key:?} there")
    } else {
        format!("which differs in {}: write {key:?} there", differs.join(" and "))
    };
    format!("{row}, {fix}")
}

/// Where and when a row counts.
fn scope(row: &Value) -> String {
    let acd = row.get("acd").and_then(Value::as_u64).map(|acd| format!(" on ACD {acd}"));
    let moment =
        |key: &str, word: &str| Some(text(row, key)).filter(|at| !at.is_empty()).map(|at| format!(" {word} {at}"));
    let scope =
        [acd, moment("validFrom", "from"), moment("validTo", "until")].into_iter().flatten().collect::<String>();
    if scope.is_empty() { scope } else { format!(", but only{scope}") }
}

fn named(id: &str, name: &str) -> String {
    if name.is_empty() { id.to_owned() } else { format!("{id} ({name})") }
}

fn is_in_feed(near: &Value) -> bool {
    near.get("isInFeed").and_then(Value::as_bool).unwrap_or_default()
}

/// For the mapping files. Whose name two logins share has no row.
fn print_csv(integration: &Value, lists: Lists, out: &mut impl Write) -> anyhow::Result<()> {
    for (list, only) in [(&USERS, Lists::Users), (&ACTIVITIES, Lists::Activities)] {
        if lists != Lists::Both && lists != only {
            continue;
        }
        if lists == Lists::Both && only == Lists::Activities {
            writeln!(out)?;
        }
        let mut csv = csv::Writer::from_writer(&mut *out);
        if lists == Lists::Both {
            csv.write_record(list.header)?;
        }
        for entry in entries(integration, list.entries).iter().filter(|entry| text(entry, "reason") != "ambiguous") {
            // A row for another time or ACD would contradict one without.
            let is_meant = |near: &&Value| !is_in_feed(near) && scope(near).is_empty();
            let near: Vec<&Value> = entries(entry, "near").iter().filter(is_meant).collect();
            // Of two that may be meant, nobody knows which.
            let (id, name) = match near.as_slice() {
                [one] => (text(one, list.id), text(one, list.name)),
                _ => ("", text(entry, "name")),
            };
            csv.write_record([text(entry, list.key), id, name])?;
        }
        csv.flush()?;
    }
    Ok(())
}
