//! What is refused over HTTP: counted by reason, and logged at most once in ten seconds each.

use std::net::IpAddr;
use std::time::Duration;

use metrics::Counter;
use parking_lot::Mutex;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::names;
use crate::telemetry::repeats::RepeatLimiter;
use crate::telemetry::targets::HTTP;
use crate::time::Timestamp;

const EVERY: Duration = Duration::from_secs(10);

/// Why a connection or a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalReason {
    NoToken,
    WrongToken,
    Forbidden,
    TooManyConnections,
    TooManyOfOneAddress,
    Displaced,
    TooManyRequests,
    HeadTooLarge,
    BodyTooLarge,
    Malformed,
    SlowRequest,
    SlowAnswer,
    SlowReader,
    TooOld,
}

impl RefusalReason {
    const ALL: [Self; 14] = [
        Self::NoToken,
        Self::WrongToken,
        Self::Forbidden,
        Self::TooManyConnections,
        Self::TooManyOfOneAddress,
        Self::Displaced,
        Self::TooManyRequests,
        Self::HeadTooLarge,
        Self::BodyTooLarge,
        Self::Malformed,
        Self::SlowRequest,
        Self::SlowAnswer,
        Self::SlowReader,
        Self::TooOld,
    ];

    /// The label in the metric.
    const fn label(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::WrongToken => "wrong_token",
            Self::Forbidden => "forbidden",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyOfOneAddress => "too_many_of_one_address",
            Self::Displaced => "displaced",
            Self::TooManyRequests => "too_many_requests",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::Malformed => "malformed",
            Self::SlowRequest => "slow_request",
            Self::SlowAnswer => "slow_answer",
            Self::SlowReader => "slow_reader",
            Self::TooOld => "too_old",
        }
    }
}

/// Counts and logs refusals.
pub(super) struct Refusals([(Counter, Mutex<RepeatLimiter>); RefusalReason::ALL.len()]);

impl Refusals {
    /// Registers every reason, which is exported from now on.
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self(RefusalReason::ALL.map(|reason| {
            let counter = metrics.counter(names::HTTP_REFUSED, &[reason.label()]);
            counter.increment(0);
            (counter, Mutex::new(RepeatLimiter::new(EVERY)))
        }))
    }

    /// Counts one more. Nothing of the request is logged but where it comes from.
    pub(super) fn count(&self, reason: RefusalReason, peer: IpAddr) {
        let (counter, repeats) = &self.0[reason as usize];
        counter.increment(1);
        if let Some(more) = repeats.lock().admit(Timestamp::now()) {
            tracing::warn!(target: HTTP, reason = reason.label(), %peer, more, "refused over HTTP");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter() {
        let metrics = Metrics::new().unwrap();
        let refusals = Refusals::new(&metrics);
        for (number, reason) in RefusalReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
            (0..=number).for_each(|_| refusals.count(reason, [10, 1, 2, 3].into()));
        }
        let exposition = metrics.render();
        for (number, reason) in RefusalReason::ALL.into_iter().enumerate() {
            let line = format!("rtalink_http_refused_total{{reason=\"{}\"}} {}", reason.label(), number + 1);
            assert!(exposition.contains(&line), "{line}");
        }
    }
}
