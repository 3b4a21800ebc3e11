//! How the feed repeats itself: the period, and what ends a snapshot.

use std::time::Duration;

use serde::Serialize;

use super::finding::percent;
use super::lines::{OtherLines, Role};
use super::table::Table;
use super::times::median;

/// What is known of snapshots.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshots {
    /// How many there are, the last one perhaps cut off.
    pub count: usize,
    /// Agents of all of them.
    pub agents: usize,
    /// The median of the times from one to the next.
    #[serde(serialize_with = "seconds")]
    pub period: Option<Duration>,
    /// `snapshot_end` as configuration has it: `marker`, `idle` or `repeat`.
    pub end: &'static str,
    /// `mode` as configuration has it: `snapshot` or `delta`.
    pub mode: &'static str,
    /// Why.
    pub evidence: String,
}

#[allow(clippy::ref_option)] // serde asks for a reference
fn seconds<S: serde::Serializer>(period: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match period {
        Some(period) => serializer.serialize_f64(period.as_secs_f64()),
        None => serializer.serialize_none(),
    }
}

/// Finds out.
pub(super) fn find(table: &Table<'_>, others: &[OtherLines], has_times: bool) -> Snapshots {
    let beginnings = table.beginnings();
    let between = beginnings.windows(2).map(|pair| pair[1].since(pair[0])).filter(|period| !period.is_zero());
    let period = median(between.collect());
    let marker = others.iter().find(|other| other.role == Role::Marker);
    let is_silent = is_silent_between(table);
    let (end, why) = if let Some(marker) = marker {
        ("marker", format!("the line {:?} ends each", marker.example.trim_end()))
    } else if table.has_further_rows {
        let why = if has_times {
            "an agent has several rows, so that a login id seen again ends nothing"
        } else {
            "an agent has several rows; whether the feed is silent in between cannot be seen without times"
        };
        ("idle", why.to_owned())
    } else {
        let silence = if is_silent { ", and the feed is silent in between" } else { "" };
        ("repeat", format!("no line ends them: a login id that comes again begins the next one{silence}"))
    };
    let (mode, members) = mode(table);
    let evidence = format!("{why}; {members}");
    Snapshots { count: table.snapshots, agents: table.agents, period, end, mode, evidence }
}

/// Whether each snapshot is a burst of its own.
fn is_silent_between(table: &Table<'_>) -> bool {
    let pairs = table.rows.windows(2).filter(|pair| pair[0].snapshot != pair[1].snapshot);
    let (mut all, mut silent) = (0, 0);
    for pair in pairs {
        all += 1;
        silent += usize::from(pair[0].line.burst != pair[1].line.burst);
    }
    all > 0 && silent * 10 >= all * 9
}

/// Whether snapshots have everybody or only those who changed.
fn mode(table: &Table<'_>) -> (&'static str, String) {
    let mut rows: Vec<usize> = vec![0; table.snapshots];
    let mut last: Vec<Option<usize>> = vec![None; table.agents];
    for row in &table.rows {
        let slot = last.get_mut(row.agent);
        if slot.is_some_and(|slot| slot.replace(row.snapshot) != Some(row.snapshot))
            && let Some(count) = rows.get_mut(row.snapshot)
        {
            *count += 1;
        }
    }
    // The last one may be cut off.
    let whole = rows.get(..rows.len().saturating_sub(1)).filter(|whole| !whole.is_empty()).unwrap_or(&rows);
    let present: usize = whole.iter().sum();
    let possible = whole.len() * table.agents;
    let share = percent(present, possible);
    if present * 2 >= possible {
        ("snapshot", format!("each has {share} of the agents: it lists everybody"))
    } else {
        ("delta", format!("each has {share} of the agents: it seems to list only what changed"))
    }
}
