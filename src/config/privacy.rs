//! `[privacy]`: which personal data there is, and for how long.

use std::path::Path;
use std::time::Duration;

use super::integration::WrittenIntegration;
use super::model::{IdentifyBy, PrivacyConfig};
use super::problem::Problem;
use super::reader::{Slot, TableReader};
use super::topics::RetentionConfig;
use super::{schema, values};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads `[privacy]`.
pub(super) fn read(privacy: &TableReader<'_>, folder: &Path, integrations: &[WrittenIntegration]) -> PrivacyConfig {
    let retention = privacy.table("retention", schema::RETENTION);
    let or = |key: &str, default: Duration| retention.or(key, default, at_least_an_hour);
    let event_names = privacy.or("event_names", true, values::boolean);
    for WrittenIntegration { integration, .. } in integrations {
        if !event_names && integration.mapping.identify_by == IdentifyBy::Name {
            let message =
                format!("event_names: integration {:?} is mapped by name, which is in every event", integration.id);
            let hint = "set identify_by = \"login_id\" and list login ids in its users file";
            privacy.problems.missing(Problem::error(privacy.origin_of("event_names"), message).hint(hint));
        }
    }
    PrivacyConfig {
        event_names,
        forget_after: privacy.or("forget_after", Some(90 * DAY), or_never),
        captures: privacy.optional("captures", values::path(folder)),
        retention: RetentionConfig::of(or("captures", RetentionConfig::default().captures), or),
    }
}

/// A duration, or `"never"`.
fn or_never(slot: Slot<'_>) -> Option<Option<Duration>> {
    match slot.as_text() {
        Some("never") => Some(None),
        _ => at_least_an_hour(slot).map(Some),
    }
}

/// Anything kept for less would be gone before anybody could use it.
fn at_least_an_hour(slot: Slot<'_>) -> Option<Duration> {
    let duration = values::duration(slot)?;
    if duration < Duration::from_secs(3600) {
        slot.error("must be at least an hour, \"1h\"", None)
    } else {
        Some(duration)
    }
}
