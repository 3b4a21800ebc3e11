//! The agent table comes back from the `current` topic of a real Kafka.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rtalink::config::model::{Format, Kafka};
use rtalink::config::topics::Topic;
use rtalink::contract::header;
use rtalink::contract::saved::StoredAgent;
use rtalink::journal::message::{Message, Route};
use rtalink::journal::row;
use rtalink::kafka::encode::Encoder;
use rtalink::kafka::publisher::Drained;
use rtalink::kafka::recovery::{Recovered, RecoveryError, RecoveryProgress, read_current};
use rtalink::mapping::annotate::{Annotation, NoUser, Published};
use rtalink::mapping::key::MatchLevel;
use rtalink::mapping::tables::{Activity, User};
use rtalink::time::Timestamp;
use rtalink::tracker::agent::KnownState;
use rtalink::tracker::agent_state::{AgentState, RideAlong, SkillList};
use rtalink::tracker::event::{AgentEvent, Cause, Previous};
use rtalink::tracker::saved::SavedAgent;
use rtalink::tracker::since::Quality;
use rtalink::wire::states::{Direction, Mode};

use crate::support;

use support::kafka::{Broker, InterruptedBroker, unique};
use support::publishing;
use support::sections;

const LONG: Duration = Duration::from_secs(60);

/// A configuration whose topics are those of `name`.
fn kafka(servers: &str, name: &str, format: &str) -> Kafka {
    let topics = sections::topics(name);
    publishing::kafka(&format!("bootstrap_servers = \"{servers}\"\nformat = \"{format}\"\npartitions = 4\n{topics}"))
}

/// The event of an agent with this sequence. States, names and mappings differ from one to the next.
fn event(agent: usize, sequence: u64) -> (AgentEvent, Annotation) {
    let number = usize::try_from(sequence).unwrap() + agent;
    let at = Timestamp::from_millis(1_767_600_000_120 + i64::try_from(sequence).unwrap() * 3_000);
    let mode = Mode::ALL[number % Mode::ALL.len()];
    let is_detailed = number.is_multiple_of(2);
    let extension: Option<Arc<str>> = (!number.is_multiple_of(3)).then(|| format!("80{agent}").into());
    let state = AgentState {
        mode,
        direction: [Direction::None, Direction::Out, Direction::In][number % 3],
        on_hold: number.is_multiple_of(5),
        aux_reason: (mode == Mode::Aux).then_some(0),
        raw_state: number.to_string().into(),
        recognised: !number.is_multiple_of(7),
        work_split: is_detailed.then(|| "232".into()),
        skills: SkillList::new((0..number % 4).map(|skill| (format!("2{skill}"), (skill > 0).then_some(7)))),
        extension: extension.clone(),
    };
    let text = |text: &str| is_detailed.then(|| Arc::from(text));
    let ride_along = RideAlong {
        name: text("Müller, Jörg"),
        extension,
        role: text("agent"),
        location: None,
        logout_reason: text("3"),
    };
    let event = AgentEvent {
        agent: 0,
        acd: 1,
        login_id: format!("0{agent}").into(),
        ride_along,
        sequence,
        cause: Cause::Changed,
        evidence: None,
        previous: Some(Previous { state: state.clone(), state_since: at, last_seen: at }),
        state,
        state_since: at.minus(Duration::from_micros(1_000_007)),
        quality: [Quality::Exact, Quality::WithinRefresh, Quality::AfterGap][number % 3],
        after_gap: false,
        observed_at: at,
    };
    let user = User { employee_id: format!("E{agent}"), employee_name: "Lovelace, Ada".to_owned() };
    let activity = (!number.is_multiple_of(4))
        .then(|| Arc::new(Activity { activity_id: (number % 4).to_string(), activity_name: "Call".to_owned() }));
    let annotation = Annotation {
        external_user: event.login_id.clone(),
        user: if is_detailed { Ok(Arc::new(user)) } else { Err(NoUser::Unmapped) },
        external_activity: "ACD:in".into(),
        activity_base: "ACD:in".into(),
        activity,
        level: MatchLevel::Exact,
        previous_external_activity: None,
        previous_activity: None,
        activity_since: (!number.is_multiple_of(4)).then(|| at.minus(Duration::from_secs(60))),
        version: 3,
    };
    (event, annotation)
}

/// What has to be recovered where this was the agent's last event.
fn expected(agent: usize, sequence: u64) -> StoredAgent {
    let (event, annotation) = event(agent, sequence);
    StoredAgent {
        agent: SavedAgent {
            acd: 1,
            login_id: event.login_id,
            sequence,
            known: Some(KnownState { state: event.state, state_since: event.state_since, quality: event.quality }),
            ride_along: event.ride_along,
            last_seen: event.observed_at,
            start: None,
            told_start: None,
            state_seen: None,
            listed_again: 0,
            brief: None,
            absence: None,
        },
        published: Some(Published {
            user: annotation.user.ok(),
            activity: annotation.activity,
            activity_since: annotation.activity_since,
        }),
        last_event: None,
    }
}

fn message(integration: &str, format: Format, agent: usize, sequence: u64) -> Message {
    let (event, annotation) = event(agent, sequence);
    Encoder::new(integration.into(), format).event_message(&event, &annotation, None).unwrap()
}

fn publish(kafka: &Kafka, integration: &str, messages: Vec<Message>) {
    let (publisher, _store) = publishing::publisher(kafka, integration);
    publisher.handle(integration).unwrap().submit(publishing::batch(messages)).unwrap();
    assert_eq!(publisher.drain(Instant::now() + LONG), Drained::default());
}

fn producer(servers: &str, settings: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("queue.buffering.max.messages", "1000000");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

fn send(producer: &BaseProducer, topic: &str, message: &Message) {
    let headers = message
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(&value[..]) }));
    let record = BaseRecord::to(topic).key(&*message.key).payload(&message.payload[..]).headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
}

fn recover(servers: &str, kafka: &Kafka, wanted: &[&str]) -> Recovered {
    let wanted: Vec<Arc<str>> = wanted.iter().map(|id| Arc::from(*id)).collect();
    let deadline = Instant::now() + LONG;
    read_current(servers, kafka, &wanted, LONG, &|| Instant::now() > deadline, &mut |_| {}).unwrap()
}

/// Without their last messages.
fn agents(recovered: &Recovered, integration: &str) -> Vec<StoredAgent> {
    let mut agents = recovered.integrations[integration].agents.clone();
    agents.iter_mut().for_each(|agent| agent.last_event = None);
    agents.sort_by(|one, other| one.agent.login_id.cmp(&other.agent.login_id));
    agents
}

/// Each agent's last message is as it was sent.
fn are_as_sent(recovered: &Recovered, integration: &str) {
    for StoredAgent { agent, last_event, .. } in &recovered.integrations[integration].agents {
        let stored = last_event.as_ref().unwrap();
        let format = if stored.json { Format::Json } else { Format::Protobuf };
        let sent = message(integration, format, agent.login_id.parse().unwrap(), agent.sequence);
        let back = row::from_stored(stored).unwrap();
        assert_eq!((back.route, back.key, back.payload), (sent.route, sent.key, sent.payload));
        assert_eq!(back.headers, sent.headers);
    }
}

fn observed(sequence: u64) -> Option<Timestamp> {
    Some(event(0, sequence).0.observed_at)
}

#[test]
fn the_last_event_of_each_agent_comes_back_in_both_formats() {
    let servers = Broker::shared().bootstrap();
    let name = unique("recovery");
    let (protobuf, json) = (kafka(servers, &name, "protobuf"), kafka(servers, &name, "json"));
    let all = |integration: &'static str, format, last: u64| {
        (1..=last).flat_map(move |sequence| (0..9).map(move |agent| message(integration, format, agent, sequence)))
    };
    publish(&protobuf, "avaya-1", all("avaya-1", Format::Protobuf, 14).collect());
    publish(&json, "avaya-2", all("avaya-2", Format::Json, 14).collect());
    // A change of the format, and the last event once more.
    publish(&json, "avaya-1", (0..4).map(|agent| message("avaya-1", Format::Json, agent, 15)).collect());
    let refresh = Message { route: Route::Refresh, ..message("avaya-2", Format::Json, 3, 14) };
    publish(&json, "avaya-2", vec![refresh]);
    publish(&protobuf, "avaya-3", all("avaya-3", Format::Protobuf, 1).collect());
    assert_eq!(support::topic::read(servers, &format!("{name}.events")).len(), 14 * 9 * 2 + 4 + 9, "not refreshed");

    let recovered = recover(servers, &protobuf, &["avaya-1", "avaya-2", "avaya-4"]);

    assert_eq!((recovered.messages, recovered.unreadable), (14 * 9 * 2 + 5 + 9, 0));
    let last = |agent| if agent < 4 { 15 } else { 14 };
    let wanted: Vec<StoredAgent> = (0..9).map(|agent| expected(agent, last(agent))).collect();
    assert_eq!(agents(&recovered, "avaya-1"), wanted);
    let wanted: Vec<StoredAgent> = (0..9).map(|agent| expected(agent, 14)).collect();
    assert_eq!(agents(&recovered, "avaya-2"), wanted);
    are_as_sent(&recovered, "avaya-1");
    are_as_sent(&recovered, "avaya-2");
    assert_eq!(recovered.integrations.len(), 2, "nothing of those not wanted or never seen");
    assert_eq!(recovered.integrations["avaya-1"].last_valid, observed(15));
    assert_eq!(recovered.integrations["avaya-2"].last_valid, observed(14));
}

#[test]
fn a_topic_that_is_missing_or_empty_is_an_empty_table() {
    let broker = Broker::shared();
    let kafka = kafka(broker.bootstrap(), &unique("missing"), "protobuf");
    assert_eq!(recover(broker.bootstrap(), &kafka, &["avaya-1"]), Recovered::default());
    assert_eq!(broker.partitions(&kafka.topics[Topic::Current]), 0, "asking for it makes none");
    broker.create_topic(&kafka.topics[Topic::Current], 3, &[("cleanup.policy", "compact")]);
    assert_eq!(recover(broker.bootstrap(), &kafka, &["avaya-1"]), Recovered::default());
}

#[test]
fn behind_a_tombstone_an_agent_is_nobody_until_they_come_again() {
    let broker = Broker::shared();
    let kafka = kafka(broker.bootstrap(), &unique("tombstones"), "protobuf");
    let topic = &kafka.topics[Topic::Current];
    broker.create_topic(topic, 2, &[]);
    let producer = producer(broker.bootstrap(), &[]);
    let tombstone = |key: &str| {
        producer.send(BaseRecord::<str, [u8]>::to(topic).key(key)).map_err(|(error, _)| error).unwrap();
    };
    let event = |agent, sequence| send(&producer, topic, &message("avaya-1", Format::Protobuf, agent, sequence));
    tombstone("avaya-1/1/09");
    [1, 2, 3].into_iter().for_each(|agent| event(agent, 8));
    tombstone("avaya-1/1/01");
    tombstone("avaya-1/1/02");
    event(2, 1);
    producer.flush(LONG).unwrap();

    let recovered = recover(broker.bootstrap(), &kafka, &["avaya-1"]);
    assert_eq!((recovered.messages, recovered.unreadable), (7, 0));
    assert_eq!(agents(&recovered, "avaya-1"), [expected(2, 1), expected(3, 8)]);
}

#[test]
fn what_cannot_be_read_is_left_out_and_counted() {
    let broker = Broker::shared();
    let kafka = kafka(broker.bootstrap(), &unique("unreadable"), "protobuf");
    let topic = &kafka.topics[Topic::Current];
    broker.create_topic(topic, 2, &[]);
    let producer = producer(broker.bootstrap(), &[]);
    let good = |agent, sequence| message("avaya-1", Format::Protobuf, agent, sequence);
    send(&producer, topic, &good(1, 8));
    producer.send(BaseRecord::<str, [u8]>::to(topic).payload(b"no key")).map_err(|(error, _)| error).unwrap();
    let of =
        |message: &Message, payload: &'static [u8]| Message { payload: Bytes::from_static(payload), ..message.clone() };
    let json = message("avaya-1", Format::Json, 1, 9);
    let newer = String::from_utf8(message("avaya-1", Format::Json, 1, 8).payload.to_vec()).unwrap();
    let newer = newer.replace("\"sequence\":\"8\"", "\"sequence\":\"9\",\"added\":{}");
    let with = |from: &str, to: &str| {
        assert!(newer.contains(from), "{newer}");
        Message { payload: newer.replace(from, to).into(), ..json.clone() }
    };
    let unreadable = [
        Message { key: "01".into(), ..good(1, 9) },
        Message { key: "avaya-1/1/02".into(), ..good(1, 9) },
        Message { headers: Vec::new(), ..good(1, 9) },
        of(&good(1, 9), b"\xff"),
        of(&good(1, 9), b""),
        of(&json, b"{\"sequence\":"),
        with("\"mode\":\"OTHER\"", "\"mode\":\"DREAMING\""),
        with("\"direction\":\"NONE\"", "\"direction\":\"UP\""),
        with("\"sinceQuality\":\"EXACT\"", "\"sinceQuality\":\"VAGUE\""),
        of(&json, b"[]"),
    ];
    unreadable.iter().for_each(|message| send(&producer, topic, message));
    // With a field that is new, late, and of a sequence that has passed.
    send(&producer, topic, &with("\"added\"", "\"addition\""));
    send(&producer, topic, &good(1, 7));
    send(&producer, topic, &good(2, 1));
    let foreign = Message { key: "avaya-2/1/01".into(), headers: vec![(header::REASON, Bytes::new())], ..good(1, 1) };
    send(&producer, topic, &foreign);
    producer.flush(LONG).unwrap();

    let recovered = recover(broker.bootstrap(), &kafka, &["avaya-1"]);

    assert_eq!(recovered.unreadable, 1 + unreadable.len() as u64);
    assert_eq!(recovered.messages, recovered.unreadable + 5);
    let mut first = expected(1, 8);
    first.agent.sequence = 9;
    assert_eq!(agents(&recovered, "avaya-1"), [first, expected(2, 1)]);
}

#[test]
fn of_transactions_only_what_was_committed_comes_back() {
    let broker = Broker::shared();
    let kafka = kafka(broker.bootstrap(), &unique("transactions"), "protobuf");
    let topic = &kafka.topics[Topic::Current];
    broker.create_topic(topic, 3, &[]);
    let transactional = |name: &str| {
        let producer = producer(broker.bootstrap(), &[("transactional.id", &unique(name))]);
        producer.init_transactions(LONG).unwrap();
        producer
    };
    let write = |producer: &BaseProducer, agents: std::ops::Range<usize>, sequence| {
        producer.begin_transaction().unwrap();
        agents.for_each(|agent| send(producer, topic, &message("avaya-1", Format::Protobuf, agent, sequence)));
        producer.flush(LONG).unwrap();
    };
    let one = transactional("one");
    write(&one, 0..6, 1);
    one.commit_transaction(LONG).unwrap();
    write(&one, 0..8, 2);
    one.abort_transaction(LONG).unwrap();
    let wanted: Vec<StoredAgent> = (0..6).map(|agent| expected(agent, 1)).collect();
    let recovered = recover(broker.bootstrap(), &kafka, &["avaya-1"]);
    assert_eq!((agents(&recovered, "avaya-1"), recovered.messages), (wanted, 6));

    // What another producer commits behind an open transaction is not overlooked.
    write(&one, 0..1, 2);
    let other = transactional("other");
    write(&other, 0..9, 3);
    other.commit_transaction(LONG).unwrap();
    let recovered = thread::scope(|scope| {
        let (looked, looks) = mpsc::channel();
        let (servers, kafka) = (broker.bootstrap(), &kafka);
        let recovering = scope.spawn(move || {
            let stop = || looked.send(()).is_err();
            read_current(servers, kafka, &["avaya-1".into()], LONG, &stop, &mut |_| {}).unwrap()
        });
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            looks.recv_timeout(LONG).unwrap();
        }
        assert!(!recovering.is_finished(), "it waits for the open transaction");
        one.abort_transaction(LONG).unwrap();
        while looks.recv_timeout(LONG).is_ok() {}
        recovering.join().unwrap()
    });
    let wanted: Vec<StoredAgent> = (0..9).map(|agent| expected(agent, 3)).collect();
    assert_eq!(agents(&recovered, "avaya-1"), wanted);
}

/// As a broker leaves one that was killed before it wrote the marker: a transaction that nobody ends, with committed messages in
/// front of it and behind it.
#[test]
fn what_a_hanging_transaction_has_counts_as_published_once_nobody_waits_for_it_any_more() {
    let broker = Broker::shared();
    let kafka = kafka(broker.bootstrap(), &unique("hanging"), "protobuf");
    let topic = &kafka.topics[Topic::Current];
    broker.create_topic(topic, 3, &[]);
    let hanging = producer(broker.bootstrap(), &[("transactional.id", &unique("hanging"))]);
    let other = producer(broker.bootstrap(), &[]);
    let write = |producer: &BaseProducer, agents: std::ops::Range<usize>, sequence| {
        agents.for_each(|agent| send(producer, topic, &message("avaya-1", Format::Protobuf, agent, sequence)));
        producer.flush(LONG).unwrap();
    };
    write(&other, 0..6, 1);
    hanging.init_transactions(LONG).unwrap();
    hanging.begin_transaction().unwrap();
    write(&hanging, 0..3, 2);
    write(&other, 1..9, 3);

    let deadline = Instant::now() + LONG;
    let (wanted, stop) = (["avaya-1".into()], || Instant::now() > deadline);
    let read = read_current(broker.bootstrap(), &kafka, &wanted, Duration::ZERO, &stop, &mut |_| {});
    let recovered = read.unwrap();
    let sequence = |agent| if agent == 0 { 2 } else { 3 };
    let wanted: Vec<StoredAgent> = (0..9).map(|agent| expected(agent, sequence(agent))).collect();
    assert_eq!(agents(&recovered, "avaya-1"), wanted);
    assert_eq!(recovered.messages, 6 + 3 + 8, "each of them once");
    hanging.abort_transaction(LONG).unwrap();
}

#[test]
fn who_is_told_to_stop_stops_though_kafka_is_away() {
    let kafka = kafka("127.0.0.1:1", "away", "protobuf");
    let started = Instant::now();
    let stop = || started.elapsed() > Duration::from_secs(1);
    let stopped = read_current("127.0.0.1:1", &kafka, &["avaya-1".into()], LONG, &stop, &mut |_| {});
    assert!(matches!(stopped, Err(RecoveryError::Stopped)));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

const MANY: usize = 100_000;

#[test]
fn a_hundred_thousand_agents_take_seconds_and_an_outage_is_waited_out() {
    let mut broker = InterruptedBroker::start();
    let servers = broker.bootstrap();
    let kafka = kafka(&servers, "many", "protobuf");
    publish(&kafka, "avaya-1", vec![message("avaya-1", Format::Protobuf, 0, 1)]);
    let producer = producer(&servers, &[]);
    for agent in 1..MANY {
        send(&producer, &kafka.topics[Topic::Current], &message("avaya-1", Format::Protobuf, agent, 1));
    }
    producer.flush(LONG).unwrap();
    drop(producer);

    let started = Instant::now();
    let recovered = recover(&servers, &kafka, &["avaya-1"]);
    let took = started.elapsed();
    println!("{MANY} agents in {took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert_eq!(recovered.integrations["avaya-1"].agents.len(), MANY);

    println!("X {:?}", started.elapsed());
    // Taken away in the middle and brought back.
    let calls = AtomicU64::new(0);
    let interrupted = parking_lot::Mutex::new(&mut broker);
    let outage = || {
        if calls.fetch_add(1, Ordering::Relaxed) == 5_000 {
            let mut broker = interrupted.lock();
            broker.kill();
            broker.start_again();
        }
        false
    };
    let again = read_current(&servers, &kafka, &["avaya-1".into()], LONG, &outage, &mut |_| {}).unwrap();
    let by_login = |recovered: Recovered| -> HashMap<Arc<str>, StoredAgent> {
        let feeds = recovered.integrations.into_values();
        feeds.flat_map(|feed| feed.agents).map(|stored| (stored.agent.login_id.clone(), stored)).collect()
    };
    assert!(by_login(again) == by_login(recovered), "the same after an outage");

    println!("X {:?}", started.elapsed());
    // Away before it begins: it says so, and goes on once Kafka is back.
    broker.kill();
    let (told, hears) = mpsc::channel();
    let recovered = thread::scope(|scope| {
        let (servers, kafka) = (&servers, &kafka);
        let recovering = scope.spawn(move || {
            read_current(servers, kafka, &["avaya-1".into()], LONG, &|| false, &mut |progress| {
                told.send(progress).unwrap()
            })
        });
        let failed = hears.recv_timeout(LONG).unwrap();
        let RecoveryProgress::Failed { kind, reason } = failed else { panic!("{failed:?}") };
        assert_eq!(kind, "BrokerTransportFailure", "{reason}");
        let waiting = hears.recv_timeout(LONG).unwrap();
        let RecoveryProgress::Waiting { reason: told, waited } = waiting else { panic!("{waiting:?}") };
        assert!(told == reason && waited < Duration::from_secs(10), "at once: {waited:?}, {told}");
        broker.start_again();
        recovering.join().unwrap().unwrap()
    });
    assert_eq!(recovered.integrations["avaya-1"].agents.len(), MANY);
}
