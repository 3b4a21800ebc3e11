//! A producer and what it reports, and how a message gets into it.
//!
//! Policy: librdkafka copies what it gets. Its full queue is waited out here; whatever else it refuses is either the
//! message's own fault, or the end of the producer. Cost: one allocation of headers per message and topic.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};

use crate::fail_point;
use crate::journal::message::Message;
use crate::journal::send_window::SendWindow;

use super::client;
use super::delivery::{Failures, Monitor, OnTheWay, Reports, Ticket};
use super::diagnosis::is_refusal;
use super::partition;

/// How long a full queue of librdkafka is left alone.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(10);

/// How long a query about a topic may take, and the pause before the next.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
const PROBE_PAUSE: Duration = Duration::from_millis(250);

/// Why a message was not enqueued.
pub(super) enum SendRefusal {
    /// It has no place in the sequence of messages yet, so that no gap arises.
    TooLarge(RDKafkaErrorCode),
    /// The producer is at its end; why is in its failures.
    Failed,
    /// The send window was stopped.
    Stopped,
}

/// A producer of one integration, and what it has reported.
pub(super) struct KafkaConnection {
    pub(super) producer: ThreadedProducer<Reports>,
    pub(super) failures: Arc<Failures>,
    /// In transactions: the messages that have not been reported yet.
    pub(super) on_the_way: Option<Arc<OnTheWay>>,
    send_window: Arc<SendWindow>,
    monitor: Arc<Monitor>,
}

impl KafkaConnection {
    /// Creates the producer; Kafka itself need not be reachable.
    ///
    /// # Errors
    /// When librdkafka does not accept the settings.
    pub(super) fn open(
        settings: &ClientConfig,
        send_window: &Arc<SendWindow>,
        monitor: &Arc<Monitor>,
        on_the_way: Option<Arc<OnTheWay>>,
    ) -> KafkaResult<Self> {
        let failures = Arc::new(Failures::default());
        let (send_window, monitor) = (Arc::clone(send_window), Arc::clone(monitor));
        let reports =
            Reports::new(Arc::clone(&send_window), Arc::clone(&monitor), Arc::clone(&failures), on_the_way.clone());
        let producer = client::open(settings, reports)?;
        Ok(Self { producer, failures, on_the_way, send_window, monitor })
    }

    /// Whether the producer is at its end, by a message's failure or by its own. A fatal error comes with the code of its
    /// cause, like any other, and what was queued is purged without a failure: so librdkafka has to be asked.
    pub(super) fn has_failed(&self) -> bool {
        if let Some((code, _)) = self.producer.client().fatal_error() {
            // It is not about a particular message; the observer has heard of it by the error itself.
            self.failures.record_end(code);
        }
        self.failures.any()
    }

    /// Hands a message over for one of its topics.
    ///
    /// # Errors
    /// [`SendRefusal`] says what to do.
    pub(super) fn enqueue_message(&self, topic: &str, message: &Message, ticket: Ticket) -> Result<(), SendRefusal> {
        match message.value() {
            None => self.enqueue_everywhere(topic, &message.key, ticket),
            value => self.enqueue(topic, &message.key, value, &message.headers, ticket),
        }
    }

    /// Hands a tombstone over for every partition that may hold its key: several where partitions were added. Blocks while
    /// the number of partitions cannot be queried.
    ///
    /// # Errors
    /// [`SendRefusal`] says what to do.
    fn enqueue_everywhere(&self, topic: &str, key: &str, ticket: Ticket) -> Result<(), SendRefusal> {
        let partitions = loop {
            if self.failures.any() {
                return Err(SendRefusal::Failed);
            }
            let metadata = self.producer.client().fetch_metadata(Some(topic), PROBE_TIMEOUT);
            let found = metadata
                .as_ref()
                .ok()
                .and_then(|metadata| metadata.topics().iter().find(|found| found.name() == topic));
            if found.and_then(MetadataTopic::error).map(RDKafkaErrorCode::from).is_some_and(is_refusal) {
                // The broker reports that for the message as well.
                return self.hand_over(topic, None, key, None, &[], ticket);
            }
            if let Some(found) = found.filter(|found| found.error().is_none() && !found.partitions().is_empty()) {
                break partition::ever_of(key.as_bytes(), found.partitions().len());
            }
            if self.send_window.wait_for(PROBE_PAUSE) {
                return Err(SendRefusal::Stopped);
            }
        };
        self.send_window.expect_copies(ticket.position, partitions.len());
        partitions.into_iter().try_for_each(|partition| self.hand_over(topic, Some(partition), key, None, &[], ticket))
    }

    /// Hands a message over for one topic; blocks while librdkafka's queue is full.
    ///
    /// # Errors
    /// [`SendRefusal`] says what to do.
    pub(super) fn enqueue(
        &self,
        topic: &str,
        key: &str,
        value: Option<&[u8]>,
        headers: &[(&'static str, Bytes)],
        ticket: Ticket,
    ) -> Result<(), SendRefusal> {
        self.hand_over(topic, None, key, value, headers, ticket)
    }

    fn hand_over(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: &str,
        value: Option<&[u8]>,
        headers: &[(&'static str, Bytes)],
        ticket: Ticket,
    ) -> Result<(), SendRefusal> {
        let owned_headers = OwnedHeaders::new_with_capacity(headers.len());
        let owned_headers = headers
            .iter()
            .fold(owned_headers, |headers, (key, value)| headers.insert(Header { key, value: Some(&**value) }));
        let record = BaseRecord::with_opaque_to(topic, ticket.pack()).key(key).headers(owned_headers);
        let record = match partition {
            Some(partition) => record.partition(partition),
            None => record,
        };
        // Without a payload the value is null, which is not the same as an empty one.
        let mut record = match value {
            Some(value) => record.payload(value),
            None => record,
        };
        loop {
            if self.failures.any() {
                return Err(SendRefusal::Failed);
            }
            self.on_the_way.iter().for_each(|on_the_way| on_the_way.add());
            fail_point::reach(fail_point::BEFORE_SEND);
            let (error, returned) = match self.producer.send(record) {
                Ok(()) => {
                    fail_point::reach(fail_point::AFTER_SEND);
                    return Ok(());
                }
                Err(refused) => refused,
            };
            self.on_the_way.iter().for_each(|on_the_way| on_the_way.remove());
            match error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail) {
                RDKafkaErrorCode::QueueFull => {
                    if self.send_window.wait_for(QUEUE_FULL_WAIT) {
                        return Err(SendRefusal::Stopped);
                    }
                    record = returned;
                }
                code @ RDKafkaErrorCode::MessageSizeTooLarge => return Err(SendRefusal::TooLarge(code)),
                code => {
                    if self.failures.record(ticket, code) {
                        self.monitor.record_error(code, Some(ticket.topic), &error.to_string());
                    }
                    return Err(SendRefusal::Failed);
                }
            }
        }
    }
}
