//! Layouts drawn at random, found again from their feeds alone: how often, and where not.
//!
//! A feed of ten minutes is recorded, inspected, and decoded twice, with the layout that it was written in and with the one
//! that was found. Both must say the same of every record. For the table of 200 seeds, and every miss with its reason:
//!
//! ```text
//! cargo test --release --no-default-features --lib two_hundred -- --ignored --nocapture
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::capture::{CaptureEntry, Happening};
use crate::inspect::{Feed, Inspection, Step, inspect, parse_steps};
use crate::simulate::recording::Recording;
use crate::simulate::script::Script;
use crate::time::Timestamp;
use crate::wire::decode::Decoder;
use crate::wire::framing::{Framer, Piece};
use crate::wire::lines::LineKind;
use crate::wire::plan::Plan;

const START: Timestamp = Timestamp::from_millis(1_767_603_600_000);
const DURATION: std::time::Duration = std::time::Duration::from_secs(600);
const REFRESH: std::time::Duration = std::time::Duration::from_secs(5);
const AGENTS: usize = 40;

/// A feed of a random layout, and what somebody did in it.
struct Played {
    random: RandomLayout,
    entries: Vec<CaptureEntry>,
    steps: Vec<Step>,
}

fn play(seed: u64) -> Played {
    let random = RandomLayout::draw(seed);
    let mut settings = random.feed();
    settings.agents = AGENTS;
    settings.refresh = REFRESH;
    settings.seed = seed;
    let script =
        Script::through_all(START.plus(std::time::Duration::from_secs(31)), std::time::Duration::from_secs(22));
    settings.script = Some(script.clone());
    let mut recording = Recording::new(&settings, START, DURATION).unwrap();
    let mut entries = Vec::new();
    while let Some(mut next) = recording.refresh() {
        entries.append(&mut next);
    }
    let login_id = recording.stream().feed().agents().last().unwrap().login_id.to_string();
    Played { random, entries, steps: parse_steps(&script.to_csv(&login_id)).unwrap() }
}

/// What a layout makes of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Skipped,
    Marker,
    Invalid(String),
    Record(Vec<(&'static str, String)>),
}

/// Returns what the layout makes of every line, by its place.
fn decode(entries: &[CaptureEntry], spec: &LayoutSpec, time_zone: &str) -> BTreeMap<u64, Said> {
    let plan = Plan::compile(spec, time_zone).unwrap();
    let mut framer = Framer::default();
    let mut buffer = bytes::BytesMut::new();
    let mut decoder = Decoder::default();
    let mut said = BTreeMap::new();
    for entry in entries {
        let Happening::Data(bytes) = &entry.happening else { continue };
        buffer.extend_from_slice(bytes);
        while let Some(piece) = framer.next(plan.ends(), &mut buffer) {
            let Piece::Records(run) = piece else { continue };
            for frame in plan.ends().records(&run) {
                let line = match plan.lines().classify(frame.bytes) {
                    LineKind::Marker => Said::Marker,
                    LineKind::Skipped => Said::Skipped,
                    LineKind::Record => match decoder.decode(&plan, frame.bytes, entry.at) {
                        Ok(decoded) => Said::Record(fields(&decoded.record)),
                        Err(reason) => Said::Invalid(reason.to_string()),
                    },
                };
                said.insert(frame.offset, line);
            }
        }
    }
    said
}

fn fields(record: &crate::wire::record::Record<'_>) -> Vec<(&'static str, String)> {
    let is_aux = record.mode == crate::wire::states::Mode::Aux;
    let skills: Vec<_> = record.skills.iter().map(|skill| (skill.skill.text().into_owned(), skill.level)).collect();
    vec![
        ("login_id", record.login_id.to_owned()),
        ("state", record.raw_state.text().into_owned()),
        ("mode", record.mode.to_string()),
        ("direction", record.direction.name().to_owned()),
        ("hold", (record.on_hold == Some(true)).to_string()),
        ("reason", format!("{:?}", record.aux_reason.filter(|_| is_aux))),
        ("split", format!("{:?}", record.work_split.map(|split| split.text().into_owned()))),
        ("skills", format!("{skills:?}")),
        ("duration", format!("{:?}", record.times.duration)),
        ("timestamp", format!("{:?}", record.times.timestamp)),
        ("state_start", format!("{:?}", record.times.state_start)),
    ]
}

/// How a found layout compares with the true one.
#[derive(Clone, Debug, Default)]
struct Verdict {
    framing: bool,
    fields: bool,
    login: bool,
    state: bool,
    marker: bool,
    whole: bool,
    /// Every value is where it was, whatever it stands for.
    alike: bool,
    /// What differs first, and how often each field does.
    why: String,
}

fn judge(played: &Played, steps: &[Step]) -> Verdict {
    let mut feed = Feed::default();
    played.entries.iter().for_each(|entry| feed.take(entry));
    let found = match inspect(&feed, steps) {
        Ok(found) => found,
        Err(error) => return Verdict { why: error.to_string(), ..Verdict::default() },
    };
    let truth = decode(&played.entries, &played.random.spec, &played.random.time_zone);
    let framing_of = |spec: &LayoutSpec| decode(&played.entries, spec, "UTC").into_keys().collect::<Vec<_>>();
    let Some(layout) = &found.layout else {
        let told: Vec<String> =
            found.columns.iter().map(|column| format!("{}={}", column.number, column.field)).collect();
        return Verdict {
            why: format!("no layout; {:?}, columns {}", found.fields.value, told.join(" ")),
            ..Verdict::default()
        };
    };
    let zone = found.time_zone.as_ref().map_or("UTC", |zone| zone.value.as_str());
    let guess = decode(&played.entries, layout, zone);
    let mut verdict =
        Verdict { framing: framing_of(layout) == truth.keys().copied().collect::<Vec<_>>(), ..Verdict::default() };
    compare(&truth, &guess, &mut verdict);
    verdict.fields = same_fields(&played.random.spec, layout) || verdict.alike;
    if !verdict.whole {
        let _ = write!(verdict.why, " | zone {zone} for {}", played.random.time_zone);
    }
    verdict
}

/// Whether fields are told apart in the same way; single blanks are blanks.
fn same_fields(truth: &LayoutSpec, guess: &LayoutSpec) -> bool {
    let blank =
        |fields: FieldStyle| if fields == FieldStyle::Separator(b' ') { FieldStyle::Whitespace } else { fields };
    truth.fields == blank(guess.fields)
}

fn compare(truth: &BTreeMap<u64, Said>, guess: &BTreeMap<u64, Said>, verdict: &mut Verdict) {
    let mut differing: BTreeMap<&'static str, (usize, String)> = BTreeMap::new();
    let mut differ = |field: &'static str, example: String| {
        differing.entry(field).or_insert_with(|| (0, example)).0 += 1;
    };
    for (offset, line) in truth {
        match (line, guess.get(offset)) {
            (Said::Record(true_fields), Some(Said::Record(found_fields))) => {
                for ((name, was), (_, is)) in true_fields.iter().zip(found_fields) {
                    if was != is {
                        differ(name, format!("{was} read as {is}"));
                    }
                }
            }
            (Said::Record(_), other) => differ("record", format!("read as {other:?}")),
            (Said::Marker, Some(Said::Marker)) => {}
            (Said::Marker, other) => differ("marker", format!("read as {other:?}")),
            (_, Some(Said::Marker)) => differ("marker", "another line read as one".to_owned()),
            (_, Some(Said::Record(_))) => differ("record", "another line read as one".to_owned()),
            _ => {}
        }
    }
    let is_same =
        |names: &[&str]| !names.iter().any(|name| differing.contains_key(name)) && !differing.contains_key("record");
    verdict.login = is_same(&["login_id"]);
    verdict.state = is_same(&["state"]);
    verdict.alike = is_same(&["login_id", "state", "split", "skills", "duration", "timestamp", "state_start"]);
    verdict.marker = is_same(&["marker"]);
    verdict.whole = differing.keys().all(|name| matches!(*name, "marker" | "state"));
    let told: Vec<String> =
        differing.iter().map(|(name, (count, example))| format!("{name} in {count}, {example}")).collect();
    verdict.why = told.join("; ");
}

/// Both verdicts about one seed, without and with steps, and what was drawn.
struct Outcome {
    seed: u64,
    random: RandomLayout,
    has_other_letters: bool,
    without: Verdict,
    with: Verdict,
}

fn outcome(seed: u64) -> Outcome {
    let played = play(seed);
    let has_other_letters = played.entries.iter().any(|entry| match &entry.happening {
        Happening::Data(bytes) => !bytes.is_ascii(),
        Happening::Open { .. } | Happening::Close => false,
    });
    let (without, with) = (judge(&played, &[]), judge(&played, &played.steps));
    Outcome { seed, random: played.random, has_other_letters, without, with }
}

fn outcomes(seeds: std::ops::Range<u64>) -> Vec<Outcome> {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = outcome(seed);
                    found.lock().unwrap().push(outcome);
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|outcome| outcome.seed);
    found
}

/// Figures over all seeds, and every miss.
fn told(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    let all = outcomes.len();
    let mut row = |what: &str, counts: &dyn Fn(&Outcome) -> bool, of: &dyn Fn(&Outcome) -> bool| {
        let whole = outcomes.iter().filter(|outcome| of(outcome)).count();
        let part = outcomes.iter().filter(|outcome| of(outcome) && counts(outcome)).count();
        let _ =
            writeln!(text, "{what:<58} {part:>4} of {whole:>4}  {:5.1} %", part as f64 * 100.0 / whole.max(1) as f64);
    };
    let every = |_: &Outcome| true;
    let builtin = |outcome: &Outcome| outcome.random.has_builtin_states;
    row("drawn: fixed width", &|o| o.random.spec.fields.is_fixed(), &every);
    row("drawn: states of the site's own", &|o| !o.random.has_builtin_states, &every);
    row("drawn: groups of skills", &|o| o.random.spec.skills.is_some(), &every);
    row("drawn: text beyond ASCII", &|o| o.has_other_letters, &every);
    row("framing", &|o| o.without.framing, &every);
    row("separator or fixed width", &|o| o.without.fields, &every);
    row("login id, without steps", &|o| o.without.login, &every);
    row("state column, without steps", &|o| o.without.state, &every);
    row("marker, without steps", &|o| o.without.marker, &every);
    row("whole layout, without steps, states of a built-in table", &|o| o.without.whole, &builtin);
    row("whole layout, without steps, states of the site's own", &|o| o.without.whole, &|o| !builtin(o));
    row("framing, with steps", &|o| o.with.framing, &every);
    row("login id, with steps", &|o| o.with.login, &every);
    row("state column, with steps", &|o| o.with.state, &every);
    row("whole layout, with steps", &|o| o.with.whole, &every);
    let _ = writeln!(text, "{all} seeds");
    for outcome in outcomes {
        let misses = [("without steps", &outcome.without, builtin(outcome)), ("with steps", &outcome.with, true)];
        for (how, verdict, is_asked) in misses {
            let has_all = verdict.framing && verdict.fields && verdict.login && verdict.state && verdict.marker;
            if !has_all || (is_asked && !verdict.whole) {
                let _ = writeln!(
                    text,
                    "seed {} {how}: {}",
                    outcome.seed,
                    verdict.why.chars().take(400).collect::<String>()
                );
            }
        }
    }
    text
}

/// Seeds that are inspected in each run of the tests.
const FEW: std::ops::Range<u64> = 1..21;

#[test]
fn twenty_random_layouts_are_found_again() {
    let outcomes = outcomes(FEW);
    let text = told(&outcomes);
    let count = |holds: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| holds(outcome)).count();
    assert_eq!(count(&|o| o.with.framing && o.with.fields), 20, "\n{text}");
    assert_eq!(count(&|o| o.without.login && o.without.state), 20, "\n{text}");
    assert_eq!(count(&|o| o.with.whole), 20, "\n{text}");
}

#[test]
#[ignore = "minutes: cargo test --no-default-features --lib two_hundred -- --ignored --nocapture"]
fn two_hundred_random_layouts_are_found_again() {
    let seeds = std::env::var("RTALINK_LAYOUTS").ok().and_then(|range| {
        let (from, to) = range.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    let outcomes = outcomes(seeds.unwrap_or(1..201));
    let text = told(&outcomes);
    println!("{text}");
    let share = |holds: &dyn Fn(&Outcome) -> bool, of: &dyn Fn(&Outcome) -> bool| {
        let all = outcomes.iter().filter(|outcome| of(outcome)).count();
        outcomes.iter().filter(|outcome| of(outcome) && holds(outcome)).count() as f64 / all.max(1) as f64
    };
    let every = |_: &Outcome| true;
    assert!(share(&|o| o.without.framing && o.without.fields, &every) >= 1.0);
    assert!(share(&|o| o.without.login && o.without.state, &every) >= 0.98);
    assert!(share(&|o| o.without.whole, &|o| o.random.has_builtin_states) >= 0.9);
    assert!(share(&|o| o.with.whole, &every) >= 0.98);
}

type Case<'a> = (&'a str, &'a dyn Fn(&RandomLayout) -> bool);

#[test]
fn at_least_a_third_of_the_layouts_is_difficult() {
    let drawn: Vec<RandomLayout> = (1..=1_000).map(RandomLayout::draw).collect();
    let share = |holds: &dyn Fn(&RandomLayout) -> bool| drawn.iter().filter(|random| holds(random)).count();
    let cases: [Case<'_>; 3] = [
        ("fixed width", &|random| random.spec.fields.is_fixed()),
        ("states of its own", &|random| !random.has_builtin_states),
        ("groups of skills", &|random| random.spec.skills.is_some()),
    ];
    for (what, holds) in cases {
        assert!(share(holds) >= 334, "{what}: {} of 1000", share(holds));
    }
}

#[test]
fn random_layouts_are_legal_and_are_read_as_they_are_written() {
    for seed in 1..=60 {
        let played = play(seed);
        let said = decode(&played.entries, &played.random.spec, &played.random.time_zone);
        let invalid = said.values().find(|said| matches!(said, Said::Invalid(_)));
        assert_eq!(invalid, None, "seed {seed}");
        assert!(said.values().filter(|said| matches!(said, Said::Record(_))).count() > 2_000, "seed {seed}");
        let markers = said.values().filter(|said| matches!(said, Said::Marker)).count();
        assert_eq!(markers, if played.random.spec.marker.is_some() { 120 } else { 0 }, "seed {seed}");
    }
}

/// For whoever looks into one seed: `RTALINK_LAYOUTS=17..18 cargo test --no-default-features --lib one_by_one -- --ignored --nocapture`.
#[test]
#[ignore = "prints what is asked for"]
fn one_by_one() {
    let range = std::env::var("RTALINK_LAYOUTS").unwrap_or_default();
    let Some((from, to)) = range.split_once("..") else { return };
    for seed in from.parse::<u64>().unwrap()..to.parse().unwrap() {
        let played = play(seed);
        println!("== seed {seed}, {} {:?}", played.random.time_zone, played.random.manner);
        println!(
            "{}",
            crate::inspect::text::layout("truth", &played.random.spec, &crate::inspect::text::Remarks::default())
        );
        let first = played.entries.iter().filter_map(|entry| match &entry.happening {
            Happening::Data(bytes) => Some(bytes),
            Happening::Open { .. } | Happening::Close => None,
        });
        for bytes in first.take(1) {
            println!("{}", crate::wire::escape::escape(&bytes[..bytes.len().min(1_500)]).replace("\\x0a", "\n"));
        }
        for (how, steps) in [("without", &[][..]), ("with", &played.steps)] {
            let mut feed = Feed::default();
            played.entries.iter().for_each(|entry| feed.take(entry));
            let told = |found: Inspection| {
                println!("-- {how} steps: {:?} {:?}", found.fields, found.framing);
                for column in &found.columns {
                    println!(
                        "   {:>2} {:?}+{:?} {} {:.2} {}",
                        column.number, column.at, column.width, column.field, column.confidence, column.evidence
                    );
                }
                println!("{:?}\n{}", found.skills, found.layout_text("found").unwrap_or_default());
            };
            match inspect(&feed, steps) {
                Ok(found) => told(found),
                Err(error) => println!("{error}"),
            }
            println!("{:?}", judge(&played, steps));
        }
    }
}
