//! Processes are killed and brokers taken away under load; what lies in Kafka afterwards is judged event by event.
//!
//! `cargo test` plays the short sizes, `make torture` the full ones. Each scenario says one line of counts at its end.
//! `RTALINK_TORTURE_SEED=N` plays with another seed. The rules are in `torture/judge.rs`.
#![cfg(feature = "service")]
#![allow(clippy::expect_used, clippy::unwrap_used)] // a panic here is a failed test

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

mod support;

#[path = "torture/centre.rs"]
mod centre;
#[path = "torture/changes.rs"]
mod changes;
#[path = "torture/child.rs"]
mod child;
#[path = "torture/cms.rs"]
mod cms;
#[path = "torture/copies.rs"]
mod copies;
#[path = "torture/damage.rs"]
mod damage;
#[path = "torture/fail_points.rs"]
mod fail_points;
#[path = "torture/faults.rs"]
mod faults;
#[path = "torture/judge.rs"]
mod judge;
#[path = "torture/judge_tests.rs"]
mod judge_tests;
#[path = "torture/removed.rs"]
mod removed;
#[path = "torture/scenario.rs"]
mod scenario;
#[path = "torture/scene.rs"]
mod scene;
#[path = "torture/store_faults.rs"]
mod store_faults;
#[path = "torture/takeover.rs"]
mod takeover;
#[path = "torture/topics.rs"]
mod topics;

use centre::Pace;
use scenario::{Breaks, Delivery, Scenario, Size, is_full};
use scene::{Scene, pass, say};

/// Whether the configuration takes `delivery = "exactly-once"`.
const EXACTLY_ONCE: bool = true;

/// Nothing is broken any more after that, so that the whole ends within 80 minutes.
const FULL_TIME: Duration = Duration::from_mins(75);
const SHORT_TIME: Duration = Duration::from_secs(11 * 60);

/// Of 100 kills, so many come before rtalink is ready or soon after, in the middle of its recovery.
const EARLY_KILLS: u32 = 20;
/// Of 100 lives, so many last until Kafka acknowledges as fast as the feed comes.
const LONG_LIVES: u32 = 25;
/// After SIGTERM under load.
const SOON: Duration = Duration::from_secs(10);

/// A feed of 300 agents, some hundred events per second.
const BUSY: Size = Size {
    times: 5,
    agents: 300,
    refresh: Duration::from_millis(50),
    pace: Pace { change_share: 0.05, rows: 3 },
    snapshots: 10,
    outage: Duration::ZERO,
};

/// 500 and 2,000 events per second while Kafka is away.
const OUTAGE: [Size; 2] = [
    Size {
        times: 1,
        agents: 250,
        refresh: Duration::from_millis(100),
        pace: Pace { change_share: 0.2, rows: 1 },
        outage: Duration::from_secs(4),
        ..BUSY
    },
    Size {
        times: 4,
        agents: 1_000,
        refresh: Duration::from_millis(100),
        pace: Pace { change_share: 0.2, rows: 1 },
        outage: Duration::from_secs(60),
        ..BUSY
    },
];

/// Everybody changes, up to ten times in one read.
const BURSTS: Size = Size {
    times: 0,
    agents: 3_000,
    refresh: Duration::from_millis(200),
    pace: Pace { change_share: 1.0, rows: 10 },
    snapshots: 3,
    outage: Duration::ZERO,
};

/// Everybody changes in every snapshot, some thousand events per second.
const FLOOD: Size = Size {
    times: 1,
    agents: 500,
    refresh: Duration::from_millis(200),
    pace: Pace { change_share: 1.0, rows: 3 },
    snapshots: 5,
    outage: Duration::ZERO,
};

/// The same as fast as it goes.
const RUSH: Size = Size { times: 2, refresh: Duration::from_millis(50), ..FLOOD };

/// What a commit of the store survives: power loss, or a crash of the process.
const FULL: &str = "sync = \"full\"";
const NORMAL: &str = "sync = \"normal\"";
const SMALL: &str = "sync = \"normal\"\njournal_max_size = \"2MiB\"";
const MEDIUM: &str = "journal_max_size = \"8MiB\"";

/// Not played.
const NONE: Size = Size { agents: 0, ..BUSY };

/// In small and in full, per name and delivery.
const SCENARIOS: [Scenario; 44] = [
    scenario("kills", Delivery::AtLeastOnce, 1, Breaks::Kills, often(5, 100)),
    scenario("kills", Delivery::ExactlyOnce, 2, Breaks::Kills, often(5, 100)),
    // In small, `kafka_outage.rs` has it, and of others that are alike for both deliveries one is played.
    scenario("broker-kills", Delivery::AtLeastOnce, 3, Breaks::BrokerKills, [NONE, often(1, 20)[1]]),
    scenario("broker-kills", Delivery::ExactlyOnce, 4, Breaks::BrokerKills, often(1, 20)),
    scenario("outage", Delivery::AtLeastOnce, 5, Breaks::Outage, [NONE, OUTAGE[1]]),
    scenario("outage", Delivery::ExactlyOnce, 6, Breaks::Outage, OUTAGE),
    scenario("terminations", Delivery::AtLeastOnce, 7, Breaks::Terminations, often(3, 30)),
    scenario("terminations", Delivery::ExactlyOnce, 8, Breaks::Terminations, often(3, 30)),
    scenario("still-restarts", Delivery::AtLeastOnce, 9, Breaks::StillRestarts, [NONE, often(1, 20)[1]]),
    scenario("still-restarts", Delivery::ExactlyOnce, 10, Breaks::StillRestarts, often(2, 20)),
    scenario("bursts", Delivery::AtLeastOnce, 11, Breaks::Nothing, [BURSTS, Size { snapshots: 10, ..BURSTS }]),
    scenario("bursts", Delivery::ExactlyOnce, 12, Breaks::Nothing, [NONE, Size { snapshots: 10, ..BURSTS }]),
    scenario("fail-points", Delivery::AtLeastOnce, 13, Breaks::FailPoints, often(1, 2)),
    scenario("fail-points", Delivery::ExactlyOnce, 14, Breaks::FailPoints, often(1, 2)).with_store(NORMAL),
    scenario("disk-full", Delivery::AtLeastOnce, 15, Breaks::DiskFull, [FLOOD, FLOOD]).with_store(MEDIUM),
    scenario("disk-full", Delivery::ExactlyOnce, 16, Breaks::DiskFull, [NONE, FLOOD]).with_store(MEDIUM),
    scenario("disk-filled", Delivery::AtLeastOnce, 25, Breaks::DiskFilled, [NONE, FLOOD]),
    scenario("journal-full", Delivery::AtLeastOnce, 17, Breaks::JournalFull, [FLOOD, FLOOD]).with_store(SMALL),
    scenario("journal-full", Delivery::ExactlyOnce, 18, Breaks::JournalFull, [NONE, FLOOD]).with_store(SMALL),
    scenario("unwritable", Delivery::AtLeastOnce, 19, Breaks::Unwritable, often(1, 3)),
    scenario("torn-store", Delivery::AtLeastOnce, 20, Breaks::TornStore, often(5, 60)).with_store(NORMAL),
    scenario("torn-store", Delivery::ExactlyOnce, 21, Breaks::TornStore, often(5, 60)),
    scenario("second-process", Delivery::AtLeastOnce, 22, Breaks::SecondProcess, often(1, 3)),
    scenario("directory-gone", Delivery::AtLeastOnce, 23, Breaks::DirectoryGone, [NONE, often(1, 3)[1]]),
    scenario("directory-gone", Delivery::ExactlyOnce, 24, Breaks::DirectoryGone, often(1, 3)).with_store(NORMAL),
    scenario("restored-store", Delivery::AtLeastOnce, 26, Breaks::RestoredStore, [NONE, often(1, 5)[1]])
        .with_store(NORMAL),
    scenario("restored-store", Delivery::ExactlyOnce, 27, Breaks::RestoredStore, often(1, 5)),
    scenario("cloned-store", Delivery::AtLeastOnce, 28, Breaks::ClonedStore, [NONE, often(1, 1)[1]]),
    scenario("cloned-store", Delivery::ExactlyOnce, 29, Breaks::ClonedStore, often(1, 1)).with_store(NORMAL),
    scenario("newer-store", Delivery::AtLeastOnce, 30, Breaks::NewerStore, often(1, 5)),
    scenario("hung-disk", Delivery::AtLeastOnce, 31, Breaks::HungDisk, often(1, 3)).with_grace("2s"),
    scenario("hung-disk", Delivery::ExactlyOnce, 32, Breaks::HungDisk, [NONE, often(1, 3)[1]]).with_grace("2s"),
    scenario("no-grace", Delivery::AtLeastOnce, 33, Breaks::NoGrace, [RUSH, Size { times: 20, ..RUSH }])
        .with_grace("0s"),
    scenario("no-grace", Delivery::ExactlyOnce, 34, Breaks::NoGrace, [NONE, Size { times: 20, ..RUSH }])
        .with_grace("0s"),
    scenario("deleted-topics", Delivery::AtLeastOnce, 35, Breaks::DeletedTopics, [NONE, often(1, 1)[1]])
        .with_store(NORMAL),
    scenario("deleted-topics", Delivery::ExactlyOnce, 36, Breaks::DeletedTopics, often(1, 1)).with_store(NORMAL),
    scenario("partitions-added", Delivery::AtLeastOnce, 37, Breaks::PartitionsAdded, often(1, 1)).with_store(NORMAL),
    scenario("partitions-added", Delivery::ExactlyOnce, 38, Breaks::PartitionsAdded, [NONE, often(1, 1)[1]])
        .with_store(NORMAL),
    scenario("removed-integration", Delivery::AtLeastOnce, 39, Breaks::RemovedIntegration, often(1, 5)),
    scenario("removed-integration", Delivery::ExactlyOnce, 40, Breaks::RemovedIntegration, [NONE, often(1, 5)[1]])
        .with_store(NORMAL),
    scenario("changes", Delivery::AtLeastOnce, 41, Breaks::Changes, often(1, 10)),
    scenario("changes", Delivery::ExactlyOnce, 42, Breaks::Changes, often(1, 10)).with_store(NORMAL),
    scenario("takeover", Delivery::AtLeastOnce, 43, Breaks::Takeover, often(2, 2)).with_grace("2s"),
    scenario("takeover", Delivery::ExactlyOnce, 44, Breaks::Takeover, often(2, 2)).with_store(NORMAL).with_grace("2s"),
];

const fn often(short: u32, full: u32) -> [Size; 2] {
    [Size { times: short, ..BUSY }, Size { times: full, ..BUSY }]
}

const fn scenario(
    name: &'static str,
    delivery: Delivery,
    seed: u64,
    breaks: Breaks,
    [short, full]: [Size; 2],
) -> Scenario {
    Scenario { name, delivery, seed, breaks, store: FULL, grace: "10s", short, full }
}

/// In full, one scenario at a time has the machine.
static MACHINE: Mutex<()> = Mutex::new(());

/// When breaking has to end.
fn is_time_left() -> bool {
    static END: OnceLock<Instant> = OnceLock::new();
    let time = if is_full() { FULL_TIME } else { SHORT_TIME };
    Instant::now() < *END.get_or_init(|| Instant::now() + time)
}

fn play(name: &str, delivery: Delivery) {
    let _machine = is_full().then(|| MACHINE.lock());
    let found = SCENARIOS.into_iter().find(|scenario| scenario.name == name && scenario.delivery == delivery);
    let scenario = found.expect("such a scenario");
    if delivery == Delivery::ExactlyOnce && !EXACTLY_ONCE {
        say(&format!("{name} {}: skipped, the configuration does not take it yet", delivery.name()));
        return;
    }
    if scenario.size().agents == 0 {
        say(&format!("{name} {}: skipped, only in full", delivery.name()));
        return;
    }
    assert!(is_time_left(), "no time was left for {name} {}", delivery.name());
    if scenario.breaks == Breaks::Takeover {
        return takeover::takeover(scenario);
    }
    let mut scene = Scene::start(scenario);
    match scenario.breaks {
        Breaks::FailPoints => return fail_points::play(scene),
        Breaks::DiskFull => return store_faults::disk_full(scene),
        Breaks::DiskFilled => return store_faults::disk_filled(scene),
        Breaks::JournalFull => return store_faults::journal_full(scene),
        Breaks::Unwritable => return store_faults::unwritable(scene),
        Breaks::TornStore => return store_faults::torn_store(scene),
        Breaks::SecondProcess => return store_faults::second_process(scene),
        Breaks::DirectoryGone => return store_faults::directory_gone(scene),
        Breaks::DeletedTopics => return topics::deleted(scene),
        Breaks::PartitionsAdded => return topics::partitions_added(scene),
        Breaks::RestoredStore => return copies::restored_store(scene),
        Breaks::ClonedStore => return copies::cloned_store(scene),
        Breaks::NewerStore => return store_faults::newer_store(scene),
        Breaks::HungDisk => return store_faults::hung_disk(scene),
        Breaks::NoGrace => return store_faults::no_grace(scene),
        Breaks::RemovedIntegration => return removed::removed_integration(scene),
        Breaks::Changes => return changes::changes(scene),
        _ => scene.live(),
    }
    scene.reads(3);
    match scenario.breaks {
        Breaks::Kills => repeat(scene.size.times, || {
            let is_long = scene.chance(LONG_LIVES);
            scene.moment(if is_long { Duration::from_secs(3) } else { Duration::from_millis(600) });
            scene.kill();
            while scene.chance(EARLY_KILLS) {
                scene.die_young(Duration::from_millis(300));
            }
            scene.live();
        }),
        Breaks::Terminations => repeat(scene.size.times, || {
            scene.reads(3);
            scene.moment(Duration::from_millis(300));
            scene.terminate(SOON);
            scene.live();
        }),
        Breaks::BrokerKills => repeat(scene.size.times, || {
            // Always would be kind, never would be one long outage.
            if scene.chance(75) {
                scene.catches_up();
            }
            scene.moment(Duration::from_secs(2));
            scene.take_broker_away();
            scene.moment(Duration::from_secs(2));
            scene.bring_broker_back();
        }),
        Breaks::Outage => outage(&mut scene),
        Breaks::StillRestarts => return still_restarts(scene),
        _ => scene.sends(scene.size.snapshots),
    }
    scene.judge();
}

/// As often as wanted, and as time allows.
fn repeat(times: u32, mut once: impl FnMut()) {
    for _ in 0..times {
        if is_time_left() {
            once();
        }
    }
}

/// Kafka goes; rtalink dies and lives again without it; Kafka comes back, and rtalink dies once more while it catches up.
fn outage(scene: &mut Scene) {
    let Size { times, outage, .. } = scene.size;
    scene.catches_up();
    scene.take_broker_away();
    repeat(times, || {
        pass(outage / (times + 1));
        scene.kill();
        scene.live();
    });
    pass(outage / (times + 1));
    scene.bring_broker_back();
    scene.moment(Duration::from_secs(1));
    scene.kill();
    scene.live();
}

/// Nothing has changed: nothing is published.
fn still_restarts(mut scene: Scene) {
    scene.reads(scene.size.snapshots);
    scene.settle();
    let before = scene.events();
    for time in 0..scene.size.times {
        if time % 2 == 0 {
            scene.terminate(SOON);
        } else {
            scene.kill();
        }
        scene.live();
        scene.settle();
    }
    let after = scene.judge().events;
    assert_eq!(after, before, "events of agents whose state did not change");
}

#[test]
fn kills_at_least_once() {
    play("kills", Delivery::AtLeastOnce);
}

#[test]
fn kills_exactly_once() {
    play("kills", Delivery::ExactlyOnce);
}

#[test]
fn broker_kills_at_least_once() {
    play("broker-kills", Delivery::AtLeastOnce);
}

#[test]
fn broker_kills_exactly_once() {
    play("broker-kills", Delivery::ExactlyOnce);
}

#[test]
fn outage_at_least_once() {
    play("outage", Delivery::AtLeastOnce);
}

#[test]
fn outage_exactly_once() {
    play("outage", Delivery::ExactlyOnce);
}

#[test]
fn terminations_at_least_once() {
    play("terminations", Delivery::AtLeastOnce);
}

#[test]
fn terminations_exactly_once() {
    play("terminations", Delivery::ExactlyOnce);
}

#[test]
fn still_restarts_at_least_once() {
    play("still-restarts", Delivery::AtLeastOnce);
}

#[test]
fn still_restarts_exactly_once() {
    play("still-restarts", Delivery::ExactlyOnce);
}

#[test]
fn bursts_at_least_once() {
    play("bursts", Delivery::AtLeastOnce);
}

#[test]
fn bursts_exactly_once() {
    play("bursts", Delivery::ExactlyOnce);
}

#[test]
fn fail_points_at_least_once() {
    play("fail-points", Delivery::AtLeastOnce);
}

#[test]
fn fail_points_exactly_once() {
    play("fail-points", Delivery::ExactlyOnce);
}

#[test]
fn disk_full_at_least_once() {
    play("disk-full", Delivery::AtLeastOnce);
}

#[test]
fn disk_full_exactly_once() {
    play("disk-full", Delivery::ExactlyOnce);
}

#[test]
fn disk_filled_at_least_once() {
    play("disk-filled", Delivery::AtLeastOnce);
}

#[test]
fn journal_full_at_least_once() {
    play("journal-full", Delivery::AtLeastOnce);
}

#[test]
fn journal_full_exactly_once() {
    play("journal-full", Delivery::ExactlyOnce);
}

#[test]
fn unwritable_at_least_once() {
    play("unwritable", Delivery::AtLeastOnce);
}

#[test]
fn torn_store_at_least_once() {
    play("torn-store", Delivery::AtLeastOnce);
}

#[test]
fn torn_store_exactly_once() {
    play("torn-store", Delivery::ExactlyOnce);
}

#[test]
fn second_process_at_least_once() {
    play("second-process", Delivery::AtLeastOnce);
}

#[test]
fn directory_gone_at_least_once() {
    play("directory-gone", Delivery::AtLeastOnce);
}

#[test]
fn directory_gone_exactly_once() {
    play("directory-gone", Delivery::ExactlyOnce);
}

#[test]
fn restored_store_at_least_once() {
    play("restored-store", Delivery::AtLeastOnce);
}

#[test]
fn restored_store_exactly_once() {
    play("restored-store", Delivery::ExactlyOnce);
}

#[test]
fn cloned_store_at_least_once() {
    play("cloned-store", Delivery::AtLeastOnce);
}

#[test]
fn cloned_store_exactly_once() {
    play("cloned-store", Delivery::ExactlyOnce);
}

#[test]
fn newer_store_at_least_once() {
    play("newer-store", Delivery::AtLeastOnce);
}

#[test]
fn hung_disk_at_least_once() {
    play("hung-disk", Delivery::AtLeastOnce);
}

#[test]
fn hung_disk_exactly_once() {
    play("hung-disk", Delivery::ExactlyOnce);
}

#[test]
fn no_grace_at_least_once() {
    play("no-grace", Delivery::AtLeastOnce);
}

#[test]
fn no_grace_exactly_once() {
    play("no-grace", Delivery::ExactlyOnce);
}

#[test]
fn deleted_topics_at_least_once() {
    play("deleted-topics", Delivery::AtLeastOnce);
}

#[test]
fn deleted_topics_exactly_once() {
    play("deleted-topics", Delivery::ExactlyOnce);
}

#[test]
fn partitions_added_at_least_once() {
    play("partitions-added", Delivery::AtLeastOnce);
}

#[test]
fn partitions_added_exactly_once() {
    play("partitions-added", Delivery::ExactlyOnce);
}

#[test]
fn removed_integration_at_least_once() {
    play("removed-integration", Delivery::AtLeastOnce);
}

#[test]
fn removed_integration_exactly_once() {
    play("removed-integration", Delivery::ExactlyOnce);
}

#[test]
fn changes_at_least_once() {
    play("changes", Delivery::AtLeastOnce);
}

#[test]
fn changes_exactly_once() {
    play("changes", Delivery::ExactlyOnce);
}

#[test]
fn takeover_at_least_once() {
    play("takeover", Delivery::AtLeastOnce);
}

#[test]
fn takeover_exactly_once() {
    play("takeover", Delivery::ExactlyOnce);
}
