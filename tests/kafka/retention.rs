//! Topics keep people's data as long as `[privacy.retention]` says, and one that somebody else has made is told of.
#![allow(clippy::unwrap_used)]

use crate::support;

use support::kafka::{Broker, unique};
use support::process::Process;
use support::sections;
use support::service::folder;

fn config(bootstrap: &str, topic: &str) -> String {
    let topics = sections::topics(topic);
    let integration = sections::integration("", "layout = \"cisco-icm-20\"");
    format!(
        r#"
        [kafka]
        bootstrap_servers = "{bootstrap}"
        partitions = 1
        {topics}
        [privacy.retention]
        events = "2d"
        feed_status = "10h"
        dead_letter = "1h"
        audit = "100d"
        {integration}
        "#
    )
}

/// Policy, retention and segment of a topic.
fn kept(topic: &str) -> [String; 3] {
    let config = Broker::shared().topic_config(topic);
    ["cleanup.policy", "retention.ms", "segment.ms"].map(|name| config[name].clone())
}

#[test]
fn topics_are_made_with_the_retention_and_others_are_told_of() {
    let broker = Broker::shared();
    let name = unique("retention");
    let topic = |end: &str| format!("{name}.{end}");
    // Longer than wanted by its segments alone; as long as wanted; for ever.
    broker.create_topic(&topic("feed-status"), 1, &[("retention.ms", "36000000")]);
    broker.create_topic(&topic("dead-letter"), 1, &[("retention.ms", "3600000"), ("segment.ms", "600000")]);
    broker.create_topic(&topic("audit"), 1, &[("retention.ms", "-1")]);
    let before = [kept(&topic("feed-status")), kept(&topic("audit"))];

    let folder = folder(&[]);
    let process = Process::run(&folder, &config(broker.bootstrap(), &name));
    let told: Vec<String> = [topic("feed-status"), topic("audit")]
        .into_iter()
        .map(|topic| process.line(&format!("is not changed by us topic={topic}")))
        .collect();
    assert!(told[0].contains("keeps=178h wanted=11h"), "{told:?}");
    assert!(told[1].contains(r#"keeps="for ever" wanted=2424h"#), "{told:?}");
    let settings = "cleanup.policy=delete,retention.ms=36000000,segment.ms=3600000";
    assert!(told[0].contains(&format!("--entity-name {} --add-config {settings}", topic("feed-status"))), "{told:?}");
    assert_eq!(kept(&topic("events")), ["delete", "172800000", "17280000"]);
    assert_eq!(kept(&topic("current")), ["compact", "604800000", "3600000"]);
    assert_eq!([kept(&topic("feed-status")), kept(&topic("audit"))], before, "what exists is not changed");

    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0));
    let warnings = log.iter().filter(|line| line.contains("topic keeps messages longer")).count();
    assert_eq!(warnings, 2, "{log:#?}");
}
