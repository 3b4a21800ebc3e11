//! The agent table from the compacted `current` topic, for a machine whose store is empty.
//!
//! Invariant: what is recovered includes everything that was committed before the reading began. The high watermarks at that
//! time are the goal. A reader of committed messages gets no further than the first open transaction; so the reading begins
//! when every partition is stable up to its goal, which the broker achieves by aborting abandoned transactions. A partition
//! is done at its goal or at its end, since the last offsets may be transaction markers, or compacted away. A broker that was
//! killed may leave a transaction open for ever: the content of one that is open for longer than any may be counts as
//! committed, as in `checkpoint`.
//!
//! Failure policy: a topic that does not exist is an empty table, when three answers in a row say so. Everything else is
//! waited out, and reported at once, then every ten seconds, a missing right again at once: a table that lacks somebody would
//! restart their sequence. Joins no group and commits nothing. Cost: two clients; up to 16 MiB of prefetched messages.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::config::model::Kafka;
use crate::config::topics::Topic;
use crate::contract::header;
use crate::contract::recovered::{Collector, Differences, MessagePlace, Read};
use crate::telemetry::targets::KAFKA;

use super::checkpoint::SETTLED_MARGIN;
use super::client::{self, Quiet, explain, settings};
use super::diagnosis::{KnownAs, Right, is_about_groups, is_for_somebody, is_missing, refuses};

pub use crate::contract::recovered::{Recovered, RecoveredFeed, Sequences};

/// How long one request may take; also how long it takes to notice a stop.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// The first one: that nobody answers is told after this.
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// How often to check whether it has to stop.
const STEP: Duration = Duration::from_millis(100);
/// The pause between two attempts.
const RETRY: Duration = Duration::from_millis(500);
/// The patience of an instance that publishes next and has ended its own transactions: a hanging one ends with its next
/// transaction, which must not wait for that.
const HANGS: Duration = Duration::from_secs(10);
/// The time between two progress reports.
const PROGRESS: Duration = Duration::from_secs(10);
/// A broker that has just started may not know its topics yet.
const ANSWERS_OF_A_MISSING_TOPIC: u32 = 3;

/// The progress: errors as they come, the rest every ten seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryProgress {
    /// Messages are coming.
    Reading {
        /// How many so far.
        messages: u64,
    },
    /// Kafka, or the way to it, has failed once more. It is tried again.
    Failed {
        /// librdkafka's name for the error.
        kind: String,
        /// What it says, and what may be done about it.
        reason: String,
    },
    /// Nothing is coming: to be logged as WARN.
    Waiting {
        /// What it waits for.
        reason: String,
        /// For how long.
        waited: Duration,
    },
}

/// Why nothing was recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// librdkafka does not accept the settings.
    #[error("kafka settings are not accepted, see kafka.properties: {0}")]
    Settings(KafkaError),
    /// It was stopped.
    #[error("the recovery of the agent table was stopped before its end")]
    Stopped,
}

/// Returns how long a transaction may be open before it counts as never-ending.
pub fn patience(kafka: &Kafka) -> Duration {
    client::longest_transaction(kafka) + SETTLED_MARGIN
}

/// Reads the `current` topic to its end and returns what it remembers of the wanted integrations. The content of a
/// transaction that is open for longer than [`patience`] counts as published.
///
/// Blocks as long as it takes, or until `stop` says so.
///
/// # Errors
/// Settings that are not accepted, and `stop`. Never because Kafka is away.
pub fn read_current(
    servers: &str,
    kafka: &Kafka,
    wanted: &[Arc<str>],
    patience: Duration,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(RecoveryProgress),
) -> Result<Recovered, RecoveryError> {
    Ok(read_into(servers, kafka, patience, &|| Collector::new(wanted), stop, progress)?.finish())
}

/// Returns how the topic differs from what is known: for whom it has a higher sequence, and for whom nothing.
pub(super) fn read_beyond(
    servers: &str,
    kafka: &Kafka,
    known: &HashMap<Arc<str>, Sequences>,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(RecoveryProgress),
) -> Result<HashMap<Arc<str>, Differences>, RecoveryError> {
    let collector = || Collector::beyond(known.clone());
    Ok(read_into(servers, kafka, HANGS, &collector, stop, progress)?.differences())
}

/// `patience`: a transaction that is open for longer counts as never-ending.
fn read_into(
    servers: &str,
    kafka: &Kafka,
    patience: Duration,
    collector: &dyn Fn() -> Collector,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(RecoveryProgress),
) -> Result<Collector, RecoveryError> {
    let client = |isolation| client(servers, kafka, isolation).map_err(RecoveryError::Settings);
    let mut reading = Reading {
        topic: &kafka.topics[Topic::Current],
        committed: client("read_committed")?,
        all: client("read_uncommitted")?,
        collector,
        stop,
        progress,
        patience,
        reported_at: Instant::now(),
        quiet_since: Instant::now(),
        known: KnownAs::by(&kafka.properties),
        said: None,
        has_asked: false,
    };
    loop {
        match reading.attempt() {
            Ok(collector) => return Ok(collector),
            Err(Halt::Stopped) => return Err(RecoveryError::Stopped),
            Err(Halt::Again(reason)) => reading.pause(&reason).map_err(|_| RecoveryError::Stopped)?,
            Err(Halt::Failed { kind, reason }) => {
                (reading.progress)(RecoveryProgress::Failed { kind, reason: reason.clone() });
                reading.tell_first(&reason);
                reading.pause(&reason).map_err(|_| RecoveryError::Stopped)?;
            }
        }
    }
}

fn client(servers: &str, kafka: &Kafka, isolation: &str) -> KafkaResult<BaseConsumer<Quiet>> {
    let mut settings = settings(servers, &kafka.properties, "rtalink-recovery");
    settings
        // librdkafka wants a name even from clients that join no group.
        .set("group.id", "rtalink-recovery")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", isolation)
        .set("allow.auto.create.topics", "false")
        .set("queued.max.messages.kbytes", "16384")
        // How long the broker holds back the answer that there is nothing more.
        .set("fetch.wait.max.ms", "50");
    client::open(&settings, Quiet::default())
}

/// Why an attempt ended early.
enum Halt {
    Stopped,
    /// It is too early.
    Again(String),
    /// Kafka has failed.
    Failed {
        kind: String,
        reason: String,
    },
}

/// Up to where a partition is read.
type Goals = HashMap<i32, i64>;
/// From where to read a partition, and to where.
type Spans = HashMap<i32, (Offset, i64)>;

struct Reading<'a> {
    topic: &'a str,
    /// Gets no further than the first open transaction.
    committed: BaseConsumer<Quiet>,
    all: BaseConsumer<Quiet>,
    /// What takes the messages of an attempt.
    collector: &'a dyn Fn() -> Collector,
    stop: &'a dyn Fn() -> bool,
    progress: &'a mut dyn FnMut(RecoveryProgress),
    /// A transaction that is open for longer never ends.
    patience: Duration,
    reported_at: Instant,
    quiet_since: Instant,
    known: KnownAs,
    /// The last reason that was reported ahead of time.
    said: Option<String>,
    /// The first request is over.
    has_asked: bool,
}

impl Reading<'_> {
    fn attempt(&mut self) -> Result<Collector, Halt> {
        let Some(partitions) = self.partitions()? else { return Ok((self.collector)()) };
        let goals = self.goals(&partitions)?;
        let hanging = self.until_stable(&goals)?;
        let mut collector = (self.collector)();
        let whole = goals.iter().map(|(&partition, &goal)| {
            let goal = hanging.get(&partition).map_or(goal, |stable| goal.min(*stable));
            (partition, (Offset::Beginning, goal))
        });
        self.read(true, whole.collect(), &mut collector)?;
        // The content of a never-ending transaction counts as published.
        let open = hanging.iter().map(|(&partition, &stable)| (partition, (Offset::Offset(stable), goals[&partition])));
        self.read(false, open.collect(), &mut collector)?;
        Ok(collector)
    }

    /// Returns the topic's partitions; `None` where there is no such topic.
    fn partitions(&mut self) -> Result<Option<Vec<i32>>, Halt> {
        for _ in 0..ANSWERS_OF_A_MISSING_TOPIC {
            let is_first = !std::mem::replace(&mut self.has_asked, true);
            let timeout = if is_first { FIRST_TIMEOUT } else { REQUEST_TIMEOUT };
            let metadata = self.all.fetch_metadata(Some(self.topic), timeout);
            let metadata = metadata.map_err(|error| self.failed(&self.all, &error))?;
            let found = metadata.topics().iter().find(|found| found.name() == self.topic);
            match found.map(|found| (found.error(), found.partitions())) {
                Some((None, partitions)) if !partitions.is_empty() => {
                    return Ok(Some(partitions.iter().map(|partition| partition.id()).collect()));
                }
                Some((Some(error), _)) => match RDKafkaErrorCode::from(error) {
                    error if is_missing(error) => {}
                    error => return Err(self.failed(&self.all, &KafkaError::MetadataFetch(error))),
                },
                Some((None, _)) | None => return Err(Halt::Again("the topic has no partitions yet".to_owned())),
            }
            self.pause("the topic is missing, asking again")?;
        }
        Ok(None)
    }

    /// Returns where each partition ends now, without empty ones.
    fn goals(&mut self, partitions: &[i32]) -> Result<Goals, Halt> {
        let mut goals = Goals::new();
        for &partition in partitions {
            self.go_on()?;
            let found = self.all.fetch_watermarks(self.topic, partition, REQUEST_TIMEOUT);
            let (low, high) = found.map_err(|error| self.failed(&self.all, &error))?;
            if low < high {
                goals.insert(partition, high);
            }
        }
        Ok(goals)
    }

    /// Waits until no transaction is open before a goal. Returns the partitions where one is open for too long, and from
    /// which offset.
    fn until_stable(&mut self, goals: &Goals) -> Result<Goals, Halt> {
        let begin = Instant::now();
        let mut hanging = Goals::new();
        for (&partition, &goal) in goals {
            loop {
                self.go_on()?;
                let found = self.committed.fetch_watermarks(self.topic, partition, REQUEST_TIMEOUT);
                let (_, stable) = found.map_err(|error| self.failed(&self.committed, &error))?;
                if stable >= goal {
                    break;
                }
                if begin.elapsed() >= self.patience {
                    hanging.insert(partition, stable);
                    break;
                }
                self.pause(&format!("a transaction is open in partition {partition}, behind offset {stable}"))?;
            }
        }
        Ok(hanging)
    }

    /// Reads each partition from one offset to another, committed messages only or all.
    fn read(&mut self, committed: bool, mut spans: Spans, collector: &mut Collector) -> Result<(), Halt> {
        if spans.is_empty() {
            return Ok(());
        }
        let reader = if committed { &self.committed } else { &self.all };
        let mut assignment = TopicPartitionList::new();
        for (&partition, &(from, _)) in &spans {
            let added = assignment.add_partition_offset(self.topic, partition, from);
            added.map_err(|error| self.failed(reader, &error))?;
        }
        reader.assign(&assignment).map_err(|error| self.failed(reader, &error))?;
        let mut first_unreadable = None;
        let mut awaited = "kafka to send messages".to_owned();
        while !spans.is_empty() {
            self.go_on()?;
            match reader.poll(STEP) {
                None => {
                    report_progress(self.progress, &mut self.reported_at, || waiting(&awaited, self.quiet_since));
                }
                Some(Ok(message)) => {
                    self.quiet_since = Instant::now();
                    if let Err(unreadable) = take(collector, &message) {
                        first_unreadable.get_or_insert((message.partition(), message.offset(), unreadable));
                    }
                    if spans.get(&message.partition()).is_some_and(|(_, to)| message.offset() + 1 >= *to) {
                        spans.remove(&message.partition());
                    }
                    let messages = collector.messages;
                    report_progress(self.progress, &mut self.reported_at, || RecoveryProgress::Reading { messages });
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    spans.remove(&partition);
                }
                Some(Err(error)) if is_about_groups(&error) => {}
                // It is reported once, and the other partitions are of no use without this one.
                Some(Err(error)) if is_gone(&error) || refuses(&error) => {
                    return Err(self.failed(reader, &error));
                }
                Some(Err(error)) => {
                    awaited = reader.context().explain(&error);
                    (self.progress)(RecoveryProgress::Failed { kind: kind_of(&error), reason: awaited.clone() });
                }
            }
        }
        if let Some((partition, offset, unreadable)) = first_unreadable {
            let (topic, count, reason) = (self.topic, collector.unreadable, unreadable.name());
            tracing::warn!(
                target: KAFKA, topic, count, partition, offset, reason, "messages left out, the first one is named"
            );
        }
        reader.unassign().map_err(|error| self.failed(reader, &error))
    }

    /// Reports the first error at once: nobody should have to wait to learn what is waited for.
    fn tell_first(&mut self, reason: &str) {
        if self.said.is_none() {
            self.said = Some(reason.to_owned());
            self.reported_at = Instant::now();
            (self.progress)(waiting(reason, self.quiet_since));
        }
    }

    /// Waits a little before the next attempt.
    fn pause(&mut self, reason: &str) -> Result<(), Halt> {
        // What somebody has to fix is reported at once, what may pass after a while.
        if is_for_somebody(reason) && self.said.as_deref() != Some(reason) {
            self.said = Some(reason.to_owned());
            self.reported_at = Instant::now();
            (self.progress)(waiting(reason, self.quiet_since));
        }
        report_progress(self.progress, &mut self.reported_at, || waiting(reason, self.quiet_since));
        let until = Instant::now() + RETRY;
        while Instant::now() < until {
            self.go_on()?;
            // Nothing is assigned: this only waits.
            drop(self.committed.poll(STEP));
        }
        Ok(())
    }

    fn failed(&self, client: &BaseConsumer<Quiet>, error: &KafkaError) -> Halt {
        let reason = match refuses(error) {
            true => self.known.lacks(Right::Read(self.topic)),
            false => explain(client, error),
        };
        Halt::Failed { kind: kind_of(error), reason }
    }

    fn go_on(&self) -> Result<(), Halt> {
        if (self.stop)() { Err(Halt::Stopped) } else { Ok(()) }
    }
}

fn take(
    collector: &mut Collector,
    message: &BorrowedMessage<'_>,
) -> Result<(), crate::contract::recovered::Unreadable> {
    let headers = message.headers();
    let content_type = headers.and_then(|headers| headers.iter().find(|found| found.key == header::CONTENT_TYPE));
    let content_type = content_type.and_then(|found| found.value);
    let place = MessagePlace { partition: message.partition(), at: message.timestamp().to_millis().unwrap_or(0) };
    collector.take(&Read { key: message.key(), content_type, value: message.payload(), place })
}

/// Returns librdkafka's name for an error, as the metric of errors has it.
pub(super) fn kind_of(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| "Unknown".to_owned(), |code| format!("{code:?}"))
}

/// The topic was removed while it was read.
fn is_gone(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(is_missing)
}

fn report_progress(
    progress: &mut dyn FnMut(RecoveryProgress),
    reported_at: &mut Instant,
    what: impl FnOnce() -> RecoveryProgress,
) {
    if reported_at.elapsed() >= PROGRESS {
        *reported_at = Instant::now();
        progress(what());
    }
}

fn waiting(reason: &str, quiet_since: Instant) -> RecoveryProgress {
    RecoveryProgress::Waiting { reason: reason.to_owned(), waited: quiet_since.elapsed() }
}
