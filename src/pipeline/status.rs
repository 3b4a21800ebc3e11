//! Feed statuses, as they are published.

use crate::proto::{self, v1};
use crate::state::event::StatusKind;
use crate::time::Timestamp;

use super::engine::{Engine, FeedStatus, Totals};

/// The message of a status.
pub(super) fn message(integration: &str, status: &FeedStatus) -> v1::FeedStatus {
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
        StatusKind::Flapping => (Kind::Flapping, None),
    };
    v1::FeedStatus {
        integration: integration.to_owned(),
        kind: kind.into(),
        at: Some(proto::timestamp(status.event.at)),
        peer: status.peer.as_deref().unwrap_or_default().to_owned(),
        last_record_at: status.last_record_at.map(proto::timestamp),
        gap_from: gap.map(|(from, _)| proto::timestamp(from)),
        gap_to: gap.map(|(_, to)| proto::timestamp(to)),
        counts: Some(counts(&status.totals, status.logged_in, status.event.affected)),
    }
}

/// A feed says that it is there.
pub(super) fn heartbeat(integration: &str, engine: &Engine, at: Timestamp) -> v1::FeedStatus {
    let logged_in = u32::try_from(engine.tracker().table().logged_in()).unwrap_or(u32::MAX);
    v1::FeedStatus {
        integration: integration.to_owned(),
        kind: v1::feed_status::Kind::Heartbeat.into(),
        at: Some(proto::timestamp(at)),
        peer: engine.session().peer().map(ToString::to_string).unwrap_or_default(),
        last_record_at: engine.tracker().last_valid().map(proto::timestamp),
        gap_from: None,
        gap_to: None,
        counts: Some(counts(&engine.totals(), logged_in, 0)),
    }
}

const fn counts(totals: &Totals, logged_in: u32, affected: u32) -> v1::Counts {
    v1::Counts {
        records: totals.records.all(),
        invalid_records: totals.invalid,
        complete_snapshots: totals.complete_snapshots,
        incomplete_snapshots: totals.incomplete_snapshots,
        events: totals.events,
        logged_in,
        affected,
    }
}
