//! An engine without a service around it, and snapshots of `cisco-icm-20` in any number.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rtalink::engine::Engine;
use rtalink::mapping::tables::{Activity, IdentifyBy, MappingTables};
use rtalink::tracker::settings::{FeedMode, Fixed, ShortStates, SnapshotEnd, Thresholds, TrackerSettings, WhenSilent};
use rtalink::wire::framing::{Piece, Run};
use rtalink::wire::plan::Plan;

/// An engine that has seen nothing: snapshots that end with a repeat, nobody mapped.
pub(crate) fn engine(plan: &Arc<Plan>, details: bool) -> Engine {
    let settings = TrackerSettings {
        fixed: Fixed { acd: 1, details, mode: FeedMode::Snapshot, snapshot_end: SnapshotEnd::Repeat },
        thresholds: Thresholds {
            snapshot_idle: Duration::from_millis(500),
            shortest_refresh: Duration::ZERO,
            logout_after: 2,
            restart_tolerance: Duration::from_secs(2),
            stale_after: Duration::from_secs(30),
            when_silent: WhenSilent::Stale,
            empty_below: 5,
            unknown_after: None,
            short_states: ShortStates::default(),
            logout_hold: Duration::ZERO,
        },
    };
    let present = Activity { activity_id: "1".to_owned(), activity_name: "Present".to_owned() };
    let mapping = MappingTables {
        version: 1,
        identify_by: IdentifyBy::LoginId,
        users: HashMap::new(),
        scoped: Default::default(),
        names: Default::default(),
        activities: HashMap::new(),
        default_activity: Arc::new(present),
    };
    Engine::new(settings, Arc::clone(plan), Arc::new(mapping))
}

/// Whole records as a connection hands them over.
pub(crate) fn piece(bytes: impl Into<Bytes>) -> Piece {
    Piece::Records(Run { bytes: bytes.into(), offset: 0 })
}

/// A snapshot of `agents` rows with 20 skills each; agents whose number is a multiple of `changed_every` differ from one
/// `round` to the next.
pub(crate) fn snapshot(agents: usize, changed_every: usize, round: usize) -> String {
    let mut text = String::with_capacity(agents * 180);
    for agent in 0..agents {
        let state = if agent % changed_every == 0 && round % 2 == 1 { "32 0" } else { "20 0" };
        write!(text, "{:07} {state} 0 0 232 0 1 {}", 100_000 + agent, 801_000 + agent).unwrap();
        for skill in 0..20 {
            write!(text, " {} {}", 200 + (agent + skill) % 300, 1 + skill % 16).unwrap();
        }
        text.push('\n');
    }
    text
}
