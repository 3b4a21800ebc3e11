//! rtalink dies at each of its fail points under load, and lives again.

use std::fs;
use std::time::Duration;

use rtalink::fail_point::{self, ALL};

use super::scenario::{Delivery, is_full};
use super::scene::{Scene, say};
use super::{is_time_left, store_faults::STORE};

/// Only reached without transactions.
const AT_LEAST_ONCE: [&str; 2] = [fail_point::BEFORE_ACKNOWLEDGE, fail_point::AFTER_ACKNOWLEDGE];
/// Only reached with them.
const EXACTLY_ONCE: [&str; 4] = [
    fail_point::TRANSACTION_BEGUN,
    fail_point::TRANSACTION_SENT,
    fail_point::BEFORE_TRANSACTION_COMMIT,
    fail_point::AFTER_TRANSACTION_COMMIT,
];
/// Reached where somebody is forgotten: `tests/kafka/forget.rs` plays these.
const FORGETTING: [&str; 5] = [
    fail_point::BEFORE_FORGET,
    fail_point::AFTER_FORGET,
    fail_point::BEFORE_ERASE,
    fail_point::IN_ERASE,
    fail_point::AFTER_ERASE,
];
/// Reached once in a life.
const ONCE: [&str; 4] =
    [fail_point::STORE_OPENED, fail_point::REPLAYED, fail_point::KAFKA_READ, fail_point::FIRST_CHECKPOINT];
/// Reached at the start and every five seconds.
const SELDOM: [&str; 3] = [fail_point::BEFORE_CHECKPOINT, fail_point::IN_CHECKPOINT, fail_point::AFTER_CHECKPOINT];
/// What is played in small.
const RISKIEST_AT_LEAST_ONCE: [&str; 4] = [
    fail_point::STATE_CHANGED,
    fail_point::BATCH_WRITTEN,
    fail_point::BEFORE_ACKNOWLEDGE,
    fail_point::BEFORE_ACKNOWLEDGED_TO,
];
const RISKIEST_EXACTLY_ONCE: [&str; 4] = [
    fail_point::AFTER_STORE_COMMIT,
    fail_point::BEFORE_TRANSACTION_COMMIT,
    fail_point::AFTER_TRANSACTION_COMMIT,
    fail_point::KAFKA_READ,
];
/// How often a point is reached before it is the end, at most.
const MOST: u64 = 60;
const MOST_SELDOM: u64 = 2;

pub(crate) fn play(mut scene: Scene) {
    if !cfg!(debug_assertions) {
        say("fail-points: skipped, a release build has none");
        return;
    }
    let delivery = scene.delivery();
    let (others, riskiest) = match delivery {
        Delivery::AtLeastOnce => (&EXACTLY_ONCE[..], RISKIEST_AT_LEAST_ONCE),
        Delivery::ExactlyOnce => (&AT_LEAST_ONCE[..], RISKIEST_EXACTLY_ONCE),
    };
    let points: Vec<&str> =
        ALL.iter().copied().filter(|point| !others.contains(point) && !FORGETTING.contains(point)).collect();
    let points = if is_full() { points } else { riskiest.to_vec() };
    let mut deaths = 0;
    scene.live();
    for point in &points {
        for _ in 0..scene.size.times {
            if !is_time_left() {
                break;
            }
            die(&mut scene, point);
            deaths += 1;
        }
        if is_full() && is_time_left() {
            is_still(&mut scene, point);
        }
    }
    is_still(&mut scene, "all of them");
    scene.judge_with(super::judge::Losses::None, &format!("{} points, {deaths} deaths there, ", points.len()));
}

fn die(scene: &mut Scene, point: &str) {
    scene.reads(3);
    scene.moment(Duration::from_millis(300));
    if point == fail_point::KAFKA_READ {
        // Kafka is read where there is no store.
        scene.settle();
        scene.kill();
        fs::remove_dir_all(scene.path().join(STORE)).expect("the store");
        scene.go_on();
    } else {
        scene.kill();
    }
    let most = if ONCE.contains(&point) {
        1
    } else if SELDOM.contains(&point) {
        MOST_SELDOM
    } else {
        MOST
    };
    let count = u32::try_from(1 + scene.below(most)).expect("a small number");
    scene.die_at(point, count);
    scene.live();
}

/// Another restart publishes nothing where nothing has changed.
fn is_still(scene: &mut Scene, point: &str) {
    scene.settle();
    let before = scene.events();
    scene.kill();
    scene.live();
    scene.settle();
    assert_eq!(scene.events(), before, "{point}: events of agents whose state did not change");
    scene.go_on();
}
