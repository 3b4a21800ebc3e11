//! Dead letters: records that could not be read, and messages that Kafka will not accept.
//!
//! Policy: at most [`PER_SECOND`] of an integration in full, so that a feed of nothing but garbage does not become the main
//! traffic of the cluster; the rest is counted. Pure: time is an argument.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::contract::header;
use crate::journal::message::{Message, Route};
use crate::time::Timestamp;

/// Dead letters of one integration that are published in any second.
pub const PER_SECOND: usize = 10;

/// How much of a message that Kafka refused is kept.
const REFUSED_VALUE_BYTES: usize = 1024;

/// Reasons of [`refused`]: why Kafka does not accept a message, and that nothing may wait until it does.
pub const REFUSED: [&str; 5] = [
    "kafka_too_large",
    "kafka_invalid_record",
    "audit_topic_closed",
    "feed_status_topic_missing",
    "dead_letter_topic_missing",
];

/// Decides which dead letters of one integration are published.
#[derive(Debug, Default)]
pub struct Limiter {
    admitted: VecDeque<Timestamp>,
    suppressed: u64,
}

impl Limiter {
    /// Whether a dead letter of this time is published; if not, it is counted. A time that goes back counts as now.
    #[must_use]
    pub fn admit(&mut self, now: Timestamp) -> bool {
        if self.admitted.len() == PER_SECOND {
            let full = self.admitted.front().is_some_and(|oldest| now.since(*oldest) < Duration::from_secs(1));
            if full {
                self.suppressed += 1;
                return false;
            }
            self.admitted.pop_front();
        }
        self.admitted.push_back(now);
        true
    }

    /// Dead letters that were only counted, since the start.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

/// A record that could not be read: its raw bytes, already cut to the layout's `max_record`, and where they came from.
pub fn dead_letter(integration: &Arc<str>, reason: &str, offset: u64, received_at: Timestamp, raw: Bytes) -> Message {
    let mut message = unplaced(integration, reason, received_at, raw);
    message.headers.insert(2, (header::OFFSET, Bytes::from(offset.to_string())));
    message
}

/// Creates the dead letter of a message that Kafka does not accept: its headers and the beginning of its value; the whole
/// value where everything but its topic was good.
pub fn refused(integration: &Arc<str>, reason: &str, at: Timestamp, original: &Message) -> Message {
    let is_whole = matches!(original.route, Route::Audit | Route::FeedStatus);
    let kept = if is_whole { usize::MAX } else { REFUSED_VALUE_BYTES };
    // A copy: the value lies between others, which would be kept with it.
    let beginning = Bytes::copy_from_slice(&original.payload[..original.payload.len().min(kept)]);
    let mut message = unplaced(integration, reason, at, beginning);
    let others = original.headers.iter().filter(|(name, _)| *name != header::CONTENT_TYPE);
    message.headers.extend(others.map(|(name, value)| (*name, Bytes::copy_from_slice(value))));
    message
}

fn unplaced(integration: &Arc<str>, reason: &str, received_at: Timestamp, value: Bytes) -> Message {
    Message {
        route: Route::DeadLetter,
        key: Arc::clone(integration),
        payload: value,
        headers: vec![
            (header::INTEGRATION, Bytes::copy_from_slice(integration.as_bytes())),
            (header::REASON, Bytes::copy_from_slice(reason.as_bytes())),
            (header::RECEIVED_AT, Bytes::from(received_at.to_string())),
        ],
        read_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_ten_in_full() {
        let mut limiter = Limiter::default();
        // 100 a second for three seconds.
        let times: Vec<i64> = (0..300).map(|n| n * 10).collect();
        let admitted: Vec<i64> =
            times.into_iter().filter(|millis| limiter.admit(Timestamp::from_millis(*millis))).collect();
        assert_eq!(admitted.len(), 30);
        assert_eq!(limiter.suppressed(), 270);
        for window in admitted.windows(PER_SECOND + 1) {
            assert!(window[PER_SECOND] - window[0] >= 1_000, "{window:?}");
        }
    }

    #[test]
    fn a_slow_trickle_is_published_in_full() {
        let mut limiter = Limiter::default();
        assert!((0..100).all(|n| limiter.admit(Timestamp::from_millis(n * 100))));
        assert_eq!(limiter.suppressed(), 0);
    }

    #[test]
    fn headers_say_where_it_came_from() {
        let at = Timestamp::parse_rfc3339("2026-01-05T08:00:00.120Z").unwrap();
        let message = dead_letter(&"avaya-1".into(), "fields", 4711, at, Bytes::from_static(b"30\xff"));
        assert_eq!((&*message.key, message.route), ("avaya-1", Route::DeadLetter));
        let headers: Vec<String> =
            message.headers.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value))).collect();
        assert_eq!(
            headers,
            ["integration=avaya-1", "reason=fields", "offset=4711", "received_at=2026-01-05T08:00:00.120Z"]
        );
    }

    #[test]
    fn a_refused_message_keeps_its_headers_and_the_beginning_of_its_value() {
        let original = Message {
            route: Route::AgentState,
            key: "avaya-1/1/301204".into(),
            payload: Bytes::from(vec![b'x'; 2_000_000]),
            headers: vec![
                (header::EVENT_ID, Bytes::from_static(b"e1")),
                (header::CONTENT_TYPE, Bytes::from_static(header::PROTOBUF.as_bytes())),
            ],
            read_at: None,
        };
        let message = refused(&"avaya-1".into(), "kafka_too_large", Timestamp::from_millis(0), &original);
        assert_eq!(message.payload.len(), REFUSED_VALUE_BYTES);
        let names: Vec<_> = message.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["integration", "reason", "received_at", "event_id"]);
    }
}
