//! The thread that looks after the topics, for as long as the service runs.
//!
//! Policy: a missing topic is created, or reported where that is not ours to do; a deleted topic is treated like one that
//! never existed. Checks every [`LOOK_EVERY`], and at once when a producer has found a topic gone. Added partitions are
//! reported, with what that means for the topic; the settings of the topics are checked every [`SETTINGS_EVERY`]. A `current`
//! that begins anew (its offsets have gone back, or it was missing) gets every agent's last event again, from the workers:
//! once, however many producers notice it, since all of them forget the offsets of the old topic before anybody is notified.
//! Publishing does not wait for this thread; its producers wait for the topics.
//!
//! Failure policy: a check that fails is repeated, after a back-off from 1 s to 60 s, or when a producer asks for it, but
//! never within a second. Cost: a request per topic and check, and one per partition of `current`.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use rdkafka::admin::AdminClient;
use tokio::runtime::{Builder, Runtime};

use crate::config::model::Kafka;
use crate::journal::message::Topic;
use crate::telemetry::targets::KAFKA;

use super::client::Quiet;
use super::comparison::Comparison;
use super::delivery::Monitor;
use super::observer::KafkaCondition;
use super::topics::{self, Admin, TopicsError};

/// The time between two checks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The time between two checks of the topics' settings, which others may change.
const SETTINGS_EVERY: Duration = Duration::from_hours(1);
/// A broker that has just started may not know its topics yet.
const ANSWERS_OF_A_MISSING_TOPIC: u32 = 3;
const ANSWERS_OF_A_NEW_TOPIC: u32 = 5;
const ANSWER_WAIT: Duration = Duration::from_millis(500);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Why the topics are to be checked ahead of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicNews {
    /// One was not found.
    Missing,
    /// Offsets of `current` have gone back.
    CurrentBegunAnew,
}

/// An integration that is notified.
pub(super) struct NotifiedIntegration {
    pub(super) monitor: Arc<Monitor>,
    pub(super) comparison: Arc<Comparison>,
}

/// The thread; dropping this ends it within a second or two.
pub(super) struct TopicKeeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    news: Sender<TopicNews>,
    notified: Arc<Mutex<Vec<NotifiedIntegration>>>,
}

impl TopicKeeper {
    pub(super) fn spawn(servers: &str, kafka: &Kafka) -> std::io::Result<Self> {
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let (sender, news) = crossbeam_channel::bounded(1);
        let notified: Arc<Mutex<Vec<NotifiedIntegration>>> = Arc::default();
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let keeper = Keeper {
            servers: servers.to_owned(),
            kafka: kafka.clone(),
            runtime: Arc::new(runtime),
            stopped,
            notified: Arc::clone(&notified),
            partitions: HashMap::new(),
            ends: HashMap::new(),
            settings_seen: None,
            last_problem: String::new(),
        };
        let thread = thread::Builder::new().name("topics".to_owned()).spawn(move || keeper.run(&news))?;
        Ok(Self { stop: Some(stop), thread: Some(thread), news: sender, notified })
    }

    /// Notifies an integration from now on.
    pub(super) fn add(&self, notified: NotifiedIntegration) {
        notified.monitor.set_keeper(self.news.clone());
        self.notified.lock().push(notified);
    }

    /// Ends that.
    pub(super) fn remove(&self, monitor: &Arc<Monitor>) {
        self.notified.lock().retain(|notified| !Arc::ptr_eq(&notified.monitor, monitor));
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

struct Keeper {
    servers: String,
    kafka: Kafka,
    runtime: Arc<Runtime>,
    stopped: Receiver<()>,
    notified: Arc<Mutex<Vec<NotifiedIntegration>>>,
    /// The numbers of partitions at the last check.
    partitions: HashMap<Topic, usize>,
    /// Where the partitions of `current` ended then.
    ends: HashMap<i32, i64>,
    /// When their settings were last checked.
    settings_seen: Option<Instant>,
    last_problem: String,
}

impl Keeper {
    fn run(mut self, news: &Receiver<TopicNews>) {
        let mut client = None;
        let mut pace = Pace::default();
        let mut is_begun_anew = false;
        loop {
            let looked = match &client {
                Some(client) => self.check(client, news, &mut is_begun_anew),
                None => match topics::client(&self.servers, &self.kafka) {
                    Ok(opened) => {
                        client = Some(opened);
                        continue;
                    }
                    Err(error) => Err(TopicsError::Kafka(error.to_string())),
                },
            };
            match &looked {
                Ok(()) => self.last_problem.clear(),
                Err(error) => self.log_failure(error),
            }
            let Pause { at_least, at_most } = pace.after(looked.is_ok());
            if !at_least.is_zero() && self.is_stopped_within(at_least) {
                return;
            }
            crossbeam_channel::select! {
                recv(self.stopped) -> _ => return,
                recv(news) -> news => is_begun_anew |= news == Ok(TopicNews::CurrentBegunAnew),
                default(at_most - at_least) => {}
            }
        }
    }

    /// Waits for the partitions: a topic that was just created has none yet.
    fn once_made(&self, admin: &Admin<'_>, topic: &str) -> Result<usize, TopicsError> {
        for _ in 0..ANSWERS_OF_A_NEW_TOPIC {
            if let Some(count) = admin.partitions(topic)? {
                return Ok(count);
            }
            if self.is_stopped_within(ANSWER_WAIT) {
                return Err(TopicsError::Stopped);
            }
        }
        Err(TopicsError::Late(topic.to_owned()))
    }

    fn is_stopped_within(&self, wait: Duration) -> bool {
        self.stopped.recv_timeout(wait) != Err(crossbeam_channel::RecvTimeoutError::Timeout)
    }

    fn log_failure(&mut self, error: &TopicsError) {
        let problem = error.to_string();
        if problem == self.last_problem {
            tracing::debug!(target: KAFKA, %error, "the topics cannot be checked");
        } else if !matches!(error, TopicsError::Stopped) {
            tracing::warn!(target: KAFKA, %error, "the topics cannot be checked, will be retried");
            self.last_problem = problem;
        }
    }

    fn check(
        &mut self,
        client: &AdminClient<Quiet>,
        news: &Receiver<TopicNews>,
        is_begun_anew: &mut bool,
    ) -> Result<(), TopicsError> {
        let (runtime, stopped) = (Arc::clone(&self.runtime), self.stopped.clone());
        let admin = Admin { client, runtime: &runtime, stopped: &stopped };
        let plans = topics::plans(&self.kafka);
        let mut found = HashMap::new();
        for (topic, plan) in &plans {
            let answers = if self.partitions.contains_key(topic) { ANSWERS_OF_A_MISSING_TOPIC } else { 1 };
            for answer in 1..=answers {
                if let Some(count) = admin.partitions(&plan.name)? {
                    found.insert(*topic, count);
                    break;
                }
                if answer < answers && self.is_stopped_within(ANSWER_WAIT) {
                    return Err(TopicsError::Stopped);
                }
            }
        }
        let missing: Vec<_> = plans.iter().filter(|(topic, _)| !found.contains_key(topic)).collect();
        let gone = missing.iter().filter(|(topic, _)| self.partitions.contains_key(topic));
        gone.clone().for_each(|(_, plan)| {
            tracing::error!(
            target: KAFKA, topic = plan.name, "a topic that was there is gone")
        });
        *is_begun_anew |= gone.into_iter().any(|(topic, _)| *topic == Topic::Current);
        self.partitions.retain(|topic, _| found.contains_key(topic));
        // Nobody waits for the audit topic.
        let holds_up = missing.iter().any(|(topic, _)| *topic != Topic::Audit);
        let seen_to = match missing.first() {
            None => Ok(()),
            Some(_) if self.kafka.create_topics => {
                let plans: Vec<_> = missing.iter().map(|(_, plan)| plan).collect();
                topics::create(&admin, &self.kafka, &plans)
            }
            Some((_, plan)) => Err(TopicsError::Missing(plan.name.clone())),
        };
        let lasts = holds_up && seen_to.is_err();
        self.notified
            .lock()
            .iter()
            .for_each(|notified| notified.monitor.condition(KafkaCondition::TopicMissing, lasts));
        seen_to?;
        if !missing.is_empty() {
            for (topic, plan) in &missing {
                found.insert(*topic, self.once_made(&admin, &plan.name)?);
            }
        }
        if found != self.partitions {
            self.log_new_partitions(&found);
            self.check_settings(&admin, &found)?;
            self.partitions = found;
            tracing::info!(target: KAFKA, "all topics are there");
        } else if self.settings_seen.is_none_or(|seen| seen.elapsed() >= SETTINGS_EVERY) {
            self.check_settings(&admin, &found)?;
        }
        self.check_current(&admin, news, is_begun_anew)
    }

    /// Reports the topics whose retention or clean-up is not what it should be.
    fn check_settings(&mut self, admin: &Admin<'_>, found: &HashMap<Topic, usize>) -> Result<(), TopicsError> {
        self.settings_seen = Some(Instant::now());
        topics::check_retention(admin, &self.servers, &self.kafka)?;
        topics::check_settings(admin, &self.kafka, found)
    }

    /// Reports what it means that the partitions have changed.
    fn log_new_partitions(&self, found: &HashMap<Topic, usize>) {
        for (topic, count) in found {
            let Some(before) = self.partitions.get(topic).filter(|before| *before != count) else { continue };
            let advice = match topic {
                Topic::Events | Topic::Current => {
                    "agents may go on in another partition: their order across the two is that of the messages' times, and a \
                     join of events and current needs as many of both"
                }
                Topic::Checkpoint => "it is looked for in all partitions that may have it",
                Topic::FeedStatus | Topic::DeadLetter | Topic::Audit => "an integration may go on in another partition",
            };
            let topic = &self.kafka.topics[*topic];
            tracing::warn!(
                target: KAFKA, topic, before, now = count, advice, "the topic has other partitions than before"
            );
        }
    }

    /// Has everything on `current` written anew where it begins anew.
    fn check_current(
        &mut self,
        admin: &Admin<'_>,
        news: &Receiver<TopicNews>,
        is_begun_anew: &mut bool,
    ) -> Result<(), TopicsError> {
        let topic = &self.kafka.topics[Topic::Current];
        let count = self.partitions.get(&Topic::Current).copied().unwrap_or_default();
        let mut ends = HashMap::new();
        for partition in 0..i32::try_from(count).unwrap_or(i32::MAX) {
            ends.insert(partition, admin.end(topic, partition)?);
        }
        let went_back = |(partition, end): (&i32, &i64)| ends.get(partition).is_none_or(|now| now < end);
        *is_begun_anew |= self.ends.iter().any(went_back);
        self.ends = ends;
        if std::mem::take(is_begun_anew) {
            tracing::error!(
                target: KAFKA, topic, "the topic was made anew: every agent's last event is written to it again"
            );
            write_all_again(&self.notified.lock(), news);
        }
        Ok(())
    }
}

/// Has everything on `current` written again. A producer that noticed that it begins anew has said so by now, and no other
/// will.
fn write_all_again(notified: &[NotifiedIntegration], news: &Receiver<TopicNews>) {
    notified.iter().for_each(|notified| notified.monitor.forget_offsets());
    // What a check has just found is no longer news, whatever it was.
    while news.try_recv().is_ok() {}
    notified.iter().for_each(|notified| notified.comparison.write_all());
}

/// How long to wait for the next check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pause {
    /// Whatever is reported meanwhile: a producer that finds something wrong reports it many times a second.
    at_least: Duration,
    /// Where nothing is reported.
    at_most: Duration,
}

/// When to check.
struct Pace {
    backoff: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { backoff: FIRST_BACKOFF }
    }
}

impl Pace {
    /// Returns the pause after a check.
    fn after(&mut self, is_well: bool) -> Pause {
        if is_well {
            self.backoff = FIRST_BACKOFF;
            return Pause { at_least: Duration::ZERO, at_most: LOOK_EVERY };
        }
        let longer = (self.backoff * 2).min(LONGEST_BACKOFF);
        Pause { at_least: FIRST_BACKOFF, at_most: std::mem::replace(&mut self.backoff, longer) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::comparison::{Again, Comparer, KnownAgents};
    use super::super::testing::{kafka, recorder};
    use super::*;

    #[test]
    fn a_look_that_fails_is_not_repeated_at_once_whoever_asks_for_it() {
        let seconds = |pause: Pause| (pause.at_least.as_secs(), pause.at_most.as_secs());
        let mut pace = Pace::default();
        let looks = [true, false, false, false, true, false, false, false, false, false, false, false, false, true];
        let paused: Vec<(u64, u64)> = looks.into_iter().map(|is_well| seconds(pace.after(is_well))).collect();
        let failed = [1, 2, 4, 8, 16, 32, 60, 60].map(|at_most| (1, at_most));
        let expected = [&[(0, 5)], &failed[..3], &[(0, 5)], &failed[..], &[(0, 5)]].concat();
        assert_eq!(paused, expected);
    }

    /// Returns how often each of three integrations writes everything again, after so many of them have noticed that the
    /// topic begins anew before the keeper's check, and all of them publish after it.
    fn written(noticed_before: usize) -> Vec<usize> {
        let (sender, news) = crossbeam_channel::bounded(1);
        let comparer = Comparer::spawn("nobody:1", &kafka("nobody:1")).unwrap();
        let notified: Vec<NotifiedIntegration> = ["a", "b", "c"]
            .into_iter()
            .map(|id| {
                let monitor = Arc::new(Monitor::new(id.into(), &kafka(""), recorder().0));
                monitor.set_keeper(sender.clone());
                let comparison = comparer.comparison(KnownAgents::AsKafka);
                (0..3).for_each(|partition| monitor.on_current(partition, 1_000));
                NotifiedIntegration { monitor, comparison }
            })
            .collect();
        notified[..noticed_before].iter().for_each(|notified| notified.monitor.on_current(0, 0));
        assert_eq!(news.is_empty(), noticed_before == 0);
        let mut written = vec![0; notified.len()];
        let mut check = || {
            write_all_again(&notified, &news);
            for (notified, written) in notified.iter().zip(&mut written) {
                *written += usize::from(notified.comparison.take_again() == Again::All);
            }
        };
        check();
        for partition in 0..3 {
            for offset in 1..4 {
                notified.iter().for_each(|notified| notified.monitor.on_current(partition, offset));
                if news.try_recv().is_ok() {
                    check();
                }
            }
        }
        written
    }

    #[test]
    fn a_topic_that_begins_anew_is_written_once_however_many_notice_it() {
        for noticed_before in 0..=3 {
            assert_eq!(written(noticed_before), [1, 1, 1], "{noticed_before} have noticed it before");
        }
    }

    #[test]
    fn a_topic_that_begins_anew_once_more_is_written_once_more() {
        let (sender, news) = crossbeam_channel::bounded(1);
        let monitor = Arc::new(Monitor::new("a".into(), &kafka(""), recorder().0));
        monitor.set_keeper(sender);
        let comparison = Comparer::spawn("nobody:1", &kafka("nobody:1")).unwrap().comparison(KnownAgents::AsKafka);
        let notified = [NotifiedIntegration { monitor: Arc::clone(&monitor), comparison }];
        monitor.on_current(0, 7);
        write_all_again(&notified, &news);
        monitor.on_current(0, 3);
        monitor.on_current(0, 4);
        assert!(news.is_empty());
        monitor.on_current(0, 0);
        assert_eq!(news.try_recv(), Ok(TopicNews::CurrentBegunAnew));
    }
}
