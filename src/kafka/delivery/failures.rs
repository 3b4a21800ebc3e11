//! Why a producer had to end: what was recorded from its reports until it was destroyed.
//!
//! Policy: every failure ends the producer, except that of a message that we purged ourselves. Only the first cause is news
//! to an observer, and so is each message that was refused; what librdkafka reports as a consequence covers no cause.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::error::RDKafkaErrorCode;

use crate::journal::message::Topic;

use super::Ticket;

/// What a failed delivery means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// We discarded it ourselves.
    Purged,
    /// This message, or one that shared its request, will never be accepted.
    Refused,
    /// The producer has stopped because of another failure, whose report may come later than this one.
    Consequence,
    /// Anything else: the producer is at its end, the messages are not.
    Broken,
}

fn verdict(code: RDKafkaErrorCode) -> Verdict {
    match code {
        RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight => Verdict::Purged,
        RDKafkaErrorCode::MessageSizeTooLarge
        | RDKafkaErrorCode::MessageBatchTooLarge
        | RDKafkaErrorCode::InvalidRecord => Verdict::Refused,
        RDKafkaErrorCode::Fatal | RDKafkaErrorCode::GaplessGuarantee | RDKafkaErrorCode::State => Verdict::Consequence,
        _ => Verdict::Broken,
    }
}

/// Whether the message, or one that shared its request, will never be accepted.
pub(super) fn is_refused(code: RDKafkaErrorCode) -> bool {
    verdict(code) == Verdict::Refused
}

/// Why a producer had to end.
#[derive(Default)]
pub(crate) struct Failures {
    any: AtomicBool,
    list: Mutex<FailureList>,
}

/// A failure that ended a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Breakage {
    pub(crate) code: RDKafkaErrorCode,
    /// The topic of the message; unknown where the failure was the producer's own.
    pub(crate) topic: Option<Topic>,
}

/// What [`Failures`] holds.
#[derive(Debug, Default)]
pub(crate) struct FailureList {
    /// The first failure that was neither one of `refused` nor a consequence.
    pub(crate) broken: Option<Breakage>,
    /// The topic that could not be added to a transaction.
    pub(crate) not_added: Option<Topic>,
    /// Positions of messages that were refused, alone or with others.
    pub(crate) refused: Vec<(u64, RDKafkaErrorCode)>,
}

impl Failures {
    /// Whether there is one.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Records one. True if an observer should hear of it.
    pub(crate) fn record(&self, ticket: Ticket, code: RDKafkaErrorCode) -> bool {
        let mut list = self.list.lock();
        let news = match verdict(code) {
            Verdict::Purged => return false,
            Verdict::Refused => {
                list.refused.push((ticket.position, code));
                true
            }
            Verdict::Consequence => false,
            Verdict::Broken => {
                let first = list.broken.is_none() && list.refused.is_empty();
                list.broken.get_or_insert(Breakage { code, topic: Some(ticket.topic) });
                first
            }
        };
        self.any.store(true, Ordering::Release);
        news
    }

    /// Records that the producer itself is at its end, not because of a message. True if an observer should hear of it.
    pub(crate) fn record_end(&self, code: RDKafkaErrorCode) -> bool {
        if verdict(code) == Verdict::Consequence {
            self.any.store(true, Ordering::Release);
            return false;
        }
        let mut list = self.list.lock();
        let news = list.broken.is_none() && list.refused.is_empty();
        let topic = list.not_added.filter(|_| code == RDKafkaErrorCode::TopicAuthorizationFailed);
        list.broken.get_or_insert(Breakage { code, topic });
        self.any.store(true, Ordering::Release);
        news
    }

    /// Records which topic could not be added to a transaction, whose end is about to come.
    pub(crate) fn record_not_added(&self, topic: Topic) {
        self.list.lock().not_added = Some(topic);
    }

    /// Returns that topic.
    pub(crate) fn not_added(&self) -> Option<Topic> {
        self.list.lock().not_added
    }

    /// Whether it is known why the producer is at its end: whatever it reports from then on is a consequence.
    pub(super) fn has_cause(&self) -> bool {
        let list = self.list.lock();
        list.broken.is_some() || !list.refused.is_empty()
    }

    /// Takes all of them.
    pub(crate) fn take(&self) -> FailureList {
        std::mem::take(&mut self.list.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_purge_is_no_failure_and_only_the_first_breakage_is_news() {
        let failures = Failures::default();
        let ticket = |position| Ticket { position, topic: Topic::Audit };
        assert!(!failures.record(ticket(1), RDKafkaErrorCode::PurgeQueue));
        assert!(!failures.any());
        assert!(failures.record(ticket(2), RDKafkaErrorCode::MessageSizeTooLarge));
        assert!(!failures.record(ticket(3), RDKafkaErrorCode::UnknownTopic));
        let list = failures.take();
        assert_eq!(
            (list.refused, list.broken),
            (
                vec![(2, RDKafkaErrorCode::MessageSizeTooLarge)],
                Some(Breakage { code: RDKafkaErrorCode::UnknownTopic, topic: Some(Topic::Audit) })
            )
        );
    }

    #[test]
    fn the_cause_is_news_even_when_its_consequence_is_reported_first() {
        let failures = Failures::default();
        assert!(!failures.record_end(RDKafkaErrorCode::Fatal));
        assert!(failures.any(), "the producer is at its end already");
        let code = RDKafkaErrorCode::TopicAuthorizationFailed;
        assert!(failures.record(Ticket { position: 5, topic: Topic::Current }, code));
        assert_eq!(failures.take().broken, Some(Breakage { code, topic: Some(Topic::Current) }));
    }
}
