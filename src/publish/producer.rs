//! The publisher thread of one integration: takes messages from the outbox and has a producer deliver them.
//!
//! Invariants: messages go to the producer in the order of their positions; a message leaves the outbox by a delivery
//! report and by nothing else; of one key, no message overtakes another (see `outbox` for what that means after a
//! failure).
//!
//! Failure policy. librdkafka retries what can be retried, for ever, and in order. Whatever it nevertheless reports as
//! failed ends the producer: `enable.gapless.guarantee` stops it before anything behind the failed message is sent, the
//! rest is purged, and a new producer starts again at the first unacknowledged message, after a back-off of 100 ms
//! doubling to 10 s. A message that can never succeed must not stop the others: when one request of several messages
//! is refused for its size or contents, they are sent again one by one, and the one that is refused alone becomes a
//! dead letter. If none is, requests were too large for the topic, and become smaller.
//!
//! Cost: two threads per integration (this one and librdkafka's polling); one allocation of headers per delivery.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ThreadedProducer};

use super::client::{Sizing, producer_settings};
use super::dead_letter;
use super::delivery::{FailureList, Failures, Monitor, Reports, Ticket};
use super::message::{Message, Route};
use super::outbox::{Outbox, Outgoing, Taken};
use crate::config::model::Kafka;
use crate::time::Timestamp;

/// Messages taken from the outbox at a time.
const TAKE: usize = 256;
/// How long a full queue of librdkafka is left alone.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(10);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// Where learning the size of requests starts and ends.
const BATCH_SIZE: usize = 1_000_000;
const SMALLEST_BATCH_SIZE: usize = 16 * 1024;

/// Why pumping ended.
enum End {
    Stopped,
    Failed,
    /// Everything that was sent one by one is acknowledged.
    Reached,
}

struct Connection {
    producer: ThreadedProducer<Reports>,
    failures: Arc<Failures>,
}

/// What the publisher thread owns.
pub(crate) struct PublisherThread {
    integration: Arc<str>,
    servers: String,
    kafka: Kafka,
    outbox: Arc<Outbox>,
    monitor: Arc<Monitor>,
    backoff: Duration,
    /// Below this position messages are sent one by one.
    single_until: Option<u64>,
    /// Whether one of those was refused alone.
    found_refused: bool,
    batch_size: Option<usize>,
}

impl PublisherThread {
    /// Starts it. The first producer is made here, so that settings that librdkafka does not accept are an error of the
    /// start; Kafka itself need not be there.
    pub(crate) fn spawn(
        integration: Arc<str>,
        servers: &str,
        kafka: &Kafka,
        outbox: Arc<Outbox>,
        monitor: Arc<Monitor>,
    ) -> Result<JoinHandle<()>, SpawnError> {
        let publisher = Self {
            integration,
            servers: servers.to_owned(),
            kafka: kafka.clone(),
            outbox,
            monitor,
            backoff: FIRST_BACKOFF,
            single_until: None,
            found_refused: false,
            batch_size: None,
        };
        let first = publisher.connect()?;
        let name = format!("publish-{}", publisher.integration);
        Ok(thread::Builder::new().name(name).spawn(move || publisher.run(first))?)
    }

    fn connect(&self) -> KafkaResult<Connection> {
        let sizing = match self.single_until {
            Some(_) => Sizing::Single,
            None => Sizing::Batches(self.batch_size),
        };
        let settings = producer_settings(&self.servers, &self.kafka, &self.integration, sizing);
        let failures = Arc::new(Failures::default());
        let reports = Reports::new(Arc::clone(&self.outbox), Arc::clone(&self.monitor), Arc::clone(&failures));
        let producer = ThreadedProducer::from_config_and_context(&settings, reports)?;
        Ok(Connection { producer, failures })
    }

    fn run(mut self, first: Connection) {
        let mut connection = first;
        loop {
            let acknowledged_before = self.outbox.acknowledged_to();
            let end = self.pump(&connection);
            let failures = Arc::clone(&connection.failures);
            drop(connection); // purges, and serves the last reports
            if self.outbox.acknowledged_to() > acknowledged_before {
                self.backoff = FIRST_BACKOFF;
            }
            let wait = match end {
                End::Stopped => return,
                End::Reached => {
                    self.end_single();
                    Duration::ZERO
                }
                End::Failed => self.after_failure(failures.take()),
            };
            let duplicates = self.outbox.rewind();
            tracing::debug!(integration = &*self.integration, duplicates, ?wait, "new producer");
            let Some(next) = self.reconnect(wait) else { return };
            connection = next;
        }
    }

    /// A producer, after a wait, however many attempts it takes; `None` once the outbox is stopped.
    fn reconnect(&mut self, mut wait: Duration) -> Option<Connection> {
        loop {
            if self.outbox.pause(wait) {
                return None;
            }
            match self.connect() {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    tracing::warn!(integration = &*self.integration, %error, "no kafka producer, will be retried");
                    wait = self.next_backoff();
                }
            }
        }
    }

    fn next_backoff(&mut self) -> Duration {
        let wait = self.backoff;
        self.backoff = (wait * 2).min(LONGEST_BACKOFF);
        wait
    }

    /// Hands messages to the producer until it must end.
    fn pump(&self, connection: &Connection) -> End {
        let until = self.single_until.unwrap_or(u64::MAX);
        loop {
            if connection.failures.any() {
                return End::Failed;
            }
            match self.outbox.take(TAKE, until) {
                Taken::Interrupted => {}
                Taken::Reached => return End::Reached,
                Taken::Stopped => return End::Stopped,
                Taken::Messages(messages) => {
                    for outgoing in &messages {
                        if let Some(end) = self.send(connection, outgoing) {
                            return end;
                        }
                    }
                }
            }
        }
    }

    /// Sends a message to the topics that miss it.
    fn send(&self, connection: &Connection, outgoing: &Outgoing) -> Option<End> {
        for topic in outgoing.topics() {
            let ticket = Ticket { position: outgoing.position, topic };
            match self.enqueue(connection, &outgoing.message, ticket) {
                Ok(()) => {}
                // Refused on this side: it has no place in the sequence of messages yet, so that no gap arises.
                Err(Refusal::TooLarge(code)) => {
                    let replacement = self.give_up(outgoing.position, &outgoing.message, code)?;
                    return self.send(connection, &replacement);
                }
                Err(Refusal::End(end)) => return Some(end),
            }
        }
        None
    }

    fn enqueue(&self, connection: &Connection, message: &Message, ticket: Ticket) -> Result<(), Refusal> {
        let headers = OwnedHeaders::new_with_capacity(message.headers.len());
        let headers = message
            .headers
            .iter()
            .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(&**value) }));
        let mut record = BaseRecord::with_opaque_to(ticket.topic.name(&self.kafka.topics), ticket.pack())
            .key(&*message.key)
            .payload(&*message.payload)
            .headers(headers);
        loop {
            if connection.failures.any() {
                return Err(Refusal::End(End::Failed));
            }
            let (error, returned) = match connection.producer.send(record) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            match error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail) {
                RDKafkaErrorCode::QueueFull => {
                    if self.outbox.pause(QUEUE_FULL_WAIT) {
                        return Err(Refusal::End(End::Stopped));
                    }
                    record = returned;
                }
                code @ RDKafkaErrorCode::MessageSizeTooLarge => return Err(Refusal::TooLarge(code)),
                code => {
                    if connection.failures.record(ticket.position, code) {
                        self.monitor.error(code, &error.to_string());
                    }
                    return Err(Refusal::End(End::Failed));
                }
            }
        }
    }

    /// Draws the conclusions from a producer's failures. Returns how long to wait before the next one.
    fn after_failure(&mut self, failures: FailureList) -> Duration {
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
    fn end_single(&mut self) {
        self.single_until = None;
        if !self.found_refused {
            let configured = self.kafka.properties.get("batch.size").and_then(|value| value.parse().ok());
            let current = self.batch_size.or(configured).unwrap_or(BATCH_SIZE);
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
    fn give_up(&self, position: u64, message: &Message, code: RDKafkaErrorCode) -> Option<Outgoing> {
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

/// Why a message was not enqueued.
enum Refusal {
    TooLarge(RDKafkaErrorCode),
    End(End),
}

/// Why a publisher thread could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error(transparent)]
    Settings(#[from] KafkaError),
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}
