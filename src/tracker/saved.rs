//! What a tracker remembers beyond its process: enough to continue as if it had only lost its connection.
//!
//! A restart is a gap like a disconnect (rule 8). So nothing of the open snapshot is kept, nor what waits for its end;
//! what is kept is what a tracker still has after a disconnect, and changes what it publishes next.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;

use super::agent::{KnownState, ToldStart};
use super::agent_state::RideAlong;
use super::event::{Cause, Evidence};
use super::listening::Listening;

/// What is remembered of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedAgent {
    /// ACD number.
    pub acd: u32,
    /// Login id.
    pub login_id: Arc<str>,
    /// Of the last event; 0 where none was published.
    pub sequence: u64,
    /// `None` where no valid record has been taken.
    pub known: Option<KnownState>,
    /// Details without influence.
    pub ride_along: RideAlong,
    /// Receipt of the last valid record.
    pub last_seen: Timestamp,
    /// Start of the known state by its duration, as last remembered.
    pub start: Option<Timestamp>,
    /// The last reported `state_start` of the known state.
    pub told_start: Option<ToldStart>,
    /// Receipt of the last record of the known state in a snapshot that has ended and was not down; moves as `last_seen` does.
    pub state_seen: Option<Timestamp>,
    /// How many complete snapshots in a row have listed the agent more than once; no more than it takes to merge their rows.
    pub listed_again: u32,
    /// What is published only once it has lasted.
    pub brief: Option<SavedBrief>,
    /// Complete snapshots without the agent, in a row; `None` where the last one had them.
    pub absence: Option<SavedAbsence>,
}

/// A transition that is published only once it has lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedBrief {
    /// Why it is published.
    pub cause: Cause,
    /// With a log-out.
    pub evidence: Option<Evidence>,
    /// The state.
    pub known: KnownState,
    /// First news after a gap.
    pub after_gap: bool,
    /// Receipt of what showed it first.
    pub observed_at: Timestamp,
    /// Last valid record of what it followed.
    pub last_seen: Timestamp,
    /// Receipt of the last record that shows it.
    pub seen: Timestamp,
}

/// Absence from complete snapshots in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedAbsence {
    /// How many, at least one.
    pub snapshots: u32,
    /// First record of the first of these snapshots.
    pub since: Timestamp,
    /// The first of these snapshots was the first one after a gap.
    pub began_after_gap: bool,
    /// Waits for the next complete snapshot to confirm it.
    pub suspect: bool,
}

/// What is remembered of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedFeed {
    /// Receipt of the last valid record.
    pub last_valid: Option<Timestamp>,
    /// The same, or a marker after it.
    pub last_sign: Option<Timestamp>,
    /// Last valid record before the first gap for which RESTORED has not been published.
    pub gap_from: Option<Timestamp>,
    /// First record of the last complete snapshot from which nobody was missing unnoticed: everybody who is logged in and not
    /// absent was seen since then. In mode `snapshot` only.
    pub seen_at: Option<Timestamp>,
    /// How late the feed was (rule 6).
    pub delay: Duration,
    /// The link between switch and CMS is down.
    pub link_is_down: bool,
    /// More than half of the agents carried codes that the state table does not have.
    pub is_unreadable: bool,
    /// Time between the first records of the last two complete snapshots with nothing between them.
    pub period: Option<Duration>,
    /// When the last snapshot began that has ended and was not down.
    pub ended_began: Option<Timestamp>,
    /// Snapshots that begin before this are too close to the suspect one to confirm it.
    pub suspect_until: Option<Timestamp>,
    /// How many complete snapshots in a row have listed many agents more than once; no more than it takes to say so.
    pub repeating: u32,
    /// When it was listened to.
    pub listening: Listening,
}
