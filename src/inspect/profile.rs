//! What can be said of a column without knowing what it is.

use std::collections::HashMap;

use serde::Serialize;

use super::class::{Shape, is_null, is_null_or_zero, number};
use super::table::Table;

/// Facts about a column.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// How many values there are.
    pub distinct: usize,
    /// Bytes of the shortest and the longest value.
    pub shortest: usize,
    /// See `shortest`.
    pub longest: usize,
    /// Share of values that are digits only, nulls left out.
    pub numeric: f64,
    /// Share of values that are nothing: empty, `-`, `N/A` and the like.
    pub null: f64,
    /// The same with zeros.
    pub null_or_zero: f64,
    /// All values are the same.
    pub constant: bool,
    /// A number that never gets smaller, record by record.
    pub monotonic: bool,
    /// Share of an agent's records in which it has grown since the snapshot before, if it is a number.
    pub grows: f64,
    /// Share of an agent's records in which it is another one than in the snapshot before.
    pub changes: f64,
    /// Several agents have the same value in one snapshot.
    pub repeats: bool,
    /// Most frequent values.
    pub examples: Vec<String>,
    #[serde(skip)]
    pub(super) with_letters: f64,
}

/// A value of a column and how often it occurs.
pub(super) type Counted<'a> = (&'a [u8], usize);

/// Returns the values of a column, the most frequent ones first.
pub(super) fn values<'a>(table: &Table<'a>, column: usize) -> Vec<Counted<'a>> {
    let mut counts: HashMap<&[u8], usize> = HashMap::new();
    for value in table.column(column) {
        *counts.entry(value).or_default() += 1;
    }
    let mut sorted: Vec<Counted<'_>> = counts.into_iter().collect();
    sorted.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    sorted
}

impl Profile {
    pub(super) fn of(table: &Table<'_>, column: usize, decode: impl Fn(&[u8]) -> String) -> Self {
        let values = values(table, column);
        let rows = table.rows.len().max(1) as f64;
        let share = |counts: &dyn Fn(&[u8]) -> bool| {
            values.iter().filter(|(value, _)| counts(value)).map(|(_, count)| *count).sum::<usize>() as f64
        };
        let filled = (rows - share(&is_null)).max(1.0);
        let (mut pairs, mut changed, mut grown) = (0, 0, 0);
        for (before, after) in table.pairs() {
            let (before, after) = (before.cell(column), after.cell(column));
            pairs += 1;
            changed += usize::from(before != after);
            grown += usize::from(number(before).zip(number(after)).is_some_and(|(was, is)| is > was));
        }
        let pairs = f64::from(pairs.max(1));
        let mut last = None;
        let mut monotonic = values.len() > 1;
        for value in table.column(column) {
            let value = number(value);
            monotonic &= value.is_some() && value >= last;
            last = value;
            if !monotonic {
                break;
            }
        }
        // An agent's rows of one snapshot count once.
        let mut seen: HashMap<(usize, &[u8]), usize> = HashMap::new();
        let repeats = table.rows.iter().filter(|row| !is_null(row.cell(column))).any(|row| {
            seen.insert((row.snapshot, row.cell(column)), row.agent).is_some_and(|agent| agent != row.agent)
        });
        Self {
            distinct: values.len(),
            shortest: values.iter().map(|(value, _)| value.len()).min().unwrap_or(0),
            longest: values.iter().map(|(value, _)| value.len()).max().unwrap_or(0),
            numeric: share(&|value| Shape::of(value) == Shape::Number) / filled,
            null: share(&is_null) / rows,
            null_or_zero: share(&is_null_or_zero) / rows,
            constant: values.len() == 1,
            monotonic,
            grows: grown as f64 / pairs,
            changes: changed as f64 / pairs,
            repeats,
            examples: values.iter().take(4).map(|(value, _)| decode(value)).collect(),
            with_letters: share(&|value| Shape::of(value) == Shape::Text) / filled,
        }
    }

    /// Whether it says something about the agent rather than about what they do.
    pub(super) fn is_of_person(&self) -> bool {
        self.changes <= 0.02
    }
}
