//! What follows from a producer's failures: back-off, the next producer, messages one by one, dead letters.
//!
//! Policy: a message that can never succeed must not stop the others. When one request of several messages is refused for
//! its size or contents, they are sent again one by one, and the one that is refused alone becomes a dead letter. If none
//! is, requests were too large for the topic, and become smaller. Anything else is tried again, after a back-off of 100 ms
//! doubling to 10 s.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

use super::client::{Sizing, producer_settings};
use super::connection::Connection;
use super::dead_letter;
use super::delivery::{FailureList, Monitor, OnTheWay};
use super::message::{Message, Route};
use super::outbox::{Outbox, Outgoing};
use crate::config::model::{Delivery, Kafka};
use crate::time::Timestamp;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// Where learning the size of requests starts and ends.
const BATCH_SIZE: usize = 1_000_000;
const SMALLEST_BATCH_SIZE: usize = 16 * 1024;

/// What one integration's publisher has learnt from failures.
pub(super) struct Refusals {
    integration: Arc<str>,
    outbox: Arc<Outbox>,
    monitor: Arc<Monitor>,
    backoff: Duration,
    /// Below this position messages are sent one by one.
    single_until: Option<u64>,
    /// Whether one of those was refused alone.
    found_refused: bool,
    batch_size: Option<usize>,
    configured_batch_size: Option<usize>,
}

impl Refusals {
    /// Nothing yet.
    pub(super) fn new(integration: Arc<str>, kafka: &Kafka, outbox: Arc<Outbox>, monitor: Arc<Monitor>) -> Self {
        Self {
            integration,
            outbox,
            monitor,
            backoff: FIRST_BACKOFF,
            single_until: None,
            found_refused: false,
            batch_size: None,
            configured_batch_size: kafka.properties.get("batch.size").and_then(|value| value.parse().ok()),
        }
    }

    /// A producer with what was learnt; Kafka itself need not be there.
    ///
    /// # Errors
    /// When librdkafka does not accept the settings.
    pub(super) fn connect(&self, servers: &str, kafka: &Kafka) -> KafkaResult<Connection> {
        let sizing = match self.single_until {
            Some(_) => Sizing::Single,
            None => Sizing::Batches(self.batch_size),
        };
        let settings = producer_settings(servers, kafka, &self.integration, sizing);
        let on_the_way = (kafka.delivery == Delivery::ExactlyOnce).then(|| Arc::new(OnTheWay::default()));
        Connection::open(&settings, &self.outbox, &self.monitor, on_the_way)
    }

    /// The same after a wait, however many attempts it takes; `None` once the outbox is stopped.
    pub(super) fn reconnect(&mut self, servers: &str, kafka: &Kafka, mut wait: Duration) -> Option<Connection> {
        loop {
            if self.outbox.pause(wait) {
                return None;
            }
            match self.connect(servers, kafka) {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    tracing::warn!(integration = &*self.integration, %error, "no kafka producer, will be retried");
                    wait = self.next_backoff();
                }
            }
        }
    }

    /// Up to which position a producer of that sizing is used.
    pub(super) fn until(&self) -> u64 {
        self.single_until.unwrap_or(u64::MAX)
    }

    /// Something was delivered.
    pub(super) fn progress(&mut self) {
        self.backoff = FIRST_BACKOFF;
    }

    /// How long to wait before the next attempt.
    pub(super) fn next_backoff(&mut self) -> Duration {
        let wait = self.backoff;
        self.backoff = (wait * 2).min(LONGEST_BACKOFF);
        wait
    }

    /// Draws the conclusions from a producer's failures. Returns how long to wait before the next one.
    pub(super) fn after_failure(&mut self, failures: FailureList) -> Duration {
        let FailureList { broken, mut refused } = failures;
        refused.sort_unstable_by_key(|(position, _)| *position);
        refused.dedup_by_key(|(position, _)| *position);
        let Some((last, _)) = refused.last() else {
            let wait = self.next_backoff();
            let kind = broken.map(|code| format!("{code:?}"));
            let pending = self.outbox.pending();
            tracing::warn!(
                integration = &*self.integration,
                kind,
                pending,
                ?wait,
                "kafka producer failed, starting anew"
            );
            return wait;
        };
        if self.single_until.is_some() {
            for (position, code) in refused {
                if let Some(message) = self.outbox.message(position) {
                    self.give_up(position, &message, code);
                    self.found_refused = true;
                }
            }
        } else {
            tracing::warn!(
                integration = &*self.integration,
                messages = refused.len(),
                "kafka refused a request, its messages are sent one by one"
            );
            self.single_until = Some(last + 1);
            self.found_refused = false;
        }
        Duration::ZERO
    }

    /// Back to many messages per request; to fewer if it was their sum that was too large.
    pub(super) fn end_single(&mut self) {
        self.single_until = None;
        if !self.found_refused {
            let current = self.batch_size.or(self.configured_batch_size).unwrap_or(BATCH_SIZE);
            let smaller = (current / 4).max(SMALLEST_BATCH_SIZE);
            self.batch_size = Some(smaller);
            tracing::warn!(
                integration = &*self.integration,
                batch_size = smaller,
                "requests were larger than the topic allows: set kafka.properties batch.size below max.message.bytes"
            );
        }
    }

    /// A message that Kafka will never take: a dead letter takes its place. What is to be sent instead.
    pub(super) fn give_up(&self, position: u64, message: &Message, code: RDKafkaErrorCode) -> Option<Outgoing> {
        let reason = match code {
            RDKafkaErrorCode::InvalidRecord => "kafka_invalid_record",
            _ => "kafka_too_large",
        };
        tracing::error!(
            integration = &*self.integration,
            reason,
            bytes = message.payload.len(),
            "message given up, kafka will never take it"
        );
        self.monitor.observer().dropped(reason);
        let replacement = (message.route != Route::DeadLetter)
            .then(|| dead_letter::refused(&self.integration, reason, Timestamp::now(), message));
        self.outbox.replace(position, replacement)
    }
}
