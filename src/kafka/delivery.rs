//! What librdkafka reports back: delivery reports, errors, statistics.
//!
//! One [`Reports`] belongs to one producer and runs on its polling thread. A success acknowledges a position in the outbox,
//! or, in a transaction, is counted only ([`OnTheWay`]): its commit acknowledges. A failure is only recorded ([`Failures`])
//! and the publisher thread woken: what to do about it is decided there, after the producer has been destroyed and no report
//! can follow. Cost: per message one lock of the outbox, or of the count.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::ProducerContext;
use uuid::Uuid;

use crate::config::model::{Kafka, Topics};
use crate::fail_point;
use crate::journal::message::Topic;
use crate::journal::outbox::{Acknowledged, Outbox};
use crate::telemetry::repeats::Repeats;
use crate::telemetry::targets::KAFKA;
use crate::time::Timestamp;

use super::client;
use super::observer::{Condition, KafkaHealth, LastError, Observer, Statistics};
use super::topic_keeper::News;
use super::trouble::{self, Known, Right};

/// The shortest time between two log lines about the same error.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A position and a topic, packed into what librdkafka carries along with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) position: u64,
    pub(crate) topic: Topic,
}

impl Ticket {
    #[allow(clippy::cast_possible_truncation)] // 61 bits of positions; 29 on 32-bit machines
    pub(crate) const fn pack(self) -> usize {
        (self.position as usize) << 3 | self.topic as usize
    }

    pub(crate) const fn unpack(packed: usize) -> Self {
        Self { position: (packed >> 3) as u64, topic: Topic::ALL[packed & 7] }
    }
}

/// What a failed delivery means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// We discarded it ourselves.
    Purged,
    /// This message, or one that shared its request, will never be accepted.
    Refused,
    /// The producer has stopped because of another failure, whose report may come later than this one.
    Consequence,
    /// Anything else: the producer is at its end, the messages are not.
    Broken,
}

fn verdict(code: RDKafkaErrorCode) -> Verdict {
    match code {
        RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight => Verdict::Purged,
        RDKafkaErrorCode::MessageSizeTooLarge
        | RDKafkaErrorCode::MessageBatchTooLarge
        | RDKafkaErrorCode::InvalidRecord => Verdict::Refused,
        RDKafkaErrorCode::Fatal | RDKafkaErrorCode::GaplessGuarantee | RDKafkaErrorCode::State => Verdict::Consequence,
        _ => Verdict::Broken,
    }
}

/// Why a producer had to end.
#[derive(Default)]
pub(crate) struct Failures {
    any: AtomicBool,
    list: Mutex<FailureList>,
}

/// A failure that ended a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Breakage {
    pub(crate) code: RDKafkaErrorCode,
    /// The topic of the message; unknown where the failure was the producer's own.
    pub(crate) topic: Option<Topic>,
}

/// What [`Failures`] holds.
#[derive(Debug, Default)]
pub(crate) struct FailureList {
    /// The first failure that was neither one of `refused` nor a consequence.
    pub(crate) broken: Option<Breakage>,
    /// The topic that could not be added to a transaction.
    pub(crate) not_added: Option<Topic>,
    /// Positions of messages that were refused, alone or with others.
    pub(crate) refused: Vec<(u64, RDKafkaErrorCode)>,
}

impl Failures {
    /// Whether there is one.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Records one. True if an observer should hear of it.
    pub(crate) fn record(&self, ticket: Ticket, code: RDKafkaErrorCode) -> bool {
        let mut list = self.list.lock();
        let news = match verdict(code) {
            Verdict::Purged => return false,
            Verdict::Refused => {
                list.refused.push((ticket.position, code));
                true
            }
            Verdict::Consequence => false,
            Verdict::Broken => {
                let first = list.broken.is_none() && list.refused.is_empty();
                list.broken.get_or_insert(Breakage { code, topic: Some(ticket.topic) });
                first
            }
        };
        self.any.store(true, Ordering::Release);
        news
    }

    /// Records that the producer itself is at its end, not because of a message. True if an observer should hear of it.
    pub(crate) fn record_end(&self, code: RDKafkaErrorCode) -> bool {
        if verdict(code) == Verdict::Consequence {
            self.any.store(true, Ordering::Release);
            return false;
        }
        let mut list = self.list.lock();
        let news = list.broken.is_none() && list.refused.is_empty();
        let topic = list.not_added.filter(|_| code == RDKafkaErrorCode::TopicAuthorizationFailed);
        list.broken.get_or_insert(Breakage { code, topic });
        self.any.store(true, Ordering::Release);
        news
    }

    /// Records which topic could not be added to a transaction, whose end is about to come.
    pub(crate) fn record_not_added(&self, topic: Topic) {
        self.list.lock().not_added = Some(topic);
    }

    /// Returns that topic.
    pub(crate) fn not_added(&self) -> Option<Topic> {
        self.list.lock().not_added
    }

    /// Whether it is known why the producer is at its end: whatever it reports from then on is a consequence.
    fn has_cause(&self) -> bool {
        let list = self.list.lock();
        list.broken.is_some() || !list.refused.is_empty()
    }

    /// Takes all of them.
    pub(crate) fn take(&self) -> FailureList {
        std::mem::take(&mut self.list.lock())
    }
}

/// How many messages of a transaction are on their way.
#[derive(Default)]
pub(crate) struct OnTheWay {
    count: Mutex<usize>,
    none: Condvar,
}

impl OnTheWay {
    /// Counts one more; called before it is handed to librdkafka, whose report may be quick.
    pub(crate) fn add(&self) {
        *self.count.lock() += 1;
    }

    /// Counts one less: it was reported, or not accepted.
    pub(crate) fn remove(&self) {
        let mut count = self.count.lock();
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.none.notify_all();
        }
    }

    /// Waits until there is none; true if that happened in time.
    pub(crate) fn wait_none(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut count = self.count.lock();
        while *count > 0 {
            if self.none.wait_until(&mut count, deadline).timed_out() {
                break;
            }
        }
        *count == 0
    }
}

/// The health of one integration's producers, kept when they are replaced.
pub(crate) struct Monitor {
    integration: Arc<str>,
    observer: Arc<dyn Observer>,
    health: Mutex<KafkaHealth>,
    /// By kind and topic.
    logged: Mutex<HashMap<(i32, Option<Topic>), Repeats>>,
    claim: AtomicBool,
    known: Known,
    topics: Topics,
    /// Why the last connection ended.
    no_connection: Mutex<Option<String>>,
    /// What is wrong for longer than a moment.
    conditions: Mutex<HashSet<Condition>>,
    /// One of these, as a flag that is checked for every message.
    refuses_time: AtomicBool,
    /// For the thread that looks after the topics.
    news: OnceLock<Sender<News>>,
    /// The last offset of each partition of `current`.
    offsets: Mutex<HashMap<i32, i64>>,
}

impl Monitor {
    pub(crate) fn new(integration: Arc<str>, kafka: &Kafka, observer: Arc<dyn Observer>) -> Self {
        Self {
            known: Known::by(&kafka.properties),
            topics: kafka.topics.clone(),
            no_connection: Mutex::default(),
            conditions: Mutex::default(),
            refuses_time: AtomicBool::new(false),
            news: OnceLock::new(),
            offsets: Mutex::default(),
            integration,
            observer,
            health: Mutex::default(),
            logged: Mutex::default(),
            claim: AtomicBool::new(false),
        }
    }

    pub(crate) fn health(&self) -> KafkaHealth {
        self.health.lock().clone()
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// Returns an error in words: the missing right, or what librdkafka said.
    pub(super) fn explain(&self, code: RDKafkaErrorCode, topic: Option<Topic>, said: &str) -> String {
        match (code, topic) {
            (RDKafkaErrorCode::TopicAuthorizationFailed, Some(topic)) => {
                self.known.lacks(Right::Write(topic.name(&self.topics)))
            }
            (RDKafkaErrorCode::TransactionalIdAuthorizationFailed, _) => {
                self.known.lacks(Right::Transactions(&client::transactional_id(&self.integration)))
            }
            (RDKafkaErrorCode::ClusterAuthorizationFailed, _) => self.known.lacks(Right::Idempotence),
            (RDKafkaErrorCode::AllBrokersDown, _) => {
                let reason = self.no_connection.lock().as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                trouble::with_advice(&format!("{said}{reason}"))
            }
            (RDKafkaErrorCode::InvalidTimestamp, _) => format!("{said}: {}", trouble::CLOCKS_DIFFER),
            (_, Some(topic)) => trouble::with_advice(&format!("topic {:?}: {said}", topic.name(&self.topics))),
            (_, None) => trouble::with_advice(said),
        }
    }

    /// Takes an error of Kafka, with the topic if that is known: counts it, keeps it for the health body, and logs it where
    /// it is news.
    pub(crate) fn error(&self, code: RDKafkaErrorCode, topic: Option<Topic>, said: &str) {
        let message = &self.explain(code, topic, said);
        let kind = format!("{code:?}");
        self.observer.kafka_error(&kind);
        if trouble::is_missing(code) {
            self.tell(News::Missing);
        }
        if code == RDKafkaErrorCode::InvalidTimestamp {
            self.refuses_time(true);
        }
        if code == RDKafkaErrorCode::AllBrokersDown {
            self.set_connected(false);
        }
        let admitted = {
            let mut logged = self.logged.lock();
            logged.entry((code as i32, topic)).or_insert_with(|| Repeats::new(LOG_INTERVAL)).admit(Timestamp::now())
        };
        if let Some(suppressed) = admitted {
            let integration = &*self.integration;
            tracing::warn!(
                target: KAFKA, integration, kind, error = message, suppressed, "kafka error, will be retried"
            );
        }
        self.health.lock().last_error = Some(LastError { kind, message: message.to_owned(), at: Timestamp::now() });
    }

    /// Takes an error that follows from one already reported: counts it, and keeps it from hiding its cause.
    fn consequence(&self, code: RDKafkaErrorCode, said: &str) {
        let kind = format!("{code:?}");
        self.observer.kafka_error(&kind);
        tracing::debug!(
            target: KAFKA, integration = &*self.integration, kind, error = said, "kafka error after another"
        );
    }

    /// Kafka has not answered a request in time. librdkafka silently replaces the connection.
    fn unanswered(&self, request: &str) {
        self.set_connected(false);
        self.error(RDKafkaErrorCode::OperationTimedOut, None, request);
    }

    /// Sets who else publishes for this integration; with `None`, we do.
    pub(crate) fn set_superseded_by(&self, owner: Option<Uuid>) {
        self.health.lock().superseded_by = owner;
        self.claim.store(false, Ordering::Release);
        self.condition(Condition::Superseded, owner.is_some());
    }

    /// Sets whether that condition lasts.
    pub(super) fn condition(&self, condition: Condition, lasts: bool) {
        let mut conditions = self.conditions.lock();
        let is_news = if lasts { conditions.insert(condition) } else { conditions.remove(&condition) };
        if is_news {
            self.observer.condition(condition, lasts);
        }
    }

    fn refuses_time(&self, refuses: bool) {
        self.refuses_time.store(refuses, Ordering::Relaxed);
        self.condition(Condition::TimestampRefused, refuses);
    }

    /// Sets where to report that a topic is gone, or begins anew.
    pub(super) fn tell_topics(&self, news: Sender<News>) {
        // There is one keeper.
        let _ = self.news.set(news);
    }

    fn tell(&self, news: News) {
        // One waiting message is enough.
        if let Some(keeper) = self.news.get() {
            let _ = keeper.try_send(news);
        }
    }

    /// A message is on `current` at that offset: offsets rise, unless the topic was recreated.
    pub(super) fn on_current(&self, partition: i32, offset: i64) {
        if offset < 0 {
            return; // the offset of a message that was sent twice is not reported
        }
        let mut offsets = self.offsets.lock();
        let before = offsets.insert(partition, offset);
        if before.is_some_and(|before| offset <= before) {
            offsets.clear();
            // Within the lock: after the offsets are forgotten nothing is reported about earlier ones.
            self.tell(News::CurrentBegunAnew);
        }
    }

    /// `current` has begun anew, and that is known.
    pub(super) fn forget_offsets(&self) {
        self.offsets.lock().clear();
    }

    /// Asks the publisher thread to take the integration back. Without effect unless it is superseded.
    pub(crate) fn claim(&self) {
        self.claim.store(true, Ordering::Release);
    }

    /// Whether somebody has asked since the integration was lost.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claim.load(Ordering::Acquire)
    }

    /// Messages have arrived for good.
    pub(crate) fn acknowledged(&self, messages: impl IntoIterator<Item = Acknowledged>) {
        self.alive();
        for message in messages {
            if self.refuses_time.load(Ordering::Relaxed) {
                self.refuses_time(false);
            }
            self.observer.acknowledged(message.route, message.read_at.map(|read_at| read_at.elapsed()));
        }
    }

    /// Kafka has answered.
    fn alive(&self) {
        let was_connected = {
            let mut health = self.health.lock();
            health.last_acknowledged = Some(Timestamp::now());
            health.connected
        };
        if !was_connected {
            self.set_connected(true);
        }
    }

    fn statistics(&self, statistics: &Statistics) {
        {
            let mut health = self.health.lock();
            health.brokers_up = statistics.brokers_up;
            health.brokers = statistics.brokers;
        }
        // No broker up is no proof of an outage: brokers close idle connections.
        if statistics.brokers_up > 0 {
            self.set_connected(true);
        }
        self.observer.statistics(statistics);
    }

    fn set_connected(&self, connected: bool) {
        let before = std::mem::replace(&mut self.health.lock().connected, connected);
        if before == connected {
            return;
        }
        if connected {
            tracing::info!(target: KAFKA, integration = &*self.integration, "kafka connected");
        } else {
            tracing::warn!(target: KAFKA, integration = &*self.integration, "kafka unreachable, messages wait");
        }
        self.observer.connected(connected);
    }
}

/// The callbacks of one producer.
pub(crate) struct Reports {
    outbox: Arc<Outbox>,
    monitor: Arc<Monitor>,
    failures: Arc<Failures>,
    /// `Some` in a transaction.
    on_the_way: Option<Arc<OnTheWay>>,
    /// rdkafka 0.39 passes every error to the context twice in a row: this is the first of a pair, until the second comes.
    half_of_pair: Mutex<Option<(KafkaError, String)>>,
}

impl Reports {
    pub(crate) fn new(
        outbox: Arc<Outbox>,
        monitor: Arc<Monitor>,
        failures: Arc<Failures>,
        on_the_way: Option<Arc<OnTheWay>>,
    ) -> Self {
        Self { outbox, monitor, failures, on_the_way, half_of_pair: Mutex::default() }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if let Some(name) = trouble::topic_of_log_line(facility, message)
            && let Some(topic) = Topic::ALL.into_iter().find(|topic| topic.name(&self.monitor.topics) == name)
        {
            self.failures.record_not_added(topic);
        }
        if let Some(request) = trouble::unanswered(facility, message) {
            self.monitor.unanswered(request);
        }
        if let Some(reason) = trouble::end_of_connection(facility, message) {
            *self.monitor.no_connection.lock() = Some(reason.to_owned());
        }
        client::log(level, facility, message);
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.monitor.statistics(&Statistics::from(&statistics));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut half = self.half_of_pair.lock();
        if half.take_if(|(first, first_reason)| *first == error && first_reason.as_str() == reason).is_some() {
            return;
        }
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        *half = Some((error, reason.to_owned()));
        drop(half);
        if code != RDKafkaErrorCode::AllBrokersDown && self.failures.has_cause() {
            self.monitor.consequence(code, reason);
            self.outbox.interrupt();
            return;
        }
        let topic = self.failures.not_added().filter(|_| code == RDKafkaErrorCode::TopicAuthorizationFailed);
        self.monitor.error(code, topic, reason);
        // It may be fatal: the publisher thread asks.
        self.outbox.interrupt();
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, packed: usize) {
        let ticket = Ticket::unpack(packed);
        if let (Topic::Current, Ok(message)) = (ticket.topic, result) {
            self.monitor.on_current(message.partition(), message.offset());
        }
        match result {
            Ok(_) if self.on_the_way.is_some() => {}
            Ok(_) => {
                fail_point::reach(fail_point::BEFORE_ACKNOWLEDGE);
                let done = self.outbox.acknowledge(ticket.position, ticket.topic);
                fail_point::reach(fail_point::AFTER_ACKNOWLEDGE);
                if let Some(done) = done {
                    self.monitor.acknowledged([done]);
                }
            }
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                // A checkpoint has no position of its own, and nothing can take its place.
                let is_checkpoint = ticket.topic == Topic::Checkpoint && verdict(code) == Verdict::Refused;
                let code = if is_checkpoint { RDKafkaErrorCode::Fail } else { code };
                if self.failures.record(ticket, code) {
                    self.monitor.error(code, Some(ticket.topic), &error.to_string());
                }
                if self.failures.any() {
                    self.outbox.interrupt();
                }
            }
        }
        if let Some(on_the_way) = &self.on_the_way {
            on_the_way.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kafka, recorder};
    use super::*;
    use crate::journal::outbox::Limits;

    #[test]
    fn what_follows_from_an_error_does_not_cover_it() {
        let (observer, _seen) = recorder();
        let monitor = Arc::new(Monitor::new("a".into(), &kafka(""), observer));
        let failures = Arc::new(Failures::default());
        let outbox = Arc::new(Outbox::new(Limits { messages: 1, bytes: Limits::DEFAULT_BYTES }, 0, 0, None));
        let reports = Reports::new(outbox, Arc::clone(&monitor), Arc::clone(&failures), None);
        let error = |code, reason| {
            for _ in 0..2 {
                reports.error(KafkaError::Global(code), reason); // a pair, as rdkafka does
            }
            monitor.health().last_error.unwrap().kind
        };
        assert_eq!(error(RDKafkaErrorCode::Resolve, "no such host"), "Resolve");
        failures.record_not_added(Topic::Checkpoint);
        let code = RDKafkaErrorCode::TopicAuthorizationFailed;
        assert_eq!(error(code, "not added"), "TopicAuthorizationFailed");
        failures.record_end(code);
        // Kafka knows of no transaction that could be aborted.
        assert_eq!(error(RDKafkaErrorCode::InvalidTransactionalState, "not ended"), "TopicAuthorizationFailed");
        assert_eq!(error(RDKafkaErrorCode::AllBrokersDown, "all down"), "AllBrokersDown");
    }

    #[test]
    fn a_ticket_survives_the_journey() {
        for topic in Topic::ALL {
            let ticket = Ticket { position: 123_456_789_012, topic };
            assert_eq!(Ticket::unpack(ticket.pack()), ticket);
        }
    }

    #[test]
    fn what_we_purge_is_no_failure_and_only_the_first_breakage_is_news() {
        let failures = Failures::default();
        let ticket = |position| Ticket { position, topic: Topic::Audit };
        assert!(!failures.record(ticket(1), RDKafkaErrorCode::PurgeQueue));
        assert!(!failures.any());
        assert!(failures.record(ticket(2), RDKafkaErrorCode::MessageSizeTooLarge));
        assert!(!failures.record(ticket(3), RDKafkaErrorCode::UnknownTopic));
        let list = failures.take();
        assert_eq!(
            (list.refused, list.broken),
            (
                vec![(2, RDKafkaErrorCode::MessageSizeTooLarge)],
                Some(Breakage { code: RDKafkaErrorCode::UnknownTopic, topic: Some(Topic::Audit) })
            )
        );
    }

    #[test]
    fn the_cause_is_news_even_when_its_consequence_is_reported_first() {
        let failures = Failures::default();
        assert!(!failures.record_end(RDKafkaErrorCode::Fatal));
        assert!(failures.any(), "the producer is at its end already");
        let code = RDKafkaErrorCode::TopicAuthorizationFailed;
        assert!(failures.record(Ticket { position: 5, topic: Topic::Current }, code));
        assert_eq!(failures.take().broken, Some(Breakage { code, topic: Some(Topic::Current) }));
    }
}
