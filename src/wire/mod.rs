//! Bytes to records: framing, layouts, the nom parser and the tables of state codes.
//!
//! Pure: no I/O, no clock, no logging, and no allocation per record. A [`layout::LayoutSpec`] says how a site's feed
//! looks, and [`column`] what it can have; [`plan::Plan`] is the same compiled once. [`framing::Framer`] cuts a byte stream
//! into records and [`decode::Decoder`] reads one. [`unchanged`] knows which bytes of a record may differ without saying
//! anything new.
//!
//! ```
//! use rtalink::time::Timestamp;
//! use rtalink::wire::decode::Decoder;
//! use rtalink::wire::layout::builtin;
//! use rtalink::wire::plan::Plan;
//!
//! let layout = builtin::get("cisco-icm-20").expect("built in");
//! let plan = Plan::compile(&layout, "Europe/Berlin")?;
//! let line = format!("301204 20 0 0 0 232 0 1 801326 232 1{}", " 0 0".repeat(19));
//! let mut decoder = Decoder::default();
//! let record = decoder.decode(&plan, line.as_bytes(), Timestamp::from_millis(0))?.record;
//! assert_eq!((record.login_id, record.mode.name()), ("301204", "AVAIL"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod column;
mod cursor;
pub mod decode;
pub mod encoding;
pub mod escape;
mod fields;
pub mod framing;
pub mod layout;
pub mod lines;
mod marks;
pub mod mask;
pub mod moment;
pub mod plan;
pub mod reason;
pub mod record;
pub mod states;
mod text;
pub mod unchanged;
pub(crate) mod visible;
pub mod words;

/// Parses a length of time as feeds and reports write it: seconds, `mm:ss` or `hh:mm:ss`; leading parts may be left out
/// (`:45`).
pub fn duration(text: &str) -> Option<std::time::Duration> {
    fields::duration(text.as_bytes())
}
