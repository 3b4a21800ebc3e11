//! The tracker, inside the engine: arbitrary records of arbitrary layouts at arbitrary times, over connections that come and
//! go, with mappings, thresholds and layouts that change and processes that die.
//!
//! * nothing panics;
//! * the same input gives the same findings, and so do its bytes cut into other reads of the same moments;
//! * a record that is taken without being decoded has the effect that it has decoded: on findings, totals and memories;
//! * sequences of an agent have no hole, over restarts too;
//! * `stateSince` never goes back, and is never later than now;
//! * `previous` is what was published last; REENTERED and REMAPPED have the same state, no other cause has;
//! * who is logged in is counted right;
//! * every event and every feed status can be encoded;
//! * what is remembered of an agent comes back from the store's bytes as it was, and who is to be saved again is said to
//!   have changed.
#![no_main]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rtalink::capture::{CaptureEntry, Happening};
use rtalink::config;
use rtalink::config::mapping as mapping_files;
use rtalink::config::model::{Config, Format, Integration};
use rtalink::contract::saved;
use rtalink::engine::replay::Replay;
use rtalink::engine::{Engine, Finding};
use rtalink::kafka::encode::Encoder;
use rtalink::mapping::annotate::Published;
use rtalink::mapping::files;
use rtalink::mapping::tables::{Activity, IdentifyBy, MappingTables};
use rtalink::time::Timestamp;
use rtalink::tracker::event::{AgentEvent, Cause};
use rtalink::tracker::saved::SavedAgent;
use rtalink::tracker::settings::{FeedMode, Fixed, ShortStates, SnapshotEnd, Thresholds, TrackerSettings, WhenSilent};
use rtalink::wire::framing::{Piece, Run};
use rtalink::wire::layout::LayoutSpec;
use rtalink::wire::plan::Plan;
use rtalink::wire::states::Mode;
use rtalink_fuzz::{chunks, feed, layout};

#[derive(Clone, Debug)]
enum Step {
    Entry(CaptureEntry),
    Mapping(usize),
    Thresholds(Thresholds),
    /// Records cut by another layout, on the connection that speaks.
    OtherLayout(Vec<u8>),
    /// The process dies, and another one has its store.
    Restart,
}

/// What is played.
struct Play {
    settings: TrackerSettings,
    plan: Arc<Plan>,
    other: Arc<Plan>,
    mapping: Arc<MappingTables>,
    steps: Vec<Step>,
}

/// An agent as it was last published.
struct Seen {
    sequence: u64,
    last: AgentEvent,
}

type Key = (u32, Arc<str>);
type Memory = (SavedAgent, Option<Published>);

/// A process with its store.
struct Player<'a> {
    play: &'a Play,
    /// Without the shortcut for unchanged records.
    decodes_everything: bool,
    replay: Replay,
    now: Timestamp,
    seen: HashMap<Key, Seen>,
    stored: BTreeMap<Key, Memory>,
    encoder: Encoder,
    findings: Vec<Finding>,
    text: String,
}

static SCENARIOS: LazyLock<(Config, HashMap<Arc<str>, Arc<MappingTables>>)> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let config = config::load(&root.join("rtalink.toml"), []).config.unwrap_or_else(|| panic!("no configuration"));
    let tables = config.integrations.iter().map(|integration| {
        let tables = mapping_files::read(&integration.mapping).unwrap_or_else(|problems| panic!("{problems:?}"));
        (integration.id.clone(), Arc::new(MappingTables { version: 1, ..tables }))
    });
    (config.clone(), tables.collect())
});

/// Mappings to change between: nobody, some by login id, some by name.
static MAPPINGS: LazyLock<[Arc<MappingTables>; 3]> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let read = |name: &str| fs::read(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let users = files::parse_users(&read("users.csv"), "UTC").map(|users| users.rows).unwrap_or_default();
    let activities =
        files::parse_activities(&read("activities.csv")).map(|activities| activities.rows).unwrap_or_default();
    let present = Arc::new(Activity { activity_id: "1".to_owned(), activity_name: "Present".to_owned() });
    let tables = |version, identify_by, is_empty: bool| {
        Arc::new(MappingTables {
            version,
            identify_by,
            users: if is_empty { HashMap::new() } else { users.clone() },
            scoped: Default::default(),
            names: Default::default(),
            activities: if is_empty { HashMap::new() } else { activities.clone() },
            default_activity: present.clone(),
        })
    };
    [tables(1, IdentifyBy::LoginId, true), tables(2, IdentifyBy::LoginId, false), tables(3, IdentifyBy::Name, false)]
});

fn start(play: &Play, decodes_everything: bool) -> Replay {
    let mut engine = Engine::new(play.settings.clone(), Arc::clone(&play.plan), Arc::clone(&play.mapping));
    if decodes_everything {
        engine.decode_everything();
    }
    Replay::new(engine, Arc::clone(&play.plan), play.settings.thresholds.snapshot_idle.max(Duration::from_millis(1)))
}

impl<'a> Player<'a> {
    fn new(play: &'a Play, decodes_everything: bool) -> Self {
        Self {
            replay: start(play, decodes_everything),
            play,
            decodes_everything,
            now: Timestamp::from_micros(i64::MIN),
            seen: HashMap::new(),
            stored: BTreeMap::new(),
            encoder: Encoder::new("fuzz".into(), Format::Json),
            findings: Vec::new(),
            text: String::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Entry(entry) => {
                self.now = self.now.max(entry.at);
                self.replay.play(entry, &mut self.findings);
            }
            Step::Mapping(index) => {
                let tables = Arc::clone(&MAPPINGS[*index]);
                if tables.identify_by == self.play.mapping.identify_by {
                    self.replay.engine_mut().set_mapping(tables, self.now, &mut self.findings);
                }
            }
            Step::Thresholds(thresholds) => self.replay.engine_mut().set_thresholds(*thresholds),
            Step::OtherLayout(bytes) => {
                let piece = Piece::Records(Run { bytes: Bytes::from(bytes.clone()), offset: 0 });
                let engine = self.replay.engine_mut();
                let Some(id) = (1..=50).find(|id| engine.session().speaks(*id)) else { return };
                engine.receive(id, &self.play.other, &piece, self.now, &mut self.findings);
            }
            Step::Restart => self.restart(),
        }
        self.conclude();
    }

    fn restart(&mut self) {
        let feed = saved::decode_feed(&saved::encode_feed(&self.replay.engine().saved_feed()));
        let feed = feed.unwrap_or_else(|error| panic!("a feed does not come back: {error}"));
        let agents: Vec<Memory> = all(self.replay.engine()).map(|(_, memory)| memory).collect();
        self.replay = start(self.play, self.decodes_everything);
        self.replay.engine_mut().restore(agents.iter().map(from_store), &feed);
        let restored: BTreeMap<Key, Memory> = all(self.replay.engine()).collect();
        for (mut agent, published) in agents {
            // In the last complete snapshot, by a record that could not be read: after a restart that counts as seen.
            if agent.known.as_ref().is_some_and(|known| known.is_logged_in()) && agent.absence.is_none() {
                agent.last_seen = feed.seen_at.map_or(agent.last_seen, |seen_at| seen_at.max(agent.last_seen));
                agent.state_seen = agent.state_seen.map(|seen| feed.seen_at.map_or(seen, |seen_at| seen_at.max(seen)));
            }
            let found = &restored[&(agent.acd, agent.login_id.clone())];
            assert_eq!(found, &(agent, published), "restored otherwise");
        }
        if self.now > Timestamp::from_micros(i64::MIN) {
            self.replay.engine_mut().remap_outdated(self.now, &mut self.findings);
            self.replay.engine_mut().tick(self.now, &mut self.findings);
        }
    }

    fn conclude(&mut self) {
        for finding in std::mem::take(&mut self.findings) {
            self.text += &format!("{finding:?}\n");
            match finding {
                Finding::Event(event, annotation) => {
                    let message = self.encoder.event_message(&event, &annotation, None);
                    assert!(message.is_ok(), "{:?} of {event:?}", message.err());
                    self.event(*event);
                }
                Finding::Status(status) => {
                    let message = self.encoder.status_message(&status);
                    assert!(message.is_ok(), "{:?} of {status:?}", message.err());
                }
                Finding::DeadLetter(_) | Finding::Snapshot(_) | Finding::Close(..) | Finding::Probe(_) => {}
            }
        }
        let engine = self.replay.engine_mut();
        for index in engine.take_changed() {
            let (saved, published) = engine.saved(index);
            self.stored.insert((saved.acd, saved.login_id.clone()), (saved, published));
        }
        self.look_at_memories();
    }

    fn event(&mut self, event: AgentEvent) {
        let key = (event.acd, event.login_id.clone());
        assert!(event.state_since <= self.now.max(event.observed_at), "since later than now: {event:?}");
        let is_same = event.previous.as_ref().is_some_and(|previous| previous.state.is_same(&event.state));
        assert_eq!(is_same, matches!(event.cause, Cause::Reentered | Cause::Remapped), "{event:?}");
        if let Some(previous) = &event.previous {
            assert!(event.state_since >= previous.state_since, "since goes back: {event:?}");
        }
        let before = self.seen.get(&key);
        assert_eq!(event.sequence, before.map_or(0, |before| before.sequence) + 1, "a hole before {event:?}");
        if let Some(Seen { last, .. }) = before {
            let previous = event.previous.as_ref().unwrap_or_else(|| panic!("no previous: {event:?}"));
            assert_eq!(
                (&previous.state, previous.state_since),
                (&last.state, last.state_since),
                "another previous: {event:?}"
            );
        }
        self.seen.insert(key, Seen { sequence: event.sequence, last: event });
    }

    fn look_at_memories(&self) {
        let engine = self.replay.engine();
        let mut logged_in = 0;
        let live: BTreeMap<Key, Memory> = all(engine).collect();
        for (key, live) in &live {
            logged_in += usize::from(live.0.known.as_ref().is_some_and(|known| known.is_logged_in()));
            let (saved, published) = from_store(live);
            assert_eq!((&saved, &published), (&live.0, &live.1), "does not come back from the store");
            let is_snapshot_mode = self.play.settings.fixed.mode == FeedMode::Snapshot;
            let stored = self.stored.get(key).unwrap_or_else(|| panic!("{key:?} was never said to be there"));
            assert_eq!(settled(&stored.0, is_snapshot_mode), settled(&live.0, is_snapshot_mode), "changed in silence");
            assert_eq!(stored.1, live.1, "mapped otherwise in silence");
        }
        assert_eq!(logged_in, engine.tracker().table().logged_in());
    }
}

fn all(engine: &Engine) -> impl Iterator<Item = (Key, Memory)> {
    engine.tracker().table().indices().map(|index| {
        let (saved, published) = engine.saved(index);
        ((saved.acd, saved.login_id.clone()), (saved, published))
    })
}

fn from_store((agent, published): &Memory) -> Memory {
    let bytes = saved::encode_agent(agent, published.as_ref(), None);
    let stored = saved::decode_agent(&bytes).unwrap_or_else(|error| panic!("{agent:?} does not come back: {error}"));
    (stored.agent, stored.published)
}

/// Less what may move without being stored.
fn settled(saved: &SavedAgent, is_snapshot_mode: bool) -> SavedAgent {
    let last_seen = if is_snapshot_mode { Timestamp::default() } else { saved.last_seen };
    let moves = |at: Option<Timestamp>| at.map(|_| Timestamp::default());
    SavedAgent { last_seen, start: moves(saved.start), state_seen: moves(saved.state_seen), ..saved.clone() }
}

fn settings(u: &mut Unstructured<'_>, layout: &LayoutSpec, plan: &Plan) -> Result<TrackerSettings> {
    let duration = |u: &mut Unstructured<'_>| -> Result<Duration> {
        Ok(Duration::from_millis(*u.choose(&[500, 1, 2_000, 10_000, 30_000, 86_400_000])?))
    };
    let mode = *u.choose(&[FeedMode::Snapshot, FeedMode::Snapshot, FeedMode::Delta, FeedMode::Event])?;
    let end = *u.choose(&[SnapshotEnd::Repeat, SnapshotEnd::Idle, SnapshotEnd::Marker])?;
    Ok(TrackerSettings {
        fixed: Fixed {
            acd: u.int_in_range(1..=2)?,
            details: u.arbitrary()?,
            // As `config` has it: rows need an end of their own, and are refused in mode event.
            mode: if plan.merges_rows() && mode == FeedMode::Event { FeedMode::Snapshot } else { mode },
            snapshot_end: match end {
                SnapshotEnd::Marker if layout.marker.is_none() => SnapshotEnd::Idle,
                SnapshotEnd::Repeat if plan.merges_rows() => SnapshotEnd::Idle,
                end => end,
            },
        },
        thresholds: Thresholds {
            snapshot_idle: duration(u)?,
            shortest_refresh: if u.arbitrary()? { duration(u)? } else { Duration::ZERO },
            logout_after: u.int_in_range(1..=3)?,
            restart_tolerance: duration(u)?,
            stale_after: duration(u)?,
            when_silent: if u.arbitrary()? { WhenSilent::Stale } else { WhenSilent::Empty },
            empty_below: u.int_in_range(0..=6)?,
            unknown_after: if u.arbitrary()? { Some(duration(u)?) } else { None },
            short_states: if u.arbitrary()? {
                ShortStates::default().with(Mode::Other, duration(u)?).with(Mode::Unknown, duration(u)?)
            } else {
                ShortStates::default()
            },
            logout_hold: if u.arbitrary()? { duration(u)? } else { Duration::ZERO },
        },
    })
}

fn steps(u: &mut Unstructured<'_>, layout: &LayoutSpec, other: &LayoutSpec, plan: &Plan) -> Result<Vec<Step>> {
    let mut at = Timestamp::from_millis(*u.choose(&[
        1_767_600_000_000,
        1_767_600_000_000,
        1_767_600_000_000,
        0,
        -62_135_596_800_000,
        253_402_300_799_000,
    ])?);
    let mut steps = Vec::new();
    let mut report = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        report.push(feed::record(u, layout)?);
    }
    let end = feed::end(layout);
    while !u.is_empty() && steps.len() < 40 {
        let millis = *u.choose(&[0, 1, 100, 499, 500, 3_000, 3_000, 3_000, 31_000, 3_600_000, 4_000_000_000])?;
        at = at.plus(Duration::from_millis(millis));
        let connection = u64::from(u.ratio(1_u8, 8_u8)?);
        let entry = |happening| Step::Entry(CaptureEntry { at, connection, happening });
        steps.push(match u.int_in_range(0..=23)? {
            0 => entry(Happening::Open { peer: "10.1.2.3:40000".to_owned(), encoding: None }),
            1 => entry(Happening::Close),
            2 => Step::Mapping(u.choose_index(MAPPINGS.len())?),
            3 => Step::Thresholds(settings(u, layout, plan)?.thresholds),
            4 => Step::Restart,
            5 => Step::OtherLayout(feed::records(u, other, 3)?),
            6 | 7 => entry(Happening::Data(feed::records(u, layout, 4)?)),
            8 | 9 if report.len() < 30 => {
                report.push(feed::record(u, layout)?);
                continue;
            }
            // The report once more: most agents as they were, one changed, some left out.
            _ => {
                let left_out: u32 = if u.ratio(1_u8, 3_u8)? { u.arbitrary()? } else { 0 };
                if u.ratio(1_u8, 2_u8)? {
                    let changed = u.choose_index(report.len())?;
                    report[changed] = feed::record(u, layout)?;
                }
                let mut bytes = Vec::new();
                for (number, record) in report.iter().enumerate() {
                    if left_out >> number & 1 == 0 {
                        bytes.extend_from_slice(record);
                        bytes.extend_from_slice(end);
                    }
                }
                if layout.marker.is_some() && u.ratio(3_u8, 4_u8)? {
                    bytes.extend_from_slice(b"END");
                    bytes.extend_from_slice(end);
                }
                entry(Happening::Data(bytes))
            }
        });
    }
    Ok(steps)
}

/// Plays everything; what came out, and what would be remembered, as text.
fn run_through(play: &Play, steps: &[Step], decodes_everything: bool) -> String {
    let mut player = Player::new(play, decodes_everything);
    steps.iter().for_each(|step| player.step(step));
    player.replay.finish(&mut player.findings);
    player.conclude();
    let engine = player.replay.engine();
    let memories: Vec<Memory> = all(engine).map(|(_, memory)| memory).collect();
    player.text + &format!("{:?}\n{:?}\n{memories:?}\n", engine.totals(), engine.saved_feed())
}

fn check(play: &Play, u: &mut Unstructured<'_>) -> Result<()> {
    let first = run_through(play, &play.steps, false);
    assert_eq!(first, run_through(play, &play.steps, false), "the same input gives something else");
    assert_eq!(
        first,
        run_through(play, &play.steps, true),
        "unchanged records do something else when they are decoded"
    );
    let mut cut = Vec::new();
    for step in &play.steps {
        match step {
            Step::Entry(CaptureEntry { at, connection, happening: Happening::Data(bytes) }) => {
                let pieces = chunks(u, bytes)?.into_iter().map(|piece| Happening::Data(piece.to_vec()));
                let entry = |happening| Step::Entry(CaptureEntry { at: *at, connection: *connection, happening });
                // No bytes at all are heard of, too.
                if bytes.is_empty() { cut.push(step.clone()) } else { cut.extend(pieces.map(entry)) }
            }
            _ => cut.push(step.clone()),
        }
    }
    assert_eq!(first, run_through(play, &cut, false), "other reads of the same moments give something else");
    Ok(())
}

/// A seed: the id of an integration of `tests/scenarios`, and a capture.
fn scenario(input: &[u8]) -> Option<Play> {
    let text = std::str::from_utf8(input).ok()?;
    let (id, capture) = text.strip_prefix('@')?.split_once('\n')?;
    let (config, mappings) = &*SCENARIOS;
    let Integration { realtime, settings, time_zone, .. } =
        config.integrations.iter().find(|integration| *integration.id == *id)?;
    let layout = &realtime.as_ref()?.layout;
    let plan = Plan::compile(layout, time_zone).ok()?;
    let entries = capture.lines().filter_map(|line| match line.contains("\"restart\":true") {
        true => Some(Step::Restart),
        false => CaptureEntry::parse(line, layout.encoding).ok().map(Step::Entry),
    });
    let steps = entries.take(60).collect();
    Some(Play { settings: settings.clone(), other: plan.clone(), plan, mapping: mappings[id].clone(), steps })
}

fn run(input: &[u8]) -> Result<()> {
    if let Some(play) = scenario(input) {
        return check(&play, &mut Unstructured::new(input));
    }
    let mut u = Unstructured::new(input);
    let layout = layout::arbitrary(&mut u)?;
    let other = if u.arbitrary()? { layout.clone() } else { layout::arbitrary(&mut u)? };
    let zone = u.choose(&layout::ZONES)?;
    let (Ok(plan), Ok(other_plan)) = (Plan::compile(&layout, zone), Plan::compile(&other, zone)) else { return Ok(()) };
    if other_plan.merges_rows() != plan.merges_rows() {
        // What ends a snapshot depends on it, and a reload does not change that.
        return Ok(());
    }
    let settings = settings(&mut u, &layout, &plan)?;
    let mapping = Arc::clone(u.choose(&*MAPPINGS)?);
    let steps = steps(&mut u, &layout, &other, &plan)?;
    check(&Play { settings, plan, other: other_plan, mapping, steps }, &mut Unstructured::new(input))
}

fuzz_target!(|input: &[u8]| {
    // An input that is used up says nothing.
    let _ = run(input);
});
