//! The connection that speaks.

use std::time::Duration;

use crate::time::Timestamp;

use super::table::AgentIndex;

/// What has come on the connection that speaks.
#[derive(Debug, Default)]
pub(super) struct SpeakingConnection {
    has_records: bool,
    last_valid: Option<(AgentIndex, Timestamp)>,
    last_invalid: Option<Timestamp>,
    /// The last record, or marker, is an invalid record.
    ends_invalid: bool,
    /// No byte came for `snapshot_idle` at some time since the last record.
    is_silent: bool,
    /// Silence cut a snapshot off whose marker is still to come.
    owes_marker: bool,
}

impl SpeakingConnection {
    /// A valid record came. Returns the agent of the previous one.
    #[inline]
    pub(super) fn record_came(&mut self, index: AgentIndex, at: Timestamp) -> Option<AgentIndex> {
        self.has_records = true;
        self.is_silent = false;
        self.ends_invalid = false;
        self.last_valid.replace((index, at)).map(|(before, _)| before)
    }

    /// An invalid record came.
    pub(super) const fn invalid_came(&mut self, at: Timestamp) {
        self.has_records = true;
        self.is_silent = false;
        self.ends_invalid = true;
        self.last_invalid = Some(at);
    }

    /// A marker came. Whether it is the one that was still to come.
    pub(super) const fn marker_came(&mut self) -> bool {
        self.ends_invalid = false;
        std::mem::replace(&mut self.owes_marker, false)
    }

    /// No byte came for `snapshot_idle`.
    pub(super) const fn fall_silent(&mut self) {
        self.is_silent = true;
    }

    /// Silence cuts a snapshot off.
    pub(super) const fn owe_marker(&mut self) {
        self.owes_marker = true;
    }

    /// Whether a record came, valid or not.
    pub(super) const fn has_records(&self) -> bool {
        self.has_records
    }

    pub(super) const fn is_silent(&self) -> bool {
        self.is_silent
    }

    pub(super) const fn ends_invalid(&self) -> bool {
        self.ends_invalid
    }

    pub(super) const fn last_invalid(&self) -> Option<Timestamp> {
        self.last_invalid
    }

    /// Returns the agent of the last valid record.
    #[inline]
    pub(super) fn last_agent(&self) -> Option<AgentIndex> {
        self.last_valid.map(|(agent, _)| agent)
    }

    /// Whether the last valid record was of the same agent, and less than `idle` ago.
    #[inline]
    pub(super) fn has_just_shown(&self, index: AgentIndex, at: Timestamp, idle: Duration) -> bool {
        self.last_valid.is_some_and(|(agent, received)| agent == index && at.since(received) < idle)
    }

    /// Forgets an agent, whose number is free for somebody else from now on.
    pub(super) fn forget(&mut self, index: AgentIndex) {
        self.last_valid = self.last_valid.filter(|(last, _)| *last != index);
    }
}
