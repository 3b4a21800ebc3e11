//! A feed without a socket: the chunks that a listener would read, with their times.

use std::collections::BTreeMap;

use crate::time::Timestamp;

use super::error::SimulateError;
use super::feed::{Action, SimulatedFeed};
use super::settings::SimulatedFeedSettings;
use super::truth::{Truth, TruthCause};

/// Chunks of a feed; one per refresh, except where nothing comes.
#[derive(Clone, Debug)]
pub struct SimulatedStream {
    feed: SimulatedFeed,
    refresh: std::time::Duration,
    next_at: Timestamp,
    left: usize,
    truth: Vec<Truth>,
}

/// Plays so many refreshes of a feed that begins at that time.
///
/// As an iterator it is one connection of whole records: of twins it has only the bytes of the one that a listener hears, and
/// no half record at a disconnect. [`SimulatedStream::refresh`] has the rest.
///
/// # Errors
/// Invalid settings.
pub fn stream(
    settings: &SimulatedFeedSettings,
    start: Timestamp,
    snapshots: usize,
) -> Result<SimulatedStream, SimulateError> {
    let feed = SimulatedFeed::new(settings, start)?;
    Ok(SimulatedStream { feed, refresh: settings.refresh, next_at: start, left: snapshots, truth: Vec::new() })
}

impl SimulatedStream {
    /// Returns the feed behind the stream: its agents and counts.
    pub fn feed(&self) -> &SimulatedFeed {
        &self.feed
    }

    /// Returns the transitions that a listener can know of from the chunks read so far.
    pub fn truth(&self) -> &[Truth] {
        &self.truth
    }

    /// Returns the next refresh with all that happens on the wire; `None` after the last.
    pub fn refresh(&mut self) -> Option<(Timestamp, Vec<Action>)> {
        self.left = self.left.checked_sub(1)?;
        let at = self.next_at;
        self.next_at = at.plus(self.refresh);
        let actions = self.feed.refresh(at);
        self.feed.delivered();
        self.truth.extend(self.feed.take_truth());
        Some((at, actions))
    }

    /// Returns how many there are of each cause.
    pub fn transitions(&self) -> &BTreeMap<TruthCause, u64> {
        self.feed.truths().counts()
    }
}

impl Iterator for SimulatedStream {
    type Item = (Timestamp, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (at, actions) = self.refresh()?;
            let heard = actions.into_iter().find_map(|action| match action {
                Action::Send { bytes, heard: true, .. } => Some(bytes),
                Action::Send { .. } | Action::Close { .. } => None,
            });
            if let Some(bytes) = heard {
                return Some((at, bytes));
            }
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
