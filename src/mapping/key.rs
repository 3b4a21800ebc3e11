//! Activity keys: how a state is spelled for the activity mapping.
//!
//! `MODE[:reason][:in|:out][:hold][|split=N]`. The base stays readable and stable; details are appended, and a lookup
//! drops them from the right, so that switching details on does not invalidate a mapping.

use std::fmt::Write;

use crate::tracker::agent_state::AgentState;
use crate::wire::states::{Direction, Mode};

/// Spelling of a logged-out agent's activity.
pub const LOGGED_OUT: &str = "LOGGED_OUT";

/// How specific the row was by which an activity was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchLevel {
    /// The full key.
    Exact,
    /// The key without split, hold or direction.
    Base,
    /// The mode alone.
    Mode,
    /// No row: the default activity.
    Default,
    /// No row, and no default for this one.
    None,
}

/// Bytes of most keys.
const USUAL_LENGTH: usize = 32;

/// The key of a state, with the places at which it may be shortened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityKey {
    full: String,
    /// Lengths to try after the full key, longest first: those of its bases, then that of its mode. One that is not shorter
    /// than the one before is no further key.
    cuts: [usize; 4],
    mode: Mode,
    without_split: usize,
}

impl ActivityKey {
    /// Returns the key of `state`.
    pub fn of(state: &AgentState) -> Self {
        if state.mode.is_logged_out() {
            let full = LOGGED_OUT.to_owned();
            return Self { without_split: full.len(), cuts: [full.len(); 4], full, mode: Mode::Unstaff };
        }
        let mut full = String::with_capacity(USUAL_LENGTH);
        full.push_str(state.mode.name());
        let mode_length = full.len();
        match (state.mode, state.aux_reason) {
            // Without a code, the feed is lost.
            (Mode::Unknown, _) if !state.raw_state.is_empty() => {
                full.push(':');
                full.push_str(&state.raw_state);
            }
            (Mode::Aux, Some(reason)) => {
                // Writing to a string cannot fail.
                let _ = write!(full, ":{reason}");
            }
            _ => {}
        }
        let with_reason = full.len();
        full.push_str(match state.direction {
            Direction::None => "",
            Direction::Out => ":out",
            Direction::In => ":in",
        });
        let with_direction = full.len();
        if state.on_hold {
            full.push_str(":hold");
        }
        let without_split = full.len();
        if let Some(split) = &state.work_split {
            full.push_str("|split=");
            full.push_str(split);
        }
        Self { full, cuts: [without_split, with_direction, with_reason, mode_length], mode: state.mode, without_split }
    }

    /// The full key.
    pub fn full(&self) -> &str {
        &self.full
    }

    /// The key without the split: what a planner maps.
    pub fn without_split(&self) -> &str {
        &self.full[..self.without_split]
    }

    /// The keys to look up, most specific first.
    pub fn lookups(&self) -> impl Iterator<Item = (&str, MatchLevel)> {
        let before = std::iter::once(self.full.len()).chain(self.cuts);
        let levels = [MatchLevel::Base, MatchLevel::Base, MatchLevel::Base, MatchLevel::Mode];
        let shorter = self.cuts.into_iter().zip(before).zip(levels).filter(|((cut, before), _)| cut < before);
        let shorter = shorter.map(|((cut, _), level)| (&self.full[..cut], level));
        std::iter::once((self.full.as_str(), MatchLevel::Exact)).chain(shorter)
    }

    /// Whether the default activity applies where no row is found. LOGGED_OUT is injixo's own *Offline*, and whether UNKNOWN
    /// is work is not known.
    pub const fn takes_default(&self) -> bool {
        !matches!(self.mode, Mode::Unstaff | Mode::Unknown)
    }
}

/// Checks the spelling of a key in an activity file.
///
/// # Errors
/// What is wrong with it, in words for people.
pub fn check_spelling(key: &str) -> Result<(), String> {
    const FORM: &str = "expected MODE[:reason][:in|:out][:hold][|split=N] or LOGGED_OUT";
    if key == LOGGED_OUT {
        return Ok(());
    }
    let (base, split) = match key.split_once("|split=") {
        Some((base, split)) => (base, Some(split)),
        None => (key, None),
    };
    if split.is_some_and(str::is_empty) {
        return Err(format!("{key:?} has an empty split: {FORM}"));
    }
    let name = base.split(':').next().unwrap_or_default();
    let known = || Mode::ALL.into_iter().filter(|mode| !mode.is_logged_out()).map(Mode::name).chain([LOGGED_OUT]);
    let Some(mode) = Mode::from_name(name).filter(|mode| !mode.is_logged_out()) else {
        let nearest = known().min_by_key(|known| strsim::damerau_levenshtein(known, &name.to_uppercase()));
        let hint = nearest.map_or(String::new(), |nearest| format!("; did you mean {nearest:?}?"));
        return Err(format!("unknown mode {name:?} in {key:?}{hint}"));
    };
    let mut rest: Vec<&str> = base.split(':').skip(1).collect();
    if rest.last() == Some(&"hold") {
        rest.pop();
    }
    if matches!(rest.last(), Some(&("in" | "out"))) {
        rest.pop();
    }
    let fits = match mode {
        Mode::Aux => match rest.as_slice() {
            [] => true,
            [reason] => !reason.is_empty() && reason.bytes().all(|byte| byte.is_ascii_digit()),
            _ => false,
        },
        // A raw code may hold anything.
        Mode::Unknown => true,
        _ => rest.is_empty(),
    };
    if fits { Ok(()) } else { Err(format!("{key:?} is no activity key: {FORM}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::agent_state::SkillList;

    fn state(mode: Mode) -> AgentState {
        AgentState {
            mode,
            direction: Direction::None,
            on_hold: false,
            aux_reason: None,
            raw_state: "95".into(),
            recognised: true,
            work_split: None,
            skills: SkillList::default(),
            extension: None,
        }
    }

    #[test]
    fn lookups_drop_from_the_right() {
        let aux = AgentState {
            aux_reason: Some(3),
            direction: Direction::Out,
            on_hold: true,
            work_split: Some("232".into()),
            ..state(Mode::Aux)
        };
        let acd = AgentState { direction: Direction::In, ..state(Mode::Acd) };
        let cases = [
            (&aux, "AUX:3:out:hold|split=232 Exact, AUX:3:out:hold Base, AUX:3:out Base, AUX:3 Base, AUX Mode"),
            (&acd, "ACD:in Exact, ACD Base"),
            (&state(Mode::Avail), "AVAIL Exact"),
            (&AgentState { aux_reason: Some(0), ..state(Mode::Aux) }, "AUX:0 Exact, AUX Mode"),
            (&state(Mode::Unknown), "UNKNOWN:95 Exact, UNKNOWN Mode"),
            (&AgentState { raw_state: "".into(), ..state(Mode::Unknown) }, "UNKNOWN Exact"),
            (&state(Mode::Unstaff), "LOGGED_OUT Exact"),
        ];
        for (state, expected) in cases {
            let key = ActivityKey::of(state);
            let lookups: Vec<String> = key.lookups().map(|(key, level)| format!("{key} {level:?}")).collect();
            assert_eq!(lookups.join(", "), expected);
            assert_eq!(check_spelling(key.full()), Ok(()));
        }
    }

    #[test]
    fn misspelled_keys_are_refused() {
        for key in ["AUXX:3", "AUX:out:3", "ACD:3", "AUX:three", "UNSTAFF", "acd:in", "ACD|split=", ""] {
            assert!(check_spelling(key).is_err(), "{key:?}");
        }
        assert!(check_spelling("AVIAL").unwrap_err().contains("did you mean \"AVAIL\""));
    }
}
