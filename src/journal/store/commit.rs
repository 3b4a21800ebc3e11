//! What a commit does to the tables.
//!
//! The row of each integration that is touched is read once, changed in memory, and written once. Rows of the journal leave
//! in the commit that moves `acknowledged_to` or `covered_to` beyond their end: both must have passed it.
//!
//! Cost: linear in what is written and deleted. Pages that became free beyond a reserve are given back to the file system,
//! at most [`VACUUM_PAGES`] per commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::fail_point;
use crate::time::Timestamp;

use super::error::StoreError;
use super::meta;
use super::rows::{self, IntegrationRow, StoreNumber, signed, unsigned};

/// Free pages that are kept for the next batches: 8 MiB.
const RESERVE_PAGES: i64 = 2_048;
/// Pages given back per commit: 2 MiB.
const VACUUM_PAGES: i64 = 512;

/// Part of a commit.
#[derive(Debug)]
pub enum Write<'a> {
    /// A row for the journal.
    Batch {
        /// Number of the integration.
        integration: StoreNumber,
        /// Position of its first message, at least the integration's `next`.
        first: u64,
        /// Messages in it.
        count: u32,
        /// For its age.
        written_at: Timestamp,
        /// A `rtalink.store.v1.Batch`.
        content: &'a [u8],
    },
    /// Everything below `to` is in Kafka. Never goes back.
    Acknowledged {
        /// Number of the integration.
        integration: StoreNumber,
        /// The position after it.
        to: u64,
    },
    /// How far a source has been read that has rows instead of a feed.
    Source {
        /// Number of the integration.
        integration: StoreNumber,
        /// A `rtalink.store.v1.FeedMemory`.
        memory: &'a [u8],
    },
    /// No row below `to` says anything about agents that is not in the table. Never goes back.
    Covered {
        /// Number of the integration.
        integration: StoreNumber,
        /// The position after them.
        to: u64,
    },
    /// Agents and feed as they are after all messages below `covered_to`.
    Checkpoint {
        /// Number of the integration.
        integration: StoreNumber,
        /// The position after them. Never goes back.
        covered_to: u64,
        /// Added or replaced; others stay.
        agents: &'a [AgentRow],
        /// A `rtalink.store.v1.FeedMemory`.
        feed: &'a [u8],
        /// The table is known to be whole. Once true it stays true.
        recovered: bool,
    },
    /// These agents are removed from the table; it is not an error if one is not in it.
    Forgotten {
        /// Number of the integration.
        integration: StoreNumber,
        /// The agents.
        agents: &'a [AgentKey],
    },
    /// The writes forget somebody: [`super::Store::erase`] is due, also after a restart.
    EraseDue,
    /// The runs that counted the journal's positions, as text of a [`super::Lineage`].
    Runs {
        /// Number of the integration.
        integration: StoreNumber,
        /// The runs.
        runs: &'a str,
    },
    /// Nothing from this position on is published; absent: everything is.
    Paused {
        /// Number of the integration.
        integration: StoreNumber,
        /// The position.
        at: Option<u64>,
    },
}

/// ACD and login id of an agent.
pub type AgentKey = (u32, Arc<str>);

/// What is remembered of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// Its ACD.
    pub acd: u32,
    /// Its login id.
    pub login_id: Arc<str>,
    /// A `rtalink.store.v1.AgentMemory`.
    pub memory: Vec<u8>,
}

/// Room freed by a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// Number of the integration.
    pub integration: StoreNumber,
    /// Bytes of the contents that left the journal.
    pub bytes: u64,
}

#[derive(Default)]
struct Touched {
    rows: BTreeMap<StoreNumber, IntegrationRow>,
}

impl Touched {
    fn row(&mut self, connection: &Connection, number: StoreNumber) -> Result<&mut IntegrationRow, StoreError> {
        use std::collections::btree_map::Entry;
        match self.rows.entry(number) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let found = IntegrationRow::find(connection, number)?;
                let unknown = || StoreError::Other(format!("no integration has the number {number}"));
                Ok(entry.insert(found.ok_or_else(unknown)?))
            }
        }
    }
}

/// Applies `writes` in their order, within a transaction of the caller.
pub(super) fn apply(
    connection: &Connection,
    writes: &[Write<'_>],
    now: Timestamp,
) -> Result<Vec<Released>, StoreError> {
    let mut touched = Touched::default();
    for write in writes {
        match *write {
            Write::Batch { integration, first, count, written_at, content } => {
                let row = touched.row(connection, integration)?;
                append(connection, row, first, count, written_at, content)?;
            }
            Write::Acknowledged { integration, to } => {
                let row = touched.row(connection, integration)?;
                row.acknowledged_to = row.acknowledged_to.max(to);
            }
            Write::Source { integration, memory } => touched.row(connection, integration)?.feed = memory.to_vec(),
            Write::Covered { integration, to } => {
                let row = touched.row(connection, integration)?;
                row.covered_to = row.covered_to.max(to);
            }
            Write::Checkpoint { integration, covered_to, agents, feed, recovered } => {
                let row = touched.row(connection, integration)?;
                row.covered_to = row.covered_to.max(covered_to);
                row.agents += upsert(connection, integration, agents)?;
                fail_point::reach(fail_point::IN_CHECKPOINT);
                row.feed = feed.to_vec();
                row.recovered |= recovered;
                row.checkpoint_at = Some(now);
            }
            Write::Forgotten { integration, agents } => {
                let row = touched.row(connection, integration)?;
                row.agents = row.agents.saturating_sub(remove(connection, integration, agents)?);
            }
            Write::Runs { integration, runs } => meta::set(connection, &meta::runs(integration), runs)?,
            Write::EraseDue => meta::set(connection, meta::ERASE, meta::DUE)?,
            Write::Paused { integration, at } => touched.row(connection, integration)?.paused_at = at,
        }
    }
    let mut released = Vec::new();
    for (&integration, row) in &mut touched.rows {
        row.next = row.next.max(row.acknowledged_to).max(row.covered_to);
        let bytes = delete(connection, row)?;
        if bytes > 0 {
            released.push(Released { integration, bytes });
        }
        row.save(connection)?;
    }
    give_back(connection)?;
    Ok(released)
}

fn append(
    connection: &Connection,
    row: &mut IntegrationRow,
    first: u64,
    count: u32,
    written_at: Timestamp,
    content: &[u8],
) -> Result<(), StoreError> {
    let next = row.next.max(row.acknowledged_to).max(row.covered_to);
    if first < next || count == 0 {
        let id = &row.id;
        let why = format!("integration {id}: a batch of {count} at {first}, expected some at {next} or later");
        return Err(StoreError::Other(why));
    }
    let (number, first, at) = (row.number, signed(first)?, written_at.as_micros());
    let checksum = rows::of_journal(number, first, count.into(), at, content);
    let mut insert = connection.prepare_cached(
        "INSERT INTO journal (integration, first, count, written_at, checksum, content) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    insert.execute(params![number, first, count, at, checksum, content])?;
    row.next = unsigned(first.saturating_add(count.into()))?;
    row.entries += 1;
    row.bytes += content.len() as u64;
    Ok(())
}

/// Returns how many of the agents are new.
fn upsert(connection: &Connection, integration: StoreNumber, agents: &[AgentRow]) -> Result<u64, StoreError> {
    let mut update = connection.prepare_cached(
        "UPDATE agent SET checksum = ?4, memory = ?5 WHERE integration = ?1 AND acd = ?2 AND login_id = ?3",
    )?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO agent (integration, acd, login_id, checksum, memory) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut added = 0;
    for agent in agents {
        let checksum = rows::of_agent(integration, agent.acd.into(), &agent.login_id, &agent.memory);
        if update.execute(params![integration, agent.acd, &*agent.login_id, checksum, agent.memory])? == 0 {
            insert.execute(params![integration, agent.acd, &*agent.login_id, checksum, agent.memory])?;
            added += 1;
        }
    }
    Ok(added)
}

/// Returns how many of the agents were there.
fn remove(connection: &Connection, integration: StoreNumber, agents: &[AgentKey]) -> Result<u64, StoreError> {
    if agents.is_empty() {
        return Ok(0);
    }
    let mut delete =
        connection.prepare_cached("DELETE FROM agent WHERE integration = ?1 AND acd = ?2 AND login_id = ?3")?;
    let mut removed = 0;
    for (acd, login_id) in agents {
        removed += delete.execute(params![integration, acd, &**login_id])? as u64;
    }
    Ok(removed)
}

/// Deletes what is no longer needed; returns the bytes of its contents.
fn delete(connection: &Connection, row: &mut IntegrationRow) -> Result<u64, StoreError> {
    if row.entries == 0 {
        return Ok(0);
    }
    let end = signed(row.acknowledged_to.min(row.covered_to))?;
    let below = "FROM journal WHERE integration = ?1 AND first < ?2 AND first + count <= ?2";
    let sum = format!("SELECT count(*), coalesce(sum(length(content)), 0) {below}");
    let mut sum = connection.prepare_cached(&sum)?;
    let (entries, bytes): (i64, i64) = sum.query_row(params![row.number, end], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (entries, bytes) = (unsigned(entries)?, unsigned(bytes)?);
    if entries == 0 {
        return Ok(0);
    }
    if entries > row.entries || bytes > row.bytes {
        return Err(StoreError::Corrupt(format!(
            "integration {}: the journal has more rows than were written",
            row.id
        )));
    }
    connection.prepare_cached(&format!("DELETE {below}"))?.execute(params![row.number, end])?;
    row.entries -= entries;
    row.bytes -= bytes;
    Ok(bytes)
}

fn give_back(connection: &Connection) -> Result<(), StoreError> {
    let free: i64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    if free <= RESERVE_PAGES {
        return Ok(());
    }
    let pages = VACUUM_PAGES.min(free - RESERVE_PAGES);
    // A step frees a page: it has to be read to its end.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
