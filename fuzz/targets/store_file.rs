//! The store's files with damage: bytes changed, ends cut off, files exchanged and gone. On a real file system, best one in
//! memory: `TMPDIR` says where.
//!
//! * looking (`inspect`, `verify`) and opening bring nothing down;
//! * **the whole content, or somebody is told**: after an opening without an incident everything is as it was written, or
//!   reading says that it is damaged; only a file of a newer program is refused;
//!   (the lock file counts the commits: where it is damaged too, a database that is gone was never there);
//! * whatever was found, the store that is open takes a commit and has it.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rtalink::journal::store::{
    self, AgentRow, JournalRow, MappingVersion, OpenError, Opened, Store, StoreError, StoreSettings, Sync, Write,
};
use rtalink::time::Timestamp;

const AT: Timestamp = Timestamp::from_millis(1_767_600_000_000);
const LOCK: &str = "store.lock";
const IDS: [&str; 2] = ["one", "two"];

type Files = BTreeMap<String, Vec<u8>>;

/// All that a store says.
#[derive(Debug, PartialEq)]
struct Content {
    integrations: Vec<(String, Vec<JournalRow>, Vec<Vec<u8>>)>,
    mapping: Vec<Option<(u64, u64)>>,
}

struct Sample {
    /// As the files are while the process runs, and after it has ended.
    files: [Files; 2],
    content: Content,
}

static FOLDER: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("rtalink-fuzz-{}", std::process::id())));

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let folder = FOLDER.join("sample");
    let _ = fs::remove_dir_all(&*FOLDER);
    let mut store = open(&folder).unwrap_or_else(|error| panic!("{error}")).store;
    for id in IDS {
        let number = store.integration(id).unwrap_or_else(|error| panic!("{error}")).number;
        let agents: Vec<AgentRow> = (0..12)
            .map(|number| AgentRow { acd: 1, login_id: format!("{number}").into(), memory: vec![number; 90] })
            .collect();
        let batch =
            |first: u64, content| Write::Batch { integration: number, first, count: 10, written_at: AT, content };
        let (small, large) = (vec![7; 100], vec![8; 5_000]);
        let checkpoint =
            Write::Checkpoint { integration: number, covered_to: 10, agents: &agents, feed: b"feed", recovered: true };
        let writes = [batch(0, &small), batch(10, &large), batch(25, &small), checkpoint];
        store.commit(&writes).unwrap_or_else(|error| panic!("{error}"));
        store
            .set_mapping_versions(&[MappingVersion { integration: id.into(), version: 5, content: 6 }])
            .unwrap_or_else(|error| panic!("{error}"));
    }
    let content = content(&mut store).unwrap_or_else(|error| panic!("{error}"));
    let running = files(&folder);
    drop(store);
    Sample { files: [running, files(&folder)], content }
});

fn open(folder: &Path) -> std::result::Result<Opened, OpenError> {
    store::open(&StoreSettings { directory: folder.into(), sync: Sync::Normal })
}

fn files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect()
}

fn content(store: &mut Store) -> std::result::Result<Content, StoreError> {
    let mut integrations = Vec::new();
    for id in IDS {
        let known = store.integration(id)?;
        let reader = store.reader()?;
        let mut rows: Vec<JournalRow> = Vec::new();
        loop {
            let found = reader.batches(known.number, rows.last().map_or(0, JournalRow::end), usize::MAX)?;
            if found.is_empty() {
                break;
            }
            rows.extend(found);
        }
        let mut memories = Vec::new();
        store.agents(known.number, &mut |memory| memories.push(memory.to_vec()))?;
        integrations.push((format!("{known:?}"), rows, memories));
    }
    let mapping = IDS.map(|id| store.mapping_version(id));
    Ok(Content { integrations, mapping: mapping.into_iter().collect::<std::result::Result<_, _>>()? })
}

/// One thing that happens to one file.
fn damage(u: &mut Unstructured<'_>, of_lock: bool, files: &mut Files) -> Result<()> {
    let names: Vec<String> = files.keys().filter(|name| (*name == LOCK) == of_lock).cloned().collect();
    if names.is_empty() {
        return Ok(());
    }
    let name = u.choose(&names)?;
    let Some(bytes) = files.get_mut(name) else { return Ok(()) };
    match u.int_in_range(0..=15)? {
        0 => {
            files.remove(name);
        }
        1 => bytes.truncate(u.int_in_range(0..=bytes.len())?),
        2 => {
            let more: Vec<u8> = u.arbitrary()?;
            bytes.extend(more);
        }
        3 => {
            let other = u.choose(&names)?.clone();
            let taken = bytes.clone();
            files.insert(other, taken);
        }
        kind if !bytes.is_empty() => {
            // The beginning, where it hurts most; a page's; or anywhere.
            let last = bytes.len() - 1;
            let at = match kind {
                4..=6 => u.int_in_range(0..=last.min(120))?,
                7..=9 => (u.int_in_range(0..=last / 4_096)? * 4_096 + u.int_in_range(0..=40)?).min(last),
                _ => u.int_in_range(0..=last)?,
            };
            if u.arbitrary()? {
                bytes[at] ^= 1 << u.int_in_range(0..=7)?;
            } else {
                let other: Vec<u8> = u.arbitrary()?;
                bytes[at..].iter_mut().zip(other).for_each(|(byte, other)| *byte = other);
            }
        }
        _ => {}
    }
    Ok(())
}

fn check(files: &Files, folder: &Path) {
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap_or_else(|error| panic!("{error}"));
    }
    let _ = store::inspect(folder).map(|found| format!("{found:?}"));
    let _ = store::verify(folder);
    let Opened { mut store, incidents } = match open(folder) {
        Ok(opened) => opened,
        Err(error) => return assert!(matches!(error, OpenError::Newer { .. }), "{error}"),
    };
    let mut is_readable = true;
    if incidents.is_empty() {
        match content(&mut store) {
            Ok(found) => assert!(found == SAMPLE.content, "other content than was written, in silence: {found:?}"),
            Err(error) => {
                assert_eq!(error.kind(), "corrupt", "{error}");
                is_readable = false;
            }
        }
    }
    incidents.iter().for_each(|incident| assert!(!incident.to_string().is_empty()));
    if !is_readable {
        store = store.quarantine_and_open("found by the fuzzer").unwrap_or_else(|error| panic!("{error}")).store;
    }
    commit_is_taken(&mut store, incidents.is_empty());
}

fn commit_is_taken(store: &mut Store, was_whole: bool) {
    let known = match store.integration("three") {
        Ok(known) => known,
        Err(error) => return assert!(was_whole || error.kind() == "corrupt", "{error}"),
    };
    let write = Write::Batch { integration: known.number, first: 0, count: 1, written_at: AT, content: b"new" };
    if let Err(error) = store.commit(&[write]) {
        return assert_eq!(error.kind(), "corrupt", "{error}");
    }
    let reader = store.reader().unwrap_or_else(|error| panic!("{error}"));
    let rows = reader.batches(known.number, 0, usize::MAX).unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(rows.as_slice(), [row] if row.content == b"new"), "{rows:?}");
}

fn run(input: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(input);
    let mut files = u.choose(&SAMPLE.files)?.clone();
    let of_lock = u.ratio(1_u8, 8_u8)?;
    for _ in 0..u.int_in_range(1..=4)? {
        damage(&mut u, of_lock, &mut files)?;
    }
    let folder = FOLDER.join("case");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{error}"));
    check(&files, &folder);
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    // An input that is used up says nothing.
    let _ = run(input);
});
