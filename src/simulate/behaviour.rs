//! What an agent does next, and for how long: the chances and times of a contact centre.
//!
//! Log-in, OTHER, AUX 0, AVAIL, then rounds of RING, ACD and ACW, broken by AUX with reasons, outbound AUX calls, AUX calls
//! with the ACD call on hold, and direct-agent calls, until the shift ends.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::wire::states::{Direction, Mode};

use super::agent::Skill;
use super::stock::{self, AuxReason};

/// Where an agent is in the round of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Logged out until the next shift.
    Off,
    /// Logged out for a break.
    Away,
    /// The moment after the log-in.
    LoggingIn,
    /// AUX 0, before the first call.
    Settling,
    /// Waiting for a call.
    Available,
    /// Dialling or picking a call: OTHER for a moment.
    Flicker,
    /// A call rings.
    Ringing {
        /// The split that the call came in.
        split: u32,
        /// A call for this agent only.
        direct: bool,
    },
    /// On an ACD call.
    Call(u32),
    /// Asks a colleague while the ACD call is on hold.
    Consulting(u32),
    /// After-call work.
    Wrap(u32),
    /// On a direct-agent call.
    DirectCall(u32),
    /// After a direct-agent call.
    DirectWrap(u32),
    /// AUX with a reason.
    Aux(u32),
    /// An outbound call in AUX.
    AuxCall(u32),
}

/// What an agent must know to choose.
#[derive(Clone, Copy)]
pub(super) struct Situation<'a> {
    /// The agent's skills; the work split is one of them.
    pub(super) skills: &'a [Skill],
    /// The agent leaves at the next opportunity.
    pub(super) shift_is_over: bool,
    /// Breaks are log-outs.
    pub(super) breaks_by_logout: bool,
}

impl Stage {
    /// Returns mode, direction, on hold, AUX reason and work split, as CMS reports the stage.
    pub(super) const fn report(self) -> (Mode, Direction, bool, u32, Option<u32>) {
        match self {
            Self::Off | Self::Away => (Mode::Unstaff, Direction::None, false, 0, None),
            Self::LoggingIn | Self::Flicker => (Mode::Other, Direction::None, false, 0, None),
            Self::Settling => (Mode::Aux, Direction::None, false, 0, None),
            Self::Available => (Mode::Avail, Direction::None, false, 0, None),
            Self::Ringing { split, .. } => (Mode::Ring, Direction::None, false, 0, Some(split)),
            Self::Call(split) => (Mode::Acd, Direction::In, false, 0, Some(split)),
            Self::Consulting(split) => (Mode::Aux, Direction::Out, true, 0, Some(split)),
            Self::Wrap(split) => (Mode::Acw, Direction::None, false, 0, Some(split)),
            Self::DirectCall(split) => (Mode::Dacd, Direction::In, false, 0, Some(split)),
            Self::DirectWrap(split) => (Mode::Dacw, Direction::None, false, 0, Some(split)),
            Self::Aux(reason) => (Mode::Aux, Direction::None, false, reason, None),
            Self::AuxCall(reason) => (Mode::Aux, Direction::Out, false, reason, None),
        }
    }

    /// Returns the stage after this one.
    pub(super) fn next(self, situation: Situation<'_>, rng: &mut ChaCha8Rng) -> Self {
        let percent = rng.random_range(0..100_u32);
        let may_leave = matches!(self, Self::Available | Self::Wrap(_) | Self::Aux(_) | Self::DirectWrap(_));
        if situation.shift_is_over && may_leave {
            return Self::Off;
        }
        match self {
            Self::Off | Self::Away => Self::LoggingIn,
            Self::LoggingIn => Self::Settling,
            Self::Settling | Self::Flicker | Self::DirectWrap(_) => Self::Available,
            Self::Available => match percent {
                0..84 => Self::Ringing { split: work_split(situation.skills, rng), direct: percent < 4 },
                84..92 => pause(situation, rng),
                92..96 => Self::AuxCall(0),
                _ => Self::Flicker,
            },
            Self::Ringing { .. } if percent < 6 => Self::Available,
            Self::Ringing { split, direct: true } => Self::DirectCall(split),
            Self::Ringing { split, direct: false } => Self::Call(split),
            Self::Call(split) => match percent {
                0..75 => Self::Wrap(split),
                75..92 => Self::Available,
                _ => Self::Consulting(split),
            },
            Self::Consulting(split) => Self::Call(split),
            Self::DirectCall(split) => Self::DirectWrap(split),
            Self::Wrap(_) if percent < 10 => pause(situation, rng),
            Self::Wrap(_) => Self::Available,
            Self::Aux(reason) => match percent {
                0..72 => Self::Available,
                72..86 => Self::AuxCall(reason),
                _ => pause(situation, rng),
            },
            Self::AuxCall(reason) if reason > 0 && percent < 60 => Self::Aux(reason),
            Self::AuxCall(_) => Self::Available,
        }
    }

    /// Returns how long the stage lasts at the pace of real life, in seconds.
    pub(super) fn seconds(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Off => rng.random_range(8.0..16.0) * 3_600.0,
            Self::Away => rng.random_range(180.0..900.0),
            Self::LoggingIn => rng.random_range(1.0..4.0),
            Self::Settling => rng.random_range(5.0..60.0),
            Self::Available => 2.0 + exponential(45.0, rng),
            Self::Flicker => rng.random_range(1.0..5.0),
            Self::Ringing { .. } => rng.random_range(2.0..12.0),
            Self::Call(_) => 15.0 + exponential(225.0, rng),
            Self::Consulting(_) => 10.0 + exponential(40.0, rng),
            Self::Wrap(_) => 3.0 + exponential(37.0, rng),
            Self::DirectCall(_) => 10.0 + exponential(110.0, rng),
            Self::DirectWrap(_) => 3.0 + exponential(20.0, rng),
            Self::Aux(reason) => {
                let known = stock::AUX_REASONS.iter().find(|row| row.reason == reason);
                20.0 + exponential(known.map_or(60.0, |row| row.mean), rng)
            }
            Self::AuxCall(_) => 10.0 + exponential(90.0, rng),
        }
    }

    /// Returns a stage in the middle of a shift, as likely as agents are found in it.
    pub(super) fn mid_shift(situation: Situation<'_>, rng: &mut ChaCha8Rng) -> Self {
        let split = work_split(situation.skills, rng);
        match rng.random_range(0..100_u32) {
            0..15 => Self::Available,
            15..17 => Self::Ringing { split, direct: false },
            17..60 => Self::Call(split),
            60..61 => Self::Consulting(split),
            61..72 => Self::Wrap(split),
            72..74 => Self::DirectCall(split),
            74..75 => Self::DirectWrap(split),
            75..78 => Self::AuxCall(0),
            _ => pause(situation, rng),
        }
    }
}

/// Returns AUX with some reason, or the log-out that replaces it.
fn pause(situation: Situation<'_>, rng: &mut ChaCha8Rng) -> Stage {
    let total: u32 = stock::AUX_REASONS.iter().map(|row| row.weight).sum();
    let mut left = rng.random_range(0..total);
    let chosen = stock::AUX_REASONS.iter().find(|row| {
        let found = left < row.weight;
        left = left.saturating_sub(row.weight);
        found
    });
    match chosen {
        Some(AuxReason { is_break: true, .. }) if situation.breaks_by_logout => Stage::Away,
        Some(row) => Stage::Aux(row.reason),
        None => Stage::Aux(1),
    }
}

fn work_split(skills: &[Skill], rng: &mut ChaCha8Rng) -> u32 {
    skills.choose(rng).map_or(0, |skill| skill.skill)
}

fn exponential(mean: f64, rng: &mut ChaCha8Rng) -> f64 {
    let uniform: f64 = rng.random_range(0.0..1.0);
    -(1.0 - uniform).ln() * mean
}
