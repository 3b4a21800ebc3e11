//! Plays a capture through a fresh engine, as `replay` does, over restarts too.

use std::collections::BTreeMap;
use std::sync::Arc;

use rtalink::capture::{CaptureEntry, Happening};
use rtalink::contract::saved;
use rtalink::engine::replay::Replay;
use rtalink::engine::{Engine, Finding};
use rtalink::mapping::annotate::Published;
use rtalink::time::Timestamp;
use rtalink::tracker::saved::{SavedAgent, SavedFeed};
use rtalink::tracker::status::Totals;

use super::capture::{Act, Capture, Step};
use super::shape::Compiled;

/// Of the feed, and of its agents with what was last published of them.
pub(crate) type Memories = (SavedFeed, Vec<(SavedAgent, Option<Published>)>);

/// What came of it.
pub(crate) struct Told {
    /// By step, what came up to it; the last is the end of the capture.
    pub(crate) by_step: Vec<Vec<Finding>>,
    pub(crate) totals: Totals,
    /// What would be remembered at the end.
    pub(crate) memories: Memories,
    /// How late the feed was, at most, around each step.
    pub(crate) delays: Vec<std::time::Duration>,
    /// The link was down when the process died.
    pub(crate) died_while_down: bool,
}

/// How a capture is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) decodes_everything: bool,
    /// A restart knows what was said to have changed, not what was there.
    pub(crate) from_changes: bool,
    /// No call finds more than one thing.
    pub(crate) in_shares: bool,
}

type Agents = BTreeMap<(u32, Arc<str>), (SavedAgent, Option<Published>)>;

struct Process<'a> {
    compiled: &'a Compiled,
    how: How,
    replay: Replay,
    stored: Agents,
}

impl Process<'_> {
    fn note_changes(&mut self) {
        let engine = self.replay.engine_mut();
        for index in engine.take_changed() {
            let (saved, published) = engine.saved(index);
            self.stored.insert((saved.acd, saved.login_id.clone()), (saved, published));
        }
    }

    fn restart(&mut self, at: Timestamp, out: &mut Vec<Finding>) {
        // Time passes up to here, with all that is due.
        self.replay.play(&CaptureEntry { at, connection: u64::MAX, happening: Happening::Close }, out);
        self.note_changes();
        let engine = self.replay.engine();
        let feed = saved::decode_feed(&saved::encode_feed(&engine.saved_feed()));
        let feed = feed.unwrap_or_else(|error| panic!("a feed does not come back: {error}"));
        let agents: Vec<_> = if self.how.from_changes {
            self.stored.values().cloned().collect()
        } else {
            engine.tracker().table().indices().map(|index| engine.saved(index)).collect()
        };
        let agents = agents.into_iter().map(|(agent, published)| {
            let bytes = saved::encode_agent(&agent, published.as_ref(), None);
            let read = saved::decode_agent(&bytes).unwrap_or_else(|error| panic!("{agent:?}: {error}"));
            (read.agent, read.published)
        });
        let agents: Vec<_> = agents.collect();
        self.replay = start(self.compiled, self.how);
        let engine = self.replay.engine_mut();
        engine.restore(agents, &feed);
        engine.remap_outdated(at, out);
        engine.tick(at, out);
    }
}

fn start(compiled: &Compiled, how: How) -> Replay {
    let Compiled { plan, settings, mapping } = compiled;
    let mut engine = Engine::new(settings.clone(), Arc::clone(plan), Arc::clone(mapping));
    if how.decodes_everything {
        engine.decode_everything();
    }
    if how.in_shares {
        engine.set_most_findings(1);
    }
    Replay::new(engine, Arc::clone(plan), settings.thresholds.snapshot_idle)
}

pub(crate) fn play(capture: &Capture, compiled: &Compiled, how: How) -> Told {
    let replay = start(compiled, how);
    let mut process = Process { compiled, how, replay, stored: Agents::new() };
    let mut told = Told {
        by_step: Vec::new(),
        totals: Totals::default(),
        memories: Default::default(),
        delays: Vec::new(),
        died_while_down: false,
    };
    let mut delay = std::time::Duration::ZERO;
    for step in &capture.steps {
        let mut findings = Vec::new();
        match &step.act {
            Act::Restart => {
                told.died_while_down = process.replay.engine().tracker().link_is_down();
                process.restart(step.at, &mut findings);
            }
            Act::Break => {
                play_step(capture, step, &mut process.replay, &mut findings);
                process.replay.engine_mut().remap_outdated(step.at, &mut findings);
                process.replay.engine_mut().tick(step.at, &mut findings);
            }
            _ => play_step(capture, step, &mut process.replay, &mut findings),
        }
        while process.replay.engine().has_more() {
            process.replay.engine_mut().go_on(&mut findings);
        }
        if how.from_changes {
            process.note_changes();
        }
        told.by_step.push(findings);
        let now = process.replay.engine().saved_feed().delay;
        told.delays.push(delay.max(now));
        delay = now;
    }
    let mut findings = Vec::new();
    process.replay.finish(&mut findings);
    process.replay.engine_mut().settle(&mut findings);
    told.by_step.push(findings);
    told.delays.push(delay);
    let engine = process.replay.engine();
    told.totals = engine.totals();
    told.memories =
        (engine.saved_feed(), engine.tracker().table().indices().map(|index| engine.saved(index)).collect());
    told
}

fn play_step(capture: &Capture, step: &Step, replay: &mut Replay, findings: &mut Vec<Finding>) {
    if let Some(entry) = capture.entry(step) {
        replay.play(&entry, findings);
    }
}
