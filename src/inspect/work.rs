//! Columns that say something about an agent's work: they have something in certain states only.

use std::collections::{HashMap, HashSet};

use crate::wire::column::Column;
use crate::wire::states::Mode;

use super::by_steps;
use super::class::{is_null_or_zero, number};
use super::finding::percent;
use super::guess::{Guess, Known, quoted_list, share_of_values, words_of};
use super::profile::Profile;
use super::skills::Groups;
use super::style::{self, Style};
use super::table::Row;
use super::words;

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

/// Returns what a column may be that says something about the agent's work.
pub(super) fn guesses(known: &Known<'_, '_>, index: usize, profile: &Profile) -> Vec<Guess> {
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
    let by_steps = by_steps::reasons(known, index);
    let of_words = words_of(known, index);
    // A reason may be a word; then somebody has to say which.
    if by_steps.is_some() {
        guesses.push(Guess::new(index, Column::AuxReason, 0.97, "another value after the step into each AUX reason"));
    } else if by_steps::reasons_asked_for(known).len() < 2
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
    if let Some(evidence) = by_steps::direction(known, index).filter(|_| is_direction) {
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
    // A site may have a single split.
    let is_single = profile.distinct == 2 && profile.longest >= 2 && is_idle_empty && on_calls > 0.5;
    if let Some(share) = of_skills.filter(|share| *share > 0.9)
        && (looks_so || is_single)
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
fn skills_of<'a>(row: &Row<'a>, groups: &Groups, style: &Style) -> Vec<&'a [u8]> {
    let group = |number: usize| -> &'a [u8] {
        let begin = groups.at + number * groups.width + groups.skill.at;
        if style.places.is_empty() {
            return row.cell(begin);
        }
        let bytes: &'a [u8] = row.line.bytes;
        let end = (begin + groups.skill.width).min(bytes.len());
        style::trim(bytes.get(begin.min(end)..end).unwrap_or_default())
    };
    (0..groups.most).map(group).filter(|skill| !is_null_or_zero(skill)).collect()
}
