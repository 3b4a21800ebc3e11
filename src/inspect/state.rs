//! Which column is the state, and what its values mean.
//!
//! A state is never missing, changes with an agent's work, and many agents have the same one. Where the feed says how long a
//! state lasts, that begins anew exactly when the state changes. The values of tables that are built in are recognised; a
//! site's own words are guessed, its own numbers are not: for these, somebody has to take steps.

use std::collections::HashMap;

use crate::wire::states::{Mode, StateCode, StateTable};

use super::class::is_null_or_zero;
use super::finding::percent;
use super::profile::{Counted, Profile, values};
use super::steps::{Action, Seen};
use super::table::Table;
use super::times::{TimeColumn, TimeKind, seconds};
use super::words;

/// The state column and its table.
#[derive(Clone, Debug)]
pub(super) struct StateGuess {
    pub(super) column: usize,
    pub(super) meaning: Meaning,
    pub(super) confidence: f64,
    pub(super) evidence: String,
}

/// What the values mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The codes of Generic RTA.
    RtaCodes,
    /// The names of CMS.
    CmsNames,
    /// The site's own; each with how it became known.
    Own(Vec<OwnState>),
}

/// A value of a site's own table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnState {
    pub(super) value: Vec<u8>,
    pub(super) code: StateCode,
    /// `None`: nobody knows, and the code is a stand-in.
    pub(super) source: Option<String>,
}

impl Meaning {
    /// Returns what a value stands for.
    pub(super) fn of(&self, value: &[u8]) -> Option<StateCode> {
        match self {
            Self::RtaCodes => StateTable::rta_codes().lookup(value),
            Self::CmsNames => StateTable::cms_names().lookup(value),
            Self::Own(rows) => rows.iter().find(|row| row.value == value && row.source.is_some()).map(|row| row.code),
        }
    }
}

/// Fewest and most values of a state column.
const VALUES: std::ops::RangeInclusive<usize> = 2..=120;

/// What is known before the state is looked for.
pub(super) struct Known<'k, 'a> {
    pub(super) table: &'k Table<'a>,
    pub(super) profiles: &'k HashMap<usize, Profile>,
    pub(super) times: &'k [TimeColumn],
    pub(super) seen: &'k [Seen<'a>],
    /// The column that a header calls the state.
    pub(super) titled: Option<usize>,
    pub(super) decode: &'k dyn Fn(&[u8]) -> String,
}

/// Finds it among these columns.
pub(super) fn find(known: &Known<'_, '_>, columns: &[usize]) -> Option<StateGuess> {
    let starts = beginnings(known);
    let scored = columns.iter().filter_map(|column| Some((score(known, *column, starts.as_deref())?, *column)));
    let mut scored: Vec<(Score, usize)> = scored.collect();
    scored.sort_by(|one, other| other.0.sum.total_cmp(&one.0.sum).then(one.1.cmp(&other.1)));
    let (best, column) = scored.first()?;
    let ahead = scored.get(1).map_or(1.0, |(next, _)| (best.sum - next.sum).clamp(0.0, 1.0));
    let confidence = (0.35 + best.sum / 5.0 + ahead / 4.0).clamp(0.2, 0.99);
    let of_column = values(known.table, *column);
    let meaning = meaning(known, *column, &of_column, best);
    Some(StateGuess { column: *column, meaning, confidence, evidence: best.evidence.clone() })
}

struct Score {
    sum: f64,
    rta: f64,
    cms: f64,
    evidence: String,
}

/// For each pair of rows whether the state began in between, as a duration or a beginning of the state tells.
fn beginnings(known: &Known<'_, '_>) -> Option<Vec<bool>> {
    let of_kind =
        |wanted: fn(&TimeKind) -> bool| known.times.iter().find(|time| wanted(&time.kind)).map(|time| time.column);
    let duration = of_kind(|kind| *kind == TimeKind::Duration);
    let start = of_kind(|kind| matches!(kind, TimeKind::StateStart(..)));
    if duration.is_none() && start.is_none() {
        return None;
    }
    let began = |(before, after): (&super::table::Row<'_>, &super::table::Row<'_>)| {
        let by_duration = duration.and_then(|column| {
            Some(seconds(after.cell(column))? < seconds(before.cell(column))? || seconds(after.cell(column))? == 0)
        });
        by_duration.or_else(|| start.map(|column| before.cell(column) != after.cell(column))).unwrap_or(false)
    };
    Some(known.table.pairs().map(began).collect())
}

fn score(known: &Known<'_, '_>, column: usize, starts: Option<&[bool]>) -> Option<Score> {
    let profile = known.profiles.get(&column)?;
    let values = values(known.table, column);
    let is_titled = known.titled == Some(column);
    // A feed of a few minutes may show no change at all.
    if !VALUES.contains(&values.len()) || profile.null > 0.02 || profile.longest > 60 {
        return None;
    }
    let rows = known.table.rows.len().max(1);
    let listed = |table: &StateTable| {
        let of_rows: usize =
            values.iter().filter(|(value, _)| table.lookup(value).is_some()).map(|(_, count)| count).sum();
        let of_values = values.iter().filter(|(value, _)| table.lookup(value).is_some()).count();
        0.5 * of_rows as f64 / rows as f64 + 0.5 * of_values as f64 / values.len() as f64
    };
    let rta = listed(&StateTable::rta_codes());
    let cms = listed(&StateTable::cms_names());
    let guessed = values.iter().filter(|(value, _)| words::state(&(known.decode)(value)).is_some()).count();
    let by_words = guessed as f64 / values.len() as f64;
    let coupling = starts.map(|starts| {
        let changed = known.table.pairs().map(|(before, after)| before.cell(column) != after.cell(column));
        coupling(starts, changed)
    });
    let spread = spread(&values, rows);
    let few = 1.0 - profile.null_or_zero;
    let by_steps = by_steps(known.seen, column);
    let is_moving = profile.changes > 0.0;
    let sum = 1.3 * rta.max(cms).max(0.8 * by_words)
        + 0.9 * coupling.unwrap_or(if is_moving { 0.3 } else { 0.0 })
        + 0.3 * spread
        + 0.6 * few
        + if is_titled { 1.2 } else { 0.0 }
        + if is_moving { 0.3 } else { -0.5 }
        + 3.0 * by_steps.unwrap_or(0.0);
    let mut reasons = vec![format!("{} values, never missing", values.len())];
    if is_moving {
        reasons.push(format!("changes in {:.1} % of an agent's records", profile.changes * 100.0));
    }
    if rta >= 0.5 || cms >= 0.5 {
        let (share, name) = if rta >= cms { (rta, "rta-codes") } else { (cms, "cms-names") };
        reasons.push(format!("{:.0} % of it in {name}", share * 100.0));
    } else if by_words > 0.3 {
        reasons.push(format!("{} of the values are words for states", percent(guessed, values.len())));
    }
    if let Some(coupling) = coupling.filter(|coupling| *coupling > 0.5) {
        reasons.push(format!("changes when a state begins ({:.0} %)", coupling * 100.0));
    }
    if by_steps.is_some_and(|by_steps| by_steps > 0.9) {
        reasons.push("another value after each step".to_owned());
    }
    if is_titled {
        reasons.push("the header calls it so".to_owned());
    }
    Some(Score { sum, rta, cms, evidence: reasons.join("; ") })
}

/// How well changes of a column and beginnings of states go together: 1, each with the other.
fn coupling(starts: &[bool], changed: impl Iterator<Item = bool>) -> f64 {
    let (mut both, mut either) = (0.0, 0.0);
    for (start, changed) in starts.iter().zip(changed) {
        both += f64::from(*start && changed) * 2.0;
        either += f64::from(*start) + f64::from(changed);
    }
    if either == 0.0 { 0.0 } else { both / either }
}

/// How evenly the values are spread: 0, nearly all are one; 1, several are frequent.
fn spread(values: &[Counted<'_>], rows: usize) -> f64 {
    let entropy: f64 =
        values.iter().map(|(_, count)| *count as f64 / rows as f64).map(|share| -share * share.ln()).sum();
    (entropy.exp() / 4.0).min(1.0)
}

/// Whether the steps of different states show different values, and steps of one state the same: 1, all of them do.
fn by_steps(seen: &[Seen<'_>], column: usize) -> Option<f64> {
    let said = |action: Action| -> Option<&[u8]> {
        let seen = seen.iter().find(|seen| seen.action == action)?;
        Some(seen.cells.as_ref()?.get(column).copied().unwrap_or_default())
    };
    let mut asked = 0_u32;
    let mut differ = 0_u32;
    let aux = seen.iter().find(|seen| matches!(seen.action, Action::Aux(_))).map(|seen| seen.action);
    let actions: Vec<Action> = [Action::Available, Action::CallIn, Action::Acw]
        .into_iter()
        .chain(aux)
        .filter(|action| said(*action).is_some())
        .collect();
    for (number, one) in actions.iter().enumerate() {
        for other in &actions[number + 1..] {
            asked += 1;
            let (one, other) = (said(*one), said(*other));
            let is_missing = one.is_none_or(is_null_or_zero) && other.is_none_or(is_null_or_zero);
            differ += u32::from(one != other && !is_missing);
        }
    }
    (asked > 0).then(|| f64::from(differ) / f64::from(asked))
}

/// Returns what the values of the state column mean.
fn meaning(known: &Known<'_, '_>, column: usize, of_column: &[Counted<'_>], score: &Score) -> Meaning {
    let told = told_by_steps(known.seen, column);
    let contradicts = |table: &StateTable| {
        told.iter().any(|own| {
            table.lookup(&own.value).is_none_or(|code| code.mode != own.code.mode && own.code.mode != Mode::Other)
        })
    };
    if score.rta >= 0.6 && score.rta >= score.cms && !contradicts(&StateTable::rta_codes()) {
        return Meaning::RtaCodes;
    }
    if score.cms >= 0.6 && !contradicts(&StateTable::cms_names()) {
        return Meaning::CmsNames;
    }
    let mut rows = told;
    for (value, _) in of_column {
        if rows.iter().any(|row| row.value == *value) {
            continue;
        }
        let text = (known.decode)(value);
        let builtin = StateTable::cms_names().lookup(value).map(|code| (code, "a name of CMS"));
        let guessed = builtin.or_else(|| words::state(&text).map(|code| (code, "by the word")));
        let unknown = StateCode {
            mode: Mode::Unknown,
            direction: crate::wire::states::Direction::None,
            on_hold: false,
            aux_reason: None,
        };
        rows.push(OwnState {
            value: value.to_vec(),
            code: guessed.map_or(unknown, |(code, _)| code),
            source: guessed.map(|(_, source)| source.to_owned()),
        });
    }
    Meaning::Own(rows)
}

/// Returns the states that steps have named. Where several steps show one value, the first says the mode, and what they do not
/// share is not in the value.
fn told_by_steps(seen: &[Seen<'_>], column: usize) -> Vec<OwnState> {
    type Shown<'s> = (&'s [u8], Vec<(StateCode, Action)>);
    let mut by_value: Vec<Shown<'_>> = Vec::new();
    for seen in seen {
        let Some(code) = seen.action.state(seen.previous) else { continue };
        let Some(value) = seen.cells.as_ref().and_then(|cells| cells.get(column)).copied() else { continue };
        match by_value.iter_mut().find(|(known, _)| *known == value) {
            Some((_, codes)) => codes.push((code, seen.action)),
            None => by_value.push((value, vec![(code, seen.action)])),
        }
    }
    let own = |(value, codes): Shown<'_>| {
        // A held call may keep the mode that it had.
        let main: Vec<&(StateCode, Action)> = codes.iter().filter(|(_, action)| *action != Action::Hold).collect();
        let considered: Vec<&(StateCode, Action)> = if main.is_empty() { codes.iter().collect() } else { main };
        let (first, _) = considered.first()?;
        let all_same = |part: &dyn Fn(&StateCode) -> bool| considered.iter().all(|(code, _)| part(code));
        let mut code = *first;
        if !all_same(&|other| other.direction == first.direction) {
            code.direction = crate::wire::states::Direction::None;
        }
        // A call out of AUX says nothing of the reason.
        let mut reasons: Vec<u32> = considered.iter().filter_map(|(code, _)| code.aux_reason).collect();
        reasons.dedup();
        code.aux_reason = if let [reason] = reasons.as_slice() { Some(*reason) } else { None };
        if !all_same(&|other| other.on_hold == first.on_hold) {
            code.on_hold = false;
        }
        let names: Vec<String> = codes.iter().map(|(_, action)| action.name()).collect();
        Some(OwnState { value: value.to_vec(), code, source: Some(format!("step {}", names.join(", "))) })
    };
    by_value.into_iter().filter_map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::states::Direction;

    #[test]
    fn changes_and_beginnings_go_together() {
        let starts = [true, false, true, false];
        let cases = [([true, false, true, false], 1.0), ([false; 4], 0.0), ([true, false, false, false], 2.0 / 3.0)];
        for (changed, expected) in cases {
            assert!((coupling(&starts, changed.into_iter()) - expected).abs() < 1e-9, "{changed:?}");
        }
    }

    #[test]
    fn steps_name_states() {
        let step = |action, previous, value: &'static [u8]| Seen { action, previous, cells: Some(vec![value]) };
        let seen = [
            step(Action::Available, None, b"F"),
            step(Action::CallIn, None, b"G"),
            step(Action::Aux(1), None, b"P"),
            step(Action::Aux(2), None, b"P"),
            step(Action::CallOut, None, b"T"),
        ];
        let told = told_by_steps(&seen, 0);
        let found: Vec<_> = told
            .iter()
            .map(|own| (own.value.as_slice(), own.code.mode, own.code.direction, own.code.aux_reason))
            .collect();
        let expected: [(&[u8], _, _, _); 4] = [
            (b"F", Mode::Avail, Direction::None, None),
            (b"G", Mode::Acd, Direction::In, None),
            (b"P", Mode::Aux, Direction::None, None),
            (b"T", Mode::Aux, Direction::Out, None),
        ];
        assert_eq!(found, expected);
    }
}
