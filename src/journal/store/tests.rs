//! The store as a whole: what is written comes back, and what is damaged is noticed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::time::Timestamp;

use super::rows::StoreNumber;
use super::schema::{self, STEPS};
use super::*;

pub(super) const AT: Timestamp = Timestamp::from_millis(1_767_600_000_000);

pub(super) fn settings(directory: &Path) -> StoreSettings {
    StoreSettings { directory: directory.into(), sync: Sync::Normal }
}

fn opened(directory: &Path) -> Opened {
    open(&settings(directory)).unwrap()
}

/// A store without incidents.
pub(super) fn store(directory: &Path) -> Store {
    let Opened { store, incidents } = opened(directory);
    assert_eq!(incidents, []);
    store
}

pub(super) fn agent(number: u32) -> AgentRow {
    let login_id: Arc<str> = format!("{}", 300_000 + number).into();
    AgentRow { acd: 1, memory: format!("{login_id} ").repeat(21).into_bytes(), login_id }
}

pub(super) fn batch(integration: StoreNumber, first: u64, content: &[u8]) -> Write<'_> {
    Write::Batch { integration, first, count: 10, written_at: AT, content }
}

pub(super) fn contents(store: &Store, number: StoreNumber) -> Result<Vec<JournalRow>, StoreError> {
    let reader = store.reader()?;
    let mut contents: Vec<JournalRow> = Vec::new();
    loop {
        let rows = reader.batches(number, contents.last().map_or(0, JournalRow::end), usize::MAX)?;
        if rows.is_empty() {
            return Ok(contents);
        }
        contents.extend(rows);
    }
}

pub(super) fn memories(store: &Store, number: StoreNumber) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut found = Vec::new();
    store.agents(number, &mut |memory| found.push(memory.to_vec()))?;
    Ok(found)
}

#[test]
fn what_is_committed_is_there_after_reopening() {
    let folder = TempDir::new().unwrap();
    let id = {
        let mut store = store(folder.path());
        let fresh = store.integration("avaya-1").unwrap();
        assert_eq!((fresh.next, fresh.bytes, fresh.recovered, &*fresh.feed), (0, 0, false, &b""[..]));
        let number = fresh.number;
        let agents = [agent(1), agent(2)];
        store
            .commit(&[
                batch(number, 0, b"first"),
                batch(number, 10, b"second"),
                Write::Checkpoint {
                    integration: number,
                    covered_to: 10,
                    agents: &agents,
                    feed: b"feed",
                    recovered: true,
                },
                Write::Paused { integration: number, at: Some(12) },
            ])
            .unwrap();
        store
            .set_mapping_versions(&[MappingVersion { integration: "avaya-1".into(), version: 7, content: u64::MAX }])
            .unwrap();
        store.id()
    };
    let mut store = store(folder.path());
    assert_eq!(store.id(), id);
    assert!(store.is_durable());
    let known = store.integration("avaya-1").unwrap();
    let expected = StoredIntegration {
        number: known.number,
        next: 20,
        acknowledged_to: 0,
        covered_to: 10,
        paused_at: Some(12),
        bytes: 11,
        agents: 2,
        recovered: true,
        feed: b"feed".to_vec(),
    };
    assert_eq!(known, expected);
    assert_eq!(memories(&store, known.number).unwrap(), [agent(1).memory, agent(2).memory]);
    let rows = contents(&store, known.number).unwrap();
    let row = |first, content: &[u8]| JournalRow { first, count: 10, written_at: AT, content: content.into() };
    assert_eq!(rows, [row(0, b"first"), row(10, b"second")]);
    assert_eq!(store.mapping_version("avaya-1").unwrap(), Some((7, u64::MAX)));
    assert_eq!(store.mapping_version("avaya-2").unwrap(), None);
    assert_eq!(store.least_mapping_version().unwrap(), 1);
    assert_ne!(store.integration("avaya-2").unwrap().number, known.number);
}

#[test]
fn rows_leave_when_they_are_acknowledged_and_covered() {
    let folder = TempDir::new().unwrap();
    let mut store = store(folder.path());
    let (one, other) = (store.integration("one").unwrap().number, store.integration("other").unwrap().number);
    let all: Vec<Write<'_>> = (0..4).flat_map(|k| [batch(one, k * 10, b"12345"), batch(other, k * 10, b"1")]).collect();
    assert_eq!(store.commit(&all).unwrap(), []);

    let covered = |to| Write::Checkpoint { integration: one, covered_to: to, agents: &[], feed: b"", recovered: false };
    let acknowledged = |to| Write::Acknowledged { integration: one, to };
    assert_eq!(store.commit(&[acknowledged(25)]).unwrap(), []);
    // The second row is passed by both, the third by neither wholly.
    assert_eq!(store.commit(&[covered(29)]).unwrap(), [Released { integration: one, bytes: 10 }]);
    assert_eq!(store.commit(&[acknowledged(3), covered(2)]).unwrap(), [], "neither goes back");
    assert_eq!(store.commit(&[acknowledged(40)]).unwrap(), []);
    assert_eq!(store.commit(&[covered(40)]).unwrap(), [Released { integration: one, bytes: 10 }]);

    assert_eq!(contents(&store, one).unwrap(), []);
    assert_eq!(contents(&store, other).unwrap().len(), 4);
    let known = store.integration("one").unwrap();
    assert_eq!((known.next, known.acknowledged_to, known.covered_to, known.bytes), (40, 40, 40, 0));
    store.commit(&[acknowledged(90)]).unwrap();
    assert_eq!(store.integration("one").unwrap().next, 90);
}

#[test]
fn a_commit_happens_wholly_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let mut store = store(folder.path());
    let number = store.integration("one").unwrap().number;
    store.commit(&[batch(number, 0, b"a")]).unwrap();
    for wrong in [batch(number, 5, b"overlaps"), batch(number.next(), 0, b"nobody's")] {
        let error = store.commit(&[batch(number, 10, b"b"), wrong]).unwrap_err();
        assert_eq!(error.kind(), "other", "{error}");
    }
    assert_eq!(store.integration("one").unwrap().next, 10);
    assert_eq!(contents(&store, number).unwrap().len(), 1);
    // `recovered` stays.
    let checkpoint =
        |recovered| Write::Checkpoint { integration: number, covered_to: 0, agents: &[], feed: b"", recovered };
    store.commit(&[checkpoint(true)]).unwrap();
    store.commit(&[checkpoint(false)]).unwrap();
    assert!(store.integration("one").unwrap().recovered);
}

#[test]
fn a_full_disk_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let mut store = store(folder.path());
    let number = store.integration("one").unwrap().number;
    store.commit(&[batch(number, 0, b"a")]).unwrap();
    let bound = |store: &Store, pages: i64| {
        store.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    };
    let pages: i64 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    bound(&store, pages);
    let large = vec![0; 64 * 1024];
    let error = store.commit(&[batch(number, 10, &large)]).unwrap_err();
    assert_eq!(error.kind(), "full", "{error}");
    assert_eq!(store.integration("one").unwrap().next, 10);
    bound(&store, 1_000_000);
    store.commit(&[batch(number, 10, &large)]).unwrap();
    assert_eq!(contents(&store, number).unwrap().len(), 2);
}

#[test]
fn both_sides_can_go_to_a_thread() {
    fn is_send<T: Send>() {}
    is_send::<Store>();
    is_send::<StoreReader>();
}

/// Rows that end after a position, bounded by bytes.
fn reads_ranges(mut store: Store) {
    let number = store.integration("one").unwrap().number;
    let reader = store.reader().unwrap();
    assert_eq!(reader.batches(number, 0, 1_000).unwrap(), []);
    for k in 0..5 {
        store.commit(&[batch(number, k * 10, &[0; 100])]).unwrap();
    }
    let firsts =
        |from, most| -> Vec<u64> { reader.batches(number, from, most).unwrap().iter().map(|row| row.first).collect() };
    assert_eq!(firsts(0, 1), [0]);
    assert_eq!(firsts(0, 200), [0, 10]);
    assert_eq!(firsts(9, 250), [0, 10]);
    assert_eq!(firsts(10, 250), [10, 20]);
    assert_eq!(firsts(35, usize::MAX), [30, 40]);
    assert_eq!(firsts(50, usize::MAX), [0_u64; 0]);
    assert_eq!(reader.batches(number.next(), 0, 1_000).unwrap(), []);
    // Alongside a thread that reads.
    let reading = std::thread::spawn(move || {
        let mut from = 0;
        while from < 2_000 {
            if let Some(row) = reader.batches(number, from, 1_000).unwrap().last() {
                from = row.end();
            }
        }
    });
    for k in 5..200 {
        store.commit(&[batch(number, k * 10, &[0; 100])]).unwrap();
    }
    reading.join().unwrap();
}

#[test]
fn a_reader_gets_ranges_while_the_store_writes() {
    let folder = TempDir::new().unwrap();
    reads_ranges(store(folder.path()));
}

#[test]
fn a_directory_that_is_ours_and_takes_no_store_is_replaced_by_memory() {
    // SQLite cannot create what it shares between connections, at the first start and with a store that was intact.
    let (fresh, used) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    drop(store(used.path()));
    for folder in [fresh, used] {
        fs::create_dir(folder.path().join("journal.db-shm")).unwrap();
        let Opened { mut store, incidents } = opened(folder.path());
        assert!(matches!(&*incidents, [Incident::NotWritable { .. }]), "{incidents:?}");
        assert_eq!(incidents[0].kind(), "not_writable");
        assert!(!store.is_durable());
        assert!(store.least_mapping_version().unwrap() > 1_700_000_000, "who knows what was counted");
        let number = store.integration("two").unwrap().number;
        let writes = [batch(number, 0, b"a"), Write::Acknowledged { integration: number, to: 10 }];
        assert_eq!(store.commit(&writes).unwrap(), []);
        let covered =
            Write::Checkpoint { integration: number, covered_to: 10, agents: &[], feed: b"", recovered: true };
        assert_eq!(store.commit(&[covered]).unwrap(), [Released { integration: number, bytes: 1 }]);
        reads_ranges(store);
    }
}

#[test]
fn a_directory_is_for_one_store_at_a_time() {
    let folder = TempDir::new().unwrap();
    let first = store(folder.path());
    let error = open(&settings(folder.path())).unwrap_err();
    assert!(matches!(&error, OpenError::Locked { pid: Some(pid), .. } if *pid == std::process::id()), "{error:?}");
    assert!(error.to_string().contains("store.directory"), "{error}");
    drop(first);
    store(folder.path());
}

/// Whether the file that was there was set aside; the new store works.
fn is_set_aside(directory: &Path) -> bool {
    let Opened { mut store, incidents } = opened(directory);
    let StoredIntegration { number, next, .. } = store.integration("avaya-1").unwrap();
    store.commit(&[batch(number, next, b"works")]).unwrap();
    drop(store);
    match &*incidents {
        [Incident::Quarantined { file, kept_as, .. }] => {
            assert!(file.ends_with(DATABASE) && kept_as.exists(), "{incidents:?}");
            true
        }
        _ => false,
    }
}

#[test]
fn files_of_others_are_set_aside_and_kept() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(DATABASE);
    for _ in 0..2 {
        fs::write(&file, "dear diary\n".repeat(100)).unwrap();
        assert!(is_set_aside(folder.path()));
        fs::remove_file(&file).unwrap();
        Connection::open(&file).unwrap().execute_batch("CREATE TABLE diary (day)").unwrap();
        assert!(is_set_aside(folder.path()));
        fs::remove_file(&file).unwrap();
        fs::write(&file, "").unwrap();
        assert!(is_set_aside(folder.path()), "emptied");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(is_set_aside(folder.path()), "a folder");
        fs::remove_file(&file).unwrap();
    }
    assert_eq!(quarantine::list(folder.path()).len(), 8, "no name was used twice");
}

#[test]
fn a_newer_file_refuses_the_start() {
    let folder = TempDir::new().unwrap();
    drop(store(folder.path()));
    let connection = Connection::open(folder.path().join(DATABASE)).unwrap();
    connection.execute_batch("CREATE TABLE later (number INTEGER PRIMARY KEY)").unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = open(&settings(folder.path())).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, known: 1, .. }), "{error:?}");
    assert!(matches!(inspect(folder.path()), Err(InspectError::Newer { found: 99, .. })));
}

/// The bytes of all files in a folder.
fn bytes(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

#[test]
fn newer_contents_in_the_same_tables_refuse_the_start_and_nothing_is_touched() {
    let folder = TempDir::new().unwrap();
    drop(store(folder.path()));
    let connection = Connection::open(folder.path().join(DATABASE)).unwrap();
    meta::set(&connection, meta::FORMAT, "2").unwrap();
    meta::set(&connection, meta::PROGRAM, "9.8.7").unwrap();
    drop(connection);
    let before = bytes(folder.path());
    let error = open(&settings(folder.path())).unwrap_err();
    assert!(matches!(error, OpenError::NewerContents { found: 2, known: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("rtalink 9.8.7"), "{error}");
    assert_eq!(bytes(folder.path()), before);
}

#[test]
fn a_file_that_cannot_be_read_is_not_set_aside() {
    let folder = TempDir::new().unwrap();
    drop(store(folder.path()));
    // A link to itself: the system refuses to open it, whatever the user's permissions.
    let file = folder.path().join(DATABASE);
    fs::rename(&file, folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(&file, &file).unwrap();
    let Opened { store, incidents } = open(&settings(folder.path())).unwrap();
    assert_eq!(incidents.iter().map(Incident::kind).collect::<Vec<_>>(), ["not_writable"]);
    assert!(!store.is_durable() && quarantine::list(folder.path()).is_empty());
}

#[test]
fn a_version_that_its_tables_contradict_is_damage() {
    let folder = TempDir::new().unwrap();
    drop(store(folder.path()));
    let connection = Connection::open(folder.path().join(DATABASE)).unwrap();
    connection.pragma_update(None, "user_version", 17).unwrap();
    drop(connection);
    let Opened { incidents, .. } = open(&settings(folder.path())).unwrap();
    assert_eq!(incidents.iter().map(Incident::kind).collect::<Vec<_>>(), ["set_aside"]);
}

#[test]
fn lost_commits_are_noticed() {
    let (folder, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut first = store(folder.path());
    let number = first.integration("one").unwrap().number;
    let whole = Write::Checkpoint { integration: number, covered_to: 0, agents: &[], feed: b"", recovered: true };
    first.commit(&[whole, batch(number, 0, b"a")]).unwrap();
    let id = first.id();
    drop(first);
    fs::copy(folder.path().join(DATABASE), copy.path().join(DATABASE)).unwrap();
    let mut again = store(folder.path());
    again.commit(&[batch(number, 10, b"b")]).unwrap();
    drop(again);
    fs::copy(copy.path().join(DATABASE), folder.path().join(DATABASE)).unwrap();

    let Opened { mut store, incidents } = opened(folder.path());
    assert!(matches!(&*incidents, [Incident::RolledBack { found: 3, expected: 5 }]), "{incidents:?}");
    let known = store.integration("one").unwrap();
    assert_eq!((store.id(), known.number, known.next, known.recovered), (id, number, 10, false));
    assert!(store.least_mapping_version().unwrap() > 1_700_000_000);
    drop(store);
    self::store(folder.path());

    // A lock file that is missing or damaged proves nothing.
    for text in [None, Some("pid 1"), Some("commits 99999999999999999999 of nobody check 1\n")] {
        let lock = folder.path().join("store.lock");
        text.map_or_else(|| fs::remove_file(&lock), |text| fs::write(&lock, text.repeat(9))).unwrap();
        self::store(folder.path());
    }
}

#[test]
fn damage_found_later_is_set_aside_under_the_same_lock() {
    let folder = TempDir::new().unwrap();
    let mut first = store(folder.path());
    first.integration("one").unwrap();
    let id = first.id();
    let Opened { mut store, incidents } = first.quarantine_and_open("a checksum is wrong").unwrap();
    assert!(matches!(&*incidents, [Incident::Quarantined { why, .. }] if why == "a checksum is wrong"));
    assert_ne!(store.id(), id);
    assert!(matches!(open(&settings(folder.path())), Err(OpenError::Locked { .. })));
    assert!(!store.integration("one").unwrap().recovered);
    assert!(store.least_mapping_version().unwrap() > 1_700_000_000);
}

#[test]
fn versions_of_mappings_are_taken_over() {
    let folder = TempDir::new().unwrap();
    let json = folder.path().join("mapping-versions.json");
    let content = u64::MAX - 3;
    let written =
        format!(r#"{{"avaya-1": {{"version": 3, "content": {content}}}, "b": {{"version": 1, "content": 5}}}}"#);
    fs::write(&json, &written).unwrap();
    drop(store(folder.path()));
    assert!(!json.exists() && folder.path().join("mapping-versions.json.migrated").exists());
    let mut second = store(folder.path());
    assert_eq!(second.mapping_version("avaya-1").unwrap(), Some((3, content)));
    assert_eq!(second.mapping_version("b").unwrap(), Some((1, 5)));
    assert_eq!(second.least_mapping_version().unwrap(), 1);
    second.set_mapping_versions(&[MappingVersion { integration: "avaya-1".into(), version: 4, content: 9 }]).unwrap();
    drop(second);
    // Again, as after a crash before the file was renamed.
    fs::write(&json, &written).unwrap();
    assert_eq!(store(folder.path()).mapping_version("avaya-1").unwrap(), Some((4, 9)));

    fs::write(&json, "{").unwrap();
    let Opened { store, incidents } = opened(folder.path());
    assert!(matches!(&*incidents, [Incident::Quarantined { file, kept_as, .. }] if *file == json && kept_as.exists()));
    assert_eq!(store.mapping_version("avaya-1").unwrap(), Some((4, 9)));
    assert!(store.least_mapping_version().unwrap() > 1_700_000_000);
}

#[test]
fn an_older_schema_is_led_to_the_newer_one() {
    let folder = TempDir::new().unwrap();
    let mut first = store(folder.path());
    first.set_mapping_versions(&[MappingVersion { integration: "avaya-1".into(), version: 3, content: 4 }]).unwrap();
    drop(first);
    let mut connection = Connection::open(folder.path().join(DATABASE)).unwrap();
    let steps = [STEPS, &["ALTER TABLE journal ADD COLUMN note TEXT"]].concat();
    schema::migrate(&mut connection, &steps).unwrap();
    schema::migrate(&mut connection, &steps).unwrap();
    assert_eq!(schema::version_of(&connection).unwrap(), 2);
    schema::check_tables(&connection, &steps).unwrap();
    assert!(schema::check_tables(&connection, STEPS).is_err(), "another table than version 1 has");
    assert_eq!(mapping::get(&connection, "avaya-1").unwrap(), Some((3, 4)));
}

#[test]
fn the_file_shrinks_after_an_outage() {
    let folder = TempDir::new().unwrap();
    let mut store = store(folder.path());
    let number = store.integration("one").unwrap().number;
    // As the journal's thread does it.
    let mut largest_log = 0;
    let mut commit = |write: Write<'_>| {
        store.commit(&[write]).unwrap();
        store.copy_log(false);
        largest_log = largest_log.max(log_bytes(folder.path()));
    };
    let content = vec![7; 64 * 1024];
    for k in 0..600 {
        commit(batch(number, k * 10, &content));
    }
    let size = || fs::metadata(folder.path().join(DATABASE)).unwrap().len();
    let grown = size();
    let covered = Write::Checkpoint { integration: number, covered_to: 6_000, agents: &[], feed: b"", recovered: true };
    commit(covered);
    for k in 1..=600 {
        commit(Write::Acknowledged { integration: number, to: k * 10 });
    }
    for _ in 0..100 {
        commit(Write::Paused { integration: number, at: None });
    }
    drop(store);
    assert!(grown > 30_000_000 && size() < 12_000_000, "{grown} bytes, then {}", size());
    // It begins anew whenever it was copied: 4 MiB, and what the largest commit adds.
    assert!(largest_log < 12_000_000, "{largest_log} bytes");
}

/// Files in the directory with these bytes.
pub(super) fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let has = |path: &Path| fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes());
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| has(path));
    files.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn what_is_erased_is_in_no_byte_and_what_is_due_survives_a_restart() {
    let folder = TempDir::new().unwrap();
    let mut opened = store(folder.path());
    let number = opened.integration("avaya-1").unwrap().number;
    let agents: Vec<AgentRow> = (0..500).map(agent).collect();
    let content = "300007 and others ".repeat(2_000).into_bytes();
    let checkpoint =
        Write::Checkpoint { integration: number, covered_to: 0, agents: &agents, feed: b"", recovered: true };
    opened.commit(&[batch(number, 0, &content), checkpoint]).unwrap();
    let who = [(1, Arc::from("300007")), (1, Arc::from("300008")), (1, Arc::from("nobody"))];
    let gone = [
        Write::EraseDue,
        Write::Forgotten { integration: number, agents: &who },
        Write::Acknowledged { integration: number, to: 10 },
        Write::Checkpoint { integration: number, covered_to: 10, agents: &[], feed: b"", recovered: true },
    ];
    opened.commit(&gone).unwrap();
    assert!(!files_with(folder.path(), "300007").is_empty(), "deleted is not erased");
    drop(opened);

    let mut opened = store(folder.path());
    assert!(opened.is_erase_due().unwrap());
    assert!(!files_with(folder.path(), "300007").is_empty(), "nor after a restart");
    let reader = opened.reader().unwrap();
    reader.connection.execute_batch("BEGIN; SELECT count(*) FROM agent").unwrap();
    let mut sweep = Sweep::default();
    assert_eq!(opened.erase(&mut sweep, true).unwrap(), Erased::Busy, "somebody reads");
    assert!(opened.is_erase_due().unwrap());
    reader.connection.execute_batch("END").unwrap();
    assert_eq!(opened.erase(&mut sweep, false).unwrap(), Erased::Done);
    assert!(opened.is_erase_due().unwrap(), "something else is");
    assert_eq!(opened.erase(&mut sweep, true).unwrap(), Erased::Done);
    assert!(!opened.is_erase_due().unwrap());
    assert_eq!(files_with(folder.path(), "300007"), [""; 0]);
    assert_eq!(files_with(folder.path(), "300008"), [""; 0]);
    assert!(!files_with(folder.path(), "300009").is_empty());
    let mut count = 0;
    opened.agents(number, &mut |_| count += 1).unwrap();
    assert_eq!(count, 498);
    drop(opened);
    store(folder.path());
}
