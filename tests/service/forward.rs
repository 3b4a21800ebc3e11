//! What CMS sends, forwarded to further targets: a good one, one that comes late, one that goes and comes back, one that
//! stops reading, one that resets; with takeovers, TLS and reloads. None of them is noticed by the feed itself.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use crate::support;

use support::certificates::{Authority, DAY, NAME, Valid};
use support::service::{Running, folder};
use support::short::{self, send};
use support::target::Target;
use support::tls_client::Client;
use support::wait::until_true;

const DROPPED: &str = "rtalink_feed_forward_dropped_bytes_total";
const FORWARDED: &str = "rtalink_feed_forwarded_bytes_total";
const UP: &str = "rtalink_feed_forward_up";

fn config(targets: &[SocketAddr], more: &str) -> String {
    let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let toml = short::config(short::EMBEDDED, &format!("forward = {targets:?}\n{more}"), "");
    toml.replace("marker = \"^END\"", "marker = \"^END\"\nskip = [\"^#\"]")
}

fn start(targets: &[SocketAddr]) -> Running {
    Running::start(&config(targets, ""))
}

fn dropped(service: &Running, reason: &str) -> f64 {
    service.metric(DROPPED, &format!("reason=\"{reason}\""))
}

#[test]
fn a_targets_connection_lives_as_that_of_cms_and_brings_every_byte() {
    let (target, other) = (Target::start(), Target::start());
    let service = start(&[target.address, other.address]);
    let mut feed = service.dial();
    // It is dialled before a byte has come.
    until_true("both are dialled", || service.metric(UP, "") > 1.5);
    let first = "# a comment\n1|AVAIL|\n2|ACD|\nnonsense\nEND\n1|AVAIL|\n2|AC";
    feed.write_all(first.as_bytes()).unwrap();
    target.until(0, first);
    feed.write_all(b"W|\nEND\nhalf a rec").unwrap();
    drop(feed);
    let all = format!("{first}W|\nEND\nhalf a rec");
    for target in [&target, &other] {
        target.until(0, &all);
        target.until_over(0);
    }
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "END"]);
    target.until(1, "1|AVAIL|\nEND\n");
    assert_eq!(target.seen().iter().map(|seen| seen.is_over).collect::<Vec<_>>(), [true, false]);
    let bytes = (all.len() + 13) as f64;
    until_true("all is counted", || service.metric(FORWARDED, "") > 2.0 * bytes - 0.5);
    assert_eq!((service.metric(FORWARDED, ""), service.metric(DROPPED, "")), (2.0 * bytes, 0.0));
    // The end of the service is the end of them, in order.
    service.drain();
    target.until_over(1);
}

#[test]
fn a_target_that_was_away_begins_with_a_whole_snapshot() {
    let target = Target::start();
    let service = start(&[target.address]);
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|", "END", "1|AVAIL|"]);
    target.until(0, "1|AVAIL|\n2|AVAIL|\nEND\n1|AVAIL|\n");
    target.close();
    // A socket that is closed shows that only when it is written to.
    let mut agents = 3;
    until_true("its end is noticed", || {
        send(&mut feed, &[&format!("{agents}|AVAIL|")]);
        agents += 1;
        service.metric(UP, "") < 0.5
    });
    send(&mut feed, &["END", "1|ACD|", "2|ACD|"]);
    service.settle(agents - 1 + 3);
    let back = Target::start_at(target.address);
    // It comes back within a snapshot, and gets that from its beginning.
    back.until(0, "1|ACD|\n2|ACD|\n");
    send(&mut feed, &["END"]);
    back.until(0, "1|ACD|\n2|ACD|\nEND\n");
    let lost = dropped(&service, "not_connected");
    assert!(lost > 0.0 && dropped(&service, "too_slow") == 0.0, "{lost}");
}

#[test]
fn a_target_that_stops_reading_is_cut_off_and_the_feed_goes_on() {
    const LINE: usize = 1_000;
    let (stopped, other) = (Target::start(), Target::start());
    let service = start(&[stopped.address, other.address]);
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "END"]);
    stopped.until(0, "1|AVAIL|\nEND\n");
    stopped.read_on(false);
    let line = format!("# {}\n", "x".repeat(LINE - 3));
    let lines = line.repeat(1_000);
    let mut sent = 0;
    until_true("it is too slow", || {
        feed.write_all(lines.as_bytes()).unwrap();
        sent += lines.len();
        dropped(&service, "too_slow") > 0.0
    });
    // Neither the feed nor the other target has to wait.
    send(&mut feed, &["1|ACD|", "END"]);
    service.settle(2);
    until_true("the other one has everything", || other.seen()[0].bytes.len() == 13 + sent + 11);
    // What it has not read is gone with its connection: when it reads on, it begins anew.
    stopped.read_on(true);
    stopped.until_over(0);
    until_true("another connection", || stopped.seen().len() > 1);
    send(&mut feed, &["1|AVAIL|", "END"]);
    until_true("a whole snapshot", || stopped.seen()[1].text().ends_with("1|AVAIL|\nEND\n"));
    let first = stopped.seen()[1].text();
    let first = first.lines().find(|line| !line.starts_with('#')).unwrap().to_owned();
    assert!(["1|ACD|", "1|AVAIL|"].contains(&&*first), "{first}");
    assert_eq!(other.seen().len(), 1);
    println!("cut off after {sent} bytes, of which {} were dropped", dropped(&service, "too_slow"));
}

#[test]
fn a_target_that_resets_is_dialled_again() {
    let target = Target::start();
    let service = start(&[target.address]);
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|"]);
    target.until(0, "1|AVAIL|\n2|AVAIL|\n");
    target.reset();
    until_true("another connection", || target.seen().len() > 1);
    send(&mut feed, &["END"]);
    // The snapshot that it had half of comes again, whole.
    target.until(1, "1|AVAIL|\n2|AVAIL|\nEND\n");
    assert_eq!(service.metric(DROPPED, ""), 0.0);
}

#[test]
fn a_takeover_is_the_end_of_one_connection_and_the_beginning_of_another() {
    let target = Target::start();
    let service = start(&[target.address]);
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "END", "1|AVAIL|"]);
    target.until(0, "1|AVAIL|\nEND\n1|AVAIL|\n");
    let mut twin = service.dial();
    // Until it has sent a valid record, nobody hears of it.
    send(&mut twin, &["# the other machine", "nonsense"]);
    until_true("it is heard", || service.metric("rtalink_feed_records_total", "outcome=\"invalid\"") > 0.5);
    assert_eq!((target.seen().len(), target.seen()[0].is_over), (1, false));
    send(&mut twin, &["1|ACD|", "END"]);
    target.until(1, "# the other machine\nnonsense\n1|ACD|\nEND\n");
    target.until_over(0);
    assert_eq!(target.seen()[0].text(), "1|AVAIL|\nEND\n1|AVAIL|\n");
}

#[test]
fn a_port_scan_is_a_short_connection_there_too() {
    let target = Target::start();
    let service = start(&[target.address]);
    drop(service.dial());
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "END"]);
    until_true("the snapshot", || target.seen().last().is_some_and(|seen| seen.text() == "1|AVAIL|\nEND\n"));
}

#[test]
fn targets_change_while_the_feed_goes_on() {
    let (kept, gone, new) = (Target::start(), Target::start(), Target::start());
    let mut service = start(&[kept.address, gone.address]);
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "END", "1|AVAIL|"]);
    let half = "1|AVAIL|\nEND\n1|AVAIL|\n";
    kept.until(0, half);
    gone.until(0, half);
    assert_eq!(service.reload(&config(&[new.address, kept.address], "")).unwrap(), Vec::<String>::new());
    gone.until_over(0);
    send(&mut feed, &["2|AVAIL|", "END", "1|ACD|", "END"]);
    let rest = "2|AVAIL|\nEND\n1|ACD|\nEND\n";
    kept.until(0, &format!("{half}{rest}"));
    new.until(0, "1|AVAIL|\n2|AVAIL|\nEND\n1|ACD|\nEND\n");
    assert_eq!(service.reload(&config(&[], "")).unwrap(), Vec::<String>::new());
    kept.until_over(0);
    new.until_over(0);
    // From none to one again, in the middle of things.
    send(&mut feed, &["1|ACD|"]);
    service.settle(5);
    assert_eq!(service.reload(&config(&[new.address], "")).unwrap(), Vec::<String>::new());
    until_true("it is dialled", || new.seen().len() == 2);
    send(&mut feed, &["2|ACD|", "END", "1|ACW|", "END"]);
    new.until(1, "1|ACW|\nEND\n");
    assert_eq!(gone.seen()[0].text(), half);
    assert_eq!(service.metric("rtalink_feed_connections", ""), 1.0, "the feed has noticed nothing");
    assert_eq!((kept.seen().len(), gone.seen().len()), (1, 1));
}

#[test]
fn what_came_over_tls_is_forwarded_as_plain_bytes() {
    let target = Target::start();
    let files = folder(&[]);
    let ca = Authority::new(files.path(), "ours");
    let pair = ca.sign("rtalink", NAME, Valid::For(365 * DAY));
    let service = Running::start_in(files, &config(&[target.address], &pair.section("")));
    let mut feed = Client::new(&ca).dial(service.feed_of("avaya-1"), NAME).unwrap();
    feed.write_all(b"1|AVAIL|\nEND\n").unwrap();
    target.until(0, "1|AVAIL|\nEND\n");
}

#[test]
fn a_target_that_is_this_very_port_is_noticed_when_it_is_dialled() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let toml = config(&[], "").replace("port = 0", &format!("port = {port}"));
    // A name, which nobody looks up before.
    let name = hostname();
    let toml = toml.replace("bind = \"127.0.0.1\"", "bind = \"0.0.0.0\"");
    let toml = toml.replace("forward = []", &format!("forward = [\"{name}:{port}\"]"));
    let service = Running::start(&toml);
    let mut feed = TcpStream::connect(("127.0.0.1", port)).unwrap();
    send(&mut feed, &["1|AVAIL|", "END"]);
    service.settle(1);
    until_true("it was dialled", || service.metric("rtalink_feed_probes_total", "") > 0.5);
    assert_eq!((service.metric(FORWARDED, ""), service.metric(UP, "")), (0.0, 0.0));
}

fn hostname() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
