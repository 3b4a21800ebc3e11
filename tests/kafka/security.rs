//! Kafka with TLS, passwords and ACLs: the rights that SECURITY.md lists are enough, each that is missing is named, nothing is
//! lost meanwhile, and what is wrong with a connection is said without a secret.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use parking_lot::Mutex;
use regex::Regex;
use tempfile::TempDir;

use crate::support;

use support::http;
use support::process::{Process, rtalink, write};
use support::secure_kafka::{Acl, PASSWORD, Secure};
use support::service::folder;
use support::short::{self, send};
use support::topic;
use support::wait::until;

/// What SECURITY.md says that the service may do.
#[derive(Clone, Debug)]
struct Right {
    acl: Acl,
    /// `always`, `exactly-once`, `creating`, `warning`.
    purpose: String,
}

const DELIVERIES: [&str; 2] = ["at-least-once", "exactly-once"];

/// As many services at a time.
const AT_A_TIME: usize = 4;

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The first block of code in that language behind a heading.
fn block(text: &str, heading: &str, language: &str) -> String {
    let (_, section) = text.split_once(heading).unwrap();
    let (_, rest) = section.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("\n```").unwrap().0.to_owned()
}

/// `DescribeConfigs` as the broker calls it.
fn shouted(word: &str) -> String {
    let inner = Regex::new("([a-z])([A-Z])").unwrap();
    inner.replace_all(word.trim(), "${1}_$2").to_uppercase().replace(' ', "_")
}

/// The table in SECURITY.md.
fn rights() -> Vec<Right> {
    let text = document("SECURITY.md");
    let (_, table) = text.split_once("| operation | resource |").unwrap();
    let name = Regex::new("`([^`]+)`").unwrap();
    let mut rights = Vec::new();
    for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        for operation in cells[1].split(',') {
            for found in name.captures_iter(cells[3]) {
                let kind = shouted(cells[2]);
                let pattern = if kind == "TRANSACTIONAL_ID" { "PREFIXED" } else { "LITERAL" };
                let principal = "User:rtalink".to_owned();
                let acl = Acl {
                    principal,
                    operation: shouted(operation),
                    kind,
                    name: found[1].into(),
                    pattern: pattern.into(),
                };
                rights.push(Right { acl, purpose: cells[4].to_owned() });
            }
        }
    }
    rights
}

/// What the commands in SECURITY.md have given, as the broker tells it.
fn given() -> &'static [Acl] {
    static GIVEN: OnceLock<Vec<Acl>> = OnceLock::new();
    GIVEN.get_or_init(|| {
        let secure = Secure::shared();
        secure.run(&block(&document("SECURITY.md"), "## What rtalink may do in Kafka", "sh"));
        let told = secure.change(&["rtalink", "planner"], &[], &[]);
        told.into_iter().filter(|acl| ["User:rtalink", "User:planner"].contains(&acl.principal.as_str())).collect()
    })
}

/// A service with a name of its own: of its user, its integration and its topics.
struct Site {
    name: String,
    delivery: &'static str,
    creates: bool,
    folder: TempDir,
}

impl Site {
    fn new(name: &str, delivery: &'static str, creates: bool) -> Self {
        let folder = folder(&[("kafka.password", &format!("{PASSWORD}\n"))]);
        Self { name: name.to_owned(), delivery, creates, folder }
    }

    fn topic(&self, name: &str) -> String {
        name.replace("rta.", &format!("{}.", self.name))
    }

    /// A right of SECURITY.md for this user and these topics.
    fn own(&self, acl: &Acl) -> Acl {
        Acl { name: self.topic(&acl.name), ..acl.of(&self.name) }
    }

    /// The rights that it needs.
    fn needs(&self) -> Vec<Acl> {
        let is_needed = |right: &&Right| match right.purpose.as_str() {
            "always" => true,
            "exactly-once" => self.delivery == "exactly-once",
            "creating" => self.creates,
            _ => false,
        };
        rights().iter().filter(is_needed).map(|right| self.own(&right.acl)).collect()
    }

    /// Makes the topics that it does not create, but for those.
    fn make_topics(&self, but: &[&str]) {
        for (topic, policy) in [
            ("rta.agent-state.events", "delete"),
            ("rta.agent-state.current", "compact"),
            ("rta.feed-status", "delete"),
            ("rta.dead-letter", "delete"),
            ("rta.checkpoint", "compact"),
            ("rta.audit", "delete"),
        ] {
            let is_needed = topic != "rta.checkpoint" || self.delivery == "exactly-once";
            if is_needed && !but.contains(&topic) {
                Secure::shared().admin().create_topic(&self.topic(topic), 1, &[("cleanup.policy", policy)]);
            }
        }
    }

    /// The example of the documents with what is this site's own; `change` is the last word.
    fn config(&self, change: impl Fn(String) -> String) -> PathBuf {
        let secure = Secure::shared();
        let example = block(&document("docs/operations.md"), "## Kafka with TLS and a password", "toml");
        let (kafka, properties) = example.split_once("[kafka.properties]").unwrap();
        let kafka = kafka.replace("[kafka]\n", "");
        let topics = ["agent-state.events", "agent-state.current", "feed-status", "dead-letter", "checkpoint", "audit"];
        let keys = topics.map(|topic| topic.trim_start_matches("agent-state.").replace('-', "_"));
        let topics: String =
            keys.iter().zip(topics).map(|(key, topic)| format!("{key} = \"{}.{topic}\"\n", self.name)).collect();
        let section = format!(
            "{kafka}\ndelivery = \"{}\"\npartitions = 1\ncreate_topics = {}\n[kafka.topics]\n{topics}[kafka.properties]\n{properties}",
            self.delivery, self.creates
        );
        let section = section
            .replace("kafka.example.com:9093", &secure.bootstrap())
            .replace("/etc/rtalink/kafka-ca.crt", &secure.ca().display().to_string())
            .replace("\"sasl.username\" = \"rtalink\"", &format!("\"sasl.username\" = {:?}", self.name));
        let toml = short::config(&section, "", "").replace("\"avaya-1\"", &format!("{:?}", self.name));
        write(self.folder.path(), "rtalink.toml", change(toml))
    }

    fn command(&self, arguments: &[&str], change: impl Fn(String) -> String) -> std::process::Command {
        let config = self.config(change);
        let mut command = rtalink();
        command.args(arguments).arg("--config").arg(config);
        command.env("RTALINK__KAFKA__PROPERTIES__SASL_PASSWORD_FILE", "kafka.password");
        command
    }

    fn run(&self) -> Process {
        Process::spawn(self.command(&["run"], |toml| toml))
    }

    /// Exit code and what it printed on stdout, or, if it failed, on stderr.
    fn output(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(arguments, |toml| toml).output().unwrap();
        let told = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.code(), String::from_utf8(told).unwrap())
    }

    /// What is on one of its topics; nothing where it is not there yet.
    fn read(&self, topic: &str) -> Vec<topic::Received> {
        let (admin, topic) = (Secure::shared().admin(), self.topic(topic));
        if admin.partitions(&topic) == 0 { Vec::new() } else { topic::read(admin.bootstrap(), &topic) }
    }

    fn logins(&self) -> Vec<String> {
        let events = self.read("rta.agent-state.events");
        events.iter().map(|event| format!("{} #{}", event.event().login_id, event.event().sequence)).collect()
    }

    /// Login ids and sequences of the events, as soon as there are so many different ones.
    fn events_once(&self, count: usize) -> BTreeSet<String> {
        until(&format!("{}: {count} events", self.name), || {
            let found: BTreeSet<String> = self.logins().into_iter().collect();
            (found.len() >= count).then_some(found)
        })
    }

    /// Reasons of dead letters.
    fn dead_letters(&self) -> Vec<String> {
        let letters = self.read("rta.dead-letter");
        letters.into_iter().map(|letter| letter.headers["reason"].clone()).collect()
    }
}

/// Says something on every topic: two agents, a record that cannot be read, and a look at one of them.
fn play(process: &Process) -> TcpStream {
    let mut feed = TcpStream::connect(process.feed()).unwrap();
    send(&mut feed, &["4711|AVAIL|", "4712|NONSENSE||||", "4713|AVAIL|", "END"]);
    until("an answer", || {
        Some(http::get(process.http(), "/api/v1/agents?login_id=4711")).filter(|answer| answer.status == 200)
    });
    feed
}

fn lines(process: &Process) -> Vec<String> {
    process.log().into_iter().map(|line| line.replace("\\\"", "\"")).collect()
}

/// Waits for a line of the log that has this in it, quotation marks as they were.
fn wait_for(process: &Process, text: &str) -> String {
    until(&format!("{text:?} in\n{}", lines(process).join("\n")), || {
        lines(process).into_iter().find(|line| line.contains(text))
    })
}

/// Each at its time, some at once; what fails is told by its name.
fn all_of<T: Send>(cases: Vec<T>, play: impl Fn(T) + Sync) {
    let queue = Mutex::new(cases.into_iter());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().next();
                    let Some(case) = next else { break };
                    play(case);
                }
            });
        }
    });
}

#[test]
fn the_table_of_rights_and_the_commands_say_the_same() {
    let table: BTreeSet<Acl> = rights().into_iter().map(|right| right.acl).collect();
    let commands: BTreeSet<Acl> = given().iter().filter(|acl| acl.principal == "User:rtalink").cloned().collect();
    assert_eq!(table, commands);
    assert!(table.len() > 10, "{table:?}");
}

#[test]
fn the_rights_are_enough() {
    let secure = Secure::shared();
    let cases = vec![
        ("enough-alo", DELIVERIES[0], false),
        ("enough-eo", DELIVERIES[1], false),
        ("enough-new", DELIVERIES[1], true),
    ];
    all_of(cases, |(name, delivery, creates)| {
        let site = Site::new(name, delivery, creates);
        secure.change(&[name], &site.needs(), &[]);
        if !creates {
            site.make_topics(&[]);
        }
        let (code, told) = site.output(&["check"]);
        assert_eq!(code, Some(0), "{told}");

        let process = site.run();
        process.line("started");
        let feed = play(&process);
        assert_eq!(site.events_once(2), ["4711 #1", "4713 #1"].map(str::to_owned).into());
        drop(feed);
        let (code, _, log) = process.terminate();
        assert_eq!(code, Some(0), "{}", log.join("\n"));
        let errors: Vec<_> =
            log.iter().filter(|line| line.contains("Kafka refuses") && !line.contains("DESCRIBE_CONFIGS")).collect();
        assert_eq!(errors, Vec::<&String>::new());
        let audited = topic::read(secure.admin().bootstrap(), &site.topic("rta.audit"));
        assert_eq!((audited.len(), site.dead_letters().len()), (1, 1));

        // Another machine: the agents come from Kafka.
        fs::remove_dir_all(site.folder.path().join("data")).unwrap();
        let process = site.run();
        process.line("started");
        let mut feed = TcpStream::connect(process.feed()).unwrap();
        send(&mut feed, &["4711|ACD|", "4713|AVAIL|", "END"]);
        assert!(site.events_once(3).contains("4711 #2"), "{:?}", site.logins());
        assert_eq!(process.terminate().0, Some(0));

        // What it only writes, it cannot read.
        let (code, told) = site.output(&["tail", "--topic", "current", "--until-end"]);
        // At least once, what was read from Kafka comes again.
        let copies = if delivery == DELIVERIES[0] { 2 } else { 0 };
        assert_eq!((code, told.lines().count()), (Some(0), 3 + copies), "{told}");
        let (code, told) = site.output(&["tail", "--topic", "events", "--until-end"]);
        assert_eq!(code, Some(1), "{told}");
        let expected = format!(
            "Kafka refuses READ on topic {:?} to user {name:?}: see SECURITY.md",
            site.topic("rta.agent-state.events")
        );
        assert!(told.contains(&expected), "{told}");
        let reader = Acl { operation: "READ".to_owned(), ..site.own(&rights()[0].acl) };
        secure.change(&[], &[reader], &[]);
        let (code, told) = site.output(&["tail", "--topic", "events", "--until-end"]);
        assert_eq!((code, told.lines().count()), (Some(0), 3 + copies), "{told}");
    });
}

/// A right that is taken away from a service with that delivery.
struct Lack {
    name: String,
    right: Right,
    delivery: &'static str,
}

impl Lack {
    fn all() -> Vec<Self> {
        let mut lacks = Vec::new();
        for (number, right) in rights().into_iter().enumerate() {
            let needs_transactions = right.purpose == "exactly-once" || right.acl.name.ends_with("checkpoint");
            let deliveries = match right.purpose.as_str() {
                "always" => &DELIVERIES[..],
                _ if needs_transactions => &DELIVERIES[1..],
                _ => &DELIVERIES[..1],
            };
            for delivery in deliveries {
                let name = format!("lacks-{number}-{}", if *delivery == DELIVERIES[0] { "alo" } else { "eo" });
                lacks.push(Self { name, right: right.clone(), delivery });
            }
        }
        lacks
    }

    /// CMS can dial in nevertheless.
    fn lets_start(&self) -> bool {
        let Acl { operation, kind, .. } = &self.right.acl;
        operation != "READ" && kind != "TRANSACTIONAL_ID"
    }

    fn play(&self) {
        let secure = Secure::shared();
        let creates = self.right.purpose == "creating";
        let site = Site::new(&self.name, self.delivery, creates);
        let lacked = site.own(&self.right.acl);
        let Acl { operation, kind, name, .. } = &lacked;
        let others: Vec<Acl> = site.needs().into_iter().filter(|acl| *acl != lacked).collect();
        assert!(others.len() < site.needs().len() || self.right.purpose == "warning");
        if !creates {
            site.make_topics(&[]);
        }
        if operation == "READ" {
            // Of an empty topic nothing has to be read.
            secure.change(&[&self.name], &site.needs(), &[]);
            let process = site.run();
            process.line("started");
            send(&mut TcpStream::connect(process.feed()).unwrap(), &["4700|AVAIL|"]);
            site.events_once(1);
            assert_eq!(process.terminate().0, Some(0));
            fs::remove_dir_all(site.folder.path().join("data")).unwrap();
            secure.change(&[], &[], std::slice::from_ref(&lacked));
        } else {
            secure.change(&[&self.name], &others, &[]);
        }
        let resource = kind.to_lowercase().replace('_', " ");
        let name = if kind == "TRANSACTIONAL_ID" { format!("{name}{}", self.name) } else { name.clone() };
        let expected =
            format!("Kafka refuses {operation} on {resource} {name:?} to user {:?}: see SECURITY.md", self.name);

        let process = site.run();
        let mut feed = None;
        if self.lets_start() {
            process.line("started");
            feed = Some(play(&process));
        }
        let line = wait_for(&process, &expected);
        assert!(line.contains(" WARN ") || line.contains("ERROR "), "{line}");
        if self.lets_start() && operation == "WRITE" && !name.ends_with("audit") {
            let told = until(&format!("{}: the health body says so", self.name), || {
                let body = http::get(process.http(), "/health/ready").json();
                let message = body["kafka"]["lastError"]["message"].as_str()?.to_owned();
                (body["status"] == "ready" && message == expected).then_some(message)
            });
            assert_eq!(told, expected);
        }

        let is_in_the_way = !name.ends_with("audit") || creates || self.right.purpose == "warning";
        if is_in_the_way && self.right.purpose != "warning" {
            secure.change(&[], std::slice::from_ref(&lacked), &[]);
        }
        if !self.lets_start() {
            process.line("started");
            feed = Some(play(&process));
        }
        let expected = ["4700 #1", "4711 #1", "4713 #1"];
        let expected: BTreeSet<String> =
            expected.into_iter().skip(usize::from(operation != "READ")).map(str::to_owned).collect();
        assert_eq!(site.events_once(expected.len()), expected, "{}", self.name);
        let expected = if is_in_the_way { vec!["bad_number"] } else { vec!["audit_topic_closed", "bad_number"] };
        let found = until(&format!("{}: dead letters", self.name), || {
            let mut found = site.dead_letters();
            found.sort();
            found.dedup();
            (found.len() >= expected.len()).then_some(found)
        });
        assert!(is_in_the_way != found.contains(&"audit_topic_closed".to_owned()), "{found:?}");
        drop(feed);
        let (code, _, log) = process.terminate();
        assert_eq!(code, Some(0), "{}: {}", self.name, log.join("\n"));
    }
}

#[test]
fn each_right_that_is_missing_is_named_and_nothing_is_lost() {
    all_of(Lack::all(), |lack| lack.play());
}

#[test]
fn an_audit_topic_that_is_missing_holds_up_nothing() {
    all_of(DELIVERIES.to_vec(), |delivery| {
        let site = Site::new(&format!("no-audit-{delivery}"), delivery, false);
        Secure::shared().change(&[&site.name], &site.needs(), &[]);
        site.make_topics(&["rta.audit"]);
        let process = site.run();
        process.line("started");
        let mut feed = play(&process);
        // Further looks, and events behind them.
        for round in 1..20 {
            assert_eq!(http::get(process.http(), "/api/v1/agents?login_id=4711").status, 200);
            let state = if round % 2 == 0 { "AVAIL" } else { "ACD" };
            send(&mut feed, &[&format!("4711|{state}|"), "4713|AVAIL|", "END"]);
        }
        assert_eq!(site.events_once(21).len(), 21);
        until("all records as dead letters", || {
            let closed = site.dead_letters().into_iter().filter(|reason| reason == "audit_topic_closed").count();
            assert!(closed <= 20, "{closed}");
            (closed == 20).then_some(())
        });
        wait_for(&process, "audit records cannot be published");
        let metrics = http::series(&http::get(process.http(), "/metrics").body);
        let counted: f64 =
            metrics.iter().filter(|(name, _)| name.contains("\"audit_topic_closed\"")).map(|(_, value)| value).sum();
        assert!((counted - 20.0).abs() < 0.5, "{counted}");
        until("nothing waits", || {
            let pending = http::get(process.http(), "/health/ready").json()["kafka"]["pendingMessages"].clone();
            (pending == 0).then_some(())
        });
        assert_eq!(process.terminate().0, Some(0));
    });
}

/// What is changed in a good configuration, and what must be said then.
type Mistake = (&'static str, fn(&Secure, String) -> String, &'static str, &'static str);

const MISTAKES: [Mistake; 5] = [
    (
        "wrong-password",
        |_, toml| toml.replace("[kafka.properties]", "[kafka.properties]\n\"sasl.password\" = \"not-the-password\""),
        "SASL authentication error",
        "look at sasl.mechanism, sasl.username and sasl.password in [kafka.properties]",
    ),
    (
        "wrong-ca",
        |secure, toml| {
            let other = support::certificates::Authority::new(secure.ca().parent().unwrap(), "other");
            toml.replace(&secure.ca().display().to_string(), &other.file().display().to_string())
        },
        "certificate verify failed",
        "ssl.ca.location in [kafka.properties] must name the CA",
    ),
    (
        "wrong-name",
        |secure, toml| toml.replace(&secure.bootstrap(), &secure.bootstrap_by_address()),
        "certificate verify failed",
        "the certificate must be made out to the name that was dialled",
    ),
    (
        "plain-text",
        |_, toml| toml.replace("SASL_SSL", "SASL_PLAINTEXT"),
        "in state APIVERSION_QUERY",
        "set security.protocol to \"SASL_SSL\"",
    ),
    (
        "tls-to-plain",
        |secure, toml| toml.replace(&secure.bootstrap(), secure.admin().bootstrap()),
        "in state SSL_HANDSHAKE",
        "if the listener does not speak TLS",
    ),
];

#[test]
fn what_is_wrong_with_a_connection_is_said_without_the_password() {
    let secure = Secure::shared();
    all_of(MISTAKES.to_vec(), |(name, change, found, advice)| {
        let site = Site::new(name, DELIVERIES[0], false);
        secure.change(&[name], &site.needs(), &[]);
        site.make_topics(&[]);
        let command = |arguments: &[&str]| {
            let mut command = site.command(arguments, |toml| change(secure, toml));
            if name == "wrong-password" {
                command.env_remove("RTALINK__KAFKA__PROPERTIES__SASL_PASSWORD_FILE");
            }
            command
        };
        // A first start, which waits for Kafka.
        let mut process = Process::spawn(command(&["run"]));
        let line = wait_for(&process, "no agents yet");
        assert!(line.contains(found) && line.contains(advice), "{name}: {line}");
        process.signal("TERM");
        let (code, _, log) = process.wait();
        assert_eq!(code, Some(0), "{name}: {}", log.join("\n"));
        let output = command(&["tail", "--until-end"]).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(found) && told.contains(advice), "{name}: {told}");

        // A start that does not need Kafka: the store has the agents.
        let process = site.run();
        process.line("started");
        assert_eq!(process.terminate().0, Some(0));
        let process = Process::spawn(command(&["run"]));
        process.line("started");
        let line = wait_for(&process, "kafka error, will be retried");
        assert!(line.contains(found) && line.contains(advice), "{name}: {line}");
        let body = http::get(process.http(), "/health/ready").body;
        assert!(body.contains(found), "{name}: {body}");
        let (_, _, last) = process.terminate();
        for text in [told, body, log.join("\n"), last.join("\n")] {
            assert!(!text.contains(PASSWORD) && !text.contains("not-the-password"), "{text}");
        }
    });
}
