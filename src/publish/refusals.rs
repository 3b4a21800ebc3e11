//! What follows from a producer's failures: back-off, the next producer, messages one by one, dead letters.
//!
//! Policy: a message that can never succeed must not stop the others. When one request of several messages is refused for
//! its size or contents, they are sent again one by one, and the one that is refused alone becomes a dead letter. If none
//! is, requests were too large for the topic, and become smaller. Anything else is tried again, after a back-off of 100 ms
//! doubling to 10 s. So a topic that is missing, or that we may not write to, holds up everything behind its messages until it
//! is there: nothing is lost. The audit topic does not: what people do over HTTP must not stop events. Its records become
//! dead letters instead, and it is tried again with the first one after a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;

use super::client::{Sizing, producer_settings};
use super::connection::Connection;
use super::dead_letter;
use super::delivery::{Breakage, FailureList, Monitor, OnTheWay};
use super::message::{Message, Route, Topic};
use super::outbox::{Outbox, Outgoing};
use crate::config::model::{Delivery, Kafka};
use crate::time::Timestamp;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// How long a topic that nothing may wait for is left alone.
const CLOSED: Duration = Duration::from_secs(60);
/// How long a look at it may take.
const LOOK: Duration = Duration::from_millis(500);
/// Where learning the size of requests starts and ends.
const BATCH_SIZE: usize = 1_000_000;
const SMALLEST_BATCH_SIZE: usize = 16 * 1024;

/// The topic that nothing may wait for.
struct AuditTopic {
    name: String,
    is_to_be_created: bool,
    /// Until when it counts as closed, and why.
    closed: Option<(Instant, RDKafkaErrorCode)>,
    /// It was there when we looked.
    is_known: bool,
}

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
    audit: AuditTopic,
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
            audit: AuditTopic {
                name: kafka.topics.audit.clone(),
                is_to_be_created: kafka.create_topics,
                closed: None,
                is_known: false,
            },
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
        let FailureList { broken, mut refused, .. } = failures;
        refused.sort_unstable_by_key(|(position, _)| *position);
        refused.dedup_by_key(|(position, _)| *position);
        let Some((last, _)) = refused.last() else {
            let wait = self.next_backoff();
            if let Some(Breakage { code, topic: Some(Topic::Audit) }) = broken.filter(|broken| is_closed(broken.code)) {
                self.close_audit(code);
                return FIRST_BACKOFF;
            }
            let kind = broken.map(|broken| format!("{:?}", broken.code));
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

    /// Why nothing is sent to a topic at present. Whether the audit topic is there is asked before the first record goes to it:
    /// librdkafka waits half a minute for a topic that is missing, and a transaction with it.
    pub(super) fn closed(&mut self, topic: Topic, connection: &Connection) -> Option<RDKafkaErrorCode> {
        if topic != Topic::Audit {
            return None;
        }
        if let Some((until, code)) = self.audit.closed
            && Instant::now() < until
        {
            return Some(code);
        }
        if self.audit.is_known {
            return None;
        }
        // Whoever cannot be asked can take nothing either: it waits as everything does.
        let metadata = connection.producer.client().fetch_metadata(Some(&self.audit.name), LOOK).ok()?;
        let found = metadata.topics().iter().find(|found| found.name() == self.audit.name)?;
        let Some(code) = found.error().map(RDKafkaErrorCode::from) else {
            self.audit.is_known = true;
            return None;
        };
        // It may be about to be created.
        let may_come = self.audit.is_to_be_created && self.audit.closed.is_none() && !super::trouble::is_refusal(code);
        if may_come || !is_closed(code) {
            return None;
        }
        self.close_audit(code);
        Some(code)
    }

    fn close_audit(&mut self, code: RDKafkaErrorCode) {
        let reason = self.monitor.explain(code, Some(Topic::Audit), &code.to_string());
        tracing::error!(
            integration = &*self.integration,
            reason,
            "audit records cannot be published: dead letters take their place, the topic is looked at again in a minute"
        );
        self.audit.closed = Some((Instant::now() + CLOSED, code));
        self.audit.is_known = false;
    }

    /// A message that Kafka will never take: a dead letter takes its place. What is to be sent instead.
    pub(super) fn give_up(&self, position: u64, message: &Message, code: RDKafkaErrorCode) -> Option<Outgoing> {
        let reason = match code {
            RDKafkaErrorCode::InvalidRecord => "kafka_invalid_record",
            code if is_closed(code) => "audit_topic_closed",
            _ => "kafka_too_large",
        };
        tracing::error!(
            integration = &*self.integration,
            reason,
            bytes = message.payload.len(),
            "message given up, a dead letter takes its place"
        );
        self.monitor.observer().dropped(reason);
        let replacement = (message.route != Route::DeadLetter)
            .then(|| dead_letter::refused(&self.integration, reason, Timestamp::now(), message));
        self.outbox.replace(position, replacement)
    }
}

/// Whether a topic is missing, or we may not write to it.
fn is_closed(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
    )
}
