//! Services whose Kafka is there and does not take what they have: a topic that goes, a clock that differs, another instance.

use tempfile::TempDir;

use super::cms::{Cms, Step};
use super::{Centre, hectic, normal};
use crate::support::http;
use crate::support::kafka::{Broker, free_port};
use crate::support::process::Process;
use crate::support::service::folder;
use crate::support::wait::until_true;

/// What a topic takes that lies back so far, in milliseconds: none, and all.
const AGE: &str = "message.timestamp.before.max.ms";
const ANY_AGE: &str = "9223372036854775807";

/// Then everybody stays as they are.
fn for_a_while(step: u64) -> Step {
    hectic(step.min(100))
}

/// How many a service has counted.
fn events(process: &Process) -> f64 {
    http::sum(&http::get(process.http(), "/metrics").body, "rtalink_events_total", "")
}

/// The services, their feeds, and what is wrong with them.
pub(crate) struct Refused {
    broker: &'static Broker,
    pub(crate) no_topic: Centre,
    pub(crate) other_clock: Centre,
    pub(crate) shut_out: Centre,
    feeds: Vec<Cms>,
    second: Option<(Process, Cms, TempDir)>,
}

impl Refused {
    pub(crate) fn start(broker: &'static Broker) -> Self {
        let start =
            |instance, settings| Centre::start_in(folder(&[]), instance, broker.bootstrap(), &["a"], settings, "");
        let no_topic = start("no-topic", "");
        let other_clock = start("other-clock", "linger = \"20ms\"");
        let shut_out = start("shut-out", "delivery = \"exactly-once\"");
        // The first transaction takes seconds, and events are not to wait for it.
        until_true("the first transaction", || shut_out.process.count("kafka connected") > 0);
        let feeds =
            vec![no_topic.cms("a", |_| normal(0)), other_clock.cms("a", hectic), shut_out.cms("a", for_a_while)];
        Self { broker, no_topic, other_clock, shut_out, feeds, second: None }
    }

    pub(crate) fn begin(&mut self) {
        // Only its settings were changed: it does not make topics any more.
        let toml = self.no_topic.toml.replace("partitions = 1", "partitions = 1\ncreate_topics = false");
        self.no_topic.run_again(&toml);
        self.broker.delete_topic(&self.no_topic.topic("feed-status"));
        self.broker.set(&self.other_clock.topic("events"), AGE, "0");
        let port = free_port();
        let http = free_port();
        let folder = folder(&[]);
        let here = self.shut_out.process.http().to_string();
        let feed = format!("port = {}", self.shut_out.process.feed_of("a").port());
        let toml =
            self.shut_out.toml.replace(&here, &format!("127.0.0.1:{http}")).replace(&feed, &format!("port = {port}"));
        Centre::write_mapping(&folder);
        let process = Process::run(&folder, &toml);
        let cms = Cms::start(process.feed_of("a"), hectic);
        cms.fault(true);
        self.feeds.iter().for_each(|cms| cms.fault(true));
        self.second = Some((process, cms, folder));
    }

    /// The second instance ends, and the first one begins again, with a store that does not know what the other has published.
    pub(crate) fn take_back(&mut self) {
        let (process, cms, _folder) = self.second.take().expect("it was there");
        // The first one has counted what its own feed showed for a while.
        let counted = events(&self.shut_out.process);
        until_true("the second one is ahead", || events(&process) > 2.0 * counted);
        drop(cms);
        process.terminate();
        self.shut_out.crash();
    }

    pub(crate) fn end(&self) {
        self.broker.create_topic(&self.no_topic.topic("feed-status"), 1, &[]);
        self.broker.set(&self.other_clock.topic("events"), AGE, ANY_AGE);
        self.feeds.iter().for_each(|cms| cms.fault(false));
    }
}
