//! What a record does to an agent: nothing, a remembered log-out, or a transition (rules 1, 4, 5, 8, 9).

use crate::time::Timestamp;
use crate::wire::states::Mode;

use super::Tracker;
use super::agent::{Agent, KnownState, OpenRecord, ToldStart};
use super::agent_state::AgentState;
use super::brief::Wait;
use super::event::{AgentEvent, Cause, Evidence, Output, Previous};
use super::settings::FeedMode;
use super::since::{self, BeginningContext, Quality, RecordTime, StateBeginning};
use super::table::AgentIndex;

/// A transition that is about to be made.
#[derive(Clone, Debug)]
pub(super) struct Transition {
    pub(super) cause: Cause,
    pub(super) evidence: Option<Evidence>,
    pub(super) known: KnownState,
    pub(super) after_gap: bool,
    pub(super) observed_at: Timestamp,
    /// Last record in the state that ends.
    pub(super) last_seen: Timestamp,
}

/// What a record says about time.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenTime<'a> {
    pub(super) time: RecordTime,
    pub(super) start: StartText<'a>,
}

impl SeenTime<'_> {
    /// Returns the `state_start`, where its text differs from the known one.
    pub(super) fn new_start(&self, known: Option<&[u8]>) -> Option<Box<ToldStart>> {
        let StartText::Told(text) = self.start else { return None };
        let at = self.time.times.state_start.filter(|_| known != Some(text))?;
        Some(Box::new(ToldStart { text: text.into(), at, taken: at.min(self.time.received_at) }))
    }
}

/// The column `state_start` of a record.
#[derive(Clone, Copy, Debug)]
pub(super) enum StartText<'a> {
    /// The layout has none, or it is null.
    Null,
    /// The same as the agent's previous record has.
    AsBefore,
    Told(&'a [u8]),
}

/// What became of a valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordOutcome {
    /// It is an event.
    Event,
    /// It is not an event.
    Same,
    /// The end of its snapshot decides.
    Undecided,
}

/// What a state is to what is known of its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// They were logged out, and are.
    StillLoggedOut,
    /// It is the known state: the same set of skills in another order, or another spelling that is not part of the state.
    Nothing,
    /// Nothing was known, and they are logged out.
    FoundLoggedOut,
    /// It is an event.
    Event(Cause, StateBeginning),
}

impl Change {
    fn of(agent: &Agent, state: &AgentState, is_snapshot_mode: bool) -> Self {
        let is_logged_out = state.mode.is_logged_out();
        let Some(known) = &agent.known else {
            let logs_in = state.mode == Mode::Logon || (is_snapshot_mode && agent.was_absent);
            return match (is_logged_out, logs_in) {
                (true, _) => Self::FoundLoggedOut,
                (false, true) => Self::Event(Cause::LoggedIn, StateBeginning::FirstSight),
                (false, false) => Self::Event(Cause::Observed, StateBeginning::FirstSight),
            };
        };
        match (known.is_logged_in(), is_logged_out) {
            (false, true) => Self::StillLoggedOut,
            _ if known.state.is_same(state) => Self::Nothing,
            (false, false) => Self::Event(Cause::LoggedIn, StateBeginning::FirstSight),
            (true, true) => Self::Event(Cause::LoggedOut, StateBeginning::NewMode),
            (true, false) => {
                let is_new_mode = known.state.mode != state.mode || known.state.direction != state.direction;
                let beginning = if is_new_mode { StateBeginning::NewMode } else { StateBeginning::SameMode };
                let cause = if state.mode == Mode::Logon { Cause::LoggedIn } else { Cause::Changed };
                Self::Event(cause, beginning)
            }
        }
    }
}

/// Returns the quality of a beginning that nothing gives exactly.
pub(super) const fn inferred(after_gap: bool) -> Quality {
    if after_gap { Quality::AfterGap } else { Quality::WithinRefresh }
}

impl Tracker {
    /// Whether what is taken from this agent now is the first news after a gap; from now on it is not. `first_snapshot`:
    /// whether the record's snapshot is the first one after a gap.
    pub(super) fn note_taken(&mut self, index: AgentIndex, first_snapshot: bool, at: Timestamp) -> bool {
        let is_snapshot_mode = self.settings.fixed.mode == FeedMode::Snapshot;
        let gap = self.gap.number();
        let agent = self.table.get_mut(index);
        let is_first = agent.gap < gap;
        if is_first {
            agent.was_logged_in = agent.is_logged_in();
            agent.gap = gap;
        }
        agent.seen_before = agent.last_seen;
        agent.last_seen = at;
        let was_logged_in = agent.was_logged_in;
        if !is_snapshot_mode {
            self.mark_changed(index);
        }
        if was_logged_in || !is_snapshot_mode { is_first } else { gap > 0 && first_snapshot }
    }

    /// Takes a state that need not wait, or no longer.
    pub(super) fn take(
        &mut self,
        index: AgentIndex,
        state: AgentState,
        seen: &SeenTime<'_>,
        first_snapshot: bool,
        out: &mut Vec<Output>,
    ) -> RecordOutcome {
        let time = seen.time;
        self.tally.note_time(&time);
        let after_gap = self.note_taken(index, first_snapshot, time.received_at);
        let is_snapshot_mode = self.settings.fixed.mode == FeedMode::Snapshot;
        let waited = self.conclude_brief(index, &state, seen, after_gap, out);
        let absorbed = match waited {
            Wait::GoesOn => return RecordOutcome::Same,
            Wait::Published => {
                self.table.get_mut(index).settled = true;
                self.begin_state(index, seen, after_gap);
                return RecordOutcome::Event;
            }
            Wait::Absorbed(absorbed) => Some(absorbed),
            Wait::Nothing => None,
        };
        let after_gap = after_gap || absorbed.is_some_and(|absorbed| absorbed.after_gap);
        let agent = self.table.get_mut(index);
        agent.settled = true;
        let (cause, beginning) = match Change::of(agent, &state, is_snapshot_mode) {
            Change::StillLoggedOut => return self.same_state(index, None, seen, after_gap, out),
            Change::Nothing if absorbed.is_some() => {
                // They are where they were before: when that began anew does not count.
                self.begin_state(index, seen, after_gap);
                self.note_spelling(index, state);
                return RecordOutcome::Same;
            }
            Change::Nothing => return self.same_state(index, Some(state), seen, after_gap, out),
            Change::FoundLoggedOut => {
                self.remember_logged_out(index, &state, seen);
                return RecordOutcome::Same;
            }
            // What came between was another mode, or another log-in.
            Change::Event(cause, StateBeginning::SameMode) if absorbed.is_some() => (cause, StateBeginning::NewMode),
            Change::Event(cause, beginning) => (cause, beginning),
        };
        let not_before = agent.known.as_ref().map(|known| known.state_since);
        let context = BeginningContext {
            beginning,
            not_before,
            after_gap,
            observed: cause == Cause::Observed,
            has_reason: state.aux_reason.is_some(),
        };
        let (state_since, quality) = since::state_since(&time, &context);
        let last_seen = absorbed.map_or(agent.seen_before, |absorbed| absorbed.last_seen);
        let (state, evidence) = match cause {
            Cause::LoggedOut => (AgentState::logged_out(&state.raw_state), Some(Evidence::Row)),
            _ => (state, None),
        };
        self.begin_state(index, seen, after_gap);
        let known = KnownState { state, state_since, quality };
        let observed_at = time.received_at;
        let transition = Transition { cause, evidence, known, after_gap, observed_at, last_seen };
        let is_published = self.publish_or_wait(index, transition, time.times, out);
        if is_published { RecordOutcome::Event } else { RecordOutcome::Same }
    }

    /// Begins another state with a record, which is all that is known of its start.
    fn begin_state(&mut self, index: AgentIndex, seen: &SeenTime<'_>, after_gap: bool) {
        let is_at_once = self.settings.fixed.mode == FeedMode::Event;
        let has_times = self.layout.has_times();
        let agent = self.table.get_mut(index);
        agent.forget_start();
        if !has_times {
            return;
        }
        agent.open = Some(OpenRecord { time: seen.time, after_gap, new_start: seen.new_start(None) });
        if is_at_once {
            self.remember_open(index, true);
        }
    }

    /// Takes the known state again: was it left in between? That shows at the end of the snapshot, in event mode at once.
    /// `spelled` is the state as the record spells it, where that may differ from the previous record.
    pub(super) fn same_state(
        &mut self,
        index: AgentIndex,
        spelled: Option<AgentState>,
        seen: &SeenTime<'_>,
        after_gap: bool,
        out: &mut Vec<Output>,
    ) -> RecordOutcome {
        if let Some(spelled) = spelled {
            self.note_spelling(index, spelled);
        }
        if self.layout.has_times() {
            self.replace_open(index, seen, after_gap);
        }
        if !self.layout.computes_start() {
            return RecordOutcome::Same;
        }
        if self.settings.fixed.mode == FeedMode::Event {
            let is_reentered = self.reenter_at_once(index, out);
            return if is_reentered { RecordOutcome::Event } else { RecordOutcome::Same };
        }
        // Should the snapshot be cut off, it may be all that is known of the start.
        self.note_open(index);
        if self.table.get(index).is_logged_in() { RecordOutcome::Undecided } else { RecordOutcome::Same }
    }

    /// The last record spells the known state so.
    fn note_spelling(&mut self, index: AgentIndex, spelled: AgentState) {
        let agent = self.table.get_mut(index);
        if let Some(known) = &agent.known {
            agent.spelled = (!known.state.is_spelled_as(&spelled)).then(|| Box::new(spelled));
        }
    }

    fn remember_logged_out(&mut self, index: AgentIndex, state: &AgentState, seen: &SeenTime<'_>) {
        let context = BeginningContext {
            beginning: StateBeginning::FirstSight,
            not_before: None,
            after_gap: false,
            observed: true,
            has_reason: false,
        };
        let (state_since, quality) = since::state_since(&seen.time, &context);
        self.begin_state(index, seen, false);
        let agent = self.table.get_mut(index);
        agent.known = Some(KnownState { state: AgentState::logged_out(&state.raw_state), state_since, quality });
        self.mark_changed(index);
    }

    /// Returns the agent's known state under a new mapping.
    pub fn remapped(&mut self, index: AgentIndex, at: Timestamp) -> Option<AgentEvent> {
        let known = self.table.get(index).known.clone()?;
        self.mark_changed(index);
        let agent = self.table.get_mut(index);
        agent.sequence += 1;
        let previous =
            Previous { state: known.state.clone(), state_since: known.state_since, last_seen: agent.last_seen };
        Some(AgentEvent { previous: Some(previous), ..agent.event(index, known, Cause::Remapped, at) })
    }

    /// Makes the transition and reports it.
    pub(super) fn emit(&mut self, index: AgentIndex, transition: Transition, out: &mut Vec<Output>) {
        let Transition { cause, evidence, known, after_gap, observed_at, last_seen } = transition;
        let agent = self.table.get_mut(index);
        agent.sequence += 1;
        let was_logged_in = agent.is_logged_in();
        let is_logged_in = known.is_logged_in();
        let mut known = known;
        known.state.extension = agent.ride_along.extension.clone().filter(|extension| !extension.is_empty());
        let before = agent.known.replace(known.clone());
        let previous =
            before.map(|before| Previous { state: before.state, state_since: before.state_since, last_seen });
        let event = AgentEvent { evidence, previous, after_gap, ..agent.event(index, known, cause, observed_at) };
        self.table.count_login(was_logged_in, is_logged_in);
        if is_logged_in && !was_logged_in {
            self.attend(index);
        }
        self.recount(index);
        self.mark_changed(index);
        out.push(Output::Agent(Box::new(event)));
    }
}
