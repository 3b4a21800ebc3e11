//! The end of a snapshot: what waited, and absences (rules 3, 4, 10). Re-entries are judged in `reentry`, whether the link is
//! down in `link`; who is absent is in `presence`.

use crate::time::Timestamp;
use crate::wire::record::Times;

use super::Tracker;
use super::brief;
use super::crowd::Fate;
use super::event::{Evidence, Output, SnapshotEvent, StatusEvent, StatusKind};
use super::held::{Held, HeldState};
use super::presence::Absences;
use super::snapshot::{Snapshot, SnapshotEnding};
use super::table::AgentIndex;
use super::transition::{SeenTime, StartText};

/// Suspect: at least so many log-outs, and more than so many per cent of those logged in.
const SUSPECT_AGENTS: usize = 10;
const SUSPECT_PERCENT: usize = 20;

impl Tracker {
    /// Ends the open snapshot, if one is.
    pub(super) fn end_snapshot(&mut self, end: SnapshotEnding, at: Timestamp, out: &mut Vec<Output>) {
        let Some(snapshot) = self.snapshots.close() else { return };
        self.snapshots.begin_at_seam(end == SnapshotEnding::Complete);
        self.snapshot_ends(at);
        let changed_before = self.events_of(out);
        let mut is_down = false;
        if end == SnapshotEnding::Complete {
            let are_many = self.repeats.note(&snapshot, &mut self.table, &mut self.news);
            if are_many {
                out.push(status(StatusKind::RepeatedRows, at, 0));
            }
        }
        if end == SnapshotEnding::Incomplete {
            self.drop_what_waited(&snapshot, true);
            out.push(Output::Snapshot(SnapshotEvent { complete: false, period: None }));
        } else if self.link_goes_down(&snapshot, at, out) {
            is_down = true;
            self.drop_what_waited(&snapshot, false);
        } else {
            self.publish_what_waited(&snapshot, end, at, out);
        }
        if !is_down {
            self.rhythm.ended(&snapshot);
        }
        let events = self.events_of(out) - changed_before;
        self.tally.settle(&snapshot, events);
        self.decide_briefs(out);
        self.recount_all(&snapshot.members);
        if end == SnapshotEnding::Complete {
            self.blind.snapshot_ended();
            let period = self.rhythm.completed(&snapshot, self.settings.thresholds.shortest_refresh);
            out.push(Output::Snapshot(SnapshotEvent { complete: true, period }));
        } else {
            self.rhythm.interrupt();
        }
        self.snapshots.recycle(snapshot);
    }

    /// Returns the number of events in `out` that come from a record.
    fn events_of(&self, out: &[Output]) -> u64 {
        let from_record =
            |output: &&Output| matches!(output, Output::Agent(event) if event.evidence != Some(Evidence::Absence));
        out.iter().filter(from_record).count() as u64
    }

    fn drop_what_waited(&mut self, snapshot: &Snapshot, is_proof: bool) {
        for index in &snapshot.members {
            self.table.get_mut(*index).held = Held::Nothing;
            self.remember_open(*index, is_proof);
        }
    }

    fn publish_what_waited(&mut self, snapshot: &Snapshot, end: SnapshotEnding, at: Timestamp, out: &mut Vec<Output>) {
        if self.link.come_up() {
            out.push(status(StatusKind::LinkUp, at, 0));
        }
        self.publish_held(snapshot, end, out);
        self.publish_reentries(snapshot, out);
        if end == SnapshotEnding::OfInput {
            return;
        }
        if self.proves_absence(snapshot) {
            self.publish_absences(snapshot, at, out);
            self.gap.absence_proved();
        }
        self.note_seen(snapshot);
        self.gap.snapshot_ended();
        if let Some(gap_from) = self.gap.restored() {
            out.push(status(StatusKind::Restored { gap_from, gap_to: snapshot.last_at }, at, 0));
        }
    }

    /// Whether agents who are not in it are absent.
    fn proves_absence(&self, snapshot: &Snapshot) -> bool {
        let has_nothing_valid = snapshot.has_invalid && snapshot.members.is_empty();
        let is_in_pieces = snapshot.repeats_rows() && !snapshot.ended_after_silence;
        !snapshot.has_unreadable
            && !has_nothing_valid
            && !is_in_pieces
            && !snapshot.is_cut_by_silence
            && snapshot.doubtful == 0
    }

    fn publish_held(&mut self, snapshot: &Snapshot, end: SnapshotEnding, out: &mut Vec<Output>) {
        if !snapshot.has_held {
            return;
        }
        for index in &snapshot.members {
            let agent = self.table.get_mut(*index);
            match std::mem::take(&mut agent.held) {
                Held::Nothing => {}
                Held::Unknown(held) => self.take_held(*index, *held, snapshot, out),
                Held::Rows(_) if end == SnapshotEnding::OfInput || agent.bad_in == snapshot.number => {}
                Held::Rows(rows) => {
                    self.take_held(*index, rows.finish(), snapshot, out);
                    // What was last read is a row, not the whole state.
                    self.table.get_mut(*index).settled = false;
                }
            }
        }
    }

    fn take_held(&mut self, index: AgentIndex, held: HeldState, snapshot: &Snapshot, out: &mut Vec<Output>) {
        let HeldState { state, time, start_text } = held;
        let start = start_text.as_deref().map_or(StartText::Null, StartText::Told);
        self.take(index, state, &SeenTime { time, start }, snapshot.first_after_gap, out);
    }

    /// Applies rule 4: who is absent, for how long, and whether that can be trusted.
    fn publish_absences(&mut self, snapshot: &Snapshot, at: Timestamp, out: &mut Vec<Output>) {
        self.strangers.keep_those_in(snapshot.number);
        let logged_in = self.table.logged_in();
        let confirms = self.presence.is_confirmed_by(snapshot);
        let is_first_proof = self.gap.is_unproven();
        let Absences { mut due, mut confirmed } = self.count_absences(snapshot, confirms);
        // Of somebody who was about to log in, nothing was published.
        let log_out = due.iter().filter(|index| self.table.get(**index).is_logged_in()).count();
        let is_suspect = log_out >= SUSPECT_AGENTS && log_out * 100 > logged_in * SUSPECT_PERCENT;
        if is_suspect {
            self.suspect(&due);
            let half = self.rhythm.period().unwrap_or_default() / 2;
            let confirmed_after = half.max(self.settings.thresholds.shortest_refresh);
            self.presence.confirm_from(Some(snapshot.began_at.plus(confirmed_after)));
            out.push(status(StatusKind::Suspect, at, log_out));
            due.clear();
        } else if confirms {
            self.presence.confirm_from(None);
        }
        confirmed.append(&mut due);
        confirmed.sort_unstable();
        self.happen(Fate::Absent { at, is_first_proof }, confirmed, out);
    }

    pub(super) fn log_out_absent(
        &mut self,
        index: AgentIndex,
        is_first_proof: bool,
        at: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let agent = self.table.get_mut(index);
        let absence = std::mem::take(&mut agent.absence);
        agent.settled = false;
        agent.forget_start();
        let last_record = agent.last_seen;
        let absorbed = self.end_brief_by_absence(index, out);
        let last_seen = absorbed.map_or(last_record, |absorbed| absorbed.last_seen);
        if !self.table.get(index).is_logged_in() {
            // They were about to log in, and have not.
            return;
        }
        let known = self.table.get(index).known.as_ref();
        let since = absence.since.max(known.map_or(absence.since, |known| known.state_since));
        let is_over_gap = absorbed.is_some_and(|absorbed| absorbed.after_gap);
        let after_gap = absence.began_after_gap || is_first_proof || is_over_gap;
        self.publish_or_wait(index, brief::absent(since, after_gap, at, last_seen), Times::default(), out);
    }
}

pub(super) fn status(kind: StatusKind, at: Timestamp, affected: usize) -> Output {
    let affected = u32::try_from(affected).unwrap_or(u32::MAX);
    Output::Status(StatusEvent { kind, at, affected })
}
