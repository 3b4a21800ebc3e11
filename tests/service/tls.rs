//! TLS on the port of a feed: what gets in, what does not and under which reason, what `check` says of the files, and a
//! reload that brings new ones.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use tokio_rustls::rustls::{SupportedProtocolVersion, version};

use crate::support;

use support::certificates::{Authority, DAY, HOUR, NAME, Pair, Valid};
use support::process::{Process, output};
use support::sections;
use support::service::{Running, folder};
use support::tls_client::{Client, TlsStream};
use support::wait::until_true;

const REFUSED: &str = "rtalink_feed_refused_total";
const EXPIRY: &str = "rtalink_tls_certificate_expiry_timestamp_seconds";

fn config(tls: &str) -> String {
    let feed = sections::integration("", &format!("layout = \"cisco-icm-20\"\n{tls}"));
    format!("[kafka]\nbootstrap_servers = \"embedded\"\npartitions = 1\n{feed}")
}

/// A record of the built-in layout.
fn record(login_id: u32) -> String {
    format!("{login_id} 20 0 0 0 0 0 1 801326 232 1{}\n", " 0 0".repeat(19), login_id = 1_000 + login_id)
}

fn send(feed: &mut impl Write, records: std::ops::Range<u32>) {
    records.for_each(|login_id| feed.write_all(record(login_id).as_bytes()).unwrap());
    feed.flush().unwrap();
}

fn refused(service: &Running, reason: &str) -> f64 {
    service.metric(REFUSED, &format!("reason=\"{reason}\""))
}

fn until_refused(service: &Running, reason: &str) {
    until_true(reason, || refused(service, reason) > 0.0);
    assert_eq!(service.metric(REFUSED, ""), refused(service, reason), "no other reason");
}

/// A service with TLS, and the CA of its certificate.
fn start(more: &str) -> (Running, Authority) {
    let files = folder(&[]);
    let ca = Authority::new(files.path(), "ours");
    let pair = ca.sign("rtalink", NAME, Valid::For(365 * DAY));
    (Running::start_in(files, &config(&pair.section(more))), ca)
}

#[test]
fn a_feed_goes_through_both_versions_and_the_plain_port_is_as_before() {
    let (service, ca) = start("");
    static VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&version::TLS12], &[&version::TLS13]];
    for (number, speaks) in (0..).zip(VERSIONS) {
        let client = Client { speaks, ..Client::new(&ca) };
        let mut feed = client.dial(service.feed_of("avaya-1"), NAME).unwrap();
        send(&mut feed, number * 100..number * 100 + 100);
        service.settle(number * 100 + 100);
        drop(feed);
        service.settle_closed();
    }
    assert_eq!(service.events_once(200).len(), 200);
    assert_eq!(service.dead_letters().len(), 0);
    assert_eq!(service.metric(REFUSED, ""), 0.0);
}

#[test]
fn plain_text_on_a_tls_port_is_named_before_it_is_read() {
    let (service, _ca) = start("");
    let mut feed = service.dial();
    feed.write_all(record(1).as_bytes()).unwrap();
    until_refused(&service, "tls_expected");
    assert_eq!(service.metric("rtalink_feed_bytes_total", ""), 0.0);
    assert_eq!(service.feed_statuses(), []);
}

#[test]
fn tls_on_a_plain_port_is_named_and_makes_no_dead_letter() {
    let files = folder(&[]);
    let ca = Authority::new(files.path(), "ours");
    let service = Running::start_in(files, &config(""));
    Client::new(&ca).dial(service.feed_of("avaya-1"), NAME).expect_err("nobody there speaks TLS");
    until_refused(&service, "tls_unexpected");
    service.settle_closed();
    // The same, one byte at a time.
    let mut slow = service.dial();
    slow.set_nodelay(true).unwrap();
    slow.write_all(&[0x16]).unwrap();
    until_true("its first byte", || service.metric("rtalink_feed_connections", "") > 0.5);
    slow.write_all(&[0x03]).unwrap();
    until_true("another one", || refused(&service, "tls_unexpected") > 1.5);
    service.settle_closed();
    assert_eq!(service.dead_letters().len(), 0);
    send(&mut service.dial(), 0..10);
    service.settle(10);
}

#[test]
fn a_handshake_that_is_never_finished_ends_in_time() {
    let (service, ca) = start("handshake_timeout = \"300ms\"");
    let mut silent = service.dial();
    let mut begun = service.dial();
    begun.write_all(&[0x16, 0x03, 0x01, 0x02]).unwrap();
    until_true("both time out", || refused(&service, "tls_timeout") > 1.5);
    let mut rest = Vec::new();
    for stream in [&mut silent, &mut begun] {
        // Closed, with an alert or a reset.
        let _ = stream.read_to_end(&mut rest);
    }
    // Whoever ends before they have said a word is nobody's fault.
    drop(service.dial());
    let mut feed = Client::new(&ca).dial(service.feed_of("avaya-1"), NAME).unwrap();
    send(&mut feed, 0..10);
    service.settle(10);
    assert_eq!(service.metric(REFUSED, ""), 2.0);
}

#[test]
fn what_is_no_handshake_is_refused() {
    let (service, _ca) = start("");
    service.dial().write_all(&[0x16, 0x03, 0x01, 0x00, 0x04, 0xff, 0xff, 0xff, 0xff]).unwrap();
    until_refused(&service, "tls_handshake");
}

#[test]
fn of_unfinished_handshakes_the_oldest_gives_way() {
    let (service, ca) = start("handshake_timeout = \"1h\"");
    let silent: Vec<TcpStream> = (0..100).map(|_| service.dial()).collect();
    until_true("92 give way", || refused(&service, "tls_displaced") > 91.5);
    let mut feed = Client::new(&ca).dial(service.feed_of("avaya-1"), NAME).unwrap();
    send(&mut feed, 0..10);
    service.settle(10);
    assert_eq!(service.metric(REFUSED, ""), 93.0);
    drop(silent);
}

#[test]
fn a_client_ca_lets_in_only_those_it_signed() {
    let files = folder(&[]);
    let ca = Authority::new(files.path(), "ours");
    let other = Authority::new(files.path(), "other");
    let pair = ca.sign("rtalink", NAME, Valid::For(365 * DAY));
    let client_ca = format!("client_ca = {:?}", ca.file());
    let service = Running::start_in(files, &config(&pair.section(&client_ca)));
    let address = service.feed_of("avaya-1");
    let refusal = |shows: Option<&Pair>, count: f64| {
        // With TLS 1.3 the client is done before it hears of its refusal.
        let client = Client { shows, ..Client::new(&ca) };
        if let Ok(mut feed) = client.dial(address, NAME) {
            let mut answer = [0; 1];
            feed.read_exact(&mut answer).expect_err("closed with an alert");
        }
        until_true("a refusal", || refused(&service, "tls_peer_certificate") > count - 0.5);
    };
    refusal(None, 1.0);
    refusal(Some(&other.sign("stranger", "cms.test", Valid::For(DAY))), 2.0);
    refusal(Some(&ca.sign("old", "cms.test", Valid::Until(HOUR))), 3.0);
    let cms = ca.sign("cms", "cms.test", Valid::For(DAY));
    let client = Client { shows: Some(&cms), ..Client::new(&ca) };
    let mut feed = client.dial(address, NAME).unwrap();
    send(&mut feed, 0..10);
    service.settle(10);
    assert_eq!(service.metric(REFUSED, ""), 3.0);
}

fn expiry(service: &Running) -> f64 {
    service.metric(EXPIRY, "")
}

/// The certificate that the other side has shown.
fn shown(feed: &TlsStream) -> Vec<u8> {
    feed.conn.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_reload_takes_new_certificates_and_closes_no_socket() {
    let files = folder(&[]);
    let ca = Authority::new(files.path(), "ours");
    let pair = ca.sign("rtalink", NAME, Valid::For(40 * DAY));
    let mut service = Running::start_in(files, &config(&pair.section("")));
    let address = service.feed_of("avaya-1");
    let soon = expiry(&service);
    let mut before = Client::new(&ca).dial(address, NAME).unwrap();
    send(&mut before, 0..10);
    service.settle(10);

    ca.sign("rtalink", NAME, Valid::For(400 * DAY));
    assert_eq!(service.reload(&config(&pair.section(""))), Ok(Vec::new()));
    assert_eq!(((expiry(&service) - soon) / DAY.as_secs_f64()).round(), 360.0);
    send(&mut before, 10..20);
    service.settle(20);
    let after = Client::new(&ca).dial(address, NAME).unwrap();
    assert_ne!(shown(&before), shown(&after));

    // A key that is not the certificate's changes nothing.
    let other = ca.sign("other", NAME, Valid::For(DAY));
    let mixed = Pair { key: other.key, ..pair.clone() };
    let problems = service.reload(&config(&mixed.section(""))).unwrap_err();
    assert!(problems[0].to_string().contains("is not the key of the certificate"), "{problems:?}");
    let again = Client::new(&ca).dial(address, NAME).unwrap();
    assert_eq!(shown(&after), shown(&again));
    // Nor is TLS a thing that needs a restart.
    assert_eq!(service.reload(&config("")), Ok(Vec::new()));
    assert!(expiry(&service).is_nan());
}

#[test]
fn sighup_brings_a_new_certificate() {
    let files = folder(&[]);
    let ca = Authority::new(files.path(), "ours");
    let pair = ca.sign("rtalink", NAME, Valid::Until(HOUR));
    // What has run out does not keep the service from its other feeds.
    let process = Process::run(&files, &config(&pair.section("")));
    process.line("a certificate has run out");
    Client::new(&ca).dial(process.feed(), NAME).expect_err("it has run out");
    assert!(process.line("tls_refused_by_peer").contains("ours has run out"));
    ca.sign("rtalink", NAME, Valid::For(DAY));
    process.signal("HUP");
    process.line("reloaded");
    let mut feed = Client::new(&ca).dial(process.feed(), NAME).unwrap();
    send(&mut feed, 0..10);
    process.line("CONNECTED");
    assert_eq!(process.terminate().0, Some(0));
}

/// What `check` says, and its exit code.
fn check(files: &tempfile::TempDir, tls: &str) -> (Option<i32>, String) {
    let file = support::process::write(files.path(), "rtalink.toml", config(tls));
    let output = output(&["check", "--config", &file.display().to_string()]);
    let said = [output.stderr, output.stdout].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn check_looks_into_the_files() {
    let files = folder(&[("text.crt", "no certificate"), ("broken.crt", "-----BEGIN CERTIFICATE-----\nx\n")]);
    let ca = Authority::new(files.path(), "ours");
    let good = ca.sign("good", NAME, Valid::For(60 * DAY));
    let other = ca.sign("other", NAME, Valid::For(60 * DAY));
    let soon = ca.sign("soon", NAME, Valid::For(20 * DAY));
    let old = ca.sign("old", NAME, Valid::Until(HOUR));
    let open = ca.sign("open", NAME, Valid::For(60 * DAY));
    fs::set_permissions(&open.key, fs::Permissions::from_mode(0o644)).unwrap();
    let path = |name: &str| files.path().join(name);
    let with = |certificate: &str| Pair { certificate: path(certificate), key: good.key.clone() };
    let cases: Vec<(String, i32, &str)> = vec![
        (good.section(""), 0, "ok, 1 integration(s)"),
        (good.section(&format!("client_ca = {:?}", ca.file())), 0, "ok, 1 integration(s)"),
        (Pair { key: other.key.clone(), ..good.clone() }.section(""), 1, "is not the key of the certificate"),
        (soon.section(""), 0, "warning: {}/soon.crt: a certificate runs out on"),
        (old.section(""), 1, "error: {}/old.crt: a certificate has run out on"),
        (open.section(""), 0, "warning: {}/open.key: this key can be read or changed by every user"),
        (with("text.crt").section(""), 1, "error: {}/text.crt: has no certificate"),
        (with("broken.crt").section(""), 1, "error: {}/broken.crt: certificate 1 is not valid PEM"),
        (Pair { key: good.certificate.clone(), ..good.clone() }.section(""), 1, "good.crt: has no private key"),
        (with("gone.crt").section(""), 1, "there is no file"),
        (good.section("client_ca = \"gone.crt\""), 1, "there is no file"),
        (good.section("client_ca = \"text.crt\""), 1, "error: {}/text.crt: has no certificate"),
        (good.section("clientca = \"x\""), 1, "did you mean \"client_ca\"?"),
        ("[integration.realtime.tls]\nkey = \"good.key\"".to_owned(), 1, "\"certificate\" is missing"),
    ];
    for (section, code, expected) in cases {
        let (exit, said) = check(&files, &section);
        let expected = expected.replace("{}", &files.path().display().to_string());
        assert!(said.contains(&expected), "{section}\nsaid: {said}\nexpected: {expected}");
        assert_eq!(exit, Some(code), "{section}\n{said}");
        assert!(!said.contains("PRIVATE KEY-----\nM"), "no key in it");
    }
    fs::set_permissions(&open.key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!check(&files, &open.section("")).1.contains("every user"));
}
