//! The agent table from the compacted `current` topic, for a machine whose store is empty.
//!
//! Invariant: what is recovered holds everything that was committed before the reading began. The high watermarks as of
//! then are the goal. A reader of committed messages gets no further than to the first open transaction; so the reading
//! begins when every partition is stable up to its goal, which the broker sees to by aborting abandoned transactions. A
//! partition is done at its goal or at its end, since the last offsets may be markers of transactions, or compacted away.
//! Where only what is beyond the store is looked for, a transaction that hangs is not waited for.
//!
//! Failure policy: a topic that does not exist is an empty table, when three answers in a row say so. Everything else is
//! waited out, and said every ten seconds, a missing right at once: a table that lacks somebody would start his sequence anew. Joins no group
//! and commits nothing. Cost: two clients; up to 16 MiB of messages that are fetched ahead.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::client::{self, Quiet, explain, settings};
use super::message::header;
use super::recovered::{Collector, Differences, Place, Read};
use super::trouble::{Known, Right, is_about_groups, is_for_somebody, refuses};
use crate::config::model::Kafka;

pub use super::recovered::{Recovered, RecoveredFeed, Sequences};

/// How long one request may take; also how long it takes to notice that it was to stop.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How often is looked whether it was to stop.
const STEP: Duration = Duration::from_millis(100);
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(500);
/// A transaction that is open for so long while nobody publishes hangs: brokers leave one open now and then, and what is in it
/// is taken for published. Whoever waited for its end before publishing would wait for ever: it ends with the next one.
const HANGS: Duration = Duration::from_secs(10);
/// Between two words about how it goes.
const PROGRESS: Duration = Duration::from_secs(10);
/// A broker that has just started may not know its topics yet.
const ANSWERS_OF_A_MISSING_TOPIC: u32 = 3;

/// How it goes, every ten seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Messages are coming.
    Reading {
        /// How many so far.
        messages: u64,
    },
    /// Nothing is coming: to be logged as WARN.
    Waiting {
        /// What for.
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
    /// It was to stop.
    #[error("the recovery of the agent table was stopped before its end")]
    Stopped,
}

/// Reads the `current` topic to its end and returns what it remembers of the integrations that are wanted.
///
/// Blocks: as long as it takes, until `stop` says so.
///
/// # Errors
/// Settings that are not accepted, and `stop`. Never because Kafka is away.
pub fn read_current(
    servers: &str,
    kafka: &Kafka,
    wanted: &[Arc<str>],
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recovered, RecoveryError> {
    Ok(read_into(servers, kafka, None, &|| Collector::new(wanted), stop, progress)?.finish())
}

/// In what the topic differs from what is known: of whom it has a higher sequence, and of whom nothing.
pub(super) fn read_beyond(
    servers: &str,
    kafka: &Kafka,
    known: &HashMap<Arc<str>, Sequences>,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<HashMap<Arc<str>, Differences>, RecoveryError> {
    let collector = || Collector::beyond(known.clone());
    Ok(read_into(servers, kafka, Some(HANGS), &collector, stop, progress)?.differences())
}

/// `patience`: a transaction that is open for longer counts as one that nobody will ever end.
fn read_into(
    servers: &str,
    kafka: &Kafka,
    patience: Option<Duration>,
    collector: &dyn Fn() -> Collector,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Collector, RecoveryError> {
    let client = |isolation| client(servers, kafka, isolation).map_err(RecoveryError::Settings);
    let mut reading = Reading {
        topic: &kafka.topics.current,
        committed: client("read_committed")?,
        all: client("read_uncommitted")?,
        collector,
        stop,
        progress,
        patience,
        told_at: Instant::now(),
        quiet_since: Instant::now(),
        known: Known::by(&kafka.properties),
        said: None,
    };
    loop {
        match reading.attempt() {
            Ok(collector) => return Ok(collector),
            Err(Halt::Stopped) => return Err(RecoveryError::Stopped),
            Err(Halt::Again(reason)) => reading.pause(&reason).map_err(|_| RecoveryError::Stopped)?,
        }
    }
}

fn client(servers: &str, kafka: &Kafka, isolation: &str) -> KafkaResult<BaseConsumer<Quiet>> {
    let mut settings = settings(servers, &kafka.properties, "rtalink-recovery");
    settings
        // librdkafka wants a name even of those who join no group.
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
    Again(String),
}

/// Up to where a partition is read.
type Goals = HashMap<i32, i64>;

struct Reading<'a> {
    topic: &'a str,
    /// Gets no further than to the first open transaction.
    committed: BaseConsumer<Quiet>,
    all: BaseConsumer<Quiet>,
    /// What takes the messages of an attempt.
    collector: &'a dyn Fn() -> Collector,
    stop: &'a dyn Fn() -> bool,
    progress: &'a mut dyn FnMut(Progress),
    /// A transaction that is open for longer is one that nobody ends.
    patience: Option<Duration>,
    told_at: Instant,
    quiet_since: Instant,
    known: Known,
    /// The last reason that was told before its time.
    said: Option<String>,
}

impl Reading<'_> {
    fn attempt(&mut self) -> Result<Collector, Halt> {
        let Some(partitions) = self.partitions()? else { return Ok((self.collector)()) };
        let goals = self.goals(&partitions)?;
        let are_stable = self.until_stable(&goals)?;
        if !are_stable {
            // Whoever reads committed messages would never come to the goals.
            std::mem::swap(&mut self.committed, &mut self.all);
        }
        let read = self.read(goals);
        let ended = self.committed.unassign().map_err(|error| self.failed(&self.committed, &error));
        if !are_stable {
            std::mem::swap(&mut self.committed, &mut self.all);
        }
        ended.and(read)
    }

    /// The topic's partitions; `None` where there is no such topic.
    fn partitions(&mut self) -> Result<Option<Vec<i32>>, Halt> {
        for _ in 0..ANSWERS_OF_A_MISSING_TOPIC {
            let metadata = self.all.fetch_metadata(Some(self.topic), REQUEST_TIMEOUT);
            let metadata = metadata.map_err(|error| self.failed(&self.all, &error))?;
            let found = metadata.topics().iter().find(|found| found.name() == self.topic);
            match found.map(|found| (found.error(), found.partitions())) {
                Some((None, partitions)) if !partitions.is_empty() => {
                    return Ok(Some(partitions.iter().map(|partition| partition.id()).collect()));
                }
                Some((Some(error), _)) => match RDKafkaErrorCode::from(error) {
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {}
                    error => return Err(self.failed(&self.all, &KafkaError::MetadataFetch(error))),
                },
                Some((None, _)) | None => return Err(Halt::Again("the topic has no partitions yet".to_owned())),
            }
            self.pause("the topic is missing, asking again")?;
        }
        Ok(None)
    }

    /// Where each partition ends now, without those that are empty.
    fn goals(&mut self, partitions: &[i32]) -> Result<Goals, Halt> {
        let mut goals = Goals::new();
        for &partition in partitions {
            self.look()?;
            let found = self.all.fetch_watermarks(self.topic, partition, REQUEST_TIMEOUT);
            let (low, high) = found.map_err(|error| self.failed(&self.all, &error))?;
            if low < high {
                goals.insert(partition, high);
            }
        }
        Ok(goals)
    }

    /// Waits until no transaction is open before a goal. False where one is open for too long.
    fn until_stable(&mut self, goals: &Goals) -> Result<bool, Halt> {
        let begin = Instant::now();
        for (&partition, &goal) in goals {
            loop {
                self.look()?;
                let found = self.committed.fetch_watermarks(self.topic, partition, REQUEST_TIMEOUT);
                let (_, stable) = found.map_err(|error| self.failed(&self.committed, &error))?;
                if stable >= goal {
                    break;
                }
                if self.patience.is_some_and(|patience| begin.elapsed() >= patience) {
                    return Ok(false);
                }
                self.pause(&format!("a transaction is open in partition {partition}, behind offset {stable}"))?;
            }
        }
        Ok(true)
    }

    fn read(&mut self, mut goals: Goals) -> Result<Collector, Halt> {
        let mut assignment = TopicPartitionList::new();
        for &partition in goals.keys() {
            let added = assignment.add_partition_offset(self.topic, partition, Offset::Beginning);
            added.map_err(|error| self.failed(&self.committed, &error))?;
        }
        self.committed.assign(&assignment).map_err(|error| self.failed(&self.committed, &error))?;
        let mut collector = (self.collector)();
        let mut first_unreadable = None;
        let mut trouble = "kafka to send messages".to_owned();
        while !goals.is_empty() {
            self.look()?;
            match self.committed.poll(STEP) {
                None => {
                    tell(self.progress, &mut self.told_at, || waiting(&trouble, self.quiet_since));
                }
                Some(Ok(message)) => {
                    self.quiet_since = Instant::now();
                    if let Err(unreadable) = take(&mut collector, &message) {
                        first_unreadable.get_or_insert((message.partition(), message.offset(), unreadable));
                    }
                    if goals.get(&message.partition()).is_some_and(|goal| message.offset() + 1 >= *goal) {
                        goals.remove(&message.partition());
                    }
                    let messages = collector.messages;
                    tell(self.progress, &mut self.told_at, || Progress::Reading { messages });
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    goals.remove(&partition);
                }
                Some(Err(error)) if is_about_groups(&error) => {}
                // It is told once, and what the other partitions have is of no use without this one.
                Some(Err(error)) if is_gone(&error) || refuses(&error) => {
                    return Err(self.failed(&self.committed, &error));
                }
                Some(Err(error)) => trouble = self.committed.context().explain(&error),
            }
        }
        if let Some((partition, offset, unreadable)) = first_unreadable {
            let (topic, count, reason) = (self.topic, collector.unreadable, unreadable.name());
            tracing::warn!(topic, count, partition, offset, reason, "messages left out, the first one is named");
        }
        Ok(collector)
    }

    /// Waits a little before it is tried again.
    fn pause(&mut self, reason: &str) -> Result<(), Halt> {
        // What somebody has to mend is said at once, what may pass after a while.
        if is_for_somebody(reason) && self.said.as_deref() != Some(reason) {
            self.said = Some(reason.to_owned());
            self.told_at = Instant::now();
            (self.progress)(waiting(reason, self.quiet_since));
        }
        tell(self.progress, &mut self.told_at, || waiting(reason, self.quiet_since));
        let until = Instant::now() + RETRY;
        while Instant::now() < until {
            self.look()?;
            // Nothing is assigned: this only waits.
            drop(self.committed.poll(STEP));
        }
        Ok(())
    }

    fn failed(&self, client: &BaseConsumer<Quiet>, error: &KafkaError) -> Halt {
        Halt::Again(match refuses(error) {
            true => self.known.lacks(Right::Read(self.topic)),
            false => explain(client, error),
        })
    }

    fn look(&self) -> Result<(), Halt> {
        if (self.stop)() { Err(Halt::Stopped) } else { Ok(()) }
    }
}

fn take(collector: &mut Collector, message: &BorrowedMessage<'_>) -> Result<(), super::recovered::Unreadable> {
    let headers = message.headers();
    let content_type = headers.and_then(|headers| headers.iter().find(|found| found.key == header::CONTENT_TYPE));
    let content_type = content_type.and_then(|found| found.value);
    let place = Place { partition: message.partition(), at: message.timestamp().to_millis().unwrap_or(0) };
    collector.take(&Read { key: message.key(), content_type, value: message.payload(), place })
}

/// The topic was removed while it was read.
fn is_gone(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
        )
    )
}

fn tell(progress: &mut dyn FnMut(Progress), told_at: &mut Instant, what: impl FnOnce() -> Progress) {
    if told_at.elapsed() >= PROGRESS {
        *told_at = Instant::now();
        progress(what());
    }
}

fn waiting(reason: &str, quiet_since: Instant) -> Progress {
    Progress::Waiting { reason: reason.to_owned(), waited: quiet_since.elapsed() }
}
