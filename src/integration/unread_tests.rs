//! How a start handles a store that it cannot read, by what is in it.

use std::path::Path;

use prost::Message as _;
use tempfile::TempDir;

use crate::config;
use crate::config::model::Config;
use crate::contract::{store as row, v1};
use crate::integration::restore::{self, RestoreError};
use crate::journal::store::{self, AgentRow, Incident, StoreSettings, Write};
use crate::time::Timestamp;

use super::*;

fn configuration(folder: &Path) -> Config {
    let toml = "[kafka]\nbootstrap_servers = \"nobody:1\"\n[[integration]]\nid = \"avaya-1\"\nkind = \"avaya-cms\"\nacd = 1\n\
                [integration.realtime]\nport = 7001\nlayout = \"cisco-icm-20\"\n";
    config::parse(toml, &folder.join("rtalink.toml"), []).config.unwrap()
}

fn agent(mode: i32) -> Vec<u8> {
    let state = v1::State { mode, ..Default::default() };
    let quality = v1::since_quality::Value::Exact.into();
    row::AgentMemory {
        acd: 1,
        login_id: "7".to_owned(),
        sequence: 1,
        state: Some(state),
        quality,
        ..Default::default()
    }
    .encode_to_vec()
}

fn message(route: i32, header: &str) -> Vec<u8> {
    let headers =
        if header.is_empty() { Vec::new() } else { vec![row::Header { name: header.to_owned(), value: Vec::new() }] };
    let message = row::Message { route, key: "avaya-1".to_owned(), headers, ..Default::default() };
    row::Batch { messages: vec![message], ..Default::default() }.encode_to_vec()
}

/// Returns the result of a start with these contents of agents and of a row after the checkpoint.
fn start(agents: &[Vec<u8>], content: &[u8]) -> &'static str {
    let folder = TempDir::new().unwrap();
    let config = configuration(folder.path());
    let settings = StoreSettings { directory: config.store.directory.clone(), sync: config.store.sync };
    let mut store = store::open(&settings).unwrap().store;
    let integration = store.integration("avaya-1").unwrap().number;
    let agents: Vec<AgentRow> = (0..)
        .zip(agents)
        .map(|(number, memory)| AgentRow { acd: 1, login_id: format!("{number}").into(), memory: memory.clone() })
        .collect();
    store
        .commit(&[
            Write::Checkpoint { integration, covered_to: 0, agents: &agents, feed: b"", recovered: true },
            Write::Batch { integration, first: 0, count: 1, written_at: Timestamp::now(), content },
        ])
        .unwrap();
    drop(store);
    let opened = restore::open(&config);
    let names = std::fs::read_dir(&settings.directory).unwrap().map(|entry| entry.unwrap().file_name());
    let is_aside = names.into_iter().any(|name| name.to_string_lossy().contains(".corrupt-"));
    match opened {
        Ok(opening) => {
            let is_told = opening.incidents.iter().any(|incident| matches!(incident, Incident::Quarantined { .. }));
            assert_eq!(is_told, is_aside);
            if is_aside { "set aside" } else { "read" }
        }
        Err(error @ RestoreError::Newer { .. }) => {
            assert!(!is_aside && error.to_string().contains("start the newer program again"), "{error}");
            "refused"
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_a_newer_version_has_written_refuses_the_start_and_only_damage_is_set_aside() {
    let known = message(row::message::Route::FeedStatus.into(), "");
    let (good, newer, torn) = (agent(v1::state::Mode::Acd.into()), agent(77), vec![0xff]);
    let cases = [
        (vec![good.clone()], known.clone(), "read"),
        (vec![good.clone(), newer.clone()], known.clone(), "refused"),
        (vec![good.clone()], message(99, ""), "refused"),
        (vec![good.clone()], message(row::message::Route::Audit.into(), "later"), "refused"),
        (vec![good.clone(), torn.clone()], known.clone(), "set aside"),
        (vec![good.clone()], torn.clone(), "set aside"),
        // Whatever else is damaged: the newer version must look at it.
        (vec![torn.clone(), newer.clone()], known.clone(), "refused"),
        (vec![newer, torn], known, "refused"),
    ];
    for (number, (agents, content, expected)) in cases.into_iter().enumerate() {
        assert_eq!(start(&agents, &content), expected, "case {number}");
    }
}

#[test]
fn of_what_the_store_fails_with_only_damage_sets_it_aside() {
    let why = String::new;
    let all = [
        StoreError::Full(why()),
        StoreError::NotWritable(why()),
        StoreError::Corrupt(why()),
        StoreError::Io(why()),
        StoreError::Busy(why()),
        StoreError::NoMemory(why()),
        StoreError::Other(why()),
    ];
    assert_eq!(all.each_ref().map(StoreError::kind), StoreError::KINDS);
    for error in all {
        let kind = error.kind();
        let is_set_aside = matches!(Unread::from(error), Unread::Damaged(_));
        assert_eq!(is_set_aside, kind == "corrupt", "{kind}");
    }
}
