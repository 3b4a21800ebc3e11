//! The callbacks of librdkafka: delivery reports, errors, log lines, statistics.

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::ProducerContext;

use crate::fail_point;
use crate::journal::message::Topic;
use crate::journal::send_window::SendWindow;
use crate::kafka::observer::Statistics;
use crate::kafka::{client, diagnosis};

use super::failures::is_refused;
use super::{Failures, Monitor, OnTheWay, Ticket};

/// The callbacks of one producer.
pub(crate) struct Reports {
    send_window: Arc<SendWindow>,
    monitor: Arc<Monitor>,
    failures: Arc<Failures>,
    /// `Some` in a transaction.
    on_the_way: Option<Arc<OnTheWay>>,
    /// rdkafka 0.39 passes every error to the context twice in a row: this is the first of a pair, until the second comes.
    half_of_pair: Mutex<Option<(KafkaError, String)>>,
}

impl Reports {
    pub(crate) fn new(
        send_window: Arc<SendWindow>,
        monitor: Arc<Monitor>,
        failures: Arc<Failures>,
        on_the_way: Option<Arc<OnTheWay>>,
    ) -> Self {
        Self { send_window, monitor, failures, on_the_way, half_of_pair: Mutex::default() }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if let Some(name) = diagnosis::topic_of_log_line(facility, message)
            && let Some(topic) = self.monitor.topic_named(name)
        {
            self.failures.record_not_added(topic);
        }
        if let Some(request) = diagnosis::unanswered(facility, message) {
            self.monitor.record_unanswered(request);
        }
        if let Some(reason) = diagnosis::end_of_connection(facility, message) {
            self.monitor.set_no_connection(reason);
        }
        client::log(level, facility, message);
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.monitor.record_statistics(&Statistics::from(&statistics));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut half = self.half_of_pair.lock();
        if half.take_if(|(first, first_reason)| *first == error && first_reason.as_str() == reason).is_some() {
            return;
        }
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        *half = Some((error, reason.to_owned()));
        drop(half);
        if code != RDKafkaErrorCode::AllBrokersDown && self.failures.has_cause() {
            self.monitor.record_consequence(code, reason);
            self.send_window.interrupt();
            return;
        }
        let topic = self.failures.not_added().filter(|_| code == RDKafkaErrorCode::TopicAuthorizationFailed);
        self.monitor.record_error(code, topic, reason);
        // It may be fatal: the publisher thread asks.
        self.send_window.interrupt();
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, packed: usize) {
        let ticket = Ticket::unpack(packed);
        if let (Topic::Current, Ok(message)) = (ticket.topic, result) {
            self.monitor.on_current(message.partition(), message.offset());
        }
        match result {
            Ok(_) if self.on_the_way.is_some() => {}
            Ok(_) => {
                fail_point::reach(fail_point::BEFORE_ACKNOWLEDGE);
                let done = self.send_window.acknowledge(ticket.position, ticket.topic);
                fail_point::reach(fail_point::AFTER_ACKNOWLEDGE);
                if let Some(done) = done {
                    self.monitor.record_acknowledged([done]);
                }
            }
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                // A checkpoint has no position of its own, and nothing can take its place.
                let is_checkpoint = ticket.topic == Topic::Checkpoint && is_refused(code);
                let code = if is_checkpoint { RDKafkaErrorCode::Fail } else { code };
                if self.failures.record(ticket, code) {
                    self.monitor.record_error(code, Some(ticket.topic), &error.to_string());
                }
                if self.failures.any() {
                    self.send_window.interrupt();
                }
            }
        }
        if let Some(on_the_way) = &self.on_the_way {
            on_the_way.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::send_window::WindowLimits;
    use crate::kafka::testing::{kafka, recorder};

    #[test]
    fn what_follows_from_an_error_does_not_cover_it() {
        let (observer, _seen) = recorder();
        let monitor = Arc::new(Monitor::new("a".into(), &kafka(""), observer));
        let failures = Arc::new(Failures::default());
        let send_window =
            Arc::new(SendWindow::new(WindowLimits { messages: 1, bytes: WindowLimits::DEFAULT_BYTES }, 0, 0, None));
        let reports = Reports::new(send_window, Arc::clone(&monitor), Arc::clone(&failures), None);
        let error = |code, reason| {
            for _ in 0..2 {
                reports.error(KafkaError::Global(code), reason); // a pair, as rdkafka does
            }
            monitor.health().last_error.unwrap().kind
        };
        assert_eq!(error(RDKafkaErrorCode::Resolve, "no such host"), "Resolve");
        failures.record_not_added(Topic::Checkpoint);
        let code = RDKafkaErrorCode::TopicAuthorizationFailed;
        assert_eq!(error(code, "not added"), "TopicAuthorizationFailed");
        failures.record_end(code);
        // Kafka knows of no transaction that could be aborted.
        assert_eq!(error(RDKafkaErrorCode::InvalidTransactionalState, "not ended"), "TopicAuthorizationFailed");
        assert_eq!(error(RDKafkaErrorCode::AllBrokersDown, "all down"), "AllBrokersDown");
    }

    #[test]
    fn whoever_is_shut_out_says_by_whom_that_may_be() {
        let (observer, _seen) = recorder();
        let monitor = Monitor::new("avaya-1".into(), &kafka(""), observer);
        monitor.record_error(RDKafkaErrorCode::Fenced, None, "fenced by a newer instance");
        let said = monitor.health().last_error.unwrap().message;
        assert!(said.starts_with("fenced by a newer instance: ") && said.contains("\"rtalink-avaya-1\""), "{said}");
        assert!(said.contains("another installation on this cluster has one of the same id"), "{said}");
    }
}
