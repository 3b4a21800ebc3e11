//! Stores that are older than they were, and two instances for one integration, with copies of one store and with stores
//! of their own: who publishes, what is said, and that what was counted is what was published.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::SOON;
use super::centre::{Centre, Pace};
use super::child::{self, Rtalink};
use super::cms::Cms;
use super::judge::Losses;
use super::scenario::Delivery;
use super::scene::{Scene, say};
use super::store_faults::STORE;
use crate::support::http;
use crate::support::kafka::free_port;
use crate::support::process::rtalink;
use crate::support::topic::Received;
use crate::support::wait::within;

const EVENTS: &str = "rtalink_events_total";
const ERRORS: &str = "rtalink_store_errors_total";
const BEHIND: &str = "kind=\"behind_kafka\"";
const OLDER: &str = "the store is older than what Kafka has";
const SUPERSEDED: &str = "condition=\"superseded\"";
const CONDITION: &str = "rtalink_kafka_condition";
/// Until one of two instances has noticed the other, and until nothing waits any more.
const SETTLED: Duration = Duration::from_secs(60);
/// The feed of the second instance: other people, by their numbers.
const OTHERS: usize = 500_000;

/// The store comes back from a copy that was made earlier, and Kafka is not there at first.
pub(crate) fn restored_store(mut scene: Scene) {
    let times = scene.size.times;
    scene.live();
    let mut behind = 0;
    for _ in 0..times {
        scene.reads(5);
        scene.settle();
        scene.terminate(SOON);
        let copy = TempDir::new().expect("a temporary folder");
        copy_of(&scene.path().join(STORE), copy.path());
        scene.go_on();
        scene.live();
        scene.reads(10);
        // What only the store that is given up has, is given up with it.
        scene.settle();
        scene.terminate(SOON);
        fs::remove_dir_all(scene.path().join(STORE)).expect("the store");
        copy_of(copy.path(), &scene.path().join(STORE));
        scene.go_on();
        // Neither CMS nor readiness waits for Kafka.
        scene.live_without_kafka();
        scene.reads(10);
        assert_eq!(scene.life().metric(ERRORS, BEHIND), 0, "nothing to compare with");
        scene.kill();
        scene.live_without_kafka();
        scene.reads(5);
        scene.find_kafka();
        scene.settle();
        behind += scene.life().metric(ERRORS, BEHIND);
        assert!(says(scene.path(), OLDER), "no ERROR about the store");
        let before = scene.published();
        scene.go_on();
        scene.reads(scene.life().snapshots() + 15);
        scene.settle();
        goes_on_behind(&before, &scene.published());
        scene.go_on();
    }
    assert!(behind >= u64::from(times), "counted: {behind}");
    scene.judge_with(Losses::OfTheCopy, &format!("{times} times an older store, "));
}

/// Nobody's numbers begin at or below the highest of before.
fn goes_on_behind(before: &[Received], after: &[Received]) {
    let mut highest: HashMap<&str, u64> = HashMap::new();
    for record in before {
        let known = highest.entry(&record.key).or_default();
        *known = record.event().sequence.max(*known);
    }
    let known: HashSet<&str> = before.iter().map(|record| record.headers["event_id"].as_str()).collect();
    let news: Vec<&Received> =
        after.iter().filter(|record| !known.contains(record.headers["event_id"].as_str())).collect();
    assert!(news.len() > 100, "{} events since", news.len());
    for record in news {
        let (sequence, before) = (record.event().sequence, highest.get(record.key.as_str()).copied().unwrap_or(0));
        assert!(sequence > before, "{}: {sequence} after {before}", record.key);
    }
}

/// Beside the first instance a second one, first with a copy of its store, then with one of its own.
pub(crate) fn cloned_store(mut scene: Scene) {
    let is_exactly_once = scene.delivery() == Delivery::ExactlyOnce;
    scene.live();
    scene.reads(5);
    scene.settle();
    scene.terminate(SOON);
    let mut counted = scene.events() as u64;
    let clone = Second::folder(&scene);
    copy_of(&scene.path().join(STORE), &clone.path().join(STORE));
    let own = Second::folder(&scene);
    scene.go_on();
    scene.live();
    // The producer of whoever comes to Kafka last shuts the other out: not before this one has come.
    scene.until("Kafka is reached again", |_| child::log(scene.path()).matches("kafka connected").count() == 2);
    for (round, (folder, kind)) in [(clone, "a copy"), (own, "a store of its own")].into_iter().enumerate() {
        scene.reads(scene.life().snapshots() + 5);
        let second = Second::start(folder);
        second.reads(15);
        if is_exactly_once {
            within(SETTLED, "the first is shut out", || superseded_by(scene.http()).map(drop));
            assert_eq!(scene.life().metric(CONDITION, SUPERSEDED), 1, "the first one, beside {kind}");
        }
        assert_eq!(superseded_by(second.http), None, "the one that was started last, with {kind}");
        assert_eq!(second.rtalink.metric(CONDITION, SUPERSEDED), 0, "the one that was started last, with {kind}");
        counted += second.end();
        if is_exactly_once {
            resume(scene.http());
            scene.until("compared with what the other has published", |_| {
                child::log(scene.path()).matches(OLDER).count() > round
            });
        }
        scene.reads(scene.life().snapshots() + 10);
        scene.settle();
        scene.go_on();
    }
    scene.settle();
    assert_eq!(superseded_by(scene.http()), None, "it has the integration back");
    if is_exactly_once {
        assert!(says(scene.path(), "another store publishes for this integration"), "no ERROR of the one that waits");
    }
    counted += scene.life().metric(EVENTS, "");
    scene.terminate(SOON);
    // Two instances may give one id to two events of an agent in the same millisecond: without copies each record counts.
    let published = if is_exactly_once { scene.published().len() } else { scene.events() } as u64;
    say(&format!("{}: {counted} events counted by both, {published} published", scene.name()));
    assert_eq!(published, counted, "{}: what was counted is what was published", scene.name());
}

/// Another instance for the integration of a scene.
struct Second {
    rtalink: Rtalink,
    cms: Cms,
    http: SocketAddr,
    folder: TempDir,
}

impl Second {
    /// With the configuration of the scene.
    fn folder(scene: &Scene) -> TempDir {
        let folder = TempDir::new().expect("a temporary folder");
        child::copy_configuration(scene.path(), folder.path());
        folder
    }

    fn start(folder: TempDir) -> Self {
        let port = free_port();
        let [feed, http] = [port, port + 1].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let environment = [
            ("RTALINK__HTTP__LISTEN", http.to_string()),
            ("RTALINK__INTEGRATION__0__REALTIME__PORT", port.to_string()),
        ];
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        let rtalink = Rtalink::start(folder.path(), http, &environment).ready(folder.path());
        let pace = Pace { change_share: 0.05, rows: 2 };
        let cms = Cms::start(feed, Centre::from(OTHERS, 100, u64::from(port)), Duration::from_millis(50), pace);
        Self { rtalink, cms, http, folder }
    }

    fn reads(&self, snapshots: u64) {
        within(SETTLED, "snapshots of the second instance", || (self.rtalink.snapshots() >= snapshots).then_some(()));
    }

    /// Lets it publish everything, and ends it: how many events it has counted.
    fn end(self) -> u64 {
        let still = self.cms.be_still() + 4;
        within(SETTLED, "everything of the second instance", || {
            let is_read = self.cms.progress().first + self.rtalink.snapshots() > still;
            (is_read && self.rtalink.pending() == 0).then_some(())
        });
        let counted = self.rtalink.metric(EVENTS, "");
        drop(self.cms);
        let (code, _) = self.rtalink.terminate();
        assert_eq!((code, child::panics(self.folder.path())), (Some(0), 0), "the end of the second instance");
        counted
    }
}

fn superseded_by(http: SocketAddr) -> Option<String> {
    let ready = http::get(http, "/health/ready").json();
    ready.pointer("/kafka/supersededBy").and_then(Value::as_str).map(str::to_owned)
}

fn resume(http: SocketAddr) {
    let output =
        rtalink().args(["resume", "torture", "--http", &http.to_string()]).output().expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn says(folder: &Path, text: &str) -> bool {
    child::log(folder).lines().any(|line| line.contains("ERROR") && line.contains(text))
}

fn copy_of(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a store") {
        let entry = entry.expect("a file of the store");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}
