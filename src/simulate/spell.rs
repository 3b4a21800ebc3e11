//! Spells state codes, and the text of a marker.

use regex::bytes::Regex;

use crate::wire::states::{Mode, StateCode, StateTable};

use super::agent::SimulatedState;

/// Returns the code that fits best: of those with the same mode the one that agrees in direction, then in hold, then in AUX
/// reason; the first of equals. A mode that the table lacks is spelled as its nearest relative.
pub(super) fn state<'t>(table: &'t StateTable, state: &SimulatedState) -> Option<(&'t str, StateCode)> {
    let mut mode = Some(state.mode);
    while let Some(wanted) = mode {
        let stands =
            |(text, code): &&(String, StateCode)| code.mode == wanted && table.lookup(text.as_bytes()) == Some(*code);
        let found = table.rows().iter().filter(stands).rev().max_by_key(|(_, code)| {
            let reason = match code.aux_reason {
                Some(reason) if reason == state.aux_reason => 2,
                None => 1,
                Some(_) => 0,
            };
            (code.direction == state.direction, code.on_hold == state.on_hold, reason)
        });
        if let Some((code, meaning)) = found {
            return Some((code, *meaning));
        }
        mode = relative(wanted);
    }
    None
}

/// Returns the mode that replaces one that a table lacks.
const fn relative(mode: Mode) -> Option<Mode> {
    match mode {
        Mode::Unstaff => Some(Mode::Logoff),
        Mode::Dacd => Some(Mode::Acd),
        Mode::Dacw => Some(Mode::Acw),
        Mode::Ring | Mode::Other | Mode::Acw => Some(Mode::Avail),
        _ => None,
    }
}

/// Returns the shortest text that a simple pattern matches (`^END`, `^-- end\.$`): its letters up to the first operator.
/// `None` where that does not match.
pub(super) fn marker(pattern: &str) -> Option<String> {
    let mut literal = String::new();
    let mut rest = pattern.strip_prefix('^').unwrap_or(pattern).chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some(escaped) if !escaped.is_alphanumeric() => literal.push(escaped),
                _ => break,
            },
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => break,
            plain => literal.push(plain),
        }
    }
    let matches = Regex::new(pattern).is_ok_and(|regex| regex.is_match(literal.as_bytes()));
    (matches && !literal.is_empty()).then_some(literal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::wire::states::Direction;

    fn doing(mode: Mode, direction: Direction, on_hold: bool, aux_reason: u32) -> SimulatedState {
        SimulatedState { mode, direction, on_hold, aux_reason, ..SimulatedState::logged_out(Timestamp::default()) }
    }

    #[test]
    fn the_closest_code_is_chosen() {
        let table = StateTable::rta_codes();
        let cases = [
            (doing(Mode::Ring, Direction::None, false, 0), "80"),
            (doing(Mode::Acd, Direction::In, false, 0), "32"),
            (doing(Mode::Aux, Direction::Out, false, 3), "51"),
            (doing(Mode::Aux, Direction::Out, true, 3), "600"),
            (doing(Mode::Unstaff, Direction::None, false, 0), "10"),
        ];
        for (agent, code) in cases {
            assert_eq!(state(&table, &agent).map(|found| found.0), Some(code));
        }
        let names = StateTable::cms_names();
        let found = state(&names, &doing(Mode::Ring, Direction::None, false, 0));
        assert_eq!(found.map(|found| found.0), Some("RINGING"));
    }

    #[test]
    fn a_reason_in_the_code_and_a_missing_mode_find_their_code() {
        let rows = [("A1", "AUX:1"), ("A3", "AUX:3"), ("A", "AUX"), ("T", "ACD:in"), ("F", "AVAIL")];
        let table = StateTable::new(rows.map(|(code, text)| (code.to_owned(), StateCode::parse(text).unwrap())));
        let cases = [
            (doing(Mode::Aux, Direction::None, false, 3), Some("A3")),
            (doing(Mode::Aux, Direction::None, false, 7), Some("A")),
            (doing(Mode::Dacd, Direction::In, false, 0), Some("T")),
            (doing(Mode::Other, Direction::None, false, 0), Some("F")),
            (doing(Mode::Unstaff, Direction::None, false, 0), None),
        ];
        for (agent, code) in cases {
            assert_eq!(state(&table, &agent).map(|found| found.0), code);
        }
    }

    #[test]
    fn simple_patterns_have_a_text() {
        let cases =
            [("^END", Some("END")), (r"^-- end\.$", Some("-- end.")), ("^END.*$", Some("END")), (r"^\d+$", None)];
        for (pattern, text) in cases {
            assert_eq!(marker(pattern).as_deref(), text, "{pattern}");
        }
    }
}
