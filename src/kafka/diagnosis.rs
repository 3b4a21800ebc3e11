//! Kafka's errors, in words that say what is missing: a right, or a setting.
//!
//! A right is named as in `kafka-acls.sh`, with the resource and the user who lacks it; SECURITY.md has them all. Where
//! librdkafka reports a failed connection, the settings that may be the cause are named. No message contains the value of a
//! setting except the name of the user.

use std::collections::BTreeMap;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A right that somebody may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right<'a> {
    /// To read a topic.
    Read(&'a str),
    /// To write to a topic.
    Write(&'a str),
    /// To create a topic.
    Create(&'a str),
    /// To read the settings of a topic.
    DescribeConfigs(&'a str),
    /// To publish with a transactional id.
    Transactions(&'a str),
    /// To number messages.
    Idempotence,
}

impl Right<'_> {
    fn named(self) -> String {
        match self {
            Self::Read(topic) => format!("READ on topic {topic:?}"),
            Self::Write(topic) => format!("WRITE on topic {topic:?}"),
            Self::Create(topic) => format!("CREATE on topic {topic:?}"),
            Self::DescribeConfigs(topic) => format!("DESCRIBE_CONFIGS on topic {topic:?}"),
            Self::Transactions(id) => format!("WRITE on transactional id {id:?}"),
            Self::Idempotence => "WRITE on every topic, and IDEMPOTENT_WRITE on the cluster".to_owned(),
        }
    }
}

/// Whether Kafka refuses for lack of a right. It can be granted at any time, so that asking again makes sense.
pub(super) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
    )
}

/// Whether a topic does not exist, as far as the broker says.
pub(super) fn is_missing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownPartition
    )
}

/// Where the rights are documented.
const SEE: &str = "see SECURITY.md";

/// Whether it is about groups: we join none and need no right to one, but librdkafka asks for its coordinator nevertheless.
pub(super) fn is_about_groups(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}

/// Whether an error returned by a call is such a refusal.
pub(super) fn refuses(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(is_refusal)
}

/// The names by which Kafka knows us.
#[derive(Clone, Debug)]
pub(super) struct KnownAs {
    user: Option<String>,
}

impl KnownAs {
    /// Takes them from the properties of the configuration.
    pub(super) fn by(properties: &BTreeMap<String, String>) -> Self {
        Self { user: properties.get("sasl.username").cloned() }
    }

    /// Says that a right is missing.
    pub(super) fn lacks(&self, right: Right<'_>) -> String {
        let user = self.user.as_ref().map_or_else(|| "this client".to_owned(), |user| format!("user {user:?}"));
        format!("Kafka refuses {} to {user}: {SEE}", right.named())
    }

    /// Says that a right is missing if that is the error, otherwise gives the error; both with what may be done.
    pub(super) fn explain(&self, error: &KafkaError, right: Right<'_>) -> String {
        if refuses(error) { self.lacks(right) } else { with_advice(&error.to_string()) }
    }
}

/// What a refused timestamp means.
pub(super) const CLOCKS_DIFFER: &str = "the clocks of this machine and of the broker differ by more than the topic's \
     message.timestamp.after.max.ms or message.timestamp.before.max.ms allow: set the clock that is wrong; everything waits until then";

/// Returns what librdkafka said, followed by what to check.
pub(super) fn with_advice(said: &str) -> String {
    advice(said).map_or_else(|| said.to_owned(), |advice| format!("{said}: {advice}"))
}

/// Fragments of what librdkafka says, and what to check then. The first that is found counts.
const ADVICE: [(&[&str], &str); 6] = [
    (
        &["hostname mismatch", "IP address mismatch"],
        "the certificate of the broker is not made out to the name that was dialled: write that name into \
         kafka.bootstrap_servers and the broker's advertised.listeners, or renew the certificate",
    ),
    (
        &["certificate verify failed", "verify broker certificate"],
        "ssl.ca.location in [kafka.properties] must name the CA that signed the certificate of the broker, and the \
         certificate must be made out to the name that was dialled and not have run out",
    ),
    (
        &["SASL authentication error", "Authentication failed"],
        "look at sasl.mechanism, sasl.username and sasl.password in [kafka.properties]",
    ),
    (
        &["connecting to a SSL listener", "in state APIVERSION_QUERY"],
        "if the listener speaks TLS, set security.protocol to \"SASL_SSL\" or \"SSL\" in [kafka.properties]",
    ),
    (
        &["connecting to a PLAINTEXT broker listener", "wrong version number", "in state SSL_HANDSHAKE"],
        "if the listener does not speak TLS, look at security.protocol in [kafka.properties], and at the port",
    ),
    (&["might require SASL authentication"], "look at security.protocol in [kafka.properties], and at the port"),
];

/// Whether an explanation says what somebody has to do, so that waiting will not help.
pub(super) fn is_for_somebody(explanation: &str) -> bool {
    explanation.ends_with(SEE) || ADVICE.iter().any(|(_, advice)| explanation.ends_with(advice))
}

fn advice(said: &str) -> Option<&'static str> {
    ADVICE.iter().find(|(parts, _)| parts.iter().any(|part| said.contains(part))).map(|(_, advice)| *advice)
}

/// Returns why a connection ended, where librdkafka logs it. To librdkafka not all reasons are errors: a broker that hangs up
/// on plain text is not one.
pub(super) fn end_of_connection<'a>(facility: &str, message: &'a str) -> Option<&'a str> {
    // After the name of its thread.
    (facility == "FAIL").then(|| message.split_once("]: ").map_or(message, |(_, reason)| reason))
}

/// Returns the request that was not answered, where librdkafka logs that: behind a firewall that has forgotten the connection
/// there is no other sign.
pub(super) fn unanswered<'a>(facility: &str, message: &'a str) -> Option<&'a str> {
    (facility == "REQTMOUT").then(|| message.split_once("]: ").map_or(message, |(_, reason)| reason))
}

/// Returns the topic that librdkafka could not add to a transaction, from its log line: the error itself names none.
pub(super) fn topic_of_log_line<'a>(facility: &str, message: &'a str) -> Option<&'a str> {
    if facility != "ADDPARTS" || !message.contains("authorization failed") {
        return None;
    }
    let (_, rest) = message.split_once("partition \"")?;
    rest.split_once('"').map(|(topic, _)| topic)
}

/// Returns librdkafka's objection to a value, without the value and without its own name for the property.
pub(super) fn refused_value(said: &str, value: &str) -> String {
    if let Some((_, range)) = said.split_once("is outside allowed range ") {
        let (least, most) = range.trim().split_once("..").unwrap_or((range, ""));
        return format!("must be from {least} to {most}");
    }
    if said.starts_with("Expected bool value") {
        return "expected true or false".to_owned();
    }
    if said.starts_with("Invalid value") {
        return "is no value that librdkafka takes".to_owned();
    }
    if said.contains("must be set through dedicated") {
        return "cannot be set by a configuration".to_owned();
    }
    words(&if value.is_empty() { said.to_owned() } else { said.replace(value, "…") })
}

/// Reasons of OpenSSL, which names its own parts, and what they mean.
const REASONS: [(&[&str], &str); 6] = [
    (&["BIO lib", "system lib", "No such file"], "file not found, or not readable"),
    (
        &[
            "PEM lib",
            "no start line",
            "bad decrypt",
            "bad password read",
            "pkcs12 cipherfinal error",
            "mac verify failure",
        ],
        "it is not in the form that is expected (PEM, or PKCS#12 for ssl.keystore.location), or its password is missing or \
         wrong",
    ),
    (&["no certificate or crl found"], "there is no certificate in PEM in it"),
    (&["key values mismatch"], "the key does not belong to the certificate of ssl.certificate.location"),
    (&["no cipher match"], "OpenSSL knows none of these ciphers"),
    (&["No further error information available"], "OpenSSL does not take it"),
];

/// Returns what librdkafka says when it creates no client, in words: `PROPERTY: REASON` where it is about one.
pub(super) fn words(said: &str) -> String {
    let said = said.trim();
    if let Some((_, rest)) = said.split_once("No provider for SASL mechanism ") {
        let mechanism = rest.split(':').next().unwrap_or_default();
        return format!(
            "sasl.mechanism: {mechanism} is not in this program, which has PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER \
             (GSSAPI is what librdkafka takes where nothing is set)"
        );
    }
    if let Some((_, mechanism)) = said.split_once("Unsupported SASL mechanism: ") {
        return format!("sasl.mechanism: there is no mechanism {mechanism}");
    }
    let Some((_, reason)) = REASONS.iter().find(|(parts, _)| parts.iter().any(|part| said.contains(part))) else {
        return said.replace('`', "");
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let property = said.split(|c| !is_part(c)).find(|word| word.starts_with("ssl.") && word.len() > "ssl.".len());
    property.map_or_else(|| (*reason).to_owned(), |property| format!("{property}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_named_with_the_user_who_lacks_it() {
        let properties = |user: Option<&str>| user.map(|user| ("sasl.username".to_owned(), user.to_owned()));
        let named = |user, right| KnownAs::by(&properties(user).into_iter().collect()).lacks(right);
        let lines = [
            named(Some("rtalink"), Right::Write("rta.audit")),
            named(None, Right::Transactions("rtalink-avaya-1")),
            named(Some("r"), Right::Idempotence),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        Kafka refuses WRITE on topic "rta.audit" to user "rtalink": see SECURITY.md
        Kafka refuses WRITE on transactional id "rtalink-avaya-1" to this client: see SECURITY.md
        Kafka refuses WRITE on every topic, and IDEMPOTENT_WRITE on the cluster to user "r": see SECURITY.md
        "#);
    }

    #[test]
    fn the_topic_of_a_transaction_is_in_the_log_line_only() {
        let line =
            "[thrd:x]: x: Failed to add partition \"rta.audit\" [0] to transaction: Broker: Topic authorization failed";
        assert_eq!(topic_of_log_line("ADDPARTS", line), Some("rta.audit"));
        assert_eq!(topic_of_log_line("ADDPARTS", &line.replace("Topic authorization failed", "Timed out")), None);
        assert_eq!(topic_of_log_line("FAIL", line), None);
        assert_eq!(end_of_connection("FAIL", "[thrd:x://y]: x://y: Disconnected"), Some("x://y: Disconnected"));
        assert_eq!(end_of_connection("ADDPARTS", line), None);
        assert_eq!(unanswered("REQTMOUT", "[thrd:x]: x/1: Timed out Produce"), Some("x/1: Timed out Produce"));
        assert_eq!(unanswered("FAIL", line), None);
    }
}
