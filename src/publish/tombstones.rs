//! Tombstones for the topic `current`, without a journal: for people of whom nothing is left that could send them later.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::client::{self, Sizing, producer_settings};
use super::trouble::{self, Known, Right};
use crate::config::model::{Delivery, Kafka};

const STEP: Duration = Duration::from_millis(100);

/// Counts what Kafka has taken.
#[derive(Default)]
struct Counting {
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    taken: usize,
    refused: Option<KafkaError>,
    /// Why there is no connection.
    trouble: Option<String>,
}

impl ClientContext for Counting {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if let Some(reason) = trouble::end_of_connection(facility, message) {
            self.counted.lock().trouble = Some(reason.to_owned());
        }
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "{reason}");
        self.counted.lock().trouble = Some(reason.to_owned());
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

/// Sends one for each key, and waits until Kafka has all of them. Blocks, at most for `patience`.
///
/// # Errors
/// Why Kafka has not taken all of them, in words; some it may have.
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
    let topic = &kafka.topics.current;
    let known = Known::by(&kafka.properties);
    let explain = |error: &KafkaError| known.explain(error, Right::Write(topic));
    let settings = producer_settings(servers, &kafka, integration, Sizing::Batches(None));
    let producer: BaseProducer<Counting> =
        client::open(&settings, Counting::default()).map_err(|error| explain(&error))?;
    let deadline = Instant::now() + patience;
    let mut rest = keys.iter().peekable();
    while producer.context().counted.lock().taken < keys.len() {
        if let Some(error) = &producer.context().counted.lock().refused {
            return Err(explain(error));
        }
        if Instant::now() >= deadline {
            let trouble = producer.context().counted.lock().trouble.take();
            let said = trouble.unwrap_or_else(|| "Kafka has not taken them in time".to_owned());
            return Err(trouble::with_advice(&said));
        }
        while let Some(key) = rest.peek() {
            match producer.send(BaseRecord::<str, [u8]>::to(topic).key(key)) {
                Ok(()) => drop(rest.next()),
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => break,
                Err((error, _)) => return Err(explain(&error)),
            }
        }
        producer.poll(STEP);
    }
    Ok(())
}
