//! What the columns are, besides the state and those that tell time.
//!
//! What says something about a person hardly ever changes; what says something about their work does, and only in certain
//! states: a reason in AUX, a split and a direction on calls.

use std::collections::HashSet;

use crate::wire::column::Column;
use crate::wire::states::Direction;

use super::class::{is_null, is_null_or_zero, number};
use super::guess::{Guess, Known, OwnWords, share_of_values};
use super::profile::{Profile, values};
use super::state::{Meaning, OwnState};
use super::steps::Action;
use super::words;
use super::{by_steps, work};

/// Guesses what these columns are, each column of a layout at most once.
pub(super) fn find(known: &Known<'_, '_>, columns: &[usize]) -> (Vec<Guess>, OwnWords) {
    let mut candidates: Vec<Guess> = Vec::new();
    for &index in columns {
        let Some(profile) = known.profiles.get(&index) else { continue };
        let mut of_column: Vec<Guess> =
            if profile.is_of_person() { person(known, index, profile) } else { work::guesses(known, index, profile) };
        if let Some(&title) = known.titles.get(&index) {
            let is_settled = matches!(title, Column::LoginId | Column::State | Column::Skill | Column::Level);
            match of_column.iter_mut().find(|guess| guess.column == title) {
                Some(guess) => {
                    guess.confidence = 0.5 + guess.confidence / 2.0;
                    guess.evidence.push_str("; the header calls it so");
                }
                None if !is_settled => of_column.push(Guess::new(index, title, 0.35, "the header calls it so")),
                None => {}
            }
        }
        candidates.extend(of_column);
    }
    candidates.sort_by(|one, other| other.confidence.total_cmp(&one.confidence).then(one.index.cmp(&other.index)));
    let mut taken: HashSet<Column> = HashSet::new();
    let mut settled: HashSet<usize> = HashSet::new();
    let mut found: Vec<Guess> = Vec::new();
    for guess in candidates {
        if !taken.contains(&guess.column) && settled.insert(guess.index) {
            taken.insert(guess.column);
            found.push(guess);
        }
    }
    let mut words = OwnWords::default();
    for guess in &mut found {
        complete(known, guess, &mut words);
    }
    (found, words)
}

/// What says something about the agent.
fn person(known: &Known<'_, '_>, index: usize, profile: &Profile) -> Vec<Guess> {
    let agents = known.table.agents.max(1) as f64;
    let per_agent = profile.distinct as f64 / agents;
    let mut guesses = Vec::new();
    let is_text = profile.with_letters > 0.9;
    let has_words =
        share_of_values(known, index, |value| value.contains(&b' ') || value.contains(&b',') || value.contains(&b'_'));
    if is_text && per_agent > 0.6 && profile.distinct > 1 {
        let confidence = 0.55 + 0.4 * has_words;
        guesses.push(Guess::new(
            index,
            Column::Name,
            confidence,
            format!("text of its own for nearly every agent, {:.0} % of it several words", has_words * 100.0),
        ));
    }
    let roles = ["TOP", "BACKUP", "RESERVE", "ROVING", "ALLOCATED", "PRIMARY", "AGENT", "SUPERVISOR", "TRAINEE"];
    let are_roles =
        share_of_values(known, index, |value| roles.iter().any(|role| value.eq_ignore_ascii_case(role.as_bytes())));
    if is_text && are_roles > 0.8 && profile.distinct <= 10 {
        guesses.push(Guess::new(
            index,
            Column::Role,
            0.85,
            "the words of CMS for roles, and hardly ever another one of an agent",
        ));
    } else if is_text && per_agent <= 0.6 && profile.distinct >= 2 && profile.distinct <= 200 {
        let evidence =
            format!("{} words that several agents share, and hardly ever another one of an agent", profile.distinct);
        guesses.push(Guess::new(index, Column::Location, 0.6, evidence));
    }
    if profile.numeric > 0.98 && per_agent > 0.8 && profile.distinct > 1 && (3..=10).contains(&profile.longest) {
        let evidence =
            format!("a number of its own for each agent, {} to {} digits", profile.shortest, profile.longest);
        guesses.push(Guess::new(index, Column::Extension, 0.75, evidence));
    }
    if profile.numeric > 0.99 && profile.longest <= 2 && profile.distinct <= 8 && profile.null_or_zero < 0.01 {
        let (confidence, evidence) = if profile.constant {
            (0.3, "the same small number everywhere: it may be the ACD, and may be anything")
        } else {
            (0.4, "small numbers that agents keep")
        };
        guesses.push(Guess::new(index, Column::Acd, confidence, evidence));
    }
    // A feed of a few minutes may hardly show what changes.
    if profile.changes > 0.0 || !known.seen.is_empty() {
        guesses.extend(work::guesses(known, index, profile));
    }
    guesses
}

/// Adds what a guess needs besides: spellings of null, words.
fn complete(known: &Known<'_, '_>, guess: &mut Guess, words: &mut OwnWords) {
    let all = values(known.table, guess.index);
    let text = |value: &[u8]| (known.decode)(value);
    let is_default = |value: &[u8]| matches!(value, b"" | b"N/A");
    let mut null = |is_null: &dyn Fn(&[u8]) -> bool| {
        guess.null = all
            .iter()
            .filter(|(value, _)| is_null(value) && !is_default(value))
            .map(|(value, _)| text(value))
            .collect();
        guess.null.sort();
    };
    match guess.column {
        Column::AuxReason => {
            let named = by_steps::reasons(known, guess.index).unwrap_or_default();
            null(&|value| is_null(value));
            for (value, _) in all.iter().filter(|(value, _)| !is_null(value) && number(value).is_none()) {
                match named.iter().find(|(word, _)| word == value) {
                    Some((_, reason)) => words.aux_reasons.push((text(value), *reason)),
                    None => words.unknown_reasons.push(text(value)),
                }
            }
            words.aux_reasons.sort_by_key(|(_, reason)| *reason);
        }
        Column::Direction => {
            null(&|value| is_null(value));
            let after = |action: Action| {
                known.seen.iter().find(|seen| seen.action == action).and_then(|seen| by_steps::said(seen, guess.index))
            };
            for (value, _) in all.iter().filter(|(value, _)| !is_null(value)) {
                let word = text(value);
                let is_builtin = matches!(word.to_ascii_lowercase().as_str(), "in" | "out" | "none" | "0" | "1" | "2");
                let by_step = [
                    (Action::CallIn, Direction::In),
                    (Action::CallOut, Direction::Out),
                    (Action::Available, Direction::None),
                ]
                .into_iter()
                .find(|(action, _)| after(*action) == Some(value));
                let direction = by_step.map(|(_, direction)| direction).or_else(|| words::direction(&word));
                if let Some(direction) = direction.filter(|_| !is_builtin) {
                    words.directions.push((word, direction));
                }
            }
        }
        Column::WorkSplit | Column::Extension | Column::LogoutReason => null(&is_null_or_zero),
        Column::OnHold
        | Column::Acd
        | Column::Name
        | Column::Role
        | Column::Location
        | Column::Level
        | Column::Skill => null(&is_null),
        Column::Duration
        | Column::Timestamp
        | Column::StateStart
        | Column::LoginId
        | Column::State
        | Column::Ignored => {}
    }
}

/// Returns a site's own states without what a column says better: a reason, a direction.
pub(super) fn without_columns(meaning: Meaning, has_reason: bool) -> Meaning {
    match meaning {
        Meaning::Own(rows) => {
            let plain = |row: OwnState| {
                let mut code = row.code;
                if has_reason {
                    code.aux_reason = None;
                }
                OwnState { code, ..row }
            };
            Meaning::Own(rows.into_iter().map(plain).collect())
        }
        builtin => builtin,
    }
}
