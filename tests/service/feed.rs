//! What may come in through a feed's port, on real sockets: refused peers, torn and bad records, twins, too much at once.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rtalink::contract::v1;
use rtalink::kafka::dead_letter::PER_SECOND;

use crate::support;

use support::process::Process;
use support::sections;
use support::service::{Running, folder};
use support::topic;
use support::wait::until_true;

/// One integration with the built-in layout; `realtime` and `kafka` are further lines of these sections.
fn config(kafka: &str, realtime: &str) -> String {
    format!("[kafka]\npartitions = 1\n{kafka}\n{}", sections::integration("", realtime))
}

const EMBEDDED: &str = "bootstrap_servers = \"embedded\"";
const CISCO: &str = "layout = \"cisco-icm-20\"";

fn start(realtime: &str) -> Running {
    Running::start(&config(EMBEDDED, &format!("{CISCO}\n{realtime}")))
}

/// A record of the built-in layout, without its end.
fn record(login_id: &str, state: &str, reason: &str) -> String {
    format!("{login_id} {state} {reason} 0 0 0 0 1 801326 232 1{}", " 0 0".repeat(19))
}

fn send(feed: &mut TcpStream, records: &[String]) {
    records.iter().for_each(|record| feed.write_all(format!("{record}\n").as_bytes()).unwrap());
}

/// Login id, sequence, cause and mode of each event.
fn told(events: &[v1::AgentStateEvent]) -> Vec<String> {
    let tell = |event: &v1::AgentStateEvent| {
        let mode = event.state.clone().unwrap_or_default().mode().as_str_name();
        format!("{} #{} {} {mode}", event.login_id, event.sequence, event.cause().as_str_name())
    };
    events.iter().map(tell).collect()
}

fn kinds(statuses: &[v1::FeedStatus]) -> Vec<&'static str> {
    statuses.iter().map(|status| status.kind().as_str_name()).collect()
}

/// Whether the other side has ended the connection; waits for it.
fn is_closed_by_peer(feed: &mut TcpStream) -> bool {
    feed.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    match feed.read(&mut [0; 16]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn who_is_not_on_the_list_is_closed_and_counted() {
    let service = start("allow = [\"10.0.0.0/8\", \"192.168.7.1\"]");
    let mut feed = service.dial();
    assert!(is_closed_by_peer(&mut feed));
    until_true("a refusal", || service.metric("rtalink_feed_refused_total", "reason=\"not_allowed\"") > 0.0);
    assert_eq!(service.metric("rtalink_feed_refused_total", ""), 1.0);
    assert_eq!(service.metric("rtalink_feed_bytes_total", ""), 0.0);
    assert_eq!(service.feed_statuses(), []);

    let service = start("allow = [\"10.0.0.0/8\", \"127.0.0.1\"]");
    send(&mut service.dial(), &[record("1", "20", "0")]);
    service.settle(1);
}

#[test]
fn a_half_close_is_read_to_its_end() {
    const RECORDS: u32 = 20_000;
    let service = start("");
    let mut feed = service.dial();
    let bytes: String = (0..RECORDS).map(|number| record(&format!("{}", number % 1_000), "20", "0") + "\n").collect();
    feed.write_all(bytes.as_bytes()).unwrap();
    feed.shutdown(Shutdown::Write).unwrap();
    assert!(is_closed_by_peer(&mut feed), "the other half is closed after that");
    service.settle(RECORDS);
    service.settle_closed();
    assert_eq!(kinds(&service.feed_statuses()), ["CONNECTED", "DISCONNECTED"]);
    assert_eq!(service.events().len(), 1_000);
}

#[test]
fn a_record_without_end_costs_one_dead_letter_and_no_memory() {
    const SENT: usize = 100 << 20;
    const MOST_GROWTH: u64 = 24 << 20;
    let folder = folder(&[]);
    let process = Process::run(&folder, &config(EMBEDDED, CISCO));
    let mut feed = TcpStream::connect(process.feed()).unwrap();
    send(&mut feed, &[record("1", "20", "0")]);
    let before = process.peak_memory();
    let megabyte = vec![b'7'; 1 << 20];
    (0..SENT >> 20).for_each(|_| feed.write_all(&megabyte).unwrap());
    send(&mut feed, &[String::new(), record("2", "20", "0"), record("1", "30", "0")]);
    feed.shutdown(Shutdown::Write).unwrap();
    process.line("DISCONNECTED");
    until_true("three events", || topic::read(&process.kafka(), "rta.agent-state.events").len() == 3);

    let letters = topic::read(&process.kafka(), "rta.dead-letter");
    let told: Vec<_> = letters.iter().map(|letter| (letter.headers["reason"].as_str(), letter.value.len())).collect();
    assert_eq!(told, [("too_long", 4096)]);
    let growth = process.peak_memory() - before;
    assert!(growth < MOST_GROWTH, "{growth} bytes more after {SENT} bytes without an end");
    assert_eq!(process.terminate().0, Some(0));
}

/// Every kind of bad record: its reason, its bytes without an end, and how many of them are in the dead letter.
fn bad_records() -> Vec<(&'static str, Vec<u8>, usize)> {
    let good = record("9", "20", "0");
    let edited = |from: &str, to: &[u8]| {
        let at = good.find(from).unwrap();
        [&good.as_bytes()[..at], to, &good.as_bytes()[at + from.len()..]].concat()
    };
    let kinds = [
        ("too_few_fields", b"9 20 0".to_vec()),
        ("too_few_fields", Vec::new()),
        ("too_many_fields", format!("{good} 0").into_bytes()),
        ("bad_number", edited("20 0 ", b"50 1x ")),
        ("bad_number", edited("232 1", b"232 one")),
        ("bad_skill_group", edited("232 1", b"0 1")),
        ("bad_skill_group", edited("232 1", b"232 0")),
        ("bad_skill_group", edited("232 1", b"232 100")),
        ("undecodable", edited("801326", b"80\xff326")),
        ("nul_byte", edited("801326", b"80\x00326")),
        ("missing_value", edited("20 0", b"N/A 0")),
        ("missing_value", edited("9 20", b"N/A 20")),
    ];
    let whole = kinds.into_iter().map(|(reason, bytes)| (reason, bytes.clone(), bytes.len()));
    whole.chain([("too_long", b"9".repeat(5_000), 4_096)]).collect()
}

#[test]
fn a_bad_record_is_a_dead_letter_and_changes_nothing_for_anybody() {
    let kinds = bad_records();
    let integration = |number| {
        format!(
            "[[integration]]\nid = \"kind-{number}\"\nkind = \"avaya-cms\"\nacd = 1\n\
             [integration.realtime]\nport = 0\nbind = \"127.0.0.1\"\nshortest_refresh = \"0s\"\n{CISCO}\n"
        )
    };
    let integrations: String = (1..=kinds.len()).map(integration).collect();
    let service = Running::start(&format!("{}\n{integrations}", config(EMBEDDED, CISCO)));
    let offset = record("1", "20", "0").len() + 1;
    for (number, (_, bytes, _)) in (1..).zip(&kinds) {
        let mut feed = TcpStream::connect(service.feed_of(&format!("kind-{number}"))).unwrap();
        send(&mut feed, &[record("1", "20", "0")]);
        feed.write_all(bytes).unwrap();
        send(&mut feed, &[String::new(), record("2", "20", "0")]);
        // The same again: agent 9, whom the bad record may be about, never becomes one.
        send(&mut feed, &["1", "2", "1", "2"].map(|login_id| record(login_id, "20", "0")));
        send(&mut feed, &["1", "2"].map(|login_id| record(login_id, "30", "0")));
    }
    service.settle(9 * u32::try_from(kinds.len()).unwrap());

    let (letters, events) = (service.dead_letters(), service.events());
    for (number, (reason, bytes, length)) in (1..).zip(&kinds) {
        let id = format!("kind-{number}");
        let letters: Vec<_> = letters.iter().filter(|letter| letter.key == id).collect();
        assert_eq!(letters.len(), 1, "{reason}");
        let headers = &letters[0].headers;
        assert_eq!((headers["reason"].as_str(), headers["integration"].as_str()), (*reason, id.as_str()));
        assert_eq!(headers["offset"], offset.to_string(), "{reason}");
        assert!(headers["received_at"].ends_with('Z'), "{headers:?}");
        assert_eq!(letters[0].value, bytes[..*length], "{reason}");
        let integration = format!("integration=\"{id}\"");
        let labels = format!("{integration},reason=\"{reason}\"");
        assert_eq!(service.metric("rtalink_dead_letters_total", &labels), 1.0);
        assert_eq!(service.metric("rtalink_dead_letters_total", &integration), 1.0, "{reason}");
        let labels = format!("{integration},outcome=\"invalid\"");
        assert_eq!(service.metric("rtalink_feed_records_total", &labels), 1.0, "{reason}");
        let events: Vec<_> = events.iter().filter(|event| event.integration == id).cloned().collect();
        let expected = ["1 #1 OBSERVED AVAIL", "2 #1 OBSERVED AVAIL", "1 #2 CHANGED ACD", "2 #2 CHANGED ACD"];
        assert_eq!(told(&events), expected, "{reason}");
    }
}

#[test]
fn half_a_record_at_a_disconnect_is_a_dead_letter() {
    let service = start("");
    let mut feed = service.dial();
    send(&mut feed, &[record("1", "20", "0")]);
    feed.write_all(b"1 30 0 0").unwrap();
    feed.shutdown(Shutdown::Write).unwrap();
    service.settle(2);
    service.settle_closed();
    let letters = service.dead_letters();
    let told: Vec<_> = letters.iter().map(|letter| (letter.headers["reason"].as_str(), &*letter.value)).collect();
    assert_eq!(told, [("truncated", &b"1 30 0 0"[..])]);
    assert_eq!(service.events().len(), 1);
}

#[test]
fn of_a_flood_of_bad_records_ten_a_second_are_published_and_all_counted() {
    const BAD: u32 = 5_000;
    let service = start("");
    let begin = Instant::now();
    let mut feed = service.dial();
    let bytes: String = (0..BAD).map(|number| format!("bad {number}\n")).collect();
    feed.write_all(bytes.as_bytes()).unwrap();
    service.settle(BAD);
    let seconds = usize::try_from(begin.elapsed().as_secs()).unwrap() + 1;
    let letters = service.dead_letters();
    assert!(letters.len() >= PER_SECOND && letters.len() <= PER_SECOND * seconds, "{} letters", letters.len());
    assert_eq!(letters[9].value, b"bad 9");
    assert_eq!(service.metric("rtalink_dead_letters_total", "too_few_fields"), f64::from(BAD));
}

#[test]
fn a_second_connection_takes_over_with_its_first_valid_record() {
    let service = start("");
    let mut first = service.dial();
    send(&mut first, &[record("1", "20", "0"), record("2", "20", "0")]);
    service.settle(2);

    let mut second = service.dial();
    until_true("a second connection", || service.metric("rtalink_feed_connections", "") > 1.5);
    send(&mut second, &["hello".to_owned()]);
    service.settle(3);
    send(&mut first, &[record("1", "30", "0"), record("2", "20", "0")]);
    service.settle(5);

    send(&mut second, &[record("1", "30", "0"), record("2", "80", "0")]);
    assert!(is_closed_by_peer(&mut first));
    service.settle(7);
    until_true("one connection", || service.metric("rtalink_feed_connections", "") < 1.5);

    assert_eq!(service.metric("rtalink_feed_refused_total", "reason=\"replaced\""), 1.0);
    assert_eq!(kinds(&service.feed_statuses()), ["CONNECTED", "DISCONNECTED", "CONNECTED"]);
    let events = service.events();
    assert_eq!(told(&events), ["1 #1 OBSERVED AVAIL", "2 #1 OBSERVED AVAIL", "1 #2 CHANGED ACD", "2 #2 CHANGED RING"]);
    assert!(events[3].after_gap && !events[2].after_gap);
    assert_eq!(service.dead_letters()[0].value, b"hello");
}

#[test]
fn newcomers_without_a_valid_record_are_given_up_and_a_fifth_is_refused() {
    let service = start("stale_after = \"700ms\"");
    let _speaking = service.dial();
    until_true("who speaks", || service.metric("rtalink_feed_connections", "") > 0.5);
    let mut waiting: Vec<TcpStream> = (0..4).map(|_| service.dial()).collect();
    until_true("four who wait", || service.metric("rtalink_feed_connections", "") > 4.5);
    assert!(is_closed_by_peer(&mut service.dial()));
    assert_eq!(service.metric("rtalink_feed_refused_total", "reason=\"too_many_waiting\""), 1.0);
    assert!(waiting.iter_mut().all(is_closed_by_peer));
    assert_eq!(service.metric("rtalink_feed_refused_total", "reason=\"no_valid_record\""), 4.0);
}

const WIDE: &str = r#"
    layout = "wide"
    mode = "event"
    [layout.wide]
    separator = "|"
    columns = ["login_id", "state", "-"]
    states = "rta-codes"
"#;

/// Record `number` of ten agents whose state is another one each time.
fn wide_record(number: usize) -> Vec<u8> {
    let state = ["20", "30"][number / 10 % 2];
    format!("{}|{state}|{}\n", number % 10, "x".repeat(4_000)).into_bytes()
}

#[test]
fn while_kafka_is_away_the_feed_is_read_on_and_nothing_is_lost() {
    const RECORDS: usize = 2_000;
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["rta.agent-state.events", "rta.agent-state.current", "rta.feed-status", "rta.dead-letter"] {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    let servers = cluster.bootstrap_servers();
    // Most of what waits is on disk only.
    let kafka = format!("bootstrap_servers = \"{servers}\"\nqueue_events = 50\ncreate_topics = false");
    let service = Running::start(&config(&kafka, WIDE));
    cluster.broker_down(-1).unwrap();
    let mut feed = service.dial();
    (0..RECORDS).for_each(|number| feed.write_all(&wide_record(number)).unwrap());
    until_true("everything is read and kept", || service.pending() > RECORDS);
    assert_eq!(service.get("/health/ready").status, 200);
    // What is read waits for its commit first.
    until_true("it is on disk", || service.metric("rtalink_journal_bytes", "") > 5e5);
    until_true("the ratio tells of it", || {
        let [bytes, most, ratio] = ["rtalink_journal_bytes", "rtalink_journal_max_bytes", "rtalink_journal_fill_ratio"]
            .map(|name| service.metric(name, ""));
        (ratio * most / bytes - 1.0).abs() < 0.5
    });

    cluster.broker_up(-1).unwrap();
    let records = RECORDS + 10;
    (RECORDS..records).for_each(|number| feed.write_all(&wide_record(number)).unwrap());
    feed.shutdown(Shutdown::Write).unwrap();
    service.settle(u32::try_from(records).unwrap());
    let mut sequences = [0; 10];
    let events = topic::read(&servers, "rta.agent-state.events");
    for event in events.iter().map(topic::Received::event) {
        let agent: usize = event.login_id.parse().unwrap();
        sequences[agent] += 1;
        assert_eq!(event.sequence, sequences[agent]);
    }
    assert_eq!(events.len(), records);
    assert_eq!(service.drain().0, 0);
}

#[test]
fn what_kafka_never_took_is_kept_for_the_next_start() {
    let embedded = config("bootstrap_servers = \"embedded\"", CISCO);
    let away = config("bootstrap_servers = \"127.0.0.1:1\"", CISCO);
    // A store that knows its agents, be it that there are none, needs no Kafka to start.
    let (_, folder) = Running::start(&embedded).drain();
    let service = Running::start_in(folder, &away);
    let mut feed = service.dial();
    send(&mut feed, &["1", "2", "3"].map(|login_id| record(login_id, "20", "0")));
    until_true("four messages", || service.pending() == 4);
    let (kept, folder) = service.drain_within(Duration::from_secs(1));
    assert_eq!(kept, 5, "CONNECTED, three events, DISCONNECTED");

    let service = Running::start_in(folder, &embedded);
    let events = service.events_once(3);
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 1, 1]);
    let mut feed = service.dial();
    send(&mut feed, &[record("1", "20", "0"), record("2", "40", "0"), record("3", "20", "0")]);
    send(&mut feed, &[record("1", "20", "0")]);
    let events = service.events_once(4);
    let news = &events[3];
    assert_eq!((&*news.login_id, news.sequence, news.after_gap), ("2", 2, true), "{news:?}");
}
