//! The log as collectors and people get it: its form, its level, who is never named in it, and how much it may be.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use jiff::Timestamp;
use rtalink::config::model::LogFormat;
use rtalink::telemetry::logs;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support;

use support::http::{get, post, series};
use support::process::{Process, output, rtalink};
use support::service::folder;
use support::wait::{until, until_true};

/// Two integrations: one takes feeds from here, the other from nobody.
fn config(bootstrap: &str, level: &str, format: &str) -> String {
    format!(
        r#"
[kafka]
bootstrap_servers = "{bootstrap}"
partitions = 1
[kafka.properties]
"reconnect.backoff.ms" = "1"
"reconnect.backoff.max.ms" = "1"
[http]
listen = "127.0.0.1:0"
[log]
level = "{level}"
format = "{format}"
[[integration]]
id = "open"
kind = "avaya-cms"
acd = 1
[integration.realtime]
port = 0
bind = "127.0.0.1"
layout = "short"
snapshot_end = "marker"
[integration.mapping]
users = "users.csv"
activities = "activities.csv"
[[integration]]
id = "closed"
kind = "avaya-cms"
acd = 2
[integration.realtime]
port = 0
bind = "127.0.0.1"
layout = "short"
snapshot_end = "marker"
allow = ["10.0.0.0/8"]
[layout.short]
separator = "|"
marker = "^END"
max_record = "256B"
quote = "'"
columns = ["login_id", "name", "state", "aux_reason", "extension"]
states = "cms-names"
"#
    )
}

/// Names, login ids, extensions and employees that nobody has by accident.
const PERSONS: [&str; 6] = ["47110815", "47110816", "Zauberwald", "80099123", "EMP-9917", "Quellnymph"];

const USERS: &str = "external_user,employee_id,employee_name\n47110815,EMP-9917,Quellnymph\n";
const ACTIVITIES: &str = "external_activity,activity_id,activity_name\nACD,1,Call\n";

/// Mapping files with something wrong in each, and what the log says of it.
const WRONG_FILES: [(&str, &str, &str); 5] = [
    (
        "users.csv",
        "external_user,employee_id,employee_name\n47110815,EMP-9917,Quellnymph\n47110815,E2,Bo\n",
        "users.csv:3",
    ),
    ("users.csv", "47110815,EMP-9917,Quellnymph\n47110816,E2,Zauberwald\n", "users.csv:1"),
    ("users.csv", "external_user,employee_id,employee_name\n47110815,Quellnymph\n,EMP-9917,Bo\n", "users.csv:2"),
    ("users.csv", "external_user,employee_id,employee_name\n47110815,\"EMP-9917,Quellnymph\n\u{0}", "users.csv:2"),
    ("activities.csv", USERS, "activities.csv:1"),
];

fn file(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// `rtalink run`; returns when it has started, or with its end where it cannot.
fn run(folder: &TempDir, toml: &str) -> Process {
    fs::write(folder.path().join("rtalink.toml"), toml).unwrap();
    let mut command = rtalink();
    command.args(["run", "--config", &file(folder, "rtalink.toml")]).env("RUST_BACKTRACE", "0");
    let process = Process::spawn(command);
    process.line("started");
    process
}

/// A JSON object whose keys are all different.
fn object(line: &str) -> BTreeMap<String, Value> {
    struct Once;
    impl<'de> Visitor<'de> for Once {
        type Value = BTreeMap<String, Value>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<String, Value>()? {
                assert!(fields.insert(name.clone(), value).is_none(), "{name} stands there twice");
            }
            Ok(fields)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let fields = deserializer.deserialize_map(Once).unwrap_or_else(|error| panic!("{error}: {line}"));
    deserializer.end().unwrap_or_else(|error| panic!("{error}: {line}"));
    fields
}

/// What a collector expects of every line.
fn checked(line: &str) -> BTreeMap<String, Value> {
    let fields = object(line);
    let at = fields["timestamp"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.parse::<Timestamp>().is_ok(), "{line}");
    let level = fields["level"].as_str().unwrap();
    assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level), "{line}");
    assert!(!fields["target"].as_str().unwrap().is_empty() && fields["message"].is_string(), "{line}");
    assert!(fields.values().all(|value| !value.is_object() && !value.is_array()), "not flat: {line}");
    fields
}

/// A field of the first line with that text.
fn field(process: &Process, text: &str, name: &str) -> String {
    object(&process.line(text))[name].as_str().unwrap().to_owned()
}

fn feed_of(process: &Process, integration: &str) -> SocketAddr {
    let text = format!("\"message\":\"listening for CMS\",\"integration\":\"{integration}\"");
    field(process, &text, "address").parse().unwrap()
}

fn http_of(process: &Process) -> SocketAddr {
    field(process, "\"started\"", "http").parse().unwrap()
}

fn metric(http: SocketAddr, name: &str, labels: &str) -> f64 {
    let wanted = |series: &str| series.starts_with(name) && series.contains(labels);
    series(&get(http, "/metrics").body).iter().filter(|(series, _)| wanted(series)).map(|(_, value)| value).sum()
}

fn put_level(http: SocketAddr, level: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(http).unwrap();
    let length = level.len();
    let head = "PUT /api/v1/log-level HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{level}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

fn dial(address: SocketAddr, records: &[u8]) -> TcpStream {
    let mut feed = TcpStream::connect(address).unwrap();
    feed.write_all(records).unwrap();
    feed
}

/// Every kind of trouble that a feed can make, with persons in all of it.
fn trouble() -> Vec<u8> {
    let mut records = b"47110815|Zauberwald|AVAIL||80099123\n47110816|Zauberwald|ACD||80099123\nEND\n".to_vec();
    let invalid: [&[u8]; 7] = [
        b"47110815|Zauberwald",
        b"47110815|Zauberwald|AVAIL||80099123|more",
        b"47110815|Zauberwald|AUX|break|80099123",
        b"|Zauberwald|AVAIL||80099123",
        b"47110815|Zauberwald\0|AVAIL||80099123",
        b"47110815|Zauberwald \xff|AVAIL||80099123",
        b"47110815|'Zauberwald|AVAIL||80099123",
    ];
    invalid.into_iter().for_each(|record| records.extend([record, b"\n"].concat()));
    records.extend([b"47110815|Zauberwald|".as_slice(), &[b'x'; 400], b"|80099123\n"].concat());
    // A state that nobody knows, and everybody unknown: the link is down.
    records.extend(b"47110815|Zauberwald|DANCING||80099123\nEND\n");
    let agents = |state: &str| -> String {
        (0..20).map(|agent| format!("47110815{agent}|Zauberwald|{state}||80099123\n")).collect::<String>() + "END\n"
    };
    ["AVAIL", "UNKNOWN", "UNKNOWN", "AVAIL"].iter().for_each(|state| records.extend(agents(state).as_bytes()));
    records
}

/// What feeds, connections, operators and Kafka can do in one life of the service. Returns the lines of the log.
fn play(process: Process, folder: &TempDir) -> Vec<String> {
    let http = http_of(&process);
    let open = feed_of(&process, "open");
    let first = dial(open, &trouble());
    until_true("every record", || metric(http, "rtalink_feed_records_total", "open") >= 91.0);
    // Another one takes over while the first is still there, and ends in the middle of a record.
    let second = dial(open, b"47110815|Zauberwald|ACD||80099123\n47110816|Zauber");
    until_true("the takeover", || metric(http, "rtalink_feed_refused_total", "replaced") > 0.5);
    drop(first);
    drop(second);
    until_true("no connection", || metric(http, "rtalink_feed_connections", "open") < 0.5);
    let _refused = dial(feed_of(&process, "closed"), b"");
    until_true("a refusal", || metric(http, "rtalink_feed_refused_total", "closed") > 0.5);
    assert_eq!(post(http, "/api/v1/integrations/open/pause").status, 200);
    for (number, (name, text, place)) in WRONG_FILES.into_iter().enumerate() {
        let before = fs::read_to_string(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        process.signal("HUP");
        let refusals = || process.log().iter().filter(|line| line.contains("reload refused")).count();
        until_true("the reload is refused", || refusals() > number);
        process.line(place);
        fs::write(folder.path().join(name), before).unwrap();
    }
    let (code, stdout, log) = process.terminate();
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{}", log.join("\n"));
    log
}

fn named_in(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| PERSONS.iter().any(|person| line.contains(person))).collect()
}

#[test]
fn nobody_is_named_above_debug() {
    let folder = folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]);
    let lines = play(run(&folder, &config("embedded", "info", "json")), &folder);
    assert_eq!(named_in(&lines), Vec::<&String>::new());
    let told: Vec<_> = lines.iter().map(|line| checked(line)).collect();
    let of = |name: &str| -> Vec<&str> { told.iter().filter_map(|fields| fields.get(name)?.as_str()).collect() };
    for kind in ["CONNECTED", "DISCONNECTED", "LINK_DOWN", "LINK_UP", "PAUSED"] {
        assert!(of("kind").contains(&kind), "{kind} was not played: {:?}", of("kind"));
    }
    for reason in
        ["too_long", "nul_byte", "undecodable", "too_few_fields", "bad_number", "bad_quote", "truncated", "replaced"]
    {
        assert!(of("reason").contains(&reason), "{reason} was not played: {:?}", of("reason"));
    }

    // The agents are in the store now: the service starts without Kafka, and Kafka stays away.
    let away = config("127.0.0.1:1", "info", "json");
    let process = run(&folder, &away);
    process.line("kafka error");
    let lines = play(process, &folder);
    assert_eq!(named_in(&lines), Vec::<&String>::new());
    lines.iter().for_each(|line| drop(checked(line)));

    // The test of the test: who looks closely sees them.
    let lines = play(run(&folder, &config("embedded", "debug", "json")), &folder);
    let named: Vec<_> = named_in(&lines).into_iter().map(|line| checked(line)).collect();
    assert!(named.iter().all(|fields| fields["level"] == "DEBUG"), "{named:?}");
    assert!(named.iter().any(|fields| fields["message"] == "event" && fields["agent"] == "47110815"), "{named:?}");
    assert!(named.iter().any(|fields| fields.contains_key("raw")), "{named:?}");
}

#[test]
fn why_it_ends_is_in_the_form_of_the_log_and_names_nobody() {
    for (name, text, place) in WRONG_FILES {
        let folder = folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]);
        fs::write(folder.path().join(name), text).unwrap();
        fs::write(folder.path().join("rtalink.toml"), config("embedded", "info", "json")).unwrap();
        let ended = output(&["run", "--config", &file(&folder, "rtalink.toml")]);
        let lines: Vec<String> = String::from_utf8(ended.stderr).unwrap().lines().map(str::to_owned).collect();
        assert_eq!((ended.status.code(), lines.len()), (Some(1), 1), "{lines:?}");
        let fields = checked(&lines[0]);
        let message = fields["message"].as_str().unwrap();
        assert!(fields["level"] == "ERROR" && message.contains(place), "{message}");
        assert_eq!(named_in(&lines), Vec::<&String>::new());
        // For people, in plain words; what the line says stands apart, for whoever has the file.
        let checked = output(&["check", "--config", &file(&folder, "rtalink.toml")]);
        let told = String::from_utf8(checked.stderr).unwrap();
        let (shown, said): (Vec<&str>, Vec<&str>) = told.lines().partition(|line| line.starts_with("  line: "));
        assert!(said.iter().any(|line| line.contains(place)) && !shown.is_empty(), "{told}");
        assert!(!PERSONS.iter().any(|person| said.iter().any(|line| line.contains(person))), "{told}");
        assert!(
            name != "users.csv" || PERSONS.iter().any(|person| shown.iter().any(|line| line.contains(person))),
            "{told}"
        );
    }
    let mut command = rtalink();
    let nowhere =
        command.args(["run", "--config", "/nowhere/rtalink.toml"]).env("RTALINK__LOG__FORMAT", "json").output();
    let told = String::from_utf8(nowhere.unwrap().stderr).unwrap();
    assert_eq!(checked(told.trim_end())["level"], "ERROR", "the environment says how to log that there is no file");
}

#[test]
fn the_level_changes_at_once_and_goes_back_with_a_reload() {
    let folder = folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]);
    let process = run(&folder, &config("embedded", "info", "json"));
    let (http, open) = (http_of(&process), feed_of(&process, "open"));
    let levels = |level: &str, configured: &str| json!({ "level": level, "configured": configured });
    assert_eq!(get(http, "/api/v1/log-level").json(), levels("info", "info"));
    // Each connection is known by its port. What is asked afterwards is answered after it was accepted.
    let mut accepted = 0.0;
    let mut connect = || {
        let feed = dial(open, b"");
        accepted += 1.0;
        until_true("the connection is open", || metric(http, "rtalink_feed_connections", "open") >= accepted);
        feed
    };
    let quiet = connect();
    let narrow = "info,rtalink::feed=debug";
    assert_eq!(put_level(http, &format!(" {narrow}\n")), (200, levels(narrow, "info")));
    let loud = connect();
    for wrong in ["loud", "", "info,rtalink::feed", "rtalink=loud"] {
        let (status, answer) = put_level(http, wrong);
        assert_eq!(status, 400, "{wrong:?}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains("is no log level: expected"), "{wrong:?}: {answer}");
    }
    assert_eq!(put_level(http, &"info,".repeat(1_000)).0, 413);
    assert_eq!(get(http, "/api/v1/log-level").json(), levels(narrow, "info"), "what is refused changes nothing");
    process.signal("HUP");
    process.line("\"reloaded\"");
    assert_eq!(get(http, "/api/v1/log-level").json(), levels("info", "info"));
    let quiet_again = connect();
    fs::write(folder.path().join("rtalink.toml"), config("embedded", "debug", "json")).unwrap();
    process.signal("HUP");
    until_true("the level of the file", || get(http, "/api/v1/log-level").json() == levels("debug", "debug"));
    let loud_again = connect();
    let ports = [&quiet, &loud, &quiet_again, &loud_again].map(|feed| feed.local_addr().unwrap().to_string());
    let (_, _, log) = process.terminate();
    let is_told = |peer: &String| {
        log.iter().map(|line| checked(line)).any(|fields| fields["message"] == "accepted" && fields["peer"] == **peer)
    };
    assert_eq!(ports.each_ref().map(is_told), [false, true, false, true], "{}", log.join("\n"));
    assert!(log.iter().any(|line| line.contains("log level changed") && line.contains(narrow)));
}

/// Takes connections and closes them at once; counts them.
fn useless_broker() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connects = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connects);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, connects)
}

/// Lines of one kind, and how many they say were left out.
fn written_and_left_out(
    log: &[BTreeMap<String, Value>],
    is_one: impl Fn(&BTreeMap<String, Value>) -> bool,
) -> (u64, u64) {
    let of_kind: Vec<_> = log.iter().filter(|fields| is_one(fields)).collect();
    let left_out = of_kind.iter().filter_map(|fields| fields.get("suppressed")?.as_u64()).sum();
    (of_kind.len() as u64, left_out)
}

#[test]
fn whatever_is_repeated_is_bounded_and_hides_nothing_else() {
    const MANY: usize = 10_000;
    let begin = Instant::now();
    let folder = folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]);
    // Once with Kafka, so that the store knows the agents.
    drop(run(&folder, &config("embedded", "info", "json")).terminate());
    let (broker, connects) = useless_broker();
    let process = run(&folder, &config(&broker.to_string(), "info", "json"));
    let (http, open, closed) = (http_of(&process), feed_of(&process, "open"), feed_of(&process, "closed"));
    for _ in 0..MANY {
        drop(TcpStream::connect(closed).unwrap());
    }
    let garbage = dial(open, &b"garbage\n".repeat(MANY));
    #[allow(clippy::cast_precision_loss)] // ten thousand
    let many = MANY as f64;
    until_true("all refused", || metric(http, "rtalink_feed_refused_total", "closed") >= many);
    until_true("all invalid", || metric(http, "rtalink_dead_letters_total", "too_few_fields") >= many);
    // Behind the flood, of the same integration: another reason is not hidden.
    let mut feed = garbage;
    feed.write_all(b"1|2|AUX|x|\n").unwrap();
    until_true("another reason", || metric(http, "rtalink_dead_letters_total", "bad_number") > 0.5);
    // One after the other they come and go.
    drop(feed);
    for round in 1..=100 {
        let feed = dial(open, b"1||AVAIL||\n");
        until_true("it speaks", || {
            metric(http, "rtalink_feed_records_total", "changed")
                + metric(http, "rtalink_feed_records_total", "unchanged")
                >= f64::from(round)
        });
        drop(feed);
        until_true("it has gone", || metric(http, "rtalink_feed_connections", "open") < 0.5);
    }
    until_true("Kafka was tried ten thousand times", || connects.load(Ordering::Relaxed) >= MANY);
    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0));
    let log: Vec<_> = log.iter().map(|line| checked(line)).collect();
    let elapsed = begin.elapsed().as_secs();

    let is = |message: &'static str| move |fields: &BTreeMap<String, Value>| fields["message"] == message;
    let invalid = "invalid record: fewer fields than the layout has";
    for message in ["connection refused", invalid] {
        let (written, left_out) = written_and_left_out(&log, is(message));
        assert!((10..=11 + elapsed / 10).contains(&written), "{message}: {written} lines in {elapsed} s");
        assert!(written + left_out <= MANY as u64, "{message}: {written} and {left_out}");
    }
    assert_eq!(written_and_left_out(&log, is("invalid record: aux_reason is not a number in range")).0, 1);
    let (statuses, _) = written_and_left_out(&log, is("feed status"));
    assert!((20..=4 * (11 + elapsed / 10)).contains(&statuses), "{statuses} feed statuses");
    let (kafka, _) = written_and_left_out(&log, is("kafka error, will be retried"));
    assert!(kafka > 0, "Kafka was not away");
    println!("{} lines in {elapsed} s, {kafka} of them about Kafka", log.len());
    assert!(log.len() as u64 <= 150 + elapsed * 4, "{} lines in {elapsed} s", log.len());
}

/// Run as a process of its own by the test below.
#[test]
#[ignore = "ends its process"]
fn a_process_that_panics() {
    let level = std::env::var("RTALINK_TEST_LEVEL").unwrap();
    logs::start(&level, LogFormat::Json).unwrap();
    let thread = std::thread::Builder::new().name("careless".to_owned());
    let panics = || panic!("no room for \"{}\"\nat all", PERSONS[2]);
    assert!(thread.spawn(panics).unwrap().join().is_err());
}

#[test]
fn a_panic_is_a_line_that_quotes_nobody() {
    for (level, lines, is_named) in [("info", 1, false), ("debug", 2, true), ("off", 0, false)] {
        let itself = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new(itself);
        command.args(["--exact", "logs::a_process_that_panics", "--ignored", "--nocapture"]);
        let ended = command.env("RTALINK_TEST_LEVEL", level).env("RUST_BACKTRACE", "0").output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        let (objects, others): (Vec<&str>, Vec<&str>) = told.lines().partition(|line| line.starts_with('{'));
        assert_eq!(objects.len(), lines, "{level}: {told}");
        assert_eq!(told.contains(PERSONS[2]), is_named, "{level}: {told}");
        if let Some(line) = objects.first() {
            let fields = checked(line);
            assert_eq!(fields["message"], "panicked, this is a bug: no room for …\nat all");
            assert_eq!((&fields["level"], &fields["thread"]), (&json!("ERROR"), &json!("careless")));
            assert!(fields["place"].as_str().unwrap().starts_with("tests/service/logs.rs:"), "{fields:?}");
        } else {
            assert!(others.iter().any(|line| line.contains("panicked at tests/service/logs.rs:")), "{told}");
        }
    }
}

#[test]
fn for_people_lines_are_text() {
    let folder = folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]);
    let process = run(&folder, &config("embedded", "info", "text"));
    let refused: SocketAddr = process
        .line("listening for CMS integration=closed")
        .split("address=")
        .nth(1)
        .and_then(|address| address.trim().parse().ok())
        .unwrap();
    for _ in 0..30 {
        drop(TcpStream::connect(refused).unwrap());
    }
    let http = process.http();
    until_true("all refused", || metric(http, "rtalink_feed_refused_total", "closed") > 29.5);
    // As soon as the next line is earned, the first connection says how many were left out.
    let line = until("what was left out", || {
        drop(TcpStream::connect(refused).unwrap());
        let log = process.log();
        log.into_iter().find(|line| line.contains("connection refused") && line.contains("suppressed="))
    });
    let suppressed: u64 = line.rsplit_once("suppressed=").unwrap().1.parse().unwrap();
    assert!(line.contains(" WARN rtalink::feed: connection refused") && suppressed >= 20, "{line}");
    assert!(!line.contains('\u{1b}'), "no colours where there is no terminal");
    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0));
    let is_dated = |line: &String| line.split(' ').next().unwrap().parse::<Timestamp>().is_ok();
    assert!(log.iter().all(is_dated), "one line each: {}", log.join("\n"));
}
