//! Records come in: whose they are, which snapshot they belong to, and whether they have to be looked at.

use crate::time::Timestamp;
use crate::wire::decode::{Decoded, Identity};
use crate::wire::plan::Plan;
use crate::wire::states::Mode;

use super::agent::LastMode;
use super::agent_state::AgentState;
use super::event::{Output, StatusEvent, StatusKind};
use super::held::{Held, HeldState, Rows};
use super::settings::{FeedMode, SnapshotEnd};
use super::since::RecordTime;
use super::snapshot::End;
use super::table::AgentIndex;
use super::tracker::{NoRoom, Stranger, Tracker};
use super::transition::Taken;

/// Most login ids that are remembered from invalid records alone. Beyond, a snapshot proves nobody absent.
const MAX_STRANGERS: usize = 4_096;

impl Tracker {
    /// An invalid record; `identity` where it can be read whose it is.
    pub fn invalid(&mut self, identity: Option<Identity<'_>>, at: Timestamp) {
        self.connection.has_records = true;
        if self.settings.mode == FeedMode::Event {
            return;
        }
        self.connection.last_invalid = Some(at);
        let snapshot = self.snapshots.enter(at, self.gap.is_recent);
        snapshot.last_at = at;
        let Some(Identity { login_id, acd }) = identity else {
            snapshot.proves_absence = false;
            return;
        };
        let number = snapshot.number;
        let acd = acd.unwrap_or(self.settings.acd);
        if let Some(index) = self.table.find(acd, login_id) {
            let agent = self.table.get_mut(index);
            agent.present_in = number;
            agent.bad_in = number;
            self.end_absence(index);
        } else if let Some(stranger) = self.strangers.get_mut(&(acd, Box::from(login_id))) {
            stranger.present_in = number;
        } else if self.strangers.len() < MAX_STRANGERS {
            let stranger = Stranger { present_in: number, was_absent: self.has_proof };
            self.strangers.insert((acd, login_id.into()), stranger);
        } else {
            snapshot.proves_absence = false;
        }
    }

    /// Takes `frame` without decoding it if it is the last record again of the agent who came next the last time. Most
    /// feeds keep their order, so this finds nearly all unchanged records without reading whose they are: bytes that are
    /// equal have equal login ids. False: ask [`Self::same_record`].
    #[inline]
    pub fn same_as_expected(&mut self, plan: &Plan, frame: &[u8], at: Timestamp, out: &mut Vec<Output>) -> bool {
        let Some((before, _)) = self.connection.last_valid else { return false };
        let expected = self.table.get(before).follower;
        self.table.has(expected) && self.take_if_same(expected, plan, frame, at, out)
    }

    /// Takes `frame` without decoding it if it is the agent's last record again. False: decode it.
    #[inline]
    pub fn same_record(
        &mut self,
        identity: Identity<'_>,
        plan: &Plan,
        frame: &[u8],
        at: Timestamp,
        out: &mut Vec<Output>,
    ) -> bool {
        match self.table.find(identity.acd.unwrap_or(self.settings.acd), identity.login_id) {
            Some(index) => self.take_if_same(index, plan, frame, at, out),
            None => false,
        }
    }

    #[inline]
    fn take_if_same(
        &mut self,
        index: AgentIndex,
        plan: &Plan,
        frame: &[u8],
        at: Timestamp,
        out: &mut Vec<Output>,
    ) -> bool {
        let agent = self.table.get(index);
        if !agent.settled {
            return false;
        }
        let Some(times) = agent.last_record.times_if_same(plan, frame, at) else { return false };
        self.enter(index, at, out);
        let time = RecordTime { received_at: at, times };
        self.note_skew(&time);
        let after_gap = self.note_taken(index, self.is_first_after_gap(), at);
        let taken = self.same_state(index, time, after_gap, out);
        self.count(taken);
        true
    }

    /// Takes a valid record.
    ///
    /// # Errors
    /// When there is no room for it. It is an invalid record then, for whoever calls.
    pub fn record(
        &mut self,
        decoded: &Decoded<'_>,
        frame: &[u8],
        at: Timestamp,
        out: &mut Vec<Output>,
    ) -> Result<(), NoRoom> {
        let record = &decoded.record;
        let acd = record.acd.unwrap_or(self.settings.acd);
        let details = self.settings.details;
        let waits = self.settings.mode != FeedMode::Event;
        let known = self.table.find(acd, record.login_id);
        let rows = known.and_then(|index| self.table.get(index).held.rows());
        if rows.is_some_and(|rows| !rows.have_room(record, details)) {
            return Err(NoRoom::Rows);
        }
        let length = frame.len() + rows.map_or(0, Rows::bytes);
        if !self.table.has_room(known, length) {
            return Err(NoRoom::Table);
        }
        let index = match known {
            Some(index) => index,
            None => self.add_agent(acd, record.login_id, at).ok_or(NoRoom::Table)?,
        };
        self.table.note_length(index, length);
        self.enter(index, at, out);
        let agent = self.table.get_mut(index);
        agent.last_mode = LastMode::of(record.mode, record.recognised);
        if self.merges_rows && waits {
            match &mut agent.held {
                Held::Rows(rows) => rows.add(record, frame, at, details),
                held => *held = Held::Rows(Box::new(Rows::first(record, frame, at, details, &agent.ride_along))),
            }
            self.count(Taken::Undecided);
            return Ok(());
        }
        let news = agent.ride_along.update(record);
        if news.is_renamed {
            self.renamed.push(index);
        }
        if news.is_new {
            self.mark_changed(index);
        }
        let agent = self.table.get_mut(index);
        agent.last_record.remember(frame, decoded);
        let time = RecordTime { received_at: at, times: record.times };
        let state = AgentState::of(record, details);
        if record.mode == Mode::Unknown && waits {
            agent.settled = false;
            let told_start = agent.open_start.take().is_some() && agent.start.is_none();
            agent.held = Held::Unknown(Box::new(HeldState { state, time }));
            if told_start {
                // The start told by the record that this one replaces was remembered.
                self.mark_changed(index);
            }
            self.count(Taken::Undecided);
            return Ok(());
        }
        agent.held = Held::Nothing;
        let taken = self.take(index, state, time, self.is_first_after_gap(), out);
        self.count(taken);
        Ok(())
    }

    fn add_agent(&mut self, acd: u32, login_id: &str, at: Timestamp) -> Option<AgentIndex> {
        let index = self.table.add(acd, login_id, at)?;
        let stranger = self.strangers.remove(&(acd, Box::from(login_id)));
        self.table.get_mut(index).was_absent = stranger.map_or(self.has_proof, |stranger| stranger.was_absent);
        self.mark_changed(index);
        Some(index)
    }

    fn count(&mut self, taken: Taken) {
        match (taken, self.snapshots.open_mut()) {
            (Taken::Event, _) => self.counts.changed += 1,
            (Taken::Undecided, Some(snapshot)) => snapshot.undecided += 1,
            (Taken::Same | Taken::Undecided, _) => self.counts.unchanged += 1,
        }
    }

    pub(super) fn note_skew(&mut self, time: &RecordTime) {
        self.clock_skew_seconds = time.clock_skew_seconds().or(self.clock_skew_seconds);
    }

    fn is_first_after_gap(&self) -> bool {
        self.snapshots.open().is_some_and(|snapshot| snapshot.first_after_gap)
    }

    /// A valid record of this agent: liveness, the end of the snapshot before, presence in this one.
    #[inline]
    fn enter(&mut self, index: AgentIndex, at: Timestamp, out: &mut Vec<Output>) {
        self.connection.has_records = true;
        let before = self.connection.last_valid.replace((index, at));
        if let Some((before, _)) = before
            && self.table.get(before).follower != index
        {
            self.table.get_mut(before).follower = index;
        }
        if self.settings.mode == FeedMode::Event {
            self.heard(at);
            if let Some(gap_from) = self.gap.from.take() {
                let kind = StatusKind::Restored { gap_from, gap_to: at };
                out.push(Output::Status(StatusEvent { kind, at, affected: 0 }));
            }
            return;
        }
        let is_repeat = self.snapshots.is_open() && self.table.get(index).seen_in == self.snapshots.number();
        if is_repeat && self.settings.snapshot_end == SnapshotEnd::Repeat {
            let is_change_of_the_same = before
                .is_some_and(|(agent, received)| agent == index && at.since(received) < self.settings.snapshot_idle);
            if !is_change_of_the_same {
                self.end_snapshot(End::Complete, at, out);
            }
        }
        self.heard(at);
        let snapshot = self.snapshots.enter(at, self.gap.is_recent);
        snapshot.last_at = at;
        let agent = self.table.get_mut(index);
        if agent.seen_in != snapshot.number {
            snapshot.members.push(index);
        }
        agent.seen_in = snapshot.number;
        agent.present_in = snapshot.number;
        self.end_absence(index);
    }

    const fn heard(&mut self, at: Timestamp) {
        self.liveness.last_valid = Some(at);
        self.liveness.last_sign = Some(at);
        self.liveness.is_stale = false;
        self.liveness.is_given_up = false;
    }
}
