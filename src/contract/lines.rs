//! A Kafka message as one line of JSON. Pure.
//!
//! Policy: the headers decide, not the topic: `content-type` says how an event or status is encoded, a `reason` makes a
//! dead letter, no value a tombstone. What fits none of these is shown as `{"error": …, "raw": …}`, never refused.

use serde::Serialize;

use crate::contract;
use crate::contract::header;
use crate::wire::escape::escape;

/// The parts of a message that a line is made of.
#[derive(Clone, Copy, Debug)]
pub struct MessageParts<'a> {
    /// Kafka headers.
    pub headers: &'a [(String, Vec<u8>)],
    /// Kafka key.
    pub key: &'a str,
    /// Kafka value; a tombstone has none.
    pub value: Option<&'a [u8]>,
}

impl MessageParts<'_> {
    fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetterLine {
    integration: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at: Option<String>,
    raw: String,
}

/// A tombstone: nothing is left of the key.
#[derive(Serialize)]
struct TombstoneLine<'a> {
    forgotten: &'a str,
}

#[derive(Serialize)]
struct UnreadableLine {
    error: String,
    raw: String,
}

/// Returns the line, without its end.
pub fn json_line(parts: &MessageParts<'_>) -> String {
    let Some(value) = parts.value else { return json(&TombstoneLine { forgotten: parts.key }) };
    match parts.header(header::CONTENT_TYPE).as_deref() {
        Some(header::PROTOBUF) => {
            let schema = parts.header(header::SCHEMA).unwrap_or_default();
            match contract::to_json(&schema, value) {
                Ok(json) => String::from_utf8_lossy(&json).into_owned(),
                Err(error) => unreadable(&error.to_string(), value),
            }
        }
        Some(header::JSON) => match std::str::from_utf8(value) {
            Ok(json) => json.to_owned(),
            Err(error) => unreadable(&error.to_string(), value),
        },
        Some(other) => unreadable(&format!("unknown content-type {other:?}"), value),
        None => match parts.header(header::REASON) {
            Some(reason) => json(&DeadLetterLine {
                integration: parts.header(header::INTEGRATION).unwrap_or_default(),
                reason,
                offset: parts.header(header::OFFSET).and_then(|offset| offset.parse().ok()),
                received_at: parts.header(header::RECEIVED_AT),
                raw: escape(value),
            }),
            None => unreadable("neither a content-type header nor a dead letter's reason", value),
        },
    }
}

fn unreadable(error: &str, value: &[u8]) -> String {
    json(&UnreadableLine { error: error.to_owned(), raw: escape(value) })
}

fn json(line: &impl Serialize) -> String {
    // Strings and numbers only: all of them can be written in JSON.
    serde_json::to_string(line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::contract::v1::FeedStatus;

    fn line(headers: &[(&str, &str)], value: &[u8]) -> String {
        let headers: Vec<_> = headers.iter().map(|(key, value)| (key.to_string(), value.as_bytes().to_vec())).collect();
        json_line(&MessageParts { headers: &headers, key: "avaya-1/1/301204", value: Some(value) })
    }

    #[test]
    fn every_kind_of_message_is_one_line() {
        let status = FeedStatus { integration: "avaya-1".to_owned(), kind: 1, ..Default::default() }.encode_to_vec();
        let protobuf = (header::CONTENT_TYPE, header::PROTOBUF);
        let lines = [
            line(&[protobuf, (header::SCHEMA, contract::FEED_STATUS)], &status),
            line(&[(header::CONTENT_TYPE, header::JSON)], br#"{"kind":"CONNECTED"}"#),
            line(
                &[
                    (header::INTEGRATION, "avaya-1"),
                    (header::REASON, "fields"),
                    (header::OFFSET, "4711"),
                    (header::RECEIVED_AT, "2026-01-05T08:00:00.120Z"),
                ],
                b"30\\1 M\xfcller\t\"x\"\n",
            ),
            line(&[protobuf, (header::SCHEMA, contract::FEED_STATUS)], b"\xff"),
            line(&[protobuf], b""),
            line(&[], b"what"),
            json_line(&MessageParts { headers: &[], key: "avaya-1/1/301204", value: None }),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {"integration":"avaya-1","kind":"CONNECTED","peer":"","noValidRecord":false}
        {"kind":"CONNECTED"}
        {"integration":"avaya-1","reason":"fields","offset":4711,"receivedAt":"2026-01-05T08:00:00.120Z","raw":"30\\x5c1 M\\xfcller\\x09\"x\"\\x0a"}
        {"error":"not a rtalink.v1.FeedStatus: failed to decode Protobuf message: invalid varint","raw":"\\xff"}
        {"error":"unknown schema \"\": expected rtalink.v1.AgentStateEvent, rtalink.v1.FeedStatus or rtalink.v1.AuditEvent","raw":""}
        {"error":"neither a content-type header nor a dead letter's reason","raw":"what"}
        {"forgotten":"avaya-1/1/301204"}
        "#);
    }

    #[test]
    fn escaped_bytes_can_be_had_back() {
        assert_eq!(escape("Müller\\x41\r\n".as_bytes()), r"Müller\x5cx41\x0d\x0a");
        assert_eq!(escape(b"\x00\xff\xc3"), r"\x00\xff\xc3");
    }
}
