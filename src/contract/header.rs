//! Names of Kafka headers and the values that are fixed.

use bytes::Bytes;

/// The event's id, the same over retries and restarts.
pub const EVENT_ID: &str = "event_id";
/// How the value is encoded: [`PROTOBUF`] or [`JSON`].
pub const CONTENT_TYPE: &str = "content-type";
/// Full name of the protobuf message in the value.
pub const SCHEMA: &str = "schema";
/// Dead letters: the integration whose record it was.
pub const INTEGRATION: &str = "integration";
/// Dead letters: why it was refused.
pub const REASON: &str = "reason";
/// Dead letters: offset of the record in its connection, decimal.
pub const OFFSET: &str = "offset";
/// Dead letters: when it was read, RFC 3339.
pub const RECEIVED_AT: &str = "received_at";

/// Checkpoints: id of the store whose journal the position refers to.
pub const OWNER: &str = "owner";
/// Checkpoints: the runs by which the journal's positions were counted, ending with the one that publishes.
pub const RUNS: &str = "runs";
/// Checkpoints: when the transaction was ended, RFC 3339.
pub const COMMITTED_AT: &str = "committed_at";

/// Every name that a journaled message may have.
pub const ALL: [&str; 7] = [EVENT_ID, CONTENT_TYPE, SCHEMA, INTEGRATION, REASON, OFFSET, RECEIVED_AT];

/// [`CONTENT_TYPE`] of encoded protobuf messages.
pub const PROTOBUF: &str = "application/x-protobuf";
/// [`CONTENT_TYPE`] of their JSON form.
pub const JSON: &str = "application/json";
/// [`CONTENT_TYPE`] of checkpoints.
pub const TEXT: &str = "text/plain";

/// Returns the headers that say what a value is: a message of that schema, in its JSON form or not.
pub fn content(schema: &'static str, is_json: bool) -> [(&'static str, Bytes); 2] {
    let content_type = if is_json { JSON } else { PROTOBUF };
    [(CONTENT_TYPE, content_type), (SCHEMA, schema)].map(|(name, text)| (name, Bytes::from_static(text.as_bytes())))
}
