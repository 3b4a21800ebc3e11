use std::sync::mpsc;

use bytes::Bytes;

use super::*;
use crate::journal::message::Route;

const LONG: Duration = Duration::from_secs(20);

fn event(key: &str, value: &str) -> Message {
    Message {
        route: Route::AgentState,
        key: key.into(),
        payload: Bytes::copy_from_slice(value.as_bytes()),
        headers: Vec::new(),
        read_at: None,
    }
}

fn append(send_window: &SendWindow, messages: &[(&str, &str)]) -> u64 {
    send_window.append(messages.iter().map(|(key, value)| event(key, value)).collect(), Instant::now());
    send_window.end()
}

fn send_window(messages: usize) -> SendWindow {
    SendWindow::new(WindowLimits { messages, bytes: WindowLimits::DEFAULT_BYTES }, 0, 0, None)
}

fn take(send_window: &SendWindow) -> Vec<(u64, Vec<Topic>)> {
    match send_window.take(100, u64::MAX) {
        Taken::Messages(messages) => {
            messages.iter().map(|outgoing| (outgoing.position, outgoing.topics().collect())).collect()
        }
        other => panic!("expected messages, got {other:?}"),
    }
}

fn acknowledge(send_window: &SendWindow, position: u64) {
    send_window.acknowledge(position, Topic::Events);
    send_window.acknowledge(position, Topic::Current);
}

const BOTH: [Topic; 2] = [Topic::Events, Topic::Current];

#[test]
fn messages_leave_from_the_front_when_all_their_topics_have_them() {
    let send_window = send_window(10);
    assert_eq!(append(&send_window, &[("a", "1"), ("b", "1")]), 2);
    assert_eq!(take(&send_window), [(0, BOTH.to_vec()), (1, BOTH.to_vec())]);

    acknowledge(&send_window, 1);
    assert_eq!((send_window.acknowledged_to(), send_window.pending()), (0, 1));
    assert_eq!(send_window.acknowledge(0, Topic::Current), None);
    let done = send_window.acknowledge(0, Topic::Events);
    assert_eq!(done, Some(Acknowledged { route: Route::AgentState, read_at: None }));
    assert_eq!((send_window.acknowledged_to(), send_window.pending()), (2, 0));
    assert_eq!(send_window.oldest_age(), Duration::ZERO);
}

#[test]
fn rewind_sends_again_what_is_missing_and_what_would_stay_before_it() {
    let send_window = send_window(10);
    append(&send_window, &[("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")]);
    take(&send_window);
    // `current` lacks a's first event and has its second; b is complete.
    send_window.acknowledge(0, Topic::Events);
    acknowledge(&send_window, 1);
    acknowledge(&send_window, 2);
    acknowledge(&send_window, 3);

    assert_eq!(send_window.rewind(), 1);
    assert_eq!(take(&send_window), [(0, vec![Topic::Current]), (2, vec![Topic::Current])]);
    assert_eq!(send_window.pending(), 1, "what was acknowledged once is not pending again");
    send_window.acknowledge(0, Topic::Current);
    assert_eq!(send_window.acknowledged_to(), 2, "the second copy counts, not the first");
    assert_eq!(send_window.acknowledge(2, Topic::Current), None, "reported once");
    assert_eq!(send_window.acknowledged_to(), 4);
}

#[test]
fn what_does_not_fit_stays_on_disk_and_is_asked_for_when_half_is_free() {
    let send_window = send_window(4);
    append(&send_window, &[("a", "1"), ("a", "2"), ("a", "3"), ("a", "4")]);
    append(&send_window, &[("a", "5")]);
    append(&send_window, &[("a", "6")]);
    assert_eq!(take(&send_window).len(), 4);
    assert_eq!((send_window.end(), send_window.pending()), (6, 6));
    acknowledge(&send_window, 0);
    acknowledge(&send_window, 1);
    assert!(matches!(send_window.take(100, u64::MAX), Taken::Behind(4)));

    send_window.refill(3, vec![event("a", "4"), event("a", "5")], Instant::now());
    assert_eq!(take(&send_window), [(4, BOTH.to_vec())], "only what is not there yet");
    append(&send_window, &[("a", "7")]);
    acknowledge(&send_window, 2);
    assert!(matches!(send_window.take(100, u64::MAX), Taken::Behind(5)), "what was appended does not overtake");
    send_window.refill(5, vec![event("a", "6"), event("a", "7")], Instant::now());
    assert_eq!(take(&send_window), [(5, BOTH.to_vec()), (6, BOTH.to_vec())]);
}

#[test]
fn the_bound_on_bytes_counts_too_and_a_large_batch_goes_in_alone() {
    let send_window = SendWindow::new(WindowLimits { messages: 100, bytes: 8 }, 0, 0, None);
    append(&send_window, &[("key", "longer than eight")]);
    append(&send_window, &[("k", "1")]);
    assert_eq!(take(&send_window), [(0, BOTH.to_vec())]);
    acknowledge(&send_window, 0);
    assert!(matches!(send_window.take(100, u64::MAX), Taken::Behind(1)));
}

#[test]
fn what_a_message_takes_beside_its_bytes_counts_too() {
    let send_window = SendWindow::new(WindowLimits { messages: 100, bytes: 2 * OVERHEAD + 10 }, 0, 0, None);
    for number in ["1", "2", "3"] {
        append(&send_window, &[("k", number)]);
    }
    assert_eq!(take(&send_window).len(), 2, "the third stays on disk");
}

#[test]
fn it_begins_with_what_an_earlier_run_has_left() {
    let send_window = SendWindow::new(WindowLimits { messages: 10, bytes: 10_000 }, 7, 9, None);
    assert_eq!((send_window.acknowledged_to(), send_window.pending()), (7, 2));
    append(&send_window, &[("a", "3")]);
    assert!(matches!(send_window.take(100, u64::MAX), Taken::Behind(7)));
    send_window.refill(6, vec![event("a", "0"), event("a", "1"), event("a", "2")], Instant::now());
    assert_eq!(take(&send_window), [(7, BOTH.to_vec()), (8, BOTH.to_vec())]);
    assert_eq!(send_window.acknowledge_to(9).len(), 2);
    assert_eq!(send_window.acknowledged_to(), 9);
    assert!(matches!(send_window.take(100, u64::MAX), Taken::Behind(9)));
}

#[test]
fn what_is_committed_already_is_never_fetched() {
    let send_window = SendWindow::new(WindowLimits { messages: 10, bytes: 10_000 }, 7, 12, None);
    assert_eq!(send_window.acknowledge_to(10).len(), 0);
    assert!(matches!(send_window.take(100, u64::MAX), Taken::Behind(10)));
    assert_eq!(send_window.acknowledge_to(100).len(), 0, "more than the journal has");
    assert_eq!((send_window.acknowledged_to(), send_window.end(), send_window.pending()), (12, 12, 0));
    append(&send_window, &[("a", "1")]);
    assert_eq!(take(&send_window), [(12, BOTH.to_vec())]);
}

#[test]
fn a_pause_lets_nothing_through_but_what_came_before_it() {
    let send_window = send_window(10);
    append(&send_window, &[("a", "1"), ("a", "paused")]);
    send_window.pause(Some(2));
    append(&send_window, &[("a", "2")]);
    send_window.send_untracked(event("i", "heartbeat"));
    assert_eq!(take(&send_window), [(0, BOTH.to_vec()), (1, BOTH.to_vec())]);
    acknowledge(&send_window, 0);
    acknowledge(&send_window, 1);
    assert_eq!(send_window.wait_empty(Instant::now() + LONG), 1, "what is paused is not waited for");
    send_window.pause(None);
    assert_eq!(take(&send_window), [(Outgoing::UNTRACKED, BOTH.to_vec()), (2, BOTH.to_vec())]);
}

#[test]
fn a_replacement_takes_the_position() {
    let send_window = send_window(10);
    append(&send_window, &[("a", "too large"), ("a", "2")]);
    take(&send_window);
    acknowledge(&send_window, 1);
    let dead_letter = Message { route: Route::DeadLetter, ..event("i", "too") };
    let outgoing = send_window.replace(0, Some(dead_letter)).unwrap();
    assert_eq!(outgoing.topics().collect::<Vec<_>>(), [Topic::DeadLetter]);
    send_window.acknowledge(0, Topic::Events);
    assert_eq!(send_window.acknowledged_to(), 0, "a late report of the old message means nothing");
    send_window.acknowledge(0, Topic::DeadLetter);
    assert_eq!(send_window.acknowledged_to(), 2);
}

#[test]
fn take_stops_at_a_position_until_everything_below_is_acknowledged() {
    let send_window = send_window(10);
    append(&send_window, &[("a", "1"), ("a", "2")]);
    assert!(matches!(send_window.take(10, 1), Taken::Messages(messages) if messages.len() == 1));
    let (sender, done) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(matches!(send_window.take(10, 1), Taken::Reached)).unwrap());
        acknowledge(&send_window, 0);
        assert!(done.recv_timeout(LONG).unwrap());
    });
    send_window.interrupt();
    assert!(matches!(send_window.take(10, u64::MAX), Taken::Interrupted));
    assert_eq!(send_window.wait_empty(Instant::now()), 1);
    send_window.stop();
    assert!(matches!(send_window.take(10, u64::MAX), Taken::Stopped));
}

#[test]
fn what_is_lost_takes_no_room_and_is_passed_over_when_what_is_before_it_has_left() {
    const BACKLOG: u64 = 1 << 40;
    let send_window = SendWindow::new(WindowLimits { messages: 4, bytes: 1_000 }, 0, BACKLOG + 2, None);
    send_window.refill(0, vec![event("a", "0"), event("a", "1")], Instant::now());
    assert_eq!(take(&send_window).len(), 2);
    assert_eq!(send_window.lose(BACKLOG), BACKLOG - 2);
    assert_eq!(send_window.lose(BACKLOG), 0, "once");
    assert_eq!((send_window.acknowledged_to(), send_window.pending()), (0, 4), "two of before, two of behind");
    // A late refill of a lost position is not taken.
    send_window.refill(2, vec![event("a", "2")], Instant::now());
    assert!(send_window.try_take(9, u64::MAX).is_none(), "what is before it has to leave first");
    acknowledge(&send_window, 0);
    assert!(send_window.try_take(9, u64::MAX).is_none());
    acknowledge(&send_window, 1);
    assert_eq!((send_window.acknowledged_to(), send_window.pending()), (BACKLOG, 2));
    assert!(matches!(send_window.try_take(9, u64::MAX), Some(Taken::Behind(BACKLOG))));
    send_window.refill(BACKLOG, vec![event("a", "3"), event("a", "4")], Instant::now());
    assert_eq!(take(&send_window).len(), 2);
}
