//! Simulated nights as captures, and what a replay makes of them: clocks that go back, a report that runs empty, and two ACDs.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rtalink::time::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use crate::support;

use support::process::output;
use support::service::folder;

/// A report of local times; `realtime` and `layout` are further lines of their sections.
fn config(folder: &TempDir, realtime: &str, layout: &str) -> String {
    let text = format!(
        "[kafka]\nbootstrap_servers = \"embedded\"\n[[integration]]\nid = \"night\"\nkind = \"avaya-cms\"\nacd = 1\n\
         time_zone = \"Europe/Berlin\"\n[integration.realtime]\nport = 7001\nbind = \"127.0.0.1\"\nlayout = \"night\"\n\
         {realtime}\n[layout.night]\nseparator = \";\"\nstates = \"rta-codes\"\n{layout}\n"
    );
    let file = folder.path().join("rtalink.toml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn simulate(config: &str, capture: &Path, scenario: &str, agents: &str, more: &[&str]) {
    let capture = capture.to_str().unwrap();
    let given = [
        "simulate",
        "--config",
        config,
        "--layout",
        "night",
        "--scenario",
        scenario,
        "--agents",
        agents,
        "--output",
        capture,
    ];
    let made = output(&[&given, more].concat());
    assert!(made.status.success(), "{made:?}");
}

fn replay(config: &str, capture: &Path) -> Vec<Value> {
    let capture = capture.to_str().unwrap();
    let played = output(&["replay", "--config", config, "--integration", "night", capture]);
    assert!(played.status.success(), "{played:?}");
    String::from_utf8(played.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn time(event: &Value, field: &str) -> Timestamp {
    Timestamp::parse_rfc3339(event[field].as_str().unwrap()).unwrap()
}

#[test]
fn in_the_night_of_the_changed_clocks_no_event_moves() {
    let clocks = ["%d.%m.%Y %H:%M:%S", "%H:%M:%S"];
    for format in clocks {
        let folder = folder(&[]);
        let layout = format!(
            "columns = [\"login_id\", \"state\", \"aux_reason\", \"duration\", {{ field = \"timestamp\", format = \"{format}\" }}]"
        );
        let config = config(&folder, "", &layout);
        let capture = folder.path().join("dst.capture");
        simulate(&config, &capture, "dst-night", "40", &["--duration", "100m", "--refresh", "10s"]);
        let events = replay(&config, &capture);
        assert!(events.len() > 1_000, "{} events", events.len());
        let mut hours = BTreeMap::new();
        for event in &events {
            let (since, seen) = (time(event, "stateSince"), time(event, "observedAt"));
            assert!(since <= seen, "{event}");
            // Whoever was seen before in another state has not been in this one for longer than two refreshes.
            if event["cause"] == "CHANGED" {
                assert!(seen.since(since) <= Duration::from_secs(20), "{event}");
            }
            *hours.entry(seen.to_string()[11..13].to_owned()).or_insert(0) += 1;
        }
        assert_eq!(
            hours.keys().collect::<Vec<_>>(),
            ["00", "01", "02"],
            "before, while and after it is two o'clock again"
        );
        println!("{format}: {} events, none before it happened, none moved: {hours:?}", events.len());
    }
    let folder = folder(&[]);
    let config = config(&folder, "", "columns = [\"login_id\", \"state\"]");
    let live = output(&[
        "simulate",
        "--connect",
        "127.0.0.1:9",
        "--config",
        &config,
        "--layout",
        "night",
        "--scenario",
        "dst-night",
    ]);
    assert!(String::from_utf8_lossy(&live.stderr).contains("record it with --output"), "{live:?}");
}

#[test]
fn four_hundred_leave_one_by_one() {
    // How the report ends, what silence means; at most how many of the last nothing shows absent: those of the last refreshes,
    // which no other one follows.
    let cases = [
        ("snapshot_end = \"marker\"", "marker = \"^END\"", 0),
        ("when_silent = \"stale\"", "", 3),
        ("when_silent = \"empty\"", "", 0),
        ("snapshot_end = \"idle\"\nwhen_silent = \"stale\"", "", 2),
        ("snapshot_end = \"idle\"\nwhen_silent = \"empty\"", "", 0),
    ];
    for (realtime, marker, most_left) in cases {
        let folder = folder(&[]);
        let layout = format!("columns = [\"login_id\", \"state\", \"aux_reason\"]\n{marker}");
        let config = config(&folder, realtime, &layout);
        let capture = folder.path().join("night.capture");
        // 400 refreshes until nobody is there, 40 of the night, and the morning.
        simulate(&config, &capture, "empty-night", "400", &["--duration", "1324s", "--change-share", "0"]);
        let events = replay(&config, &capture);
        let of = |cause: &str| events.iter().filter(|event| event["cause"] == cause).count();
        let (came, left, back) = (of("OBSERVED"), of("LOGGED_OUT"), of("LOGGED_IN"));
        assert_eq!(came, 400, "{realtime}");
        let is_all = left == 400;
        assert!(400 - left <= most_left && is_all == (most_left == 0), "{realtime}: {left}");
        assert_eq!((back, events.len()), (left, came + left + back), "{realtime}: nothing else has happened");
        println!("{realtime} {marker}: {left} of 400 logged out");
    }
}

#[test]
fn one_login_id_in_two_acds_is_two_people() {
    let folder = folder(&[]);
    let with = |columns: &str| config(&folder, "", &format!("columns = [{columns}]"));
    let config = with("\"acd\", \"login_id\", \"state\", \"aux_reason\"");
    let capture = folder.path().join("two.capture");
    simulate(&config, &capture, "two-acds", "20", &["--duration", "1m", "--change-share", "0.1"]);
    let events = replay(&config, &capture);
    let mut people: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for event in &events {
        let key = (event["loginId"].as_str().unwrap().to_owned(), event["acd"].as_u64().unwrap());
        let sequence = event["sequence"].as_str().unwrap().parse().unwrap();
        let before = people.insert(key, sequence).unwrap_or_default();
        assert_eq!(sequence, before + 1, "each counts for themselves: {event}");
    }
    assert_eq!(people.len(), 20);
    let (one, two): (Vec<_>, Vec<_>) = people.keys().partition(|(_, acd)| *acd == 1);
    assert!(one.iter().zip(&two).all(|((one, _), (two, _))| one == two) && two.len() == 10);
    let config = with("\"login_id\", \"state\"");
    let given = [
        "simulate",
        "--config",
        &config,
        "--layout",
        "night",
        "--scenario",
        "two-acds",
        "--duration",
        "1m",
        "--output",
    ];
    let refused = output(&[&given[..], &[folder.path().join("no.capture").to_str().unwrap()]].concat());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("needs a layout with the column"), "{refused:?}");
}
