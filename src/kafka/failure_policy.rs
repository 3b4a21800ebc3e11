//! What follows from a producer's failures: back-off, the next producer, messages one by one, dead letters.
//!
//! Policy: a message that can never succeed must not stop the others. When one request of several messages is refused for its
//! size or contents, they are sent again one by one, and the one that is refused alone becomes a dead letter. If none is,
//! requests were too large for the topic, and become smaller. Anything else is tried again, after a back-off of 100 ms
//! doubling to 10 s. So a topic that is missing, or that we may not write to, holds up everything after its messages until it
//! is available: nothing is lost. Side topics do not, once they are missing: feed statuses become dead letters instead, dead
//! letters are only counted, and each topic is tried again with its first message after a minute. Nor does the audit topic,
//! whether missing or closed to us: what people do over HTTP must not stop events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;

use crate::config::model::{Delivery, Kafka};
use crate::config::topics::GivesWay;
use crate::journal::message::{Message, Route, Topic};
use crate::journal::send_window::{Outgoing, SendWindow};
use crate::telemetry::targets::KAFKA;
use crate::time::Timestamp;

use super::client::{Sizing, producer_settings};
use super::connection::KafkaConnection;
use super::dead_letter;
use super::delivery::{Breakage, FailureList, Monitor, OnTheWay};
use super::diagnosis::{is_missing, is_refusal};

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// How long a topic that nothing may wait for is left alone.
const CLOSED: Duration = Duration::from_secs(60);
/// How long a query about it may take.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// A broker that has just started, or a topic that was just created, may not be known everywhere.
const ANSWERS_OF_A_MISSING_TOPIC: u32 = 3;
const ANSWER_WAIT: Duration = Duration::from_millis(250);
/// Where learning the size of requests starts and ends.
const BATCH_SIZE: usize = 1_000_000;
const SMALLEST_BATCH_SIZE: usize = 16 * 1024;

/// A topic that nothing may wait for.
struct SideTopic {
    topic: Topic,
    name: String,
    is_to_be_created: bool,
    /// Until when it counts as closed, and why.
    closed: Option<(Instant, RDKafkaErrorCode)>,
    /// The last probe found it.
    is_known: bool,
}

/// What one integration's publisher has learned from failures.
pub(super) struct FailurePolicy {
    integration: Arc<str>,
    send_window: Arc<SendWindow>,
    monitor: Arc<Monitor>,
    backoff: Duration,
    /// Below this position messages are sent one by one.
    single_until: Option<u64>,
    /// Whether one of those was refused alone.
    found_refused: bool,
    batch_size: Option<usize>,
    configured_batch_size: Option<usize>,
    side: Vec<SideTopic>,
}

impl FailurePolicy {
    /// Creates it with nothing learned yet.
    pub(super) fn new(
        integration: Arc<str>,
        kafka: &Kafka,
        send_window: Arc<SendWindow>,
        monitor: Arc<Monitor>,
    ) -> Self {
        let side = |topic: Topic| SideTopic {
            topic,
            name: kafka.topics[topic].to_owned(),
            is_to_be_created: kafka.create_topics,
            closed: None,
            is_known: false,
        };
        let gives_way = |topic: &Topic| topic.spec().gives_way != GivesWay::Never;
        let side = Topic::ALL.into_iter().filter(gives_way).map(side).collect();
        Self {
            integration,
            send_window,
            monitor,
            backoff: FIRST_BACKOFF,
            single_until: None,
            found_refused: false,
            batch_size: None,
            configured_batch_size: kafka.properties.get("batch.size").and_then(|value| value.parse().ok()),
            side,
        }
    }

    /// Creates a producer with what was learned; Kafka itself need not be reachable.
    ///
    /// # Errors
    /// When librdkafka does not accept the settings.
    pub(super) fn connect(&self, servers: &str, kafka: &Kafka) -> KafkaResult<KafkaConnection> {
        let sizing = match self.single_until {
            Some(_) => Sizing::Single,
            None => Sizing::Batches(self.batch_size),
        };
        let settings = producer_settings(servers, kafka, &self.integration, sizing);
        let on_the_way = (kafka.delivery == Delivery::ExactlyOnce).then(|| Arc::new(OnTheWay::default()));
        KafkaConnection::open(&settings, &self.send_window, &self.monitor, on_the_way)
    }

    /// Does the same after a wait, however many attempts it takes; `None` once the send window is stopped.
    pub(super) fn reconnect(&mut self, servers: &str, kafka: &Kafka, mut wait: Duration) -> Option<KafkaConnection> {
        loop {
            if self.send_window.wait_for(wait) {
                return None;
            }
            match self.connect(servers, kafka) {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    tracing::warn!(
                        target: KAFKA, integration = &*self.integration, %error, "no kafka producer, will be retried"
                    );
                    wait = self.next_backoff();
                }
            }
        }
    }

    /// Returns the position up to which a producer of that sizing is used.
    pub(super) fn until(&self) -> u64 {
        self.single_until.unwrap_or(u64::MAX)
    }

    /// Begins with the shortest back-off again, because something was delivered.
    pub(super) fn reset_backoff(&mut self) {
        self.backoff = FIRST_BACKOFF;
    }

    /// Returns how long to wait before the next attempt.
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
            if let Some(Breakage { code, topic: Some(topic) }) = broken
                && gives_way(topic, code)
            {
                self.close(topic, code);
                return FIRST_BACKOFF;
            }
            let kind = broken.map(|broken| format!("{:?}", broken.code));
            let pending = self.send_window.pending();
            tracing::warn!(
                target: KAFKA, integration = &*self.integration,
                kind,
                pending,
                ?wait,
                "kafka producer failed, starting anew"
            );
            return wait;
        };
        if self.single_until.is_some() {
            for (position, code) in refused {
                if let Some(message) = self.send_window.message(position) {
                    self.give_up(position, &message, code);
                    self.found_refused = true;
                }
            }
        } else {
            tracing::warn!(
                target: KAFKA, integration = &*self.integration,
                messages = refused.len(),
                "kafka refused a request, its messages are sent one by one"
            );
            self.single_until = Some(last + 1);
            self.found_refused = false;
        }
        Duration::ZERO
    }

    /// Returns to many messages per request; to fewer if their sum was too large.
    pub(super) fn end_single(&mut self) {
        self.single_until = None;
        if !self.found_refused {
            let current = self.batch_size.or(self.configured_batch_size).unwrap_or(BATCH_SIZE);
            let smaller = (current / 4).max(SMALLEST_BATCH_SIZE);
            self.batch_size = Some(smaller);
            tracing::warn!(
                target: KAFKA, integration = &*self.integration,
                batch_size = smaller,
                "requests were larger than the topic allows: set kafka.properties batch.size below max.message.bytes"
            );
        }
    }

    /// Returns why nothing is sent to a topic at present. Whether a side topic exists is checked before its first message:
    /// librdkafka, and a transaction with it, waits for a missing topic.
    pub(super) fn closed(&mut self, topic: Topic, connection: &KafkaConnection) -> Option<RDKafkaErrorCode> {
        let side = self.side.iter_mut().find(|side| side.topic == topic)?;
        if let Some((until, code)) = side.closed
            && Instant::now() < until
        {
            return Some(code);
        }
        if side.is_known {
            return None;
        }
        let mut answer = Ok(());
        for _ in 0..ANSWERS_OF_A_MISSING_TOPIC {
            // A broker that cannot be asked accepts nothing either: the message waits like everything else.
            answer = probe(connection, &side.name)?;
            if answer.is_ok() || self.send_window.wait_for(ANSWER_WAIT) {
                break;
            }
        }
        let Err(code) = answer else {
            side.is_known = true;
            return None;
        };
        // It may be about to be created.
        let may_come = side.is_to_be_created && side.closed.is_none() && !is_refusal(code);
        if may_come || !gives_way(topic, code) {
            return None;
        }
        self.close(topic, code);
        Some(code)
    }

    fn close(&mut self, topic: Topic, code: RDKafkaErrorCode) {
        let reason = self.monitor.explain(code, Some(topic), &code.to_string());
        let integration = &*self.integration;
        match topic {
            Topic::DeadLetter => tracing::error!(
                target: KAFKA, integration,
                reason,
                "dead letters cannot be published: they are only counted, the topic is looked at again in a minute"
            ),
            Topic::Audit => tracing::error!(
                target: KAFKA, integration,
                reason,
                "audit records cannot be published: dead letters take their place, the topic is looked at again in a minute"
            ),
            _ => tracing::error!(
                target: KAFKA, integration,
                reason,
                "feed statuses cannot be published: dead letters take their place, the topic is looked at again in a minute"
            ),
        }
        for side in self.side.iter_mut().filter(|side| side.topic == topic) {
            side.closed = Some((Instant::now() + CLOSED, code));
            side.is_known = false;
        }
    }

    /// Replaces a message that Kafka will never accept by a dead letter. Returns what is to be sent instead.
    pub(super) fn give_up(&self, position: u64, message: &Message, code: RDKafkaErrorCode) -> Option<Outgoing> {
        if position == Outgoing::UNTRACKED {
            return None; // a heartbeat, which the next one replaces
        }
        let reason = match code {
            RDKafkaErrorCode::InvalidRecord => "kafka_invalid_record",
            code if is_closed(code) => match message.route {
                Route::FeedStatus => "feed_status_topic_missing",
                Route::DeadLetter => "dead_letter_topic_missing",
                _ => "audit_topic_closed",
            },
            _ => "kafka_too_large",
        };
        tracing::error!(
            target: KAFKA, integration = &*self.integration,
            reason,
            bytes = message.payload.len(),
            "message given up, a dead letter takes its place"
        );
        self.monitor.observer().dropped(reason);
        let replacement = (message.route != Route::DeadLetter)
            .then(|| dead_letter::refused(&self.integration, reason, Timestamp::now(), message));
        self.send_window.replace(position, replacement)
    }
}

/// Returns what the broker says about a topic; `None` where it does not answer.
fn probe(connection: &KafkaConnection, name: &str) -> Option<Result<(), RDKafkaErrorCode>> {
    let metadata = connection.producer.client().fetch_metadata(Some(name), PROBE_TIMEOUT).ok()?;
    let found = metadata.topics().iter().find(|found| found.name() == name)?;
    Some(found.error().map_or(Ok(()), |error| Err(RDKafkaErrorCode::from(error))))
}

/// Whether messages for a topic give way to the others after such an error.
fn gives_way(topic: Topic, code: RDKafkaErrorCode) -> bool {
    match topic.spec().gives_way {
        GivesWay::WhenClosed => is_closed(code),
        GivesWay::WhenMissing => is_missing(code),
        GivesWay::Never => false,
    }
}

/// Whether a topic is missing, or we may not write to it.
fn is_closed(code: RDKafkaErrorCode) -> bool {
    code == RDKafkaErrorCode::TopicAuthorizationFailed || is_missing(code)
}
