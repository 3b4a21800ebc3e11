//! Tombstones for the topic `current`, without a journal: for people of whom nothing is left that could send them later. Each
//! goes to every partition that may hold its key, like those of the journal.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::model::{Delivery, Kafka};
use crate::config::topics::Topic;

use super::client::{self, Quiet, Sizing, producer_settings};
use super::diagnosis::{self, KnownAs, Right};
use super::partition;

const STEP: Duration = Duration::from_millis(100);
/// How long to wait for an answer about the topic.
const LOOK: Duration = Duration::from_millis(500);

/// Counts the tombstones that Kafka has accepted.
#[derive(Default)]
struct Counting {
    quiet: Quiet,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    taken: usize,
    refused: Option<KafkaError>,
}

impl ClientContext for Counting {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.quiet.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.quiet.error(error, reason);
    }
}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut counted = self.counted.lock();
        match result {
            Ok(_) => counted.taken += 1,
            Err((error, _)) => counted.refused = Some(error.clone()),
        }
    }
}

/// Sends a tombstone for each key, and waits until Kafka has all of them. Blocks, at most for `patience`.
///
/// # Errors
/// Why Kafka has not accepted all of them, in words; it may have accepted some.
pub fn send(
    servers: &str,
    kafka: &Kafka,
    integration: &str,
    keys: &[String],
    patience: Duration,
) -> Result<(), String> {
    if keys.is_empty() {
        return Ok(());
    }
    // Whether one comes twice makes no difference.
    let kafka = Kafka { delivery: Delivery::AtLeastOnce, ..kafka.clone() };
    let topic = &kafka.topics[Topic::Current];
    let known = KnownAs::by(&kafka.properties);
    let explain = |error: &KafkaError| known.explain(error, Right::Write(topic));
    let settings = producer_settings(servers, &kafka, integration, Sizing::Batches(None));
    let producer: BaseProducer<Counting> =
        client::open(&settings, Counting::default()).map_err(|error| explain(&error))?;
    let deadline = Instant::now() + patience;
    let is_late = || {
        let said =
            || producer.context().quiet.reason().unwrap_or_else(|| "Kafka has not taken them in time".to_owned());
        if Instant::now() >= deadline { Err(diagnosis::with_advice(&said())) } else { Ok(()) }
    };
    let partitions = loop {
        is_late()?;
        let found = producer.client().fetch_metadata(Some(topic), LOOK);
        let found =
            found.as_ref().ok().and_then(|metadata| metadata.topics().iter().find(|found| found.name() == topic));
        match found.map(|found| (found.error(), found.partitions().len())) {
            Some((None, count)) if count > 0 => break count,
            Some((Some(code), _)) if diagnosis::is_refusal(code.into()) => {
                return Err(explain(&KafkaError::MetadataFetch(code.into())));
            }
            _ => producer.poll(STEP),
        };
    };
    let of = |key: &String| partition::ever_of(key.as_bytes(), partitions);
    let all: Vec<(&String, i32)> = keys.iter().flat_map(|key| of(key).into_iter().map(move |at| (key, at))).collect();
    let mut rest = all.iter().peekable();
    while producer.context().counted.lock().taken < all.len() {
        if let Some(error) = &producer.context().counted.lock().refused {
            return Err(explain(error));
        }
        is_late()?;
        while let Some((key, partition)) = rest.peek() {
            match producer.send(BaseRecord::<str, [u8]>::to(topic).key(key).partition(*partition)) {
                Ok(()) => drop(rest.next()),
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => break,
                Err((error, _)) => return Err(explain(&error)),
            }
        }
        producer.poll(STEP);
    }
    Ok(())
}
