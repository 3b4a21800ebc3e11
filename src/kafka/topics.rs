//! The topics: created where they are missing, checked where they exist.
//!
//! Policy: existing topics are never changed. What is wrong with them is a WARN, once: a `current` topic that is not
//! compacted grows without bound or forgets agents, one that keeps personal data longer than configured breaks a promise, and
//! events and current with different numbers of partitions do not join. When this is done, and repeated, is up to
//! `topic_keeper`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use tokio::runtime::Runtime;

use crate::config::model::{Delivery, Kafka};
use crate::journal::message::Topic;
use crate::telemetry::targets::KAFKA;

use super::client::{self, Quiet, settings};
use super::diagnosis::{KnownAs, Right, is_refusal};
use super::retention;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request continues after it was stopped.
const STEP: Duration = Duration::from_millis(500);

/// A topic as it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPlan {
    /// Its configured name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Number of replicas; -1 is the broker's default.
    pub replication: i32,
    /// Settings of the topic.
    pub settings: Vec<(&'static str, String)>,
}

/// Returns how each topic is created.
pub fn plan(kafka: &Kafka) -> Vec<TopicPlan> {
    plans(kafka).into_iter().map(|(_, plan)| plan).collect()
}

/// Returns the same with the topic that each is for.
pub(super) fn plans(kafka: &Kafka) -> Vec<(Topic, TopicPlan)> {
    let exactly_once = kafka.delivery == Delivery::ExactlyOnce;
    let topics = Topic::ALL.into_iter().filter(|topic| *topic != Topic::Checkpoint || exactly_once);
    topics.map(|topic| (topic, plan_of(topic, kafka))).collect()
}

fn plan_of(topic: Topic, kafka: &Kafka) -> TopicPlan {
    let partitions = if topic.spec().is_partitioned { kafka.partitions } else { 1 };
    let settings = retention::of(topic, &kafka.retention).map_or_else(compacted, retention::settings);
    TopicPlan {
        name: kafka.topics[topic].to_owned(),
        partitions,
        replication: kafka.replication_factor.unwrap_or(-1),
        settings,
    }
}

fn compacted() -> Vec<(&'static str, String)> {
    let segment = Duration::from_secs(3600).as_millis().to_string();
    vec![
        ("cleanup.policy", "compact".to_owned()),
        ("segment.ms", segment),
        ("min.cleanable.dirty.ratio", "0.1".to_owned()),
    ]
}

/// Why the topics could not be looked after; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum TopicsError {
    #[error("{0}")]
    Kafka(String),
    #[error("topic {topic:?} could not be created: {reason}")]
    Create { topic: String, reason: String },
    #[error(
        "topic {0:?} does not exist, or this user may not see it: create it or set kafka.create_topics, and give the rights as SECURITY.md says"
    )]
    Missing(String),
    #[error("topic {0:?} was created and is not there yet")]
    Late(String),
    #[error("stopped")]
    Stopped,
}

/// Creates the administrator.
pub(super) fn client(servers: &str, kafka: &Kafka) -> Result<AdminClient<Quiet>, KafkaError> {
    let mut client = settings(servers, &kafka.properties, "rtalink-topics");
    client.set("allow.auto.create.topics", "false");
    client::open(&client, Quiet::default())
}

/// The administrator's requests, in steps between which it can be stopped.
pub(super) struct Admin<'a> {
    pub(super) client: &'a AdminClient<Quiet>,
    pub(super) runtime: &'a Runtime,
    pub(super) stopped: &'a Receiver<()>,
}

impl Admin<'_> {
    fn go_on(&self) -> Result<(), TopicsError> {
        match self.stopped.try_recv() {
            Err(TryRecvError::Empty) => Ok(()),
            _ => Err(TopicsError::Stopped),
        }
    }

    /// Returns the number of a topic's partitions; `None` if it does not exist.
    pub(super) fn partitions(&self, topic: &str) -> Result<Option<usize>, TopicsError> {
        let metadata = self.insist(|| self.client.inner().fetch_metadata(Some(topic), STEP))?;
        Ok(partitions(&metadata, topic))
    }

    /// Returns where a partition ends.
    pub(super) fn end(&self, topic: &str, partition: i32) -> Result<i64, TopicsError> {
        Ok(self.insist(|| self.client.inner().fetch_watermarks(topic, partition, STEP))?.1)
    }

    fn insist<T>(&self, request: impl Fn() -> Result<T, KafkaError>) -> Result<T, TopicsError> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            self.go_on()?;
            match request() {
                Ok(answer) => return Ok(answer),
                Err(error) if Instant::now() >= deadline => {
                    return Err(TopicsError::Kafka(self.client.inner().context().explain(&error)));
                }
                Err(_) => {}
            }
        }
    }

    fn wait<T>(&self, request: impl Future<Output = Result<T, KafkaError>>) -> Result<T, TopicsError> {
        let mut request = std::pin::pin!(request);
        loop {
            self.go_on()?;
            let step = self.runtime.block_on(async { tokio::time::timeout(STEP, request.as_mut()).await });
            if let Ok(outcome) = step {
                return outcome.map_err(|error| TopicsError::Kafka(self.client.inner().context().explain(&error)));
            }
        }
    }
}

pub(super) fn create(admin: &Admin<'_>, kafka: &Kafka, missing: &[&TopicPlan]) -> Result<(), TopicsError> {
    let new_topics: Vec<NewTopic<'_>> = missing.iter().map(|plan| plan.as_new_topic()).collect();
    let known = KnownAs::by(&kafka.properties);
    let mut first_failure = None;
    for result in admin.wait(admin.client.create_topics(&new_topics, &options()))? {
        match result {
            Ok(topic) => tracing::info!(target: KAFKA, topic, "topic created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                let reason = if is_refusal(code) { known.lacks(Right::Create(&topic)) } else { code.to_string() };
                first_failure.get_or_insert(TopicsError::Create { topic, reason });
            }
        }
    }
    first_failure.map_or(Ok(()), Err)
}

/// Reports what is wrong with topics that somebody else created.
pub(super) fn check_settings(
    admin: &Admin<'_>,
    kafka: &Kafka,
    partitions: &HashMap<Topic, usize>,
) -> Result<(), TopicsError> {
    let (events, current) = (&kafka.topics[Topic::Events], &kafka.topics[Topic::Current]);
    let Some(of_current) = partitions.get(&Topic::Current) else { return Ok(()) };
    let settings = settings_of(admin, kafka, current, "nobody looks whether the topic is compacted")?;
    log_unless_compacted(current, settings.iter());
    if let Some(of_events) = partitions.get(&Topic::Events).filter(|of_events| *of_events != of_current) {
        tracing::warn!(
            target: KAFKA, events, of_events, current, of_current, "topics have different numbers of partitions"
        );
    }
    Ok(())
}

/// Reports which of them keep messages for too long. One request each: we may have the right to read the settings of some only.
pub(super) fn check_retention(admin: &Admin<'_>, servers: &str, kafka: &Kafka) -> Result<(), TopicsError> {
    for (topic, plan) in plans(kafka) {
        let name = &*plan.name;
        let Some(wanted) = retention::of(topic, &kafka.retention) else { continue };
        for resource in settings_of(admin, kafka, name, "nobody looks for how long the topic keeps its messages")? {
            retention::log_if_longer(name, wanted, servers, &resource);
        }
    }
    Ok(())
}

/// Returns the settings of a topic, as far as they can be read. That needs a separate right, which is optional: `unseen` says
/// what is not checked without it.
fn settings_of(
    admin: &Admin<'_>,
    kafka: &Kafka,
    topic: &str,
    unseen: &'static str,
) -> Result<Vec<ConfigResource>, TopicsError> {
    match admin.wait(admin.client.describe_configs(&[ResourceSpecifier::Topic(topic)], &options())) {
        // The crate does not report a refusal; but every topic has settings.
        Ok(results) if results.iter().flatten().all(|resource| resource.entries.is_empty()) => {
            let reason = KnownAs::by(&kafka.properties).lacks(Right::DescribeConfigs(topic));
            tracing::warn!(target: KAFKA, topic, reason, "{unseen}");
            Ok(Vec::new())
        }
        Ok(results) => Ok(results.into_iter().flatten().collect()),
        Err(TopicsError::Stopped) => Err(TopicsError::Stopped),
        Err(error) => {
            tracing::debug!(target: KAFKA, %error, topic, "settings of the topic could not be read");
            Ok(Vec::new())
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}

impl TopicPlan {
    fn as_new_topic(&self) -> NewTopic<'_> {
        let topic = NewTopic::new(&self.name, self.partitions, TopicReplication::Fixed(self.replication));
        self.settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
    }
}

/// Returns the number of a topic's partitions; `None` if it does not exist.
fn partitions(metadata: &Metadata, name: &str) -> Option<usize> {
    let topic = metadata.topics().iter().find(|topic| topic.name() == name)?;
    Some(topic.partitions().len()).filter(|count| *count > 0 && topic.error().is_none())
}

fn log_unless_compacted<'a>(topic: &str, resources: impl Iterator<Item = &'a ConfigResource>) {
    let policy = resources.filter_map(|resource| resource.get("cleanup.policy")).find_map(|entry| entry.value.clone());
    if let Some(policy) = policy.filter(|policy| !policy.contains("compact")) {
        tracing::warn!(
            target: KAFKA, topic, policy, "topic is not compacted: it will lose agents, set cleanup.policy=compact"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::testing;

    #[test]
    fn events_and_current_are_partitioned_alike() {
        let plans = plan(&testing::kafka("broker:9092"));
        let lines: Vec<String> = plans
            .iter()
            .map(|plan| format!("{} {} {} {:?}", plan.name, plan.partitions, plan.replication, plan.settings))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        rta.agent-state.events 3 -1 [("cleanup.policy", "delete"), ("retention.ms", "604800000"), ("segment.ms", "60480000")]
        rta.agent-state.current 3 -1 [("cleanup.policy", "compact"), ("segment.ms", "3600000"), ("min.cleanable.dirty.ratio", "0.1")]
        rta.feed-status 1 -1 [("cleanup.policy", "delete"), ("retention.ms", "2592000000"), ("segment.ms", "86400000")]
        rta.dead-letter 3 -1 [("cleanup.policy", "delete"), ("retention.ms", "604800000"), ("segment.ms", "60480000")]
        rta.audit 1 -1 [("cleanup.policy", "delete"), ("retention.ms", "31536000000"), ("segment.ms", "86400000")]
        "#);
    }
}
