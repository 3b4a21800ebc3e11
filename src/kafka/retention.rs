//! How long a topic keeps its messages: settings for topics that are created, and a check of those that exist.
//!
//! Kafka deletes whole segments, each when its newest message is older than `retention.ms`. Its oldest message is older by
//! the span of a segment, so that `segment.ms` is part of the promise: it is set here, to a tenth of the retention. A topic
//! that somebody else created is only checked; with the default of a week for segments it may keep a message for a week
//! longer than its `retention.ms` says.

use std::time::Duration;

use rdkafka::admin::ConfigResource;

use crate::config::topics::RetentionConfig;
use crate::journal::message::Topic;
use crate::telemetry::targets::KAFKA;

const HOUR: Duration = Duration::from_secs(3600);
/// A segment covers no less, so that a topic does not consist of too many files, ...
const LEAST_SEGMENT: Duration = Duration::from_secs(600);
/// ... and no more.
const MOST_SEGMENT: Duration = Duration::from_secs(24 * 3600);

/// Returns how long a topic of ours may keep messages; `None` where a later message of the key replaces an earlier one.
pub(super) fn of(topic: Topic, retention: &RetentionConfig) -> Option<Duration> {
    retention.topic(topic)
}

/// Returns the time span of a segment.
fn segment(retention: Duration) -> Duration {
    (retention / 10).clamp(LEAST_SEGMENT, MOST_SEGMENT)
}

/// Returns the settings of a topic that keeps its messages for so long.
pub(super) fn settings(retention: Duration) -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", retention.as_millis().to_string()),
        ("segment.ms", segment(retention).as_millis().to_string()),
    ]
}

/// What an existing topic does with its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    deletes: bool,
    /// `None`: for ever.
    retention: Option<Duration>,
    segment: Duration,
}

impl Kept {
    fn of(resource: &ConfigResource) -> Option<Self> {
        let value = |name| resource.get(name).and_then(|entry| entry.value.as_deref());
        let duration = |text: &str| text.parse().ok().map(Duration::from_millis);
        Some(Self {
            deletes: value("cleanup.policy")?.contains("delete"),
            // -1 is not an unsigned number.
            retention: duration(value("retention.ms")?),
            segment: duration(value("segment.ms")?)?,
        })
    }

    /// Returns the oldest age that a message reaches; `None`: it stays.
    fn most(&self) -> Option<Duration> {
        let retention = self.retention.filter(|_| self.deletes)?;
        Some(retention.saturating_add(self.segment))
    }

    /// Whether messages get older than in a topic that is created for `wanted`.
    fn is_longer_than(&self, wanted: Duration) -> bool {
        self.most().is_none_or(|most| most > wanted + segment(wanted))
    }
}

/// Warns that a topic keeps its messages longer than `wanted`, and says how to change that.
pub(super) fn log_if_longer(topic: &str, wanted: Duration, servers: &str, resource: &ConfigResource) {
    let Some(kept) = Kept::of(resource).filter(|kept| kept.is_longer_than(wanted)) else { return };
    let at_most = kept.most().map_or_else(|| "for ever".to_owned(), in_hours);
    let wanted_most = in_hours(wanted + segment(wanted));
    let command = command(topic, wanted, servers);
    tracing::warn!(
        target: KAFKA, topic,
        keeps = at_most,
        wanted = wanted_most,
        command,
        "topic keeps messages longer than [privacy.retention] says, and is not changed by us"
    );
}

fn command(topic: &str, wanted: Duration, servers: &str) -> String {
    let settings: Vec<String> = settings(wanted).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {topic} --add-config {}",
        settings.join(",")
    )
}

/// Formats it in whole hours, rounded up.
fn in_hours(duration: Duration) -> String {
    format!("{}h", duration.as_secs().div_ceil(HOUR.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_segment_is_a_fraction_of_the_retention() {
        let cases = [(HOUR, 600), (10 * HOUR, 3_600), (7 * DAY, 60_480), (365 * DAY, 86_400)];
        for (retention, seconds) in cases {
            assert_eq!(segment(retention), Duration::from_secs(seconds), "{retention:?}");
        }
    }

    #[test]
    fn a_topic_keeps_what_its_segments_keep() {
        let kept = |deletes, retention: Option<u32>, segment: u32| Kept {
            deletes,
            retention: retention.map(|days| days * DAY),
            segment: segment * DAY,
        };
        let cases = [
            (Kept { segment: segment(7 * DAY), ..kept(true, Some(7), 0) }, Some("185h"), false),
            (kept(true, Some(1), 1), Some("48h"), false),
            (kept(true, Some(7), 7), Some("336h"), true),
            (kept(true, Some(30), 0), Some("720h"), true),
            (kept(true, None, 0), None, true),
            (kept(false, Some(1), 1), None, true),
        ];
        for (kept, most, is_longer) in cases {
            assert_eq!(kept.most().map(in_hours).as_deref(), most, "{kept:?}");
            assert_eq!(kept.is_longer_than(7 * DAY), is_longer, "{kept:?}");
        }
    }

    #[test]
    fn the_command_can_be_pasted() {
        let expected = "kafka-configs.sh --bootstrap-server k:9092 --alter --entity-type topics --entity-name rta.audit \
                        --add-config cleanup.policy=delete,retention.ms=36000000,segment.ms=3600000";
        assert_eq!(command("rta.audit", 10 * HOUR, "k:9092"), expected);
    }
}
