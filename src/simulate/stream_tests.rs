use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::simulate::scenario::Scenario;
use crate::simulate::settings::Listener;
use crate::simulate::shift::Drive;
use crate::tracker::settings::SnapshotEnd;
use crate::wire::layout::{Column, ColumnSpec, FieldStyle, LayoutSpec, builtin};
use crate::wire::states::StateTable;

use super::*;

const START: Timestamp = Timestamp::from_millis(1_767_600_000_000);

fn settings(scenario: Scenario) -> SimulatedFeedSettings {
    let mut layout = builtin::get("cisco-icm-20").unwrap();
    if scenario == Scenario::TwoAcds {
        layout.columns = [Column::Acd, Column::LoginId, Column::State].map(ColumnSpec::plain).into();
    }
    SimulatedFeedSettings {
        agents: 200,
        scenario,
        drive: Drive::Pace(20.0),
        ..SimulatedFeedSettings::new(Arc::new(layout))
    }
}

fn played(settings: &SimulatedFeedSettings, snapshots: usize) -> (Vec<(Timestamp, Vec<u8>)>, SimulatedStream) {
    let mut stream = stream(settings, START, snapshots).unwrap();
    let chunks = stream.by_ref().collect();
    (chunks, stream)
}

/// Returns the agents of a Cisco snapshot with their state code, reason and split.
fn read(chunk: &[u8]) -> BTreeMap<String, String> {
    let text = std::str::from_utf8(chunk).unwrap();
    let record = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!(fields.len(), 49);
        let reason = if fields[1].starts_with('5') || fields[1] == "600" { fields[2] } else { "" };
        (fields[0].to_owned(), format!("{} {reason}", fields[1]))
    };
    text.lines().map(record).collect()
}

#[test]
fn one_seed_makes_one_stream() {
    for (_, scenario) in Scenario::NAMES {
        let settings = settings(scenario);
        let (chunks, one) = played(&settings, 30);
        let (same, other) = played(&settings, 30);
        assert!(chunks == same && one.truth() == other.truth(), "{scenario}");
        let (different, _) = played(&SimulatedFeedSettings { seed: 2, ..settings }, 30);
        assert!(chunks != different, "{scenario}");
    }
}

#[test]
fn the_truth_is_what_differs_between_snapshots() {
    for scenario in [Scenario::Shift, Scenario::ShiftStart, Scenario::BreaksByLogout, Scenario::Reskill] {
        let mut settings = settings(scenario);
        settings.listener = Listener { snapshot_end: SnapshotEnd::Marker, logout_after: 1, ..Listener::default() };
        let (chunks, stream) = played(&settings, 200);
        let mut expected = BTreeSet::new();
        let mut before: BTreeMap<String, String> = BTreeMap::new();
        for (number, (at, chunk)) in chunks.iter().enumerate() {
            let now = read(chunk);
            for (login_id, state) in &now {
                let cause = match before.get(login_id) {
                    None if number == 0 => TruthCause::Observed,
                    None => TruthCause::LoggedIn,
                    Some(known) if known != state => TruthCause::Changed,
                    Some(_) => continue,
                };
                expected.insert((*at, login_id.clone(), cause));
            }
            let gone = before.keys().filter(|login_id| !now.contains_key(*login_id));
            expected.extend(gone.map(|login_id| (*at, login_id.clone(), TruthCause::LoggedOut)));
            before = now;
        }
        let truth: BTreeSet<_> =
            stream.truth().iter().map(|truth| (truth.at, truth.login_id.to_string(), truth.cause)).collect();
        assert_eq!(truth.len(), stream.truth().len());
        assert_eq!(truth, expected, "{scenario}");
        let of = |cause| stream.transitions().get(&cause).copied().unwrap_or(0);
        assert!(of(TruthCause::Changed) > 1_000 && of(TruthCause::LoggedIn) > 0, "{scenario}");
        // These are the first three hours of the shift.
        assert!(of(TruthCause::LoggedOut) > 0 || scenario == Scenario::ShiftStart, "{scenario}");
    }
}

#[test]
fn the_exact_share_of_agents_is_in_the_truth() {
    let mut settings = settings(Scenario::Shift);
    settings.drive = Drive::ChangeShare(0.05);
    let (_, stream) = played(&settings, 101);
    assert_eq!(stream.transitions(), &BTreeMap::from([(TruthCause::Observed, 200), (TruthCause::Changed, 1_000)]));
}

/// Returns a layout with a duration, in which re-entries show.
fn with_duration() -> LayoutSpec {
    let mut layout = builtin::get("cisco-icm-20").unwrap();
    let columns = [Column::LoginId, Column::State, Column::AuxReason, Column::Direction, Column::Duration];
    layout.columns = columns.map(ColumnSpec::plain).to_vec();
    layout.fields = FieldStyle::Separator(b'|');
    layout.states = StateTable::cms_names();
    layout.skills = None;
    layout
}

#[test]
fn a_reentry_is_surely_visible_in_the_duration() {
    let mut settings = SimulatedFeedSettings { layout: Arc::new(with_duration()), ..settings(Scenario::Shift) };
    settings.refresh = Duration::from_secs(15);
    let (chunks, stream) = played(&settings, 200);
    let mut starts = BTreeMap::new();
    let mut reentered = BTreeSet::new();
    for (at, chunk) in &chunks {
        let mut now = BTreeMap::new();
        for line in std::str::from_utf8(chunk).unwrap().lines() {
            let fields: Vec<&str> = line.split('|').collect();
            let reason = if fields[1] == "AUX" { fields[2] } else { "" };
            let state = format!("{} {reason} {}", fields[1], fields[3]);
            let began = at.minus(Duration::from_secs(fields[4].parse().unwrap()));
            if let Some((known, before)) = starts.get(fields[0])
                && *known == state
            {
                let shift = began.since(*before);
                assert!(shift <= Duration::from_secs(1) || shift >= Duration::from_secs(3), "{shift:?}");
                if shift > Duration::from_secs(2) {
                    reentered.insert((*at, fields[0].to_owned()));
                }
            }
            now.insert(fields[0].to_owned(), (state, began));
        }
        starts = now;
    }
    let truth = stream.truth().iter().filter(|truth| truth.cause == TruthCause::Reentered);
    let truth: BTreeSet<_> = truth.map(|truth| (truth.at, truth.login_id.to_string())).collect();
    assert!(truth.len() > 50);
    // The last snapshot has not ended yet, so that what waits for its end is uncertain.
    reentered.retain(|(at, _)| *at < chunks.last().unwrap().0);
    assert_eq!(truth, reentered);
}

#[test]
fn garbage_changes_no_state_and_delays_absences() {
    for layout in [builtin::get("cisco-icm-20").unwrap(), with_duration()] {
        let layout = Arc::new(layout);
        let drive = Drive::Pace(4.0);
        let clean = SimulatedFeedSettings { layout: Arc::clone(&layout), drive, ..settings(Scenario::Shift) };
        let (clean_chunks, clean) = played(&clean, 60);
        let mut dirty =
            stream(&SimulatedFeedSettings { layout, drive, ..settings(Scenario::Garbage) }, START, 60).unwrap();
        let (mut lines, mut disconnects) = (0, 0);
        while let Some((_, actions)) = dirty.refresh() {
            for action in actions {
                match action {
                    Action::Send { bytes, .. } => lines += count_lines(&bytes),
                    Action::Close { .. } => disconnects += 1,
                }
            }
        }
        // An absence shows later or not at all; otherwise everybody does the same as without garbage.
        let states = |stream: &SimulatedStream| -> Vec<Truth> {
            let others = stream.truth().iter().filter(|truth| truth.cause != TruthCause::LoggedOut).cloned();
            let first = |cause| if cause == TruthCause::LoggedIn { TruthCause::Observed } else { cause };
            others.map(|truth| Truth { cause: first(truth.cause), ..truth }).collect()
        };
        let logged_out = |stream: &SimulatedStream| -> BTreeMap<Arc<str>, Timestamp> {
            let truths = stream.truth().iter().filter(|truth| truth.cause == TruthCause::LoggedOut);
            truths.map(|truth| (Arc::clone(&truth.login_id), truth.at)).collect()
        };
        assert!(states(&clean) == states(&dirty));
        let before = logged_out(&clean);
        let later = logged_out(&dirty);
        assert!(
            !later.is_empty() && later.iter().all(|(login_id, at)| before[login_id] <= *at),
            "{before:?} {later:?}"
        );
        let counts = dirty.feed().counts();
        assert_eq!(counts.records, clean.feed().counts().records);
        assert!(counts.garbage_lines > 60 && disconnects > 3);
        let clean_lines: u64 = clean_chunks.iter().map(|(_, chunk)| count_lines(chunk)).sum();
        assert_eq!(lines, clean_lines + counts.garbage_lines);
    }
}

/// Counts lines; one without its end, at a disconnect, counts too.
fn count_lines(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64
}

#[test]
fn an_outage_shows_unknown_where_the_layout_can_say_it_and_silence_elsewhere() {
    let (chunks, _) = played(&settings(Scenario::LinkOutage), 12);
    assert_eq!(chunks.len(), 9);
    let layout = Arc::new(with_duration());
    let (chunks, stream) = played(&SimulatedFeedSettings { layout, ..settings(Scenario::LinkOutage) }, 12);
    assert_eq!(chunks.len(), 11);
    let outage = String::from_utf8(chunks[4].1.clone()).unwrap();
    assert!(outage.lines().count() > 100 && outage.lines().all(|line| line.contains("|UNKNOWN|")));
    assert!(stream.truth().iter().all(|truth| truth.mode != crate::wire::states::Mode::Unknown));
}

#[test]
fn a_twin_takes_over_in_the_middle() {
    let mut feed = SimulatedFeed::new(&settings(Scenario::TwinTakeover), START).unwrap();
    let mut wire = Vec::new();
    for refresh in 0..9 {
        for action in feed.refresh(START.plus(Duration::from_secs(3 * refresh))) {
            wire.push(match action {
                Action::Send { connection, bytes, heard } => {
                    assert!(heard || !bytes.is_empty());
                    format!("{refresh}:{connection}{}", if heard { "" } else { " unheard" })
                }
                Action::Close { connection } => format!("{refresh}:{connection} closes"),
            });
        }
        feed.delivered();
    }
    let expected = [
        "0:0",
        "1:0",
        "2:0",
        "3:0",
        "3:1 unheard",
        "4:1",
        "5:1",
        "5:0 unheard",
        "6:1",
        "6:0 unheard",
        "7:1",
        "7:0 closes",
        "8:1",
    ];
    assert_eq!(wire, expected);
}

#[test]
fn a_log_out_row_comes_once() {
    let mut settings = settings(Scenario::BreaksByLogout);
    settings.logout_rows = true;
    let (chunks, stream) = played(&settings, 100);
    let rows = chunks.iter().flat_map(|(_, chunk)| read(chunk).into_values()).filter(|state| state == "10 ").count();
    assert_eq!(stream.transitions().get(&TruthCause::LoggedOut), Some(&(rows as u64)));
}

#[test]
fn settings_that_make_no_feed_are_refused() {
    let none = SimulatedFeedSettings { agents: 0, ..settings(Scenario::Shift) };
    assert!(matches!(stream(&none, START, 1), Err(SimulateError::NoAgents)));
    let still = SimulatedFeedSettings { drive: Drive::Pace(0.0), ..settings(Scenario::Shift) };
    assert!(matches!(stream(&still, START, 1), Err(SimulateError::Drive(_))));
}
