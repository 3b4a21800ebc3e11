//! The state of a feed: a feed status with the figures at that moment.

use std::sync::Arc;

use crate::time::Timestamp;

use super::event::StatusEvent;
use super::{BriefCounts, RecordCounts};

/// Figures since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Valid records by outcome.
    pub records: RecordCounts,
    /// Invalid records.
    pub invalid: u64,
    /// Local times that do not occur.
    pub impossible_times: u64,
    /// What was too brief to be published.
    pub absorbed: BriefCounts,
    /// Lines that are not records, as the layout's `skip` says.
    pub skipped: u64,
    /// Markers.
    pub markers: u64,
    /// Connections that ended without a valid record, including those that no feed status reports.
    pub probes: u64,
    /// Complete snapshots.
    pub complete_snapshots: u64,
    /// Incomplete snapshots.
    pub incomplete_snapshots: u64,
    /// Events.
    pub events: u64,
}

/// A feed, at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedFigures {
    /// Address and port of the connection that speaks, or that a status is about.
    pub peer: Option<Arc<str>>,
    /// Receipt of the last valid record.
    pub last_record_at: Option<Timestamp>,
    /// Figures since the start.
    pub totals: Totals,
    /// Agents logged in.
    pub logged_in: u32,
}

/// Something happened to a feed, with its figures at the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedStatus {
    /// What and when.
    pub event: StatusEvent,
    /// The feed's figures.
    pub figures: FeedFigures,
    /// The connection that ended never sent a valid record: a port scan, a health check.
    pub no_valid_record: bool,
}
