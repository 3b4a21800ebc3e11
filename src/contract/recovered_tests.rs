//! Which of several messages of an agent counts.

use crate::contract::header;

use super::*;

/// Messages of one agent as `PARTITION:MILLIS NUMBER@OBSERVED` or `PARTITION:MILLIS -` (a tombstone), in the order in which
/// they are read; what is known of them then, as `NUMBER@OBSERVED`.
fn recovered(messages: &str, known: Option<u64>) -> String {
    let wanted: Arc<str> = Arc::from("avaya-1");
    let mut collector = match known {
        None => Collector::new(&[wanted]),
        Some(known) => Collector::beyond(HashMap::from([(wanted, Sequences::from([("1/7".into(), known)]))])),
    };
    for message in messages.split(", ") {
        let (place, what) = message.split_once(' ').unwrap();
        let (partition, at) = place.split_once(':').unwrap();
        let place = MessagePlace { partition: partition.parse().unwrap(), at: at.parse().unwrap() };
        let value = what.split_once('@').map(|(sequence, observed)| event(sequence, observed));
        let content_type = Some(header::PROTOBUF.as_bytes());
        let read = Read { key: Some(b"avaya-1/1/7"), content_type, value: value.as_deref(), place };
        collector.take(&read).unwrap();
    }
    let agents = match known {
        None => collector.finish().integrations.remove("avaya-1").map(|feed| feed.agents).unwrap_or_default(),
        Some(_) => collector.differences().remove("avaya-1").unwrap().beyond,
    };
    let told = |agent: &StoredAgent| {
        let state = &agent.agent.known.as_ref().unwrap().state.raw_state;
        format!("#{} in {state}", agent.agent.sequence)
    };
    agents.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// Its raw state identifies it.
fn event(sequence: &str, observed: &str) -> Vec<u8> {
    let at = Some(prost_types::Timestamp { seconds: observed.parse().unwrap(), nanos: 0 });
    let state = v1::State { raw_state: format!("{sequence}@{observed}"), recognised: true, ..Default::default() };
    let event = v1::AgentStateEvent {
        integration: "avaya-1".to_owned(),
        acd: 1,
        login_id: "7".to_owned(),
        sequence: sequence.parse().unwrap(),
        state: Some(state),
        state_since: at,
        since_quality: 1,
        observed_at: at,
        ..Default::default()
    };
    event.encode_to_vec()
}

#[test]
fn the_last_message_counts_and_numbers_go_on_behind_the_highest() {
    let cases = [
        ("0:1 1@1, 0:2 2@2", "#2 in 2@2"),
        // An older store was put in place: its numbers come again, for other events.
        ("0:1 8@1, 0:2 9@2, 0:3 3@3", "#9 in 3@3"),
        ("0:1 9@2, 0:2 9@3", "#9 in 9@3"),
        // Sent again, but not all of them.
        ("0:1 1@1, 0:2 2@2, 0:3 3@3, 0:4 1@1, 0:5 2@2", "#3 in 3@3"),
        ("0:1 5@1, 0:2 -", ""),
        ("0:1 5@1, 0:2 -, 0:3 1@3", "#1 in 1@3"),
    ];
    for (messages, expected) in cases {
        assert_eq!(recovered(messages, None), expected, "{messages}");
    }
}

#[test]
fn of_two_partitions_the_later_message_counts_in_whatever_order_they_are_read() {
    let cases = [
        (["0:1 1@1, 0:2 2@2", "4:5 3@5"], "#3 in 3@5"),
        (["0:1 8@1, 0:2 9@2", "4:5 3@5"], "#9 in 3@5"),
        (["0:1 1@1", "4:5 2@5, 4:9 -"], ""),
        (["0:1 1@1, 0:9 -", "4:5 2@5, 4:9 -"], ""),
        (["0:1 1@1, 0:9 -", "4:5 2@5, 4:12 1@12"], "#1 in 1@12"),
        (["0:7 1@7", "4:7 2@7"], "#2 in 2@7"),
    ];
    for ([one, other], expected) in cases {
        let [forwards, backwards] = [format!("{one}, {other}"), format!("{other}, {one}")];
        let is_numbered_twice = expected == "#1 in 1@12";
        assert_eq!(recovered(&forwards, None), expected, "{forwards}");
        // A sequence from before the tombstone may be skipped, never used again.
        let told = recovered(&backwards, None);
        assert!(told == expected || is_numbered_twice && told.ends_with("in 1@12"), "{backwards}: {told}");
    }
}

#[test]
fn who_is_known_as_well_is_not_wanted() {
    let cases = [
        ("0:1 4@1, 0:2 5@2", 5, ""),
        ("0:1 5@1, 0:2 6@2", 5, "#6 in 6@2"),
        ("0:1 8@1, 0:2 3@2", 5, "#8 in 3@2"),
        ("0:1 8@1, 0:2 -, 0:3 1@3", 5, "#1 in 1@3"),
        ("0:1 4@1, 0:2 -", 5, ""),
        // They came again before the store was closed: it knows everything after the tombstone.
        ("0:1 8@1, 0:2 -, 0:3 1@3", 1, ""),
        ("0:1 -, 0:2 1@2, 0:3 2@3, 0:4 3@4", 3, ""),
        ("0:1 -, 0:2 1@2, 0:3 2@3, 0:4 3@4", 2, "#3 in 3@4"),
    ];
    for (messages, known, expected) in cases {
        assert_eq!(recovered(messages, Some(known)), expected, "{messages}, known {known}");
    }
}

#[test]
fn who_had_events_and_is_not_there_is_missing() {
    let wanted: Arc<str> = Arc::from("avaya-1");
    let known = Sequences::from([("1/7".into(), 5), ("1/8".into(), 3), ("1/9".into(), 0)]);
    let mut collector = Collector::beyond(HashMap::from([(wanted, known)]));
    let (value, content_type) = (event("4", "1"), Some(header::PROTOBUF.as_bytes()));
    collector
        .take(&Read { key: Some(b"avaya-1/1/7"), content_type, value: Some(&value), place: MessagePlace::default() })
        .unwrap();
    let found = collector.differences().remove("avaya-1").unwrap();
    assert_eq!((found.beyond.len(), found.missing), (0, vec![Box::from("1/8")]));
}
