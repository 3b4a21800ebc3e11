//! What can be observed of publishing: callbacks for metrics, a snapshot for the health body.
//!
//! Policy: publishing never depends on what is observed, and an observer cannot influence it. Cost: the callbacks run on the
//! thread that reads delivery reports, so an observer must not block; one virtual call per message.

use std::time::Duration;

use rdkafka::statistics::Broker;
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;

use crate::journal::message::Route;
use crate::time::Timestamp;

/// Observes what happens to one integration's messages. Every method does nothing unless implemented.
pub trait Observer: Send + Sync + 'static {
    /// All topics of a message have acknowledged it; called once per message, however often it was sent. `latency` is
    /// the time since its bytes were read from the socket.
    fn acknowledged(&self, _route: Route, _latency: Option<Duration>) {}

    /// Something went wrong with Kafka; it is retried. `kind` is the name of a librdkafka error code: a bounded set.
    fn kafka_error(&self, _kind: &str) {}

    /// A message that Kafka will never accept was given up, and a dead letter sent for it. `reason` is of a bounded set.
    fn dropped(&self, _reason: &str) {}

    /// Figures of the producer, every few seconds.
    fn statistics(&self, _statistics: &Statistics) {}

    /// Kafka has what the store does not know: the store is older than it was.
    fn behind(&self) {}

    /// Whether that keeps the integration's messages waiting; called when it changes.
    fn condition(&self, _condition: KafkaCondition, _lasts: bool) {}

    /// Whether a broker can be reached; called when that changes.
    fn connected(&self, _connected: bool) {}
}

/// What keeps an integration's messages waiting until somebody fixes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KafkaCondition {
    /// Another instance publishes for it.
    Superseded,
    /// A topic that it publishes to is not there.
    TopicMissing,
    /// The broker does not accept the times of our clock.
    TimestampRefused,
}

impl KafkaCondition {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Superseded, Self::TopicMissing, Self::TimestampRefused];

    /// A label for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::TopicMissing => "topic_missing",
            Self::TimestampRefused => "timestamp_refused",
        }
    }
}

/// Returns what [`Observer::kafka_error`] reports while brokers cannot be reached; other kinds are known when they come.
pub fn kinds_of_an_outage() -> [String; 4] {
    [
        RDKafkaErrorCode::BrokerTransportFailure,
        RDKafkaErrorCode::AllBrokersDown,
        RDKafkaErrorCode::Resolve,
        RDKafkaErrorCode::OperationTimedOut,
    ]
    .map(|code| format!("{code:?}"))
}

/// An observer that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnobservedProducer;

impl Observer for UnobservedProducer {}

/// Figures of one producer. Windows are those of the slowest broker where there are several; absent without traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Messages in the producer's queues, one per topic.
    pub queue_messages: u64,
    /// Their bytes.
    pub queue_bytes: u64,
    /// How long messages were in the producer's queue.
    pub internal_latency: Option<Window>,
    /// How long requests waited to be written to the socket.
    pub outbuf_latency: Option<Window>,
    /// Round trips.
    pub broker_rtt: Option<Window>,
    /// Brokers that are connected.
    pub brokers_up: usize,
    /// Brokers that are known.
    pub brokers: usize,
}

/// How long something took at a broker in the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Median.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
}

impl From<&rdkafka::Statistics> for Statistics {
    fn from(native: &rdkafka::Statistics) -> Self {
        // Bootstrap addresses are brokers too, with negative ids, and stay "up" alongside the broker they led to.
        let named = native.brokers.values().filter(|broker| broker.nodeid >= 0);
        let slowest = |window_of: fn(&Broker) -> Option<&rdkafka::statistics::Window>| {
            named.clone().filter_map(window_of).filter_map(Window::of).max_by_key(|window| window.p99)
        };
        Self {
            queue_messages: native.msg_cnt,
            queue_bytes: native.msg_size,
            internal_latency: slowest(|broker| broker.int_latency.as_ref()),
            outbuf_latency: slowest(|broker| broker.outbuf_latency.as_ref()),
            broker_rtt: slowest(|broker| broker.rtt.as_ref()),
            brokers_up: named.clone().filter(|broker| broker.state == "UP").count(),
            brokers: named.count(),
        }
    }
}

impl Window {
    /// `None` where nothing was counted, and where the value is nonsense: below 0.
    fn of(native: &rdkafka::statistics::Window) -> Option<Self> {
        if native.cnt <= 0 || native.min < 0 {
            return None;
        }
        // Values above librdkafka's histogram are counted separately: the largest one stands for them.
        let quantile = |percent: i64, within: i64| {
            let are_above = native.outofrange.saturating_mul(100) > native.cnt.saturating_mul(100 - percent);
            micros(if are_above { native.max } else { within })
        };
        Some(Self { p50: quantile(50, native.p50), p99: quantile(99, native.p99) })
    }
}

fn micros(count: i64) -> Duration {
    Duration::from_micros(u64::try_from(count).unwrap_or(0))
}

/// The state of Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaHealth {
    /// A broker can be reached, as far as is known. False until the first sign of one.
    pub connected: bool,
    /// Brokers that are connected, by the last statistics.
    pub brokers_up: usize,
    /// Brokers that are known, by the last statistics.
    pub brokers: usize,
    /// The last error, however long ago.
    pub last_error: Option<LastError>,
    /// When the last acknowledgement came.
    pub last_acknowledged: Option<Timestamp>,
    /// With exactly-once delivery: the store that publishes for this integration instead of ours, which waits.
    pub superseded_by: Option<Uuid>,
    /// What keeps messages waiting until somebody fixes it, in the order of [`KafkaCondition::ALL`].
    pub conditions: [bool; KafkaCondition::ALL.len()],
}

/// An error as people read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// Name of the librdkafka error code.
    pub kind: String,
    /// What librdkafka says about it.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

impl KafkaHealth {
    /// Merges two integrations' views of the same cluster: connected if both are, the later of what has a time.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let last_error = match (self.last_error, other.last_error) {
            (Some(left), Some(right)) => Some(if left.at >= right.at { left } else { right }),
            (left, right) => left.or(right),
        };
        Self {
            connected: self.connected && other.connected,
            brokers_up: self.brokers_up.max(other.brokers_up),
            brokers: self.brokers.max(other.brokers),
            last_error,
            last_acknowledged: self.last_acknowledged.max(other.last_acknowledged),
            superseded_by: self.superseded_by.or(other.superseded_by),
            conditions: std::array::from_fn(|condition| self.conditions[condition] || other.conditions[condition]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(at: i64) -> Option<LastError> {
        Some(LastError { kind: "Fail".to_owned(), message: at.to_string(), at: Timestamp::from_millis(at) })
    }

    #[test]
    fn merging_keeps_the_later_and_the_worse() {
        let here =
            KafkaHealth { connected: true, brokers_up: 2, brokers: 3, last_error: error(5), ..Default::default() };
        let there = KafkaHealth {
            brokers_up: 1,
            brokers: 3,
            last_error: error(9),
            last_acknowledged: Some(Timestamp::from_millis(1)),
            ..Default::default()
        };
        let merged = here.merge(there);
        assert!(!merged.connected);
        assert_eq!((merged.brokers_up, merged.brokers), (2, 3));
        assert_eq!(merged.last_error, error(9));
        assert_eq!(merged.last_acknowledged, Some(Timestamp::from_millis(1)));
    }

    #[test]
    fn statistics_take_the_slowest_broker_and_leave_bootstrap_addresses_out() {
        let window = |p99| rdkafka::statistics::Window { cnt: 1, p50: p99 / 2, p99, ..Default::default() };
        let broker = |nodeid, rtt, int_latency| Broker {
            nodeid,
            state: "UP".to_owned(),
            rtt: Some(window(rtt)),
            int_latency: Some(window(int_latency)),
            outbuf_latency: Some(rdkafka::statistics::Window { p99: 9, ..Default::default() }),
            ..Default::default()
        };
        let mut native = rdkafka::Statistics { msg_cnt: 7, ..Default::default() };
        native.brokers.insert("bootstrap".to_owned(), broker(-1, 9_000, 9_000));
        native.brokers.insert("one".to_owned(), broker(1, 500, 60));
        native.brokers.insert("two".to_owned(), Broker { state: "DOWN".to_owned(), ..broker(2, 800, 40) });
        let statistics = Statistics::from(&native);
        assert_eq!((statistics.queue_messages, statistics.brokers_up, statistics.brokers), (7, 1, 2));
        let micros = |p50, p99| Some(Window { p50: micros(p50), p99: micros(p99) });
        assert_eq!(statistics.broker_rtt, micros(400, 800));
        assert_eq!(statistics.internal_latency, micros(30, 60), "each window has its own slowest broker");
        assert_eq!(statistics.outbuf_latency, None, "nothing was counted");
    }

    #[test]
    fn what_is_above_the_histogram_counts_and_what_is_below_zero_does_not() {
        use rdkafka::statistics::Window as Native;
        let micros = |p50, p99| Some(Window { p50: micros(p50), p99: micros(p99) });
        let native = Native { cnt: 100, min: 1, max: 9_000, p50: 5, p99: 7, ..Native::default() };
        let windows = [
            (Native { cnt: 0, ..native.clone() }, None),
            (native.clone(), micros(5, 7)),
            (Native { outofrange: 1, ..native.clone() }, micros(5, 7)),
            (Native { outofrange: 2, ..native.clone() }, micros(5, 9_000)),
            (Native { outofrange: 100, p50: 0, p99: 0, ..native.clone() }, micros(9_000, 9_000)),
            (Native { outofrange: 100, min: -5, max: 0, p50: 0, p99: 0, ..native }, None),
        ];
        for (native, expected) in windows {
            assert_eq!(Window::of(&native), expected, "{native:?}");
        }
    }
}
