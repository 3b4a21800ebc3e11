//! Nothing is allocated per unchanged record, and nothing per decoded record.
#![allow(clippy::unwrap_used)]

use crate::support::counting;
use crate::support::engine;

use counting::{Counting, allocations};
use engine::{engine, piece};
use rtalink::time::Timestamp;
use rtalink::wire::decode::Decoder;
use rtalink::wire::layout::{Column, ColumnSpec, FieldStyle, LayoutSpec, builtin};
use rtalink::wire::plan::Plan;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const AGENTS: usize = 2_000;

/// Plays three snapshots, then counts the allocations of the middle of a fourth.
fn allocations_in_mid_snapshot(layout: &LayoutSpec, snapshot: impl Fn(usize) -> String) -> u64 {
    let plan = Plan::compile(layout, "Europe/Berlin").unwrap();
    let mut engine = engine(&plan, true);
    let mut findings = Vec::new();
    engine.open(1, &"cms".into(), Timestamp::from_millis(0), &mut findings);
    for round in 0..3 {
        let at = Timestamp::from_millis(1_000 + 3_000 * round);
        engine.receive(1, &plan, &piece(snapshot(usize::try_from(round).unwrap())), at, &mut findings);
    }
    findings.clear();
    let at = Timestamp::from_millis(10_000);
    let text = snapshot(3);
    // The first row ends the snapshot before, which is news.
    let (first, rest) = text.split_once('\n').unwrap();
    engine.receive(1, &plan, &piece(format!("{first}\n")), at, &mut findings);
    let rest = piece(rest.to_owned());
    let unchanged = engine.totals().records.unchanged;
    let counted = allocations(|| engine.receive(1, &plan, &rest, at, &mut findings));
    // Of a layout with durations the outcome shows at the end of the snapshot.
    let is_settled = engine.totals().records.unchanged - unchanged == AGENTS as u64 - 1;
    assert!(is_settled || plan.computes_start());
    assert_eq!(engine.totals().invalid, 0);
    counted
}

#[test]
fn an_unchanged_record_allocates_nothing() {
    let layout = builtin::get("cisco-icm-20").unwrap();
    assert_eq!(allocations_in_mid_snapshot(&layout, |_| engine::snapshot(AGENTS, usize::MAX, 0)), 0);
}

#[test]
fn a_record_with_a_running_duration_allocates_nothing() {
    let layout = LayoutSpec {
        fields: FieldStyle::Separator(b'|'),
        columns: [Column::LoginId, Column::State, Column::Duration, Column::Extension].map(ColumnSpec::plain).into(),
        skills: None,
        ..builtin::get("cisco-icm-20").unwrap()
    };
    let snapshot = |round: usize| -> String {
        (0..AGENTS).map(|agent| format!("{agent:07}|20|{}|80{agent}\n", 100 + agent + 3 * round)).collect()
    };
    assert_eq!(allocations_in_mid_snapshot(&layout, snapshot), 0);
}

#[test]
fn a_record_with_local_times_allocates_nothing() {
    let local = |column, format: &str| ColumnSpec { format: Some(format.to_owned()), ..ColumnSpec::plain(column) };
    let layout = LayoutSpec {
        fields: FieldStyle::Separator(b'|'),
        columns: vec![
            ColumnSpec::plain(Column::LoginId),
            ColumnSpec::plain(Column::State),
            local(Column::Timestamp, "%d.%m.%Y %H:%M:%S"),
            local(Column::StateStart, "%H:%M:%S"),
        ],
        skills: None,
        ..builtin::get("cisco-icm-20").unwrap()
    };
    let snapshot = |round: usize| -> String {
        (0..AGENTS).map(|agent| format!("{agent:07}|20|01.01.1970 01:00:{:02}|01:00:00\n", 1 + 3 * round)).collect()
    };
    assert_eq!(allocations_in_mid_snapshot(&layout, snapshot), 0);
}

#[test]
fn a_decoded_record_allocates_nothing() {
    let plan = Plan::compile(&builtin::get("cisco-icm-20").unwrap(), "UTC").unwrap();
    let text = engine::snapshot(AGENTS, 1, 0);
    let mut decoder = Decoder::default();
    let mut skills = 0;
    let mut decode_all = || {
        for line in text.lines() {
            skills += decoder.decode(&plan, line.as_bytes(), Timestamp::from_millis(0)).unwrap().record.skills.len();
        }
    };
    decode_all();
    assert_eq!(allocations(decode_all), 0);
    assert_eq!(skills, 2 * 20 * AGENTS);
}
