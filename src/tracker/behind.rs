//! An agent of whom somebody else has published more: a copy of what was restored here continued elsewhere.
//!
//! Sequences continue after the other's. An agent who was not seen here since is taken over as the other left them: a later
//! difference is news after a gap, as after a restart. If an event of an agent follows anyway, nothing more is published. Of
//! anybody else the last event is wrong until they change again: another event corrects it.

use crate::time::Timestamp;

use super::Tracker;
use super::agent::KnownState;
use super::event::{AgentEvent, Cause, Evidence, Previous};
use super::saved::SavedAgent;
use super::since::Quality;
use super::table::AgentIndex;

/// The result for an agent of whom more was published elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub enum Behind {
    /// They are as the other left them.
    Taken(AgentIndex),
    /// Only the sequences continue after the other's.
    Numbered,
    /// What is known here is published.
    Told(Box<AgentEvent>),
}

impl Tracker {
    /// Continues after what was published elsewhere. `follows`: events of ours are on their way to where the other's are.
    pub fn go_on_behind(&mut self, theirs: SavedAgent, follows: bool, at: Timestamp) -> Behind {
        let Some(index) = self.table.find(theirs.acd, &theirs.login_id) else {
            return self.take_theirs(theirs);
        };
        if follows {
            self.number_behind(index, theirs.sequence);
            return Behind::Numbered;
        }
        if self.is_known_here(index) {
            return self.put_right(index, theirs, at);
        }
        let sequence = theirs.sequence.max(self.table.get(index).sequence);
        self.take_theirs(SavedAgent { sequence, ..theirs })
    }

    /// Whether a valid record has shown them since the start.
    pub fn was_seen(&self, index: AgentIndex) -> bool {
        self.table.get(index).seen_in > 0
    }

    fn is_known_here(&self, index: AgentIndex) -> bool {
        self.was_seen(index) && self.table.get(index).known.is_some()
    }

    fn take_theirs(&mut self, theirs: SavedAgent) -> Behind {
        let (acd, login_id) = (theirs.acd, theirs.login_id.clone());
        let feed = self.saved_feed();
        self.restore_agent(theirs, &feed);
        let Some(index) = self.table.find(acd, &login_id) else { return Behind::Numbered };
        self.mark_changed(index);
        Behind::Taken(index)
    }

    fn number_behind(&mut self, index: AgentIndex, sequence: u64) {
        let agent = self.table.get_mut(index);
        agent.sequence = agent.sequence.max(sequence);
        self.mark_changed(index);
    }

    fn put_right(&mut self, index: AgentIndex, theirs: SavedAgent, at: Timestamp) -> Behind {
        self.number_behind(index, theirs.sequence);
        let agent = self.table.get_mut(index);
        let (Some(KnownState { state, state_since, quality }), Some(before)) = (agent.known.clone(), theirs.known)
        else {
            return Behind::Numbered;
        };
        let is_logged_in = agent.is_logged_in();
        if state.is_same(&before.state) {
            return Behind::Numbered;
        }
        agent.sequence += 1;
        let cause = match (is_logged_in, before.is_logged_in()) {
            (false, _) => Cause::LoggedOut,
            (true, false) => Cause::LoggedIn,
            (true, true) => Cause::Changed,
        };
        let is_moved = state_since < before.state_since;
        let known = KnownState {
            state,
            state_since: state_since.max(before.state_since),
            quality: if is_moved { Quality::AfterGap } else { quality },
        };
        Behind::Told(Box::new(AgentEvent {
            evidence: (!is_logged_in).then_some(Evidence::Absence),
            previous: Some(Previous {
                state: before.state,
                state_since: before.state_since,
                last_seen: theirs.last_seen,
            }),
            after_gap: true,
            ..agent.event(index, known, cause, at)
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tracker::agent_state::{AgentState, RideAlong, SkillList};
    use crate::tracker::saved::SavedFeed;
    use crate::tracker::settings::{
        FeedMode, Fixed, ShortStates, SnapshotEnd, Thresholds, TrackerSettings, WhenSilent,
    };
    use crate::wire::decode::Decoder;
    use crate::wire::layout::{Column, ColumnSpec, FieldStyle, LayoutSpec, builtin};
    use crate::wire::plan::Plan;
    use crate::wire::states::{Direction, Mode, StateTable};

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(1_767_600_000_000).plus(Duration::from_secs(second))
    }

    fn second(at: Timestamp) -> u64 {
        at.since(self::at(0)).as_secs()
    }

    fn mode(name: &str) -> Mode {
        Mode::ALL.into_iter().find(|mode| mode.name() == name).unwrap()
    }

    /// A feed of login ids and states, in which absence says nothing.
    fn tracker() -> (Tracker, std::sync::Arc<Plan>) {
        let layout = LayoutSpec {
            fields: FieldStyle::Separator(b'|'),
            columns: [Column::LoginId, Column::State].map(ColumnSpec::plain).into(),
            skills: None,
            states: StateTable::cms_names(),
            ..builtin::get("cisco-icm-20").unwrap()
        };
        let settings = TrackerSettings {
            fixed: Fixed { acd: 1, details: false, mode: FeedMode::Delta, snapshot_end: SnapshotEnd::Marker },
            thresholds: Thresholds {
                snapshot_idle: Duration::from_millis(500),
                shortest_refresh: Duration::from_secs(1),
                logout_after: 2,
                restart_tolerance: Duration::from_secs(2),
                stale_after: Duration::from_secs(3_600),
                when_silent: WhenSilent::Stale,
                empty_below: 0,
                unknown_after: None,
                short_states: ShortStates::default(),
                logout_hold: Duration::ZERO,
            },
        };
        let plan = Plan::compile(&layout, "UTC").unwrap();
        (Tracker::new(settings, &plan), plan)
    }

    /// `7 ACD since 5` of agent A: the sequence, and the state with its beginning; or the sequence alone.
    fn saved(text: &str) -> SavedAgent {
        let (sequence, state) = text.split_once(' ').unwrap_or((text, ""));
        let known = state.split_once(" since ").map(|(name, since)| {
            let state = AgentState {
                mode: mode(name),
                direction: Direction::None,
                on_hold: false,
                aux_reason: None,
                raw_state: name.into(),
                recognised: true,
                work_split: None,
                skills: SkillList::default(),
                extension: None,
            };
            KnownState { state, state_since: at(since.parse().unwrap()), quality: Quality::Exact }
        });
        SavedAgent {
            acd: 1,
            login_id: "A".into(),
            sequence: sequence.parse().unwrap(),
            last_seen: known.as_ref().map_or(at(0), |known| known.state_since),
            known,
            ride_along: RideAlong::default(),
            start: None,
            told_start: None,
            state_seen: None,
            listed_again: 0,
            brief: None,
            absence: None,
        }
    }

    /// Returns the result for A, of whom `theirs` was published elsewhere, and what is known of them then: `restored` from
    /// what the previous run has saved, and `seen` in the feed at second 10.
    fn told(restored: &str, seen: &str, theirs: &str, follows: bool) -> String {
        let (mut tracker, plan) = tracker();
        tracker.restore((!restored.is_empty()).then(|| saved(restored)), &SavedFeed::default());
        if !seen.is_empty() {
            let frame = format!("A|{seen}");
            let mut decoder = Decoder::default();
            let decoded = decoder.decode(&plan, frame.as_bytes(), at(10)).unwrap();
            tracker.connected(at(10), &mut Vec::new());
            tracker.record(&decoded, frame.as_bytes(), at(10), &mut Vec::new()).unwrap();
        }
        tracker.take_changed();
        let came = match tracker.go_on_behind(saved(theirs), follows, at(30)) {
            Behind::Taken(index) => format!("taken as {}", tracker.table.get(index).login_id),
            Behind::Numbered => "numbered".to_owned(),
            Behind::Told(event) => {
                let previous = event.previous.as_ref().unwrap();
                assert_eq!((event.after_gap, event.observed_at), (true, at(30)));
                assert_eq!(event.evidence.is_some(), event.cause == Cause::LoggedOut);
                let (cause, quality) = (event.cause.name(), event.quality);
                let before = format!("{} since {}", previous.state.mode.name(), second(previous.state_since));
                format!("told #{} {cause} {quality:?}, before {before}", event.sequence)
            }
        };
        let index = tracker.table.find(1, "A").unwrap();
        assert_eq!(tracker.take_changed(), [index], "they are to be saved again");
        let agent = tracker.table.get(index);
        let known = agent.known.as_ref().map_or("nothing".to_owned(), |known| {
            format!("{} since {}", known.state.mode.name(), second(known.state_since))
        });
        format!("{came}: #{} {known}", agent.sequence)
    }

    #[test]
    fn numbers_go_on_behind_the_others_and_the_last_word_is_right() {
        let cases = [
            // An agent who is not known here, or was not seen since the start, is as the other left them.
            ("", "", "9 ACD since 5", false, "taken as A: #9 ACD since 5"),
            ("3 AVAIL since 1", "", "9 ACD since 5", false, "taken as A: #9 ACD since 5"),
            ("3 AVAIL since 1", "", "9", false, "taken as A: #9 nothing"),
            // They were forgotten elsewhere, and began anew: no sequence comes twice.
            ("3 AVAIL since 1", "", "1 ACD since 5", false, "taken as A: #3 ACD since 5"),
            // What follows is the last event.
            ("3 AVAIL since 1", "", "9 ACD since 5", true, "numbered: #9 AVAIL since 1"),
            ("3 AVAIL since 1", "AUX", "9 ACD since 5", true, "numbered: #9 AUX since 10"),
            // Nothing was published of them here, so there is nothing to take over.
            ("", "ACD", "9 ACD since 5", false, "numbered: #9 ACD since 10"),
            ("", "ACD", "9", false, "numbered: #9 ACD since 10"),
            ("", "AVAIL", "9 ACD since 5", false, "told #10 CHANGED AfterGap, before ACD since 5: #10 AVAIL since 10"),
            (
                "3 AUX since 1",
                "AVAIL",
                "9 ACD since 5",
                false,
                "told #10 CHANGED WithinRefresh, before ACD since 5: #10 AVAIL since 10",
            ),
            // Our sequences go on where they are ahead of theirs.
            (
                "30 AUX since 1",
                "AVAIL",
                "9 ACD since 5",
                false,
                "told #32 CHANGED WithinRefresh, before ACD since 5: #32 AVAIL since 10",
            ),
            (
                "3 AUX since 1",
                "AVAIL",
                "9 UNSTAFF since 5",
                false,
                "told #10 LOGGED_IN WithinRefresh, before UNSTAFF since 5: #10 AVAIL since 10",
            ),
            (
                "3 AUX since 1",
                "UNSTAFF",
                "9 ACD since 5",
                false,
                "told #10 LOGGED_OUT WithinRefresh, before ACD since 5: #10 UNSTAFF since 10",
            ),
            // Nothing begins before what it follows.
            (
                "3 AUX since 1",
                "AVAIL",
                "9 ACD since 20",
                false,
                "told #10 CHANGED AfterGap, before ACD since 20: #10 AVAIL since 10",
            ),
        ];
        for (restored, seen, theirs, follows, expected) in cases {
            let what = format!("restored {restored:?}, seen {seen:?}, theirs {theirs:?}, follows: {follows}");
            assert_eq!(told(restored, seen, theirs, follows), expected, "{what}");
        }
    }
}
