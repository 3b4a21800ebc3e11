//! A wall clock that is set back and forth while a feed is read: how an engine handles the edges.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use crate::config;
use crate::config::mapping as mapping_files;
use crate::time::Timestamp;
use crate::time::steady::Steady;
use crate::tracker::event::{AgentEvent, Cause, StatusKind};
use crate::wire::framing::{Piece, Run};
use crate::wire::plan::Plan;

use super::{Engine, Finding};

const AGENTS: usize = 4;
const MODES: [&str; 3] = ["AVAIL", "ACD", "AUX"];
const HOUR: i64 = 3_600;

/// What happens until the next snapshot.
#[derive(Clone, Debug)]
struct Step {
    /// Without a record, in seconds.
    passes: u32,
    /// The wall clock is set by so many seconds.
    set_by: i64,
    /// The agent who changes.
    agent: usize,
    mode: usize,
}

fn step(set_by: impl Strategy<Value = i64>) -> impl Strategy<Value = Step> {
    let passes = prop_oneof![9 => Just(3_u32), 1 => 100_u32..200];
    (passes, set_by, 0..AGENTS, 0..MODES.len()).prop_map(|(passes, set_by, agent, mode)| Step {
        passes,
        set_by,
        agent,
        mode,
    })
}

struct Played {
    events: Vec<AgentEvent>,
    stale: usize,
    restored: usize,
}

/// A real clock, a wall clock, and how a worker uses them: seconds pass one by one, and timers run at each.
fn play(steps: &[Step]) -> Played {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let config = config::load(&root.join("rtalink.toml"), []).config.unwrap();
    let integration = config.integrations.iter().find(|integration| &*integration.id == "timed").unwrap();
    let plan = Plan::compile(&integration.realtime.as_ref().unwrap().layout, &integration.time_zone).unwrap();
    let tables = Arc::new(mapping_files::read(&integration.mapping).unwrap());
    let mut engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), tables);
    let begin = Instant::now();
    let (mut steady, mut wall) = (Steady::new(), Timestamp::from_millis(1_800_000_000_000));
    let mut elapsed = 0_u32;
    let mut found = Vec::new();
    engine.open(1, &"peer".into(), steady.now(wall, begin), &mut found);
    let mut since = [0_u32; AGENTS];
    let mut modes = [0; AGENTS];
    for step in steps {
        wall = Timestamp::from_micros(wall.as_micros() + step.set_by * 1_000_000);
        for _ in 0..step.passes {
            elapsed += 1;
            wall = wall.plus(Duration::from_secs(1));
            engine.tick(steady.now(wall, begin + Duration::from_secs(elapsed.into())), &mut found);
        }
        if modes[step.agent] != step.mode {
            modes[step.agent] = step.mode;
            since[step.agent] = elapsed;
        }
        let row = |agent: usize| format!("{agent}|{}|||{}||\n", MODES[modes[agent]], elapsed - since[agent]);
        let text: String = (0..AGENTS).map(row).chain(["END\n".to_owned()]).collect();
        let piece = Piece::Records(Run { bytes: text.into(), offset: 0 });
        let at = steady.now(wall, begin + Duration::from_secs(elapsed.into()));
        engine.tick(at, &mut found);
        engine.receive(1, &plan, &piece, at, &mut found);
    }
    let mut played = Played { events: Vec::new(), stale: 0, restored: 0 };
    for finding in found {
        match finding {
            Finding::Event(event, _) => played.events.push(*event),
            Finding::Status(status) => match status.event.kind {
                StatusKind::Stale => played.stale += 1,
                StatusKind::Restored { .. } => played.restored += 1,
                _ => {}
            },
            _ => {}
        }
    }
    played
}

/// How often agents really changed, their first sights included.
fn changes(steps: &[Step]) -> usize {
    let mut modes = [0; AGENTS];
    let mut count = 0;
    for (number, step) in steps.iter().enumerate() {
        let is_new = std::mem::replace(&mut modes[step.agent], step.mode) != step.mode;
        count += usize::from(is_new && number > 0);
    }
    count + if steps.is_empty() { 0 } else { AGENTS }
}

fn check_order(events: &[AgentEvent]) -> Result<(), TestCaseError> {
    let mut last: HashMap<Arc<str>, (u64, Timestamp, Timestamp)> = HashMap::new();
    for event in events {
        let now = (event.sequence, event.state_since, event.observed_at);
        let (sequence, since, observed_at) = last.insert(Arc::clone(&event.login_id), now).unwrap_or_default();
        prop_assert_eq!(event.sequence, sequence + 1);
        prop_assert!(event.state_since >= since && event.observed_at >= observed_at, "{:?}", event);
        prop_assert!(event.state_since <= event.observed_at);
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config { rng_seed: RngSeed::Fixed(11), cases: 100, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_the_clock_does_sequences_and_times_keep_their_order(
        steps in proptest::collection::vec(step(prop_oneof![4 => Just(0), 1 => -2 * HOUR..2 * HOUR]), 0..40),
    ) {
        let played = play(&steps);
        check_order(&played.events)?;
        let silences = steps.iter().filter(|step| step.passes > 3 || step.set_by > 0).count();
        prop_assert!(played.stale <= silences, "{} times stale", played.stale);
    }

    #[test]
    fn a_clock_that_is_only_set_back_makes_no_events_and_stops_no_timer(
        steps in proptest::collection::vec(step(prop_oneof![4 => Just(0), 1 => -2 * HOUR..0]), 0..40),
    ) {
        let played = play(&steps);
        check_order(&played.events)?;
        prop_assert!(played.events.iter().all(|event| event.cause != Cause::Reentered));
        prop_assert_eq!(played.events.len(), changes(&steps));
        // 100 s are more than twice 30 s; the first record ends no silence that counts as a gap.
        let silences = steps.iter().filter(|step| step.passes > 3).count();
        prop_assert_eq!(played.stale, silences);
        prop_assert!(played.restored <= silences);
    }
}
