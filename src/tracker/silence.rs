//! Silence: a gap, the end of the day, or a feed that is lost (rules 4 and 8).
//!
//! In mode `snapshot` a connection that says nothing for `stale_after` is in a gap. With `when_silent = "empty"` the same
//! silence is something else while few are logged in: the report is empty, and has no rows to send. Then it logs out
//! everybody who is left. It is never taken so where it may be a fault: after a snapshot that was cut off, after garbage, on
//! a connection that has sent nothing whole yet, while the link is down, or where it is unknown how often the report runs.

use std::time::Duration;

use crate::time::Timestamp;
use crate::wire::states::{Direction, Mode};

use super::Tracker;
use super::agent::{Agent, KnownState};
use super::agent_state::{AgentState, SkillList};
use super::crowd::Fate;
use super::event::{Cause, Output, StatusEvent, StatusKind};
use super::settings::{FeedMode, SnapshotEnd, WhenSilent};
use super::since::Quality;
use super::snapshot::{Snapshot, SnapshotEnding};
use super::table::AgentIndex;
use super::transition::Transition;

/// A silence that means that nobody is left lasts at least so many periods: one may be a late refresh.
const LEAST_PERIODS: u32 = 2;

/// What silence on an open connection means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    /// A gap, after `stale_after`.
    Gap,
    /// Snapshots without anybody, one each `period`.
    Empty {
        /// When the first of them began.
        began_at: Timestamp,
        period: Duration,
    },
    /// Nobody is there, and that is known already.
    Nothing,
}

/// What is to be done at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Stale,
    LogOut,
    GiveUp,
    Brief,
}

impl Tracker {
    /// Returns when [`Self::tick`] has to be called if nothing happens first.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.next_due().map(|(at, _)| at)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.listening.sample(now, self.liveness.is_heard());
        self.liveness.note_time(now);
        self.do_what_is_due(now, out);
    }

    /// Does what is due by then, until there is a crowd that comes first.
    pub fn do_what_is_due(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        while let Some((deadline, due)) = self.next_due().filter(|(deadline, _)| *deadline <= now) {
            if self.has_crowd() {
                break;
            }
            match due {
                Due::Stale => self.fall_stale(deadline, out),
                Due::LogOut => self.take_as_empty(deadline, out),
                Due::GiveUp => self.give_up(now, out),
                Due::Brief => self.look_at_brief(out),
            }
        }
    }

    fn next_due(&self) -> Option<(Timestamp, Due)> {
        let brief = self.brief_due().map(|at| (at, Due::Brief));
        [brief, self.silence_due(), self.give_up_due()].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn silence_due(&self) -> Option<(Timestamp, Due)> {
        let silent_since = self.liveness.silent_since()?;
        if self.settings.fixed.mode != FeedMode::Snapshot {
            return None;
        }
        let (most_after, due) = match self.silence() {
            Silence::Gap => (silent_since.plus(self.settings.thresholds.stale_after), Due::Stale),
            Silence::Empty { began_at, period } => {
                let logout_after = self.settings.thresholds.logout_after;
                // The last snapshot may have shown people by records that could not be read, which do not count as a sign of
                // life.
                let wanting = began_at.plus(period.saturating_mul(logout_after.saturating_sub(1)));
                let silent = period.saturating_mul(logout_after.max(LEAST_PERIODS));
                (silent_since.plus(silent).max(wanting), Due::LogOut)
            }
            Silence::Nothing => return None,
        };
        // An invalid record may turn an empty feed into a gap: from then on, and not in hindsight.
        let lasted = self.connection.last_invalid().map_or(most_after, |invalid| invalid.max(most_after));
        Some((lasted.plus(Timestamp::STEP), due))
    }

    /// Returns what silence means on an open connection in mode `snapshot`.
    fn silence(&self) -> Silence {
        let is_asked_for = self.settings.thresholds.when_silent == WhenSilent::Empty;
        let are_few =
            u32::try_from(self.table.logged_in()).is_ok_and(|few| few <= self.settings.thresholds.empty_below);
        // The open snapshot counts as it will when silence has ended it.
        let shortest_refresh = self.settings.thresholds.shortest_refresh;
        let period = self.rhythm.period_with(self.snapshots.open(), shortest_refresh);
        let Some(period) = period else { return Silence::Gap };
        if !is_asked_for || !are_few || self.link.is_down() || self.connection.ends_invalid() {
            return Silence::Gap;
        }
        let last_began = match self.snapshots.open() {
            Some(open) if self.ends_by_silence(open) => Some(open.began_at),
            Some(_) => return Silence::Gap,
            None => self.rhythm.last_began(),
        };
        match last_began {
            Some(last_began) => Silence::Empty { began_at: last_began.plus(period), period },
            None if !self.all_leave() => Silence::Gap,
            None => Silence::Nothing,
        }
    }

    /// Whether only its repeat is missing, and its last record is a valid one.
    fn ends_by_silence(&self, open: &Snapshot) -> bool {
        self.settings.fixed.snapshot_end == SnapshotEnd::Repeat && open.ends_valid
    }

    fn fall_stale(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        // Before the first valid record silence is not a gap: what is open stays open.
        if self.liveness.last_valid().is_some() {
            if self.settings.fixed.snapshot_end == SnapshotEnd::Repeat {
                if let Some(open) = self.snapshots.open_mut() {
                    open.is_cut_by_silence = true;
                }
                self.end_snapshot(SnapshotEnding::Complete, at, out);
            }
            if self.snapshots.is_open() {
                self.connection.owe_marker();
            }
            self.begin_gap(at, out);
        }
        self.liveness.fall_stale();
        out.push(Output::Status(StatusEvent { kind: StatusKind::Stale, at, affected: 0 }));
    }

    /// Takes so much silence as `logout_after` snapshots without anybody.
    fn take_as_empty(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        if let Some(open) = self.snapshots.open_mut() {
            open.ended_after_silence = true;
        }
        self.end_snapshot(SnapshotEnding::Complete, at, out);
        if self.has_crowd() {
            // They are logged out first.
            return;
        }
        // The open snapshot may have shown that it is something else after all.
        let Silence::Empty { began_at, .. } = self.silence() else { return };
        self.strangers.clear();
        self.rhythm.interrupt();
        self.presence.prove_below(self.snapshots.next_number());
        let agents: Vec<AgentIndex> = self.table.indices().filter(|index| self.table.get(*index).is_there()).collect();
        for index in &agents {
            let absence = &mut self.table.get_mut(*index).absence;
            if absence.snapshots == 0 {
                absence.since = began_at;
            }
        }
        self.happen(Fate::Absent { at, is_first_proof: false }, agents, out);
    }

    fn give_up_due(&self) -> Option<(Timestamp, Due)> {
        let unknown_after = self.settings.thresholds.unknown_after?;
        let lost_at = self.liveness.lost_since(self.settings.fixed.mode)?;
        Some((lost_at.plus(unknown_after).plus(Timestamp::STEP), Due::GiveUp))
    }

    /// Gives up the logged-in agents, and those about to log in: what they do is no longer known.
    fn give_up(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.liveness.give_up();
        let is_lost = |index: &AgentIndex| {
            let agent = self.table.get(*index);
            agent.brief.is_some() || (agent.is_logged_in() && !is_given_up(agent))
        };
        let agents = self.table.indices().filter(is_lost).collect();
        self.happen(Fate::GivenUp { at: now }, agents, out);
    }

    pub(super) fn give_up_agent(&mut self, index: AgentIndex, now: Timestamp, out: &mut Vec<Output>) {
        if self.give_up_brief(index, out) {
            return;
        }
        let agent = self.table.get_mut(index);
        if !agent.is_logged_in() || is_given_up(agent) {
            return;
        }
        // The same bytes as before are news now.
        agent.settled = false;
        agent.forget_start();
        agent.seen_before = agent.last_seen;
        let last_seen = agent.last_seen;
        let not_before = agent.known.as_ref().map_or(agent.last_seen, |known| known.state_since);
        let known =
            KnownState { state: lost(), state_since: agent.last_seen.max(not_before), quality: Quality::AfterGap };
        let (cause, observed_at) = (Cause::Changed, now);
        let transition = Transition { cause, evidence: None, known, after_gap: true, observed_at, last_seen };
        self.emit(index, transition, out);
    }
}

/// Returns what is known of somebody whose feed is lost. No row has an empty code.
fn lost() -> AgentState {
    AgentState {
        mode: Mode::Unknown,
        direction: Direction::None,
        on_hold: false,
        aux_reason: None,
        raw_state: "".into(),
        recognised: true,
        work_split: None,
        skills: SkillList::default(),
        extension: None,
    }
}

fn is_given_up(agent: &Agent) -> bool {
    agent.known.as_ref().is_some_and(|known| known.state.mode == Mode::Unknown && known.state.raw_state.is_empty())
}
