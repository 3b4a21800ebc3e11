//! How many instructions a record and an event take, counted by valgrind's callgrind: the same on a busy machine as on an
//! idle one, so that a change that costs more is seen where times say nothing.
//!
//! It compares with `counts.toml`, and fails where something takes 5 % more. Counts of another compiler, or on a processor with
//! other instructions for what memchr and glibc do, are compared and do not fail. With `--bless` it writes the file. Valgrind
//! knows no instructions for SHA-1: an id is counted as software makes it.
//!
//! A package of its own: a bench of the product would compile what its tests need before it could count anything.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

#[path = "../../../tests/support/engine.rs"]
mod engine;
#[path = "../../support/feeds.rs"]
#[allow(dead_code)] // the benches use more of it
mod feeds;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs};

use feeds::{Clock, Fed, Feed, START};
use rtalink::contract::event::{encode, event_id};
use rtalink::wire::decode::Decoder;
use rtalink::wire::framing::Run;
use serde::{Deserialize, Serialize};

/// Agents of each feed, one record of each.
const AGENTS: usize = 1_000;
/// What may be more than it was, as a share.
const TOLERANCE: f64 = 0.05;

/// Counts with what they depend on.
#[derive(Debug, Default, Deserialize, Serialize, PartialEq)]
struct Counts {
    rustc: String,
    /// Architecture, and whether it has AVX2.
    processor: String,
    /// Instructions for one record or event.
    instructions: BTreeMap<String, f64>,
}

/// Does the work; what comes before and after it is not counted.
type Work = fn();

const CASES: [(&str, Work); 6] = [
    ("decode", || {
        let feed = Feed { agents: AGENTS, ..Feed::WIDE };
        let (plan, bytes) = (feed.plan(), feed.snapshot(0));
        let mut decoder = Decoder::default();
        let mut decode = || {
            let run = Run { bytes: bytes.clone(), offset: 0 };
            for frame in plan.ends().records(&run) {
                black_box(decoder.decode(&plan, frame.bytes, START).unwrap().record.skills.len());
            }
        };
        decode();
        counted_by_callgrind(&mut decode);
    }),
    ("unchanged", || fed(&Feed { agents: AGENTS, ..Feed::USUAL })),
    ("unchanged, with a duration", || fed(&Feed { agents: AGENTS, clock: Clock::Duration, ..Feed::USUAL })),
    ("unchanged, with a timestamp", || {
        fed(&Feed { agents: AGENTS, clock: Clock::Timestamp, ..Feed::USUAL });
    }),
    ("track", || fed(&Feed { agents: AGENTS, changes: 100, ..Feed::USUAL })),
    ("encode", || {
        let mut fed = Fed::new(&Feed { agents: AGENTS, changes: 100, ..Feed::USUAL }, None);
        let events = fed.events();
        assert_eq!(events.len(), AGENTS);
        let mut bytes = Vec::new();
        let mut encode_all = || {
            bytes.clear();
            for (event, annotation) in &events {
                encode("avaya-1", event_id("avaya-1", event), event, annotation, &mut bytes);
            }
        };
        encode_all();
        counted_by_callgrind(&mut encode_all);
    }),
];

fn fed(feed: &Feed) {
    let mut fed = Fed::new(feed, None);
    (0..2).for_each(|_| fed.take());
    counted_by_callgrind(&mut || fed.take());
}

/// What callgrind counts: its name is how it is found.
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, case] = &arguments[..]
        && flag == "--case"
    {
        let (_, work) = CASES.into_iter().find(|(name, _)| name == case).unwrap();
        work();
        return ExitCode::SUCCESS;
    }
    let now = Counts {
        rustc: rustc(),
        processor: processor(),
        instructions: CASES.into_iter().map(|(name, _)| (name.to_owned(), counted(name))).collect(),
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.toml");
    if arguments.iter().any(|argument| argument == "--bless") {
        fs::write(file, toml::to_string(&now).unwrap()).unwrap();
        return ExitCode::SUCCESS;
    }
    let before: Counts = toml::from_str(&fs::read_to_string(file).expect("counts.toml")).expect("counts.toml");
    let is_comparable = (&before.rustc, &before.processor) == (&now.rustc, &now.processor);
    let mut is_worse = false;
    println!("{:<30} {:>10} {:>10} {:>8}", "instructions for one", "before", "now", "");
    for (name, count) in &now.instructions {
        let Some(before) = before.instructions.get(name) else {
            is_worse = true;
            println!("{name:<30} {:>10} {count:>10.1}", "unknown");
            continue;
        };
        let ratio = count / before;
        let verdict = if ratio > 1.0 + TOLERANCE { "  more than it was" } else { "" };
        is_worse |= ratio > 1.0 + TOLERANCE;
        println!("{name:<30} {before:>10.1} {count:>10.1} {ratio:>6.3} x{verdict}");
    }
    if !is_comparable {
        println!("Not compared strictly: counted with {} for {}.", before.rustc, before.processor);
        return ExitCode::SUCCESS;
    }
    if is_worse {
        println!("If it is worth it: make bench-baseline");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Returns the version of the compiler.
fn rustc() -> String {
    let output = Command::new(env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned())).arg("--version").output();
    String::from_utf8(output.expect("rustc is there").stdout).unwrap().trim().to_owned()
}

/// Returns what the processor is, as far as it decides which code runs.
fn processor() -> String {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let avx2 = if flags.split_whitespace().any(|flag| flag == "avx2") { ", avx2" } else { "" };
    format!("{}{avx2}", env::consts::ARCH)
}

/// Runs a case under callgrind. Returns instructions for one of its agents.
fn counted(case: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted_by_callgrind*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe().unwrap())
        .args(["--case", case])
        .output()
        .expect("valgrind is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {said}");
    let profile = fs::read_to_string(out).unwrap();
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
    let total: f64 = total.trim().parse().unwrap();
    assert!(total > 0.0, "{case}: nothing was counted");
    (total / AGENTS as f64 * 10.0).round() / 10.0
}
