//! Strangers on the ports, all kinds of them at once: honest feeds on the same ports and on another one lose nothing, and the
//! memory of the process stays under its bound. What it does to the latency is for `benches/hostile.rs`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support;

use support::certificates::{Authority, DAY, NAME, Valid};
use support::hostile::{Attack, CROWD};
use support::http;
use support::process::Process;
use support::service::folder;
use support::tls_client::Client;
use support::topic;
use support::wait::{until_true, within};

/// Memory that the strangers may cost: five connections of each port with a read buffer and a record each, what the worker's
/// channel holds, and the allocator's share.
const MOST_GROWTH: u64 = 64 << 20;

/// Bytes of garbage, and bytes one by one, that are enough.
const GARBAGE: u64 = 32 << 20;
const SLOW_BYTES: u64 = 200;

const INTEGRATIONS: [&str; 3] = ["same", "tls", "other"];

fn config(tls: &str) -> String {
    let integration = |id: &str, tls: &str| {
        format!(
            r#"
            [[integration]]
            id = "{id}"
            kind = "avaya-cms"
            acd = 1
            [integration.realtime]
            port = 0
            bind = "127.0.0.1"
            layout = "short"
            mode = "event"
            stale_after = "1s"
            {tls}
            "#
        )
    };
    let integrations = INTEGRATIONS.map(|id| integration(id, if id == "tls" { tls } else { "" }));
    format!(
        r#"
        [kafka]
        bootstrap_servers = "embedded"
        partitions = 1
        [http]
        listen = "127.0.0.1:0"
        {}
        [layout.short]
        separator = "|"
        columns = ["login_id", "state"]
        states = "rta-codes"
        "#,
        integrations.join("\n")
    )
}

/// Change `number` of one agent.
fn record(number: u64) -> String {
    format!("4711|{}\n", if number.is_multiple_of(2) { 20 } else { 30 })
}

/// Events by integration.
fn events(process: &Process) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for message in topic::read(&process.kafka(), "rta.agent-state.events") {
        let event = message.event();
        *counts.entry(event.integration).or_default() += 1;
    }
    counts
}

fn refused(process: &Process, integration: &str, reason: &str) -> f64 {
    let exposition = http::get(process.http(), "/metrics").body;
    let wanted = format!("rtalink_feed_refused_total{{integration=\"{integration}\",reason=\"{reason}\"}}");
    http::series(&exposition)[&wanted]
}

#[test]
fn honest_feeds_go_on_among_strangers() {
    let files = folder(&[]);
    let ca = Authority::new(files.path(), "ours");
    let section = ca.sign("rtalink", NAME, Valid::For(DAY)).section("");
    let process = Process::run(&files, &config(&section));
    let [plain, tls, other] = INTEGRATIONS.map(|integration| process.feed_of(integration));
    let mut feeds: [Box<dyn Write>; 3] = [
        Box::new(TcpStream::connect(plain).unwrap()),
        Box::new(Client::new(&ca).dial(tls, NAME).unwrap()),
        Box::new(TcpStream::connect(other).unwrap()),
    ];
    let mut sent = 0;
    let mut send = |feeds: &mut [Box<dyn Write>; 3]| {
        for feed in feeds {
            feed.write_all(record(sent).as_bytes()).unwrap();
            feed.flush().unwrap();
        }
        sent += 1;
    };
    send(&mut feeds);
    until_true("three who speak", || events(&process).values().sum::<u64>() == 3);
    let before = process.peak_memory();

    let attack = Attack::start(plain, tls);
    let is_enough = |count: &AtomicU64, enough| count.load(Ordering::Relaxed) >= enough;
    within(Duration::from_secs(120), "strangers of all kinds", || {
        send(&mut feeds);
        let done = attack.done();
        let is_over = is_enough(&done.crowd, CROWD)
            && is_enough(&done.handshakes, CROWD)
            && is_enough(&done.slow_bytes, SLOW_BYTES)
            && is_enough(&done.garbage_bytes, GARBAGE);
        is_over.then_some(())
    });
    (0..200).for_each(|_| send(&mut feeds));
    until_true("every record of an honest feed is an event", || {
        let events = events(&process);
        INTEGRATIONS.iter().all(|integration| events.get(*integration) == Some(&sent))
    });
    // One more handshake among those that are never finished, by a newcomer who takes over once nothing is on its way from the
    // connection before. Whoever loses their place to a stranger dials again, as CMS does.
    until_true("the newcomer is heard", || {
        if let Ok(mut late) = Client::new(&ca).dial(tls, NAME) {
            let _ = late.write_all(b"4712|20\n").and_then(|()| late.flush()); // its place may be gone again
        }
        events(&process).get("tls").is_some_and(|count| *count > sent)
    });
    println!("{:?}, {} MiB more", attack.done(), (process.peak_memory() - before) >> 20);
    drop(attack);

    assert_eq!(events(&process)["tls"], sent + 1);
    for (integration, reason) in
        [("same", "too_many_waiting"), ("same", "no_valid_record"), ("tls", "tls_displaced"), ("tls", "tls_expected")]
    {
        assert!(refused(&process, integration, reason) > 0.0, "{integration}: {reason}");
    }
    assert_eq!(refused(&process, "other", "too_many_waiting"), 0.0);
    let growth = process.peak_memory() - before;
    assert!(growth < MOST_GROWTH, "{growth} bytes more");
    assert_eq!(process.terminate().0, Some(0));
}

/// Sets how many files a process may have open; `None`: no more than it has.
fn limit_files(process: &Process, most: Option<usize>) {
    let open = std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count();
    let most = most.unwrap_or(open);
    let pid = process.id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={most}:20000")]).status();
    assert!(limited.unwrap().success());
}

#[test]
fn without_file_descriptors_a_listener_waits_and_goes_on() {
    let files = folder(&[]);
    let process = Process::run(&files, &config("").replace("stale_after = \"1s\"", "stale_after = \"1h\""));
    let mut honest = TcpStream::connect(process.feed_of("same")).unwrap();
    honest.write_all(record(0).as_bytes()).unwrap();
    until_true("who speaks", || events(&process).values().sum::<u64>() == 1);

    limit_files(&process, None);
    let newcomers: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(process.feed_of("other")).unwrap()).collect();
    let failed = || process.log().iter().filter(|line| line.contains("accept failed")).count();
    until_true("accept fails", || failed() > 0);
    // It is tried again with a pause, not in a circle.
    (1..=100).for_each(|number| honest.write_all(record(number).as_bytes()).unwrap());
    let line = process.line("accept failed");
    assert!(line.contains("pause_ms=10 ") || line.ends_with("pause_ms=10"), "{line}");
    assert!(failed() < 20, "{} lines", failed());

    limit_files(&process, Some(20_000));
    until_true("what came meanwhile", || events(&process).values().sum::<u64>() == 101);
    until_true("newcomers are taken", || refused(&process, "other", "too_many_waiting") > 0.0);
    let mut other = &newcomers[0];
    other.write_all(record(0).as_bytes()).unwrap();
    until_true("a newcomer is heard", || events(&process).get("other") == Some(&1));
    assert_eq!(process.terminate().0, Some(0));
}
