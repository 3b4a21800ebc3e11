//! A real stunnel on the side of CMS, against the port of a feed: as `docs/operations.md` shows it, and all that can be
//! wrong with it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};

use crate::support;

use support::certificates::{Authority, DAY, HOUR, NAME, Pair, Valid};
use support::process::Process;
use support::sections;
use support::service::{Running, folder};
use support::stunnel::Stunnel;
use support::wait::until_true;

fn config(tls: &str) -> String {
    let feed = sections::integration("", &format!("layout = \"cisco-icm-20\"\n{tls}"));
    format!("[kafka]\nbootstrap_servers = \"embedded\"\npartitions = 1\n{feed}")
}

fn record(login_id: u32) -> String {
    format!("{login_id} 20 0 0 0 0 0 1 801326 232 1{}\n", " 0 0".repeat(19), login_id = 1_000 + login_id)
}

/// What stunnel checks, as in the documentation.
fn checks(ca: &Authority, host: &str) -> String {
    format!("verifyChain = yes\nCAfile = {}\ncheckHost = {host}", ca.file().display())
}

fn shows(pair: &Pair) -> String {
    format!("cert = {}\nkey = {}", pair.certificate.display(), pair.key.display())
}

/// The other end closes.
fn is_refused(mut feed: impl Read + Write) {
    let _ = feed.write_all(record(1).as_bytes()); // may be closed already
    let mut rest = Vec::new();
    let _ = feed.read_to_end(&mut rest);
    assert!(rest.is_empty());
}

#[test]
fn a_feed_goes_through_stunnel() {
    const AGENTS: u32 = 5_000;
    let files = folder(&[]);
    let ca = Authority::new(files.path(), "ours");
    let pair = ca.sign("rtalink", NAME, Valid::For(DAY));
    let cms = ca.sign("cms", "cms.test", Valid::For(DAY));
    let client_ca = format!("client_ca = {:?}", ca.file());
    let service = Running::start_in(files, &config(&pair.section(&client_ca)));
    let lines = format!("{}\n{}", checks(&ca, NAME), shows(&cms));
    let stunnel = Stunnel::start(&service.path(""), service.feed_of("avaya-1"), &lines);
    let mut feed = stunnel.dial();
    let snapshot: String = (0..AGENTS).map(record).collect();
    for _ in 0..3 {
        feed.write_all(snapshot.as_bytes()).unwrap();
    }
    service.settle(3 * AGENTS);
    drop(feed);
    service.settle_closed();
    assert_eq!(service.events().len(), AGENTS as usize);
    assert_eq!(service.dead_letters().len(), 0);
    assert_eq!(service.metric("rtalink_feed_refused_total", ""), 0.0);
    stunnel.line("TLSv1.3");
}

/// What is wrong, what stunnel is told, and what both sides say.
struct Case {
    what: &'static str,
    ours: Pair,
    stunnel: String,
    reason: &'static str,
    log: &'static str,
    stunnel_says: &'static str,
}

#[test]
fn what_is_wrong_is_named_on_both_sides() {
    let files = folder(&[]);
    let ca = Authority::new(files.path(), "ours");
    let other = Authority::new(files.path(), "other");
    let good = ca.sign("good", NAME, Valid::For(DAY));
    let old = ca.sign("old", NAME, Valid::Until(HOUR));
    let cms = ca.sign("cms", "cms.test", Valid::For(DAY));
    let cases = [
        Case {
            what: "our certificate has run out",
            ours: old,
            stunnel: format!("{}\n{}", checks(&ca, NAME), shows(&cms)),
            reason: "tls_refused_by_peer",
            log: "ours has run out",
            stunnel_says: "certificate has expired",
        },
        Case {
            what: "the wrong name",
            ours: good.clone(),
            stunnel: format!("{}\n{}", checks(&ca, "somebody.else"), shows(&cms)),
            reason: "tls_refused_by_peer",
            log: "ours is not for the name that it dialled",
            stunnel_says: "Subject checks failed",
        },
        Case {
            what: "a CA that stunnel does not know",
            ours: good.clone(),
            stunnel: format!("{}\n{}", checks(&other, NAME), shows(&cms)),
            reason: "tls_refused_by_peer",
            log: "it does not know the CA that signed ours",
            stunnel_says: "unable to get local issuer certificate",
        },
        Case {
            what: "no client certificate",
            ours: good.clone(),
            stunnel: checks(&ca, NAME),
            reason: "tls_peer_certificate",
            log: "the peer has no certificate",
            stunnel_says: "alert certificate required",
        },
        Case {
            what: "a client certificate of another CA",
            ours: good.clone(),
            stunnel: format!("{}\n{}", checks(&ca, NAME), shows(&other.sign("stranger", "cms.test", Valid::For(DAY)))),
            reason: "tls_peer_certificate",
            log: "UnknownIssuer",
            stunnel_says: "alert unknown ca",
        },
        Case {
            what: "a client certificate that has run out",
            ours: good,
            stunnel: format!("{}\n{}", checks(&ca, NAME), shows(&ca.sign("late", "cms.test", Valid::Until(HOUR)))),
            reason: "tls_peer_certificate",
            log: "expired",
            stunnel_says: "alert certificate expired",
        },
    ];
    for case in cases {
        eprintln!("{}", case.what);
        let section = case.ours.section(&format!("client_ca = {:?}", ca.file()));
        let process = Process::run(&files, &config(&section));
        let stunnel = Stunnel::start(files.path(), process.feed(), &case.stunnel);
        is_refused(stunnel.dial());
        let line = process.line(case.reason);
        assert!(line.contains(case.log), "{}: {line}", case.what);
        stunnel.line(case.stunnel_says);
        assert_eq!(process.terminate().0, Some(0));
    }
}

#[test]
fn stunnel_on_a_plain_port_is_named() {
    let files = folder(&[]);
    let ca = Authority::new(files.path(), "ours");
    let service = Running::start_in(files, &config(""));
    let stunnel = Stunnel::start(&service.path(""), service.feed_of("avaya-1"), &checks(&ca, NAME));
    is_refused(stunnel.dial());
    until_true("a refusal", || service.metric("rtalink_feed_refused_total", "reason=\"tls_unexpected\"") > 0.5);
    service.settle_closed();
    assert_eq!(service.dead_letters().len(), 0);
}

#[test]
fn the_file_of_the_documentation_is_one_that_stunnel_takes() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let (_, section) = page.split_once("## TLS").unwrap();
    let (_, text) = section.split_once("```ini\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    let files = folder(&[]);
    let ca = Authority::new(files.path(), "ours");
    let pair = ca.sign("rtalink", "rtalink.example.com", Valid::For(DAY));
    let cms = ca.sign("cms", "cms.example.com", Valid::For(DAY));
    let service = Running::start_in(files, &config(&pair.section(&format!("client_ca = {:?}", ca.file()))));
    let is_ours = |line: &&str| line.starts_with("verifyChain") || line.starts_with("checkHost");
    let kept: Vec<&str> = text.lines().filter(is_ours).collect();
    assert_eq!(kept.len(), 2, "{text}");
    let lines = format!("{}\nCAfile = {}\n{}", kept.join("\n"), ca.file().display(), shows(&cms));
    let stunnel = Stunnel::start(&service.path(""), service.feed_of("avaya-1"), &lines);
    let mut feed = stunnel.dial();
    (0..10).for_each(|login_id| feed.write_all(record(login_id).as_bytes()).unwrap());
    service.settle(10);
}
