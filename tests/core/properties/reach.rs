//! How far the captures reach: how many events of each cause and statuses of each kind came of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use parking_lot::Mutex;
use rtalink::engine::Finding;

use super::play::Told;

/// What 2,000 captures bring at least.
const LEAST: [(&str, usize); 22] = [
    ("OBSERVED", 10_000),
    ("LOGGED_IN", 4_000),
    ("CHANGED", 20_000),
    ("REENTERED", 3_000),
    ("LOGGED_OUT", 4_000),
    ("REMAPPED", 100),
    ("CONNECTED", 2_000),
    ("DISCONNECTED", 1_000),
    ("STALE", 500),
    ("RESTORED", 1_000),
    ("LINK_DOWN", 50),
    ("LINK_UP", 40),
    ("SUSPECT", 20),
    ("UNREADABLE", 50),
    ("REPEATED_ROWS", 40),
    ("NO_SNAPSHOT", 2),
    ("FLAPPING", 50),
    ("dead letter", 1_000),
    ("close", 100),
    ("complete snapshot", 10_000),
    ("incomplete snapshot", 500),
    ("after a gap", 1_000),
];

/// Counts by name.
#[derive(Default)]
pub(crate) struct Reach(Mutex<BTreeMap<&'static str, usize>>);

impl Reach {
    pub(crate) fn note(&self, told: &Told) {
        let mut counts = self.0.lock();
        let mut count = |name| *counts.entry(name).or_default() += 1;
        for finding in told.by_step.iter().flatten() {
            match finding {
                Finding::Event(event, _) => {
                    count(event.cause.name());
                    if event.after_gap {
                        count("after a gap");
                    }
                }
                Finding::Status(status) => count(status.event.kind.name()),
                Finding::DeadLetter(_) => count("dead letter"),
                Finding::Close(..) => count("close"),
                Finding::Probe(_) => count("probe"),
                Finding::Snapshot(snapshot) if snapshot.complete => count("complete snapshot"),
                Finding::Snapshot(_) => count("incomplete snapshot"),
            }
        }
    }

    pub(crate) fn table(&self) -> String {
        let mut text = String::from("  what came of them:");
        for (name, count) in &*self.0.lock() {
            let _ = write!(text, " {name} {count},");
        }
        text.trim_end_matches(',').to_owned() + "\n"
    }

    pub(crate) fn assert(&self) {
        let counts = self.0.lock();
        for (name, least) in LEAST {
            let count = counts.get(name).copied().unwrap_or_default();
            assert!(count >= least, "{count} of {name}, wanted are {least}: the captures do not reach that far");
        }
    }
}
