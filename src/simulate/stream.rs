//! A feed without a socket: the chunks that a listener would read, with their times.

use std::collections::BTreeMap;

use super::error::SimulateError;
use super::feed::{Action, Feed};
use super::settings::FeedSettings;
use super::truth::{Cause, Truth};
use crate::time::Timestamp;

/// Chunks of a feed; one per refresh, save where nothing comes.
#[derive(Clone, Debug)]
pub struct Stream {
    feed: Feed,
    refresh: std::time::Duration,
    next_at: Timestamp,
    left: usize,
    truth: Vec<Truth>,
}

/// Plays so many refreshes of a feed that begins then.
///
/// As an iterator it is one connection of whole records: of twins only the bytes of the one that a listener hears are in
/// it, half a record at a disconnect is not. [`Stream::refresh`] has the rest.
///
/// # Errors
/// Settings that make no feed.
pub fn stream(settings: &FeedSettings, start: Timestamp, snapshots: usize) -> Result<Stream, SimulateError> {
    let feed = Feed::new(settings, start)?;
    Ok(Stream { feed, refresh: settings.refresh, next_at: start, left: snapshots, truth: Vec::new() })
}

impl Stream {
    /// The feed behind the stream: its agents and counts.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The transitions that a listener can know of from the chunks read so far.
    pub fn truth(&self) -> &[Truth] {
        &self.truth
    }

    /// The next refresh with all that happens on the wire; `None` after the last.
    pub fn refresh(&mut self) -> Option<(Timestamp, Vec<Action>)> {
        self.left = self.left.checked_sub(1)?;
        let at = self.next_at;
        self.next_at = at.plus(self.refresh);
        let actions = self.feed.refresh(at);
        self.feed.delivered();
        self.truth.extend(self.feed.take_truth());
        Some((at, actions))
    }

    /// How many there are of each cause.
    pub fn transitions(&self) -> &BTreeMap<Cause, u64> {
        self.feed.truths().counts()
    }
}

impl Iterator for Stream {
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
