//! An older store in the place of the one that was there: whoever was forgotten since does not come back by it, neither at the
//! next start nor at the one after it, and the others are as Kafka has them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use rusqlite::Connection;

mod support;

use support::kafka::{Broker, unique};
use support::service::Running;
use support::short::{self, send};
use support::wait::until_true;
use support::{http, sections, topic};

const STORE: &str = "data";
/// Who is forgotten: bytes that are nowhere by chance.
const HIM: &str = "xk301204q";

/// How the older store has come to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Older {
    /// The directory of a service that had ended, the count of commits included.
    Directory,
    /// The file of a service that had ended.
    File,
    /// The file of a service that ran: his last event is in a row of its journal.
    FileWithRows,
    /// The directory of one that ran.
    DirectoryWithRows,
}

impl Older {
    const fn has_rows(self) -> bool {
        matches!(self, Self::FileWithRows | Self::DirectoryWithRows)
    }

    const fn is_whole(self) -> bool {
        matches!(self, Self::Directory | Self::DirectoryWithRows)
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A copy of the store of a service that runs; whether it has rows of the journal.
fn copy_of_running(store: &Path, to: &Path) -> bool {
    fs::create_dir_all(to).unwrap();
    let file = to.join("journal.db");
    let _ = fs::remove_file(&file);
    // It must not have counted more than there is in the copy.
    fs::copy(store.join("store.lock"), to.join("store.lock")).unwrap();
    let connection = Connection::open(store.join("journal.db")).unwrap();
    connection.execute("VACUUM INTO ?1", [file.to_str().unwrap()]).unwrap();
    let copy = Connection::open(file).unwrap();
    let rows: i64 = copy.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)).unwrap();
    rows > 0
}

fn listed(service: &Running) -> Vec<String> {
    let listed = service.get("/api/v1/agents").json();
    let login_id = |agent: &serde_json::Value| agent["loginId"].as_str().unwrap().to_owned();
    let mut listed: Vec<String> = listed["agents"].as_array().unwrap().iter().map(login_id).collect();
    listed.sort_unstable();
    listed
}

fn is_in_a_file(store: &Path, text: &str) -> bool {
    fs::read_dir(store).unwrap().any(|entry| {
        // A file that is there for a moment only.
        let bytes = fs::read(entry.unwrap().path()).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn stays_forgotten(delivery: &str, copy: Older) {
    let servers = Broker::shared().bootstrap();
    let topics = unique("older");
    let toml = short::config(
        &format!(
            "bootstrap_servers = \"{servers}\"\ndelivery = \"{delivery}\"\npartitions = 2\n{}",
            sections::topics(&topics)
        ),
        "logout_after = 1",
        "",
    );
    let mut service = Running::start(&toml);
    let older = service.path("older");
    let mut feed = service.dial();
    let mut records = 0;
    let mut send = |service: &Running, lines: &[&str]| {
        send(&mut feed, lines);
        records += u32::try_from(lines.len() - 1).unwrap();
        service.settle(records);
    };
    let row = |state: &str| format!("{HIM}|{state}|");
    send(&service, &["1|AVAIL|", &row("AVAIL"), "END"]);
    if copy.has_rows() {
        // A checkpoint may come in between.
        until_true("rows in the copy", || {
            send(&service, &["1|AVAIL|", &row("ACD"), "END"]);
            send(&service, &["1|AVAIL|", &row("AVAIL"), "END"]);
            copy_of_running(&service.path(STORE), &older)
        });
    }
    send(&service, &["1|ACD|", "END"]);
    drop(feed);
    if !copy.has_rows() {
        let (kept, folder) = service.drain();
        assert_eq!(kept, 0);
        copy_files(&folder.path().join(STORE), &folder.path().join("older"));
        service = Running::start_in(folder, &toml);
    }
    service.settle_closed();
    let body = format!(r#"{{"loginId": "{HIM}"}}"#);
    let answer = http::try_post(service.http_address(), "/api/v1/forget", &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (kept, folder) = service.drain();
    assert_eq!(kept, 0);

    let store = folder.path().join(STORE);
    for entry in fs::read_dir(&store).unwrap() {
        let path = entry.unwrap().path();
        if copy.is_whole() || !path.ends_with("store.lock") {
            fs::remove_file(path).unwrap();
        }
    }
    fs::copy(folder.path().join("older/journal.db"), store.join("journal.db")).unwrap();
    if copy.is_whole() {
        fs::copy(folder.path().join("older/store.lock"), store.join("store.lock")).unwrap();
    }
    assert!(is_in_a_file(&store, HIM), "he is in the older store");
    let current = format!("{topics}.current");
    let is_gone = |service: &Running, when: &str| {
        let when = format!("{copy:?}, {when}");
        until_true(&format!("{when}: only the other is known"), || listed(service) == ["1"]);
        until_true(&format!("{when}: everything is in Kafka"), || service.pending() == 0);
        until_true(&format!("{when}: no file has him"), || !is_in_a_file(&service.path(STORE), HIM));
        let messages = topic::read(servers, &current);
        let last = messages.iter().rfind(|message| message.key.ends_with(HIM)).unwrap();
        assert!(last.is_tombstone, "{when}: {last:?}");
    };
    let service = Running::start_in(folder, &toml);
    let kind = if copy.is_whole() { "behind_kafka" } else { "rolled_back" };
    until_true("it is noticed", || service.metric("rtalink_store_errors_total", kind) >= 1.0);
    is_gone(&service, "at once");
    let (kept, folder) = service.drain();
    assert_eq!(kept, 0);
    let service = Running::start_in(folder, &toml);
    is_gone(&service, "at the next start");
    service.drain().1.close().unwrap();
}

#[test]
fn who_was_forgotten_since_stays_so_at_least_once() {
    for copy in [Older::Directory, Older::File, Older::FileWithRows, Older::DirectoryWithRows] {
        stays_forgotten("at-least-once", copy);
    }
}

#[test]
fn who_was_forgotten_since_stays_so_exactly_once() {
    for copy in [Older::Directory, Older::FileWithRows] {
        stays_forgotten("exactly-once", copy);
    }
}
