//! A producer without anything around it: the floor of everything that ends in Kafka.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
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

/// Sends each of the messages to both topics, again and again, until so many pairs are acknowledged.
pub(crate) fn send_pairs(bootstrap: &str, topics: [&str; 2], messages: &[Received], pairs: usize) {
    let counted = Counted::default();
    let producer: ThreadedProducer<Counted> = settings(bootstrap).create_with_context(counted.clone()).unwrap();
    for message in messages.iter().cycle().take(pairs) {
        for topic in topics {
            let mut record = BaseRecord::to(topic).key(&message.key).payload(&message.value).headers(headers(message));
            while let Err((error, refused)) = producer.send(record) {
                assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
                // It is waited for, not asked for again and again: that would count as work.
                std::thread::park_timeout(FULL_WAIT);
                record = refused;
            }
        }
    }
    producer.flush(PATIENCE).unwrap();
    assert_eq!(counted.0.load(Ordering::Relaxed), 2 * pairs as u64);
}

/// The same in transactions of so many pairs.
pub(crate) fn send_pairs_in_transactions(
    bootstrap: &str,
    topics: [&str; 2],
    messages: &[Received],
    pairs: usize,
    transaction: usize,
) {
    let counted = Counted::default();
    let mut settings = settings(bootstrap);
    let producer: BaseProducer<Counted> =
        settings.set("transactional.id", topics[0]).create_with_context(counted.clone()).unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    let mut all = messages.iter().cycle().take(pairs);
    let mut left = pairs;
    while left > 0 {
        producer.begin_transaction().unwrap();
        for message in all.by_ref().take(transaction) {
            for topic in topics {
                let mut record =
                    BaseRecord::to(topic).key(&message.key).payload(&message.value).headers(headers(message));
                while let Err((_, refused)) = producer.send(record) {
                    producer.poll(Duration::from_millis(1));
                    record = refused;
                }
            }
            producer.poll(Duration::ZERO);
        }
        left = left.saturating_sub(transaction);
        producer.commit_transaction(PATIENCE).unwrap();
    }
    while counted.0.load(Ordering::Relaxed) < 2 * pairs as u64 {
        producer.poll(Duration::from_millis(1));
    }
}

fn headers(message: &Received) -> OwnedHeaders {
    message.headers.iter().fold(OwnedHeaders::new_with_capacity(3), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value.as_bytes()) })
    })
}
