//! A producer without anything around it: the floor of everything that ends in Kafka.
#![allow(clippy::unwrap_used)]
#![allow(clippy::result_large_err)] // rdkafka gives back what it does not take

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use crate::tests::topic::Received;

/// Messages that wait in the producer, as the service has it.
const QUEUE: &str = "20000";
/// How long a full queue is left alone.
const FULL_WAIT: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns what a bare producer has in common with that of the service: idempotent, acknowledged by all replicas, compressed.
pub(crate) fn settings(bootstrap: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "1")
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("max.in.flight.requests.per.connection", "1")
        .set("queue.buffering.max.messages", QUEUE)
        .set("socket.nagle.disable", "true")
        .set("compression.type", "lz4");
    settings
}

/// Counts reports.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicU64>);

impl rdkafka::ClientContext for Counted {}

impl ProducerContext for Counted {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok());
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A producer that sends each of its messages to both topics, as the service does; connected and warm.
pub(crate) struct Pairs<'a> {
    producer: Client,
    counted: Counted,
    topics: [&'a str; 2],
    messages: &'a [Received],
    sent: u64,
}

enum Client {
    /// One after the other.
    Threaded(ThreadedProducer<Counted>),
    /// In transactions of so many pairs.
    Transactional(BaseProducer<Counted>, usize),
}

impl<'a> Pairs<'a> {
    /// Connects; with `transaction`, so many pairs are committed at a time.
    pub(crate) fn new(
        bootstrap: &str,
        topics: [&'a str; 2],
        messages: &'a [Received],
        transaction: Option<usize>,
    ) -> Self {
        let counted = Counted::default();
        let mut settings = settings(bootstrap);
        let producer = match transaction {
            None => Client::Threaded(settings.create_with_context(counted.clone()).unwrap()),
            Some(pairs) => {
                settings.set("transactional.id", topics[0]);
                let producer: BaseProducer<Counted> = settings.create_with_context(counted.clone()).unwrap();
                producer.init_transactions(PATIENCE).unwrap();
                Client::Transactional(producer, pairs)
            }
        };
        let mut warm = Self { producer, counted, topics, messages, sent: 0 };
        warm.send(messages.len());
        warm
    }

    /// Sends so many pairs, again and again the same messages, until all are acknowledged.
    pub(crate) fn send(&mut self, pairs: usize) {
        self.sent += 2 * pairs as u64;
        let mut all = self.messages.iter().cycle().take(pairs);
        match &self.producer {
            Client::Threaded(producer) => {
                all.for_each(|message| self.send_pair(message, |record| producer.send(record)));
                producer.flush(PATIENCE).unwrap();
            }
            Client::Transactional(producer, transaction) => {
                let mut left = pairs;
                while left > 0 {
                    producer.begin_transaction().unwrap();
                    for message in all.by_ref().take(*transaction) {
                        self.send_pair(message, |record| producer.send(record));
                    }
                    left = left.saturating_sub(*transaction);
                    // A commit waits for reports that nobody takes otherwise.
                    while producer.in_flight_count() > 0 {
                        producer.poll(Duration::from_millis(1));
                    }
                    producer.commit_transaction(PATIENCE).unwrap();
                }
            }
        }
        assert_eq!(self.counted.0.load(Ordering::Relaxed), self.sent);
    }

    fn send_pair<'m>(
        &self,
        message: &'m Received,
        mut send: impl FnMut(Record<'m>) -> Result<(), (KafkaError, Record<'m>)>,
    ) where
        'a: 'm,
    {
        for topic in self.topics {
            let mut record =
                BaseRecord::to(topic).key(&*message.key).payload(&*message.value).headers(headers(message));
            while let Err((error, refused)) = send(record) {
                assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
                // It is waited for, not asked for again and again: that would count as work.
                std::thread::park_timeout(FULL_WAIT);
                record = refused;
            }
        }
    }
}

type Record<'m> = BaseRecord<'m, str, [u8]>;

fn headers(message: &Received) -> OwnedHeaders {
    message.headers.iter().fold(OwnedHeaders::new_with_capacity(3), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value.as_bytes()) })
    })
}
