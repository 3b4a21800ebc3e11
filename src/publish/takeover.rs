//! Ends what an earlier producer of an integration has left open, before anything is read.
//!
//! A transaction that a killed process has left open hides what is committed behind it until the broker gives it up, after
//! a minute. Whoever is going to publish for the integration anyway may end it at once: the broker undoes it as soon as
//! another producer of the same `transactional.id` begins. Waits for Kafka, as long as it takes.

use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};

use super::client::{Quiet, Sizing, producer_settings};
use crate::config::model::Kafka;

/// How long one attempt may take; also how long it takes to notice that it was to stop.
const STEP: Duration = Duration::from_secs(1);
/// Attempts between two words about it.
const COMPLAINT_EVERY: u32 = 10;

/// Why nothing was ended.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// librdkafka does not accept the settings, or the broker does not let us.
    #[error("the integration's transactions cannot be taken over: {0}")]
    Kafka(#[from] KafkaError),
    /// It was to stop.
    #[error("stopped while waiting for Kafka")]
    Stopped,
}

/// Takes an integration's transactions over. An earlier producer, if there still is one, is shut out.
///
/// # Errors
/// When Kafka refuses for good, and when `stop` says so. Never because Kafka is away.
pub fn take_over(
    servers: &str,
    kafka: &Kafka,
    integration: &str,
    stop: &dyn Fn() -> bool,
) -> Result<(), TakeoverError> {
    let settings = producer_settings(servers, kafka, integration, Sizing::Batches(None));
    let producer: BaseProducer<Quiet> = BaseProducer::from_config_and_context(&settings, Quiet)?;
    let mut attempts = 0;
    loop {
        match producer.init_transactions(STEP) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() && !error.is_fatal() => {
                attempts += 1;
                if attempts % COMPLAINT_EVERY == 0 {
                    tracing::warn!(integration, error = error.string(), "kafka has not let us take over yet");
                }
            }
            Err(error) => return Err(error.into()),
        }
        if stop() {
            return Err(TakeoverError::Stopped);
        }
    }
}
