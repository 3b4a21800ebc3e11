//! Since when an agent has been in a state, and how good that is (rule 5).

use std::time::Duration;

use crate::time::Timestamp;
use crate::wire::record::Times;

/// How well the beginning of a state is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// As the feed gives it.
    Exact,
    /// Some time between two refreshes.
    WithinRefresh,
    /// Some time in a gap.
    AfterGap,
}

/// What a record says about time, against the time of its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordTime {
    /// Receipt of its last byte.
    pub received_at: Timestamp,
    /// What the record itself says.
    pub times: Times,
}

impl RecordTime {
    /// Returns the time of the record, at most its receipt; and whether it is the one that the feed meant.
    fn base(&self) -> (Timestamp, bool) {
        match self.times.timestamp {
            Some(timestamp) => {
                let is_meant = timestamp <= self.received_at && !self.times.timestamp_is_unsure;
                (timestamp.min(self.received_at), is_meant)
            }
            None => (self.received_at, true),
        }
    }

    /// Returns when the state began by its duration, where the record has one.
    pub fn start_by_duration(&self) -> Option<Timestamp> {
        self.times.duration.map(|duration| self.base().0.minus(duration))
    }

    /// Returns how far ahead of our clock the feed's is, in seconds; negative when it is behind.
    pub fn clock_skew_seconds(&self) -> Option<f64> {
        let timestamp = self.times.timestamp?;
        #[allow(clippy::cast_precision_loss)] // microseconds of a skew
        let micros = (timestamp.as_micros() - self.received_at.as_micros()) as f64;
        Some(micros / 1e6)
    }
}

/// The kind of change whose beginning is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateBeginning {
    /// Nothing was known, or the agent was logged out.
    FirstSight,
    /// Mode or direction are new.
    NewMode,
    /// Something else of the state is new: the duration is not about that.
    SameMode,
    /// The same state again; the feed is late by so much.
    Again { delay: Duration },
}

/// Why and where a beginning is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct BeginningContext {
    pub(super) beginning: StateBeginning,
    /// The beginning of the previous state.
    pub(super) not_before: Option<Timestamp>,
    pub(super) after_gap: bool,
    /// The event's cause is OBSERVED.
    pub(super) observed: bool,
    /// The state is AUX with a reason, 0 included.
    pub(super) has_reason: bool,
}

/// Returns since when a state has lasted.
pub(super) fn state_since(time: &RecordTime, context: &BeginningContext) -> (Timestamp, Quality) {
    let (mut at, mut is_exact) = begun_at(time, context);
    if let Some(not_before) = context.not_before
        && at < not_before
    {
        at = not_before;
        is_exact = false;
    }
    let quality = match (is_exact, context.after_gap || context.observed) {
        (true, _) => Quality::Exact,
        (false, true) => Quality::AfterGap,
        (false, false) => Quality::WithinRefresh,
    };
    (at, quality)
}

/// Returns what the record says, and whether that is exact.
fn begun_at(time: &RecordTime, context: &BeginningContext) -> (Timestamp, bool) {
    if let Some(state_start) = time.times.state_start {
        let at = state_start.min(time.received_at);
        if context.not_before.is_none_or(|previous| at > previous) {
            return (at, at == state_start && !time.times.state_start_is_unsure);
        }
    }
    let (base, base_is_meant) = time.base();
    let delay = match context.beginning {
        StateBeginning::SameMode => return (base, false),
        StateBeginning::Again { delay } => delay,
        StateBeginning::FirstSight | StateBeginning::NewMode => Duration::ZERO,
    };
    let Some(duration) = time.times.duration else { return (base, false) };
    // The duration is AUX's, not the reason's: an agent seen for the first time may have changed the reason since.
    let is_of_the_mode_only =
        (context.beginning == StateBeginning::FirstSight || context.after_gap) && context.has_reason;
    (base.minus(duration).minus(delay), base_is_meant && !is_of_the_mode_only)
}
