use crate::views::advice;
use crate::views::status::{KafkaError, KafkaStatus, StoreStatus};

use super::*;

fn status() -> Status {
    let counts = |counts: &[(&str, u64)]| counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let at = |time: &str| Some(format!("2026-01-05T{time}Z"));
    let mut status = Status {
        at: "2026-01-05T08:00:00.500Z".to_owned(),
        started_at: "2026-01-02T04:00:00Z".to_owned(),
        versions: [("rtalink".to_owned(), "0.1.0".to_owned())].into(),
        ready: true,
        kafka: KafkaStatus { state: "connected".to_owned(), brokers_up: 2, brokers: 3, ..KafkaStatus::default() },
        store: StoreStatus {
            state: "writable".to_owned(),
            is_well: true,
            disk_free_bytes: Some(41 << 30),
            disk_size_bytes: Some(100 << 30),
            journal_max_bytes: 1 << 30,
            ..StoreStatus::default()
        },
        integrations: vec![
            IntegrationStatus {
                id: "avaya-1".to_owned(),
                name: "Avaya integration - Customer Support Team".to_owned(),
                started: true,
                listen: Some("0.0.0.0:7001".to_owned()),
                layout: "acme".to_owned(),
                peer: Some("10.1.2.3:40000".to_owned()),
                connected_at: at("07:00:12.123"),
                connections: 2,
                last_record_at: at("07:59:59.300"),
                last_complete_snapshot_at: at("07:59:57"),
                period_seconds: Some(3.0),
                clock_skew_seconds: Some(0.31),
                agents: Some(1_200),
                agents_logged_in: Some(318),
                unmapped_users: 3,
                unmapped_activities: 1,
                records: counts(&[("changed", 1_200_000), ("unchanged", 3_000_000), ("invalid", 12)]),
                unreadable: counts(&[("bad_number", 2), ("too_few_fields", 10)]),
                refused: counts(&[("not_allowed", 4)]),
                paused: true,
                kafka_connected: true,
                pending_messages: 6,
                oldest_seconds: 61.0,
                journal_bytes: 3 << 20,
                ..IntegrationStatus::default()
            },
            IntegrationStatus {
                id: "avaya-2".to_owned(),
                name: "avaya-2".to_owned(),
                started: true,
                listen: Some("0.0.0.0:7002".to_owned()),
                layout: "acme".to_owned(),
                disconnected_at: Some("2026-01-04T23:10:00Z".to_owned()),
                agents: Some(40),
                agents_logged_in: Some(0),
                last_record_at: Some("2026-01-04T23:09:58Z".to_owned()),
                kafka_connected: true,
                ..IntegrationStatus::default()
            },
            IntegrationStatus {
                id: "old".to_owned(),
                name: "old".to_owned(),
                removed: true,
                agents: Some(7),
                ..IntegrationStatus::default()
            },
        ],
        ..Status::default()
    };
    advice::conclude(&mut status);
    status
}

#[test]
fn one_screen_says_how_everything_is_and_what_to_do() {
    insta::assert_snapshot!(screen(&status(), false), @"
    rtalink      0.1.0, up for 3 d 4 h, ready
    kafka        connected, 2 of 3 brokers up
    store        writable, 41 GiB of 100 GiB free

    avaya-1  Avaya integration - Customer Support Team                        PAUSED
      peer       10.1.2.3:40000 since 07:00:12Z (59 min 48 s); 1 more waiting
      records    last 1.2 s ago; complete snapshot 3.5 s ago, every 3.0 s
      agents     318 logged in of 1,200 known; not mapped: 3 users, 1 activity
      clock      0.3 s ahead of ours
      refused    not_allowed 4
      unreadable too_few_fields 10, bad_number 2 of 4,200,012 records, layout acme
      journal    paused; 6 messages, oldest 1 min 1 s; 3.0 MiB of 1.0 GiB

    avaya-2                                                           FEED_DOWN_IDLE
      peer       nobody on 0.0.0.0:7002 since 2026-01-04 23:10:00Z
      records    last 8 h 50 min ago; complete snapshot none yet
      agents     0 logged in of 40 known
      refused    no connection
      unreadable none of 0 records, layout acme
      journal    0 messages; 0 B of 1.0 GiB

    old                                                                      REMOVED
      left       7 agents, 0 messages

    next: See before the first shift that CMS dials in at avaya-2: nobody is
          connected, and nobody was logged in.
          docs/runbook.md#rtalinkfeeddownidle
    then: Run `rtalink resume avaya-1` when its maintenance is over: publishing is
          paused, and 6 messages wait.
    then: Put old back into the configuration or drop it: it has 7 agents and 0
          messages left.
    ");
}

#[test]
fn no_line_is_wider_than_the_screen_whatever_is_in_it() {
    let long = "long ".repeat(60) + &"x".repeat(200) + "\n\x1b[31m";
    let mut status = status();
    status.kafka.state = "waiting for Kafka".to_owned();
    status.kafka.last_error = Some(KafkaError { message: long.clone(), ..KafkaError::default() });
    status.store.error = Some(long.clone());
    status.store.is_well = false;
    let one = &mut status.integrations[0];
    (one.id, one.name, one.layout) = ("i".repeat(90), long.clone(), "l".repeat(90));
    one.waiting_for = Some(long);
    one.kafka_connected = false;
    one.refused = (0..20).map(|reason| (format!("reason_{reason}"), u64::MAX)).collect();
    for (started, peer) in [(true, Some("[2001:db8:1234:5678:9abc:def0:1234:5678]:65535".to_owned())), (false, None)] {
        status.integrations[0].started = started;
        status.integrations[0].peer = peer;
        advice::conclude(&mut status);
        let screen = screen(&status, false);
        for line in screen.lines() {
            assert!(line.chars().count() <= 80, "{} characters: {line}", line.chars().count());
        }
        assert!(!screen.contains('\x1b'), "what is shown moves no cursor");
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let status = status();
    let coloured = screen(&status, true);
    let mut bare = coloured.replace("\x1b[0m", "");
    for colour in [31, 32, 33] {
        bare = bare.replace(&format!("\x1b[1;{colour}m"), "");
    }
    assert_ne!(coloured, bare);
    assert_eq!(bare, screen(&status, false));
}
