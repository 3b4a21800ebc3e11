//! What an older program has left behind, with much that Kafka does not have, is taken over by today's.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rtalink::contract::v1::cause::Value as Cause;

use super::SOON;
use super::child;
use super::judge::Losses;
use super::scenario::Scenario;
use super::scene::{Scene, say};
use crate::support::topic::Received;

/// Names the older program.
const BEFORE: &str = "RTALINK_BEFORE";
const EVENTS: &str = "rtalink_events_total";
/// Messages that wait for Kafka when today's program comes.
const WAITING: u64 = 5_000;
/// Stands in the log where the older program ends.
const TODAY: &str = "from here on today's program";

/// As it was written for the older program, with names of its modules.
const SECTIONS: &str = r#"
[integration.mapping]
users = "users.csv"
activities = "activities.csv"
[log]
level = "info,rtalink::feed=debug,rtalink::store=debug"
"#;
const ACTIVITIES: &str = "external_activity,activity_id,activity_name\nACD,21,Call\nAUX,22,Break\nAUX:7,23,Lunch\n";

/// How the older program ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Kill,
    Terminate,
}

/// Nothing is lost, and nothing is news but what the feed says.
pub(crate) fn takeover(scenario: Scenario) {
    let Some(before) = std::env::var_os(BEFORE) else {
        return say(&format!("{} {}: skipped, {BEFORE} is not set", scenario.name, scenario.delivery.name()));
    };
    let ends = [End::Kill, End::Terminate].into_iter().cycle();
    for end in ends.take(scenario.size().times as usize) {
        from(Path::new(&before), Scene::start(scenario), end);
    }
}

fn from(before: &Path, mut scene: Scene, end: End) {
    let configuration = format!("{}{SECTIONS}", child::configuration(scene.path()));
    child::configure(scene.path(), &configuration);
    fs::write(scene.path().join("activities.csv"), ACTIVITIES).expect("a temporary folder");
    fs::write(scene.path().join("users.csv"), users(&scene)).expect("a temporary folder");

    scene.program = Some(before.to_owned());
    scene.live();
    scene.reads(10);
    scene.moment(Duration::from_secs(1));
    scene.terminate(SOON);
    scene.live_without_kafka();
    scene.until("much waits", |life| life.pending() >= WAITING);
    scene.be_still();
    // More than what may be lost with the process.
    scene.reads(scene.life().snapshots() + 20);
    let waiting = scene.life().pending();
    let published = scene.published();
    match end {
        End::Kill => scene.kill(),
        End::Terminate => scene.terminate(SOON),
    }
    let [version] = versions(&published)[..] else { panic!("{}: {:?}", scene.name(), versions(&published)) };

    child::note(scene.path(), TODAY);
    child::check(scene.path());
    scene.program = None;
    scene.live();
    nothing_is_news(&mut scene);
    scene.go_on();
    scene.reads(scene.life().snapshots() + 20);
    scene.settle();
    assert!(scene.life().metric(EVENTS, "") > 0, "{}: news of a feed that changes", scene.name());
    scene.terminate(SOON);
    scene.live();
    nothing_is_news(&mut scene);
    scene.go_on();
    scene.reads(scene.life().snapshots() + 5);
    scene.settle();

    let events = scene.published();
    assert!(events.len() as u64 >= published.len() as u64 + waiting / 2, "{}: {} events", scene.name(), events.len());
    assert_eq!(versions(&events), [version], "{}: versions of the mapping", scene.name());
    events.iter().for_each(are_as_mapped);
    let log = child::log(scene.path());
    let (_, today) = log.split_once(TODAY).expect("a line of ours");
    let errors: Vec<&str> = today.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.is_empty(), "{}:\n{}", scene.name(), errors.join("\n"));
    let more = format!("{waiting} messages waited after {end:?}, mapping version {version}, ");
    scene.judge_with(Losses::None, &more);
}

/// Of a feed that shows what it has shown.
fn nothing_is_news(scene: &mut Scene) {
    scene.settle();
    assert_eq!(scene.life().metric(EVENTS, ""), 0, "{}: events of agents whose state did not change", scene.name());
}

/// Every other agent of the feed.
fn users(scene: &Scene) -> String {
    let centre = scene.cms.centre();
    let row = |login_id: &str| employee(login_id).map(|id| format!("{login_id},{id},Agent {login_id}\n"));
    let rows: String = centre.agents.iter().filter_map(|agent| row(&agent.login_id)).collect();
    format!("external_user,employee_id,employee_name\n{rows}")
}

fn employee(login_id: &str) -> Option<String> {
    let number: u32 = login_id.parse().expect("a number");
    number.is_multiple_of(2).then(|| format!("E-{number}"))
}

/// Versions of the mapping by which events were annotated, without repetitions.
fn versions(events: &[Received]) -> Vec<u64> {
    let mut versions: Vec<u64> = events.iter().map(|record| record.event().mapping_version).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

fn are_as_mapped(record: &Received) {
    let event = record.event();
    assert_ne!(event.cause(), Cause::Remapped, "{event:?}");
    assert_eq!(event.user.as_ref().map(|user| user.employee_id.clone()), employee(&event.login_id), "{event:?}");
}
