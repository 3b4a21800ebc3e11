//! Counts by reason that can be read back: metrics cannot.
//!
//! They begin with the integration, as its figures do. Reasons are a bounded set, as labels of metrics are. Cost: a lock and
//! a lookup for what is refused; nothing for what is well.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::time::Timestamp;

/// What an integration refused, and until when its port can be used.
#[derive(Debug, Default)]
pub(super) struct Tallies(Mutex<Tallied>);

/// What was counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallied {
    /// Connections that were closed, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Records that could not be read, and events that Kafka will never take, by reason.
    pub unreadable: BTreeMap<String, u64>,
    /// When the certificate of the port expires; `None` without TLS.
    pub certificate_expires: Option<Timestamp>,
}

impl Tallies {
    pub(super) fn refused(&self, reason: &str) {
        count(&mut self.0.lock().refused, reason);
    }

    pub(super) fn unreadable(&self, reason: &str) {
        count(&mut self.0.lock().unreadable, reason);
    }

    pub(super) fn certificate_expires(&self, at: Option<Timestamp>) {
        self.0.lock().certificate_expires = at;
    }

    pub(super) fn read(&self) -> Tallied {
        self.0.lock().clone()
    }
}

fn count(counts: &mut BTreeMap<String, u64>, reason: &str) {
    match counts.get_mut(reason) {
        Some(count) => *count += 1,
        None => drop(counts.insert(reason.to_owned(), 1)),
    }
}
