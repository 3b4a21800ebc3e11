//! The records as a table: rows and cells, agents and snapshots.

use std::collections::HashMap;

use crate::time::Timestamp;

use super::class::Shape;
use super::feed::Line;

/// Records that are looked at; the rest is only decoded.
pub(super) const SAMPLE: usize = 40_000;

/// A record taken apart.
#[derive(Clone, Debug)]
pub(super) struct Row<'a> {
    pub(super) line: Line<'a>,
    pub(super) cells: Vec<&'a [u8]>,
    /// Whose it is, counted from 0 in the order of first sight.
    pub(super) agent: usize,
    /// Counted from 0.
    pub(super) snapshot: usize,
}

impl<'a> Row<'a> {
    /// Returns the cell, or nothing where the record ends before it.
    pub(super) fn cell(&self, column: usize) -> &'a [u8] {
        self.cells.get(column).copied().unwrap_or_default()
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Table<'a> {
    pub(super) rows: Vec<Row<'a>>,
    /// Most cells of a row.
    pub(super) width: usize,
    /// Number of agents.
    pub(super) agents: usize,
    /// Number of snapshots, the last one perhaps cut off.
    pub(super) snapshots: usize,
    /// An agent has several rows in a snapshot, one after the other.
    pub(super) has_further_rows: bool,
}

impl<'a> Table<'a> {
    pub(super) fn new(rows: impl Iterator<Item = (Line<'a>, Vec<&'a [u8]>)>) -> Self {
        let rows: Vec<Row<'a>> =
            rows.take(SAMPLE).map(|(line, cells)| Row { line, cells, agent: 0, snapshot: 0 }).collect();
        let width = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
        Self { rows, width, ..Self::default() }
    }

    /// Finds agents and snapshots by the column of login ids. `boundaries` are offsets behind which another snapshot begins,
    /// for each connection.
    pub(super) fn identify(&mut self, login: usize, boundaries: &[(usize, u64)]) {
        let mut numbers: HashMap<&[u8], usize> = HashMap::new();
        let mut seen_in: HashMap<usize, usize> = HashMap::new();
        let mut boundaries = boundaries.iter().copied().peekable();
        let (mut snapshot, mut previous) = (0, None);
        let mut further = 0;
        for row in &mut self.rows {
            let next = numbers.len();
            let agent = *numbers.entry(row.cell(login)).or_insert(next);
            let mut is_over = false;
            while boundaries.next_if(|boundary| *boundary < (row.line.connection, row.line.offset)).is_some() {
                is_over = true;
            }
            let is_repeated = seen_in.get(&agent) == Some(&snapshot);
            let is_next_row = previous.is_some_and(|(before, burst, connection)| {
                before == agent && burst == row.line.burst && connection == row.line.connection
            });
            if (is_over && previous.is_some()) || (is_repeated && !is_next_row) {
                snapshot += 1;
            } else if is_repeated {
                further += 1;
            }
            seen_in.insert(agent, snapshot);
            previous = Some((agent, row.line.burst, row.line.connection));
            (row.agent, row.snapshot) = (agent, snapshot);
        }
        self.agents = numbers.len();
        self.snapshots = snapshot + usize::from(previous.is_some());
        self.has_further_rows = further * 5 >= self.rows.len();
    }

    /// Returns the values of a column.
    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = &'a [u8]> {
        self.rows.iter().map(move |row| row.cell(column))
    }

    /// Returns each row with the row of the same agent in their snapshot before: its first one there, and only if that was
    /// the snapshot directly before.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Row<'a>, &Row<'a>)> {
        let mut last: Vec<Option<&Row<'a>>> = vec![None; self.agents];
        self.rows.iter().filter_map(move |row| {
            let slot = last.get_mut(row.agent)?;
            let before = *slot;
            if before.is_some_and(|before| before.snapshot == row.snapshot) {
                return None;
            }
            *slot = Some(row);
            before.filter(|before| before.snapshot + 1 == row.snapshot).map(|before| (before, row))
        })
    }

    /// Returns when each snapshot began, as far as that is known.
    pub(super) fn beginnings(&self) -> Vec<Timestamp> {
        let mut beginnings = Vec::new();
        let mut last = None;
        for row in &self.rows {
            if last != Some(row.snapshot) {
                beginnings.extend(row.line.at);
            }
            last = Some(row.snapshot);
        }
        beginnings
    }
}

/// Finds columns that identify agents: in each snapshot the same values come in much the same order, each once. Returns them
/// with how well that holds and how many values there are, the best ones first.
pub(super) fn identities(table: &Table<'_>) -> Vec<(usize, f64, usize)> {
    let mut found: Vec<(usize, f64, usize)> = Vec::new();
    for column in 0..table.width {
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut distances = Vec::new();
        let mut position = 0;
        let mut last: Option<&[u8]> = None;
        let mut nulls = 0;
        for value in table.column(column) {
            if Shape::of(value) == Shape::Null {
                nulls += 1;
                continue;
            }
            // Rows of one agent and several skills follow each other.
            if last == Some(value) {
                continue;
            }
            last = Some(value);
            if let Some(before) = places.insert(value, position) {
                distances.push(position - before);
            }
            position += 1;
        }
        let distinct = places.len();
        if distinct < 2 || nulls * 20 > table.rows.len() {
            continue;
        }
        let mut sorted = distances.clone();
        sorted.sort_unstable();
        let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        let is_usual = |distance: &&usize| distance.abs_diff(usual) <= usual / 4 + 1 && **distance > 1;
        let regular = distances.iter().filter(is_usual).count();
        // Each value comes once in each round, and a round has all values.
        let comes_back = distances.len() as f64 / position.max(1) as f64;
        let rounds = usual.min(distinct) as f64 / usual.max(distinct).max(1) as f64;
        if distances.is_empty() {
            let all_differ = distinct == position;
            found.extend(all_differ.then_some((column, 0.3, distinct)));
        } else {
            // Two values that take turns are regular too, and identify nobody.
            let many = 1.0 - 1.0 / distinct as f64;
            let regular = regular as f64 / distances.len() as f64;
            found.push((column, regular * rounds.sqrt() * comes_back.sqrt() * many, distinct));
        }
    }
    found.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<'a>(rows: &[&'a [&'a str]]) -> Table<'a> {
        let row = |(number, cells): (usize, &&'a [&'a str])| {
            let line = Line { bytes: b"", at: None, connection: 0, burst: 0, offset: number as u64 };
            (line, cells.iter().map(|cell| cell.as_bytes()).collect())
        };
        Table::new(rows.iter().enumerate().map(row))
    }

    #[test]
    fn a_snapshot_ends_where_an_agent_comes_again() {
        let mut table = table(&[&["1", "A"], &["2", "B"], &["1", "A"], &["2", "C"], &["3", "A"], &["1", "B"]]);
        table.identify(0, &[]);
        let seen: Vec<_> = table.rows.iter().map(|row| (row.agent, row.snapshot)).collect();
        assert_eq!(seen, [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (0, 2)]);
        assert_eq!((table.agents, table.snapshots, table.has_further_rows), (3, 3, false));
        assert_eq!(table.pairs().count(), 3);
    }

    #[test]
    fn rows_of_an_agent_that_follow_each_other_are_one_snapshots() {
        let mut table = table(&[&["1", "A"], &["1", "B"], &["2", "A"], &["1", "A"], &["1", "B"], &["2", "A"]]);
        table.identify(0, &[]);
        let seen: Vec<_> = table.rows.iter().map(|row| (row.agent, row.snapshot)).collect();
        assert_eq!(seen, [(0, 0), (0, 0), (1, 0), (0, 1), (0, 1), (1, 1)]);
        assert!(table.has_further_rows);
    }

    #[test]
    fn who_it_is_comes_in_rounds() {
        let table = table(&[
            &["7", "A", "12"],
            &["8", "A", "3"],
            &["9", "B", "7"],
            &["7", "B", "15"],
            &["8", "A", "6"],
            &["9", "B", "10"],
            &["7", "B", "18"],
            &["8", "C", "9"],
            &["9", "A", "13"],
        ]);
        assert_eq!(identities(&table).first().map(|found| found.0), Some(0));
    }
}
