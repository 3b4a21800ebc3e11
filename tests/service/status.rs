//! `rtalink status`: what it says of a service in each state that a feed, Kafka and an operator can bring it into.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::{Value, json};

use crate::support;

use support::http::{get, post};
use support::process::{Process, rtalink};
use support::service::folder;
use support::wait::until;

const USERS: &str = "external_user,employee_id,employee_name\n1,E1,Ada\n2,E2,Bo\n";

fn config(bootstrap: &str, more: &str) -> String {
    format!(
        r#"
[kafka]
bootstrap_servers = "{bootstrap}"
partitions = 1
[http]
listen = "127.0.0.1:0"
[[integration]]
id = "site"
name = "The site"
kind = "avaya-cms"
acd = 1
[integration.realtime]
port = 0
bind = "127.0.0.1"
layout = "short"
snapshot_end = "marker"
{more}
[integration.mapping]
users = "users.csv"
[layout.short]
separator = "|"
marker = "^END"
columns = ["login_id", "state"]
states = "cms-names"
"#
    )
}

/// Exit code, stdout and stderr of `rtalink status`.
fn status(http: SocketAddr, arguments: &[&str]) -> (i32, String, String) {
    let mut command = rtalink();
    let output = command.args(["status", "--http", &http.to_string()]).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The document, once what is next to do is this.
fn until_next(http: SocketAddr, state: &str) -> Value {
    until(state, || {
        let answer = get(http, "/api/v1/status");
        assert_eq!(answer.status, 200, "{}", answer.body);
        Some(answer.json()).filter(|status| status["next"]["state"] == state)
    })
}

fn send(feed: &mut TcpStream, lines: &[&str]) {
    feed.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
}

#[test]
fn each_thing_that_happens_to_a_feed_is_told_with_what_to_do() {
    let folder = folder(&[("users.csv", USERS)]);
    let process = Process::run(&folder, &config("embedded", ""));
    let (http, port) = (process.http(), process.feed());
    let listen = port.to_string();

    let never = until_next(http, "NEVER_CONNECTED");
    assert!(never["next"]["advice"].as_str().unwrap().contains(&listen), "{never:#}");
    assert_eq!((&never["next"]["urgency"], &never["next"]["integration"]), (&json!("today"), &json!("site")));
    assert_eq!(status(http, &["--check"]).0, 0, "it can wait");

    let mut feed = TcpStream::connect(port).unwrap();
    let peer = feed.local_addr().unwrap().to_string();
    send(&mut feed, &["1|AVAIL", "2|ACD", "END", "1|AVAIL", "2|ACD", "END"]);
    let well = until("both are there", || {
        let status = get(http, "/api/v1/status").json();
        let one = &status["integrations"][0];
        Some(status.clone())
            .filter(|_| one["agents"] == 2 && one["completeSnapshots"] == 2 && status["next"]["state"] == "WELL")
    });
    let one = &well["integrations"][0];
    assert_eq!((&one["peer"], &one["state"], &one["agentsLoggedIn"]), (&json!(peer), &json!("WELL"), &json!(2)));
    assert_eq!(
        (&one["records"]["changed"], &one["records"]["unchanged"], &one["records"]["markers"]),
        (&json!(2), &json!(2), &json!(2))
    );
    assert!(one["connectedAt"].is_string() && one["periodSeconds"].is_number(), "{one:#}");
    let (code, screen, said) = status(http, &[]);
    assert_eq!((code, said.as_str()), (0, ""));
    for expected in [
        &*format!("  peer       {peer} since "),
        "2 logged in of 2 known",
        "next: There is nothing to do.",
        "site  The site",
    ] {
        assert!(screen.contains(expected), "{expected} in:\n{screen}");
    }
    assert!(screen.lines().all(|line| line.chars().count() <= 80) && !screen.contains('\x1b'), "{screen}");

    send(&mut feed, &["1|DANCING", "x"]);
    let unreadable = until_next(http, "RECORDS_INVALID");
    assert_eq!(unreadable["integrations"][0]["unreadable"], json!({ "too_few_fields": 1 }));
    drop(feed);
    let down = until_next(http, "FEED_DOWN");
    assert!(
        down["integrations"][0]["disconnectedAt"].is_string() && down["integrations"][0]["peer"].is_null(),
        "{down:#}"
    );
    let (code, _, said) = status(http, &["--check"]);
    assert_eq!(code, 1);
    assert!(
        said.starts_with("rtalink: FEED_DOWN: Restart the RTA session of CMS, nobody is connected to site"),
        "{said}"
    );
    let (code, document, _) = status(http, &["--json"]);
    assert_eq!((code, &serde_json::from_str::<Value>(&document).unwrap()["next"]), (0, &down["next"]));
}

#[test]
fn what_operators_do_and_what_is_refused_is_told() {
    let folder = folder(&[("users.csv", USERS)]);
    let process = Process::run(&folder, &config("embedded", "allow = [\"10.0.0.0/8\"]"));
    let http = process.http();
    assert_eq!(post(http, "/api/v1/integrations/site/pause").status, 200);
    until("PAUSED", || {
        let findings = get(http, "/api/v1/status").json()["findings"].clone();
        findings.as_array().unwrap().iter().find(|finding| finding["state"] == "PAUSED").cloned()
    });
    drop(TcpStream::connect(process.feed()).unwrap());
    until("the refusal", || {
        let refused = get(http, "/api/v1/status").json()["integrations"][0]["refused"].clone();
        Some(()).filter(|()| refused == json!({ "not_allowed": 1 }))
    });
    let (_, screen, _) = status(http, &[]);
    assert!(screen.contains("  journal    paused; ") && screen.contains("  refused    not_allowed 1"), "{screen}");
    assert_eq!(post(http, "/api/v1/integrations/site/resume").status, 200);
    let resumed = process.line("RESUMED");
    assert!(resumed.contains(" INFO ") && process.line("PAUSED").contains(" WARN "), "{resumed}");

    let file = folder.path().join("rtalink.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("acd = 1", "acd = \"x\"")).unwrap();
    process.signal("HUP");
    process.line("reload refused");
    let is_refused = |screen: &str| screen.contains("reload       refused at ");
    until("the refusal", || Some(()).filter(|()| is_refused(&status(http, &[]).1)));
    fs::write(&file, good).unwrap();
    process.signal("HUP");
    until("the next reload", || Some(()).filter(|()| !is_refused(&status(http, &[]).1)));
}

#[test]
fn where_nothing_answers_the_message_says_what_to_try() {
    let free = free_port();
    let (code, screen, said) = status(free, &[]);
    assert_eq!((code, screen.as_str()), (1, ""));
    let expected =
        format!("rtalink: no answer from rtalink at {free}: does it run, and is that where `[http]` listens?");
    assert!(said.starts_with(&expected) && said.contains("Connection refused"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let wrong = rtalink().args(["status", "--bogus"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_first_start_without_kafka_says_at_once_what_it_waits_for() {
    for delivery in ["at-least-once", "exactly-once"] {
        let folder = folder(&[("users.csv", USERS)]);
        // The port is in no line before the service has started.
        let http = free_port();
        let toml = config("127.0.0.1:1", "")
            .replace("partitions = 1", &format!("partitions = 1\ndelivery = \"{delivery}\""))
            .replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{http}\""));
        fs::write(folder.path().join("rtalink.toml"), toml).unwrap();
        let mut command = rtalink();
        command.args(["run", "--config"]).arg(folder.path().join("rtalink.toml"));
        let process = Process::spawn(command);
        process.line("reading them from Kafka");
        let told = until("the reason", || {
            let health = get(http, "/health/ready");
            assert_eq!((health.status, &health.json()["waitsFor"]), (503, &json!("Kafka")), "{}", health.body);
            let reason = health.json()["kafka"]["waitingFor"].as_str().unwrap().to_owned();
            Some(reason).filter(|reason| reason.contains("Connection refused"))
        });
        let log = process.line("CMS cannot dial in");
        assert!(log.contains(" WARN ") && log.contains("Connection refused"), "{log}");
        assert!(!log.contains("waited_s=10"), "{log}");
        let errors = || -> f64 {
            let series = support::http::series(&get(http, "/metrics").body);
            series
                .iter()
                .filter(|(name, _)| name.starts_with("rtalink_kafka_errors_total"))
                .map(|(_, value)| value)
                .sum()
        };
        assert!(errors() > 0.0, "{told}");

        let output = rtalink().args(["health", "--http", &http.to_string()]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("agent table: being recovered; ") && said.contains("; waits for Kafka ("), "{said}");
        assert!(said.contains("Connection refused"), "{said}");
        let next = until_next(http, "KAFKA_AWAITED");
        assert!(next["next"]["advice"].as_str().unwrap().contains("Connection refused"), "{next:#}");
        assert_eq!(next["integrations"][0]["started"], false);
        // A stranger learns what it waits for, and not what Kafka says.
        let mut stranger = TcpStream::connect(http).unwrap();
        write!(stranger, "GET /health/ready HTTP/1.0\r\nHost: {http}\r\nX-Forwarded-For: 10.1.2.3\r\n\r\n").unwrap();
        let mut answer = String::new();
        stranger.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"waitsFor\":\"Kafka\"") && !answer.contains("waitingFor"), "{answer}");
        // A client that only asks has no figures for anybody, which come every five seconds.
        until("some more attempts", || Some(()).filter(|()| errors() > 5.5));
        assert_eq!(process.count("Client stats"), 0);
        let (code, _, log) = process.terminate();
        assert_eq!(code, Some(0), "{}", log.join("\n"));
    }
}
