use std::time::Duration;

use super::*;

fn seen(mode: Mode, split: u32, since: i64) -> Sight {
    let state = Visible {
        mode,
        direction: Direction::None,
        on_hold: false,
        aux_reason: None,
        raw: None,
        work_split: Some(split),
        skills: Vec::new(),
    };
    Sight::Present(state, Timestamp::from_millis(since * 1_000))
}

/// Plays one agent's sights, 3 s apart; returns what is found as (snapshot, cause).
fn play(listener: Listener, shows_start: bool, sights: &[Sight], torn_after: &[usize]) -> Vec<(i64, TruthCause)> {
    play_with_doubts(listener, shows_start, sights, torn_after, &[])
}

/// Does the same, where some snapshots do not prove anybody absent.
fn play_with_doubts(
    listener: Listener,
    shows_start: bool,
    sights: &[Sight],
    torn_after: &[usize],
    doubtful: &[usize],
) -> Vec<(i64, TruthCause)> {
    let mut truths = Truths::new(listener, shows_start, std::iter::once((1, Arc::from("004711"))));
    for (number, sight) in sights.iter().enumerate() {
        truths.observe(Timestamp::from_millis(3_000 * number as i64), vec![sight.clone()], !doubtful.contains(&number));
        if torn_after.contains(&number) {
            truths.torn();
        }
    }
    truths.take().iter().map(|truth| (truth.at.as_millis() / 3_000, truth.cause)).collect()
}

#[test]
fn absence_logs_out_when_it_is_sure_and_is_dated_to_its_beginning() {
    let avail = || seen(Mode::Avail, 1, 0);
    let sights = [avail(), Sight::Absent, avail(), Sight::Absent, Sight::Absent, Sight::Absent, avail()];
    let marker = Listener { snapshot_end: SnapshotEnd::Marker, ..Listener::default() };
    let expected = [(0, TruthCause::Observed), (3, TruthCause::LoggedOut), (6, TruthCause::LoggedIn)];
    assert_eq!(play(marker, false, &sights, &[]), expected);
    assert_eq!(play(Listener::default(), false, &sights, &[]), expected);
    // Torn at its beginning, an absence begins with the next complete snapshot.
    assert_eq!(play(Listener::default(), false, &sights, &[3])[1], (4, TruthCause::LoggedOut));
    let at_once = Listener { logout_after: 1, ..marker };
    assert_eq!(play(at_once, false, &sights, &[])[1], (1, TruthCause::LoggedOut));
}

#[test]
fn a_snapshot_that_proves_nothing_neither_counts_nor_interrupts() {
    let avail = || seen(Mode::Avail, 1, 0);
    let sights = [Sight::Absent, avail(), Sight::Absent, Sight::Absent, Sight::Absent, avail()];
    for snapshot_end in [SnapshotEnd::Marker, SnapshotEnd::Repeat] {
        let listener = Listener { snapshot_end, ..Listener::default() };
        let found = |doubtful: &[usize]| play_with_doubts(listener, false, &sights, &[], doubtful);
        assert_eq!(found(&[]), [(1, TruthCause::LoggedIn), (2, TruthCause::LoggedOut), (5, TruthCause::LoggedIn)]);
        assert_eq!(found(&[0]), [(1, TruthCause::Observed), (2, TruthCause::LoggedOut), (5, TruthCause::LoggedIn)]);
        assert_eq!(found(&[2])[1], (3, TruthCause::LoggedOut));
        assert_eq!(found(&[3])[1], (2, TruthCause::LoggedOut));
        assert_eq!(found(&[2, 3]), [(1, TruthCause::LoggedIn)]);
    }
}

#[test]
fn a_row_logs_out_at_once() {
    let sights = [seen(Mode::Avail, 1, 0), Sight::LogoutRow, Sight::Absent, Sight::Absent];
    let found = play(Listener::default(), false, &sights, &[]);
    assert_eq!(found, [(0, TruthCause::Observed), (1, TruthCause::LoggedOut)]);
}

#[test]
fn a_state_entered_again_shows_in_its_start_alone() {
    let sights = [seen(Mode::Avail, 1, 0), seen(Mode::Avail, 1, 5), seen(Mode::Avail, 1, 5), seen(Mode::Acd, 1, 8)];
    let first = (0, TruthCause::Observed);
    assert_eq!(play(Listener::default(), false, &sights, &[]), [first, (3, TruthCause::Changed)]);
    let found = play(Listener::default(), true, &sights, &[]);
    assert_eq!(found, [first, (1, TruthCause::Reentered), (3, TruthCause::Changed)]);
    let found = play(Listener::default(), true, &sights, &[1]);
    assert_eq!(found, [first, (2, TruthCause::Reentered), (3, TruthCause::Changed)]);
}

#[test]
fn splits_count_with_details_only() {
    let sights = [seen(Mode::Acd, 1, 0), seen(Mode::Acd, 2, 0)];
    assert_eq!(play(Listener::default(), true, &sights, &[]).len(), 1);
    let details = Listener { details: true, ..Listener::default() };
    assert_eq!(play(details, true, &sights, &[])[1], (1, TruthCause::Changed));
}

#[test]
fn a_line_of_the_file_is_json() {
    let mut truths = Truths::new(Listener::default(), false, std::iter::once((1, Arc::from("004711"))));
    let Sight::Present(mut state, since) = seen(Mode::Aux, 232, 0) else { unreachable!() };
    state.aux_reason = Some(3);
    state.skills = vec![Skill { skill: 232, level: 51 }];
    truths.observe(since.plus(Duration::from_millis(120)), vec![Sight::Present(state, since)], true);
    assert_eq!(
        serde_json::to_string(&truths.take()[0]).unwrap(),
        r#"{"at":"1970-01-01T00:00:00.120Z","acd":1,"login_id":"004711","cause":"OBSERVED","mode":"AUX","direction":"NONE","on_hold":false,"aux_reason":3,"work_split":"232","skills":[{"skill":"232","level":51}]}"#
    );
}
