//! Makes the agents of a contact centre.

use std::collections::HashSet;
use std::sync::Arc;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::time::Timestamp;

use super::agent::{SimulatedAgent, SimulatedState, Skill};
use super::stock;

/// Makes the agent with that index, logged out; `login_digits` is the most that the login id may have.
pub(super) fn agent(index: usize, login_digits: usize, rng: &mut ChaCha8Rng, start: Timestamp) -> SimulatedAgent {
    let login_id = login_id(index, login_digits, rng);
    let first = stock::FIRST_NAMES.choose(rng).copied().unwrap_or_default();
    let last = stock::LAST_NAMES.choose(rng).copied().unwrap_or_default();
    let extension = if index % 17 == 3 { format!("0{}", 1_000 + index) } else { format!("{}", 800_000 + index) };
    SimulatedAgent {
        login_id: Arc::from(login_id),
        acd_offset: 0,
        name: Arc::from(format!("{first} {last}")),
        extension: Arc::from(extension),
        location: stock::LOCATIONS.choose(rng).copied().unwrap_or_default(),
        role: stock::ROLES.choose(rng).copied().unwrap_or_default(),
        skills: skills(rng),
        state: SimulatedState::logged_out(start),
    }
}

/// Returns 1 to 8 different skills; one in ten levels is a reserve level.
pub(super) fn skills(rng: &mut ChaCha8Rng) -> Vec<Skill> {
    let wanted = rng.random_range(1..=8_usize);
    let mut taken = HashSet::new();
    let mut skills = Vec::with_capacity(wanted);
    while skills.len() < wanted {
        let skill = stock::SKILLS.choose(rng).copied().unwrap_or_default();
        if taken.insert(skill) {
            let reserve = rng.random_bool(0.1).then(|| stock::RESERVE_LEVELS.choose(rng).copied()).flatten();
            let level = reserve.unwrap_or_else(|| rng.random_range(1..=16));
            skills.push(Skill { skill, level });
        }
    }
    skills
}

/// Returns a login id, unique by its index: `004711` and the like for some, ten digits for some, six for most.
fn login_id(index: usize, digits: usize, rng: &mut ChaCha8Rng) -> String {
    let jitter = rng.random_range(0..3);
    let plain = format!("{}", 300_000 + 3 * index + jitter);
    let special = match index % 20 {
        7 => Some(format!("00{}", 4_711 + index / 20)),
        13 => Some(format!("49{:08}", 10_000_000 + index)),
        _ => None,
    };
    let fits = |id: &String| id.len() <= digits;
    special.filter(fits).or_else(|| Some(plain).filter(fits)).unwrap_or_else(|| format!("{index:0digits$}"))
}
