//! The publisher thread of one integration with exactly-once delivery: messages in transactions.
//!
//! Invariants: a transaction holds messages in the order of their positions, each on all of its topics, and a checkpoint with
//! the position after the last; a message leaves the outbox only when the transaction is committed. One request in flight
//! (see `client`). A new producer begins by ending what an earlier one left open, and learns from the last checkpoint how
//! much of our journal is committed, however uncertain the outcome of the last commit was. A position is trusted up to where
//! the journal that it counts is ours: another copy of the store may have counted it.
//!
//! Ownership: `transactional.id` belongs to the integration, and the broker lets only the last producer of that id go on. A
//! starting producer first commits a checkpoint: its claim. A producer that is shut out reads the last checkpoint before it
//! tries again: if that is from another store, or from another run of a copy of ours, it stops and waits until it is to take
//! the integration back ([`Monitor::claim`]); if it is ours, the coordinator ended a transaction that took too long, and it
//! goes on. Between the claim and the first message Kafka is compared with the store (`comparison`).
//!
//! Failure policy: what can be repeated is repeated, for ever; everything else ends the transaction and the producer, and a
//! new one starts at the first uncommitted message, as `refusals` says. While Kafka is away, everything waits; a transaction
//! that was open for longer than the time-out is aborted by the broker and sent again.
//!
//! Cost: a commit writes to the coordinator and to each partition concerned, some 6 ms on one broker; after idleness a
//! message is committed at once, under load messages gather for `commit_interval`.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use uuid::Uuid;

use crate::config::model::Kafka;
use crate::fail_point;
use crate::journal::lane::Lane;
use crate::journal::message::Topic;
use crate::journal::outbox::{Outbox, Outgoing, Taken};
use crate::telemetry::targets::KAFKA;
use crate::time::Timestamp;

use super::checkpoint::{self, Checkpoint, Ours, ReadError};
use super::comparison::Comparison;
use super::connection::{Connection, Refusal};
use super::delivery::{Monitor, Ticket};
use super::producer::SpawnError;
use super::refusals::Refusals;

/// Messages taken from the outbox at a time.
const TAKE: usize = 256;
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
/// How many times to check whether the producer that shut us out has committed its claim, which may take long on a busy
/// machine. A producer that gives up too early shuts the other out, and the first of the two to start would publish.
const CLAIM_LOOKS: u32 = 5;
const CLAIM_WAIT: Duration = Duration::from_secs(1);
/// How often a superseded thread checks whether it is to go on.
const SUPERSEDED_STEP: Duration = Duration::from_millis(250);

/// Why a producer's work ended.
enum End {
    Stopped,
    /// Everything that was sent one by one is committed.
    Reached,
    /// The reason is in the producer's failures.
    Failed,
}

/// What the thread owns.
pub(crate) struct TransactionThread {
    integration: Arc<str>,
    servers: String,
    kafka: Kafka,
    owner: Uuid,
    lane: Lane,
    outbox: Arc<Outbox>,
    comparison: Arc<Comparison>,
    monitor: Arc<Monitor>,
    refusals: Refusals,
    /// Our claim is committed.
    is_owner: bool,
    /// The last checkpoint when we had shut out everybody before us: a different one is from a later producer.
    found: Option<Option<Checkpoint>>,
    /// It was reported that Kafka is ahead.
    is_told: bool,
    /// When the last transaction with messages began.
    begun: Option<Instant>,
}

impl TransactionThread {
    /// Starts it. The first producer is created here, so that settings that librdkafka does not accept are a startup error;
    /// Kafka itself need not be reachable. `owner` is the id of the store whose journal counts the positions.
    pub(crate) fn spawn(
        integration: Arc<str>,
        servers: &str,
        kafka: &Kafka,
        owner: Uuid,
        lane: Lane,
        comparison: Arc<Comparison>,
        monitor: Arc<Monitor>,
    ) -> Result<JoinHandle<()>, SpawnError> {
        let outbox = Arc::clone(lane.outbox());
        let refusals = Refusals::new(Arc::clone(&integration), kafka, Arc::clone(&outbox), Arc::clone(&monitor));
        let (servers, kafka) = (servers.to_owned(), kafka.clone());
        let publisher = Self {
            integration,
            servers,
            kafka,
            owner,
            lane,
            outbox,
            comparison,
            monitor,
            refusals,
            is_owner: false,
            found: None,
            is_told: false,
            begun: None,
        };
        let first = publisher.refusals.connect(&publisher.servers, &publisher.kafka)?;
        let name = format!("publish-{}", publisher.integration);
        Ok(thread::Builder::new().name(name).spawn(move || publisher.run(first))?)
    }

    fn run(mut self, first: Connection) {
        let mut connection = first;
        loop {
            let acknowledged_before = self.outbox.acknowledged_to();
            let end = self.publish(&connection);
            // A producer that can abort its transaction has not been shut out.
            let is_aborted = !matches!(end, End::Reached) && self.abort(&connection);
            let failures = Arc::clone(&connection.failures);
            drop(connection); // purges, and serves the last reports
            self.outbox.rewind();
            if self.outbox.acknowledged_to() > acknowledged_before {
                self.refusals.progress();
            }
            let wait = match end {
                End::Stopped => return,
                End::Reached => {
                    self.refusals.end_single();
                    Duration::ZERO
                }
                End::Failed => {
                    let wait = self.refusals.after_failure(failures.take());
                    let may_be_shut_out = !is_aborted && (self.is_owner || self.found.is_some());
                    if may_be_shut_out && self.confirm_ownership().is_err() {
                        return;
                    }
                    wait
                }
            };
            let Some(next) = self.refusals.reconnect(&self.servers, &self.kafka, wait) else { return };
            connection = next;
        }
    }

    /// Takes the integration over, then publishes until the producer must end.
    fn publish(&mut self, connection: &Connection) -> End {
        if let Err(end) = self.take_over(connection) {
            return end;
        }
        loop {
            if let Err(end) = self.transaction(connection) {
                return end;
            }
        }
    }

    /// Shuts out earlier producers, learns what is committed, and commits our claim.
    fn take_over(&mut self, connection: &Connection) -> Result<(), End> {
        self.insist(connection, None, || connection.producer.init_transactions(STEP))?;
        let committed = self.read_checkpoint().map_err(|_| End::Stopped)?;
        self.found = Some(committed.last.clone());
        let position = self.outbox.acknowledged_to();
        if committed.is_hanging {
            tracing::error!(
                target: KAFKA, integration = &*self.integration,
                position,
                "kafka has left a transaction of this integration open for ever: taken for committed, and ended by the next one"
            );
        }
        if let Some(last) = &committed.last {
            self.tell_of(last);
        }
        self.insist(connection, None, || connection.producer.begin_transaction())?;
        self.commit(connection, position)?;
        if !std::mem::replace(&mut self.is_owner, true) {
            self.lane.run_is_known();
        }
        self.monitor.acknowledged([]);
        tracing::debug!(
            target: KAFKA, integration = &*self.integration, position, owner = %self.owner, "checkpoint committed"
        );
        if self.comparison.wait(|| self.is_stopped()) { Ok(()) } else { Err(End::Stopped) }
    }

    fn ours(&self) -> Ours<'_> {
        Ours { owner: self.owner, runs: self.lane.runs() }
    }

    /// Reports whose the integration was, where that is news.
    fn tell_of(&mut self, last: &Checkpoint) {
        let Checkpoint { owner, position, committed_at, .. } = last;
        let integration = &*self.integration;
        if *owner != self.owner {
            tracing::info!(target: KAFKA, integration, %owner, %committed_at, "taken over from another store");
        } else if self.ours().is_behind(last) && !self.is_told {
            // If the agents were read from Kafka, the reason was logged already.
            if self.comparison.is_due() {
                self.monitor.observer().behind();
                tracing::error!(
                    target: KAFKA, integration,
                    position,
                    %committed_at,
                    "Kafka has positions of this store that it does not have: it was restored from a copy, or another instance \
                     has published with a copy of it; everything that this one has counted beyond the copy is published"
                );
            }
            self.is_told = true;
        }
    }

    /// Makes one transaction of what is in the outbox.
    fn transaction(&mut self, connection: &Connection) -> Result<(), End> {
        if connection.has_failed() {
            return Err(End::Failed);
        }
        let until = self.refusals.until();
        let mut messages = match self.outbox.take(TAKE, until) {
            Taken::Interrupted => return Ok(()),
            Taken::Reached => return Err(End::Reached),
            Taken::Stopped => return Err(End::Stopped),
            Taken::Behind(position) => {
                self.lane.fetch(&self.integration, position);
                return Ok(());
            }
            Taken::Messages(messages) => messages,
        };
        self.gather()?;
        self.begun = Some(Instant::now());
        self.insist(connection, None, || connection.producer.begin_transaction())?;
        fail_point::reach(fail_point::TRANSACTION_BEGUN);
        let (mut count, mut bytes, mut position) = (0, 0, self.outbox.acknowledged_to());
        while !messages.is_empty() {
            let tracked = messages.iter().map(|outgoing| outgoing.position).filter(|at| *at != Outgoing::UNTRACKED);
            position = tracked.max().map_or(position, |last| last + 1);
            for outgoing in &messages {
                bytes += outgoing.message.size();
                self.send(connection, outgoing)?;
            }
            count += messages.len();
            if count >= FULL_MESSAGES || bytes >= FULL_BYTES {
                break;
            }
            messages = self.outbox.take_ready(TAKE, until);
        }
        fail_point::reach(fail_point::TRANSACTION_SENT);
        self.commit(connection, position)?;
        fail_point::reach(fail_point::AFTER_TRANSACTION_COMMIT);
        self.monitor.acknowledged(self.outbox.acknowledge_to(position));
        Ok(())
    }

    /// Waits until the next transaction may begin, or messages fill one.
    fn gather(&self) -> Result<(), End> {
        let Some(begun) = self.begun else { return Ok(()) };
        let full = FULL_MESSAGES.min(self.kafka.queue_events / 4 * 3);
        loop {
            let left = self.kafka.commit_interval.saturating_sub(begun.elapsed());
            if left.is_zero() || self.outbox.pending() >= full {
                return Ok(());
            }
            if self.outbox.pause(left.min(GATHER_STEP)) {
                return Err(End::Stopped);
            }
        }
    }

    /// Sends a message to its topics.
    fn send(&mut self, connection: &Connection, outgoing: &Outgoing) -> Result<(), End> {
        let message = &outgoing.message;
        for topic in outgoing.topics() {
            if let Some(code) = self.refusals.closed(topic, connection) {
                let replacement = self.refusals.give_up(outgoing.position, message, code);
                return replacement.map_or(Ok(()), |replacement| self.send(connection, &replacement));
            }
            let ticket = Ticket { position: outgoing.position, topic };
            let name = topic.name(&self.kafka.topics);
            match connection.enqueue_message(name, message, ticket) {
                Ok(()) => {}
                Err(Refusal::TooLarge(code)) => {
                    let replacement = self.refusals.give_up(outgoing.position, message, code);
                    return replacement.map_or(Ok(()), |replacement| self.send(connection, &replacement));
                }
                Err(Refusal::Failed) => return Err(End::Failed),
                Err(Refusal::Stopped) => return Err(End::Stopped),
            }
        }
        Ok(())
    }

    /// Ends the transaction with a checkpoint.
    fn commit(&self, connection: &Connection, position: u64) -> Result<(), End> {
        let runs = self.lane.runs().clone();
        let checkpoint = Checkpoint { owner: self.owner, position, committed_at: Timestamp::now(), runs };
        let ticket = Ticket { position, topic: Topic::Checkpoint };
        let (name, value) = (&self.kafka.topics.checkpoint, checkpoint.value());
        match connection.enqueue(name, &self.integration, Some(value.as_bytes()), &checkpoint.headers(), ticket) {
            Ok(()) => {}
            Err(Refusal::Stopped) => return Err(End::Stopped),
            Err(Refusal::Failed) => return Err(End::Failed),
            Err(Refusal::TooLarge(code)) => return Err(self.failed(connection, code, "checkpoint refused")),
        }
        self.wait_delivered(connection)?;
        fail_point::reach(fail_point::BEFORE_TRANSACTION_COMMIT);
        self.insist(connection, Some(COMMIT_PATIENCE), || connection.producer.commit_transaction(STEP))
    }

    /// Waits until everything sent is reported. The crate's commit would poll for that in steps of 100 ms, even if the last
    /// report came but its event is still being freed.
    fn wait_delivered(&self, connection: &Connection) -> Result<(), End> {
        while !connection.on_the_way.as_ref().is_none_or(|on_the_way| on_the_way.wait_none(STEP)) {
            if connection.has_failed() {
                break;
            }
            if self.is_stopped() {
                return Err(End::Stopped);
            }
        }
        if connection.failures.any() {
            return Err(End::Failed);
        }
        let reported = Instant::now();
        while connection.producer.in_flight_count() > 0 && reported.elapsed() < STEP {
            thread::yield_now();
        }
        Ok(())
    }

    /// Aborts the open transaction, if there is one and it can be done soon.
    fn abort(&self, connection: &Connection) -> bool {
        let begun = Instant::now();
        loop {
            match connection.producer.abort_transaction(STEP) {
                Ok(()) => return true,
                Err(error) if is_retriable(&error) && begun.elapsed() < ABORT_PATIENCE && !self.is_stopped() => {}
                Err(error) => {
                    tracing::debug!(target: KAFKA, integration = &*self.integration, %error, "transaction not aborted");
                    return false;
                }
            }
        }
    }

    /// Repeats a call that can be repeated. Most of them continue in the background, and the repetition resumes them.
    fn insist(
        &self,
        connection: &Connection,
        patience: Option<Duration>,
        call: impl Fn() -> KafkaResult<()>,
    ) -> Result<(), End> {
        let begun = Instant::now();
        let mut complained = begun;
        loop {
            let Err(error) = call() else { return Ok(()) };
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            let is_patient = patience.is_none_or(|patience| begun.elapsed() < patience);
            if self.outbox.pause(Duration::ZERO) {
                return Err(End::Stopped);
            }
            if !(is_retriable(&error) && is_patient) {
                return Err(self.failed(connection, code, &error.to_string()));
            }
            if complained.elapsed() >= COMPLAINT_INTERVAL {
                self.monitor.error(code, None, &error.to_string());
                complained = Instant::now();
            }
            if self.outbox.pause(RETRY_WAIT) {
                return Err(End::Stopped);
            }
        }
    }

    fn failed(&self, connection: &Connection, code: RDKafkaErrorCode, message: &str) -> End {
        let topic = connection.failures.not_added().filter(|_| code == RDKafkaErrorCode::TopicAuthorizationFailed);
        if connection.failures.record_end(code) {
            self.monitor.error(code, topic, message);
        }
        End::Failed
    }

    /// Waits as long as another store has the integration. An error once the outbox is stopped.
    fn confirm_ownership(&mut self) -> Result<(), Stopped> {
        let mut other = None;
        for _ in 0..CLAIM_LOOKS {
            if self.outbox.pause(CLAIM_WAIT) {
                return Err(Stopped);
            }
            let last = self.read_checkpoint()?.last;
            let is_known = !self.is_owner && self.found.as_ref() == Some(&last);
            other = last.filter(|last| !is_known && !self.ours().is_by_this_run(last));
            if other.is_some() {
                break;
            }
        }
        let Some(other) = other else { return Ok(()) };
        let Checkpoint { owner, committed_at, .. } = other;
        tracing::error!(
            target: KAFKA, integration = &*self.integration,
            %owner,
            %committed_at,
            pending = self.outbox.pending(),
            is_copy = owner == self.owner,
            "another store publishes for this integration: stopped, messages wait; end one of the two"
        );
        self.monitor.set_superseded_by(Some(owner));
        self.is_owner = false;
        self.found = None;
        self.is_told = false;
        self.comparison.lost();
        while !self.monitor.is_claimed() {
            if self.outbox.pause(SUPERSEDED_STEP) {
                return Err(Stopped);
            }
        }
        tracing::info!(target: KAFKA, integration = &*self.integration, %owner, "the integration is taken back");
        self.monitor.set_superseded_by(None);
        Ok(())
    }

    /// Reads the last checkpoint, however long it takes. What it says about our journal is acknowledged at once.
    fn read_checkpoint(&mut self) -> Result<checkpoint::Found, Stopped> {
        loop {
            let is_stopped = || self.is_stopped();
            let read =
                checkpoint::read_settled(&self.servers, &self.kafka, &self.integration, self.ours(), &is_stopped);
            match read {
                Ok(found) => {
                    if let Some(position) = found.committed {
                        self.monitor.acknowledged(self.outbox.acknowledge_to(position));
                    }
                    return Ok(found);
                }
                Err(ReadError::Stopped) => return Err(Stopped),
                Err(error) => {
                    let wait = self.refusals.next_backoff();
                    tracing::warn!(
                        target: KAFKA, integration = &*self.integration, %error, ?wait, "no checkpoint, will be retried"
                    );
                    if self.outbox.pause(wait) {
                        return Err(Stopped);
                    }
                }
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.outbox.pause(Duration::ZERO)
    }
}

/// The outbox was stopped.
struct Stopped;

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !error.is_fatal(),
        KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => true,
        _ => false,
    }
}
