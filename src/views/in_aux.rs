//! How long agents have been in AUX: as counts, without names.
//!
//! A change of the reason, the direction or the mapping keeps the time in AUX; leaving it and coming back does not. For an
//! agent remembered from an earlier start only the last change is known: their time counts from there. Cost: a count per
//! beginning, and per look those that are long ago. Pure: time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Timestamp;
use crate::tracker::event::{AgentEvent, Cause};
use crate::wire::states::Mode;

/// Returns since when the agent of an event has been in AUX, given since when they were before it.
pub(super) fn since(event: &AgentEvent, before: Option<Timestamp>) -> Option<Timestamp> {
    if event.state.mode != Mode::Aux {
        return None;
    }
    let was_in_aux = event.previous.as_ref().filter(|previous| previous.state.mode == Mode::Aux);
    match was_in_aux {
        Some(previous) if event.cause != Cause::Reentered => Some(before.unwrap_or(previous.state_since)),
        _ => Some(event.state_since),
    }
}

/// How many agents went into AUX at which time, and are still there.
#[derive(Debug, Default)]
pub(super) struct InAux(BTreeMap<Timestamp, usize>);

impl InAux {
    /// Replaces an agent's time in AUX.
    pub(super) fn replace(&mut self, before: Option<Timestamp>, after: Option<Timestamp>) {
        if before == after {
            return;
        }
        if let Some(count) = before.and_then(|before| self.0.get_mut(&before)) {
            *count -= 1;
        }
        if let Some(before) = before.filter(|before| self.0.get(before) == Some(&0)) {
            self.0.remove(&before);
        }
        if let Some(after) = after {
            *self.0.entry(after).or_default() += 1;
        }
    }

    /// Returns the number of agents who have been there for longer.
    pub(super) fn longer_than(&self, duration: Duration, now: Timestamp) -> usize {
        self.0.range(..now.minus(duration)).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_as_long_is_not_longer_and_nothing_is_left_of_those_who_went() {
        let minute = |minute: i64| Timestamp::from_millis(minute * 60_000);
        let mut in_aux = InAux::default();
        for (before, after) in [(None, Some(0)), (None, Some(0)), (None, Some(5)), (Some(5), Some(5))] {
            in_aux.replace(before.map(minute), after.map(minute));
        }
        let longer_than_ten_minutes = |in_aux: &InAux, now| in_aux.longer_than(Duration::from_mins(10), minute(now));
        let counts = [9, 10, 11, 15, 16].map(|now| longer_than_ten_minutes(&in_aux, now));
        assert_eq!(counts, [0, 0, 2, 2, 3]);
        for (before, after) in [(0, Some(20)), (0, None), (5, None), (20, None)] {
            in_aux.replace(Some(minute(before)), after.map(minute));
        }
        assert!(in_aux.0.is_empty(), "{in_aux:?}");
    }
}
