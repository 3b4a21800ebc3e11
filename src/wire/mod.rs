//! Bytes to records: framing, layouts, the nom parser and the tables of state codes.
//!
//! Pure: no I/O, no clock, no logging, and no allocation per record. A [`layout::LayoutSpec`] says how a site's feed
//! looks, and [`column`] what it can have; [`plan::Plan`] is the same compiled once. [`framing::Framer`] cuts a byte stream
//! into records and [`decode::Decoder`] reads one. [`unchanged`] knows which bytes of a record may differ without saying
//! anything new.
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
