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

fn batch(messages: &[(&str, &str)]) -> Batch {
    Batch { messages: messages.iter().map(|(key, value)| event(key, value)).collect() }
}

fn outbox(messages: usize) -> Outbox {
    Outbox::new(Limits { messages, bytes: Limits::DEFAULT_BYTES })
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
    assert_eq!(outbox.submit(batch(&[("a", "1"), ("b", "1")])).unwrap(), 2);
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
    outbox.submit(batch(&[("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")])).unwrap();
    take(&outbox);
    // `current` misses a's first event, has its second; b is complete.
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
fn a_full_outbox_blocks_until_there_is_room() {
    let outbox = outbox(4);
    outbox.submit(batch(&[("a", "1"), ("a", "2"), ("a", "3"), ("a", "4")])).unwrap();
    let (sender, done) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(outbox.submit(batch(&[("a", "5")])).unwrap()).unwrap());
        assert!(done.recv_timeout(Duration::from_millis(50)).is_err(), "it must block");
        take(&outbox);
        acknowledge(&outbox, 0);
        assert_eq!(done.recv_timeout(LONG).unwrap(), 5);
    });
}

#[test]
fn the_bound_on_bytes_counts_too_and_a_large_batch_goes_in_alone() {
    let outbox = Outbox::new(Limits { messages: 100, bytes: 8 });
    assert_eq!(outbox.submit(batch(&[("key", "longer than eight")])).unwrap(), 1);
    let (sender, done) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(outbox.submit(batch(&[("k", "1")])).unwrap()).unwrap());
        assert!(done.recv_timeout(Duration::from_millis(50)).is_err(), "it must block");
        take(&outbox);
        acknowledge(&outbox, 0);
        assert_eq!(done.recv_timeout(LONG).unwrap(), 2);
    });
}

#[test]
fn closing_gives_a_blocked_batch_back() {
    let outbox = outbox(1);
    outbox.submit(batch(&[("a", "1")])).unwrap();
    let (sender, done) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(outbox.submit(batch(&[("a", "2"), ("a", "3")]))).unwrap());
        outbox.close();
        let Closed(refused) = done.recv_timeout(LONG).unwrap().unwrap_err();
        assert_eq!(refused.messages.len(), 2);
    });
    assert_eq!(outbox.pending(), 1, "what is inside stays");
    assert_eq!(take(&outbox).len(), 1, "and is still published");
}

#[test]
fn a_replacement_takes_the_position() {
    let outbox = outbox(10);
    outbox.submit(batch(&[("a", "too large"), ("a", "2")])).unwrap();
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
    outbox.submit(batch(&[("a", "1"), ("a", "2")])).unwrap();
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
