//! Every change over HTTP and every look at one person is on the audit topic, whatever happens in between.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use prost::Message as _;
use rtalink::contract::v1::AuditEvent;
use serde_json::Value;

use crate::support;

use support::process::{Process, output};
use support::service::{Running, folder};
use support::short::{self, send};
use support::topic;
use support::wait::until;

const PLANNER: &str = "0123456789abcdef0123456789abcdef-planner";
const OPERATOR: &str = "0123456789abcdef0123456789abcdef-operator";

fn config(format: &str) -> String {
    let kafka = format!("{}\nformat = \"{format}\"", short::EMBEDDED);
    let tokens = format!(
        "[[http.token]]\nname = \"planning\"\nrole = \"planner\"\ntoken = \"{PLANNER}\"\n\
         [[http.token]]\nname = \"night-shift\"\nrole = \"operator\"\ntoken = \"{OPERATOR}\"\n"
    );
    short::config(&kafka, "", "") + &tokens
}

fn ask(address: SocketAddr, request: &str, secret: &str, body: &str) -> (u16, String) {
    let token = if secret.is_empty() { String::new() } else { format!("Authorization: Bearer {secret}\r\n") };
    ask_with(address, request, &token, body)
}

fn ask_with(address: SocketAddr, request: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "{request} HTTP/1.0\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// `KEY TOKEN ROLE ACTION TARGET OUTCOME STATUS`.
fn records(bootstrap: &str) -> Vec<String> {
    let tell = |message: topic::Received| {
        let event = AuditEvent::decode(&*message.value).unwrap();
        assert!(event.at.is_some() && event.peer == "127.0.0.1", "{event:?}");
        let (action, outcome) = (event.action().as_str_name(), event.outcome().as_str_name());
        let AuditEvent { token, role, target, status, .. } = event;
        format!("{} {token} {role} {action} {target} {outcome} {status}", message.key)
    };
    topic::read(bootstrap, "rta.audit").into_iter().map(tell).collect()
}

#[test]
fn changes_and_looks_at_one_person_are_recorded_and_nothing_else_is() {
    let service = Running::start_in(folder(&[]), &config("protobuf"));
    let address = service.http_address();
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|", "END"]);
    service.settle(2);
    let (status, body) = ask(address, "GET /api/v1/agents?login_id=2", PLANNER, "");
    let agents: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, agents["agents"].as_array().unwrap().len()), (200, 1), "{body}");
    assert_eq!(agents["agents"][0]["loginId"], "2");
    let asked = [
        ("GET /api/v1/agents?integration=avaya-1&login_id=9", "", "", 200),
        ("GET /api/v1/agents?integration=nobody&login_id=9", "", "", 404),
        ("GET /api/v1/agents", PLANNER, "", 200),
        ("GET /api/v1/agents?mode=AVAIL", PLANNER, "", 200),
        ("GET /api/v1/unmapped", PLANNER, "", 200),
        ("GET /api/v1/agents?login_id=2", OPERATOR, "", 403),
        ("GET /api/v1/agents?login_id=2", "a-token-that-nobody-knows-at-all", "", 401),
        ("POST /api/v1/integrations/avaya-1/resume", OPERATOR, "", 200),
        ("POST /api/v1/integrations/nobody/pause", OPERATOR, "", 404),
        ("POST /api/v1/integrations/avaya-1/pause", PLANNER, "", 403),
        ("POST /api/v1/integrations/avaya-1/pause", "", "", 401),
        // This process does not log.
        ("PUT /api/v1/log-level", OPERATOR, "debug", 503),
    ];
    for (request, secret, body, expected) in asked {
        assert_eq!(ask(address, request, secret, body).0, expected, "{request}");
    }
    let expected = [
        "service planning planner LOOK_AT_AGENT 2 DONE 200",
        "avaya-1 loopback  LOOK_AT_AGENT 9 DONE 200",
        "service loopback  LOOK_AT_AGENT 9 FAILED 404",
        "avaya-1 night-shift operator RESUME avaya-1 DONE 200",
        "service night-shift operator PAUSE nobody FAILED 404",
        "service night-shift operator LOG_LEVEL debug FAILED 503",
        "service night-shift operator LOOK_AT_AGENT 2 REFUSED 403",
        "avaya-1 planning planner PAUSE avaya-1 REFUSED 403",
    ];
    let found =
        until("all records", || Some(records(service.bootstrap())).filter(|found| found.len() >= expected.len()));
    // Who is refused does not wait for the record.
    let (refused, done): (Vec<String>, Vec<String>) = found.into_iter().partition(|told| told.contains("REFUSED"));
    assert_eq!(done, expected[..6]);
    assert_eq!(refused.into_iter().collect::<BTreeSet<_>>(), expected[6..].iter().map(|&told| told.into()).collect());
    assert_eq!(service.metric("rtalink_audit_events_total", "\"recorded\""), 8.0);
    assert_eq!(service.metric("rtalink_audit_events_total", "\"left_out\""), 0.0);
    assert_eq!(service.metric("rtalink_audit_events_total", "\"lost\""), 0.0);
}

#[test]
fn a_page_of_somebody_elses_records_nobodys_look() {
    let service = Running::start_in(folder(&[]), &config("protobuf"));
    let address = service.http_address();
    let own = format!("Origin: http://{address}\r\n");
    let planner = format!("Authorization: Bearer {PLANNER}\r\n");
    // As browsers send an image, a link and a frame, and what two parties could read in two ways.
    let cases = [
        ("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n", 401),
        ("Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\n", 401),
        ("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n", 401),
        ("Referer: http://elsewhere.example/\r\n", 401),
        (&format!("Host: {address}\r\n"), 400),
        (&format!("{own}{own}"), 400),
        (&format!("{planner}{planner}"), 400),
    ];
    for (headers, expected) in cases {
        let (status, body) = ask_with(address, "GET /api/v1/agents?login_id=4711", headers, "");
        assert_eq!(status, expected, "{headers}: {body}");
    }
    // One of ours is the first on the topic.
    assert_eq!(ask_with(address, "GET /api/v1/agents?login_id=1", "Sec-Fetch-Site: none\r\n", "").0, 200);
    let found = until("a record", || Some(records(service.bootstrap())).filter(|found| !found.is_empty()));
    assert_eq!(found, ["service loopback  LOOK_AT_AGENT 1 DONE 200"]);
}

#[test]
fn a_record_leaves_the_journal_also_where_an_integration_has_no_feed() {
    let without = "[[integration]]\nid = \"later\"\nkind = \"avaya-cms\"\nacd = 1\n[[integration]]";
    let service = Running::start_in(folder(&[]), &config("protobuf").replacen("[[integration]]", without, 1));
    let address = service.http_address();
    assert_eq!(ask(address, "POST /api/v1/integrations/nobody/resume", OPERATOR, "").0, 404);
    assert_eq!(ask(address, "GET /api/v1/agents?integration=later&login_id=4711", PLANNER, "").0, 200);
    let found = until("all records", || Some(records(service.bootstrap())).filter(|found| found.len() >= 2));
    assert_eq!(found[1], "later planning planner LOOK_AT_AGENT 4711 DONE 200");
    let bytes = || service.metric("rtalink_journal_bytes", "");
    until("an empty journal", || Some(bytes()).filter(|bytes| *bytes == 0.0));
}

#[test]
fn refusals_of_a_known_token_are_recorded_up_to_a_bound_and_those_of_strangers_are_counted() {
    let service = Running::start_in(folder(&[]), &config("protobuf"));
    let address = service.http_address();
    for _ in 0..30 {
        assert_eq!(ask(address, "PUT /api/v1/log-level", PLANNER, "debug").0, 403);
        assert_eq!(ask(address, "PUT /api/v1/log-level", "a-token-that-nobody-knows-at-all", "debug").0, 401);
        assert_eq!(ask(address, "PUT /api/v1/log-level", "", "debug").0, 401);
    }
    // Another one's is not hidden by these; nor is a look at many recorded, allowed or not.
    assert_eq!(ask(address, "GET /api/v1/agents?login_id=4711", OPERATOR, "").0, 403);
    assert_eq!(ask(address, "GET /api/v1/agents", OPERATOR, "").0, 403);
    let found = until("all records", || Some(records(service.bootstrap())).filter(|found| found.len() >= 11));
    let of_planner = found.iter().filter(|told| *told == "service planning planner LOG_LEVEL  REFUSED 403").count();
    let of_operator =
        found.iter().filter(|told| *told == "service night-shift operator LOOK_AT_AGENT 4711 REFUSED 403").count();
    assert_eq!((found.len(), of_planner, of_operator), (11, 10, 1), "{found:?}");
    let left_out = service.metric("rtalink_audit_events_total", "\"left_out\"");
    assert_eq!(left_out, 20.0);
    println!("30 refusals of a token, limit 10 a minute: {of_planner} recorded, {left_out} left out");
    for (reason, count) in [("forbidden", 32.0), ("wrong_token", 30.0), ("no_token", 30.0)] {
        assert_eq!(service.metric("rtalink_http_refused_total", reason), count, "{reason}");
    }
}

#[test]
fn what_cannot_go_out_yet_is_there_after_a_restart() {
    let toml = config("protobuf");
    let service = Running::start_in(folder(&[]), &toml);
    let address = service.http_address();
    assert_eq!(ask(address, "POST /api/v1/integrations/avaya-1/pause", OPERATOR, "").0, 200);
    assert_eq!(ask(address, "GET /api/v1/agents?login_id=4711", PLANNER, "").0, 200);
    assert_eq!(records(service.bootstrap()), Vec::<String>::new(), "the only integration is paused");
    let (kept, folder) = service.drain();
    assert_eq!(kept, 2);

    let service = Running::start_in(folder, &toml);
    assert_eq!(ask(service.http_address(), "POST /api/v1/integrations/avaya-1/resume", OPERATOR, "").0, 200);
    let found = until("all records", || Some(records(service.bootstrap())).filter(|found| found.len() >= 3));
    let expected = [
        "avaya-1 night-shift operator PAUSE avaya-1 DONE 200",
        "service planning planner LOOK_AT_AGENT 4711 DONE 200",
        "avaya-1 night-shift operator RESUME avaya-1 DONE 200",
    ];
    assert_eq!(found, expected);
}

#[test]
fn tail_shows_the_audit_topic_in_either_format() {
    for format in ["protobuf", "json"] {
        let folder = folder(&[]);
        let process = Process::run(&folder, &config(format));
        assert_eq!(ask(process.http(), "PUT /api/v1/log-level", OPERATOR, "warn").0, 200);
        let line = until("the record", || {
            let arguments = ["tail", "--bootstrap", &process.kafka(), "--topic", "audit", "--until-end"];
            let output = output(&arguments);
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines().next().map(|line| serde_json::from_str::<Value>(line).unwrap())
        });
        let told = ["token", "role", "action", "target", "outcome", "peer"].map(|key| line[key].as_str().unwrap());
        assert_eq!(told, ["night-shift", "operator", "LOG_LEVEL", "warn", "DONE", "127.0.0.1"], "{format}");
        assert_eq!(line["status"], 200);
    }
}
