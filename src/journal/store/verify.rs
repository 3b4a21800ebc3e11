//! Reads everything in a store, to say whether it is intact.
//!
//! More than opening does: all pages, all checksums, positions without holes, and that every content is the message that
//! it should be, with as many messages as its row says.

use std::path::Path;

use prost::Message as _;
use rusqlite::Connection;

use crate::contract::store::{AgentMemory, Batch, FeedMemory};

use super::error::StoreError;
use super::inspect::{InspectError, ReadOnly};
use super::reader::JournalRow;
use super::rows::IntegrationRow;
use super::schema::{self, STEPS};
use super::{database, lock, mapping, meta, reader};

/// Returns what is wrong with the store in `directory`, one finding per line; nothing when it is intact.
///
/// # Errors
/// When there is no store to read.
pub fn verify(directory: &Path) -> Result<Vec<String>, InspectError> {
    let counted = lock::counted_in(directory);
    let opened = match ReadOnly::open(directory) {
        Err(InspectError::Store(error @ StoreError::Corrupt(_))) => return Ok(vec![error.detail().to_owned()]),
        opened => opened?,
    };
    let connection = &opened.connection;
    let mut findings = Findings(Vec::new());
    match pages(connection) {
        Ok(told) => findings.0.extend(told),
        Err(error) => findings.0.push(error.detail().to_owned()),
    }
    findings.check(schema::check_tables(connection, STEPS));
    findings.check(mapping::check(connection));
    findings.check(mapping::least_version(connection).map(drop));
    let id = meta::require::<String>(connection, meta::ID);
    let commits = meta::require::<u64>(connection, meta::COMMITS);
    if let (Ok(id), Ok(commits), Some(counted)) = (&id, &commits, counted)
        && *id == counted.id.to_string()
        && *commits < counted.commits
    {
        findings.0.push(format!("{commits} commits are there, the lock file counts {}", counted.commits));
    }
    findings.check(id.map(drop));
    findings.check(commits.map(drop));
    match IntegrationRow::all(connection) {
        Ok(rows) => rows.iter().for_each(|row| integration(connection, row, &mut findings)),
        Err(error) => findings.0.push(error.detail().to_owned()),
    }
    findings.check(strangers(connection));
    Ok(findings.0)
}

struct Findings(Vec<String>);

impl Findings {
    fn check(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.0.push(error.detail().to_owned());
        }
    }
}

fn pages(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare("PRAGMA integrity_check(100)")?;
    let told = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(told.into_iter().filter(|line| line != "ok").map(|line| line.replace('\n', " ")).collect())
}

fn integration(connection: &Connection, row: &IntegrationRow, findings: &mut Findings) {
    let IntegrationRow { id, number, .. } = row;
    findings.check(row.check_journal(connection));
    if let Err(error) = FeedMemory::decode(&*row.feed) {
        findings.0.push(format!("integration {id}: what is remembered of its feed is no FeedMemory: {error}"));
    }
    let mut told = Vec::new();
    let agents = database::agents(connection, *number, &mut |acd, login_id, memory| {
        match AgentMemory::decode(memory) {
            Ok(memory) if i64::from(memory.acd) == acd && memory.login_id == login_id => {}
            Ok(memory) => told.push(format!(
                "integration {id}: the row of an agent of ACD {acd} remembers one of ACD {}, or another login id",
                memory.acd
            )),
            Err(error) => told.push(format!("integration {id}: a row of ACD {acd} is no AgentMemory: {error}")),
        };
    });
    findings.check(agents);
    let mut end = None;
    let journal = reader::visit(connection, *number, 0, &mut |entry| {
        told.extend(content(id, &entry));
        // Positions that are no longer needed may be skipped.
        let done = row.acknowledged_to.max(row.covered_to);
        if let Some(end) = end.filter(|&end| end < entry.first && entry.first > done) {
            told.push(format!("integration {id}: positions {end} to {} are missing", entry.first - 1));
        }
        end = Some(entry.end());
        true
    });
    findings.check(journal);
    findings.0.extend(told);
}

fn content(id: &str, row: &JournalRow) -> Option<String> {
    match Batch::decode(&*row.content) {
        Ok(batch) if batch.messages.len() as u64 == u64::from(row.count) => None,
        Ok(batch) => {
            let (found, first, count) = (batch.messages.len(), row.first, row.count);
            Some(format!("integration {id}: the row at position {first} has {found} messages, expected {count}"))
        }
        Err(error) => Some(format!("integration {id}: the row at position {} is no Batch: {error}", row.first)),
    }
}

/// Looks for rows of integrations that do not exist.
fn strangers(connection: &Connection) -> Result<(), StoreError> {
    for table in ["journal", "agent"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE integration NOT IN (SELECT number FROM integration)");
        let count: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if count > 0 {
            return Err(StoreError::Corrupt(format!("table {table} has {count} row(s) of unknown integrations")));
        }
    }
    Ok(())
}
