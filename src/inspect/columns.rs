//! What the columns are, besides the state and those that tell time.
//!
//! What says something about a person hardly ever changes; what says something about their work does, and only in certain
//! states: a reason in AUX, a split and a direction on calls.

use std::collections::{HashMap, HashSet};

use crate::wire::column::Column;
use crate::wire::states::{Direction, Mode};

use super::class::{is_null, is_null_or_zero, number};
use super::finding::percent;
use super::profile::{Profile, values};
use super::skills::Groups;
use super::state::{Meaning, OwnState, StateGuess};
use super::steps::{Action, Seen};
use super::style::Style;
use super::table::{Row, Table};
use super::words;

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

/// Guesses what these columns are, each column of a layout at most once.
pub(super) fn find(known: &Known<'_, '_>, columns: &[usize]) -> (Vec<Guess>, OwnWords) {
    let mut candidates: Vec<Guess> = Vec::new();
    for &index in columns {
        let Some(profile) = known.profiles.get(&index) else { continue };
        let mut of_column: Vec<Guess> =
            if profile.is_of_person() { person(known, index, profile) } else { work(known, index, profile) };
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
        guesses.extend(work(known, index, profile));
    }
    guesses
}

fn share_of_values(known: &Known<'_, '_>, index: usize, holds: impl Fn(&[u8]) -> bool) -> f64 {
    let all = values(known.table, index);
    let filled: Vec<_> = all.iter().filter(|(value, _)| !is_null(value)).collect();
    filled.iter().filter(|(value, _)| holds(value)).count() as f64 / filled.len().max(1) as f64
}

/// In which states a column has something.
struct InStates {
    /// Rows that have something.
    filled: usize,
    /// Of these, rows in AUX, on calls and around them, logged out.
    in_aux: usize,
    on_calls: usize,
    logged_out: usize,
    /// Rows in states that are known.
    understood: usize,
    /// Rows that are available, and those of them that have something.
    available: usize,
    filled_available: usize,
    /// Values of the state column with which it has something in most rows.
    states: usize,
}

fn in_states(known: &Known<'_, '_>, index: usize, is_nothing: impl Fn(&[u8]) -> bool) -> Option<InStates> {
    let state = known.state?;
    let mut seen = InStates {
        filled: 0,
        in_aux: 0,
        on_calls: 0,
        logged_out: 0,
        understood: 0,
        available: 0,
        filled_available: 0,
        states: 0,
    };
    let mut by_state: HashMap<&[u8], (usize, usize, Option<Mode>)> = HashMap::new();
    for row in &known.table.rows {
        let value = row.cell(state.column);
        let entry = by_state.entry(value).or_insert_with(|| (0, 0, state.meaning.of(value).map(|code| code.mode)));
        entry.0 += 1;
        entry.1 += usize::from(!is_nothing(row.cell(index)));
    }
    for (rows, filled, mode) in by_state.values() {
        seen.filled += filled;
        seen.states += usize::from(filled * 2 > *rows);
        let Some(mode) = mode else { continue };
        seen.understood += filled;
        match mode {
            Mode::Aux => seen.in_aux += filled,
            Mode::Acd | Mode::Acw | Mode::Dacd | Mode::Dacw | Mode::Ring => seen.on_calls += filled,
            Mode::Avail => {
                seen.available += rows;
                seen.filled_available += filled;
            }
            Mode::Unstaff | Mode::Logoff => seen.logged_out += filled,
            Mode::Unknown | Mode::Other | Mode::Logon => {}
        }
    }
    Some(seen)
}

/// What says something about the agent's work.
fn work(known: &Known<'_, '_>, index: usize, profile: &Profile) -> Vec<Guess> {
    let mut guesses = Vec::new();
    let Some(states) = in_states(known, index, is_null_or_zero) else { return guesses };
    let filled = states.filled;
    if filled == 0 {
        return guesses;
    }
    let is_understood = states.understood * 2 > filled;
    let small =
        share_of_values(known, index, |value| number(value).is_some_and(|value| value <= 99) && value.len() <= 2);
    let in_aux = states.in_aux as f64 / filled as f64;
    let by_steps = reasons_by_steps(known, index);
    let of_words = words_of(known, index);
    // A reason may be a word; then somebody has to say which.
    if by_steps.is_some() {
        guesses.push(Guess::new(index, Column::AuxReason, 0.97, "another value after the step into each AUX reason"));
    } else if steps_into_aux(known) < 2
        && is_understood
        && in_aux > 0.97
        && (small > 0.98 || (profile.with_letters > 0.9 && profile.distinct <= 120))
    {
        let form = if small > 0.98 { "numbers up to 99" } else { "words" };
        let evidence = format!("{form}, and other than 0 in AUX only ({})", percent(states.in_aux, filled));
        // Nought and one may as well be a flag.
        let is_flag = profile.distinct <= 2;
        let confidence = if is_flag {
            0.4
        } else if small > 0.98 {
            0.9
        } else {
            0.6
        };
        guesses.push(Guess::new(index, Column::AuxReason, confidence, evidence));
    } else if !is_understood && small > 0.98 && states.states <= 3 && profile.distinct > 2 {
        let evidence = "numbers up to 99, and other than 0 in few states only";
        guesses.push(Guess::new(index, Column::AuxReason, 0.55, evidence));
    }
    let known_words = of_words.iter().filter(|word| words::direction(word).is_some()).count();
    let is_direction = !of_words.is_empty() && of_words.len() <= 4;
    // Digits are directions only if there are several, and a direction changes with the calls.
    let are_digits = of_words.iter().all(|word| word.parse::<u32>().is_ok());
    let two = !are_digits || (of_words.len() > 1 && of_words.iter().any(|word| word == "2"));
    let moves = profile.changes > 0.0 && states.states > 0;
    if let Some(evidence) = direction_by_steps(known, index).filter(|_| is_direction) {
        guesses.push(Guess::new(index, Column::Direction, 0.96, evidence));
    } else if is_direction && known_words == of_words.len() && two && moves {
        let evidence = format!("only {}", quoted_list(&of_words));
        guesses.push(Guess::new(index, Column::Direction, 0.9, evidence));
    }
    let is_flag = !of_words.is_empty()
        && of_words.len() <= 2
        && of_words.iter().all(|word| matches!(word.as_str(), "0" | "1" | "Y" | "N" | "y" | "n"));
    if is_flag && filled * 3 < known.table.rows.len() * 2 {
        let evidence = format!("only {}, seldom anything but no", quoted_list(&of_words));
        guesses.push(Guess::new(index, Column::OnHold, 0.7, evidence));
    }
    guesses.extend(split(known, index, profile, &states));
    let logged_out = states.logged_out as f64 / filled as f64;
    if is_understood && logged_out > 0.97 {
        guesses.push(Guess::new(index, Column::LogoutReason, 0.6, "only in records of agents who log out"));
    }
    guesses
}

/// The split that an agent works for: one of their skills, and nothing while they wait.
fn split(known: &Known<'_, '_>, index: usize, profile: &Profile, states: &InStates) -> Option<Guess> {
    let (filled, rows) = (states.filled, known.table.rows.len());
    let of_skills = in_skills(known, index);
    // Where ringing has no code of its own, it shows as available.
    let is_idle_empty = states.available > 0 && states.filled_available * 3 <= states.available;
    let on_calls = states.on_calls as f64 / filled.max(1) as f64;
    let looks_so = profile.distinct > 2 && profile.longest <= 40;
    if let Some(share) = of_skills.filter(|share| *share > 0.9)
        && looks_so
    {
        let idle = if is_idle_empty { ", and nothing while available" } else { "" };
        let evidence = format!("in {:.0} % one of the agent's skills{idle}", share * 100.0);
        return Some(Guess::new(index, Column::WorkSplit, 0.95, evidence));
    }
    // Where skills are known, the split is one of them.
    let may_be = of_skills.is_none_or(|share| share > 0.5);
    let is_number = profile.numeric > 0.95;
    (looks_so && may_be && (is_idle_empty || states.available == 0) && on_calls > 0.5 && filled * 100 > rows * 5)
        .then(|| {
            let evidence =
                format!("something on calls and after them ({:.0} %), nothing while available", on_calls * 100.0);
            Guess::new(index, Column::WorkSplit, if is_number { 0.8 } else { 0.55 }, evidence)
        })
        .or_else(|| {
            let unclear =
                states.understood * 2 < filled && is_number && profile.distinct > 3 && profile.longest >= 2 && may_be;
            let evidence = "numbers that come and go with the state";
            unclear.then(|| Guess::new(index, Column::WorkSplit, 0.55, evidence))
        })
}

/// Returns the share of values that are one of the agent's skills; `None` where skills are not known.
fn in_skills(known: &Known<'_, '_>, index: usize) -> Option<f64> {
    let mut of_agent: HashMap<usize, HashSet<Vec<u8>>> = HashMap::new();
    if let Some(skill) = known.skill_row {
        for row in &known.table.rows {
            of_agent.entry(row.agent).or_default().insert(row.cell(skill).to_vec());
        }
    }
    let groups = known.groups;
    if groups.is_none() && known.skill_row.is_none() {
        return None;
    }
    let (mut filled, mut inside) = (0, 0);
    for row in &known.table.rows {
        let value = row.cell(index);
        if is_null_or_zero(value) {
            continue;
        }
        filled += 1;
        let is_inside = match groups {
            Some(groups) => skills_of(row, groups, known.style).contains(&value),
            None => of_agent.get(&row.agent).is_some_and(|skills| skills.contains(value)),
        };
        inside += usize::from(is_inside);
    }
    (filled > 0).then(|| inside as f64 / filled as f64)
}

/// Returns the skills of a row.
pub(super) fn skills_of<'a>(row: &Row<'a>, groups: &Groups, style: &Style) -> Vec<&'a [u8]> {
    let group = |number: usize| -> &'a [u8] {
        let begin = groups.at + number * groups.width + groups.skill.at;
        if style.places.is_empty() {
            return row.cell(begin);
        }
        let bytes: &'a [u8] = row.line.bytes;
        let end = (begin + groups.skill.width).min(bytes.len());
        super::style::trim(bytes.get(begin.min(end)..end).unwrap_or_default())
    };
    (0..groups.most).map(group).filter(|skill| !is_null_or_zero(skill)).collect()
}

/// Returns what a column says, nulls left out.
fn words_of(known: &Known<'_, '_>, index: usize) -> Vec<String> {
    let all = values(known.table, index);
    let mut words: Vec<String> =
        all.iter().filter(|(value, _)| !is_null(value)).take(12).map(|(value, _)| (known.decode)(value)).collect();
    words.sort();
    words
}

fn quoted_list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    quoted.join(", ")
}

fn said<'a>(seen: &Seen<'a>, index: usize) -> Option<&'a [u8]> {
    seen.cells.as_ref().map(|cells| cells.get(index).copied().unwrap_or_default())
}

/// Returns how many AUX reasons steps have shown: if a column does not tell them apart, it has no reasons.
fn steps_into_aux(known: &Known<'_, '_>) -> usize {
    let reasons = known.seen.iter().filter_map(|seen| match seen.action {
        Action::Aux(reason) if seen.cells.is_some() => Some(reason),
        _ => None,
    });
    reasons.collect::<HashSet<u32>>().len()
}

/// Returns the values after steps into AUX, if each reason has its own and the state does not say it already.
fn reasons_by_steps(known: &Known<'_, '_>, index: usize) -> Option<Vec<(Vec<u8>, u32)>> {
    let mut reasons: Vec<(Vec<u8>, u32)> = Vec::new();
    for seen in known.seen {
        let Action::Aux(reason) = seen.action else { continue };
        let Some(value) = said(seen, index) else { continue };
        if !reasons.iter().any(|(known, _)| known == value) {
            reasons.push((value.to_vec(), reason));
        }
    }
    let steps: HashSet<u32> = reasons.iter().map(|(_, reason)| *reason).collect();
    let asked: HashSet<u32> = known
        .seen
        .iter()
        .filter_map(|seen| match seen.action {
            Action::Aux(reason) if seen.cells.is_some() => Some(reason),
            _ => None,
        })
        .collect();
    // Numbers must be the reasons themselves: anything may differ from step to step.
    let are_themselves = reasons.iter().all(|(value, reason)| {
        number(value).map_or_else(|| !is_null(value) || *reason == 0, |value| value == u64::from(*reason))
    });
    let elsewhere = known.seen.iter().filter(|seen| matches!(seen.action, Action::Available | Action::CallIn));
    let is_nothing_elsewhere = elsewhere.filter_map(|seen| said(seen, index)).all(is_null_or_zero);
    (steps.len() >= 2 && steps == asked && are_themselves && is_nothing_elsewhere).then_some(reasons)
}

fn direction_by_steps(known: &Known<'_, '_>, index: usize) -> Option<String> {
    let after =
        |action: Action| known.seen.iter().find(|seen| seen.action == action).and_then(|seen| said(seen, index));
    let (inward, outward) = (after(Action::CallIn)?, after(Action::CallOut)?);
    let waiting = after(Action::Available).unwrap_or_default();
    let differ = inward != outward && inward != waiting && outward != waiting && !is_null(inward) && !is_null(outward);
    let aux =
        known.seen.iter().filter(|seen| matches!(seen.action, Action::Aux(_))).filter_map(|seen| said(seen, index));
    (differ && aux.into_iter().all(|value| value == waiting || is_null_or_zero(value)))
        .then(|| "one value after the step \"call in\", another after \"call out\"".to_owned())
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
            let named = reasons_by_steps(known, guess.index).unwrap_or_default();
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
                known.seen.iter().find(|seen| seen.action == action).and_then(|seen| said(seen, guess.index))
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
