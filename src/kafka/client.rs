//! Settings of librdkafka clients: producers, the administrator, the reader of `tail`.
//!
//! Policy: defaults first, then `[kafka.properties]`, then what the delivery guarantee rests on, which therefore wins
//! whatever the properties say. librdkafka's own log lines go to `debug`: what matters also comes as errors.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use crate::config::model::{Delivery, Kafka};
use crate::journal::limits::{PRODUCER_BYTES, PRODUCER_MESSAGES};
use crate::telemetry::targets::KAFKA;

use super::diagnosis;

/// Other names of settings that are ours, and settings that contradict them. They are removed: librdkafka takes settings in
/// no particular order, so that an alias could win.
const ALIASES_OF_OURS: [&str; 5] =
    ["metadata.broker.list", "request.required.acks", "delivery.timeout.ms", "transactional.id", "max.in.flight"];

/// How long to collect events.
const EVENTS: Duration = Duration::from_millis(100);

/// Timeout for an answer of a broker.
const SOCKET_TIMEOUT_MS: u64 = 6_000;

/// Timeout of a transaction, unless configured.
const TRANSACTION_TIMEOUT_MS: u64 = 60_000;

/// The most that librdkafka takes.
const LONGEST_TIMEOUT_MS: &str = "2147483647";

/// Settings that every client has: where the cluster is, and how to connect.
pub(crate) fn settings(servers: &str, properties: &BTreeMap<String, String>, client_id: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings.set("client.id", client_id);
    // Ten seconds, librdkafka's default, are long for a feed that has come back.
    settings.set("reconnect.backoff.max.ms", "2000");
    // Firewalls and balancers silently forget a connection that was idle for 4 to 10 minutes: none is idle for so long, and
    // where one is forgotten nevertheless, a missing answer is noticed soon. librdkafka's default is a minute.
    settings.set("socket.keepalive.enable", "true");
    settings.set("connections.max.idle.ms", "180000");
    settings.set("topic.metadata.refresh.interval.ms", "60000");
    // It may not be longer than a transaction.
    settings.set("socket.timeout.ms", transaction_ms(properties).min(SOCKET_TIMEOUT_MS).to_string());
    // With Nagle's algorithm the end of a larger request waits for the acknowledgement of its beginning, which the other
    // side delays by 40 ms.
    settings.set("socket.nagle.disable", "true");
    for (name, value) in properties.iter().filter(|(name, _)| !ALIASES_OF_OURS.contains(&name.as_str())) {
        settings.set(name, value);
    }
    settings.set("bootstrap.servers", servers);
    // Why a connection ended may be logged at this level only; `log` decides what of it is shown.
    if !tracing::enabled!(target: "librdkafka", tracing::Level::DEBUG) {
        settings.set_log_level(RDKafkaLogLevel::Info);
    }
    settings
}

fn transaction_ms(properties: &BTreeMap<String, String>) -> u64 {
    let configured = properties.get("transaction.timeout.ms").and_then(|value| value.parse().ok());
    configured.unwrap_or(TRANSACTION_TIMEOUT_MS)
}

/// Returns how long a transaction may be open before the broker aborts it.
pub(super) fn longest_transaction(kafka: &Kafka) -> Duration {
    Duration::from_millis(transaction_ms(&kafka.properties))
}

/// How many messages share a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sizing {
    /// As configured, but at most so many bytes where a limit had to be learned.
    Batches(Option<usize>),
    /// One message, to find out which of several is refused.
    Single,
}

/// Returns the settings of an integration's producer.
///
/// `enable.gapless.guarantee` makes any message that fails for good stop the producer: without it the messages after it would
/// be delivered first, and the order per key would be lost before anybody could intervene. One request in flight: a broker
/// that knows nothing of a producer takes its messages from any sequence number on, so that the second request to a partition
/// can get in where the first one was refused (no leader yet: a new topic, a restart of the broker); librdkafka then takes
/// the first one for delivered, and it is silently lost. `message.timeout.ms` is as long as it can be, which keeps an outage
/// from failing early messages and passing later ones; after 24 days the producer starts anew with the same messages. 0, "for
/// ever", would avoid even that, but librdkafka computes from it how long messages were in its queue, and with 0 that is
/// nonsense. Topics are not created automatically: the broker would give `current` its default clean-up and delete what must
/// be kept.
///
/// In transactions the guarantee of no gaps has no effect: a message that fails for good fails its transaction.
/// `message.timeout.ms` is 0 there: librdkafka refuses values above `transaction.timeout.ms`, and not 0. Everything else is
/// the same.
pub(crate) fn producer_settings(servers: &str, kafka: &Kafka, integration: &str, sizing: Sizing) -> ClientConfig {
    let linger_ms = (kafka.linger.as_secs_f64() * 1_000.0).to_string();
    let mut properties = BTreeMap::from([
        ("linger.ms".to_owned(), linger_ms),
        ("statistics.interval.ms".to_owned(), "5000".to_owned()),
        ("allow.auto.create.topics".to_owned(), "false".to_owned()),
        ("queue.buffering.max.messages".to_owned(), PRODUCER_MESSAGES.to_string()),
        ("queue.buffering.max.kbytes".to_owned(), (PRODUCER_BYTES / 1024).to_string()),
        // Less than `socket.timeout.ms`, so that a broker that waits for its replicas says so.
        ("request.timeout.ms".to_owned(), "5000".to_owned()),
        // How long a topic that is gone is waited for before its messages, and a transaction with them, fail.
        ("topic.metadata.propagation.max.ms".to_owned(), "10000".to_owned()),
    ]);
    if kafka.delivery == Delivery::ExactlyOnce {
        // librdkafka's default, but also how long an outage may last before the broker aborts what was sent before it.
        properties.insert("transaction.timeout.ms".to_owned(), TRANSACTION_TIMEOUT_MS.to_string());
    }
    if kafka.properties.contains_key("queue.buffering.max.ms") {
        properties.remove("linger.ms"); // another name of the same
    }
    properties.extend(kafka.properties.clone());
    let mut settings = settings(servers, &properties, &format!("rtalink-{integration}"));
    match sizing {
        Sizing::Batches(None) => {}
        Sizing::Batches(Some(bytes)) => {
            settings.set("batch.size", bytes.to_string());
        }
        Sizing::Single => {
            settings.set("batch.num.messages", "1");
        }
    }
    settings
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight.requests.per.connection", "1")
        .set("delivery.report.only.error", "false")
        .set("partitioner", "murmur2_random");
    match kafka.delivery {
        Delivery::AtLeastOnce => {
            settings.set("enable.gapless.guarantee", "true").set("message.timeout.ms", LONGEST_TIMEOUT_MS)
        }
        Delivery::ExactlyOnce => {
            settings.set("transactional.id", transactional_id(integration)).set("message.timeout.ms", "0")
        }
    };
    settings
}

/// Returns the id of an integration's transactions, the same across restarts and for every instance that publishes for it.
pub(super) fn transactional_id(integration: &str) -> String {
    format!("rtalink-{integration}")
}

/// Passes a log line of librdkafka on.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// Creates a client, or returns why librdkafka does not accept its settings, without the value: it may be a secret.
pub(super) fn open<C: ClientContext, T: FromClientConfigAndContext<C>>(
    settings: &ClientConfig,
    context: C,
) -> KafkaResult<T> {
    T::from_config_and_context(settings, context).map_err(|error| match error {
        KafkaError::ClientConfig(result, said, key, value) => {
            KafkaError::ClientConfig(result, diagnosis::refused_value(&said, &value), key, "…".to_owned())
        }
        KafkaError::ClientCreation(said) => KafkaError::ClientCreation(diagnosis::words(&said)),
        error => error,
    })
}

/// Returns why a call of a consumer that reads nothing yet failed, and what may be done about it.
pub(super) fn explain(consumer: &BaseConsumer<Quiet>, error: &KafkaError) -> String {
    // The state of connections comes as events, which nobody has taken so far.
    let deadline = Instant::now() + EVENTS;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        drop(consumer.poll(left));
    }
    consumer.context().explain(error)
}

/// A client whose errors are seen where its calls fail. These do not say why there is no connection: that is remembered.
#[derive(Default)]
pub(crate) struct Quiet {
    no_connection: Mutex<Option<String>>,
}

impl Quiet {
    /// Returns why there is no connection, where that was reported.
    pub(super) fn reason(&self) -> Option<String> {
        self.no_connection.lock().clone()
    }

    /// Returns why a call failed, and what may be done about it.
    pub(super) fn explain(&self, error: &KafkaError) -> String {
        let said = error.to_string();
        let is_about_connection = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::RequestTimedOut
            )
        );
        match self.no_connection.lock().as_ref().filter(|_| is_about_connection) {
            Some(reason) => diagnosis::with_advice(&format!("{said}: {reason}")),
            None => diagnosis::with_advice(&said),
        }
    }
}

impl ClientContext for Quiet {
    /// Nobody looks at the figures of a client that only asks: unless told otherwise, they are a long line of the log.
    fn stats_raw(&self, _: &[u8]) {}

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if let Some(reason) = diagnosis::end_of_connection(facility, message) {
            *self.no_connection.lock() = Some(reason.to_owned());
        }
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That all are down is only a consequence.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.no_connection.lock() = Some(reason.to_owned());
        }
        tracing::debug!(target: KAFKA, %error, "{reason}");
    }
}

impl ConsumerContext for Quiet {}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    /// A quiet client sends nothing.
    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use rdkafka::producer::BaseProducer;

    use super::*;
    use crate::kafka::testing;

    #[test]
    fn no_alias_gets_past_the_guarantee() {
        let mut kafka = testing::kafka("broker:9092");
        for name in ALIASES_OF_OURS.into_iter().chain(["queue.buffering.max.ms"]) {
            kafka.properties.insert(name.to_owned(), "2".to_owned());
        }
        let native =
            producer_settings("broker:9092", &kafka, "a", Sizing::Batches(None)).create_native_config().unwrap();
        let value = |name| native.get(name).unwrap();
        assert_eq!(
            (value("acks"), value("message.timeout.ms"), value("linger.ms")),
            ("-1".into(), LONGEST_TIMEOUT_MS.into(), "2".into())
        );
        assert_eq!(value("max.in.flight.requests.per.connection"), "1");
        assert_eq!(value("bootstrap.servers"), "broker:9092");
    }

    #[test]
    fn a_producer_queues_no_more_than_a_window_and_gives_up_a_silent_connection() {
        let kafka = testing::kafka("broker:9092");
        let native =
            producer_settings("broker:9092", &kafka, "a", Sizing::Batches(None)).create_native_config().unwrap();
        let value = |name| native.get(name).unwrap();
        assert_eq!(value("queue.buffering.max.messages"), PRODUCER_MESSAGES.to_string());
        assert_eq!(value("queue.buffering.max.kbytes"), (PRODUCER_BYTES / 1024).to_string());
        assert_eq!((value("socket.timeout.ms"), value("request.timeout.ms")), ("6000".into(), "5000".into()));
        assert_eq!(
            (value("socket.keepalive.enable"), value("connections.max.idle.ms")),
            ("true".into(), "180000".into())
        );
    }

    #[test]
    fn an_answer_is_waited_for_no_longer_than_a_transaction_may_last() {
        for (transaction, expected) in [("1000", "1000"), ("60000", "6000")] {
            let mut kafka = testing::kafka("broker:9092");
            kafka.delivery = Delivery::ExactlyOnce;
            kafka.properties.insert("transaction.timeout.ms".to_owned(), transaction.to_owned());
            let settings = producer_settings("broker:9092", &kafka, "a", Sizing::Batches(None));
            assert_eq!(settings.create_native_config().unwrap().get("socket.timeout.ms").unwrap(), expected);
            assert!(settings.create::<rdkafka::producer::BaseProducer>().is_ok(), "{transaction}");
        }
    }

    #[test]
    fn transactions_are_named_and_wait_for_ever() {
        let mut kafka = testing::kafka("broker:9092");
        kafka.delivery = Delivery::ExactlyOnce;
        let settings = producer_settings("broker:9092", &kafka, "a", Sizing::Batches(None));
        let client: KafkaResult<BaseProducer> = settings.create();
        assert!(client.is_ok(), "librdkafka takes them");
        let native = settings.create_native_config().unwrap();
        let value = |name| native.get(name).unwrap();
        assert_eq!((value("transactional.id"), value("message.timeout.ms")), ("rtalink-a".into(), "0".into()));
    }

    #[test]
    fn properties_change_defaults_but_not_the_guarantee() {
        let mut kafka = testing::kafka("broker:9092");
        for (name, value) in [("linger.ms", "7"), ("acks", "0"), ("compression.type", "lz4")] {
            kafka.properties.insert(name.to_owned(), value.to_owned());
        }
        let settings = producer_settings("broker:9092", &kafka, "avaya-1", Sizing::Batches(Some(4096)));
        let value = |name| settings.get(name).unwrap_or("-");
        assert_eq!((value("linger.ms"), value("acks"), value("compression.type")), ("7", "all", "lz4"));
        assert_eq!((value("client.id"), value("batch.size")), ("rtalink-avaya-1", "4096"));
        assert!(settings.create_native_config().is_ok());
    }
}
