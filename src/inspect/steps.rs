//! What an agent did on purpose, and when: the surest evidence.
//!
//! Somebody logs in, goes through the states one after the other, and writes down when. What the agent's records say between
//! one step and the next is what the feed calls that state.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Timestamp;
use crate::wire::states::{Direction, Mode, StateCode};

use super::table::Table;

/// One step of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it was taken.
    pub at: Timestamp,
    /// Who took it.
    pub login_id: String,
    /// What it was.
    pub action: Action,
}

/// What an agent does in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Logs in, and leaves the phone alone.
    Login,
    /// Goes to AUX with that reason.
    Aux(u32),
    /// Becomes available.
    Available,
    /// Lets an ACD call ring.
    Ring,
    /// Takes an ACD call.
    CallIn,
    /// Puts it on hold and does nothing else.
    Hold,
    /// Calls somebody.
    CallOut,
    /// Does after-call work.
    Acw,
    /// Takes a call that was for this agent only.
    DirectCall,
    /// Does the work after it.
    DirectAcw,
    /// Logs out.
    Logout,
}

/// Why a file of steps is none.
#[derive(Debug, thiserror::Error)]
pub enum StepsError {
    /// The file is no CSV of that form.
    #[error("line {line}: expected the columns time, login_id and step")]
    Form {
        /// Counted from 1.
        line: u64,
    },
    /// The time is none.
    #[error("line {line}: {text:?} is no time: write 2026-01-05T08:00:00Z, or another offset")]
    Time {
        /// Counted from 1.
        line: u64,
        /// What stands there.
        text: String,
    },
    /// The step is none of those that are known.
    #[error(
        "line {line}: unknown step {text:?}: expected login, aux 1 (or another number), available, ring, call in, hold, call out, acw, direct call, direct acw or logout"
    )]
    Step {
        /// Counted from 1.
        line: u64,
        /// What stands there.
        text: String,
    },
    /// There is no step in it.
    #[error("there is no step in it")]
    Empty,
}

impl Action {
    /// Returns what the step is called.
    pub fn name(self) -> String {
        match self {
            Self::Aux(reason) => format!("aux {reason}"),
            Self::Login => "login".to_owned(),
            Self::Available => "available".to_owned(),
            Self::Ring => "ring".to_owned(),
            Self::CallIn => "call in".to_owned(),
            Self::Hold => "hold".to_owned(),
            Self::CallOut => "call out".to_owned(),
            Self::Acw => "acw".to_owned(),
            Self::DirectCall => "direct call".to_owned(),
            Self::DirectAcw => "direct acw".to_owned(),
            Self::Logout => "logout".to_owned(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        if let Some(reason) = text.strip_prefix("aux") {
            return reason.trim().parse().ok().map(Self::Aux);
        }
        let plain = [
            Self::Login,
            Self::Available,
            Self::Ring,
            Self::CallIn,
            Self::Hold,
            Self::CallOut,
            Self::Acw,
            Self::DirectCall,
            Self::DirectAcw,
            Self::Logout,
        ];
        plain.into_iter().find(|action| action.name() == text)
    }

    /// Returns the state that a report shows after it, `previous` being the step before. `None` where that is not certain.
    pub(super) fn state(self, previous: Option<Self>) -> Option<StateCode> {
        let code = |mode, direction| StateCode { mode, direction, on_hold: false, aux_reason: None };
        Some(match self {
            Self::Login => return None,
            Self::Aux(reason) => StateCode { aux_reason: Some(reason), ..code(Mode::Aux, Direction::None) },
            Self::Available => code(Mode::Avail, Direction::None),
            Self::Ring => code(Mode::Ring, Direction::None),
            Self::CallIn => code(Mode::Acd, Direction::In),
            // A held call with nothing else active. The mode is that of dialling too, so it does not say that a call is held.
            Self::Hold => code(Mode::Other, Direction::None),
            Self::CallOut => StateCode { on_hold: previous == Some(Self::Hold), ..code(Mode::Aux, Direction::Out) },
            Self::Acw => code(Mode::Acw, Direction::None),
            Self::DirectCall => code(Mode::Dacd, Direction::In),
            Self::DirectAcw => code(Mode::Dacw, Direction::None),
            Self::Logout => code(Mode::Unstaff, Direction::None),
        })
    }
}

/// Reads a CSV file with the header `time,login_id,step`.
///
/// # Errors
/// What is wrong with it, and in which line.
pub fn parse(text: &str) -> Result<Vec<Step>, StepsError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|_| StepsError::Form { line: 1 })?.clone();
    let position = |name: &str| header.iter().position(|title| title.trim_start_matches('\u{feff}') == name);
    let (Some(time), Some(login), Some(step)) = (position("time"), position("login_id"), position("step")) else {
        return Err(StepsError::Form { line: 1 });
    };
    let mut steps = Vec::new();
    for record in reader.records() {
        let record =
            record.map_err(|error| StepsError::Form { line: error.position().map_or(0, csv::Position::line) })?;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |index: usize| record.get(index).ok_or(StepsError::Form { line });
        let at = Timestamp::parse_rfc3339(field(time)?)
            .map_err(|_| StepsError::Time { line, text: record.get(time).unwrap_or_default().to_owned() })?;
        let action = Action::parse(field(step)?)
            .ok_or_else(|| StepsError::Step { line, text: record.get(step).unwrap_or_default().to_owned() })?;
        steps.push(Step { at, login_id: field(login)?.to_owned(), action });
    }
    if steps.is_empty() {
        return Err(StepsError::Empty);
    }
    steps.sort_by_key(|step| step.at);
    Ok(steps)
}

/// What the records of an agent said after a step.
#[derive(Clone, Debug)]
pub(super) struct Seen<'a> {
    pub(super) action: Action,
    pub(super) previous: Option<Action>,
    /// The row that speaks for the step; `None`: no record of the agent came until the next step.
    pub(super) cells: Option<Vec<&'a [u8]>>,
}

/// Returns what was seen after each step, in the order of the agents and of time. An agent is found by the login id as the
/// column `login` has it.
pub(super) fn seen<'a>(table: &Table<'a>, login: usize, steps: &[Step]) -> Vec<Seen<'a>> {
    let mut by_agent: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        by_agent.entry(&step.login_id).or_default().push(step);
    }
    let mut seen = Vec::new();
    for (login_id, steps) in by_agent {
        let rows: Vec<_> = table.rows.iter().filter(|row| row.cell(login) == login_id.as_bytes()).collect();
        for (number, step) in steps.iter().enumerate() {
            let until = steps.get(number + 1).map_or(step.at.plus(Duration::from_secs(60)), |next| next.at);
            let in_time = rows.iter().filter(|row| row.line.at.is_some_and(|at| step.at <= at && at < until));
            // A report is some seconds old, and so is what somebody writes down: the last but one speaks, if there is one.
            let in_time: Vec<_> = in_time.collect();
            let speaks = in_time.len().checked_sub(2).or_else(|| in_time.len().checked_sub(1));
            let cells = speaks.and_then(|index| in_time.get(index)).map(|row| row.cells.clone());
            let previous = number.checked_sub(1).and_then(|before| steps.get(before)).map(|step| step.action);
            seen.push(Seen { action: step.action, previous, cells });
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_in_the_order_of_time() {
        let text = "time,login_id,step\n2026-01-05T09:01:00+01:00, 0471 ,AUX 2\n2026-01-05T08:00:00Z,0471,call in\n";
        let steps: Vec<_> =
            parse(text).unwrap().into_iter().map(|step| (step.at.to_string(), step.login_id, step.action)).collect();
        let expected = [
            ("2026-01-05T08:00:00.000Z".to_owned(), "0471".to_owned(), Action::CallIn),
            ("2026-01-05T08:01:00.000Z".to_owned(), "0471".to_owned(), Action::Aux(2)),
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn broken_files_are_told_by_line() {
        let cases = [
            ("at,who,what\n", "line 1: expected the columns time, login_id and step"),
            ("time,login_id,step\n8 o'clock,1,login\n", "line 2: \"8 o'clock\" is no time"),
            ("time,login_id,step\n2026-01-05T08:00:00Z,1,lunch\n", "line 2: unknown step \"lunch\""),
            ("time,login_id,step\n", "there is no step in it"),
        ];
        for (text, message) in cases {
            let told = parse(text).unwrap_err().to_string();
            assert!(told.starts_with(message), "{told}");
        }
    }
}
