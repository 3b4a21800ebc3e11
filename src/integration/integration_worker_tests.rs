//! What a store says after a journal has refused something: nothing that the journal was not given. Each start opens the
//! store that the previous one left, as after `kill -9`. Kafka is never there.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::config;
use crate::config::mapping as mapping_files;
use crate::config::model::Config;
use crate::engine::Finding;
use crate::integration::metrics_bridge;
use crate::integration::restore::{self, Restored};
use crate::journal::send_window::WindowLimits;
use crate::journal::{Bounds, Journal, LaneStart, UnobservedStore};
use crate::kafka::Publisher;
use crate::kafka::observer;
use crate::telemetry::metrics::Metrics;
use crate::tracker::settings::{Fixed, SnapshotEnd, TrackerSettings};
use crate::views::model::{self, IntegrationIndex};
use crate::wire::framing::{Piece, Run};
use crate::wire::plan::Plan;

use super::*;

const ROOM: u64 = 1 << 30;
/// What is already in the journal is too much.
const NO_ROOM: u64 = 1;

fn configuration(folder: &Path, activity: &str) -> Config {
    let activities = format!("external_activity,activity_id,activity_name\nAVAIL,1,{activity}\nACD,2,Call\n");
    fs::write(folder.join("activities.csv"), activities).unwrap();
    fs::write(folder.join("users.csv"), "external_user,employee_id,employee_name\nA,1,Ada\nB,2,Bo\n").unwrap();
    let toml = r#"
        [kafka]
        bootstrap_servers = "127.0.0.1:1"
        [[integration]]
        id = "avaya-1"
        kind = "avaya-cms"
        acd = 1
        [integration.realtime]
        port = 7001
        layout = "people"
        snapshot_end = "marker"
        [integration.mapping]
        users = "users.csv"
        activities = "activities.csv"
        [layout.people]
        separator = "|"
        marker = "^END"
        columns = ["login_id", "state"]
        states = "cms-names"
    "#;
    let loaded = config::parse(toml, &folder.join("rtalink.toml"), []);
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

/// The worker of an integration on a store of its own; dropping it leaves what a kill would.
struct Life {
    worker: IntegrationWorker,
    plan: Arc<Plan>,
    publisher: Publisher,
    _model: crossbeam_channel::Receiver<(IntegrationIndex, Update)>,
}

impl Life {
    fn begin(folder: &TempDir, journal_bytes: u64, activity: &str, event_names: bool) -> Self {
        let config = configuration(folder.path(), activity);
        let restore::OpenedStore { store, mut restored, .. } = restore::open(&config).unwrap();
        let integration = &config.integrations[0];
        let id = Arc::clone(&integration.id);
        let lane = LaneStart { integration: Arc::clone(&id), stored: restored[0].stored.clone(), keeps_events: false };
        let window = WindowLimits { messages: 100, bytes: 100_000 };
        let journal =
            Journal::start(store, &[lane], Bounds { journal_bytes, window }, Arc::new(UnobservedStore)).unwrap();
        let publisher =
            Publisher::start(&config.kafka, None, journal, |_| Arc::new(observer::UnobservedProducer)).unwrap();
        let plan = Plan::compile(&integration.realtime.as_ref().unwrap().layout, &integration.time_zone).unwrap();
        let tables = Arc::new(mapping_files::read(&integration.mapping).unwrap());
        let mut engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), tables);
        let (checkpoint, last_events) = restored.remove(0).into_engine(&mut engine, None, event_names);
        let (model, updates) = crossbeam_channel::bounded(model::MOST_UPDATES);
        let mut worker = IntegrationWorker::new(WorkerParts {
            id: Arc::clone(&id),
            index: IntegrationIndex::after(0),
            engine,
            encoder: Encoder::new(Arc::clone(&id), config.kafka.format),
            publish: publisher.handle(&id).unwrap(),
            metrics: metrics_bridge::feed_metrics(&Metrics::new().unwrap(), &id),
            model,
            refused: Arc::default(),
            checkpoint,
            last_events,
            forget_after: None,
            has_feed: true,
            removed: None,
            forward: None,
            event_names,
        });
        worker.begin();
        Self { worker, plan, publisher, _model: updates }
    }

    /// Reads a snapshot, with everything that follows from it.
    fn reads(&mut self, rows: &str) {
        self.finds(rows, Timestamp::now());
        self.worker.conclude(None);
    }

    /// Reads a snapshot, without anything that follows from it.
    fn finds(&mut self, rows: &str, at: Timestamp) {
        let at = self.worker.pace.advance(at);
        if self.worker.engine.session().connections() == 0 {
            self.worker.engine.open(1, &"peer".into(), at, self.worker.findings.found_mut());
        }
        let piece = Piece::Records(Run { bytes: rows.to_owned().into(), offset: 0 });
        self.worker.engine.receive(1, &self.plan, &piece, at, self.worker.findings.found_mut());
    }

    /// Dies with everything that was accepted on disk, and nothing else.
    fn killed(self) {
        let Self { worker, publisher, .. } = self;
        let (written, is_written) = crossbeam_channel::bounded(1);
        worker.publishing.lane().pause(None, Box::new(move || written.send(()).unwrap()));
        is_written.recv_timeout(Duration::from_secs(60)).unwrap();
        drop(worker);
        drop(publisher);
    }
}

/// Returns what the next start learns: each agent's login id, sequence, mode, and user and activity as they were last
/// published.
fn remembered(folder: &TempDir) -> Vec<String> {
    let config = configuration(folder.path(), "-");
    let restored: Vec<Restored> = restore::open(&config).unwrap().restored;
    // If an agent is there twice, the later one counts.
    let mut agents = std::collections::BTreeMap::new();
    for stored in &restored[0].agents {
        let mode = stored.agent.known.as_ref().map_or("-", |known| known.state.mode.name());
        let published = stored.published.as_ref();
        let user = published.and_then(|published| published.user.as_ref()).map_or("-", |user| &*user.employee_name);
        let activity = published
            .and_then(|published| published.activity.as_ref())
            .map_or("-", |activity| &*activity.activity_name);
        let told = format!("{} #{} {mode} {user} {activity}", stored.agent.login_id, stored.agent.sequence);
        agents.insert(Arc::clone(&stored.agent.login_id), told);
    }
    agents.into_values().collect()
}

/// Two agents are known, and everything is as it should be.
fn two_agents() -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut life = Life::begin(&folder, ROOM, "Old", true);
    life.reads("A|AVAIL\nB|AVAIL\nEND\n");
    life.worker.end();
    life.killed();
    assert_eq!(remembered(&folder), ["A #1 AVAIL Ada Old", "B #1 AVAIL Bo Old"]);
    folder
}

#[test]
fn what_a_closed_journal_has_refused_is_not_in_the_last_checkpoint() {
    let folder = two_agents();
    let mut life = Life::begin(&folder, ROOM, "Old", true);
    life.reads("A|ACD\nB|AVAIL\nEND\n");
    // Shutting down takes longer than its grace.
    life.publisher.refuse();
    life.reads("A|ACD\nB|ACD\nEND\n");
    life.worker.end();
    assert!(life.worker.publishing.is_lost());
    assert!(life.worker.publishing.lost() > 0, "counted");
    life.killed();
    assert_eq!(
        remembered(&folder),
        ["A #2 ACD Ada Call", "B #1 AVAIL Bo Old"],
        "B's change is news for the next start"
    );
}

#[test]
fn what_a_full_journal_keeps_is_not_in_the_first_checkpoint() {
    let folder = two_agents();
    // A mapping has changed meanwhile: both are published anew, and there is no room for that.
    let life = Life::begin(&folder, NO_ROOM, "New", true);
    assert!(life.worker.publishing.is_behind());
    life.killed();
    assert_eq!(remembered(&folder), ["A #1 AVAIL Ada Old", "B #1 AVAIL Bo Old"], "nobody was told of the new one");
    Life::begin(&folder, ROOM, "New", true).killed();
    assert_eq!(remembered(&folder), ["A #2 AVAIL Ada New", "B #2 AVAIL Bo New"]);
}

#[test]
fn names_that_are_to_go_stay_known_until_a_full_journal_takes_that_they_went() {
    let folder = two_agents();
    let life = Life::begin(&folder, NO_ROOM, "Old", false);
    assert!(life.worker.publishing.is_behind());
    life.killed();
    assert_eq!(remembered(&folder), ["A #1 AVAIL Ada Old", "B #1 AVAIL Bo Old"], "consumers have the names still");
}

#[test]
fn what_a_full_journal_keeps_is_lost_with_what_it_refuses_when_it_is_closed() {
    let folder = two_agents();
    let mut life = Life::begin(&folder, NO_ROOM, "New", true);
    life.publisher.refuse();
    life.reads("A|ACD\nB|AVAIL\nEND\n");
    assert!(life.worker.publishing.is_lost());
    life.worker.end();
    life.killed();
    assert_eq!(remembered(&folder), ["A #1 AVAIL Ada Old", "B #1 AVAIL Bo Old"]);
}

fn six_hundred() -> String {
    (0..600).map(|agent| format!("{agent:03}|AVAIL\n")).collect()
}

#[test]
fn what_was_kept_is_written_in_shares_and_changes_on_between_them() {
    let folder = TempDir::new().unwrap();
    let mut life = Life::begin(&folder, ROOM, "Old", true);
    life.worker.publishing.fall_behind(life.worker.now());
    life.finds(&six_hundred(), life.worker.now());
    let mut shares = 0;
    let findings = std::mem::take(life.worker.findings.found_mut());
    let events: Vec<_> = findings
        .into_iter()
        .filter_map(|finding| match finding {
            Finding::Event(event, annotation) => Some((event, annotation)),
            _ => None,
        })
        .collect();
    assert_eq!(events.len(), 600);
    let (publishing, mut background) = life.worker.publishing_with();
    publishing.hand_over(Vec::new(), &events, &mut background);
    publishing.end_overflow(&mut background);
    while life.worker.goes_on() {
        shares += 1;
        assert!(life.worker.publishing.is_behind(), "no checkpoint before the last share");
        // The first was written, the last waits.
        if shares == 1 {
            life.reads("000|ACD\n599|ACD\n");
        } else {
            life.worker.conclude_share(None);
        }
    }
    assert_eq!(shares, 2);
    assert!(!life.worker.publishing.is_behind());
    life.killed();
    let remembered = remembered(&folder);
    assert_eq!(remembered.len(), 600);
    assert_eq!(
        [&remembered[0], &remembered[1], &remembered[599]],
        ["000 #2 ACD - Call", "001 #1 AVAIL - Old", "599 #2 ACD - Call"]
    );
}

/// Counts the agents with each kind of memory.
fn counted(remembered: &[String]) -> std::collections::BTreeMap<&str, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for told in remembered {
        *counts.entry(told.split_once(' ').unwrap().1).or_default() += 1;
    }
    counts
}

/// Six hundred agents are there, and known to be.
fn a_crowd(folder: &TempDir) -> (Life, Timestamp) {
    let mut life = Life::begin(folder, ROOM, "Old", true);
    let begin = life.worker.now();
    life.finds(&(six_hundred() + "END\n"), begin);
    life.worker.conclude(None);
    (life, begin)
}

#[test]
fn of_a_crowd_that_logs_out_the_store_knows_what_was_handed_over() {
    let folder = TempDir::new().unwrap();
    let (mut life, begin) = a_crowd(&folder);
    let after = |seconds| begin.plus(Duration::from_secs(seconds));
    // Nobody is there; that so many have left is not believed before a later snapshot confirms it.
    for seconds in [10, 20] {
        life.finds("END\n", after(seconds));
        life.worker.conclude(None);
    }
    life.finds("END\n", after(30));
    life.worker.conclude_share(None);
    assert!(life.worker.goes_on());
    assert!(life.worker.publishing.accepted(&mut life.worker.engine, &[]).is_none(), "no checkpoint meanwhile");
    life.killed();
    let told = remembered(&folder);
    let counts = counted(&told);
    assert_eq!((counts["#1 AVAIL - Old"], counts["#2 UNSTAFF - -"]), (600 - 256, 256), "{counts:?}");
}

#[test]
fn what_the_table_knows_already_does_not_wait_for_a_crowd() {
    let folder = TempDir::new().unwrap();
    let config = configuration(folder.path(), "Old");
    let integration = &config.integrations[0];
    let settings = TrackerSettings {
        fixed: Fixed { snapshot_end: SnapshotEnd::Repeat, ..integration.settings.fixed },
        ..integration.settings.clone()
    };
    let plan = Plan::compile(&integration.realtime.as_ref().unwrap().layout, &integration.time_zone).unwrap();
    let tables = Arc::new(mapping_files::read(&integration.mapping).unwrap());
    let mut engine = Engine::new(settings, Arc::clone(&plan), tables);
    engine.set_most_findings(SHARE_FINDINGS);
    let begin = Timestamp::from_millis(1_767_600_000_000);
    let mut findings = Vec::new();
    engine.open(1, &"peer".into(), begin, &mut findings);
    let mut says = |engine: &mut Engine, text: &str, seconds| {
        let piece = Piece::Records(Run { bytes: text.to_owned().into(), offset: 0 });
        engine.receive(1, &plan, &piece, begin.plus(Duration::from_secs(seconds)), &mut findings);
        std::mem::take(&mut findings)
    };
    says(&mut engine, &six_hundred(), 0);
    for seconds in [10, 20, 30] {
        says(&mut engine, "000|AVAIL\n", seconds);
        assert!(!engine.has_more(), "so many are not believed at once");
    }
    let found = says(&mut engine, "000|ACD\n", 40);
    assert!(engine.has_more());
    let last = found.iter().rev().find_map(|finding| match finding {
        Finding::Event(event, _) => Some((&*event.login_id, event.cause.name())),
        _ => None,
    });
    assert_eq!((found.len(), last), (SHARE_FINDINGS + 1, Some(("000", "CHANGED"))));
}

#[test]
fn of_a_mapping_that_changes_a_crowd_the_store_knows_what_was_handed_over() {
    let folder = TempDir::new().unwrap();
    let (mut life, _) = a_crowd(&folder);
    let config = configuration(folder.path(), "New");
    let tables = MappingTables { version: 2, ..mapping_files::read(&config.integrations[0].mapping).unwrap() };
    life.worker.set_mapping(Arc::new(tables));
    assert!(life.worker.goes_on());
    life.worker.conclude_share(None);
    life.killed();
    let told = remembered(&folder);
    let counts = counted(&told);
    assert_eq!((counts["#1 AVAIL - Old"], counts["#2 AVAIL - New"]), (600 - 512, 512), "{counts:?}");
}

#[test]
fn without_a_feed_the_clock_says_who_is_old_but_not_at_the_first_look() {
    const DAY: Duration = Duration::from_hours(24);
    let folder = two_agents();
    let mut life = Life::begin(&folder, ROOM, "Old", true);
    let worker = &mut life.worker;
    let known = |worker: &IntegrationWorker| worker.engine.tracker().table().iter().count();
    worker.has_feed = false;
    worker.retention = Retention::later(Some(DAY), worker.now());
    let start = worker.now();
    for (hours, expected) in [(0, 2), (1, 2), (23, 2), (26, 0)] {
        worker.tick(start.plus(Duration::from_hours(hours)));
        assert_eq!(known(worker), expected, "after {hours} h");
    }
    // A clock that is set makes nobody forgotten before the next round is due.
    let folder = two_agents();
    let mut life = Life::begin(&folder, ROOM, "Old", true);
    life.worker.has_feed = false;
    life.worker.pace.advance(start.plus(100 * DAY));
    life.worker.retention = Retention::later(Some(DAY), life.worker.now());
    life.worker.tick(start.plus(100 * DAY));
    assert_eq!(known(&life.worker), 2);
}
