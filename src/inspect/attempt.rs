//! What one way to take records apart comes to.

use std::collections::HashMap;

use crate::wire::encoding::Encoding;
use crate::wire::layout::{Framing, LayoutSpec};

use super::feed::{Feed, Line};
use super::finding::Finding;
use super::guess::{Guess, OwnWords};
use super::lines::OtherLines;
use super::profile::Profile;
use super::skills::Groups;
use super::state::StateGuess;
use super::steps::{Action, Step};
use super::style::Style;
use super::table::Table;

/// Below this a guess is a remark, not a column.
pub(super) const SURE_ENOUGH: f64 = 0.5;

/// What is the same in all attempts.
pub(super) struct Given<'g> {
    pub(super) feed: &'g Feed,
    pub(super) lines: &'g [Line<'g>],
    pub(super) framing: &'g Framing,
    pub(super) encoding: Encoding,
    pub(super) steps: &'g [Step],
}

/// What came of an attempt.
pub(super) struct Attempt<'g> {
    pub(super) style: Finding<Style>,
    pub(super) table: Table<'g>,
    pub(super) others: Vec<OtherLines>,
    pub(super) profiles: HashMap<usize, Profile>,
    pub(super) login: Option<Guess>,
    pub(super) state: Option<StateGuess>,
    pub(super) guesses: Vec<Guess>,
    pub(super) groups: Option<Groups>,
    pub(super) words: OwnWords,
    /// Minutes ahead of UTC of local times.
    pub(super) zone: Option<i64>,
    pub(super) seen: Vec<(Action, Option<Action>, Option<Vec<String>>)>,
    /// How many columns there are before the groups.
    pub(super) width: usize,
    pub(super) spec: Option<LayoutSpec>,
    /// How good it is; of several attempts the best one counts.
    pub(super) score: f64,
}

impl Attempt<'_> {
    /// Returns what a column is taken for, if that is sure enough.
    pub(super) fn column(&self, index: usize) -> Option<&Guess> {
        let login = self.login.as_ref().filter(|login| login.index == index);
        login.or_else(|| self.guesses.iter().find(|guess| guess.index == index && guess.confidence >= SURE_ENOUGH))
    }
}
