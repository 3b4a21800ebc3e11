//! An integration that is taken out of the configuration while much of it waits for Kafka, and comes back.

use super::child;
use super::judge::Losses;
use super::repeat;
use super::scene::Scene;
use crate::support::kafka::free_port;

const LEFT: &str = "rtalink_removed_integration_agents";
const WAITING: &str = "rtalink_removed_integration_pending_events";

/// Nothing of what waited is lost, and when it is back everybody goes on where they were.
pub(crate) fn removed_integration(mut scene: Scene) {
    let times = scene.size.times;
    scene.live();
    repeat(times, || {
        scene.reads(3);
        scene.kill();
        scene.live_without_kafka();
        // More than what may be lost with the process.
        scene.reads(20);
        scene.kill();
        // Another integration has its place in the configuration, on another port.
        let port = free_port().to_string();
        let another = [("RTALINK__INTEGRATION__0__ID", "another"), ("RTALINK__INTEGRATION__0__REALTIME__PORT", &*port)];
        scene.live_with(&another);
        scene.until("what waited is in Kafka", |life| {
            life.metric(LEFT, "integration=") > 0 && life.metric(WAITING, "integration=") == 0
        });
        scene.kill();
        scene.live();
    });
    let said = child::log(scene.path()).matches("not in the configuration any more").count();
    assert!(said >= 1, "{}: nobody said that it was taken out", scene.name());
    scene.judge_with(Losses::None, &format!("{said} times taken out, "));
}
