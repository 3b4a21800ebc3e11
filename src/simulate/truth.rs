//! The transitions that a listener can know of.
//!
//! Only snapshots count: several changes between two collapse, and what the layout does not show does not exist. A state left
//! and entered again shows where the layout says when states begin. A log-out by absence is dated to the first complete
//! snapshot without the agent and is listed once it is certain, so that the list is in the order of certainty, not of time. A
//! snapshot with garbage in it may fail to prove absences ([`Doubts`](super::doubt::Doubts)). Under [`SnapshotEnd::Repeat`] a
//! snapshot is complete when the next one begins; what waited for that is dropped when the connection breaks, as in the rules
//! of the tracker.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::time::Timestamp;
use crate::tracker::settings::SnapshotEnd;
use crate::wire::states::{Direction, Mode};

use super::agent::Skill;
use super::render::Visible;
use super::settings::Listener;

/// Why a transition is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TruthCause {
    /// First sight of an agent who was there already.
    Observed,
    /// First sight of an agent who was not there before.
    LoggedIn,
    /// Another state.
    Changed,
    /// The same state, left and entered again.
    Reentered,
    /// By absence or by a row.
    LoggedOut,
}

/// One transition; as JSON a line of the truth file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Time of the snapshot that shows it.
    #[serde(serialize_with = "display")]
    pub at: Timestamp,
    /// ACD number.
    pub acd: u32,
    /// The agent's login id.
    #[serde(serialize_with = "display")]
    pub login_id: Arc<str>,
    /// Why.
    pub cause: TruthCause,
    /// The new mode; UNSTAFF at a log-out.
    #[serde(serialize_with = "display")]
    pub mode: Mode,
    /// Direction of the call.
    #[serde(serialize_with = "direction_name")]
    pub direction: Direction,
    /// An ACD call waits on hold.
    pub on_hold: bool,
    /// In AUX, where the layout shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux_reason: Option<u32>,
    /// Work split, where the layout shows it; text in JSON.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "split_text")]
    pub work_split: Option<u32>,
    /// Where the layout shows them, in its order.
    pub skills: Vec<Skill>,
}

/// What a snapshot says of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// In this state, which began at that time.
    Present(Visible, Timestamp),
    /// A log-out row.
    LogoutRow,
    /// Nothing.
    Absent,
}

/// Finds the transitions between snapshots.
#[derive(Clone, Debug)]
pub struct Truths {
    listener: Listener,
    shows_start: bool,
    known: Vec<((u32, Arc<str>), Known)>,
    /// What waits for the end of the last snapshot; `None` once it has ended.
    waiting: Option<Ending>,
    /// A complete snapshot has proved who is absent.
    has_proof: bool,
    found: Vec<Truth>,
    counts: BTreeMap<TruthCause, u64>,
}

#[derive(Clone, Debug)]
enum Known {
    Never,
    LoggedIn { state: Visible, since: Timestamp, absent: Option<(Timestamp, u32)> },
    LoggedOut,
}

/// What the end of a snapshot decides.
#[derive(Clone, Debug)]
struct Ending {
    at: Timestamp,
    proves_absence: bool,
    waiting: Vec<Waiting>,
}

#[derive(Clone, Copy, Debug)]
enum Waiting {
    Reentered(usize, Timestamp),
    Absent(usize),
}

impl Truths {
    /// Creates one that has seen nothing of these agents; `shows_start`: whether records say when a state began.
    pub fn new(listener: Listener, shows_start: bool, people: impl Iterator<Item = (u32, Arc<str>)>) -> Self {
        Self {
            listener,
            shows_start,
            known: people.map(|person| (person, Known::Never)).collect(),
            waiting: None,
            has_proof: false,
            found: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Takes a snapshot that has arrived; sights are in the order of the agents. `proves_absence`: whether agents who are not
    /// in it are absent, once it is complete.
    pub fn observe(&mut self, at: Timestamp, sights: Vec<Sight>, proves_absence: bool) {
        self.complete();
        let mut waiting = Vec::new();
        for (index, sight) in sights.into_iter().enumerate() {
            let Some((_, known)) = self.known.get(index) else { continue };
            let first_sight = if self.has_proof { TruthCause::LoggedIn } else { TruthCause::Observed };
            let cause = match (known, &sight) {
                (Known::Never, Sight::Present(..)) => first_sight,
                (Known::LoggedOut, Sight::Present(..)) => TruthCause::LoggedIn,
                (Known::LoggedIn { state, since, .. }, Sight::Present(seen, began)) => {
                    if !same_state(state, seen, self.listener.details) {
                        TruthCause::Changed
                    } else {
                        if self.shows_start && began != since {
                            waiting.push(Waiting::Reentered(index, *began));
                        }
                        self.still_there(index);
                        continue;
                    }
                }
                (Known::LoggedIn { .. }, Sight::LogoutRow) => TruthCause::LoggedOut,
                (Known::LoggedIn { .. }, Sight::Absent) => {
                    waiting.push(Waiting::Absent(index));
                    continue;
                }
                (Known::Never | Known::LoggedOut, Sight::LogoutRow | Sight::Absent) => continue,
            };
            match sight {
                Sight::Present(state, since) => {
                    self.list(at, index, cause, Some(&state));
                    self.known[index].1 = Known::LoggedIn { state, since, absent: None };
                }
                Sight::LogoutRow | Sight::Absent => self.log_out(at, index),
            }
        }
        self.waiting = Some(Ending { at, proves_absence, waiting });
        if self.listener.snapshot_end != SnapshotEnd::Repeat {
            self.complete();
        }
    }

    /// The connection broke: what waits for the end of the last snapshot is dropped.
    pub fn torn(&mut self) {
        self.waiting = None;
    }

    /// Whether such a snapshot says something that waits for its end, so that it should not be torn.
    pub fn would_wait(&self, sights: &[Sight]) -> bool {
        self.known.iter().zip(sights).any(|((_, known), sight)| match (known, sight) {
            (Known::LoggedIn { .. }, Sight::Absent) => true,
            (Known::LoggedIn { since, state, .. }, Sight::Present(seen, began)) => {
                self.shows_start && began != since && same_state(state, seen, self.listener.details)
            }
            (Known::Never, Sight::Present(..)) => !self.has_proof,
            _ => false,
        })
    }

    /// Whether such a snapshot lacks an agent who is not known to be logged out.
    pub fn would_miss(&self, sights: &[Sight]) -> bool {
        let is_missed =
            |(known, sight): (&Known, &Sight)| matches!((known, sight), (Known::LoggedIn { .. }, Sight::Absent));
        self.known.iter().map(|(_, known)| known).zip(sights).any(is_missed)
    }

    /// Takes what has been found since the last call.
    pub fn take(&mut self) -> Vec<Truth> {
        std::mem::take(&mut self.found)
    }

    /// Returns how many transitions have been found of each cause.
    pub fn counts(&self) -> &BTreeMap<TruthCause, u64> {
        &self.counts
    }

    /// The last snapshot has ended.
    fn complete(&mut self) {
        let Some(Ending { at, proves_absence, waiting }) = self.waiting.take() else { return };
        self.has_proof |= proves_absence;
        for wait in waiting {
            match wait {
                Waiting::Reentered(index, began) => {
                    let Some((_, Known::LoggedIn { state, since, .. })) = self.known.get_mut(index) else { continue };
                    *since = began;
                    let state = state.clone();
                    self.list(at, index, TruthCause::Reentered, Some(&state));
                }
                Waiting::Absent(index) if proves_absence => {
                    let Some((_, Known::LoggedIn { absent, .. })) = self.known.get_mut(index) else { continue };
                    let (first, times) = absent.map_or((at, 1), |(first, times)| (first, times + 1));
                    *absent = Some((first, times));
                    if times >= self.listener.logout_after {
                        self.log_out(first, index);
                    }
                }
                Waiting::Absent(_) => {}
            }
        }
    }

    fn still_there(&mut self, index: usize) {
        if let Known::LoggedIn { absent, .. } = &mut self.known[index].1 {
            *absent = None;
        }
    }

    fn log_out(&mut self, at: Timestamp, index: usize) {
        self.known[index].1 = Known::LoggedOut;
        self.list(at, index, TruthCause::LoggedOut, None);
    }

    fn list(&mut self, at: Timestamp, index: usize, cause: TruthCause, state: Option<&Visible>) {
        *self.counts.entry(cause).or_default() += 1;
        self.found.push(Truth {
            at,
            acd: self.known[index].0.0,
            login_id: Arc::clone(&self.known[index].0.1),
            cause,
            mode: state.map_or(Mode::Unstaff, |state| state.mode),
            direction: state.map_or(Direction::None, |state| state.direction),
            on_hold: state.is_some_and(|state| state.on_hold),
            aux_reason: state.and_then(|state| state.aux_reason),
            work_split: state.and_then(|state| state.work_split),
            skills: state.map(|state| state.skills.clone()).unwrap_or_default(),
        });
    }
}

/// Whether the state is the same by rule 1 of the tracker; with details the split and the set of skills count.
fn same_state(one: &Visible, other: &Visible, details: bool) -> bool {
    let key = |state: &Visible| (state.mode, state.direction, state.on_hold, state.aux_reason, state.raw);
    let sorted = |state: &Visible| {
        let mut skills = state.skills.clone();
        skills.sort_unstable();
        skills
    };
    key(one) == key(other) && (!details || (one.work_split == other.work_split && sorted(one) == sorted(other)))
}

fn display<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

fn split_text<S: Serializer>(split: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    split.map(|split| split.to_string()).serialize(serializer)
}

fn direction_name<S: Serializer>(direction: &Direction, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(direction.name())
}

#[cfg(test)]
#[path = "truth_tests.rs"]
mod tests;
