//! Topics that are deleted, made anew, and given more partitions while the service runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use rtalink::contract::v1;

use super::SOON;
use super::centre::{Centre, is_logged_out};
use super::child;
use super::judge::key_of;
use super::scenario::{Delivery, is_full};
use super::scene::{Scene, say};
use super::store_faults::STORE;
use crate::support::http;
use crate::support::topic::Received;
use crate::support::wait::within;

/// Until a topic is there again, with everything on it.
const AGAIN: Duration = Duration::from_secs(60);
/// How soon producers see partitions that were added.
const QUICK: (&str, &str) = ("RTALINK__KAFKA__PROPERTIES__TOPIC_METADATA_REFRESH_INTERVAL_MS", "500");
/// More than three.
const MORE_PARTITIONS: usize = 7;

/// Deleted under load, one or all; made again by the service.
pub(crate) fn deleted(mut scene: Scene) {
    let all: &[&str] = match scene.delivery() {
        Delivery::AtLeastOnce => &["feed-status", "events", "current"],
        Delivery::ExactlyOnce => &["feed-status", "events", "current", "checkpoint"],
    };
    let rounds: Vec<&[&str]> = if is_full() { all.chunks(1).chain([all]).collect() } else { vec![all] };
    scene.live();
    for (round, gone) in rounds.iter().enumerate() {
        scene.until("the topics are looked at", |_| {
            child::log(scene.path()).matches("all topics are there").count() > round
        });
        scene.reads(scene.life().snapshots() + 5);
        scene.settle();
        // Of most agents nothing will be published after that.
        gone.iter().for_each(|topic| scene.broker().delete_topic(&scene.topic(topic)));
        scene.go_on();
        scene.reads(scene.life().snapshots() + 3);
        within(AGAIN, &format!("{gone:?} are there again"), || {
            gone.iter().all(|topic| scene.broker().partitions(&scene.topic(topic)) > 0).then_some(())
        });
        scene.settle();
        let centre = scene.cms.centre();
        // Everybody of whom there ever was an event.
        let known = centre.agents.iter().filter(|agent| !agent.history.is_empty()).count();
        within(AGAIN, "everybody on current", || (last_words(&scene.on("current")).len() >= known).then_some(()));
        are_the_truth(&centre, &last_words(&scene.on("current")), known);
        scene.go_on();
    }
    let log = child::log(scene.path());
    assert!(log.contains("a topic that was there is gone"), "no ERROR about the topics");
    assert!(log.contains("was made anew"), "no ERROR about current");
    let pending = scene.life().pending();
    let (statuses, rounds) = (scene.on("feed-status").len(), rounds.len());
    say(&format!("{}: {rounds} times topics deleted, {pending} pending, {statuses} statuses", scene.name()));
    scene.settle();
    scene.terminate(SOON);
}

fn last_words(current: &[Received]) -> BTreeMap<String, v1::State> {
    let mut last = BTreeMap::new();
    for record in current {
        last.insert(record.key.clone(), record.event().state.unwrap_or_default());
    }
    last
}

/// Of each agent the last word is what the feed said last.
fn are_the_truth(centre: &Centre, words: &BTreeMap<String, v1::State>, known: usize) {
    assert_eq!(words.len(), known, "agents on current");
    for agent in centre.agents.iter().filter(|agent| !agent.history.is_empty()) {
        let word = &words[&key_of(agent)];
        assert!(agent.now().is(word), "{}: {word:?} is not {:?}", agent.login_id, agent.now());
    }
}

/// Keys move; who is forgotten is forgotten in each partition, and a start without the store takes the later word.
pub(crate) fn partitions_added(mut scene: Scene) {
    scene.live_with(&[QUICK]);
    scene.reads(5);
    scene.settle();
    for topic in ["events", "current", "dead-letter", "checkpoint"] {
        if topic != "checkpoint" || scene.delivery() == Delivery::ExactlyOnce {
            scene.broker().add_partitions(&scene.topic(topic), MORE_PARTITIONS);
        }
    }
    scene.go_on();
    within(AGAIN, "agents in the new partitions", || {
        (scene.on("current").iter().filter(|record| record.partition >= 3).count() > 200).then_some(())
    });
    scene.settle();
    let current = scene.on("current");
    let mut places: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for record in &current {
        places.entry(&record.key).or_default().insert(record.partition);
    }
    let moved = places.values().filter(|places| places.len() > 1).count();
    let mut last: BTreeMap<&str, v1::AgentStateEvent> = BTreeMap::new();
    for record in &current {
        let event = record.event();
        if last.get(&*record.key).is_none_or(|known| known.sequence <= event.sequence) {
            last.insert(&record.key, event);
        }
    }
    let is_out = |key: &&str| last[key].state.as_ref().is_some_and(is_logged_out);
    let mut of_two = places.iter().filter(|(_, places)| places.len() > 1).map(|(key, _)| *key);
    let key = of_two.rfind(is_out).expect("somebody who has moved and left").to_owned();
    let login_id = key.rsplit('/').next().unwrap_or_default();
    let forget = http::try_post(scene.http(), "/api/v1/forget", &format!("{{\"loginId\":\"{login_id}\"}}"));
    let forget = forget.expect("an answer");
    assert!([200, 202].contains(&forget.status), "{login_id}: {} {}", forget.status, forget.body);
    within(AGAIN, "a tombstone in each partition", || {
        let mut ends: BTreeMap<i32, bool> = BTreeMap::new();
        scene.on("current").iter().filter(|record| record.key == key).for_each(|record| {
            ends.insert(record.partition, record.is_tombstone);
        });
        ends.values().all(|is_tombstone| *is_tombstone).then_some(())
    });
    scene.until("a WARN", |_| child::log(scene.path()).contains("the topic has other partitions than before"));
    let before = scene.events();
    scene.terminate(SOON);
    fs::remove_dir_all(scene.path().join(STORE)).expect("the store");
    scene.live_with(&[QUICK]);
    let known = http::get(scene.http(), &format!("/api/v1/agents?login_id={login_id}")).json();
    assert_eq!(known["agents"].as_array().map(Vec::len), Some(0), "{key} is forgotten: {known}");
    scene.reads(5);
    scene.settle();
    let after = scene.events();
    say(&format!("{}: {moved} agents in two partitions, {after} events", scene.name()));
    assert_eq!(after, before, "{}: events of agents whose state did not change", scene.name());
    scene.terminate(SOON);
}
