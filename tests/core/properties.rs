//! The tracker against itself: what may be changed about a feed without a change of what is published.
//!
//! No second implementation says what is right. A capture of chance, of any layout and with any settings, is played into a
//! fresh engine, and once more after a change that must mean nothing: other reads, other login ids, another encoding. Both must
//! publish the same, event by event, with statuses and dead letters. Beside that some things hold of every capture
//! (`invariants`).
//!
//! `RTALINK_PROPERTIES` is the number of captures for each property (2000), `RTALINK_PROPERTIES_SEED` the first seed: with the seed
//! of a failure and 1 it is played again. A failure shows the smallest capture that was found to fail, with its configuration.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod capture;
mod compare;
mod invariants;
mod play;
mod random;
mod reach;
mod shape;
mod shrink;
mod story;
use crate::support::told;
mod transform;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use capture::Capture;
use compare::Comparable;
use play::{How, Told, play};
use random::Random;
use reach::Reach;
use shape::{Compiled, Mode};
use transform::{PROPERTIES, Property};

/// The name of what holds of every capture.
const INVARIANTS: &str = "what always holds";
/// Seeds of failures that are named.
const NAMED: usize = 12;

/// What came of a property and a capture.
enum Verdict {
    /// So many events are the same.
    Holds(usize),
    /// The capture is of no use to it.
    Useless,
    Fails(String),
}

fn verdict(number: usize, played: &Played, seed: u64) -> Verdict {
    let Played { capture, compiled, told } = played;
    let (_, change): Property = PROPERTIES[number];
    let mut random = Random::new(seed, 1 + number as u64);
    let Some(pair) = change(capture, &mut random) else { return Verdict::Useless };
    let left = pair.left.as_ref().map(|left| play(left, compiled, How::default()));
    let left = left.as_ref().unwrap_or(told);
    let mut of_right = compiled.clone();
    if !pair.is_layout_kept {
        of_right = pair.right.shape.compile(pair.right.users());
    } else if !pair.are_users_kept {
        of_right.mapping = pair.right.shape.mapping(pair.right.users());
    }
    let right = play(&pair.right, &of_right, pair.how);
    if right.died_while_down && capture.shape.mode == Mode::Delta {
        return Verdict::Useless;
    }
    let mut left = Comparable::left(left, &pair.normal);
    let mut right = Comparable::right(&right, &pair.normal);
    match left.compare(&mut right, &pair.normal) {
        Ok(events) => Verdict::Holds(events),
        Err(at) => {
            let mut text = format!("  {:?}\n  left, from finding {at} on:\n{}", pair.how, left.show(at));
            let _ = writeln!(text, "  right:\n{}", right.show(at));
            let _ = writeln!(text, "left capture:\n{}", pair.left.as_ref().unwrap_or(capture).lines());
            let _ = writeln!(text, "right capture:\n{}", pair.right.lines());
            Verdict::Fails(text)
        }
    }
}

thread_local! {
    /// The last panic of this thread, with its place.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A panic is a failure, too.
fn guarded(check: impl FnOnce() -> Verdict) -> Verdict {
    catch_unwind(AssertUnwindSafe(check))
        .unwrap_or_else(|_| Verdict::Fails(format!("  {}\n", PANIC.with_borrow(String::clone))))
}

fn invariants_of(Played { capture, told, .. }: &Played) -> Verdict {
    match invariants::check(capture, told) {
        Ok(()) => Verdict::Holds(told.by_step.iter().flatten().count()),
        Err(what) => Verdict::Fails(format!("  {what}\ncapture:\n{}", capture.lines())),
    }
}

/// A capture, and what comes of it as it is.
struct Played {
    capture: Capture,
    compiled: Compiled,
    told: Told,
}

impl Played {
    fn new(capture: Capture) -> Self {
        let compiled = capture.shape.compile(capture.users());
        let told = play(&capture, &compiled, How::default());
        Self { capture, compiled, told }
    }
}

/// Counts of one property.
#[derive(Default)]
struct Line {
    captures: AtomicUsize,
    events: AtomicUsize,
    failures: AtomicUsize,
}

struct Run {
    wanted: usize,
    next: AtomicU64,
    last: u64,
    /// One for each property, and one for the invariants.
    lines: Vec<Line>,
    reach: Reach,
    failures: parking_lot::Mutex<BTreeMap<usize, Vec<u64>>>,
}

fn name(number: usize) -> &'static str {
    PROPERTIES.get(number).map_or(INVARIANTS, |(name, _)| name)
}

impl Run {
    fn worker(&self) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            let is_done = self.lines.iter().all(|line| line.captures.load(Ordering::Relaxed) >= self.wanted);
            if is_done || seed >= self.last {
                return;
            }
            self.seed(seed);
        }
    }

    fn seed(&self, seed: u64) {
        let Ok(played) = catch_unwind(|| Played::new(story::capture(seed))) else {
            self.lines[PROPERTIES.len()].failures.fetch_add(1, Ordering::Relaxed);
            self.failures.lock().entry(PROPERTIES.len()).or_default().push(seed);
            return;
        };
        self.reach.note(&played.told);
        for (number, line) in self.lines.iter().enumerate() {
            if line.captures.load(Ordering::Relaxed) >= self.wanted {
                continue;
            }
            let verdict = guarded(|| check(number, &played, seed));
            match verdict {
                Verdict::Useless => {}
                Verdict::Holds(events) => {
                    line.captures.fetch_add(1, Ordering::Relaxed);
                    line.events.fetch_add(events, Ordering::Relaxed);
                }
                Verdict::Fails(_) => {
                    line.captures.fetch_add(1, Ordering::Relaxed);
                    line.failures.fetch_add(1, Ordering::Relaxed);
                    self.failures.lock().entry(number).or_default().push(seed);
                }
            }
        }
    }
}

fn check(number: usize, played: &Played, seed: u64) -> Verdict {
    if number < PROPERTIES.len() { verdict(number, played, seed) } else { invariants_of(played) }
}

/// The smallest capture that still fails, and how.
fn failure(number: usize, seed: u64) -> String {
    let capture = story::capture(seed);
    let fails = |capture: &Capture| match guarded(|| check(number, &Played::new(capture.clone()), seed)) {
        Verdict::Fails(text) => Some(text),
        _ => None,
    };
    let (smallest, text) = shrink::shrink(capture, &fails);
    let users = smallest.users();
    format!("{}, seed {seed}:\n{text}users: {users:?}\nconfiguration:\n{}", name(number), smallest.shape.toml())
}

fn number(variable: &str, default: u64) -> u64 {
    match env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")),
        Err(_) => default,
    }
}

#[test]
fn what_means_nothing_changes_nothing() {
    let wanted = usize::try_from(number("RTALINK_PROPERTIES", 2_000)).unwrap();
    let first = number("RTALINK_PROPERTIES_SEED", 1);
    let begun = Instant::now();
    // A property that hardly any capture is of use to ends somewhere.
    let last = if wanted == 1 { first + 1 } else { first + 20 * wanted as u64 };
    let run = Run {
        wanted,
        next: AtomicU64::new(first),
        last,
        lines: (0..=PROPERTIES.len()).map(|_| Line::default()).collect(),
        reach: Reach::default(),
        failures: parking_lot::Mutex::default(),
    };
    std::panic::set_hook(Box::new(|panic| PANIC.with_borrow_mut(|last| *last = panic.to_string())));
    thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(|| run.worker()))));
    let table = table(&run, first, begun);
    let failures = run.failures.lock().clone();
    let mut text = String::new();
    for (number, seeds) in &failures {
        let mut seeds = seeds.clone();
        seeds.sort_unstable();
        let named: Vec<String> = seeds.iter().take(NAMED).map(ToString::to_string).collect();
        let _ = writeln!(text, "\n{} of {} fail, seeds {} …", seeds.len(), wanted, named.join(" "));
        let _ = writeln!(text, "{}", failure(*number, seeds[0]));
    }
    drop(std::panic::take_hook());
    // Past what the test harness captures: a test that compares nothing is to be seen.
    let _ = std::io::stderr().write_all(table.as_bytes());
    assert!(text.is_empty(), "{text}");
    if wanted >= 2_000 {
        for (number, line) in run.lines.iter().enumerate() {
            assert!(line.captures.load(Ordering::Relaxed) >= wanted, "too few captures for {}", name(number));
        }
        run.reach.assert();
    }
}

fn table(run: &Run, first: u64, begun: Instant) -> String {
    let seeds = run.next.load(Ordering::Relaxed) - first;
    let mut text = format!("properties of {seeds} seeds from {first} on, {:.1} s\n", begun.elapsed().as_secs_f64());
    let _ = writeln!(text, "  {:<40} {:>8} {:>10} {:>8}", "property", "captures", "events", "failures");
    for (number, line) in run.lines.iter().enumerate() {
        let [captures, events, failures] =
            [&line.captures, &line.events, &line.failures].map(|count| count.load(Ordering::Relaxed));
        let _ = writeln!(text, "  {:<40} {captures:>8} {events:>10} {failures:>8}", name(number));
    }
    text + &run.reach.table()
}
