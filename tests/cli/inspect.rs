//! `rtalink inspect`, and the captures that `rtalink simulate --output` writes for it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{Process, rtalink};

/// Runs the command in a folder; returns stdout, stderr and the exit code.
fn run(folder: &Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = rtalink();
    command.current_dir(folder).args(arguments);
    let ended = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(ended.stdout), text(ended.stderr), ended.status.code())
}

fn recorded(layout: &str, seed: &str, agents: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let arguments =
        ["simulate", "--layout", layout, "--seed", seed, "--agents", agents, "--refresh", "5s", "--duration", "5m"];
    let files = ["--output", "feed.capture", "--steps", "steps.csv"];
    let (summary, told, code) = run(folder.path(), &[&arguments[..], &files].concat());
    assert_eq!(code, Some(0), "{told}");
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["snapshots"], 60);
    folder
}

#[test]
fn a_layout_that_is_found_reads_its_capture() {
    for layout in ["cisco-icm-20", "random"] {
        let folder = recorded(layout, "3", "30");
        let arguments =
            ["inspect", "feed.capture", "--steps", "steps.csv", "--name", "acme", "--layout-file", "acme.toml"];
        let (report, told, code) = run(folder.path(), &arguments);
        assert_eq!(code, Some(0), "{told}");
        assert!(report.contains("login_id") && !report.contains("[layout.acme]"), "{report}");
        let integration = "[kafka]\nbootstrap_servers = \"k:9092\"\n[[integration]]\nid = \"a\"\nkind = \"avaya-cms\"\nacd = 1\n\
             [integration.realtime]\nport = 7001\nbind = \"127.0.0.1\"\nlayout = \"acme\"\n";
        let layout = fs::read_to_string(folder.path().join("acme.toml")).unwrap();
        fs::write(folder.path().join("rtalink.toml"), format!("{integration}{layout}")).unwrap();
        let replay = ["replay", "--config", "rtalink.toml", "--integration", "a", "feed.capture"];
        let (events, told, code) = run(folder.path(), &replay);
        assert_eq!(code, Some(0), "{told}\n{layout}");
        assert!(told.contains(", 0 invalid\n") && events.lines().count() > 100, "{told}");
    }
}

#[test]
fn raw_bytes_are_inspected_too_and_programs_get_json() {
    let folder = TempDir::new().unwrap();
    let feed = "4711|ACD|12\n4712|AVAIL|7\n4711|ACD|15\n4712|AUX|2\n4711|ACW|1\n4712|AUX|5\n";
    fs::write(folder.path().join("feed.bin"), feed).unwrap();
    let (json, told, code) = run(folder.path(), &["inspect", "feed.bin", "--json"]);
    assert_eq!(code, Some(0), "{told}");
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["fields"]["value"]["separator"], "|");
    assert_eq!(found["columns"][0]["field"], "login_id");
    assert_eq!(found["columns"][1]["field"], "state");
    assert_eq!(found["stateTable"], "cms-names");
    assert_eq!(found["fit"]["valid"], 6);
    assert!(found["layout"].as_str().unwrap().starts_with("# Guessed"));
}

#[test]
fn what_is_no_feed_is_told() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    fs::write(folder.path().join("steps.csv"), "time,login_id,step\n2026-01-05T08:00:00Z,1,lunch\n").unwrap();
    fs::write(folder.path().join("feed"), "4711|ACD|12\n").unwrap();
    let cases: [(&[&str], &str); 3] = [
        (&["inspect", "empty"], "the feed has no bytes"),
        (&["inspect", "nowhere"], "cannot read nowhere"),
        (&["inspect", "feed", "--steps", "steps.csv"], "line 2: unknown step \"lunch\""),
    ];
    for (arguments, message) in cases {
        let (_, told, code) = run(folder.path(), arguments);
        assert_eq!(code, Some(1), "{arguments:?}");
        assert!(told.contains(message), "{told}");
    }
}

#[test]
fn a_layout_is_printed_as_configuration() {
    let folder = TempDir::new().unwrap();
    let (random, _, code) = run(folder.path(), &["simulate", "--layout", "random", "--seed", "7", "--print-layout"]);
    assert_eq!(code, Some(0));
    assert!(random.contains("[layout.random-7]") && random.contains("\"login_id\""), "{random}");
    let (cisco, _, _) = run(folder.path(), &["simulate", "--layout", "cisco-icm-20", "--print-layout"]);
    let expected = "[layout.cisco-icm-20]\nseparator = \"whitespace\"\ncolumns = [\n  \"login_id\",\n  \"state\",\n";
    assert!(cisco.starts_with(expected), "{cisco}");
}

#[test]
fn a_live_feed_is_looked_at_until_it_is_sure_and_goes_on_to_another_tool() {
    let folder = recorded("cisco-icm-20", "3", "8");
    let (bytes, _, _) = run(folder.path(), &["capture", "export", "feed.capture"]);
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let forward = target.local_addr().unwrap().to_string();
    let mut command = rtalink();
    command.current_dir(folder.path()).args(["inspect", "--listen", "127.0.0.1:0", "--forward", &forward]);
    command.args(["--output", "live.capture", "--layout-file", "live.toml"]);
    let mut process = Process::spawn(command);
    let mut cms = TcpStream::connect(process.field("Ctrl-C ends", "address")).unwrap();
    let received = std::thread::spawn(move || {
        let mut received = Vec::new();
        target.accept().unwrap().0.read_to_end(&mut received).unwrap();
        received
    });
    let (first, rest) = bytes.as_bytes().split_at(bytes.len() * 3 / 4);
    cms.write_all(first).unwrap();
    process.line("another look has to find the same");
    cms.write_all(rest).unwrap();
    // It ends by itself.
    let (code, found, log) = process.wait();
    assert_eq!(code, Some(0), "{log:#?}");
    assert!(log.iter().any(|line| line.contains("sure") && line.contains("login_id,state")), "{log:#?}");
    let layout = fs::read_to_string(folder.path().join("live.toml")).unwrap();
    assert!(found.contains("rta-codes") && layout.contains("\"login_id\""), "{found}{layout}");
    assert_eq!(received.join().unwrap(), bytes.as_bytes(), "the other tool has all of it");
    let (kept, _, _) = run(folder.path(), &["capture", "export", "live.capture"]);
    assert_eq!(kept, bytes);
}
