//! What a record costs, beside a bare newline scan and the `csv` crate on the same bytes in the same run.
//!
//! Work: snapshots of 10,000 rows of `cisco-icm-20` with 20 skills each (some 180 bytes a row), one thread. Rounds are
//! interleaved and the median is shown: machines are shared, so only the ratios say something.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

#[path = "../tests/support/engine.rs"]
mod engine;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtalink::time::Timestamp;
use rtalink::wire::decode::Decoder;
use rtalink::wire::framing::Run;
use rtalink::wire::layout::builtin;
use rtalink::wire::plan::Plan;

const AGENTS: usize = 10_000;
const ROUNDS: usize = 30;

fn main() {
    let plan = Plan::compile(&builtin::get("cisco-icm-20").unwrap(), "UTC").unwrap();
    let snapshots = [0, 1].map(|round| Bytes::from(engine::snapshot(AGENTS, 20, round)));
    let bytes = snapshots[0].len();
    println!("{AGENTS} records of {} bytes, {ROUNDS} rounds, median", bytes / AGENTS);

    let mut decoder = Decoder::default();
    let mut reader_fields = 0;
    let mut unchanged = feed(&plan, &snapshots);
    let mut changing = feed(&plan, &snapshots);
    let mut round = 0;
    let mut cases: Vec<Case<'_>> = vec![
        (
            "newline scan (memchr)",
            Box::new(|| {
                black_box(memchr::memchr_iter(b'\n', &snapshots[0]).count());
            }),
        ),
        (
            "csv crate, fields only",
            Box::new(|| {
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .delimiter(b' ')
                    .flexible(true)
                    .from_reader(&snapshots[0][..]);
                let mut record = csv::ByteRecord::new();
                while reader.read_byte_record(&mut record).unwrap() {
                    reader_fields += record.len();
                }
            }),
        ),
        (
            "decode every record",
            Box::new(|| {
                let run = Run { bytes: snapshots[0].clone(), offset: 0 };
                for frame in plan.ends().records(&run) {
                    black_box(
                        decoder.decode(&plan, frame.bytes, Timestamp::from_millis(0)).unwrap().record.skills.len(),
                    );
                }
            }),
        ),
        ("decode + track, nothing changes", Box::new(move || unchanged(0))),
        (
            "decode + track + map, 5 % change",
            Box::new(move || {
                round += 1;
                changing(round % 2);
            }),
        ),
    ];
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            let begin = Instant::now();
            case.1();
            times.push(begin.elapsed());
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    println!("{:<34} {:>12} {:>14} {:>8} {:>8}", "", "ns/record", "records/s", "x scan", "x csv");
    for ((name, _), nanos) in cases.iter().zip(&medians) {
        println!(
            "{name:<34} {nanos:>12.1} {:>14.0} {:>8.2} {:>8.2}",
            1e9 / nanos,
            nanos / medians[0],
            nanos / medians[1]
        );
    }
}

/// Name, and one round of the work.
type Case<'a> = (&'static str, Box<dyn FnMut() + 'a>);

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / AGENTS as f64
}

/// An engine that takes one of the two snapshots per call, 3 s after the last.
fn feed(plan: &Arc<Plan>, snapshots: &[Bytes; 2]) -> impl FnMut(usize) + use<> {
    let mut engine = engine::engine(plan, true);
    let mut findings = Vec::new();
    let mut at = Timestamp::from_millis(0);
    engine.open(1, &"cms".into(), at, &mut findings);
    let (plan, snapshots) = (Arc::clone(plan), snapshots.clone());
    let mut take = move |which: usize| {
        at = at.plus(Duration::from_secs(3));
        engine.receive(1, &plan, &engine::piece(snapshots[which].clone()), at, &mut findings);
        black_box(&findings);
        findings.clear();
    };
    take(0);
    take(0);
    take
}
