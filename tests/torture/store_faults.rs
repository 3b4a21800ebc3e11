//! Disks that are full, read-only, torn or gone, and somebody else who wants them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rtalink::journal::store::DATABASE;
use rusqlite::Connection;

use super::child;
use super::damage;
use super::judge::Losses;
use super::scene::{Scene, pass, say};
use super::support::small_disk::SmallDisk;
use super::{SOON, repeat};

/// The store in the folder of a scene.
pub(crate) const STORE: &str = "data";

const DROPPED: &str = "rtalink_journal_dropped_total";
const ERRORS: &str = "rtalink_store_errors_total";
const OLDEST: &str = "rtalink_journal_oldest_seconds";
/// After SIGTERM with a grace of two seconds at most, on a busy machine.
const SOON_HUNG: Duration = Duration::from_secs(5);
/// Room for `journal_max_size`, the WAL, and what is moved between the two.
const SMALL_DISK: &str = "48m";
/// Less than the journal may take.
const FILLED_DISK: &str = "24m";
/// Of transitions that are merged.
const ENOUGH_DROPPED: u64 = 5_000;

/// The disk is full while Kafka is away: what is submitted waits in memory, and then each agent's latest state.
pub(crate) fn disk_full(mut scene: Scene) {
    let Some(disk) = SmallDisk::mount(&scene.path().join(STORE), SMALL_DISK) else {
        say(&format!("{}: skipped, NOT played: nothing may be mounted here", scene.name()));
        return;
    };
    scene.live();
    scene.reads(3);
    scene.take_broker_away();
    let taken = disk.fill();
    scene.until("the store is full", |life| life.metric(ERRORS, "kind=\"full\"") > 0);
    scene.until("unready", |life| life.store().0 == 503);
    scene.until("states are merged", |life| life.metric(DROPPED, "kind=\"event\"") >= ENOUGH_DROPPED);
    let before = scene.life().snapshots();
    scene.reads(before + 3);
    scene.bring_broker_back();
    disk.free();
    scene.until("ready again", |life| life.store().0 == 200);
    assert!(has_error(&scene, "the store cannot be written"), "no ERROR about the full disk");
    end_of_overflow(scene, &format!("disk full with {} KiB taken", taken / 1024));
    drop(disk);
}

/// The store itself takes all room there is: what Kafka has must still be able to leave.
pub(crate) fn disk_filled(mut scene: Scene) {
    let Some(disk) = SmallDisk::mount(&scene.path().join(STORE), FILLED_DISK) else {
        say(&format!("{}: skipped, NOT played: nothing may be mounted here", scene.name()));
        return;
    };
    scene.live();
    scene.reads(3);
    scene.take_broker_away();
    scene.until("the store is full", |life| life.metric(ERRORS, "kind=\"full\"") > 0);
    scene.until("states are merged", |life| life.metric(DROPPED, "kind=\"event\"") >= ENOUGH_DROPPED);
    scene.bring_broker_back();
    scene.until("ready again", |life| life.store().0 == 200);
    end_of_overflow(scene, "the store has filled its disk");
    drop(disk);
}

/// The journal reaches `journal_max_size` while Kafka is away.
pub(crate) fn journal_full(mut scene: Scene) {
    scene.live();
    scene.reads(3);
    scene.take_broker_away();
    scene.until("states are merged", |life| life.metric(DROPPED, "kind=\"event\"") >= ENOUGH_DROPPED);
    let before = scene.life().snapshots();
    scene.reads(before + 3);
    assert_eq!(scene.life().store().0, 200, "the store can be written: ready");
    scene.bring_broker_back();
    end_of_overflow(scene, "journal full");
}

/// Kafka comes back; everybody changes once more, so that each hole has an end.
fn end_of_overflow(mut scene: Scene, what: &str) {
    assert!(has_error(&scene, "the journal is full"), "{}: no ERROR about the full journal", scene.name());
    scene.until("room again", |life| life.pending() < 2_000);
    for _ in 0..2 {
        scene.settle();
        scene.until("the end of every overflow", |life| has_room(&scene) && life.pending() == 0);
        scene.go_on();
        scene.sends(scene.cms.progress().last + 1);
    }
    scene.settle();
    scene.until("the end of every overflow", |life| has_room(&scene) && life.pending() == 0);
    let dropped = |kind: &str| scene.life().metric(DROPPED, &format!("kind=\"{kind}\""));
    let (merged, statuses) = (dropped("event"), dropped("feed_status"));
    scene.overflows = child::log(scene.path()).matches("the journal has room again").count();
    let more =
        format!("{what}, {merged} transitions merged, {statuses} statuses dropped, {} overflows, ", scene.overflows);
    scene.judge_with(Losses::Counted(merged), &more);
}

/// SQLite cannot make a file beside its own: the store is in memory.
pub(crate) fn unwritable(mut scene: Scene) {
    fs::create_dir_all(scene.path().join(STORE).join("journal.db-shm")).expect("a temporary folder");
    let times = scene.size.times;
    scene.live_unready();
    repeat(times, || {
        let (status, store) = scene.life().store();
        assert!(status == 503 && store.contains("in memory"), "{status}: {store}");
        assert_eq!(scene.life().metric(ERRORS, "kind=\"not_writable\""), 1, "counted");
        scene.reads(10);
        // What is not in Kafka is lost with the process.
        scene.settle();
        scene.kill();
        scene.go_on();
        scene.live_unready();
    });
    assert!(has_error(&scene, "cannot be written"), "no ERROR about the directory");
    scene.reads(10);
    scene.judge();
}

/// Files are cut and bits flipped.
pub(crate) fn torn_store(mut scene: Scene) {
    let times = scene.size.times;
    let mut incidents = [0; 3];
    scene.live();
    repeat(times, || {
        scene.reads(3);
        scene.moment(Duration::from_secs(1));
        let is_settled = scene.chance(40);
        if is_settled {
            scene.settle();
        }
        scene.kill();
        if is_settled {
            scene.mark_published();
        }
        let seed = scene.below(u64::MAX);
        let damage = damage::strike(&scene.path().join(STORE), seed).unwrap_or_default();
        child::note(scene.path(), &format!("damage with seed {seed}: {damage}"));
        scene.go_on();
        scene.live();
        let found = ["set_aside", "rolled_back"].map(|kind| {
            usize::try_from(scene.life().metric(ERRORS, &format!("kind=\"{kind}\""))).expect("a small number")
        });
        incidents[0] += found[0];
        incidents[1] += found[1];
        incidents[2] += usize::from(found == [0, 0]);
        if found != [0, 0] {
            assert!(has_error(&scene, "is lost"), "no ERROR about the damage");
            scene.forget_unpublished();
        }
    });
    scene.reads(3);
    let [aside, rolled_back, sound] = incidents;
    scene.judge_with(Losses::OfTheStore, &format!("{aside} set aside, {rolled_back} rolled back, {sound} sound, "));
}

/// Refused, and the first one goes on.
pub(crate) fn second_process(mut scene: Scene) {
    scene.live();
    let times = scene.size.times;
    repeat(times, || {
        scene.reads(3);
        let (code, told) = child::run_to_end(scene.path());
        let pid = format!("process {}", scene.life().id());
        assert!(code == Some(1) && told.contains(&pid), "expected exit 1 and {pid:?}: {code:?}\n{told}");
        let before = scene.life().snapshots();
        scene.reads(before + 3);
    });
    scene.judge();
}

/// Unready, while events flow; the next start finds no store and reads Kafka.
pub(crate) fn directory_gone(mut scene: Scene) {
    scene.live();
    let times = scene.size.times;
    repeat(times, || {
        scene.reads(3);
        fs::remove_dir_all(scene.path().join(STORE)).expect("the store");
        scene.until("unready", |life| life.store().0 == 503);
        let before = scene.life().snapshots();
        scene.reads(before + 20);
        pass(Duration::from_secs(2));
        // What is not in Kafka is lost with the process.
        scene.settle();
        scene.terminate(SOON);
        scene.go_on();
        scene.live();
    });
    scene.reads(10);
    scene.judge();
}

/// A newer program has had the store, and an older one comes after it: refused, and nothing is touched.
pub(crate) fn newer_store(mut scene: Scene) {
    scene.live();
    let times = scene.size.times;
    repeat(times, || {
        scene.reads(3);
        scene.moment(Duration::from_millis(300));
        scene.kill();
        let store = scene.path().join(STORE);
        // What the killed one has left in the log goes into the file.
        alter(&store, "CREATE TABLE later (number INTEGER PRIMARY KEY); PRAGMA user_version = 99");
        let before = contents(&store);
        let (code, told) = child::run_to_end(scene.path());
        assert!(code == Some(1) && told.contains("start the newer program again"), "{code:?}\n{told}");
        assert!(contents(&store) == before, "the store of a newer program was touched");
        alter(&store, "DROP TABLE later; PRAGMA user_version = 1");
        scene.live();
    });
    scene.reads(3);
    scene.judge();
}

fn alter(store: &Path, sql: &str) {
    Connection::open(store.join(DATABASE)).and_then(|connection| connection.execute_batch(sql)).expect("a store");
}

/// The files of a database and their bytes.
fn contents(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(store).expect("a store").map(|entry| entry.expect("a file").path());
    let of_database = files.filter(|file| !file.ends_with("store.lock"));
    of_database.map(|file| (file.clone(), fs::read(file).expect("a file"))).collect()
}

/// The disk hangs: that is said within seconds, the feed is read on, and all of it is published when the disk is back. It
/// hangs again, and an end keeps its time all the same.
pub(crate) fn hung_disk(mut scene: Scene) {
    scene.live();
    let times = scene.size.times;
    let mut longest = Duration::ZERO;
    repeat(times, || {
        scene.reads(3);
        scene.disk().hangs();
        let before = scene.life().snapshots();
        scene.until("unready", |life| {
            let (status, store) = life.store();
            status == 503 && store == "cannot be written"
        });
        scene.until("counted", |life| life.metric(ERRORS, "kind=\"slow\"") > 0);
        scene.until("the age of what waits", |life| life.metric(OLDEST, "torture") >= 5);
        scene.reads(before + 3);
        scene.disk().is_sound();
        scene.until("ready again", |life| life.store().0 == 200);
        scene.catches_up();
        scene.reads(before + 6);
        scene.moment(Duration::from_millis(500));
        scene.disk().hangs();
        let safe = scene.safe();
        scene.reads(before + 20);
        longest = longest.max(scene.terminate_losing(safe, SOON_HUNG));
        scene.disk().is_sound();
        scene.live();
    });
    assert!(has_error(&scene, "the disk of the store hangs"), "no ERROR about the disk that hangs");
    let is_said = child::log(scene.path()).contains("could not be written to the store and are lost");
    assert!(is_said, "nobody says what is lost");
    scene.reads(3);
    scene.judge_with(Losses::None, &format!("{:.1} s to the longest end, ", longest.as_secs_f64()));
}

/// SIGTERM while much comes, and no time to end: the journal refuses what workers still find. That is lost and said, and
/// found as a difference by the next start.
pub(crate) fn no_grace(mut scene: Scene) {
    scene.live();
    let times = scene.size.times;
    repeat(times, || {
        scene.reads(6);
        scene.moment(Duration::from_millis(300));
        scene.terminate_at_once(SOON_HUNG);
        scene.live();
    });
    let refused = child::log(scene.path()).matches("the publisher is closed").count();
    scene.reads(3);
    scene.judge_with(Losses::None, &format!("{refused} refusals, "));
}

/// Every overflow has ended.
fn has_room(scene: &Scene) -> bool {
    let said = |text: &str| child::log(scene.path()).matches(text).count();
    said("the journal is full: of each") == said("the journal has room again")
}

fn has_error(scene: &Scene, text: &str) -> bool {
    child::log(scene.path()).lines().any(|line| line.contains("ERROR") && line.contains(text))
}
