//! Feed statuses, as they are published.

use crate::contract;
use crate::tracker::event::StatusKind;
use crate::tracker::status::{FeedFigures, FeedStatus};

use super::v1;

/// Returns the message of a status.
pub(crate) fn message(integration: &str, status: &FeedStatus) -> v1::FeedStatus {
    use v1::feed_status::Kind;
    let (kind, gap) = match status.event.kind {
        StatusKind::Connected => (Kind::Connected, None),
        StatusKind::Disconnected => (Kind::Disconnected, None),
        StatusKind::Stale => (Kind::Stale, None),
        StatusKind::Restored { gap_from, gap_to } => (Kind::Restored, Some((gap_from, gap_to))),
        StatusKind::LinkDown => (Kind::LinkDown, None),
        StatusKind::LinkUp => (Kind::LinkUp, None),
        StatusKind::Suspect => (Kind::Suspect, None),
        StatusKind::Unreadable => (Kind::Unreadable, None),
        StatusKind::RepeatedRows => (Kind::RepeatedRows, None),
        StatusKind::NoSnapshot => (Kind::NoSnapshot, None),
        StatusKind::Flapping => (Kind::Flapping, None),
        StatusKind::Paused => (Kind::Paused, None),
        StatusKind::Resumed => (Kind::Resumed, None),
        StatusKind::Heartbeat => (Kind::Heartbeat, None),
    };
    let figures = &status.figures;
    v1::FeedStatus {
        integration: integration.to_owned(),
        kind: kind.into(),
        at: Some(contract::timestamp(status.event.at)),
        peer: figures.peer.as_deref().unwrap_or_default().to_owned(),
        last_record_at: figures.last_record_at.map(contract::timestamp),
        gap_from: gap.map(|(from, _)| contract::timestamp(from)),
        gap_to: gap.map(|(_, to)| contract::timestamp(to)),
        counts: Some(counts(figures, status.event.affected)),
        no_valid_record: status.no_valid_record,
    }
}

const fn counts(figures: &FeedFigures, affected: u32) -> v1::Counts {
    let totals = &figures.totals;
    v1::Counts {
        records: totals.records.all(),
        invalid_records: totals.invalid,
        complete_snapshots: totals.complete_snapshots,
        incomplete_snapshots: totals.incomplete_snapshots,
        events: totals.events,
        logged_in: figures.logged_in,
        affected,
    }
}
