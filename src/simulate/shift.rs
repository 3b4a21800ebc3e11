//! A seeded shift: who is logged in, and what everybody is doing at a given time.
//!
//! A discrete-event simulation with one generator per agent, so that an agent's day depends on the seed and hardly on how
//! often it is observed. The first agent of the roster is present throughout: a feed whose snapshots end when a login id
//! repeats then has its boundary where the snapshot begins.

use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::time::Timestamp;

use super::agent::SimulatedAgent;
use super::life::{Life, Rules};
use super::roster;

/// What moves agents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drive {
    /// This many times the speed of real life, in which an ACD call takes four minutes. Of the logged-in agents, about 3 %
    /// change in 3 s at 1, 6 % at 2.
    Pace(f64),
    /// Exactly this share of the agents, 0 to 1, changes mode between two looks, for load tests: everybody is logged
    /// in throughout. Fractions of an agent add up.
    ChangeShare(f64),
}

/// How the shift begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShiftOpening {
    /// Four of five agents are in the middle of their shift, the others come within four hours.
    MidShift,
    /// Four of five agents log in within the first three minutes, the others within half an hour.
    ShiftStart,
}

/// What a shift is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct ShiftSettings {
    /// Number of agents.
    pub agents: usize,
    /// The same seed makes the same shift.
    pub seed: u64,
    /// When it begins.
    pub start: Timestamp,
    /// What moves agents.
    pub drive: Drive,
    /// How it begins; with [`Drive::ChangeShare`] everybody is there.
    pub opening: ShiftOpening,
    /// Agents log out for breaks.
    pub breaks_by_logout: bool,
    /// Every other agent is of the next ACD, and has the login id of the one before.
    pub two_acds: bool,
    /// Most characters of a login id; 10 where nothing narrows it.
    pub login_digits: usize,
    /// A mode that was left and entered again so soon counts as unchanged: a report in whole seconds could not show it
    /// reliably.
    pub clear_reentry: Duration,
}

/// Agents at work.
#[derive(Clone, Debug)]
pub struct Shift {
    agents: Vec<SimulatedAgent>,
    /// One per agent, in the same order.
    lives: Vec<Life>,
    drive: Drive,
    rules: Rules,
    now: Timestamp,
    /// For the shift as a whole: who changes under [`Drive::ChangeShare`].
    rng: ChaCha8Rng,
    /// Indices of agents; the first ones are drawn anew for every change.
    order: Vec<usize>,
    /// Fraction of an agent that is still to change.
    owed: f64,
}

impl Shift {
    /// Creates a shift at its beginning.
    pub fn new(settings: &ShiftSettings) -> Self {
        let rng_of = |stream: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
            rng.set_stream(stream);
            rng
        };
        let pace = match settings.drive {
            Drive::Pace(pace) => pace,
            Drive::ChangeShare(_) => 1.0,
        };
        let rules = Rules {
            pace,
            breaks_by_logout: settings.breaks_by_logout && matches!(settings.drive, Drive::Pace(_)),
            clear_reentry: settings.clear_reentry,
        };
        let make = |index: usize| {
            let mut rng = rng_of(index as u64 + 1);
            let mut agent = roster::agent(index, settings.login_digits, &mut rng, settings.start);
            let life = open(index, &mut agent, settings, &rules, rng);
            (agent, life)
        };
        let (mut agents, lives): (Vec<SimulatedAgent>, Vec<Life>) = (0..settings.agents).map(make).unzip();
        if settings.two_acds {
            for pair in agents.chunks_exact_mut(2) {
                pair[1].login_id = Arc::clone(&pair[0].login_id);
                pair[1].acd_offset = 1;
            }
        }
        Self {
            agents,
            lives,
            drive: settings.drive,
            rules,
            now: settings.start,
            rng: rng_of(0),
            order: (0..settings.agents).collect(),
            owed: 0.0,
        }
    }

    /// Returns everybody, logged in or not, always in the same order.
    pub fn agents(&self) -> &[SimulatedAgent] {
        &self.agents
    }

    /// Moves everybody on to that time; a time in the past changes nothing.
    pub fn advance_to(&mut self, time: Timestamp) {
        if time <= self.now {
            return;
        }
        match self.drive {
            Drive::Pace(_) => {
                for (agent, life) in self.agents.iter_mut().zip(&mut self.lives) {
                    life.live_until(agent, time, &self.rules);
                }
            }
            Drive::ChangeShare(share) => self.change_share(share, time),
        }
        self.now = time;
    }

    /// Lets `direct` say what the last agent of the roster is doing.
    pub(super) fn direct_last(&mut self, direct: impl FnOnce(&mut SimulatedAgent)) {
        if let Some(agent) = self.agents.last_mut() {
            direct(agent);
        }
    }

    /// Gives the agent other skills; the current call continues.
    pub fn reskill(&mut self, index: usize) {
        if let (Some(agent), Some(life)) = (self.agents.get_mut(index), self.lives.get_mut(index)) {
            agent.skills = roster::skills(&mut life.rng);
        }
    }

    fn change_share(&mut self, share: f64, time: Timestamp) {
        let count = self.agents.len();
        // The tiny addend keeps 0.05 x 500 from being 24.999….
        let due = self.owed + share.clamp(0.0, 1.0) * count as f64 + 1e-9;
        let changing = (due as usize).min(count);
        self.owed = due - changing as f64;
        let elapsed = time.since(self.now);
        for position in 0..changing {
            let drawn = self.rng.random_range(position..count);
            self.order.swap(position, drawn);
            let index = self.order[position];
            let at = time.minus(elapsed.mul_f64(self.rng.random_range(0.0..0.9)));
            self.lives[index].change_mode(&mut self.agents[index], at, &self.rules);
        }
    }
}

/// How many are present from beginning to end. With one alone, whose records follow each other, a listener cannot always
/// distinguish another refresh from a change in the same one.
const STAY: usize = 2;

/// Returns the agent's life from where the opening puts them.
fn open(
    index: usize,
    agent: &mut SimulatedAgent,
    settings: &ShiftSettings,
    rules: &Rules,
    mut rng: ChaCha8Rng,
) -> Life {
    let stays = index < STAY || matches!(settings.drive, Drive::ChangeShare(_));
    let is_early = index % 5 != 4;
    let login_in = match settings.opening {
        _ if stays => None,
        ShiftOpening::MidShift if is_early => None,
        ShiftOpening::MidShift => Some(0.0..4.0 * 3_600.0),
        ShiftOpening::ShiftStart if is_early => Some(0.0..179.0),
        ShiftOpening::ShiftStart => Some(181.0..1_800.0),
    };
    match login_in {
        None => Life::mid_shift(agent, settings.start, stays, rules, rng),
        Some(seconds) => {
            let wait = rng.random_range(seconds);
            Life::off_until(settings.start.plus(rules.on_the_wire(wait)), rng)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::states::Mode;

    fn settings(agents: usize, drive: Drive) -> ShiftSettings {
        ShiftSettings {
            agents,
            seed: 7,
            start: Timestamp::from_millis(1_767_600_000_000),
            drive,
            opening: ShiftOpening::MidShift,
            breaks_by_logout: false,
            two_acds: false,
            login_digits: 10,
            clear_reentry: Duration::from_secs(4),
        }
    }

    fn present(shift: &Shift) -> usize {
        shift.agents().iter().filter(|agent| agent.state.is_present()).count()
    }

    #[test]
    fn at_shift_start_four_of_five_are_logged_in_after_three_minutes() {
        for (pace, three_minutes) in [(1.0, Duration::from_secs(180)), (60.0, Duration::from_secs(3))] {
            let mut settings = settings(500, Drive::Pace(pace));
            settings.opening = ShiftOpening::ShiftStart;
            let mut shift = Shift::new(&settings);
            assert_eq!(present(&shift), STAY);
            shift.advance_to(settings.start.plus(three_minutes));
            assert_eq!(present(&shift), 400, "pace {pace}");
        }
    }

    #[test]
    fn the_share_of_changes_is_exact() {
        let settings = settings(500, Drive::ChangeShare(0.05));
        let mut shift = Shift::new(&settings);
        for refresh in 1..50 {
            let before: Vec<_> = shift.agents().iter().map(|agent| agent.state.mode).collect();
            shift.advance_to(settings.start.plus(Duration::from_secs(3 * refresh)));
            let changed = shift.agents().iter().zip(&before).filter(|(agent, mode)| agent.state.mode != **mode).count();
            assert_eq!((changed, present(&shift)), (25, 500));
        }
    }

    #[test]
    fn a_working_day_has_every_mode_and_ends() {
        let settings = settings(100, Drive::Pace(1.0));
        let mut shift = Shift::new(&settings);
        let mut seen = std::collections::HashSet::new();
        for minute in 1..=10 * 60 {
            shift.advance_to(settings.start.plus(Duration::from_secs(60 * minute)));
            seen.extend(shift.agents().iter().map(|agent| (agent.state.mode, agent.state.on_hold)));
        }
        for mode in [Mode::Other, Mode::Avail, Mode::Ring, Mode::Acd, Mode::Acw, Mode::Aux, Mode::Dacd, Mode::Dacw] {
            assert!(seen.contains(&(mode, false)), "{mode}");
        }
        assert!(seen.contains(&(Mode::Aux, true)));
        assert!(present(&shift) < 60);
        assert!(shift.agents()[0].state.is_present());
    }

    #[test]
    fn login_ids_are_unique_and_some_begin_with_zero() {
        for digits in [10, 6, 5] {
            let mut settings = settings(5_000, Drive::Pace(1.0));
            settings.login_digits = digits;
            let shift = Shift::new(&settings);
            let ids: std::collections::HashSet<_> = shift.agents().iter().map(|agent| &agent.login_id).collect();
            assert_eq!(ids.len(), 5_000, "{digits} digits");
            assert!(ids.iter().all(|id| id.len() <= digits));
            assert!(ids.iter().any(|id| id.starts_with('0')));
        }
    }
}
