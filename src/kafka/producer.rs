//! The publisher thread of one integration: takes messages from the outbox and makes a producer deliver them.
//!
//! Invariants: messages go to the producer in the order of their positions; a message leaves the outbox only by a delivery
//! report; of one key, no message overtakes another (see `outbox` for what that means after a failure).
//!
//! Failure policy. librdkafka retries what can be retried, for ever, and in order. Whatever it nevertheless reports as failed
//! ends the producer: `enable.gapless.guarantee` stops it before anything after the failed message is sent, the rest is
//! purged, and a new producer starts again at the first unacknowledged message, as `refusals` says.
//!
//! Cost: two threads per integration (this one and librdkafka's polling); one allocation of headers per delivery.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::error::KafkaError;

use crate::config::model::Kafka;
use crate::journal::lane::Lane;
use crate::journal::outbox::{Outbox, Outgoing, Taken};
use crate::telemetry::targets::KAFKA;

use super::comparison::Comparison;
use super::connection::{Connection, Refusal};
use super::delivery::{Monitor, Ticket};
use super::refusals::Refusals;

/// Messages taken from the outbox at a time.
const TAKE: usize = 256;

/// Why pumping ended.
enum End {
    Stopped,
    Failed,
    /// Everything that was sent one by one is acknowledged.
    Reached,
}

/// What the publisher thread owns.
pub(crate) struct PublisherThread {
    integration: Arc<str>,
    servers: String,
    kafka: Kafka,
    lane: Lane,
    outbox: Arc<Outbox>,
    comparison: Arc<Comparison>,
    refusals: Refusals,
}

impl PublisherThread {
    /// Starts it. The first producer is created here, so that settings that librdkafka does not accept are a startup error;
    /// Kafka itself need not be reachable.
    pub(crate) fn spawn(
        integration: Arc<str>,
        servers: &str,
        kafka: &Kafka,
        lane: Lane,
        comparison: Arc<Comparison>,
        monitor: Arc<Monitor>,
    ) -> Result<JoinHandle<()>, SpawnError> {
        let outbox = Arc::clone(lane.outbox());
        let refusals = Refusals::new(Arc::clone(&integration), kafka, Arc::clone(&outbox), monitor);
        let (servers, kafka) = (servers.to_owned(), kafka.clone());
        let publisher = Self { integration, servers, kafka, lane, outbox, comparison, refusals };
        let first = publisher.refusals.connect(&publisher.servers, &publisher.kafka)?;
        let name = format!("publish-{}", publisher.integration);
        Ok(thread::Builder::new().name(name).spawn(move || publisher.run(first))?)
    }

    fn run(mut self, first: Connection) {
        if !self.comparison.wait(|| self.outbox.pause(Duration::ZERO)) {
            return;
        }
        let mut connection = first;
        loop {
            let acknowledged_before = self.outbox.acknowledged_to();
            let end = self.pump(&connection);
            let failures = Arc::clone(&connection.failures);
            drop(connection); // purges, and serves the last reports
            if self.outbox.acknowledged_to() > acknowledged_before {
                self.refusals.progress();
            }
            let wait = match end {
                End::Stopped => return,
                End::Reached => {
                    self.refusals.end_single();
                    Duration::ZERO
                }
                End::Failed => self.refusals.after_failure(failures.take()),
            };
            let duplicates = self.outbox.rewind();
            tracing::debug!(target: KAFKA, integration = &*self.integration, duplicates, ?wait, "new producer");
            let Some(next) = self.refusals.reconnect(&self.servers, &self.kafka, wait) else { return };
            connection = next;
        }
    }

    /// Hands messages to the producer until it must end.
    fn pump(&mut self, connection: &Connection) -> End {
        let until = self.refusals.until();
        loop {
            if connection.has_failed() {
                return End::Failed;
            }
            match self.outbox.take(TAKE, until) {
                Taken::Interrupted => {}
                Taken::Behind(position) => self.lane.fetch(&self.integration, position),
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

    /// Sends a message to the topics that lack it.
    fn send(&mut self, connection: &Connection, outgoing: &Outgoing) -> Option<End> {
        let message = &outgoing.message;
        for topic in outgoing.topics() {
            if let Some(code) = self.refusals.closed(topic, connection) {
                let replacement = self.refusals.give_up(outgoing.position, message, code)?;
                return self.send(connection, &replacement);
            }
            let ticket = Ticket { position: outgoing.position, topic };
            let name = topic.name(&self.kafka.topics);
            match connection.enqueue_message(name, message, ticket) {
                Ok(()) => {}
                Err(Refusal::TooLarge(code)) => {
                    let replacement = self.refusals.give_up(outgoing.position, message, code)?;
                    return self.send(connection, &replacement);
                }
                Err(Refusal::Failed) => return Some(End::Failed),
                Err(Refusal::Stopped) => return Some(End::Stopped),
            }
        }
        None
    }
}

/// Why a publisher thread could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error(transparent)]
    Settings(#[from] KafkaError),
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}
