//! What it costs to read a record, beside a loop that only parses its integers, and beside the `csv` crate, which only splits
//! its fields.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/engine.rs"]
mod engine;
mod support;

use std::hint::black_box;

use bytes::Bytes;
use rtalink::wire::decode::Decoder;
use rtalink::wire::framing::Run;
use support::feeds::{Feed, START};
use support::floors;
use support::rounds::Cases;

const ROUNDS: usize = 30;

fn main() {
    for (name, feed) in [("20 skills", Feed::WIDE), ("1 to 6 skills, the rest zeros", Feed::USUAL)] {
        let snapshot = feed.snapshot(0);
        let plan = feed.plan();
        let mut decoder = Decoder::default();
        let mut cases = Cases::default();
        cases.floor("a loop over the 49 integers", || {
            black_box(floors::integers(&snapshot));
        });
        cases.case("csv crate, fields only", || csv_fields(&snapshot));
        cases.case("newline scan (memchr)", || {
            black_box(memchr::memchr_iter(b'\n', &snapshot).count());
        });
        cases.case("rtalink: decode", || {
            let run = Run { bytes: snapshot.clone(), offset: 0 };
            for frame in plan.ends().records(&run) {
                black_box(decoder.decode(&plan, frame.bytes, START).unwrap().record.skills.len());
            }
        });
        let bytes = snapshot.len() / feed.agents;
        cases.print(&format!("decode: cisco-icm-20, {name}, {bytes} bytes a record"), ROUNDS, feed.agents);
    }
}

fn csv_fields(snapshot: &Bytes) {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).delimiter(b' ').flexible(true).from_reader(&snapshot[..]);
    let mut record = csv::ByteRecord::new();
    let mut fields = 0;
    while reader.read_byte_record(&mut record).unwrap() {
        fields += record.len();
    }
    black_box(fields);
}
