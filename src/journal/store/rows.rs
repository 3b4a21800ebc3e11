//! Table `integration`: a row as a value, checked when it is read. And what the other tables must agree with.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::time::Timestamp;

use super::checksum::Checksum;
use super::error::StoreError;

/// A row of table `integration`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IntegrationRow {
    pub(super) number: StoreNumber,
    pub(super) id: String,
    /// The position after the last one ever used.
    pub(super) next: u64,
    pub(super) acknowledged_to: u64,
    pub(super) covered_to: u64,
    pub(super) paused_at: Option<u64>,
    pub(super) recovered: bool,
    pub(super) checkpoint_at: Option<Timestamp>,
    /// Rows that the journal has of it, and the bytes of their contents.
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// Rows that table `agent` has of it.
    pub(super) agents: u64,
    pub(super) feed: Vec<u8>,
}

const COLUMNS: &str = "number, id, next, acknowledged_to, covered_to, held_at, recovered, checkpoint_at, entries, bytes, \
                       agents, feed, checksum";

impl IntegrationRow {
    pub(super) fn find(connection: &Connection, number: StoreNumber) -> Result<Option<Self>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM integration WHERE number = ?1");
        let found = connection.query_row(&sql, [number], Self::read).optional()?;
        found.map(|(row, checksum)| row.checked(checksum)).transpose()
    }

    /// All of them, in the order in which they were added.
    pub(super) fn all(connection: &Connection) -> Result<Vec<Self>, StoreError> {
        let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM integration ORDER BY number"))?;
        let mut rows = statement.query([])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let (row, checksum) = Self::read(row)?;
            all.push(row.checked(checksum)?);
        }
        Ok(all)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<(Self, i64)> {
        let count = |index| -> rusqlite::Result<u64> {
            let value: i64 = row.get(index)?;
            u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
        };
        let this = Self {
            number: row.get(0)?,
            id: row.get(1)?,
            next: count(2)?,
            acknowledged_to: count(3)?,
            covered_to: count(4)?,
            paused_at: row.get::<_, Option<i64>>(5)?.map(|_| count(5)).transpose()?,
            recovered: row.get(6)?,
            checkpoint_at: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_micros),
            entries: count(8)?,
            bytes: count(9)?,
            agents: count(10)?,
            feed: row.get(11)?,
        };
        Ok((this, row.get(12)?))
    }

    fn checked(self, found: i64) -> Result<Self, StoreError> {
        if self.checksum()? == found {
            Ok(self)
        } else {
            Err(StoreError::Corrupt(format!("table integration: the checksum of row {} is wrong", self.number)))
        }
    }

    fn checksum(&self) -> Result<i64, StoreError> {
        Ok(Checksum::default()
            .number(self.number.get())
            .bytes(self.id.as_bytes())
            .number(signed(self.next)?)
            .number(signed(self.acknowledged_to)?)
            .number(signed(self.covered_to)?)
            .number(self.paused_at.map(signed).transpose()?)
            .number(i64::from(self.recovered))
            .number(self.checkpoint_at.map(Timestamp::as_micros))
            .number(signed(self.entries)?)
            .number(signed(self.bytes)?)
            .number(signed(self.agents)?)
            .bytes(&self.feed)
            .finish())
    }

    /// Writes it, whether or not it exists.
    pub(super) fn save(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO integration ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (number) DO UPDATE SET next = ?3, acknowledged_to = ?4, covered_to = ?5, held_at = ?6,
             recovered = ?7, checkpoint_at = ?8, entries = ?9, bytes = ?10, agents = ?11, feed = ?12, checksum = ?13"
        );
        let values = params![
            self.number,
            self.id,
            signed(self.next)?,
            signed(self.acknowledged_to)?,
            signed(self.covered_to)?,
            self.paused_at.map(signed).transpose()?,
            self.recovered,
            self.checkpoint_at.map(Timestamp::as_micros),
            signed(self.entries)?,
            signed(self.bytes)?,
            signed(self.agents)?,
            self.feed,
            self.checksum()?
        ];
        connection.prepare_cached(&sql)?.execute(values)?;
        Ok(())
    }

    /// Checks that the journal has the rows that this one records.
    pub(super) fn check_journal(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "SELECT count(*), coalesce(sum(length(content)), 0), coalesce(max(first + count), 0)
                   FROM journal WHERE integration = ?1";
        let (entries, bytes, end): (i64, i64, i64) =
            connection.query_row(sql, [self.number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if (entries, bytes) == (signed(self.entries)?, signed(self.bytes)?) && end <= signed(self.next)? {
            return Ok(());
        }
        Err(StoreError::Corrupt(format!(
            "integration {}: the journal has {entries} entries with {bytes} bytes up to position {end}, expected {} with {} \
             up to at most {}",
            self.id, self.entries, self.bytes, self.next
        )))
    }
}

/// The number of an integration in the store: none is used for another one. It means nothing in another store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreNumber(i64);

impl StoreNumber {
    /// The number of the first integration of a store.
    pub const FIRST: Self = Self(1);

    /// Returns the number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns it as the store has it.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl std::fmt::Display for StoreNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ToSql for StoreNumber {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for StoreNumber {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

/// A position or count as SQLite has it.
pub(super) fn signed(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Other(format!("{value} is beyond what the store can count")))
}

/// A position or count back from SQLite.
pub(super) fn unsigned(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Corrupt(format!("{value} stands where nothing below zero is written")))
}

/// Checksum of a row of table `journal`.
pub(super) fn of_journal(integration: StoreNumber, first: i64, count: i64, written_at: i64, content: &[u8]) -> i64 {
    Checksum::default().number(integration.get()).number(first).number(count).number(written_at).bytes(content).finish()
}

/// Checksum of a row of table `agent`.
pub(super) fn of_agent(integration: StoreNumber, acd: i64, login_id: &str, memory: &[u8]) -> i64 {
    Checksum::default().number(integration.get()).number(acd).bytes(login_id.as_bytes()).bytes(memory).finish()
}
