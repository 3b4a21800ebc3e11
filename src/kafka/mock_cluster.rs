//! The mock cluster: Kafka inside the process, for `demo` and for trials.
//!
//! It is librdkafka's mock cluster: the real protocol on a real socket of 127.0.0.1, so that consumers in other processes can
//! read from it. Its limits: one broker; nothing is on disk; only the last 100,000 messages or 5 MiB of a partition are kept;
//! there is no compaction, no retention by time and no CreateTopics (the topics are created here); transactions do not fence
//! and their aborted messages are visible; consumers poll in steps of some milliseconds. Everything ends with the process.
//!
//! The mock cluster must not change threads, so one thread owns it from start to end.

use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::error::KafkaError;
use rdkafka::mocking;

use super::topics::TopicPlan;

/// Why the mock cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum MockClusterError {
    /// The mock cluster or one of its topics could not be created.
    #[error("the embedded cluster could not be made: {0}")]
    Cluster(#[from] KafkaError),
    /// Its thread could not be started.
    #[error("no thread for the embedded cluster: {0}")]
    Thread(#[from] std::io::Error),
    /// Its thread ended before it said anything.
    #[error("the embedded cluster ended while it started")]
    Ended,
}

/// A running mock cluster; dropping it ends it.
pub struct MockCluster {
    servers: String,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MockCluster {
    /// Starts it, with these topics.
    ///
    /// # Errors
    /// When librdkafka cannot create it. It always uses a free port.
    pub fn start(topics: Vec<TopicPlan>) -> Result<Self, MockClusterError> {
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let (report, reported) = crossbeam_channel::bounded(1);
        let thread =
            thread::Builder::new().name("embedded-kafka".to_owned()).spawn(move || own(&topics, &report, &stopped))?;
        let servers = reported.recv().map_err(|_| MockClusterError::Ended)??;
        Ok(Self { servers, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns where it listens, as `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> &str {
        &self.servers
    }
}

impl Drop for MockCluster {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn own(topics: &[TopicPlan], report: &Sender<Result<String, KafkaError>>, stopped: &Receiver<()>) {
    let cluster = mocking::MockCluster::new(1).and_then(|cluster| {
        for topic in topics {
            cluster.create_topic(&topic.name, topic.partitions, 1)?;
        }
        Ok(cluster)
    });
    match cluster {
        Ok(cluster) => {
            let _ = report.send(Ok(cluster.bootstrap_servers()));
            // Until the other side is dropped.
            let _ = stopped.recv();
        }
        Err(error) => {
            let _ = report.send(Err(error));
        }
    }
}
