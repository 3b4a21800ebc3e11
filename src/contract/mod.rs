//! The published contract, generated from `proto/rtalink/v1`, and its JSON form; and what the store holds, from
//! `proto/rtalink/store/v1`. [`agent`] has the conversions that both need.
//!
//! JSON is the proto3 mapping with default values printed, so that every event has every scalar field: consumers need
//! no table of defaults. 64-bit integers are strings there and times end in `Z`.
//!
//! ```
//! use rtalink::contract::{self, AGENT_STATE_EVENT, v1};
//!
//! let event = v1::AgentStateEvent { login_id: "4711".to_owned(), sequence: 3, ..Default::default() };
//! let json = contract::message_to_json(AGENT_STATE_EVENT, &event)?;
//! assert!(String::from_utf8_lossy(&json).contains(r#""loginId":"4711""#));
//! assert_eq!(contract::from_json::<v1::AgentStateEvent>(AGENT_STATE_EVENT, &json)?, event);
//! # Ok::<(), contract::JsonError>(())
//! ```

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};

use crate::time::Timestamp;

pub mod agent;
pub mod event;
pub mod header;
pub mod lines;
pub(crate) mod put;
pub mod recovered;
pub mod saved;
pub mod status;

pub use rtalink::store::v1 as store;
pub use rtalink::v1;

/// Nested as the packages are: generated code refers to other packages by that path.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod rtalink {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/rtalink.v1.rs"));
    }
    pub mod store {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/rtalink.store.v1.rs"));
        }
    }
}

static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rtalink.bin"));

#[allow(clippy::expect_used)] // compiled in by build.rs: broken only if the build is
static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("descriptors compiled by build.rs"));

/// Full name of the message on the events and current topics, header `schema`.
pub const AGENT_STATE_EVENT: &str = "rtalink.v1.AgentStateEvent";
/// Full name of the message on the feed-status topic, header `schema`.
pub const FEED_STATUS: &str = "rtalink.v1.FeedStatus";

/// Full name of the message on the audit topic, header `schema`.
pub const AUDIT_EVENT: &str = "rtalink.v1.AuditEvent";

/// Why bytes could not be converted to JSON or back.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The schema is not one of ours.
    #[error("unknown schema {0:?}: expected {AGENT_STATE_EVENT}, {FEED_STATUS} or {AUDIT_EVENT}")]
    UnknownSchema(String),
    /// The bytes are not a message of that schema.
    #[error("not a {schema}: {source}")]
    Decode {
        /// The schema that was asked for.
        schema: String,
        /// What the decoder said.
        source: prost::DecodeError,
    },
    /// The text is not a JSON form of that schema.
    #[error("not the JSON form of a {schema}: {source}")]
    Parse {
        /// The schema that was asked for.
        schema: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The message could not be serialised.
    #[error("no JSON form: {0}")]
    Serialise(#[from] serde_json::Error),
}

/// Returns the JSON form of an encoded message of `schema`.
///
/// # Errors
/// For a schema that is not published here, and for bytes that are not a message of it.
pub fn to_json(schema: &str, encoded: &[u8]) -> Result<Vec<u8>, JsonError> {
    let message = DynamicMessage::decode(descriptor(schema)?, encoded)
        .map_err(|source| JsonError::Decode { schema: schema.to_owned(), source })?;
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut json = serde_json::Serializer::new(Vec::with_capacity(1024));
    message.serialize_with_options(&mut json, &options)?;
    Ok(json.into_inner())
}

/// Returns the JSON form of a message.
///
/// # Errors
/// As [`to_json`].
pub fn message_to_json(schema: &str, message: &impl Message) -> Result<Vec<u8>, JsonError> {
    to_json(schema, &message.encode_to_vec())
}

/// Reads a message of `schema` back from its JSON form. Fields that this version does not know are left out, as in protobuf,
/// and so are enum values whose names it does not know: these read as the enum's first value.
///
/// # Errors
/// For a schema that is not published here, for text that is not a JSON form of it, and where `M` is not its type.
pub fn from_json<M: Message + Default>(schema: &str, json: &[u8]) -> Result<M, JsonError> {
    let parse = |source| JsonError::Parse { schema: schema.to_owned(), source };
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let mut parser = serde_json::Deserializer::from_slice(json);
    let message =
        DynamicMessage::deserialize_with_options(descriptor(schema)?, &mut parser, &options).map_err(parse)?;
    parser.end().map_err(parse)?;
    message.transcode_to().map_err(|source| JsonError::Decode { schema: schema.to_owned(), source })
}

/// Returns the descriptors of everything that is published or stored.
pub fn descriptors() -> &'static DescriptorPool {
    &POOL
}

fn descriptor(schema: &str) -> Result<MessageDescriptor, JsonError> {
    POOL.get_message_by_name(schema).ok_or_else(|| JsonError::UnknownSchema(schema.to_owned()))
}

/// Years 1 to 9999, in microseconds since 1970: the range of a protobuf time.
const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// Converts a time to protobuf. One outside its range becomes the nearest end of it: it has no JSON form, and an event that
/// cannot be encoded would be lost.
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let micros = at.as_micros().clamp(*TIMES.start(), *TIMES.end());
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}

/// Reads a time back from protobuf.
pub fn from_timestamp(at: &prost_types::Timestamp) -> Timestamp {
    Timestamp::from_micros(at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos) / 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_json_form() {
        let cases = [
            (i64::MIN, "0001-01-01T00:00:00Z"),
            (-62_135_596_800_000_001, "0001-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (253_402_300_800_000_000, "9999-12-31T23:59:59.999999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
        ];
        for (micros, expected) in cases {
            let since = timestamp(Timestamp::from_micros(micros));
            let event = v1::AgentStateEvent { state_since: Some(since), ..Default::default() };
            let json = message_to_json(AGENT_STATE_EVENT, &event).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(json["stateSince"], expected, "{micros}");
        }
    }
}
