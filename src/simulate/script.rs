//! An agent who goes through the states on purpose, so that somebody can find out what a feed calls them.

use std::fmt::Write as _;
use std::time::Duration;

use crate::time::Timestamp;
use crate::wire::states::{Direction, Mode};

use super::agent::{SimulatedAgent, SimulatedState};

/// What one agent does, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    steps: Vec<ScriptedStep>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ScriptedStep {
    at: Timestamp,
    name: String,
    state: SimulatedState,
    /// The agent works for the first of their skills.
    has_split: bool,
}

/// Steps with what they lead to: mode, direction, on hold, AUX reason, whether a call makes it a split's.
type Scene = (&'static str, Mode, Direction, bool, u32, bool);

/// What an agent does who goes through all that CMS can show: AUX 0 after the log-in, a call that is held and consulted about,
/// the reasons, a call out, a direct call.
const SCENES: [Scene; 24] = [
    ("login", Mode::Aux, Direction::None, false, 0, false),
    ("aux 0", Mode::Aux, Direction::None, false, 0, false),
    ("available", Mode::Avail, Direction::None, false, 0, false),
    ("ring", Mode::Ring, Direction::None, false, 0, true),
    ("call in", Mode::Acd, Direction::In, false, 0, true),
    ("hold", Mode::Other, Direction::None, true, 0, true),
    ("call out", Mode::Aux, Direction::Out, true, 0, true),
    ("call in", Mode::Acd, Direction::In, false, 0, true),
    ("acw", Mode::Acw, Direction::None, false, 0, true),
    ("aux 1", Mode::Aux, Direction::None, false, 1, false),
    ("aux 2", Mode::Aux, Direction::None, false, 2, false),
    ("aux 3", Mode::Aux, Direction::None, false, 3, false),
    ("aux 4", Mode::Aux, Direction::None, false, 4, false),
    ("aux 5", Mode::Aux, Direction::None, false, 5, false),
    ("aux 6", Mode::Aux, Direction::None, false, 6, false),
    ("aux 7", Mode::Aux, Direction::None, false, 7, false),
    ("aux 8", Mode::Aux, Direction::None, false, 8, false),
    ("aux 9", Mode::Aux, Direction::None, false, 9, false),
    ("call out", Mode::Aux, Direction::Out, false, 9, false),
    ("available", Mode::Avail, Direction::None, false, 0, false),
    ("direct call", Mode::Dacd, Direction::In, false, 0, true),
    ("direct acw", Mode::Dacw, Direction::None, false, 0, true),
    ("aux 1", Mode::Aux, Direction::None, false, 1, false),
    ("logout", Mode::Unstaff, Direction::None, false, 0, false),
];

impl Script {
    /// Returns all steps, the first one at that time, each so much later than the one before.
    pub fn through_all(start: Timestamp, each: Duration) -> Self {
        let mut steps: Vec<ScriptedStep> = Vec::new();
        let mut at = start;
        for (name, mode, direction, on_hold, aux_reason, has_split) in SCENES {
            let runs_on = steps.last().filter(|last| last.state.mode == mode && last.state.direction == direction);
            let since = runs_on.map_or(at, |last| last.state.since);
            let state = SimulatedState { mode, direction, on_hold, aux_reason, work_split: None, since };
            steps.push(ScriptedStep { at, name: name.to_owned(), state, has_split });
            at = at.plus(each);
        }
        Self { steps }
    }

    /// Returns how many steps there are.
    pub fn len() -> u32 {
        24
    }

    /// Puts the agent into the state that the script has for that time.
    pub(super) fn play(&self, agent: &mut SimulatedAgent, at: Timestamp) {
        let step = self.steps.iter().rev().find(|step| step.at <= at);
        agent.state = step.map_or_else(
            || {
                SimulatedState::logged_out(
                    self.steps.first().map_or(at, |first| first.at.minus(Duration::from_secs(60))),
                )
            },
            |step| SimulatedState {
                work_split: agent.skills.first().filter(|_| step.has_split).map(|skill| skill.skill),
                ..step.state
            },
        );
    }

    /// Returns the steps as `rtalink inspect --steps` reads them.
    pub fn to_csv(&self, login_id: &str) -> String {
        let mut csv = String::from("time,login_id,step\n");
        for step in &self.steps {
            // Writing to a string cannot fail.
            let _ = writeln!(csv, "{},{login_id},{}", step.at, step.name);
        }
        csv
    }
}
