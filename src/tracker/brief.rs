//! Brief states and brief log-outs: published only once they have lasted (`short_states`, `logout_hold`).
//!
//! A state in a mode of `short_states` waits: nothing is published, and what was known of the agent stays known. If it has lasted
//! as long as is asked for, it is published as it would have been at once, with its true start, before whatever follows. If it
//! has not, it is as if it had not been: its predecessor goes on until the next state begins. A log-out waits likewise for
//! `logout_hold`; who logs in again before that has changed skills at most.
//!
//! *Lasted* is what was seen to last: up to a record that still shows the state, or up to the next one where the feed tells
//! exactly when that began. In the modes `delta` and `event` what does not change does not come again, so that there time passes for a state
//! that was seen since the last gap. A log-out has happened, whatever comes: it is published when its time is over.
//!
//! Cost: nothing for an agent in whom nothing waits, besides the look whether something does where a record is decoded.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::time::Timestamp;
use crate::wire::record::Times;
use crate::wire::states::Mode;

use super::Tracker;
use super::agent::{Agent, KnownState};
use super::agent_state::AgentState;
use super::event::{Cause, Evidence, Output};
use super::held::{Held, HeldState};
use super::saved::SavedBrief;
use super::settings::{FeedMode, Thresholds};
use super::since::{self, BeginningContext, Quality, RecordTime, StateBeginning};
use super::table::AgentIndex;
use super::transition::{SeenTime, Transition};

/// A transition that waits.
#[derive(Clone, Debug)]
pub(super) struct Brief {
    transition: Transition,
    /// When it will have lasted for long enough.
    due: Timestamp,
    /// The last record that shows it.
    seen: RecordTime,
    /// The gap after which that came; `None` where it is from before the start.
    gap: Option<u32>,
    /// It began after a gap, or there was one meanwhile.
    is_over_gap: bool,
}

/// Who waits for a time, in its order; some no longer do.
#[derive(Debug, Default)]
pub(super) struct Brevity {
    due: BTreeSet<(Timestamp, AgentIndex)>,
    /// Those whose time was over while something else of theirs waited for the end of the open snapshot: that is older.
    undecided: Vec<(Timestamp, AgentIndex)>,
    /// When the last snapshot ended: what it held is older.
    snapshot_ended: Timestamp,
    absorbed: BriefCounts,
}

/// How many were too brief to be published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BriefCounts {
    /// States of `short_states`.
    pub states: u64,
    /// Log-outs, by `logout_hold`.
    pub logouts: u64,
}

/// What became of what waited when a record came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing waited, or it was published.
    Nothing,
    /// It goes on.
    GoesOn,
    /// It was published with this record.
    Published,
    /// It was too brief.
    Absorbed(Absorbed),
}

/// What is left of a transition that was too brief: whatever follows reaches back to what it followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Absorbed {
    /// The last record of what it followed.
    pub(super) last_seen: Timestamp,
    /// A gap lies behind that.
    pub(super) after_gap: bool,
}

impl Brief {
    const fn is_logout(&self) -> bool {
        !self.transition.known.is_logged_in()
    }

    const fn state(&self) -> &AgentState {
        &self.transition.known.state
    }

    /// Returns the last record that shows it, as a row of its snapshot.
    pub(super) fn as_row(&self) -> HeldState {
        HeldState { state: self.state().clone(), time: self.seen, start_text: None }
    }

    const fn since(&self) -> Timestamp {
        self.transition.known.state_since
    }

    pub(super) fn to_remember(&self) -> SavedBrief {
        let Transition { cause, evidence, known, after_gap, observed_at, last_seen } = self.transition.clone();
        SavedBrief { cause, evidence, known, after_gap, observed_at, last_seen, seen: self.seen.received_at }
    }
}

impl Brevity {
    /// Notes when time alone may show that it has lasted.
    fn note_due(&mut self, mode: FeedMode, index: AgentIndex, brief: &Brief) {
        if brief.is_logout() || mode != FeedMode::Snapshot {
            self.due.insert((brief.due, index));
        }
    }
}

impl Agent {
    /// Whether they are logged in and no log-out of theirs waits, or a state waits by way of which they log in.
    pub(super) fn is_there(&self) -> bool {
        self.brief.as_ref().map_or(self.is_logged_in(), |brief| !brief.is_logout())
    }
}

impl Thresholds {
    /// Returns for how long a transition has to last.
    fn least(&self, state: &AgentState) -> Duration {
        match state.mode {
            Mode::Unstaff | Mode::Logoff => self.logout_hold,
            mode => self.short_states.of(mode),
        }
    }
}

impl Tracker {
    /// How many were too brief to be published.
    pub const fn absorbed(&self) -> BriefCounts {
        self.brevity.absorbed
    }

    /// A record shows `state`, as the first news after a gap or not. What waits of its agent goes on, is published or is absorbed.
    pub(super) fn conclude_brief(
        &mut self,
        index: AgentIndex,
        state: &AgentState,
        seen: &SeenTime<'_>,
        after_gap: bool,
        out: &mut Vec<Output>,
    ) -> Wait {
        let Some(mut brief) = self.table.get_mut(index).brief.take() else { return Wait::Nothing };
        let at = seen.time.received_at;
        if brief.is_logout() && at >= brief.due {
            self.publish_brief(index, *brief, out);
            return Wait::Nothing;
        }
        let goes_on = match brief.is_logout() {
            // That they log in is not yet what they do.
            true => state.mode.is_logged_out() || state.mode == Mode::Logon,
            false => brief.state().is_same(state) && !self.has_begun_again(&brief, seen),
        };
        if goes_on && at < brief.due {
            brief.seen = seen.time;
            brief.gap = Some(self.gap.number());
            brief.is_over_gap |= after_gap;
            self.table.get_mut(index).brief = Some(brief);
            self.mark_changed(index);
            return Wait::GoesOn;
        }
        if goes_on {
            self.publish_brief(index, *brief, out);
            return Wait::Published;
        }
        let lasted_until = self.exact_beginning(&brief, state, seen).unwrap_or(brief.seen.received_at);
        self.end_brief(index, *brief, lasted_until, out)
    }

    /// What waits of an agent ends, having lasted until then.
    fn end_brief(&mut self, index: AgentIndex, brief: Brief, lasted_until: Timestamp, out: &mut Vec<Output>) -> Wait {
        if !brief.is_logout() && lasted_until >= brief.due {
            self.publish_brief(index, brief, out);
            return Wait::Nothing;
        }
        let agent = self.table.get_mut(index);
        // Where the record before it began says nothing about the one behind it.
        agent.forget_start();
        let absorbed = Absorbed { last_seen: brief.transition.last_seen, after_gap: brief.is_over_gap };
        self.mark_changed(index);
        if brief.is_logout() {
            self.brevity.absorbed.logouts += 1;
            self.attend(index);
        } else {
            self.brevity.absorbed.states += 1;
        }
        Wait::Absorbed(absorbed)
    }

    /// An agent leaves without a record, from that time on. Returns what is left of what waited, where it was too brief.
    pub(super) fn end_brief_by_absence(&mut self, index: AgentIndex, out: &mut Vec<Output>) -> Option<Absorbed> {
        let brief = self.table.get_mut(index).brief.take()?;
        let seen = brief.seen.received_at;
        match self.end_brief(index, *brief, seen, out) {
            Wait::Absorbed(absorbed) => Some(absorbed),
            Wait::Nothing | Wait::GoesOn | Wait::Published => None,
        }
    }

    /// A state was left and entered again while it waited.
    fn has_begun_again(&self, brief: &Brief, seen: &SeenTime<'_>) -> bool {
        let tolerance = self.settings.thresholds.restart_tolerance;
        let start = seen.time.times.state_start.or_else(|| seen.time.start_by_duration());
        start.is_some_and(|start| start > brief.since().plus(tolerance))
    }

    /// Returns when `state` began, where the feed tells that.
    fn exact_beginning(&self, brief: &Brief, state: &AgentState, seen: &SeenTime<'_>) -> Option<Timestamp> {
        let context = BeginningContext {
            beginning: StateBeginning::NewMode,
            not_before: Some(brief.since()),
            after_gap: brief.gap != Some(self.gap.number()),
            observed: false,
            has_reason: state.aux_reason.is_some(),
        };
        let (since, quality) = since::state_since(&seen.time, &context);
        (quality == Quality::Exact && !state.mode.is_logged_out()).then_some(since)
    }

    /// Publishes a transition, or lets it wait until it has lasted. True if it was published.
    /// `times` is what the record says that shows it.
    pub(super) fn publish_or_wait(
        &mut self,
        index: AgentIndex,
        transition: Transition,
        times: Times,
        out: &mut Vec<Output>,
    ) -> bool {
        let least = self.settings.thresholds.least(&transition.known.state);
        let due = transition.known.state_since.plus(least);
        // Where time alone shows that it has lasted, it counts up to the end of the snapshot that held it.
        let time_counts = !transition.known.is_logged_in() || self.settings.fixed.mode != FeedMode::Snapshot;
        let held_until = if time_counts { self.brevity.snapshot_ended } else { transition.observed_at };
        if least.is_zero() || due <= transition.observed_at.max(held_until) {
            self.emit(index, transition, out);
            return true;
        }
        let seen = RecordTime { received_at: transition.observed_at, times };
        let gap = Some(self.gap.number());
        let is_over_gap = transition.after_gap;
        self.wait(index, Brief { transition, due, seen, gap, is_over_gap });
        false
    }

    fn wait(&mut self, index: AgentIndex, brief: Brief) {
        self.brevity.note_due(self.settings.fixed.mode, index, &brief);
        let agent = self.table.get_mut(index);
        agent.settled = false;
        agent.forget_start();
        agent.brief = Some(Box::new(brief));
        if agent.is_there() {
            // Whoever logs in by way of it can be absent before anything of them is published.
            self.attend(index);
        }
        self.mark_changed(index);
    }

    fn publish_brief(&mut self, index: AgentIndex, brief: Brief, out: &mut Vec<Output>) {
        self.emit(index, brief.transition, out);
    }

    /// A snapshot ends.
    pub(super) const fn snapshot_ends(&mut self, at: Timestamp) {
        self.brevity.snapshot_ended = at;
    }

    /// Whether everybody who is logged in has logged out, and that waits. Looks at all whose log-outs do.
    pub(super) fn all_leave(&self) -> bool {
        let leaves = |(due, index): &&(Timestamp, AgentIndex)| {
            self.table.get(*index).brief.as_ref().is_some_and(|brief| brief.is_logout() && brief.due == *due)
        };
        self.brevity.due.iter().filter(leaves).count() >= self.table.logged_in()
    }

    /// Returns when the next one will have lasted for long enough.
    pub(super) fn brief_due(&self) -> Option<Timestamp> {
        self.brevity.due.first().map(|(due, _)| *due)
    }

    /// The first one may have lasted for long enough.
    pub(super) fn look_at_brief(&mut self, out: &mut Vec<Output>) {
        let Some((due, index)) = self.brevity.due.pop_first() else { return };
        if matches!(self.table.get(index).held, Held::Nothing) {
            self.publish_if_lasted(index, due, out);
        } else {
            self.brevity.undecided.push((due, index));
        }
    }

    /// What waited for the end of a snapshot was taken or dropped: what goes on in spite of that has lasted.
    pub(super) fn decide_briefs(&mut self, out: &mut Vec<Output>) {
        for (due, index) in std::mem::take(&mut self.brevity.undecided) {
            self.publish_if_lasted(index, due, out);
        }
    }

    /// Publishes what waits of an agent until that time, which has come.
    fn publish_if_lasted(&mut self, index: AgentIndex, due: Timestamp, out: &mut Vec<Output>) {
        let gap = self.gap.number();
        // After a gap it takes a record to know that a state has lasted.
        let has_lasted = |brief: &Brief| brief.due == due && (brief.is_logout() || brief.gap == Some(gap));
        if let Some(brief) = self.table.get_mut(index).brief.take_if(|brief| has_lasted(brief)) {
            self.publish_brief(index, *brief, out);
        }
    }

    /// Goes on with what waited in another tracker.
    pub(super) fn restore_brief(&mut self, index: AgentIndex, saved: Option<SavedBrief>) {
        self.table.get_mut(index).brief = None;
        let Some(saved) = saved else { return };
        let SavedBrief { cause, evidence, known, after_gap, observed_at, last_seen, seen } = saved;
        let due = known.state_since.plus(self.settings.thresholds.least(&known.state));
        let transition = Transition { cause, evidence, known, after_gap, observed_at, last_seen };
        let seen = RecordTime { received_at: seen, times: Times::default() };
        // The next record is the first after a gap in any case: the restart.
        let brief = Brief { transition, due, seen, gap: None, is_over_gap: after_gap };
        self.brevity.note_due(self.settings.fixed.mode, index, &brief);
        self.table.get_mut(index).brief = Some(Box::new(brief));
    }

    /// Nobody knows what the agent does from now on: what waits of them is over. True if they have logged out.
    pub(super) fn give_up_brief(&mut self, index: AgentIndex, out: &mut Vec<Output>) -> bool {
        let Some(brief) = self.table.get_mut(index).brief.take() else { return false };
        let is_logout = brief.is_logout();
        if is_logout {
            self.publish_brief(index, *brief, out);
        } else {
            let seen = brief.seen.received_at;
            self.end_brief(index, *brief, seen, out);
        }
        is_logout
    }
}

/// Returns the transition of a log-out by absence.
pub(super) fn absent(since: Timestamp, after_gap: bool, at: Timestamp, last_seen: Timestamp) -> Transition {
    let known = KnownState {
        state: AgentState::logged_out(""),
        state_since: since,
        quality: super::transition::inferred(after_gap),
    };
    let evidence = Some(Evidence::Absence);
    Transition { cause: Cause::LoggedOut, evidence, known, after_gap, observed_at: at, last_seen }
}
