//! What the layout of a feed says about all of its records.

use crate::wire::plan::Plan;

/// What the tracker asks of the layout in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayoutFacts {
    merges_rows: bool,
    computes_start: bool,
    has_times: bool,
}

impl LayoutFacts {
    pub(super) const fn of(plan: &Plan) -> Self {
        Self { merges_rows: plan.merges_rows(), computes_start: plan.computes_start(), has_times: plan.has_times() }
    }

    /// Whether there is one row per agent and skill.
    #[inline]
    pub(super) const fn merges_rows(self) -> bool {
        self.merges_rows
    }

    /// Whether records say when the state began.
    #[inline]
    pub(super) const fn computes_start(self) -> bool {
        self.computes_start
    }

    /// Whether records say something about time.
    #[inline]
    pub(super) const fn has_times(self) -> bool {
        self.has_times
    }
}
