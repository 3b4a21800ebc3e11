//! The topics: created where they are missing, looked at where they exist.
//!
//! Policy: existing topics are never changed. What is wrong with them is a WARN, once: a `current` topic that is not
//! compacted grows without bound or forgets agents, one that keeps people's data longer than configured breaks a promise, and
//! events and current with different numbers of partitions do not join. Runs on a thread of its own with a back-off from 1 s to 60 s, since Kafka may be down or the topics may be
//! the business of somebody else; publishing does not wait for it (its producer waits for the topics). Ends when all
//! topics exist and have been looked at.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use tokio::runtime::Runtime;

use super::client::{self, Quiet, settings};
use super::message::Topic;
use super::retention;
use super::trouble::{Known, Right, is_refusal};
use crate::config::model::{Delivery, Kafka};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request goes on after it was to stop.
const STEP: Duration = Duration::from_millis(500);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

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

/// How each topic is created.
pub fn plan(kafka: &Kafka) -> Vec<TopicPlan> {
    let exactly_once = kafka.delivery == Delivery::ExactlyOnce;
    let topics = Topic::ALL.into_iter().filter(|topic| *topic != Topic::Checkpoint || exactly_once);
    topics.map(|topic| plan_of(topic, kafka)).collect()
}

fn plan_of(topic: Topic, kafka: &Kafka) -> TopicPlan {
    let partitions = match topic {
        // As many for events and current, so that the two can be joined partition by partition.
        Topic::Events | Topic::Current | Topic::Checkpoint | Topic::DeadLetter => kafka.partitions,
        Topic::FeedStatus | Topic::Audit => 1,
    };
    let settings = retention::of(topic, &kafka.retention).map_or_else(compacted, retention::settings);
    TopicPlan {
        name: topic.name(&kafka.topics).to_owned(),
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

/// Why the topics could not be seen to; it is tried again.
#[derive(Debug, thiserror::Error)]
enum TopicsError {
    #[error("{0}")]
    Kafka(String),
    #[error("topic {topic:?} could not be created: {reason}")]
    Create { topic: String, reason: String },
    #[error(
        "topic {0:?} does not exist, or this user may not see it: create it or set kafka.create_topics, and give the rights as SECURITY.md says"
    )]
    Missing(String),
    #[error("stopped")]
    Stopped,
}

/// The thread that sees to the topics; dropping this ends it within [`STEP`] or two.
pub(crate) struct TopicKeeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TopicKeeper {
    pub(crate) fn spawn(servers: &str, kafka: &Kafka) -> std::io::Result<Self> {
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let (servers, kafka) = (servers.to_owned(), kafka.clone());
        let thread = thread::Builder::new()
            .name("topics".to_owned())
            .spawn(move || keep(&servers, &kafka, &runtime, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for TopicKeeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep(servers: &str, kafka: &Kafka, runtime: &Runtime, stopped: &Receiver<()>) {
    let mut backoff = FIRST_BACKOFF;
    let mut last_problem = String::new();
    let mut admin = None;
    loop {
        let outcome = match &admin {
            Some(admin) => see_to_topics(&Admin { client: admin, runtime, stopped }, servers, kafka),
            None => match client(servers, kafka) {
                Ok(client) => {
                    admin = Some(client);
                    continue;
                }
                Err(error) => Err(TopicsError::Kafka(error.to_string())),
            },
        };
        let Err(error) = outcome else { return };
        let problem = error.to_string();
        if problem == last_problem {
            tracing::debug!(%error, "topics not seen to");
        } else if !matches!(error, TopicsError::Stopped) {
            tracing::warn!(%error, "topics not seen to, will be retried");
            last_problem = problem;
        }
        if stopped.recv_timeout(backoff) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
}

fn client(servers: &str, kafka: &Kafka) -> Result<AdminClient<Quiet>, KafkaError> {
    let mut client = settings(servers, &kafka.properties, "rtalink-topics");
    client.set("allow.auto.create.topics", "false");
    client::open(&client, Quiet::default())
}

/// The administrator's requests, in steps between which it can be stopped.
struct Admin<'a> {
    client: &'a AdminClient<Quiet>,
    runtime: &'a Runtime,
    stopped: &'a Receiver<()>,
}

impl Admin<'_> {
    fn go_on(&self) -> Result<(), TopicsError> {
        match self.stopped.try_recv() {
            Err(TryRecvError::Empty) => Ok(()),
            _ => Err(TopicsError::Stopped),
        }
    }

    fn metadata(&self) -> Result<Metadata, TopicsError> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            self.go_on()?;
            match self.client.inner().fetch_metadata(None, STEP) {
                Ok(metadata) => return Ok(metadata),
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

fn see_to_topics(admin: &Admin<'_>, servers: &str, kafka: &Kafka) -> Result<(), TopicsError> {
    let plans = plan(kafka);
    let metadata = admin.metadata()?;
    let missing = missing(&metadata, &plans);
    match missing.first() {
        None => {}
        Some(_) if kafka.create_topics => create(admin, kafka, &missing)?,
        Some(plan) => return Err(TopicsError::Missing(plan.name.clone())),
    }
    look_at_retention(admin, &metadata, servers, kafka)?;
    look_at(admin, &metadata, kafka)
}

fn missing<'a>(metadata: &Metadata, plans: &'a [TopicPlan]) -> Vec<&'a TopicPlan> {
    plans.iter().filter(|plan| partitions(metadata, &plan.name).is_none()).collect()
}

fn create(admin: &Admin<'_>, kafka: &Kafka, missing: &[&TopicPlan]) -> Result<(), TopicsError> {
    let new_topics: Vec<NewTopic<'_>> = missing.iter().map(|plan| plan.as_new_topic()).collect();
    let known = Known::by(&kafka.properties);
    let mut first_failure = None;
    for result in admin.wait(admin.client.create_topics(&new_topics, &options()))? {
        match result {
            Ok(topic) => tracing::info!(topic, "topic created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                let reason = if is_refusal(code) { known.lacks(Right::Create(&topic)) } else { code.to_string() };
                first_failure.get_or_insert(TopicsError::Create { topic, reason });
            }
        }
    }
    first_failure.map_or(Ok(()), Err)
}

/// Says what is wrong with topics that somebody else has made.
fn look_at(admin: &Admin<'_>, metadata: &Metadata, kafka: &Kafka) -> Result<(), TopicsError> {
    let (events, current) = (&kafka.topics.events, &kafka.topics.current);
    let Some(of_current) = partitions(metadata, current) else { return Ok(()) };
    let settings = settings_of(admin, kafka, current, "nobody looks whether the topic is compacted")?;
    warn_unless_compacted(current, settings.iter());
    if let Some(of_events) = partitions(metadata, events).filter(|of_events| *of_events != of_current) {
        tracing::warn!(events, of_events, current, of_current, "topics have different numbers of partitions");
    }
    Ok(())
}

/// Says which of them keep messages for too long. One request each: the right to read settings may be there for some.
fn look_at_retention(admin: &Admin<'_>, metadata: &Metadata, servers: &str, kafka: &Kafka) -> Result<(), TopicsError> {
    for topic in Topic::ALL {
        let name = topic.name(&kafka.topics);
        let Some(wanted) = retention::of(topic, &kafka.retention).filter(|_| partitions(metadata, name).is_some())
        else {
            continue;
        };
        for resource in settings_of(admin, kafka, name, "nobody looks for how long the topic keeps its messages")? {
            retention::warn_if_longer(name, wanted, servers, &resource);
        }
    }
    Ok(())
}

/// The settings of a topic, as far as they can be read. The right to do so is a right of its own, and one to be had without:
/// `unseen` says what is not looked at then.
fn settings_of(
    admin: &Admin<'_>,
    kafka: &Kafka,
    topic: &str,
    unseen: &'static str,
) -> Result<Vec<ConfigResource>, TopicsError> {
    match admin.wait(admin.client.describe_configs(&[ResourceSpecifier::Topic(topic)], &options())) {
        // The crate does not pass a refusal on; but every topic has settings.
        Ok(results) if results.iter().flatten().all(|resource| resource.entries.is_empty()) => {
            let reason = Known::by(&kafka.properties).lacks(Right::DescribeConfigs(topic));
            tracing::warn!(topic, reason, "{unseen}");
            Ok(Vec::new())
        }
        Ok(results) => Ok(results.into_iter().flatten().collect()),
        Err(TopicsError::Stopped) => Err(TopicsError::Stopped),
        Err(error) => {
            tracing::debug!(%error, topic, "settings of the topic could not be read");
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

/// Number of a topic's partitions; `None` if it does not exist.
fn partitions(metadata: &Metadata, name: &str) -> Option<usize> {
    let topic = metadata.topics().iter().find(|topic| topic.name() == name)?;
    Some(topic.partitions().len()).filter(|count| *count > 0 && topic.error().is_none())
}

fn warn_unless_compacted<'a>(topic: &str, resources: impl Iterator<Item = &'a ConfigResource>) {
    let policy = resources.filter_map(|resource| resource.get("cleanup.policy")).find_map(|entry| entry.value.clone());
    if let Some(policy) = policy.filter(|policy| !policy.contains("compact")) {
        tracing::warn!(topic, policy, "topic is not compacted: it will lose agents, set cleanup.policy=compact");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::testing;

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

    #[test]
    fn missing_topics_are_found() {
        let cluster = testing::cluster();
        let servers = cluster.bootstrap_servers();
        let mut kafka = testing::kafka(&servers);
        let metadata = client(&servers, &kafka).unwrap().inner().fetch_metadata(None, testing::LONG).unwrap();
        assert_eq!(missing(&metadata, &plan(&kafka)), Vec::<&TopicPlan>::new());
        kafka.topics.dead_letter = "nowhere".to_owned();
        let plans = plan(&kafka);
        assert_eq!(missing(&metadata, &plans), [&plans[3]]);
    }

    #[test]
    fn the_keeper_ends_while_kafka_is_down() {
        let cluster = testing::cluster();
        cluster.broker_down(-1).unwrap();
        let servers = cluster.bootstrap_servers();
        drop(TopicKeeper::spawn(&servers, &testing::kafka(&servers)).unwrap());
    }
}
