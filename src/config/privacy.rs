//! `[privacy]`: which of people's data there is, and for how long.

use std::path::Path;
use std::time::Duration;

use super::model::{Privacy, Retention};
use super::reader::{Reader, Slot};
use super::{schema, values};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads `[privacy]`.
pub(super) fn read(privacy: &Reader<'_>, folder: &Path) -> Privacy {
    let retention = privacy.table("retention", schema::RETENTION);
    let days = |key: &str, days: u32| retention.or(key, days * DAY, at_least_an_hour);
    Privacy {
        event_names: privacy.or("event_names", true, values::boolean),
        forget_after: privacy.or("forget_after", Some(90 * DAY), or_never),
        captures: privacy.optional("captures", values::path(folder)),
        retention: Retention {
            events: days("events", 7),
            feed_status: days("feed_status", 30),
            dead_letter: days("dead_letter", 7),
            audit: days("audit", 365),
            captures: days("captures", 14),
        },
    }
}

/// A duration, or `"never"`.
fn or_never(slot: Slot<'_>) -> Option<Option<Duration>> {
    match slot.as_text() {
        Some("never") => Some(None),
        _ => at_least_an_hour(slot).map(Some),
    }
}

/// What is kept for less would be gone before anybody could use it.
fn at_least_an_hour(slot: Slot<'_>) -> Option<Duration> {
    let duration = values::duration(slot)?;
    if duration < Duration::from_secs(3600) {
        slot.error("must be at least an hour, \"1h\"", None)
    } else {
        Some(duration)
    }
}
