//! Faults of Kafka as data: whatever it answers, every message arrives, in the order of its key, and copies are copies.

use super::*;

use RDKafkaRespErr as E;

/// Enough for several requests per partition.
const MESSAGES: usize = 210;

/// Returns a publisher that has published a third, and knows topics and producer id.
fn warm(kafka: &Kafka) -> (Publisher, PublishHandle, Receiver<Seen>, tempfile::TempDir) {
    let (publisher, handle, seen, store) = start(kafka);
    submit(&handle, 0..MESSAGES / 3);
    assert_eq!(left_within(&handle, LONG), 0);
    (publisher, handle, seen, store)
}

/// Returns how many messages are not acknowledged after so long.
fn left_within(handle: &PublishHandle, wait: Duration) -> usize {
    let deadline = Instant::now() + wait;
    while handle.pending() > 0 && Instant::now() < deadline {
        handle.lane().send_window().wait_empty(deadline);
        std::thread::yield_now();
    }
    handle.pending()
}

fn assert_all_arrived(cluster: &Cluster, count: usize) {
    assert_complete_and_in_order(cluster, EVENTS, count);
    assert_complete_and_in_order(cluster, CURRENT, count);
}

/// Every number is there; of each key the last copies are in order.
fn assert_complete_and_last_in_order(cluster: &Cluster, topic: &str, count: usize) {
    let mut all = Vec::new();
    for (key, mut numbers) in numbers_by_key(&read_all(&cluster.bootstrap_servers(), topic)) {
        numbers.reverse();
        let mut last = first_copies(&numbers);
        last.reverse();
        assert!(last.is_sorted(), "{topic} {key}: {last:?}");
        all.extend(last);
    }
    all.sort_unstable();
    let missing: Vec<usize> = (0..count).filter(|number| all.binary_search(number).is_err()).collect();
    assert!(missing.is_empty(), "{topic}: {missing:?} missing");
}

/// Brokers with all topics on all of them.
fn cluster_of(brokers: i32) -> Cluster {
    let cluster = MockCluster::new(brokers).unwrap();
    for topic in crate::kafka::topics::plan(&testing::kafka("")) {
        cluster.create_topic(&topic.name, topic.partitions, brokers).unwrap();
    }
    cluster
}

/// Errors by which a broker means "not now", and librdkafka's errors of a connection.
const RETRIABLE: &[E] = &[
    E::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    E::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
    E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    E::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
    E::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
    E::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
    E::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
    E::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
    E::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
    E::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
    E::RD_KAFKA_RESP_ERR_LISTENER_NOT_FOUND,
    E::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
    E::RD_KAFKA_RESP_ERR_INVALID_MSG,
    E::RD_KAFKA_RESP_ERR__TRANSPORT,
    E::RD_KAFKA_RESP_ERR__TIMED_OUT,
    E::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
];

/// Errors that end a producer, while the messages themselves are good: a new one must send them. Answers about sequence
/// numbers are not among them: the mock cluster keeps none, and a broker that knows a number already has the messages.
const ENDING: &[E] = &[
    E::RD_KAFKA_RESP_ERR_UNKNOWN,
    E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
    E::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
    E::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS,
    E::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
    E::RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
    E::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
    E::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
    E::RD_KAFKA_RESP_ERR_SECURITY_DISABLED,
    E::RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE,
];

/// Answers with each of the errors so many times in the middle of a stream, one after the other.
fn assert_survives(errors: &[E], times: usize, may_overtake: bool) {
    const OF_EACH: usize = 35;
    let cluster = testing::cluster();
    let (publisher, handle, seen, _store) = warm(&testing::kafka(&cluster.bootstrap_servers()));
    for (number, error) in errors.iter().enumerate() {
        cluster.request_errors(RDKafkaApiKey::Produce, &vec![*error; times]);
        let first = MESSAGES / 3 + number * OF_EACH;
        submit(&handle, first..first + OF_EACH);
        assert_eq!(left_within(&handle, LONG), 0, "{error:?}");
        let dropped: Vec<Seen> = seen.try_iter().filter(|seen| matches!(seen, Seen::Dropped(_))).collect();
        assert_eq!(dropped, [], "{error:?}");
    }
    drain(publisher);
    // The distance of a missing number from the warm ones shows which error it met.
    let count = MESSAGES / 3 + errors.len() * OF_EACH;
    if may_overtake {
        [EVENTS, CURRENT].iter().for_each(|topic| assert_complete_and_last_in_order(&cluster, topic, count));
    } else {
        assert_all_arrived(&cluster, count);
    }
}

#[test]
fn whatever_a_broker_answers_to_be_asked_again_everything_arrives_in_order() {
    assert_survives(RETRIABLE, 3, false);
}

#[test]
fn whatever_ends_a_producer_everything_arrives_and_what_counts_is_in_order() {
    // Requests after the refused one may get in before librdkafka stops: a broker that keeps sequence numbers refuses them,
    // the mock cluster does not. They are sent again after what they have overtaken.
    assert_survives(ENDING, 1, true);
}

#[test]
fn whatever_a_broker_answers_before_the_first_message_it_goes_on() {
    let metadata = [
        E::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        E::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
        E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        E::RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    let producer_id = [
        E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        E::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        E::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        E::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        E::RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    let versions = [E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, E::RD_KAFKA_RESP_ERR__TRANSPORT];
    let cluster = testing::cluster();
    let faults = [
        (RDKafkaApiKey::Metadata, &metadata[..]),
        (RDKafkaApiKey::InitProducerId, &producer_id[..]),
        (RDKafkaApiKey::ApiVersion, &versions[..]),
    ];
    let mut count = 0;
    for (api, errors) in faults {
        for error in errors {
            cluster.request_errors(api, &[*error; 2]);
            let (publisher, handle, _seen, _store) = start(&testing::kafka(&cluster.bootstrap_servers()));
            submit(&handle, count..count + 7);
            count += 7;
            assert_eq!(left_within(&handle, LONG), 0, "{api:?} {error:?}");
            drain(publisher);
            cluster.clear_request_errors(api);
        }
    }
    assert_all_arrived(&cluster, count);
}

#[test]
fn a_round_trip_of_half_a_second_only_takes_time() {
    let cluster = testing::cluster();
    cluster.broker_round_trip_time(1, Duration::from_millis(500)).unwrap();
    let (publisher, handle, seen, _store) = start(&testing::kafka(&cluster.bootstrap_servers()));
    submit(&handle, 0..MESSAGES);
    drain(publisher);
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    assert!(!seen.try_iter().any(|seen| matches!(seen, Seen::Error(_) | Seen::Dropped(_))));
    assert_all_arrived(&cluster, MESSAGES);
}

#[test]
fn leaders_that_move_in_the_middle_of_a_stream_lose_and_reorder_nothing() {
    let cluster = cluster_of(3);
    let (publisher, handle, _seen, _store) = start(&testing::kafka(&cluster.bootstrap_servers()));
    let moves = 15;
    for round in 0..moves {
        submit(&handle, round * 40..(round + 1) * 40);
        for (partition, topic) in (0..3).flat_map(|partition| [(partition, EVENTS), (partition, CURRENT)]) {
            let leader = 1 + (i32::try_from(round).unwrap() + partition) % 3;
            // The mock cluster does not survive a partition without one.
            cluster.partition_leader(topic, partition, Some(leader)).unwrap();
        }
        left_within(&handle, Duration::from_millis(30));
    }
    drain(publisher);
    assert_all_arrived(&cluster, moves * 40);
}

#[test]
fn brokers_that_go_and_come_in_turn_lose_and_reorder_nothing() {
    let cluster = cluster_of(3);
    let (publisher, handle, _seen, _store) = start(&testing::kafka(&cluster.bootstrap_servers()));
    let rounds = 6;
    for round in 0..rounds {
        let broker = 1 + i32::try_from(round).unwrap() % 3;
        submit(&handle, round * 60..round * 60 + 30);
        cluster.broker_down(broker).unwrap();
        submit(&handle, round * 60 + 30..(round + 1) * 60);
        left_within(&handle, Duration::from_millis(200));
        cluster.broker_up(broker).unwrap();
    }
    drain(publisher);
    assert_all_arrived(&cluster, rounds * 60);
}

/// Every limit in librdkafka that may be exceeded and is not ours.
const SHORT: [(&str, &str); 8] = [
    ("socket.timeout.ms", "1000"),
    ("socket.connection.setup.timeout.ms", "1000"),
    ("request.timeout.ms", "500"),
    ("metadata.max.age.ms", "1000"),
    ("topic.metadata.refresh.interval.ms", "300"),
    ("topic.metadata.propagation.max.ms", "500"),
    ("connections.max.idle.ms", "1000"),
    ("reconnect.backoff.max.ms", "200"),
];

#[test]
fn an_outage_that_is_longer_than_every_time_out_loses_and_reorders_nothing() {
    let cluster = testing::cluster();
    let mut kafka = testing::kafka(&cluster.bootstrap_servers());
    kafka.properties.extend(SHORT.map(|(name, value)| (name.to_owned(), value.to_owned())));
    kafka.queue_events = 50;
    let (publisher, handle, seen, _store) = warm(&kafka);
    submit(&handle, MESSAGES / 3..MESSAGES / 2);
    cluster.broker_down(-1).unwrap();
    submit(&handle, MESSAGES / 2..MESSAGES);
    wait_for(&seen, &Seen::Error("AllBrokersDown".to_owned()));
    assert!(left_within(&handle, Duration::from_secs(5)) > 0);
    assert!(handle.oldest_age() >= Duration::from_secs(4));
    cluster.broker_up(-1).unwrap();
    assert_eq!(left_within(&handle, LONG), 0);
    drain(publisher);
    assert_all_arrived(&cluster, MESSAGES);
}

#[test]
fn a_broker_that_takes_longer_than_the_time_outs_is_asked_until_it_answers() {
    let cluster = testing::cluster();
    let mut kafka = testing::kafka(&cluster.bootstrap_servers());
    kafka.properties.extend(SHORT.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let (publisher, handle, _seen, _store) = warm(&kafka);
    cluster.broker_round_trip_time(1, Duration::from_secs(3)).unwrap();
    submit(&handle, MESSAGES / 3..MESSAGES);
    assert!(left_within(&handle, Duration::from_secs(5)) > 0);
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    assert_eq!(left_within(&handle, LONG), 0);
    drain(publisher);
    assert_all_arrived(&cluster, MESSAGES);
}

#[test]
fn topics_that_are_made_late_are_waited_for() {
    let cluster: Cluster = MockCluster::new(1).unwrap();
    let mut kafka = testing::kafka(&cluster.bootstrap_servers());
    kafka.properties.extend(SHORT.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let (publisher, handle, _seen, _store) = start(&kafka);
    submit(&handle, 0..MESSAGES);
    assert_eq!(left_within(&handle, Duration::from_secs(2)), MESSAGES);
    for topic in crate::kafka::topics::plan(&kafka) {
        cluster.create_topic(&topic.name, topic.partitions, 1).unwrap();
    }
    assert_eq!(left_within(&handle, LONG), 0);
    drain(publisher);
    assert_all_arrived(&cluster, MESSAGES);
}
