//! The health of Kafka as one integration's producers see it, kept when they are replaced.
//!
//! Policy: every error is counted, repeats are logged once a minute, and the last cause stays in the health body. What is wrong
//! for longer than a moment is a [`KafkaCondition`]. Cost of a success: two looks at clocks, and a lock
//! for one on `current`.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use rdkafka::error::RDKafkaErrorCode;
use uuid::Uuid;

use crate::config::model::Kafka;
use crate::config::topics::Topics;
use crate::journal::message::Topic;
use crate::journal::send_window::Acknowledged;
use crate::kafka::client;
use crate::kafka::diagnosis::{self, KnownAs, Right};
use crate::kafka::observer::{KafkaCondition, KafkaHealth, LastError, Observer, Statistics};
use crate::kafka::topic_keeper::TopicNews;
use crate::telemetry::repeats::RepeatLimiter;
use crate::telemetry::targets::KAFKA;
use crate::time::Timestamp;

/// The shortest time between two log lines about the same error.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The health of one integration's producers, kept when they are replaced.
pub(crate) struct Monitor {
    integration: Arc<str>,
    observer: Arc<dyn Observer>,
    /// All of it but whether there is a connection, and when something was acknowledged.
    health: Mutex<KafkaHealth>,
    is_connected: AtomicBool,
    /// When Kafka last answered, in microseconds since 1970; 0 where it never has.
    answered: AtomicI64,
    /// By kind and topic.
    logged: Mutex<HashMap<(i32, Option<Topic>), RepeatLimiter>>,
    claim: AtomicBool,
    known: KnownAs,
    topics: Topics,
    /// Why the last connection ended.
    no_connection: Mutex<Option<String>>,
    /// What is wrong for longer than a moment.
    conditions: Mutex<HashSet<KafkaCondition>>,
    /// One of these, as a flag that is checked for every message.
    refuses_time: AtomicBool,
    /// For the thread that looks after the topics.
    news: OnceLock<Sender<TopicNews>>,
    /// The last offset of each partition of `current`.
    offsets: Mutex<HashMap<i32, i64>>,
}

impl Monitor {
    pub(crate) fn new(integration: Arc<str>, kafka: &Kafka, observer: Arc<dyn Observer>) -> Self {
        Self {
            known: KnownAs::by(&kafka.properties),
            topics: kafka.topics.clone(),
            no_connection: Mutex::default(),
            conditions: Mutex::default(),
            refuses_time: AtomicBool::new(false),
            news: OnceLock::new(),
            offsets: Mutex::default(),
            integration,
            observer,
            health: Mutex::default(),
            is_connected: AtomicBool::new(false),
            answered: AtomicI64::new(0),
            logged: Mutex::default(),
            claim: AtomicBool::new(false),
        }
    }

    pub(crate) fn health(&self) -> KafkaHealth {
        let conditions = {
            let lasting = self.conditions.lock();
            KafkaCondition::ALL.map(|condition| lasting.contains(&condition))
        };
        // First: whoever has set the last error has set before whether there is a connection.
        let health = self.health.lock().clone();
        let connected = self.is_connected.load(Ordering::Relaxed);
        let answered = self.answered.load(Ordering::Relaxed);
        let last_acknowledged = (answered != 0).then(|| Timestamp::from_micros(answered));
        KafkaHealth { conditions, connected, last_acknowledged, ..health }
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// Returns an error in words: the missing right, or what librdkafka said.
    pub(in crate::kafka) fn explain(&self, code: RDKafkaErrorCode, topic: Option<Topic>, said: &str) -> String {
        match (code, topic) {
            (RDKafkaErrorCode::TopicAuthorizationFailed, Some(topic)) => {
                self.known.lacks(Right::Write(&self.topics[topic]))
            }
            (RDKafkaErrorCode::TransactionalIdAuthorizationFailed, _) => {
                self.known.lacks(Right::Transactions(&client::transactional_id(&self.integration)))
            }
            (RDKafkaErrorCode::ClusterAuthorizationFailed, _) => self.known.lacks(Right::Idempotence),
            (RDKafkaErrorCode::AllBrokersDown, _) => {
                let reason = self.no_connection.lock().as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                diagnosis::with_advice(&format!("{said}{reason}"))
            }
            (RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced, _) => {
                let id = client::transactional_id(&self.integration);
                format!(
                    "{said}: another producer has taken transactional.id {id:?}; if no other instance publishes for this \
                     integration, another installation on this cluster has one of the same id: rename one of the two"
                )
            }
            (RDKafkaErrorCode::InvalidTimestamp, _) => format!("{said}: {}", diagnosis::CLOCKS_DIFFER),
            (_, Some(topic)) => diagnosis::with_advice(&format!("topic {:?}: {said}", &self.topics[topic])),
            (_, None) => diagnosis::with_advice(said),
        }
    }

    /// Returns the topic of that name, if it is one of ours.
    pub(super) fn topic_named(&self, name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| self.topics[*topic] == *name)
    }

    /// Keeps why a connection ended.
    pub(super) fn set_no_connection(&self, reason: &str) {
        *self.no_connection.lock() = Some(reason.to_owned());
    }

    /// Takes an error of Kafka, with the topic if that is known: counts it, keeps it for the health body, and logs it where
    /// it is news.
    pub(crate) fn record_error(&self, code: RDKafkaErrorCode, topic: Option<Topic>, said: &str) {
        let message = &self.explain(code, topic, said);
        let kind = format!("{code:?}");
        self.observer.kafka_error(&kind);
        if diagnosis::is_missing(code) {
            self.report(TopicNews::Missing);
        }
        if code == RDKafkaErrorCode::InvalidTimestamp {
            self.set_refuses_time(true);
        }
        if code == RDKafkaErrorCode::AllBrokersDown {
            self.set_connected(false);
        }
        let admitted = {
            let mut logged = self.logged.lock();
            logged
                .entry((code as i32, topic))
                .or_insert_with(|| RepeatLimiter::new(LOG_INTERVAL))
                .admit(Timestamp::now())
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
    pub(super) fn record_consequence(&self, code: RDKafkaErrorCode, said: &str) {
        let kind = format!("{code:?}");
        self.observer.kafka_error(&kind);
        tracing::debug!(
            target: KAFKA, integration = &*self.integration, kind, error = said, "kafka error after another"
        );
    }

    /// Kafka has not answered a request in time. librdkafka silently replaces the connection.
    pub(super) fn record_unanswered(&self, request: &str) {
        self.set_connected(false);
        self.record_error(RDKafkaErrorCode::OperationTimedOut, None, request);
    }

    /// Sets who else publishes for this integration; with `None`, we do.
    pub(crate) fn set_superseded_by(&self, owner: Option<Uuid>) {
        self.health.lock().superseded_by = owner;
        self.claim.store(false, Ordering::Release);
        self.condition(KafkaCondition::Superseded, owner.is_some());
    }

    /// Sets whether that condition lasts.
    pub(in crate::kafka) fn condition(&self, condition: KafkaCondition, lasts: bool) {
        let mut conditions = self.conditions.lock();
        let is_news = if lasts { conditions.insert(condition) } else { conditions.remove(&condition) };
        if is_news {
            self.observer.condition(condition, lasts);
        }
    }

    fn set_refuses_time(&self, refuses: bool) {
        self.refuses_time.store(refuses, Ordering::Relaxed);
        self.condition(KafkaCondition::TimestampRefused, refuses);
    }

    /// Sets where to report that a topic is gone, or begins anew.
    pub(in crate::kafka) fn set_keeper(&self, news: Sender<TopicNews>) {
        // There is one keeper.
        let _ = self.news.set(news);
    }

    fn report(&self, news: TopicNews) {
        // One waiting message is enough.
        if let Some(keeper) = self.news.get() {
            let _ = keeper.try_send(news);
        }
    }

    /// A message is on `current` at that offset: offsets rise, unless the topic was recreated.
    pub(in crate::kafka) fn on_current(&self, partition: i32, offset: i64) {
        if offset < 0 {
            return; // the offset of a message that was sent twice is not reported
        }
        let mut offsets = self.offsets.lock();
        let before = offsets.insert(partition, offset);
        if before.is_some_and(|before| offset <= before) {
            offsets.clear();
            // Within the lock: after the offsets are forgotten nothing is reported about earlier ones.
            self.report(TopicNews::CurrentBegunAnew);
        }
    }

    /// `current` has begun anew, and that is known.
    pub(in crate::kafka) fn forget_offsets(&self) {
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
    pub(crate) fn record_acknowledged(&self, messages: impl IntoIterator<Item = Acknowledged>) {
        self.record_answer();
        let now = Instant::now();
        for message in messages {
            if self.refuses_time.load(Ordering::Relaxed) {
                self.set_refuses_time(false);
            }
            let latency = message.read_at.map(|read_at| now.saturating_duration_since(read_at));
            self.observer.acknowledged(message.route, latency);
        }
    }

    /// Kafka has answered.
    fn record_answer(&self) {
        self.answered.fetch_max(Timestamp::now().as_micros(), Ordering::Relaxed);
        if !self.is_connected.load(Ordering::Relaxed) {
            self.set_connected(true);
        }
    }

    /// Takes the figures of a producer.
    pub(super) fn record_statistics(&self, statistics: &Statistics) {
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
        if self.is_connected.swap(connected, Ordering::Relaxed) == connected {
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
