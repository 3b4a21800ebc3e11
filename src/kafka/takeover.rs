//! Ends transactions that an earlier producer of an integration left open, before anything is read.
//!
//! A transaction that a killed process left open hides what is committed after it until the broker gives it up, after a
//! minute. An instance that is going to publish for the integration anyway may end it at once: the broker aborts it as soon
//! as another producer of the same `transactional.id` begins. Waits for Kafka, as long as it takes, and for the right to do
//! it: a process that exits for lack of a right would be restarted again and again.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};

use crate::config::model::Kafka;
use crate::telemetry::targets::KAFKA;

use super::client::{self, Quiet, Sizing, producer_settings, transactional_id};
use super::diagnosis::{KnownAs, Right, refuses};
use super::recovery;

/// How long one attempt may take; also how long it takes to notice a stop.
const STEP: Duration = Duration::from_secs(1);
/// Attempts between two log lines about it.
const COMPLAINT_EVERY: u32 = 10;

/// Why nothing was ended.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// librdkafka does not accept the settings, or the broker has an error that waiting cannot fix.
    #[error("the integration's transactions cannot be taken over: {0}")]
    Kafka(#[from] KafkaError),
    /// It was stopped.
    #[error("stopped while waiting for Kafka")]
    Stopped,
}

/// Takes an integration's transactions over. An earlier producer, if there still is one, is shut out. `failed` is told of each
/// attempt that fails: librdkafka's name for the error, and what it says.
///
/// # Errors
/// When settings are not accepted, and when `stop` says so. Never because Kafka is away or a right is missing.
pub fn take_over(
    servers: &str,
    kafka: &Kafka,
    integration: &str,
    stop: &dyn Fn() -> bool,
    failed: &mut dyn FnMut(&str, &str),
) -> Result<(), TakeoverError> {
    let settings = producer_settings(servers, kafka, integration, Sizing::Batches(None));
    let open = || -> Result<BaseProducer<Quiet>, KafkaError> { client::open(&settings, Quiet::default()) };
    let known = KnownAs::by(&kafka.properties);
    let id = transactional_id(integration);
    let mut producer = open()?;
    let mut attempts = 0;
    loop {
        let error = match producer.init_transactions(STEP) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let is_retriable =
            matches!(&error, KafkaError::Transaction(error) if error.is_retriable() && !error.is_fatal());
        producer.poll(Duration::ZERO);
        let said = match refuses(&error) {
            true => known.lacks(Right::Transactions(&id)),
            false => producer.client().context().explain(&error),
        };
        failed(&recovery::kind_of(&error), &said);
        // A refusal, and that there is no connection, is logged at once. A coordinator may need a while to be elected.
        let is_clear = refuses(&error) || producer.client().context().reason().is_some();
        if attempts % COMPLAINT_EVERY == (if is_clear { 0 } else { COMPLAINT_EVERY - 1 }) {
            let error = said;
            tracing::warn!(target: KAFKA, integration, error, "kafka has not let us take over yet, CMS cannot dial in");
        }
        attempts += 1;
        if refuses(&error) {
            // This producer is at its end; another one may have the right.
            producer.poll(STEP);
            producer = open()?;
        } else if !is_retriable {
            return Err(error.into());
        }
        if stop() {
            return Err(TakeoverError::Stopped);
        }
    }
}
