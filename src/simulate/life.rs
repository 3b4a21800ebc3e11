//! One agent's way through the shift: what the report does not show.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::time::Timestamp;

use super::agent::{SimulatedAgent, SimulatedState};
use super::behaviour::{Situation, Stage};

/// What holds for every agent of a shift.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The pace: how many times the speed of real life.
    pub(super) pace: f64,
    /// Breaks are log-outs.
    pub(super) breaks_by_logout: bool,
    /// See [`super::shift::ShiftSettings::clear_reentry`].
    pub(super) clear_reentry: Duration,
}

impl Rules {
    /// Converts seconds of a shift to time on the wire.
    pub(super) fn on_the_wire(&self, seconds: f64) -> Duration {
        Duration::try_from_secs_f64(seconds / self.pace).unwrap_or(Duration::MAX).max(Timestamp::STEP)
    }
}

/// An agent's stage and when it ends.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) rng: ChaCha8Rng,
    stage: Stage,
    /// When the next stage begins.
    until: Timestamp,
    /// When the agent goes home; `None` for one who stays throughout.
    shift_end: Option<Timestamp>,
    stays: bool,
}

impl Life {
    /// Creates a life that is logged out until then.
    pub(super) fn off_until(until: Timestamp, rng: ChaCha8Rng) -> Self {
        Self { rng, stage: Stage::Off, until, shift_end: None, stays: false }
    }

    /// Creates a life in the middle of a shift; one that stays never logs out.
    pub(super) fn mid_shift(
        agent: &mut SimulatedAgent,
        start: Timestamp,
        stays: bool,
        rules: &Rules,
        rng: ChaCha8Rng,
    ) -> Self {
        let mut life = Self { rng, stage: Stage::Off, until: start, shift_end: None, stays };
        let hours_left = life.rng.random_range(0.1..8.0);
        if !stays {
            life.shift_end = Some(start.plus(rules.on_the_wire(hours_left * 3_600.0)));
        }
        let at_work = Situation { skills: &agent.skills, shift_is_over: false, breaks_by_logout: false };
        let stage = Stage::mid_shift(at_work, &mut life.rng);
        let seconds = stage.seconds(&mut life.rng);
        let began = start.minus(rules.on_the_wire(life.rng.random_range(0.0..1.0) * seconds));
        life.enter(agent, stage, began);
        life.until = began.plus(rules.on_the_wire(seconds)).max(start.plus(Timestamp::STEP));
        life
    }

    /// Plays everything that happens to the agent until that time.
    pub(super) fn live_until(&mut self, agent: &mut SimulatedAgent, time: Timestamp, rules: &Rules) {
        let before = agent.state;
        while self.until <= time {
            let at = self.until;
            let stage = self.next_stage(agent, at, rules);
            self.enter(agent, stage, at);
            let seconds = stage.seconds(&mut self.rng);
            self.until = at.plus(rules.on_the_wire(seconds));
        }
        let moved = agent.state.since.since(before.since);
        if agent.state.mode == before.mode && moved < rules.clear_reentry {
            agent.state.since = before.since;
        }
    }

    /// Moves on to the next stage that shows as another mode, at that time, without a log-out.
    pub(super) fn change_mode(&mut self, agent: &mut SimulatedAgent, at: Timestamp, rules: &Rules) {
        let before = agent.state.mode;
        while agent.state.mode == before {
            let stage = self.next_stage(agent, at, rules);
            self.enter(agent, stage, at);
        }
    }

    fn next_stage(&mut self, agent: &SimulatedAgent, at: Timestamp, rules: &Rules) -> Stage {
        let situation = Situation {
            skills: &agent.skills,
            shift_is_over: self.shift_end.is_some_and(|end| end <= at),
            breaks_by_logout: rules.breaks_by_logout && !self.stays,
        };
        let stage = self.stage.next(situation, &mut self.rng);
        if self.stage == Stage::Off && !self.stays {
            let hours = self.rng.random_range(6.0..9.0);
            self.shift_end = Some(at.plus(rules.on_the_wire(hours * 3_600.0)));
        }
        stage
    }

    fn enter(&mut self, agent: &mut SimulatedAgent, stage: Stage, at: Timestamp) {
        self.stage = stage;
        let (mode, direction, on_hold, aux_reason, work_split) = stage.report();
        let before = agent.state;
        let runs_on = before.mode == mode && before.direction == direction && before.is_present();
        let since = if runs_on { before.since } else { at };
        agent.state = SimulatedState { mode, direction, on_hold, aux_reason, work_split, since };
    }
}
