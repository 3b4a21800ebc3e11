//! What a column may be, and what guesses are made from.

use std::collections::HashMap;

use crate::wire::column::Column;
use crate::wire::states::Direction;

use super::class::is_null;
use super::profile::{Profile, values};
use super::skills::Groups;
use super::state::StateGuess;
use super::steps::Seen;
use super::style::Style;
use super::table::Table;

/// What a column most likely is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Guess {
    pub(super) index: usize,
    pub(super) column: Column,
    pub(super) confidence: f64,
    pub(super) evidence: String,
    /// Spellings of null that only this column has.
    pub(super) null: Vec<String>,
    pub(super) format: Option<String>,
}

impl Guess {
    pub(super) fn new(index: usize, column: Column, confidence: f64, evidence: impl Into<String>) -> Self {
        Self {
            index,
            column,
            confidence: confidence.clamp(0.05, 0.99),
            evidence: evidence.into(),
            null: Vec::new(),
            format: None,
        }
    }
}

/// What is known by now.
pub(super) struct Known<'k, 'a> {
    pub(super) table: &'k Table<'a>,
    pub(super) profiles: &'k HashMap<usize, Profile>,
    pub(super) state: Option<&'k StateGuess>,
    pub(super) groups: Option<&'k Groups>,
    pub(super) skill_row: Option<usize>,
    pub(super) style: &'k Style,
    pub(super) seen: &'k [Seen<'a>],
    pub(super) titles: &'k HashMap<usize, Column>,
    pub(super) decode: &'k dyn Fn(&[u8]) -> String,
}

/// Words of the site's for AUX reasons and directions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnWords {
    pub(super) aux_reasons: Vec<(String, u32)>,
    pub(super) directions: Vec<(String, Direction)>,
    /// Words for reasons that no step has named.
    pub(super) unknown_reasons: Vec<String>,
}

/// Returns the share of the values, nothing excepted, of which that holds: each value once.
pub(super) fn share_of_values(known: &Known<'_, '_>, index: usize, holds: impl Fn(&[u8]) -> bool) -> f64 {
    let all = values(known.table, index);
    let filled: Vec<_> = all.iter().filter(|(value, _)| !is_null(value)).collect();
    filled.iter().filter(|(value, _)| holds(value)).count() as f64 / filled.len().max(1) as f64
}

/// Returns what a column says, nulls left out.
pub(super) fn words_of(known: &Known<'_, '_>, index: usize) -> Vec<String> {
    let all = values(known.table, index);
    let mut words: Vec<String> =
        all.iter().filter(|(value, _)| !is_null(value)).take(12).map(|(value, _)| (known.decode)(value)).collect();
    words.sort();
    words
}

/// Returns words as evidence lists them.
pub(super) fn quoted_list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    quoted.join(", ")
}
