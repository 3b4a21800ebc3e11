//! Whoever is forgotten is found nowhere any more: in no file of the store, not in `current` once it is compacted, not over HTTP.
//! Whatever happens in between, and nobody else loses anything.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use prost::Message as _;
use rtalink::contract::saved;
use rtalink::contract::v1::AuditEvent;
use rtalink::contract::v1::audit_event::Action;
use rtalink::fail_point;
use rtalink::journal::store::{self, AgentRow, Write};
use serde_json::Value;
use tempfile::TempDir;

use crate::support;

use support::kafka::{Broker, InterruptedBroker, unique};
use support::process::{Process, output, rtalink};
use support::service::{Running, folder};
use support::short::send;
use support::topic::{self, Received};
use support::wait::{until, until_true, within};
use support::{http, sections};

/// Login id, name and extension of the person who is forgotten: bytes that are nowhere by chance.
const PERSON: [&str; 3] = ["xk301204q", "Forgetme Zacharias", "8013267788"];
const OTHERS: usize = 40;

fn config(servers: &str, topics: &str, delivery: &str, more: &str) -> String {
    let integration = sections::integration(
        "",
        "layout = \"people\"\nsnapshot_end = \"marker\"\nlogout_after = 1\nrefresh_after = \"1h\"",
    );
    let topics = sections::topics(topics);
    format!(
        r#"
        [kafka]
        bootstrap_servers = "{servers}"
        delivery = "{delivery}"
        partitions = 1
        {topics}
        {integration}
        [layout.people]
        separator = "|"
        marker = "^END"
        columns = ["login_id", "state", "name", "extension"]
        states = "cms-names"
        {more}
        "#
    )
}

/// A snapshot of the others, and of the person in that state, if in any.
fn snapshot(feed: &mut TcpStream, others: &str, person: Option<&str>) {
    let [login_id, name, extension] = PERSON;
    let mut lines: Vec<String> = (0..OTHERS).map(|n| format!("other-{n}|{others}|Somebody {n}|70{n:02}")).collect();
    lines.extend(person.map(|state| format!("{login_id}|{state}|{name}|{extension}")));
    lines.push("END".to_owned());
    send(feed, &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Files of the store that have any of these texts in their bytes.
fn files_with(store: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(store).unwrap() {
        let path = entry.unwrap().path();
        // A file that is there for a moment only.
        let Ok(bytes) = fs::read(&path) else { continue };
        for text in texts {
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(format!("{text} in {}", path.file_name().unwrap().to_string_lossy()));
            }
        }
    }
    found
}

fn forget(address: SocketAddr, login_id: &str) -> (u16, Value) {
    let body = format!(r#"{{"loginId": "{login_id}"}}"#);
    let answer = http::try_post(address, "/api/v1/forget", &body).expect("an answer");
    (answer.status, answer.json())
}

/// What each key is in the end: the sequence of its last event, or nothing after a tombstone. A sequence never goes back but
/// behind a tombstone, or in a copy of what was there before.
fn in_the_end(messages: &[Received]) -> BTreeMap<String, Option<u64>> {
    let mut last: BTreeMap<String, Option<u64>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for message in messages {
        let is_copy = message.headers.get("event_id").is_some_and(|event_id| !seen.insert(event_id));
        let before = last.get(&message.key).copied().flatten();
        let after = (!message.is_tombstone).then(|| message.event().sequence);
        if let (Some(before), Some(after)) = (before, after) {
            assert!(is_copy || after > before, "{}: {after} after {before}", message.key);
        }
        last.insert(message.key.clone(), after);
    }
    last
}

fn nothing_of_them_is_left(delivery: &str) {
    let topics = unique("forget");
    let servers = Broker::shared().bootstrap();
    let toml = config(servers, &topics, delivery, "");
    let service = Running::start(&toml);
    let store = service.path("data");
    let mut feed = service.dial();
    let mut records = 0;
    let mut say = |service: &Running, others: &str, person: Option<&str>| {
        snapshot(&mut feed, others, person);
        records += u32::try_from(OTHERS).unwrap() + u32::from(person.is_some());
        service.settle(records);
    };
    say(&service, "AVAIL", Some("AVAIL"));
    say(&service, "ACD", Some("ACD"));
    say(&service, "AVAIL", Some("ACD"));
    assert!(!files_with(&store, &PERSON).is_empty(), "they are in the store");

    let (status, answer) = forget(service.http_address(), PERSON[0]);
    assert_eq!((status, &answer["inFeed"][0]["acd"]), (409, &1.into()), "{answer}");
    let (status, answer) = forget(service.http_address(), "nobody");
    assert_eq!(status, 404, "{answer}");
    say(&service, "ACD", None);
    until_true("they have left", || service.events().iter().any(|event| event.cause().as_str_name() == "LOGGED_OUT"));
    let listed = service.get("/api/v1/unmapped").body;
    assert!(listed.contains(PERSON[0]), "{listed}");

    let (status, answer) = forget(service.http_address(), PERSON[0]);
    assert_eq!(answer["forgotten"], serde_json::json!([{ "integration": "avaya-1", "acd": 1 }]));
    // On a slow machine Kafka takes longer than a request waits.
    assert!([200, 202].contains(&status), "{answer}");
    let answered = u32::from(status);
    if status == 202 {
        until_true("it is done", || forget(service.http_address(), PERSON[0]).0 == 404);
    }
    assert_eq!(files_with(&store, &PERSON), Vec::<String>::new(), "while it runs");
    for page in ["/api/v1/agents", "/api/v1/unmapped", "/api/v1/integrations", "/metrics", "/health/ready"] {
        let body = service.get(page).body;
        assert!(!PERSON.iter().any(|text| body.contains(text)), "{page}: {body}");
    }
    assert_eq!(service.metric("rtalink_agents_forgotten_total", "request"), 1.0);
    assert_eq!(service.metric("rtalink_agents", ""), f64::from(u32::try_from(OTHERS).unwrap()));
    let (status, answer) = forget(service.http_address(), PERSON[0]);
    assert_eq!(status, 404, "{answer}");

    let current = format!("{topics}.current");
    let key = format!("avaya-1/1/{}", PERSON[0]);
    let messages = topic::read(servers, &current);
    let theirs: Vec<_> = messages.iter().filter(|message| message.key == key).collect();
    assert!(theirs.last().unwrap().is_tombstone && theirs.last().unwrap().headers.is_empty(), "{theirs:?}");
    assert_eq!(theirs.iter().filter(|message| message.is_tombstone).count(), 1);
    let last = in_the_end(&messages);
    assert_eq!((last.len(), last[&key]), (OTHERS + 1, None));
    assert!(last.iter().all(|(other, sequence)| *other == key || *sequence == Some(4)), "{last:?}");
    let forgets: Vec<AuditEvent> = until("the records of three requests", || {
        let audit = topic::read(servers, &format!("{topics}.audit"));
        let events = audit.iter().map(|message| AuditEvent::decode(&*message.value).unwrap());
        let forgets: Vec<AuditEvent> = events.filter(|event| event.action() == Action::Forget).collect();
        (forgets.len() >= 3).then_some(forgets)
    });
    let told: Vec<(&str, u32)> = forgets.iter().map(|event| (&*event.target, event.status)).collect();
    assert_eq!(told[..3], [("0 of all", 409), ("0 of all", 404), ("1 of all", answered)]);
    assert!(forgets.iter().all(|event| !event.target.contains(PERSON[0])));

    drop(feed);
    let (kept, folder) = service.drain();
    assert_eq!(kept, 0);
    assert_eq!(files_with(&store, &PERSON), Vec::<String>::new(), "after its end");
    let service = Running::start_in(folder, &toml);
    assert_eq!(files_with(&store, &PERSON), Vec::<String>::new(), "after a restart");
    assert!(!service.get("/api/v1/agents").body.contains(PERSON[0]));
    let mut feed = service.dial();
    snapshot(&mut feed, "AVAIL", Some("AVAIL"));
    let last = until("everybody is back", || {
        let last = in_the_end(&topic::read(servers, &current));
        Some(last).filter(|last| last.values().all(Option::is_some))
    });
    assert_eq!(last[&key], Some(1), "they begin anew");
    assert!(last.iter().all(|(other, sequence)| *other == key || *sequence == Some(5)), "{last:?}");
}

#[test]
fn nothing_of_them_is_left_at_least_once() {
    nothing_of_them_is_left("at-least-once");
}

#[test]
fn nothing_of_them_is_left_exactly_once() {
    nothing_of_them_is_left("exactly-once");
}

/// Asks again until nobody knows them any more: then it is complete.
fn forget_until_gone(address: SocketAddr, login_id: &str) {
    until_true("they are forgotten", || match forget(address, login_id) {
        (404, _) => true,
        (200 | 202, _) => false,
        (status, answer) => panic!("{status} {answer}"),
    });
}

/// Process of its own; everybody was there and has gone.
fn everybody_was_there(folder: &TempDir, toml: &str, people: &[String]) -> Process {
    let process = Process::run(folder, toml);
    let mut feed = TcpStream::connect(process.feed()).unwrap();
    let rows = |state: &str| -> Vec<String> {
        let row = |person: &String| format!("{person}|{state}|Name of {person}|99-{person}");
        people.iter().map(row).chain(["stays|AVAIL|Somebody|7000".to_owned(), "END".to_owned()]).collect()
    };
    for state in ["AVAIL", "ACD", "ACW"] {
        send(&mut feed, &rows(state).iter().map(String::as_str).collect::<Vec<_>>());
    }
    // So many at once are not believed before a later snapshot has confirmed it; how much later depends on those before.
    until_true("all have gone", || {
        send(&mut feed, &["stays|ACD|Somebody|7000", "END"]);
        let agents = http::get(process.http(), "/api/v1/agents?mode=UNSTAFF").json();
        agents["agents"].as_array().unwrap().len() == people.len()
    });
    until_true("Kafka has everything", || {
        let integrations = http::get(process.http(), "/api/v1/integrations").json();
        integrations["integrations"][0]["pendingMessages"] == 0
    });
    process
}

fn killed_anywhere(delivery: &str, points: &[(&str, u32)]) {
    let topics = unique("killed");
    let servers = Broker::shared().bootstrap();
    let toml = config(servers, &topics, delivery, "");
    let folder = folder(&[]);
    let store = folder.path().join("data");
    let people: Vec<String> = (0..points.len()).map(|number| format!("person-{number}-zqx")).collect();
    drop(everybody_was_there(&folder, &toml, &people)); // killed too
    for (person, (point, count)) in people.iter().zip(points) {
        let place = format!("{point}:{count}");
        let mut command = rtalink();
        command.args(["run", "--config"]).arg(folder.path().join("rtalink.toml")).env("RTALINK_FAIL_POINT", &place);
        let mut process = Process::spawn(command);
        let has_started = until("its start or its end", || {
            let started = process.log().iter().any(|line| line.contains("started http="));
            if started { Some(true) } else { process.has_ended().then_some(false) }
        });
        if has_started {
            let body = format!(r#"{{"loginId": "{person}"}}"#);
            let answer = http::try_post(process.http(), "/api/v1/forget", &body);
            if answer.as_ref().is_some_and(|answer| answer.status == 200) {
                assert_eq!(files_with(&store, &[person]), Vec::<String>::new(), "{place}: told to be forgotten");
            }
            process.kill();
        }
        process.wait();
        let process = Process::run(&folder, &toml);
        if has_started && ON_DISK.contains(point) {
            let listed = http::get(process.http(), "/api/v1/agents").body;
            assert!(!listed.contains(person), "{place}: forgotten, and there again");
        }
        forget_until_gone(process.http(), person);
        until_true(&format!("{place}: {person} is in no file"), || files_with(&store, &[person]).is_empty());
        assert!(!http::get(process.http(), "/api/v1/agents").body.contains(person), "{place}");
        let last = in_the_end(&topic::read(servers, &format!("{topics}.current")));
        assert_eq!(last[&format!("avaya-1/1/{person}")], None, "{place}");
    }
    // The one who stays has lost nothing.
    let process = Process::run(&folder, &toml);
    assert_eq!(files_with(&store, &people.iter().map(String::as_str).collect::<Vec<_>>()), Vec::<String>::new());
    let mut feed = TcpStream::connect(process.feed()).unwrap();
    send(&mut feed, &["stays|AVAIL|Somebody|7000", "END"]);
    until_true("their next event", || {
        let last = in_the_end(&topic::read(servers, &format!("{topics}.current")));
        last["avaya-1/1/stays"] == Some(3)
    });
    let verified = output(&["store", "verify", "--directory", &store.display().to_string()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

/// Reached when the tombstone is on disk, which is the first batch of those lives.
const ON_DISK: [&str; 12] = [
    fail_point::BEFORE_ERASE,
    fail_point::IN_ERASE,
    fail_point::AFTER_ERASE,
    fail_point::BATCH_WRITTEN,
    fail_point::APPENDED,
    fail_point::AFTER_SEND,
    fail_point::AFTER_ACKNOWLEDGED_TO,
    fail_point::BEFORE_ACKNOWLEDGE,
    fail_point::AFTER_ACKNOWLEDGE,
    fail_point::TRANSACTION_SENT,
    fail_point::BEFORE_TRANSACTION_COMMIT,
    fail_point::AFTER_TRANSACTION_COMMIT,
];

/// Those of a forgetting, and others that it passes; the first ones of most are those of the start.
fn points(of_the_delivery: &[(&'static str, u32)]) -> Vec<(&'static str, u32)> {
    let mut points = vec![
        (fail_point::BEFORE_FORGET, 1),
        (fail_point::AFTER_FORGET, 1),
        (fail_point::BEFORE_ERASE, 1),
        (fail_point::IN_ERASE, 1),
        (fail_point::AFTER_ERASE, 1),
        (fail_point::BATCH_TAKEN, 1),
        (fail_point::BATCH_WRITTEN, 1),
        (fail_point::APPENDED, 1),
        (fail_point::AFTER_SEND, 1),
        (fail_point::AFTER_ACKNOWLEDGED_TO, 1),
    ];
    points.extend_from_slice(of_the_delivery);
    points
}

/// Further on in the life of the store, which knows nothing of deliveries.
fn later_points() -> Vec<(&'static str, u32)> {
    let mut points: Vec<_> = (1..=3)
        .flat_map(|count| {
            [
                (fail_point::BEFORE_CHECKPOINT, count),
                (fail_point::IN_CHECKPOINT, count),
                (fail_point::AFTER_CHECKPOINT, count),
            ]
        })
        .collect();
    points.extend((2..=7).map(|count| (fail_point::AFTER_STORE_COMMIT, count)));
    points
}

#[test]
fn killed_anywhere_they_are_not_forgotten_or_will_be_at_least_once() {
    let of_the_delivery = [(fail_point::BEFORE_ACKNOWLEDGE, 1), (fail_point::AFTER_ACKNOWLEDGE, 1)];
    killed_anywhere("at-least-once", &[points(&of_the_delivery), later_points()].concat());
}

#[test]
fn killed_anywhere_they_are_not_forgotten_or_will_be_exactly_once() {
    let of_the_delivery = [
        (fail_point::TRANSACTION_SENT, 1),
        (fail_point::BEFORE_TRANSACTION_COMMIT, 2),
        (fail_point::AFTER_TRANSACTION_COMMIT, 1),
    ];
    killed_anywhere("exactly-once", &points(&of_the_delivery));
}

#[test]
fn while_kafka_is_away_or_publishing_is_paused_it_is_written_down_and_completes_itself() {
    let mut broker = InterruptedBroker::start();
    let toml = config(&broker.bootstrap(), "away", "at-least-once", "");
    let folder = folder(&[]);
    let store = folder.path().join("data");
    let people = ["first-zqx".to_owned(), "second-zqx".to_owned()];
    let process = everybody_was_there(&folder, &toml, &people);
    let pause = |process: &Process, what: &str| {
        assert_eq!(http::post(process.http(), &format!("/api/v1/integrations/avaya-1/{what}")).status, 200);
    };
    pause(&process, "pause");
    let (status, answer) = forget(process.http(), &people[0]);
    assert_eq!(status, 202, "{answer}");
    assert!(answer["waitsFor"].as_str().unwrap().starts_with("publishing is paused: "), "{answer}");
    assert!(!http::get(process.http(), "/api/v1/agents").body.contains(&people[0]), "gone at once from what is shown");
    assert!(!files_with(&store, &[&people[0]]).is_empty(), "their tombstone waits");
    pause(&process, "resume");
    forget_until_gone(process.http(), &people[0]);
    assert_eq!(files_with(&store, &[&people[0]]), Vec::<String>::new());

    broker.kill();
    let (status, answer) = forget(process.http(), &people[1]);
    assert_eq!(status, 202, "{answer}");
    assert!(answer["waitsFor"].as_str().unwrap().starts_with("Kafka has not taken everything yet: "), "{answer}");
    drop(process); // killed
    let process = Process::run(&folder, &toml);
    assert!(!http::get(process.http(), "/api/v1/agents").body.contains(&people[1]), "forgotten over the restart");
    assert!(!files_with(&store, &[&people[1]]).is_empty(), "their tombstone waits");
    broker.start_again();
    // Nobody asks again: it completes itself.
    until_true("nothing of them is left", || files_with(&store, &[&people[1]]).is_empty());
    let last = in_the_end(&topic::read(&broker.bootstrap(), "away.current"));
    let told: Vec<_> = last.values().copied().collect();
    assert_eq!(told, [None, None, Some(2)], "{last:?}");
    let logged = process.log().join("\n");
    assert!(!people.iter().any(|person| logged.contains(person)), "{logged}");
}

#[test]
fn after_compaction_current_has_nothing_of_them() {
    let topics = unique("compacted");
    let broker = Broker::shared();
    let current = format!("{topics}.current");
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.001"),
        ("max.compaction.lag.ms", "100"),
        ("min.compaction.lag.ms", "0"),
        ("delete.retention.ms", "100"),
    ];
    broker.create_topic(&current, 1, &settings);
    let service = Running::start(&config(broker.bootstrap(), &topics, "at-least-once", ""));
    let mut feed = service.dial();
    snapshot(&mut feed, "AVAIL", Some("AVAIL"));
    service.settle(u32::try_from(OTHERS + 1).unwrap());
    snapshot(&mut feed, "AVAIL", None);
    until_true("they have left", || service.events().iter().any(|event| event.cause().as_str_name() == "LOGGED_OUT"));
    let (status, answer) = forget(service.http_address(), PERSON[0]);
    assert!([200, 202].contains(&status), "{answer}");
    let bytes_of_them = |message: &Received| {
        let value = String::from_utf8_lossy(&message.value).into_owned();
        PERSON.iter().any(|text| message.key.contains(text) || value.contains(text))
    };
    assert!(topic::read(broker.bootstrap(), &current).iter().any(bytes_of_them), "before it is compacted");
    let mut states = ["ACD", "AVAIL"].into_iter().cycle();
    within(Duration::from_secs(180), "the cleaner has been there twice", || {
        // A segment is closed by what comes after it.
        snapshot(&mut feed, states.next().unwrap(), None);
        (!topic::read(broker.bootstrap(), &current).iter().any(bytes_of_them)).then_some(())
    });
    let last = in_the_end(&topic::read(broker.bootstrap(), &current));
    assert_eq!(last.len(), OTHERS, "and nobody else");
}

/// Exit code, stdout and stderr.
fn command(arguments: &[&str]) -> (i32, String, String) {
    let output = output(&[&["forget"], arguments].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_says_what_came_of_it() {
    let topics = unique("command");
    let servers = Broker::shared().bootstrap();
    let folder = folder(&[]);
    let store = folder.path().join("data");
    let people = ["first-zqx".to_owned(), "second-zqx".to_owned()];
    let process = everybody_was_there(&folder, &config(servers, &topics, "at-least-once", ""), &people);
    let http = process.http().to_string();
    let told = |who: &str, more: &[&str]| command(&[&[who, "--http", &http], more].concat());

    let (code, _, complaint) = told("nobody-zqx", &[]);
    assert!(code == 1 && complaint.contains("nobody knows this login id"), "{complaint}");
    let (code, _, complaint) = told("first-zqx", &["--integration", "avaya-2"]);
    assert!(code == 1 && complaint.contains("no such integration"), "{complaint}");
    let (code, _, complaint) = told("first-zqx", &["--acd", "2"]);
    assert!(code == 1 && complaint.contains("nobody knows this login id"), "{complaint}");
    let (code, _, complaint) = told("", &[]);
    assert!(code == 1 && complaint.contains("1 to 256 characters"), "{complaint}");
    let expected = (0, "first-zqx: forgotten (avaya-1 ACD 1)\n".to_owned(), String::new());
    assert_eq!(told("first-zqx", &["--integration", "avaya-1", "--acd", "1"]), expected);
    // Somebody whom `current` may have though the store has not.
    let expected = (0, "never-here-zqx: forgotten (avaya-1 ACD 7)\n".to_owned(), String::new());
    assert_eq!(told("never-here-zqx", &["--integration", "avaya-1", "--acd", "7"]), expected);
    let last = in_the_end(&topic::read(servers, &format!("{topics}.current")));
    assert_eq!((last["avaya-1/7/never-here-zqx"], last["avaya-1/1/first-zqx"]), (None, None));

    // A store that was set aside keeps what it has, and is named.
    let aside = store.join("journal.db.corrupt-20260101T000000Z");
    fs::write(&aside, b"a row of second-zqx that nobody can delete").unwrap();
    let (code, said, complaint) = told("second-zqx", &[]);
    assert_eq!((code, &*said), (1, "second-zqx: forgotten (avaya-1 ACD 1)\n"));
    assert!(complaint.contains("still hold second-zqx") && complaint.contains(aside.to_str().unwrap()), "{complaint}");
    assert_eq!(files_with(&store, &["second-zqx"]), ["second-zqx in journal.db.corrupt-20260101T000000Z"]);

    let (code, _, complaint) = command(&["first-zqx", "--http", "127.0.0.1:1"]);
    assert!(code == 1 && complaint.contains("if it does not run, give --config FILE"), "{complaint}");
}

#[test]
fn without_a_service_the_command_does_it_by_itself() {
    for delivery in ["at-least-once", "exactly-once"] {
        let topics = unique("offline");
        let servers = Broker::shared().bootstrap();
        let folder = folder(&[]);
        let store = folder.path().join("data");
        let toml = config(servers, &topics, delivery, "");
        let file = folder.path().join("rtalink.toml").display().to_string();
        let people = ["first-zqx".to_owned(), "second-zqx".to_owned()];
        let process = everybody_was_there(&folder, &toml, &people);
        // Nobody answers at the address of this file, but somebody has the store.
        let (code, _, complaint) = command(&["first-zqx", "--config", &file]);
        assert!(code == 1 && complaint.contains("in use by process"), "{complaint}");
        drop(process); // killed
        let (code, said, complaint) = command(&["first-zqx", "--config", &file]);
        assert_eq!((code, &*said), (0, "first-zqx: forgotten (avaya-1 ACD 1)\n"), "{complaint}");
        assert_eq!(files_with(&store, &["first-zqx"]), Vec::<String>::new());
        let (code, _, complaint) = command(&["first-zqx", "--config", &file]);
        assert!(code == 1 && complaint.contains("nobody knows this login id"), "{complaint}");

        let process = Process::run(&folder, &toml);
        let agents = until("the agents are shown", || {
            Some(http::get(process.http(), "/api/v1/agents").body).filter(|agents| agents.contains("second-zqx"))
        });
        assert!(!agents.contains("first-zqx"), "{agents}");
        let last = in_the_end(&topic::read(servers, &format!("{topics}.current")));
        let told: Vec<_> = last.values().copied().collect();
        assert_eq!(told, [None, Some(4), Some(2)], "{last:?}");
    }
}

/// Long ago.
const LONG_AGO: Duration = Duration::from_hours(100 * 24);

/// Adds so many agents to the store who were last seen long ago, each logged in as the others are.
fn add_old(store: &Path, count: usize) {
    let settings = store::StoreSettings { directory: store.to_owned(), sync: store::Sync::Normal };
    let mut store = store::open(&settings).unwrap().store;
    let stored = store.integration("avaya-1").unwrap();
    let mut agents = Vec::new();
    store.agents(stored.number, &mut |row| agents.push(saved::decode_agent(row).unwrap())).unwrap();
    let old = |number: usize| {
        let mut agent = agents[0].agent.clone();
        agent.login_id = format!("old-{number}-zqx").into();
        agent.last_seen = agent.last_seen.minus(LONG_AGO);
        let memory = saved::encode_agent(&agent, None, None);
        AgentRow { acd: agent.acd, login_id: agent.login_id, memory }
    };
    let rows: Vec<AgentRow> = (0..count).map(old).collect();
    let mut feed = saved::decode_feed(&stored.feed).unwrap();
    // The last snapshot says nothing of those who are added, and all the time since was listened to.
    feed.seen_at = None;
    feed.listening.from = None;
    let feed = saved::encode_feed(&feed);
    let (integration, covered_to) = (stored.number, stored.next);
    store
        .commit(&[Write::Checkpoint { integration, covered_to, agents: &rows, feed: &feed, recovered: true }])
        .unwrap();
}

#[test]
fn who_was_not_seen_for_long_is_forgotten_by_itself() {
    const OLD: usize = 1_201;
    let topics = unique("age");
    let servers = Broker::shared().bootstrap();
    let with = |forget_after: &str| {
        let privacy = format!("[privacy]\nforget_after = \"{forget_after}\"");
        config(servers, &topics, "at-least-once", &privacy)
    };
    let service = Running::start(&with("never"));
    let mut feed = service.dial();
    snapshot(&mut feed, "AVAIL", None);
    service.settle(u32::try_from(OTHERS).unwrap());
    drop(feed);
    service.settle_closed();
    let (_, folder) = service.drain();
    let store = folder.path().join("data");
    add_old(&store, OLD);

    let mut service = Running::start_in(folder, &with("never"));
    let known = |service: &Running| service.metric("rtalink_agents", "");
    let others = f64::from(u32::try_from(OTHERS).unwrap());
    let old = f64::from(u32::try_from(OLD).unwrap());
    until_true("all are known", || known(&service) == others + old);
    assert!(!files_with(&store, &["-zqx"]).is_empty());
    assert_eq!(service.reload(&with("101d")), Ok(Vec::new()));
    let mut feed = service.dial();
    until_true("they are logged out, since nobody lists them", || {
        snapshot(&mut feed, "AVAIL", None);
        service.metric("rtalink_agents", "UNSTAFF") == old
    });
    assert_eq!(service.reload(&with("90d")), Ok(Vec::new()));
    until_true("they are forgotten", || service.metric("rtalink_agents_forgotten_total", "age") == old);
    until_true("and not shown", || known(&service) == others);
    within(Duration::from_secs(120), "nothing of them is left", || {
        files_with(&store, &["-zqx"]).is_empty().then_some(())
    });
    let last = in_the_end(&topic::read(servers, &format!("{topics}.current")));
    let (gone, kept): (Vec<_>, Vec<_>) = last.iter().partition(|(_, sequence)| sequence.is_none());
    assert_eq!((gone.len(), kept.len()), (OLD, OTHERS));
    assert!(gone.iter().all(|(key, _)| key.contains("-zqx")));

    // After a restart too. Whoever is listed is seen by that, and it is of no use that their state has not changed for long.
    drop(feed);
    service.settle_closed();
    let (_, folder) = service.drain();
    add_old(&store, 3);
    let service = Running::start_in(folder, &with("90d"));
    let mut feed = service.dial();
    send(&mut feed, &["old-2-zqx|UNSTAFF|Somebody|7000"]);
    snapshot(&mut feed, "AVAIL", None);
    until_true("they are forgotten", || service.metric("rtalink_agents_forgotten_total", "age") == 2.0);
    until_true("and not shown", || known(&service) == others + 1.0);
}
