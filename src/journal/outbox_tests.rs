use std::sync::mpsc;

use bytes::Bytes;

use super::*;

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

fn append(outbox: &Outbox, messages: &[(&str, &str)]) -> u64 {
    outbox.append(messages.iter().map(|(key, value)| event(key, value)).collect(), Instant::now());
    outbox.end()
}

fn outbox(messages: usize) -> Outbox {
    Outbox::new(Limits { messages, bytes: Limits::DEFAULT_BYTES }, 0, 0, None)
}

fn take(outbox: &Outbox) -> Vec<(u64, Vec<Topic>)> {
    match outbox.take(100, u64::MAX) {
        Taken::Messages(messages) => {
            messages.iter().map(|outgoing| (outgoing.position, outgoing.topics().collect())).collect()
        }
        other => panic!("expected messages, got {other:?}"),
    }
}

fn acknowledge(outbox: &Outbox, position: u64) {
    outbox.acknowledge(position, Topic::Events);
    outbox.acknowledge(position, Topic::Current);
}

const BOTH: [Topic; 2] = [Topic::Events, Topic::Current];

#[test]
fn messages_leave_from_the_front_when_all_their_topics_have_them() {
    let outbox = outbox(10);
    assert_eq!(append(&outbox, &[("a", "1"), ("b", "1")]), 2);
    assert_eq!(take(&outbox), [(0, BOTH.to_vec()), (1, BOTH.to_vec())]);

    acknowledge(&outbox, 1);
    assert_eq!((outbox.acknowledged_to(), outbox.pending()), (0, 1));
    assert_eq!(outbox.acknowledge(0, Topic::Current), None);
    let done = outbox.acknowledge(0, Topic::Events);
    assert_eq!(done, Some(Acknowledged { route: Route::AgentState, read_at: None }));
    assert_eq!((outbox.acknowledged_to(), outbox.pending()), (2, 0));
    assert_eq!(outbox.oldest_age(), Duration::ZERO);
}

#[test]
fn rewind_sends_again_what_is_missing_and_what_would_stay_before_it() {
    let outbox = outbox(10);
    append(&outbox, &[("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")]);
    take(&outbox);
    // `current` lacks a's first event and has its second; b is complete.
    outbox.acknowledge(0, Topic::Events);
    acknowledge(&outbox, 1);
    acknowledge(&outbox, 2);
    acknowledge(&outbox, 3);

    assert_eq!(outbox.rewind(), 1);
    assert_eq!(take(&outbox), [(0, vec![Topic::Current]), (2, vec![Topic::Current])]);
    assert_eq!(outbox.pending(), 1, "what was acknowledged once is not pending again");
    outbox.acknowledge(0, Topic::Current);
    assert_eq!(outbox.acknowledged_to(), 2, "the second copy counts, not the first");
    assert_eq!(outbox.acknowledge(2, Topic::Current), None, "reported once");
    assert_eq!(outbox.acknowledged_to(), 4);
}

#[test]
fn what_does_not_fit_stays_on_disk_and_is_asked_for_when_half_is_free() {
    let outbox = outbox(4);
    append(&outbox, &[("a", "1"), ("a", "2"), ("a", "3"), ("a", "4")]);
    append(&outbox, &[("a", "5")]);
    append(&outbox, &[("a", "6")]);
    assert_eq!(take(&outbox).len(), 4);
    assert_eq!((outbox.end(), outbox.pending()), (6, 6));
    acknowledge(&outbox, 0);
    acknowledge(&outbox, 1);
    assert!(matches!(outbox.take(100, u64::MAX), Taken::Behind(4)));

    outbox.refill(3, vec![event("a", "4"), event("a", "5")], Instant::now());
    assert_eq!(take(&outbox), [(4, BOTH.to_vec())], "only what is not there yet");
    append(&outbox, &[("a", "7")]);
    acknowledge(&outbox, 2);
    assert!(matches!(outbox.take(100, u64::MAX), Taken::Behind(5)), "what was appended does not overtake");
    outbox.refill(5, vec![event("a", "6"), event("a", "7")], Instant::now());
    assert_eq!(take(&outbox), [(5, BOTH.to_vec()), (6, BOTH.to_vec())]);
}

#[test]
fn the_bound_on_bytes_counts_too_and_a_large_batch_goes_in_alone() {
    let outbox = Outbox::new(Limits { messages: 100, bytes: 8 }, 0, 0, None);
    append(&outbox, &[("key", "longer than eight")]);
    append(&outbox, &[("k", "1")]);
    assert_eq!(take(&outbox), [(0, BOTH.to_vec())]);
    acknowledge(&outbox, 0);
    assert!(matches!(outbox.take(100, u64::MAX), Taken::Behind(1)));
}

#[test]
fn what_a_message_takes_beside_its_bytes_counts_too() {
    let outbox = Outbox::new(Limits { messages: 100, bytes: 2 * OVERHEAD + 10 }, 0, 0, None);
    for number in ["1", "2", "3"] {
        append(&outbox, &[("k", number)]);
    }
    assert_eq!(take(&outbox).len(), 2, "the third stays on disk");
}

#[test]
fn it_begins_with_what_an_earlier_run_has_left() {
    let outbox = Outbox::new(Limits { messages: 10, bytes: 10_000 }, 7, 9, None);
    assert_eq!((outbox.acknowledged_to(), outbox.pending()), (7, 2));
    append(&outbox, &[("a", "3")]);
    assert!(matches!(outbox.take(100, u64::MAX), Taken::Behind(7)));
    outbox.refill(6, vec![event("a", "0"), event("a", "1"), event("a", "2")], Instant::now());
    assert_eq!(take(&outbox), [(7, BOTH.to_vec()), (8, BOTH.to_vec())]);
    assert_eq!(outbox.acknowledge_to(9).len(), 2);
    assert_eq!(outbox.acknowledged_to(), 9);
    assert!(matches!(outbox.take(100, u64::MAX), Taken::Behind(9)));
}

#[test]
fn what_is_committed_already_is_never_fetched() {
    let outbox = Outbox::new(Limits { messages: 10, bytes: 10_000 }, 7, 12, None);
    assert_eq!(outbox.acknowledge_to(10).len(), 0);
    assert!(matches!(outbox.take(100, u64::MAX), Taken::Behind(10)));
    assert_eq!(outbox.acknowledge_to(100).len(), 0, "more than the journal has");
    assert_eq!((outbox.acknowledged_to(), outbox.end(), outbox.pending()), (12, 12, 0));
    append(&outbox, &[("a", "1")]);
    assert_eq!(take(&outbox), [(12, BOTH.to_vec())]);
}

#[test]
fn a_hold_lets_nothing_through_but_what_came_before_it() {
    let outbox = outbox(10);
    append(&outbox, &[("a", "1"), ("a", "paused")]);
    outbox.hold(Some(2));
    append(&outbox, &[("a", "2")]);
    outbox.send_aside(event("i", "heartbeat"));
    assert_eq!(take(&outbox), [(0, BOTH.to_vec()), (1, BOTH.to_vec())]);
    acknowledge(&outbox, 0);
    acknowledge(&outbox, 1);
    assert_eq!(outbox.wait_empty(Instant::now() + LONG), 1, "what is held is not waited for");
    outbox.hold(None);
    assert_eq!(take(&outbox), [(Outgoing::UNTRACKED, BOTH.to_vec()), (2, BOTH.to_vec())]);
}

#[test]
fn a_replacement_takes_the_position() {
    let outbox = outbox(10);
    append(&outbox, &[("a", "too large"), ("a", "2")]);
    take(&outbox);
    acknowledge(&outbox, 1);
    let dead_letter = Message { route: Route::DeadLetter, ..event("i", "too") };
    let outgoing = outbox.replace(0, Some(dead_letter)).unwrap();
    assert_eq!(outgoing.topics().collect::<Vec<_>>(), [Topic::DeadLetter]);
    outbox.acknowledge(0, Topic::Events);
    assert_eq!(outbox.acknowledged_to(), 0, "a late report of the old message means nothing");
    outbox.acknowledge(0, Topic::DeadLetter);
    assert_eq!(outbox.acknowledged_to(), 2);
}

#[test]
fn take_stops_at_a_position_until_everything_below_is_acknowledged() {
    let outbox = outbox(10);
    append(&outbox, &[("a", "1"), ("a", "2")]);
    assert!(matches!(outbox.take(10, 1), Taken::Messages(messages) if messages.len() == 1));
    let (sender, done) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(matches!(outbox.take(10, 1), Taken::Reached)).unwrap());
        acknowledge(&outbox, 0);
        assert!(done.recv_timeout(LONG).unwrap());
    });
    outbox.interrupt();
    assert!(matches!(outbox.take(10, u64::MAX), Taken::Interrupted));
    assert_eq!(outbox.wait_empty(Instant::now()), 1);
    outbox.stop();
    assert!(matches!(outbox.take(10, u64::MAX), Taken::Stopped));
}

#[test]
fn what_is_lost_takes_no_room_and_is_passed_over_when_what_is_before_it_has_left() {
    const BACKLOG: u64 = 1 << 40;
    let outbox = Outbox::new(Limits { messages: 4, bytes: 1_000 }, 0, BACKLOG + 2, None);
    outbox.refill(0, vec![event("a", "0"), event("a", "1")], Instant::now());
    assert_eq!(take(&outbox).len(), 2);
    assert_eq!(outbox.lose(BACKLOG), BACKLOG - 2);
    assert_eq!(outbox.lose(BACKLOG), 0, "once");
    assert_eq!((outbox.acknowledged_to(), outbox.pending()), (0, 4), "two of before, two of behind");
    // A late refill of a lost position is not taken.
    outbox.refill(2, vec![event("a", "2")], Instant::now());
    assert!(outbox.try_take(9, u64::MAX).is_none(), "what is before it has to leave first");
    acknowledge(&outbox, 0);
    assert!(outbox.try_take(9, u64::MAX).is_none());
    acknowledge(&outbox, 1);
    assert_eq!((outbox.acknowledged_to(), outbox.pending()), (BACKLOG, 2));
    assert!(matches!(outbox.try_take(9, u64::MAX), Some(Taken::Behind(BACKLOG))));
    outbox.refill(BACKLOG, vec![event("a", "3"), event("a", "4")], Instant::now());
    assert_eq!(take(&outbox).len(), 2);
}
