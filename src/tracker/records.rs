//! Records come in: whose they are, which snapshot they belong to, and whether they have to be looked at.

use crate::time::Timestamp;
use crate::wire::decode::{Decoded, Identity};
use crate::wire::plan::Plan;
use crate::wire::record::{Record, Times};
use crate::wire::states::Mode;

use super::agent::LastMode;
use super::agent_state::AgentState;
use super::event::{Output, StatusEvent, StatusKind};
use super::held::{Held, HeldState, MergedRows};
use super::settings::{FeedMode, SnapshotEnd};
use super::since::RecordTime;
use super::snapshot::SnapshotEnding;
use super::strangers::Stranger;
use super::table::AgentIndex;
use super::transition::{RecordOutcome, SeenTime, StartText};
use super::{NoRoom, Tracker};

/// What a record is to its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A record of its own: the first one of its agent, or a change.
    Record,
    /// Another row of its agent in the same refresh.
    FurtherRow,
}

impl Tracker {
    /// Whether the feed certainly has ends of snapshots.
    const fn expects_snapshots(&self) -> bool {
        match self.settings.fixed.mode {
            FeedMode::Snapshot => true,
            FeedMode::Delta => matches!(self.settings.fixed.snapshot_end, SnapshotEnd::Marker),
            FeedMode::Event => false,
        }
    }

    /// Takes `frame` without decoding it if it repeats the last record of the agent who came next the last time. Most feeds
    /// keep their order, so this finds nearly all unchanged records without reading whose they are: bytes that are equal have
    /// equal login ids. False: ask [`Self::same_record`].
    #[inline]
    pub fn same_as_expected(&mut self, plan: &Plan, frame: &[u8], at: Timestamp, out: &mut Vec<Output>) -> bool {
        let Some(before) = self.connection.last_agent() else { return false };
        let expected = self.table.get(before).follower;
        self.table.has(expected) && self.take_if_same(expected, plan, frame, at, out)
    }

    /// Takes `frame` without decoding it if it repeats the agent's last record. False: decode it.
    #[inline]
    pub fn same_record(
        &mut self,
        identity: Identity<'_>,
        plan: &Plan,
        frame: &[u8],
        at: Timestamp,
        out: &mut Vec<Output>,
    ) -> bool {
        match self.table.find(identity.acd.unwrap_or(self.settings.fixed.acd), identity.login_id) {
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
        let times = if self.layout.has_times() {
            let Some(times) = agent.last_record.times_if_same(plan, frame, at) else { return false };
            times
        } else if agent.last_record.is(frame) {
            Times::default()
        } else {
            return false;
        };
        if agent.seen_in == self.snapshots.number() {
            // The record is valid: it ends the snapshot, whatever that means for the agent.
            self.end_by_repeat(index, at, out);
            if !self.table.get(index).settled || self.is_listed_again(index) {
                return false;
            }
        }
        if self.table.get(index).rows.are_merged() {
            return false;
        }
        self.enter(index, at, out);
        let after_gap = self.note_taken(index, self.is_first_after_gap(), at);
        if !self.layout.has_times() {
            self.tally.count(RecordOutcome::Same, self.snapshots.open_mut());
            return true;
        }
        let time = RecordTime { received_at: at, times };
        self.tally.note_time(&time);
        let start = if times.state_start.is_some() { StartText::AsBefore } else { StartText::Null };
        let taken = self.same_state(index, None, &SeenTime { time, start }, after_gap, out);
        self.tally.count(taken, self.snapshots.open_mut());
        true
    }

    /// Takes a valid record.
    ///
    /// # Errors
    /// When there is no room for it. The caller has to treat it as an invalid record then.
    pub fn record(
        &mut self,
        decoded: &Decoded<'_>,
        frame: &[u8],
        at: Timestamp,
        out: &mut Vec<Output>,
    ) -> Result<(), NoRoom> {
        let record = &decoded.record;
        let (index, is_known) = self.admit(record, frame.len(), at)?;
        self.end_by_repeat(index, at, out);
        if is_known {
            self.note_first_absence(index);
        }
        let place = self.place(index, at);
        self.enter(index, at, out);
        self.note_details(index, record);
        let taken = if self.waits_as_row(index, place) {
            self.hold_row(index, place, record, frame, at);
            RecordOutcome::Undecided
        } else {
            self.take_record(index, decoded, frame, at, out)
        };
        self.tally.count(taken, self.snapshots.open_mut());
        Ok(())
    }

    /// Finds room for a record: whose it is, and whether they were known.
    fn admit(&mut self, record: &Record<'_>, length: usize, at: Timestamp) -> Result<(AgentIndex, bool), NoRoom> {
        let acd = record.acd.unwrap_or(self.settings.fixed.acd);
        let known = self.table.find(acd, record.login_id);
        let rows = known.and_then(|index| self.table.get(index).held.rows());
        if rows.is_some_and(|rows| !rows.have_room(record, self.settings.fixed.details)) {
            return Err(NoRoom::Rows);
        }
        let length = length + rows.map_or(0, MergedRows::bytes);
        if !self.table.has_room(known, length) {
            return Err(NoRoom::Table);
        }
        let index = match known {
            Some(index) => index,
            None => self.add_agent(acd, record.login_id, at).ok_or(NoRoom::Table)?,
        };
        self.table.note_length(index, length);
        Ok((index, known.is_some()))
    }

    /// Notes what a record says besides the state.
    fn note_details(&mut self, index: AgentIndex, record: &Record<'_>) {
        let agent = self.table.get_mut(index);
        agent.last_mode = LastMode::of(record.mode, record.recognised);
        let news = agent.ride_along.update(record);
        if news.is_renamed {
            self.news.note_renamed(index);
        }
        if news.is_new {
            self.mark_changed(index);
        }
    }

    /// Whether a record of the agent is a row to be merged.
    fn waits_as_row(&self, index: AgentIndex, place: Place) -> bool {
        let agent = self.table.get(index);
        let is_row = place == Place::FurtherRow || agent.rows.are_merged() || agent.held.rows().is_some();
        self.settings.fixed.mode != FeedMode::Event && (self.layout.merges_rows() || is_row)
    }

    /// Takes a record that is all that there is of its agent.
    fn take_record(
        &mut self,
        index: AgentIndex,
        decoded: &Decoded<'_>,
        frame: &[u8],
        at: Timestamp,
        out: &mut Vec<Output>,
    ) -> RecordOutcome {
        let record = &decoded.record;
        let agent = self.table.get_mut(index);
        agent.last_record.remember(frame, decoded);
        let before = agent.known.as_ref().map(|known| &known.state);
        let state = AgentState::of(record, self.settings.fixed.details, before, &mut self.texts);
        let goes_on = agent.known.as_ref().is_some_and(|known| known.state.is_same(&state));
        if record.mode == Mode::Unknown && self.settings.fixed.mode != FeedMode::Event && !goes_on {
            self.hold_unknown(index, record, at);
            return RecordOutcome::Undecided;
        }
        agent.held = Held::Nothing;
        let time = RecordTime { received_at: at, times: record.times };
        let start = record.state_start_text.map_or(StartText::Null, StartText::Told);
        self.take(index, state, &SeenTime { time, start }, self.is_first_after_gap(), out)
    }

    /// Holds a state in mode UNKNOWN until the end of its snapshot.
    fn hold_unknown(&mut self, index: AgentIndex, record: &Record<'_>, at: Timestamp) {
        if let Some(snapshot) = self.snapshots.open_mut() {
            snapshot.has_held = true;
        }
        let agent = self.table.get_mut(index);
        agent.settled = false;
        agent.held = Held::Unknown(Box::new(HeldState::of(record, at, self.settings.fixed.details, &mut self.texts)));
        if agent.open.take().is_some() {
            // What the replaced record said was remembered.
            self.mark_changed(index);
        }
    }

    /// Holds a row until the end of its snapshot, where the rows of its agent are merged.
    fn hold_row(&mut self, index: AgentIndex, place: Place, record: &Record<'_>, frame: &[u8], at: Timestamp) {
        let details = self.settings.fixed.details;
        if let Some(snapshot) = self.snapshots.open_mut() {
            snapshot.has_held = true;
        }
        let agent = self.table.get_mut(index);
        // What was last read is a row, not the whole state.
        agent.settled = false;
        if let Held::Rows(rows) = &mut agent.held {
            rows.add(record, frame, at, details, &mut self.texts);
            return;
        }
        let first = match (std::mem::take(&mut agent.held), &agent.brief, &agent.known) {
            (Held::Unknown(first), ..) => Some(*first),
            // Its first row was taken as a record, and waits: what is known is what it followed.
            (_, Some(brief), _) if place == Place::FurtherRow => Some(brief.as_row()),
            // Its first row was taken as a record.
            (_, None, Some(known)) if place == Place::FurtherRow => {
                let state = agent.spelled.as_deref().unwrap_or(&known.state).clone();
                let told = agent.open.as_ref().and_then(|open| open.new_start.as_ref()).or(agent.told_start.as_ref());
                // Where the layout has no time, only the receipt is known.
                let no_times = || RecordTime { received_at: agent.last_seen, times: Times::default() };
                let time = agent.open.as_ref().map_or_else(no_times, |open| open.time);
                let start_text = told.filter(|_| time.times.state_start.is_some()).map(|told| told.text.clone());
                Some(HeldState { state, time, start_text })
            }
            _ => None,
        };
        let rows = match first {
            Some(first) => {
                let mut rows = MergedRows::first(first, 0);
                rows.add(record, frame, at, details, &mut self.texts);
                rows
            }
            None => MergedRows::first(
                HeldState::of(record, at, details, &mut self.texts),
                if details { frame.len() } else { 0 },
            ),
        };
        agent.held = Held::Rows(Box::new(rows));
    }

    fn add_agent(&mut self, acd: u32, login_id: &str, at: Timestamp) -> Option<AgentIndex> {
        let index = self.table.add(acd, login_id, at)?;
        let stranger = self.remove_stranger(acd, login_id);
        let open = self.snapshots.number();
        let has_proof = self.presence.has_proof();
        let agent = self.table.get_mut(index);
        agent.was_absent = stranger.map_or(has_proof, Stranger::were_absent);
        if stranger.is_some_and(|stranger| stranger.are_in(open) && open > 0) {
            // An agent who comes with a bad row also keeps what was known of them: nothing.
            agent.bad_in = open;
        }
        self.mark_changed(index);
        Some(index)
    }

    fn is_first_after_gap(&self) -> bool {
        self.snapshots.open().is_some_and(|snapshot| snapshot.first_after_gap)
    }

    /// Whether the open snapshot has a record of the agent already, under `repeat`.
    #[inline]
    fn is_repeat(&self, index: AgentIndex) -> bool {
        self.settings.fixed.snapshot_end == SnapshotEnd::Repeat
            && self.snapshots.is_open()
            && self.table.get(index).seen_in == self.snapshots.number()
    }

    /// Whether the previous record was of the same agent, so recent that both are changes of one snapshot.
    fn follows_itself(&self, index: AgentIndex, at: Timestamp) -> bool {
        self.connection.has_just_shown(index, at, self.settings.thresholds.snapshot_idle)
    }

    /// Under `repeat` a valid record of somebody who was in the snapshot begins the next one, unless that would be too short
    /// for a refresh.
    #[inline]
    fn end_by_repeat(&mut self, index: AgentIndex, at: Timestamp, out: &mut Vec<Output>) {
        if !self.is_repeat(index) || self.follows_itself(index, at) {
            return;
        }
        let is_silent = self.connection.is_silent();
        let Some(open) = self.snapshots.open_mut() else { return };
        if at.since(open.began_at) >= self.settings.thresholds.shortest_refresh {
            open.ended_after_silence = is_silent;
            self.end_snapshot(SnapshotEnding::Complete, at, out);
        }
    }

    /// Whether a record of the agent, for whom nothing has ended the snapshot, is another row of theirs.
    fn is_listed_again(&self, index: AgentIndex) -> bool {
        self.settings.fixed.mode == FeedMode::Snapshot && self.is_repeat(index)
    }

    /// Returns what a record of the agent is to the open snapshot, which it did not end. It is not entered yet.
    fn place(&mut self, index: AgentIndex, at: Timestamp) -> Place {
        if !self.is_listed_again(index) {
            return Place::Record;
        }
        let follows_itself = self.follows_itself(index, at);
        let shortest = self.settings.thresholds.shortest_refresh;
        let Some(snapshot) = self.snapshots.open_mut() else { return Place::Record };
        if at.since(snapshot.began_at) >= shortest {
            return Place::Record;
        }
        let number = snapshot.number;
        let rows = &mut self.table.get_mut(index).rows;
        if rows.last_in != number {
            rows.last_in = number;
            snapshot.with_further_rows += 1;
        }
        if follows_itself { Place::Record } else { Place::FurtherRow }
    }

    /// Enters a valid record of this agent: liveness, and presence in the open snapshot.
    #[inline(always)] // for a record that says nothing new, a call would cost as much as it does
    fn enter(&mut self, index: AgentIndex, at: Timestamp, out: &mut Vec<Output>) {
        if let Some(before) = self.connection.record_came(index, at)
            && self.table.get(before).follower != index
        {
            self.table.get_mut(before).follower = index;
        }
        self.liveness.record_came(at);
        self.blind.record_came();
        if self.settings.fixed.mode == FeedMode::Event {
            if let Some(gap_from) = self.gap.restored() {
                let kind = StatusKind::Restored { gap_from, gap_to: at };
                out.push(Output::Status(StatusEvent { kind, at, affected: 0 }));
            }
            return;
        }
        if self.expects_snapshots() && self.blind.has_waited_too_long(at, self.rhythm.period()) {
            out.push(Output::Status(StatusEvent { kind: StatusKind::NoSnapshot, at, affected: 0 }));
        }
        let snapshot = self.snapshots.enter(at, self.gap.is_recent());
        snapshot.last_at = at;
        snapshot.ends_valid = true;
        let agent = self.table.get_mut(index);
        if agent.seen_in != snapshot.number {
            snapshot.members.push(index);
        }
        agent.seen_in = snapshot.number;
        agent.present_in = snapshot.number;
        self.end_absence(index);
    }
}
