//! `rtalink store`: looking into a store, while a service has it and after.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Output;

use prost::Message as _;
use rtalink::contract::store::{AgentMemory, Batch, FeedMemory, Message};
use rtalink::journal::store::{AgentRow, Store, StoreSettings, Sync, Write, open};
use rtalink::time::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use crate::support;

use support::process::output;

fn store(directory: &Path) -> Store {
    let opened = open(&StoreSettings { directory: directory.into(), sync: Sync::Normal }).unwrap();
    assert_eq!(opened.incidents, []);
    opened.store
}

fn content(messages: usize) -> Vec<u8> {
    Batch {
        messages: vec![Message { key: "avaya-1/1/4711".to_owned(), ..Message::default() }; messages],
        ..Batch::default()
    }
    .encode_to_vec()
}

fn agent(login_id: &str) -> AgentRow {
    let memory = AgentMemory { acd: 1, login_id: login_id.to_owned(), sequence: 4, ..AgentMemory::default() };
    AgentRow { acd: 1, login_id: login_id.into(), memory: memory.encode_to_vec() }
}

/// Two entries of three and two messages, two agents, held at position 3.
fn fill(store: &mut Store) {
    let number = store.integration("avaya-1").unwrap().number;
    let (first, second) = (content(3), content(2));
    let feed = FeedMemory { delay: 7, ..FeedMemory::default() }.encode_to_vec();
    let written_at = Timestamp::now();
    store
        .commit(&[
            Write::Batch { integration: number, first: 0, count: 3, written_at, content: &first },
            Write::Batch { integration: number, first: 3, count: 2, written_at, content: &second },
            Write::Acknowledged { integration: number, to: 2 },
            Write::Paused { integration: number, at: Some(3) },
            Write::Checkpoint {
                integration: number,
                covered_to: 5,
                agents: &[agent("4711"), agent("4712")],
                feed: &feed,
                recovered: true,
            },
        ])
        .unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn run(directory: &Path, action: &str, more: &[&str]) -> Output {
    let directory = directory.to_str().unwrap();
    output(&[&["store", action, "--directory", directory], more].concat())
}

fn inspected(directory: &Path) -> Value {
    let output = run(directory, "inspect", &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Names and contents of all files; the shared memory of SQLite only by its name, locks are in it.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let read = |path: &Path| if name(path).ends_with("-shm") { Vec::new() } else { fs::read(path).unwrap() };
    let mut all: Vec<_> = entries.map(|path| (name(&path), read(&path))).collect();
    all.sort();
    all
}

#[test]
fn a_store_is_shown_while_it_is_open_after_and_as_a_copy() {
    let (folder, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut store = store(folder.path());
    fill(&mut store);
    let open = inspected(folder.path());
    assert_eq!((&open["isOpen"], open["pid"].as_u64()), (&Value::Bool(true), Some(std::process::id().into())));
    assert_eq!((open["schemaVersion"].as_u64(), open["id"].as_str().unwrap()), (Some(1), &*store.id().to_string()));
    assert_eq!(text(&run(folder.path(), "verify", &[]).stdout), format!("{}: sound\n", folder.path().display()));

    // A backup of the two files that matter, WAL included.
    for name in ["journal.db", "journal.db-wal"] {
        fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    drop(store);
    for directory in [folder.path(), copy.path()] {
        let before = files(directory);
        let closed = inspected(directory);
        assert_eq!(closed["isOpen"], false);
        assert_eq!(closed["integrations"], open["integrations"]);
        assert_eq!(run(directory, "verify", &[]).status.code(), Some(0));
        assert_eq!(files(directory), before, "nothing was made or changed");
    }

    let integration = &open["integrations"][0];
    for (key, expected) in [
        ("entries", 2),
        ("events", 5),
        ("first", 0),
        ("next", 5),
        ("acknowledgedTo", 2),
        ("coveredTo", 5),
        ("agents", 2),
        ("heldAt", 3),
    ] {
        assert_eq!(integration[key], expected, "{key}: {integration}");
    }
    let shown = text(&run(folder.path(), "inspect", &[]).stdout);
    for line in
        ["avaya-1", "  journal          2 entries, 5 events,", "  held             from position 3", "open      no"]
    {
        assert!(shown.contains(line), "{shown}");
    }
}

#[test]
fn the_directory_is_that_of_the_configuration() {
    let folder = TempDir::new().unwrap();
    drop(store(&folder.path().join("data")));
    let file = folder.path().join("rtalink.toml");
    let toml = "[kafka]\nbootstrap_servers = \"localhost:9092\"\n[[integration]]\nid = \"avaya-1\"\nkind = \"avaya-cms\"\n\
                acd = 1\n[integration.realtime]\nport = 7001\nlayout = \"cisco-icm-20\"\n";
    fs::write(&file, toml).unwrap();
    let shown = output(&["store", "inspect", "--config", file.to_str().unwrap()]);
    assert!(text(&shown.stdout).contains("no integration yet"), "{}{}", text(&shown.stdout), text(&shown.stderr));
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let directory = folder.path();
    let fails = |action: &str, message: &str| {
        let output = run(directory, action, &[]);
        let told = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(message), "expected {message:?}: {told}");
    };
    fails("inspect", "there is no store in");
    assert_eq!(files(directory), [], "nothing was made");
    fs::write(directory.join("journal.db"), "dear diary").unwrap();
    fails("inspect", "is not usable");
    fs::remove_file(directory.join("journal.db")).unwrap();

    let mut store = store(directory);
    fill(&mut store);
    let number = store.integration("avaya-1").unwrap().number;
    let batch =
        |first, content| Write::Batch { integration: number, first, count: 3, written_at: Timestamp::now(), content };
    let good = content(3);
    store.commit(&[batch(5, b"\xff no message"), batch(20, &good[..]), batch(23, b"")]).unwrap();
    drop(store);
    fails("verify", "the row at position 5 is no Batch");
    fails("verify", "positions 8 to 19 are missing");
    fails("verify", "the row at position 23 has 0 messages, expected 3");
    fails("verify", "keep a copy of the directory");
    let output = run(directory, "verify", &["--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["sound"], told["findings"].as_array().unwrap().len()), (&Value::Bool(false), 3));

    let file = directory.join("journal.db");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(4).position(|window| window == b"4712").unwrap();
    bytes[at] ^= 1;
    fs::write(&file, &bytes).unwrap();
    fails("verify", "table agent: the checksum of a row of avaya-1 is wrong");
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    fails("verify", "finding(s)");
}

#[test]
fn wrong_usage_exits_2() {
    let wrong: [&[&str]; 4] = [
        &["store"],
        &["store", "inspect"],
        &["store", "repair", "--directory", "x"],
        &["store", "verify", "--directory", "x", "--config", "y"],
    ];
    for arguments in wrong {
        assert_eq!(output(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
