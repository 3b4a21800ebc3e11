//! Whether librdkafka accepts the properties of the configuration, checked before anything is started, and what it says in
//! words.
//!
//! Three checks, each only where the previous one found nothing: every property by itself, the files that properties name,
//! and the clients that they make together, which get no broker and dial nobody. A report has the property as it was written,
//! not librdkafka's name for it, and no value: that may be a secret.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;

use crate::config::file;
use crate::config::model::Kafka;

use super::client::{self, Quiet, Sizing};
use super::diagnosis;

/// Something that librdkafka refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The property, as it is written; `None` where it is none of the configured ones.
    pub property: Option<String>,
    /// What is wrong with it.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Properties that name a file that is read when a client is created.
const FILES: [&str; 5] =
    ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location"];

/// Properties that people set, for hints: those about connections, security and what is sent.
const KNOWN: [&str; 59] = [
    "allow.auto.create.topics",
    "batch.num.messages",
    "batch.size",
    "broker.address.family",
    "broker.address.ttl",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.codec",
    "compression.level",
    "compression.type",
    "connections.max.idle.ms",
    "debug",
    "enable.ssl.certificate.verification",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "linger.ms",
    "log_level",
    "max.partition.fetch.bytes",
    "message.max.bytes",
    "message.send.max.retries",
    "metadata.max.age.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.cipher.suites",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.keystore.location",
    "transaction.timeout.ms",
];

/// Returns what is wrong with the properties; the clients that they make are checked only where these are all properties.
pub fn check(kafka: &Kafka, is_whole: bool) -> Vec<Fault> {
    let mut faults: Vec<Fault> = kafka.properties.iter().filter_map(|(name, value)| alone(name, value)).collect();
    if faults.is_empty() {
        faults.extend(
            kafka.properties.iter().filter(|_| uses_tls(kafka)).filter_map(|(name, value)| in_file(name, value)),
        );
    }
    if faults.is_empty() && is_whole {
        faults.extend(together(kafka));
    }
    faults
}

/// Checks a property by itself.
fn alone(name: &str, value: &str) -> Option<Fault> {
    let error = ClientConfig::new().set(name, value).create_native_config().err()?;
    let KafkaError::ClientConfig(_, said, ..) = &error else {
        return Some(Fault {
            property: Some(name.to_owned()),
            message: diagnosis::words(&error.to_string()),
            hint: None,
        });
    };
    let (message, hint) = if said.starts_with("No such configuration property") {
        let near = nearest(name);
        ("librdkafka has no such property".to_owned(), near.map(|near| format!("did you mean {near:?}?")))
    } else {
        (diagnosis::refused_value(said, value), None)
    };
    Some(Fault { property: Some(name.to_owned()), message, hint })
}

/// Returns the property that was probably meant.
fn nearest(name: &str) -> Option<&'static str> {
    const NEAR: f64 = 0.7;
    let spelled = name.to_lowercase().replace('_', ".");
    let scored = KNOWN.iter().map(|known| (strsim::normalized_damerau_levenshtein(&spelled, known), *known));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(likeness, _)| *likeness >= NEAR).map(|(_, known)| known)
}

/// Whether TLS files are read at all.
fn uses_tls(kafka: &Kafka) -> bool {
    kafka.properties.get("security.protocol").is_some_and(|protocol| protocol.to_lowercase().contains("ssl"))
}

/// Checks that a file can be opened, which OpenSSL's errors do not say.
fn in_file(name: &str, value: &str) -> Option<Fault> {
    // librdkafka itself looks for the CAs of the system.
    if !FILES.contains(&name) || value.is_empty() || (name == "ssl.ca.location" && value == "probe") {
        return None;
    }
    let error = File::open(Path::new(value)).err()?;
    let message = format!("{value}: {}", file::reason(&error));
    let hint =
        Path::new(value).is_relative().then(|| "relative names are relative to where rtalink is started".to_owned());
    Some(Fault { property: Some(name.to_owned()), message, hint })
}

/// Checks the clients that they make.
fn together(kafka: &Kafka) -> Option<Fault> {
    let mut producer = client::producer_settings("", kafka, "check", Sizing::Batches(None));
    // Not of a group: leaving one, even one that it never came to, takes a tenth of a second.
    let mut consumer = client::settings("", &kafka.properties, "rtalink-check");
    consumer.remove("group.id");
    // A client without a broker dials nobody.
    for settings in [&mut producer, &mut consumer] {
        settings.remove("bootstrap.servers");
    }
    let error = match client::open::<Quiet, BaseProducer<Quiet>>(&producer, Quiet::default()) {
        Err(error) => error,
        Ok(_) => client::open::<Quiet, BaseConsumer<Quiet>>(&consumer, Quiet::default()).err()?,
    };
    let (message, property) = match &error {
        KafkaError::ClientCreation(said) => (said.clone(), named_in(said, &kafka.properties)),
        KafkaError::ClientConfig(_, said, name, _) => {
            (said.clone(), Some(name.clone()).filter(|name| kafka.properties.contains_key(name)))
        }
        error => (diagnosis::words(&error.to_string()), None),
    };
    let message = match &property {
        Some(name) => message.strip_prefix(&format!("{name}: ")).map_or(message.clone(), str::to_owned),
        None => message,
    };
    Some(Fault { property, message, hint: None })
}

/// Returns the first of the properties that a message names.
fn named_in(said: &str, properties: &BTreeMap<String, String>) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let found = said.split(|c| !is_part(c)).find(|word| properties.contains_key(*word)).map(str::to_owned);
    let about_mechanism =
        || ["sasl.mechanism", "sasl.mechanisms"].into_iter().find(|name| properties.contains_key(*name));
    found.or_else(|| about_mechanism().filter(|_| said.contains("sasl.mechanism")).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Delivery;
    use crate::kafka::testing;
    use crate::kafka::testing::certificates::{Authority, DAY, Pair, Valid};

    fn faults(properties: &[(&str, &str)]) -> Vec<String> {
        let mut kafka = testing::kafka("127.0.0.1:1");
        kafka.properties.extend(properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let line = |Fault { property, message, hint }| {
            let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}: {message}{hint}", property.as_deref().unwrap_or("-"))
        };
        let faults: Vec<String> = check(&kafka, true).into_iter().map(line).collect();
        kafka.delivery = Delivery::ExactlyOnce;
        assert_eq!(
            faults,
            check(&kafka, true).into_iter().map(line).collect::<Vec<_>>(),
            "the same for both deliveries"
        );
        faults
    }

    #[test]
    fn every_known_property_is_one() {
        for name in KNOWN.into_iter().chain(FILES) {
            assert_eq!(alone(name, "").filter(|fault| fault.message.contains("no such")), None, "{name}");
        }
    }

    #[test]
    fn what_librdkafka_refuses_is_told_by_the_name_that_was_written_and_without_the_value() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let authority = Authority::new(folder.path(), "ca");
        let certified = |name: &str| {
            let Pair { certificate, key } = authority.sign(name, name, Valid::For(DAY));
            (certificate.display().to_string(), key.display().to_string())
        };
        let ((certificate, key), (_, foreign_key)) = (certified("one"), certified("other"));
        let garbage = file("garbage.pem", "garbage");
        let missing = folder.path().join("missing.pem").display().to_string();
        let tls = ("security.protocol", "ssl");
        let not_pem = "it is not in the form that is expected (PEM, or PKCS#12 for ssl.keystore.location), or its password is \
                       missing or wrong";
        type Case<'c> = (&'c [(&'c str, &'c str)], &'c [&'c str]);
        let cases: [Case<'_>; 17] = [
            (&[], &[]),
            (
                &[("sasl.pasword", "hunter2")],
                &["sasl.pasword: librdkafka has no such property (did you mean \"sasl.password\"?)"],
            ),
            (
                &[("sasl_username", "hunter2")],
                &["sasl_username: librdkafka has no such property (did you mean \"sasl.username\"?)"],
            ),
            (&[("foo.bar", "hunter2")], &["foo.bar: librdkafka has no such property"]),
            (
                &[("linger.ms", "999999999"), ("compression.type", "hunter2"), ("socket.keepalive.enable", "maybe")],
                &[
                    "compression.type: is no value that librdkafka takes",
                    "linger.ms: must be from 0 to 900000",
                    "socket.keepalive.enable: expected true or false",
                ],
            ),
            // Not read without TLS.
            (&[("ssl.ca.location", &missing)], &[]),
            (&[tls, ("ssl.ca.location", &missing)], &[&format!("ssl.ca.location: {missing}: there is no such file")]),
            (&[tls, ("ssl.ca.location", "probe")], &[]),
            (
                &[
                    tls,
                    ("ssl.ca.location", &certificate),
                    ("ssl.certificate.location", &certificate),
                    ("ssl.key.location", &key),
                ],
                &[],
            ),
            (&[tls, ("ssl.ca.location", &garbage)], &["ssl.ca.location: there is no certificate in PEM in it"]),
            (&[tls, ("ssl.certificate.location", &garbage)], &[&format!("ssl.certificate.location: {not_pem}")]),
            (
                &[tls, ("ssl.certificate.location", &certificate), ("ssl.key.location", &foreign_key)],
                &["ssl.key.location: the key does not belong to the certificate of ssl.certificate.location"],
            ),
            (&[tls, ("ssl.cipher.suites", "hunter2")], &["ssl.cipher.suites: OpenSSL knows none of these ciphers"]),
            (
                &[("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "FOO")],
                &["sasl.mechanism: there is no mechanism FOO"],
            ),
            (
                &[("security.protocol", "sasl_plaintext"), ("sasl.mechanisms", "PLAIN")],
                &["-: sasl.username and sasl.password must be set"],
            ),
            (&[("retries", "0")], &["retries: retries must be set >= 1 when enable.idempotence is true"]),
            (
                &[("reconnect.backoff.ms", "5000")],
                &["reconnect.backoff.ms: reconnect.backoff.max.ms must be >= reconnect.backoff.ms"],
            ),
        ];
        for (properties, expected) in cases {
            assert_eq!(faults(properties), expected, "{properties:?}");
        }
    }
}
