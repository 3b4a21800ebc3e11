//! What agents are doing, for planners: as counts, without names.
//!
//! In AUX by reason, and by the activity that they are mapped to. Counted as events are taken; told every few seconds. Series
//! are bounded: reasons above [`MOST_REASON`] are one, and so are activities beyond [`MOST_ACTIVITIES`], counted over all
//! versions of the mapping since the start, since a series that was exported once cannot be taken back. Cost: two counts per
//! event, and a gauge per series and look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::mapping::annotate::Annotation;
use crate::mapping::tables::Activity;
use crate::telemetry::feed_metrics::FeedMetrics;
use crate::tracker::event::AgentEvent;
use crate::wire::states::Mode;

/// The largest AUX reason with a series of its own: the largest that CMS has.
pub(super) const MOST_REASON: u32 = 99;
/// Most activities with a series of their own.
pub(super) const MOST_ACTIVITIES: usize = 200;

/// The id of what is none of the mapping's activities.
const NO_ID: &str = "-";

/// What one agent is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doing {
    /// In AUX: the reason.
    reason: Option<Reason>,
    /// `None` for agents who are logged out and not mapped, as most centres have them.
    activity: Option<Counted>,
}

/// A reason for AUX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Number(u32),
    /// Above [`MOST_REASON`].
    Above,
    /// The feed does not tell.
    Unknown,
}

impl Reason {
    fn label(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Above => "above".to_owned(),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}

/// An activity that is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    Activity(ByName),
    /// There is none for what the agent is doing.
    Unmapped,
}

/// An activity, in the order of its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ByName(Arc<Activity>);

impl ByName {
    fn texts(&self) -> (&str, &str) {
        (&self.0.activity_id, &self.0.activity_name)
    }
}

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.texts().cmp(&other.texts())
    }
}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Doing {
    /// Returns what the agent of an event is doing since.
    pub(super) fn of(event: &AgentEvent, annotation: &Annotation) -> Self {
        let state = &event.state;
        let reason = (state.mode == Mode::Aux).then_some(match state.aux_reason {
            Some(number) if number <= MOST_REASON => Reason::Number(number),
            Some(_) => Reason::Above,
            None => Reason::Unknown,
        });
        let activity = match &annotation.activity {
            Some(activity) => Some(Counted::Activity(ByName(Arc::clone(activity)))),
            None => (!state.mode.is_logged_out()).then_some(Counted::Unmapped),
        };
        Self { reason, activity }
    }
}

/// How many agents do what.
#[derive(Debug, Default)]
pub(super) struct Doings {
    reasons: BTreeMap<Reason, usize>,
    activities: BTreeMap<Counted, usize>,
}

impl Doings {
    /// Replaces what an agent was doing.
    pub(super) fn replace(&mut self, before: Option<&Doing>, after: Option<&Doing>) {
        if before == after {
            return;
        }
        replace(&mut self.reasons, before.and_then(|doing| doing.reason), after.and_then(|doing| doing.reason));
        let activity = |doing: Option<&Doing>| doing.and_then(|doing| doing.activity.clone());
        replace(&mut self.activities, activity(before), activity(after));
    }
}

fn replace<K: Ord>(counts: &mut BTreeMap<K, usize>, before: Option<K>, after: Option<K>) {
    if let Some(after) = after {
        *counts.entry(after).or_default() += 1;
    }
    let Some(before) = before else { return };
    if let Some(count) = counts.get_mut(&before) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&before);
        }
    }
}

/// The series that were told of: they are told of again when nobody is left.
#[derive(Debug, Default)]
pub(super) struct DoingsShown {
    reasons: BTreeSet<Reason>,
    activities: BTreeSet<ByName>,
    /// There was no room for one.
    others: bool,
}

impl DoingsShown {
    /// Tells how many do what.
    pub(super) fn tell(&mut self, doings: &Doings, metrics: &FeedMetrics) {
        self.reasons.extend(doings.reasons.keys());
        for reason in &self.reasons {
            metrics.in_aux_by_reason(&reason.label(), doings.reasons.get(reason).copied().unwrap_or(0));
        }
        let (mut unmapped, mut others) = (0, 0);
        for (counted, count) in &doings.activities {
            match counted {
                Counted::Unmapped => unmapped = *count,
                Counted::Activity(activity) if self.has_room_for(activity) => {
                    self.activities.insert(activity.clone());
                }
                Counted::Activity(_) => others += count,
            }
        }
        for shown in &self.activities {
            let count = doings.activities.get(&Counted::Activity(shown.clone())).copied().unwrap_or(0);
            let (id, name) = shown.texts();
            metrics.by_activity(id, name, count);
        }
        metrics.by_activity(NO_ID, "unmapped", unmapped);
        self.others |= others > 0;
        if self.others {
            metrics.by_activity(NO_ID, "other", others);
        }
    }

    fn has_room_for(&self, activity: &ByName) -> bool {
        self.activities.len() < MOST_ACTIVITIES || self.activities.contains(activity)
    }
}

#[cfg(test)]
#[path = "doing_tests.rs"]
mod tests;
