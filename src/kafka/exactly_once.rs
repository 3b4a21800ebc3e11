//! Exactly-once delivery: messages in transactions.
//!
//! Invariants: a transaction holds messages in the order of their positions, each on all of its topics, and a checkpoint with
//! the position after the last; a message leaves the send window only when the transaction is committed. One request in
//! flight (see `client`). A new producer begins by ending what an earlier one left open, and learns from the last checkpoint
//! how much of our journal is committed, however uncertain the outcome of the last commit was. Then it commits its claim, as
//! `ownership` explains; between the claim and the first message Kafka is compared with the store (`comparison`).
//!
//! Failure policy: what can be repeated is repeated, for ever; everything else ends the transaction and the producer. While
//! Kafka is away, everything waits; a transaction that was open for longer than the time-out is aborted by the broker and sent
//! again.
//!
//! Cost: a commit writes to the coordinator and to each partition concerned, some 6 ms on one broker; after idleness a
//! message is committed at once, under load messages gather for `commit_interval`.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use uuid::Uuid;

use crate::fail_point;
use crate::journal::message::Topic;
use crate::journal::send_window::Outgoing;
use crate::telemetry::targets::KAFKA;

use super::connection::{KafkaConnection, SendRefusal};
use super::delivery::Ticket;
use super::driver::{Driver, DriverEnd, DriverStopped, Guarantee, TAKE};
use super::ownership::Ownership;

/// Where a transaction ends, whatever still waits.
const FULL_MESSAGES: usize = 10_000;
const FULL_BYTES: usize = 8 * 1024 * 1024;
/// How long a call continues after it was stopped.
const STEP: Duration = Duration::from_millis(500);
const RETRY_WAIT: Duration = Duration::from_millis(20);
/// How often the thread checks whether messages make a full transaction.
const GATHER_STEP: Duration = Duration::from_millis(10);
/// A producer that cannot end its commit for so long is replaced; the next one finds out the outcome.
const COMMIT_PATIENCE: Duration = Duration::from_secs(120);
const ABORT_PATIENCE: Duration = Duration::from_secs(2);
/// A call that is repeated for so long is an error that somebody should see.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// The guarantee that every message arrives, and none twice.
pub(super) struct ExactlyOnce {
    ownership: Ownership,
    /// When the last transaction with messages began.
    begun: Option<Instant>,
    /// The last producer could abort its transaction: it had not been shut out.
    is_aborted: bool,
}

impl ExactlyOnce {
    /// Creates it for the store whose journal counts the positions.
    pub(super) const fn new(owner: Uuid) -> Self {
        Self { ownership: Ownership::new(owner), begun: None, is_aborted: false }
    }

    /// Waits until the next transaction may begin, or messages fill one.
    fn gather(&self, driver: &Driver) -> Result<(), DriverStopped> {
        let Some(begun) = self.begun else { return Ok(()) };
        let full = FULL_MESSAGES.min(driver.kafka.queue_events / 4 * 3);
        loop {
            let left = driver.kafka.commit_interval.saturating_sub(begun.elapsed());
            if left.is_zero() || driver.send_window.pending() >= full {
                return Ok(());
            }
            driver.pause(left.min(GATHER_STEP))?;
        }
    }

    /// Ends the transaction with a checkpoint.
    fn commit(&self, driver: &Driver, connection: &KafkaConnection, position: u64) -> Result<(), DriverEnd> {
        let checkpoint = self.ownership.checkpoint(driver, position);
        let ticket = Ticket { position, topic: Topic::Checkpoint };
        let (name, value) = (&driver.kafka.topics[Topic::Checkpoint], checkpoint.value());
        match connection.enqueue(name, &driver.integration, Some(value.as_bytes()), &checkpoint.headers(), ticket) {
            Ok(()) => {}
            Err(SendRefusal::Stopped) => return Err(DriverEnd::Stopped),
            Err(SendRefusal::Failed) => return Err(DriverEnd::Failed),
            Err(SendRefusal::TooLarge(code)) => return Err(failed(driver, connection, code, "checkpoint refused")),
        }
        wait_delivered(driver, connection)?;
        fail_point::reach(fail_point::BEFORE_TRANSACTION_COMMIT);
        insist(driver, connection, Some(COMMIT_PATIENCE), || connection.producer.commit_transaction(STEP))
    }
}

impl Guarantee for ExactlyOnce {
    /// Shuts out earlier producers, learns what is committed, and commits our claim.
    fn begin(&mut self, driver: &mut Driver, connection: &KafkaConnection) -> Result<(), DriverEnd> {
        insist(driver, connection, None, || connection.producer.init_transactions(STEP))?;
        let position = self.ownership.learn(driver)?;
        insist(driver, connection, None, || connection.producer.begin_transaction())?;
        self.commit(driver, connection, position)?;
        self.ownership.set_claimed(driver, position);
        Ok(driver.wait_compared()?)
    }

    /// Makes one transaction of what is in the send window.
    fn publish(&mut self, driver: &mut Driver, connection: &KafkaConnection) -> Result<(), DriverEnd> {
        let mut messages = driver.take(connection)?;
        self.gather(driver)?;
        self.begun = Some(Instant::now());
        insist(driver, connection, None, || connection.producer.begin_transaction())?;
        fail_point::reach(fail_point::TRANSACTION_BEGUN);
        let (mut count, mut bytes, mut position) = (0, 0, driver.send_window.acknowledged_to());
        while !messages.is_empty() {
            let tracked = messages.iter().map(|outgoing| outgoing.position).filter(|at| *at != Outgoing::UNTRACKED);
            position = tracked.max().map_or(position, |last| last + 1);
            for outgoing in &messages {
                bytes += outgoing.message.size();
                driver.send(connection, outgoing)?;
            }
            count += messages.len();
            if count >= FULL_MESSAGES || bytes >= FULL_BYTES {
                break;
            }
            messages = driver.send_window.take_ready(TAKE, driver.failure_policy.until());
        }
        fail_point::reach(fail_point::TRANSACTION_SENT);
        self.commit(driver, connection, position)?;
        fail_point::reach(fail_point::AFTER_TRANSACTION_COMMIT);
        driver.monitor.record_acknowledged(driver.send_window.acknowledge_to(position));
        Ok(())
    }

    /// Aborts the open transaction, and makes the next producer send its messages again.
    fn close(&mut self, driver: &Driver, connection: KafkaConnection, end: DriverEnd) {
        self.is_aborted = end != DriverEnd::Reached && abort(driver, &connection);
        drop(connection);
        driver.send_window.rewind();
    }

    /// Waits as long as another store has the integration, if the producer may have been shut out.
    fn prepare_next(&mut self, driver: &mut Driver, end: DriverEnd, _: Duration) -> Result<(), DriverStopped> {
        if end == DriverEnd::Failed && !self.is_aborted && self.ownership.can_be_lost() {
            self.ownership.confirm(driver)?;
        }
        Ok(())
    }
}

/// Waits until everything sent is reported. The crate's commit would poll for that in steps of 100 ms, even if the last
/// report came but its event is still being freed.
fn wait_delivered(driver: &Driver, connection: &KafkaConnection) -> Result<(), DriverEnd> {
    while !connection.on_the_way.as_ref().is_none_or(|on_the_way| on_the_way.wait_none(STEP)) {
        if connection.has_failed() {
            break;
        }
        if driver.is_stopped() {
            return Err(DriverEnd::Stopped);
        }
    }
    if connection.failures.any() {
        return Err(DriverEnd::Failed);
    }
    let reported = Instant::now();
    while connection.producer.in_flight_count() > 0 && reported.elapsed() < STEP {
        thread::yield_now();
    }
    Ok(())
}

/// Aborts the open transaction, if there is one and it can be done soon.
fn abort(driver: &Driver, connection: &KafkaConnection) -> bool {
    let begun = Instant::now();
    loop {
        match connection.producer.abort_transaction(STEP) {
            Ok(()) => return true,
            Err(error) if is_retriable(&error) && begun.elapsed() < ABORT_PATIENCE && !driver.is_stopped() => {}
            Err(error) => {
                tracing::debug!(target: KAFKA, integration = &*driver.integration, %error, "transaction not aborted");
                return false;
            }
        }
    }
}

/// Repeats a call that can be repeated. Most of them continue in the background, and the repetition resumes them.
fn insist(
    driver: &Driver,
    connection: &KafkaConnection,
    patience: Option<Duration>,
    call: impl Fn() -> KafkaResult<()>,
) -> Result<(), DriverEnd> {
    let begun = Instant::now();
    let mut complained = begun;
    loop {
        let Err(error) = call() else { return Ok(()) };
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let is_patient = patience.is_none_or(|patience| begun.elapsed() < patience);
        driver.pause(Duration::ZERO)?;
        if !(is_retriable(&error) && is_patient) {
            return Err(failed(driver, connection, code, &error.to_string()));
        }
        if complained.elapsed() >= COMPLAINT_INTERVAL {
            driver.monitor.record_error(code, None, &error.to_string());
            complained = Instant::now();
        }
        driver.pause(RETRY_WAIT)?;
    }
}

/// Records that the producer is at its end.
fn failed(driver: &Driver, connection: &KafkaConnection, code: RDKafkaErrorCode, message: &str) -> DriverEnd {
    let topic = connection.failures.not_added().filter(|_| code == RDKafkaErrorCode::TopicAuthorizationFailed);
    if connection.failures.record_end(code) {
        driver.monitor.record_error(code, topic, message);
    }
    DriverEnd::Failed
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !error.is_fatal(),
        KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => true,
        _ => false,
    }
}
