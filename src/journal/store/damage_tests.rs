//! Damage in many places: a store returns the whole content or reports an error, never silently less.

use std::fs;
use std::path::Path;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::tests::{agent, batch, contents, memories, settings, store};
use super::*;

/// All that a store says.
#[derive(Debug, PartialEq)]
struct Content {
    integrations: Vec<(StoredIntegration, Vec<JournalRow>, Vec<Vec<u8>>)>,
    mapping: Vec<Option<(u64, u64)>>,
}

fn content(store: &mut Store) -> Result<Content, StoreError> {
    let mut integrations = Vec::new();
    for id in ["one", "two"] {
        let known = store.integration(id)?;
        let number = known.number;
        integrations.push((known, contents(store, number)?, memories(store, number)?));
    }
    let mapping = ["one", "two"].map(|id| store.mapping_version(id));
    Ok(Content { integrations, mapping: mapping.into_iter().collect::<Result<_, _>>()? })
}

/// Creates a store with something in all of its tables, as it is while the process runs and after it has ended.
fn sample(running: &Path, ended: &Path) -> Content {
    let folder = TempDir::new().unwrap();
    let copy = |to: &Path| {
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    let mut store = store(folder.path());
    let agents: Vec<AgentRow> = (0..120).map(agent).collect();
    for id in ["one", "two"] {
        let number = store.integration(id).unwrap().number;
        store.set_mapping_versions(&[MappingVersion { integration: id.into(), version: 5, content: 6 }]).unwrap();
        for k in 0..20_u64 {
            let content = vec![b'a' + u8::try_from(k).unwrap(); usize::try_from(k * 500).unwrap()];
            store.commit(&[batch(number, k * 10, &content)]).unwrap();
            let part = usize::try_from(k * 6).unwrap();
            let agents = &agents[part..part + 6];
            let feed = format!("feed {k}").repeat(9).into_bytes();
            let write = Write::Checkpoint { integration: number, covered_to: k, agents, feed: &feed, recovered: true };
            store.commit(&[write, Write::Acknowledged { integration: number, to: k * 3 }]).unwrap();
        }
        // The last commits are in the WAL only.
        store.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        store.commit(&[batch(number, 200, b"last"), Write::Paused { integration: number, at: Some(3) }]).unwrap();
    }
    let content = content(&mut store).unwrap();
    copy(running);
    drop(store);
    copy(ended);
    content
}

/// Opens a damaged copy: it must have what was written, or report an error.
fn judge(from: &Path, expected: &Content, what: &str, damage: impl FnOnce(&Path)) -> &'static str {
    let folder = TempDir::new().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    damage(folder.path());
    let looked = (inspect(folder.path()).is_ok(), verify(folder.path()).is_ok_and(|findings| findings.is_empty()));
    let Opened { mut store, incidents } = match open(&settings(folder.path())) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(matches!(error, OpenError::Newer { .. }), "{what}: {error}");
            return "refused";
        }
    };
    if let Some(incident) = incidents.first() {
        assert!(!incident.to_string().is_empty());
        return incident.kind();
    }
    match content(&mut store) {
        Ok(found) => {
            assert!(found == *expected, "{what}: silently different; inspect and verify said {looked:?}");
            "whole"
        }
        Err(error) => {
            assert_eq!(error.kind(), "corrupt", "{what}: {error}");
            "error"
        }
    }
}

#[test]
fn no_damage_is_silent() {
    let (running, ended) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let expected = sample(running.path(), ended.path());
    let mut random = ChaCha8Rng::seed_from_u64(20_261_121);
    let mut seen = std::collections::BTreeMap::new();
    for (name, from, file) in [
        ("ended", ended.path(), "journal.db"),
        ("running", running.path(), "journal.db"),
        ("running", running.path(), "journal.db-wal"),
        ("running", running.path(), "journal.db-shm"),
    ] {
        let length = fs::metadata(from.join(file)).unwrap().len();
        assert!(length > 0, "{name} {file}");
        for round in 0..80 {
            // Half of it at the beginning, where it hurts most.
            let beginning = if file.ends_with("-wal") { 20_000 } else { 200 };
            let offset = random.random_range(0..if round % 4 < 2 { length.min(beginning) } else { length });
            let bit = random.random_range(0..8);
            let is_cut = round % 2 == 0;
            let what = format!("{name}: {file} {} at {offset}, bit {bit}", if is_cut { "cut" } else { "flipped" });
            let result = judge(from, &expected, &what, |folder| {
                let path = folder.join(file);
                let mut bytes = fs::read(&path).unwrap();
                let at = usize::try_from(offset).unwrap();
                if is_cut {
                    bytes.truncate(at);
                } else {
                    bytes[at] ^= 1 << bit;
                }
                fs::write(&path, bytes).unwrap();
            });
            *seen.entry((name, file, is_cut, result)).or_insert(0) += 1;
        }
    }
    for ((name, file, is_cut, result), count) in &seen {
        println!("{name} {file} {}: {result} {count}", if *is_cut { "cut" } else { "flipped" });
    }
    assert_eq!(judge(ended.path(), &expected, "nothing", |_| {}), "whole");
    assert_eq!(judge(running.path(), &expected, "nothing", |_| {}), "whole");
    let without = |folder: &Path| fs::remove_file(folder.join("journal.db-wal")).unwrap();
    assert_eq!(judge(running.path(), &expected, "no WAL", without), "rolled_back");
    let without = |folder: &Path| fs::remove_file(folder.join(DATABASE)).unwrap();
    assert_eq!(judge(running.path(), &expected, "only a WAL", without), "set_aside");
    assert_eq!(judge(ended.path(), &expected, "nothing left", without), "rolled_back");
}
