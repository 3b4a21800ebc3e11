//! A real Apache Kafka for integration tests, and a consumer that shares no code with us.
//!
//! [`Broker::shared`] starts one broker per test process, on a
//! free port and in a folder of its own, when the first test asks for it; `RTALINK_TEST_KAFKA=host:port` names a
//! running one instead. Topics are not made by the way and are shared between tests: take names from [`unique`].
//!
//! The broker never outlives the tests: `tests/kafka/kafka.sh` ends it with this process, and after 25 minutes anyway.
//! Everything here blocks and may be called from async tests too. What goes wrong panics and says what to do.

#![allow(dead_code)] // every test file compiles this module and uses its own part
#![allow(clippy::expect_used)] // a panic here is a failed test

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, process};

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::python::python;

/// How long a broker may take to answer: 4 s when the machine is idle.
const START_DEADLINE: Duration = Duration::from_secs(90);
/// How long one request may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(20);
/// Below the ports that outgoing connections take, which could steal one while the broker starts.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// A broker that answers.
pub(crate) struct Broker {
    bootstrap: String,
    /// The process that is ours to end; none for a broker named by `RTALINK_TEST_KAFKA`.
    child: Option<Child>,
}

/// A broker that can be taken away and brought back, at the same port and with its data.
pub(crate) struct InterruptedBroker {
    port: u16,
    data: tempfile::TempDir,
    /// None while it is away.
    broker: Option<Broker>,
}

impl InterruptedBroker {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        let (port, broker) = launch_anywhere(|port| launch(port, data.path(), &[]).map(|broker| (port, broker)));
        Self { port, data, broker: Some(broker) }
    }

    /// `host:port`, whether it is there or not.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Takes it away without a warning.
    pub(crate) fn kill(&mut self) {
        self.broker = None;
    }

    /// Halts it: connections stay, nothing is answered.
    pub(crate) fn halt(&self) {
        self.signal("STOP");
    }

    /// Lets it go on after [`Self::halt`].
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let child = self.broker.as_ref().and_then(|broker| broker.child.as_ref()).expect("a broker of its own is here");
        let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// Brings it back.
    pub(crate) fn start_again(&mut self) {
        let broker = launch(self.port, self.data.path(), &[]);
        self.broker = Some(broker.unwrap_or_else(|log| panic!("Kafka did not come back. Its last words:\n{log}")));
    }
}

impl Broker {
    /// The broker of this test process.
    pub(crate) fn shared() -> &'static Broker {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| match env::var("RTALINK_TEST_KAFKA") {
            Ok(bootstrap) => {
                assert!(answers(&bootstrap, START_DEADLINE), "RTALINK_TEST_KAFKA={bootstrap} does not answer");
                Broker { bootstrap, child: None }
            }
            Err(_) => Broker::start(),
        })
    }

    /// A broker for one test alone, for example one that takes it away; it ends when this is dropped.
    pub(crate) fn start() -> Broker {
        Self::start_with(Vec::new)
    }

    /// The same with further options of `kafka.sh run`, made anew for each attempt.
    pub(crate) fn start_with(options: impl Fn() -> Vec<String>) -> Broker {
        launch_anywhere(|port| {
            let directory = env::temp_dir().join(unique("rtalink-kafka"));
            let options = options();
            let options: Vec<&str> = ["--temporary"].into_iter().chain(options.iter().map(String::as_str)).collect();
            let launched = launch(port, &directory, &options);
            if launched.is_err() {
                let _ = fs::remove_dir_all(&directory);
            }
            launched
        })
    }

    /// `host:port` to connect to.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Makes a topic with settings such as `("cleanup.policy", "compact")`.
    pub(crate) fn create_topic(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let answers = wait_for(self.admin().create_topics([&new], &options())).expect("create a topic");
        for answer in answers {
            answer.unwrap_or_else(|(topic, code)| panic!("topic {topic} was not created: {code}"));
        }
    }

    /// Deletes a topic.
    pub(crate) fn delete_topic(&self, topic: &str) {
        let answers = wait_for(self.admin().delete_topics(&[topic], &options())).expect("delete a topic");
        for answer in answers {
            answer.unwrap_or_else(|(topic, code)| panic!("topic {topic} was not deleted: {code}"));
        }
    }

    /// Changes a setting of a topic; others that were changed before are at their default then.
    pub(crate) fn set(&self, topic: &str, name: &str, value: &str) {
        let config = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
        let answers = wait_for(self.admin().alter_configs([&config], &options())).expect("settings of a topic");
        for answer in answers {
            answer.unwrap_or_else(|(topic, code)| panic!("{topic:?} was not changed: {code}"));
        }
    }

    /// Gives a topic more partitions, so many in all.
    pub(crate) fn add_partitions(&self, topic: &str, count: usize) {
        let more = NewPartitions::new(topic, count);
        let answers = wait_for(self.admin().create_partitions([&more], &options())).expect("more partitions");
        for answer in answers {
            answer.unwrap_or_else(|(topic, code)| panic!("topic {topic} has no more partitions: {code}"));
        }
    }

    /// The settings of a topic, those at their default included.
    pub(crate) fn topic_config(&self, topic: &str) -> BTreeMap<String, String> {
        let resource = ResourceSpecifier::Topic(topic);
        let mut answers = wait_for(self.admin().describe_configs([&resource], &options())).expect("describe a topic");
        let config = answers.remove(0).unwrap_or_else(|code| panic!("settings of topic {topic}: {code}"));
        config.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
    }

    /// How many partitions a topic has; 0 if there is no such topic.
    pub(crate) fn partitions(&self, topic: &str) -> usize {
        let admin = self.admin();
        let metadata = admin.inner().fetch_metadata(Some(topic), REQUEST_DEADLINE).expect("metadata of a topic");
        metadata.topics().iter().filter(|found| found.name() == topic).map(|found| found.partitions().len()).sum()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        client(&self.bootstrap).create().expect("an admin client")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill(); // may have ended already; its watcher removes the folder
            let _ = child.wait();
        }
    }
}

/// A name that no other test and no earlier run uses, for topics and what else the broker keeps.
pub(crate) fn unique(name: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{name}-{:x}-{:x}-{}", since_epoch.as_millis(), process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// All committed messages of a topic up to its end, read and decoded by Python: one object per message with
/// `partition`, `offset`, `key`, `headers` and `value`, in the order of offsets within a partition.
///
/// `schema` is a message type such as `rtalink.v1.AgentStateEvent`; where it is empty, `value` is base64.
pub(crate) fn consume_with_python(bootstrap: &str, topic: &str, schema: &str) -> Vec<serde_json::Value> {
    let mut command = python("consumer");
    command.arg(folder().join("consume.py")).args([bootstrap, topic]);
    if !schema.is_empty() {
        command.args(["--schema", schema]);
    }
    let output = command.output().expect("run tests/tools/python.sh");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the independent consumer failed ({}): {complaint}", output.status);
    let lines = String::from_utf8(output.stdout).expect("UTF-8 from the independent consumer");
    lines.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

/// Launches at a free port. One can be lost to another process between the look and the broker's bind.
fn launch_anywhere<T>(launch: impl Fn(u16) -> Result<T, String>) -> T {
    let mut log = String::new();
    for _ in 0..3 {
        match launch(free_port()) {
            Ok(launched) => return launched,
            Err(end_of_log) => log = end_of_log,
        }
    }
    panic!("Kafka did not start; `make tools` installs what is missing. Its last words:\n{log}");
}

/// Starts a broker on `port`, its data in `directory`, and waits until it answers.
///
/// # Errors
/// The end of the broker's log, if it ended or did not answer in time.
fn launch(port: u16, directory: &Path, options: &[&str]) -> Result<Broker, String> {
    fs::create_dir_all(directory).expect("a temporary folder");
    let spawned = Command::new(folder().join("kafka.sh"))
        .args(["run", "--port", &port.to_string(), "--parent", &process::id().to_string()])
        .args(options)
        .arg("--dir")
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null()) // not ours: a pipe behind cargo test would stay open after the tests
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.expect("run tests/kafka/kafka.sh");

    let bootstrap = format!("127.0.0.1:{port}");
    let deadline = Instant::now() + START_DEADLINE;
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        if answers(&bootstrap, Duration::from_millis(500)) && matches!(child.try_wait(), Ok(None)) {
            return Ok(Broker { bootstrap, child: Some(child) });
        }
    }
    let _ = child.kill(); // may have ended already
    let _ = child.wait();
    let mut complaint = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut complaint);
    }
    let log = fs::read_to_string(directory.join("broker.log")).unwrap_or_default();
    let lines: Vec<&str> = complaint.lines().chain(log.lines()).collect();
    Err(lines[lines.len().saturating_sub(20)..].join("\n"))
}

/// Whether a broker at `bootstrap` names itself within `patience`.
fn answers(bootstrap: &str, patience: Duration) -> bool {
    let consumer: BaseConsumer = client(bootstrap).create().expect("a client");
    consumer.fetch_metadata(None, patience).is_ok_and(|metadata| !metadata.brokers().is_empty())
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("reconnect.backoff.max.ms", "100");
    config
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_DEADLINE)).operation_timeout(Some(REQUEST_DEADLINE))
}

/// Runs a future on a thread of its own, because a runtime cannot block on another one.
fn wait_for<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let worker =
            scope.spawn(|| tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future));
        worker.join().expect("a future that does not panic")
    })
}

/// A port that is free together with the next one, such as the one that the broker's controller takes.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let pairs = PORTS.len() / 2;
    // Processes begin at different places, so that test runs at the same time do not meet.
    let first = usize::try_from(process::id()).unwrap_or_default().wrapping_mul(37);
    for _ in 0..pairs {
        let pair = (first + usize::from(NEXT.fetch_add(1, Ordering::Relaxed))) % pairs;
        let port = PORTS.start + u16::try_from(2 * pair).expect("within PORTS");
        if [port, port + 1].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
    }
    panic!("no free pair of ports in {PORTS:?}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka")
}
