//! Feeds to measure with: snapshots in the shape of `cisco-icm-20`, the same for the same settings.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rtalink::engine::{Engine, Finding, Share};
use rtalink::mapping::annotate::Annotation;
use rtalink::time::Timestamp;
use rtalink::tracker::event::AgentEvent;
use rtalink::wire::framing::Piece;
use rtalink::wire::layout::{Column, ColumnSpec, LayoutSpec, builtin};
use rtalink::wire::plan::Plan;

use crate::engine;

/// First record of a feed: 2026-01-05T09:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_767_603_600_000);
/// Time between two snapshots.
pub(crate) const REFRESH: Duration = Duration::from_secs(3);
/// Findings that a worker takes at a time.
const SHARE: usize = 256;
/// Pairs of skill and level in a row, filled with zeros.
const PAIRS: usize = 20;

/// The column that every row has besides those of `cisco-icm-20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// None: an unchanged row repeats its bytes.
    Nothing,
    /// Seconds in the state.
    Duration,
    /// When the row was written, in UNIX seconds.
    Timestamp,
}

/// What a feed looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feed {
    /// Rows of a snapshot.
    pub(crate) agents: usize,
    /// Each agent has from 1 to so many skills, at most 20.
    pub(crate) skills: usize,
    /// Agents out of a hundred who are in another state than in the snapshot before.
    pub(crate) changes: usize,
    /// The further column.
    pub(crate) clock: Clock,
}

impl Feed {
    /// 10,000 agents with up to 6 skills, rows of some 118 bytes.
    pub(crate) const USUAL: Self = Self { agents: 10_000, skills: 6, changes: 0, clock: Clock::Nothing };
    /// 10,000 agents with 20 skills, rows of some 159 bytes.
    pub(crate) const WIDE: Self = Self { skills: PAIRS, ..Self::USUAL };

    /// Returns its layout.
    pub(crate) fn layout(&self) -> LayoutSpec {
        let mut layout = builtin::get("cisco-icm-20").unwrap();
        match self.clock {
            Clock::Nothing => {}
            Clock::Duration => layout.columns.push(ColumnSpec::plain(Column::Duration)),
            Clock::Timestamp => layout.columns.push(ColumnSpec::plain(Column::Timestamp)),
        }
        layout
    }

    /// Returns its layout, compiled.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        Plan::compile(&self.layout(), "UTC").unwrap()
    }

    /// Returns the snapshot of that number.
    pub(crate) fn snapshot(&self, number: usize) -> Bytes {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut text = String::with_capacity(self.agents * 180);
        for agent in 0..self.agents {
            // Whoever changes has changed with each snapshot so far.
            let turns = if agent * self.changes / 100 != (agent + 1) * self.changes / 100 { number } else { 0 };
            let state = if turns.is_multiple_of(2) { "20 0" } else { "32 0" };
            let split = 200 + agent % 300;
            write!(text, "{:07} {state} 0 0 {split} 0 1 {}", 100_000 + agent, 801_000 + agent).unwrap();
            match self.clock {
                Clock::Nothing => {}
                Clock::Duration => {
                    let since = if turns == 0 { agent % 600 + number * 3 } else { 1 };
                    write!(text, " {since}").unwrap();
                }
                Clock::Timestamp => write!(text, " {}", START.as_millis() / 1_000 + number as i64 * 3).unwrap(),
            }
            let skills = if self.skills == PAIRS { PAIRS } else { random.random_range(1..=self.skills) };
            for skill in 0..PAIRS {
                if skill < skills {
                    write!(text, " {} {}", 200 + (agent + skill) % 300, 1 + skill % 16).unwrap();
                } else {
                    text.push_str(" 0 0");
                }
            }
            text.push('\n');
        }
        Bytes::from(text)
    }

    /// Returns as many snapshots as it has before they repeat; a clock goes on for as many as there are.
    pub(crate) fn snapshots(&self) -> Vec<Bytes> {
        let count = if self.clock == Clock::Nothing { 2 } else { 8 };
        (0..count).map(|number| self.snapshot(number)).collect()
    }
}

/// An engine that is fed with one snapshot after the other.
pub(crate) struct Fed {
    pub(crate) engine: Engine,
    plan: Arc<Plan>,
    snapshots: Vec<Bytes>,
    taken: usize,
    findings: Vec<Finding>,
}

impl Fed {
    /// Has taken two snapshots, so that everybody is known.
    pub(crate) fn new(feed: &Feed, engine: Option<Engine>) -> Self {
        let plan = feed.plan();
        let mut engine = engine.unwrap_or_else(|| engine::engine(&plan, true));
        let mut findings = Vec::new();
        engine.open(1, &"cms".into(), START, &mut findings);
        let mut fed = Self { engine, plan, snapshots: feed.snapshots(), taken: 0, findings };
        fed.take();
        fed.take();
        fed
    }

    /// Takes the next snapshot.
    pub(crate) fn take(&mut self) {
        self.take_with(|_| {});
    }

    /// Takes the next snapshot. Returns its events with what the mapping says of them.
    pub(crate) fn events(&mut self) -> Vec<(Box<AgentEvent>, Box<Annotation>)> {
        let mut events = Vec::new();
        self.take_with(|findings| {
            events.extend(findings.iter().filter_map(|finding| match finding {
                Finding::Event(event, annotation) => Some((event.clone(), annotation.clone())),
                _ => None,
            }));
        });
        events
    }

    /// Takes the next snapshot in shares, as a worker does; `each` looks at what a share has led to.
    pub(crate) fn take_with(&mut self, mut each: impl FnMut(&[Finding])) {
        // A clock runs backwards when the snapshots begin anew: it costs the same.
        let snapshot = self.snapshots[self.taken % self.snapshots.len()].clone();
        let at = START.plus(REFRESH * u32::try_from(self.taken).unwrap());
        self.taken += 1;
        let share = Share { time: Duration::MAX, findings: SHARE };
        let mut piece = engine::piece(snapshot);
        loop {
            let rest = self.engine.receive_share(1, &self.plan, &piece, at, &share, &mut self.findings);
            each(&self.findings);
            self.findings.clear();
            let Some(rest) = rest else { break };
            piece = Piece::Records(rest);
        }
        assert_eq!(self.engine.totals().invalid, 0);
    }
}
