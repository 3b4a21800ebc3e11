//! The publisher thread of one integration: takes messages from the send window and has a producer deliver them.
//!
//! The thread and its life cycle are here. What `delivery` asks for beyond that is a [`Guarantee`]: `at_least_once` and
//! `exactly_once`. Each round of the life cycle has one producer: the guarantee publishes with it until it must end and then
//! closes it, the driver decides by `failure_policy` when the next one begins, and the guarantee prepares for that.
//!
//! Invariants: messages go to the producer in the order of their positions, each to all of its topics; of one key, no message
//! overtakes another (see `send_window` for what that means after a failure).
//!
//! Failure policy: librdkafka retries what can be retried, for ever, and in order. Whatever it nevertheless reports as failed
//! ends the producer, and a new one starts again at the first message that is not acknowledged, as `failure_policy` says.
//!
//! Cost: two threads per integration, this one and librdkafka's polling; one allocation of headers per message and topic.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::error::KafkaError;
use uuid::Uuid;

use crate::config::model::{Delivery, Kafka};
use crate::journal::lane::Lane;
use crate::journal::send_window::{Outgoing, SendWindow, Taken};

use super::at_least_once::AtLeastOnce;
use super::comparison::Comparison;
use super::connection::{KafkaConnection, SendRefusal};
use super::delivery::{Monitor, Ticket};
use super::exactly_once::ExactlyOnce;
use super::failure_policy::FailurePolicy;

/// Messages taken from the send window at a time.
pub(super) const TAKE: usize = 256;

/// Why the work with a producer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DriverEnd {
    /// The send window was stopped.
    Stopped,
    /// Everything that was sent one by one has arrived.
    Reached,
    /// The producer is at its end; why is in its failures.
    Failed,
}

/// The send window was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DriverStopped;

impl From<DriverStopped> for DriverEnd {
    fn from(DriverStopped: DriverStopped) -> Self {
        Self::Stopped
    }
}

/// A delivery guarantee: what is particular to it in the life of a producer.
pub(super) trait Guarantee: Send {
    /// Does what must precede the first message of a producer.
    ///
    /// # Errors
    /// [`DriverEnd`] says why the producer must end.
    fn begin(&mut self, driver: &mut Driver, connection: &KafkaConnection) -> Result<(), DriverEnd>;

    /// Publishes the next messages; blocks until there are some. Called again and again.
    ///
    /// # Errors
    /// [`DriverEnd`] says why the producer must end.
    fn publish(&mut self, driver: &mut Driver, connection: &KafkaConnection) -> Result<(), DriverEnd>;

    /// Destroys the producer, which purges it and serves its last reports.
    fn close(&mut self, driver: &Driver, connection: KafkaConnection, end: DriverEnd);

    /// Prepares for the next producer, which is created after `wait`.
    ///
    /// # Errors
    /// When the send window was stopped.
    fn prepare_next(&mut self, driver: &mut Driver, end: DriverEnd, wait: Duration) -> Result<(), DriverStopped>;
}

/// What the thread works with, whatever the guarantee.
pub(super) struct Driver {
    pub(super) integration: Arc<str>,
    pub(super) servers: String,
    pub(super) kafka: Kafka,
    pub(super) lane: Lane,
    pub(super) send_window: Arc<SendWindow>,
    pub(super) comparison: Arc<Comparison>,
    pub(super) monitor: Arc<Monitor>,
    pub(super) failure_policy: FailurePolicy,
}

/// Starts an integration's publisher thread. The first producer is created here, so that settings that librdkafka does not
/// accept are a startup error; Kafka itself need not be reachable. `owner` is the id of the store whose journal counts the
/// positions.
pub(super) fn spawn(
    integration: &Arc<str>,
    servers: &str,
    kafka: &Kafka,
    owner: Uuid,
    lane: &Lane,
    comparison: &Arc<Comparison>,
    monitor: &Arc<Monitor>,
) -> Result<JoinHandle<()>, SpawnError> {
    let guarantee: Box<dyn Guarantee> = match kafka.delivery {
        Delivery::AtLeastOnce => Box::new(AtLeastOnce),
        Delivery::ExactlyOnce => Box::new(ExactlyOnce::new(owner)),
    };
    let send_window = Arc::clone(lane.send_window());
    let driver = Driver {
        integration: Arc::clone(integration),
        servers: servers.to_owned(),
        kafka: kafka.clone(),
        lane: lane.clone(),
        comparison: Arc::clone(comparison),
        monitor: Arc::clone(monitor),
        failure_policy: FailurePolicy::new(
            Arc::clone(integration),
            kafka,
            Arc::clone(&send_window),
            Arc::clone(monitor),
        ),
        send_window,
    };
    let first = driver.failure_policy.connect(&driver.servers, &driver.kafka)?;
    let name = format!("publish-{}", driver.integration);
    Ok(thread::Builder::new().name(name).spawn(move || driver.run(guarantee, first))?)
}

impl Driver {
    fn run(mut self, mut guarantee: Box<dyn Guarantee>, first: KafkaConnection) {
        let mut connection = first;
        loop {
            let acknowledged_before = self.send_window.acknowledged_to();
            let end = self.publish(&mut *guarantee, &connection);
            let failures = Arc::clone(&connection.failures);
            guarantee.close(&self, connection, end);
            if self.send_window.acknowledged_to() > acknowledged_before {
                self.failure_policy.reset_backoff();
            }
            let wait = match end {
                DriverEnd::Stopped => return,
                DriverEnd::Reached => {
                    self.failure_policy.end_single();
                    Duration::ZERO
                }
                DriverEnd::Failed => self.failure_policy.after_failure(failures.take()),
            };
            if guarantee.prepare_next(&mut self, end, wait).is_err() {
                return;
            }
            let Some(next) = self.failure_policy.reconnect(&self.servers, &self.kafka, wait) else { return };
            connection = next;
        }
    }

    /// Publishes with a producer until it must end.
    fn publish(&mut self, guarantee: &mut dyn Guarantee, connection: &KafkaConnection) -> DriverEnd {
        if let Err(end) = guarantee.begin(self, connection) {
            return end;
        }
        loop {
            if let Err(end) = guarantee.publish(self, connection) {
                return end;
            }
        }
    }

    /// Waits until Kafka is compared with the store.
    pub(super) fn wait_compared(&self) -> Result<(), DriverStopped> {
        if self.comparison.wait(|| self.is_stopped()) { Ok(()) } else { Err(DriverStopped) }
    }

    /// Takes the next messages from the send window, at least one, and fetches what is not in memory.
    pub(super) fn take(&self, connection: &KafkaConnection) -> Result<Vec<Outgoing>, DriverEnd> {
        loop {
            if connection.has_failed() {
                return Err(DriverEnd::Failed);
            }
            match self.send_window.take(TAKE, self.failure_policy.until()) {
                Taken::Interrupted => {}
                Taken::Behind(position) => self.lane.fetch(&self.integration, position),
                Taken::Reached => return Err(DriverEnd::Reached),
                Taken::Stopped => return Err(DriverEnd::Stopped),
                Taken::Messages(messages) => return Ok(messages),
            }
        }
    }

    /// Sends a message to the topics that lack it.
    pub(super) fn send(&mut self, connection: &KafkaConnection, outgoing: &Outgoing) -> Result<(), DriverEnd> {
        let message = &outgoing.message;
        for topic in outgoing.topics() {
            let code = match self.failure_policy.closed(topic, connection) {
                Some(code) => code,
                None => {
                    let ticket = Ticket { position: outgoing.position, topic };
                    match connection.enqueue_message(&self.kafka.topics[topic], message, ticket) {
                        Ok(()) => continue,
                        Err(SendRefusal::TooLarge(code)) => code,
                        Err(SendRefusal::Failed) => return Err(DriverEnd::Failed),
                        Err(SendRefusal::Stopped) => return Err(DriverEnd::Stopped),
                    }
                }
            };
            let replacement = self.failure_policy.give_up(outgoing.position, message, code);
            return replacement.map_or(Ok(()), |replacement| self.send(connection, &replacement));
        }
        Ok(())
    }

    /// Waits that long, unless the send window is stopped.
    pub(super) fn pause(&self, wait: Duration) -> Result<(), DriverStopped> {
        if self.send_window.wait_for(wait) { Err(DriverStopped) } else { Ok(()) }
    }

    /// Whether the send window was stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.send_window.wait_for(Duration::ZERO)
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
