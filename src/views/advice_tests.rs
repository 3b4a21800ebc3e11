use super::super::status::KafkaError;
use super::*;

/// A service at work with one feed and nothing to do.
fn well() -> Status {
    let one = IntegrationStatus {
        id: "avaya-1".to_owned(),
        started: true,
        listen: Some("0.0.0.0:7001".to_owned()),
        layout: "acme".to_owned(),
        peer: Some("10.1.2.3:40000".to_owned()),
        connected_at: Some("2026-01-05T07:00:00Z".to_owned()),
        connections: 1,
        last_record_at: Some("2026-01-05T07:59:59Z".to_owned()),
        period_seconds: Some(3.0),
        clock_skew_seconds: Some(-1.0),
        agents: Some(40),
        agents_logged_in: Some(30),
        unmapped_users: 4,
        records: [("changed", 10), ("unchanged", 990), ("invalid", 10)]
            .map(|(name, count)| (name.to_owned(), count))
            .into(),
        unreadable: [("too_few_fields".to_owned(), 10)].into(),
        kafka_connected: true,
        certificate_expires_at: Some("2026-02-05T08:00:00Z".to_owned()),
        ..IntegrationStatus::default()
    };
    let gone = IntegrationStatus { id: "old".to_owned(), removed: true, started: true, ..IntegrationStatus::default() };
    let mut status = Status {
        at: "2026-01-05T08:00:00Z".to_owned(),
        started_at: "2026-01-05T06:00:00Z".to_owned(),
        ready: true,
        integrations: vec![one, gone],
        ..Status::default()
    };
    status.store.is_well = true;
    status.store.journal_max_bytes = 1_000;
    status.store.disk_free_bytes = Some(10 << 30);
    status.store.disk_size_bytes = Some(20 << 30);
    status
}

fn with(change: impl FnOnce(&mut Status)) -> Status {
    let mut status = well();
    change(&mut status);
    status
}

/// The feed of [`well`] after a change.
fn feed(change: impl FnOnce(&mut IntegrationStatus)) -> Status {
    with(|status| change(&mut status.integrations[0]))
}

fn has(condition: &str) -> Status {
    feed(|one| one.conditions = vec![condition.to_owned()])
}

/// What can be the case, each alone, and the sentence that comes of it.
fn cases() -> Vec<(&'static str, Status, &'static str)> {
    let store = |state: &'static str| {
        with(|status| {
            status.store.is_well = false;
            status.store.state = state.to_owned();
        })
    };
    let nobody = |one: &mut IntegrationStatus| one.peer = None;
    vec![
        (
            "STORE_REFUSES",
            store("cannot be written"),
            "Mend the disk of the store, which cannot be written, and do not restart before: what waits is in memory.",
        ),
        (
            "STORE_IN_MEMORY",
            store("in memory: it could not be opened on disk"),
            "Mend the directory of the store, which could not be opened, then restart: what waits for Kafka would be lost by a crash.",
        ),
        (
            "JOURNAL_FULL",
            feed(|one| one.journal_full = true),
            "Let the journal of avaya-1 empty, of each agent it keeps only the latest state: bring Kafka back or resume, and do not restart.",
        ),
        (
            "DISK_SHORT",
            with(|status| status.store.disk_free_bytes = Some(400 << 20)),
            "Make room on the disk of the store: 400 MiB are free, and with 32 MiB nothing new is published.",
        ),
        (
            "KAFKA_AWAITED",
            feed(|one| {
                nobody(one);
                one.started = false;
                one.waiting_for = Some("broker down:\nConnection refused.".to_owned());
            }),
            "Bring Kafka back or mend the way to it, avaya-1 cannot start before and refuses CMS: broker down: Connection refused.",
        ),
        (
            "NOT_STARTED",
            feed(|one| {
                nobody(one);
                one.started = false;
            }),
            "Look at the log for why avaya-1 has not been started: nobody listens on 0.0.0.0:7001.",
        ),
        (
            "SUPERSEDED",
            feed(|one| one.superseded_by = Some("2d05b677".to_owned())),
            "End one of the two instances that publish for avaya-1, then run `rtalink resume avaya-1` on this one if it stays.",
        ),
        (
            "TOPIC_MISSING",
            has("topic_missing"),
            "Create the topic that avaya-1 publishes to and that is missing, or let rtalink create it; the log names it.",
        ),
        (
            "TIMESTAMP_REFUSED",
            has("timestamp_refused"),
            "Set the clock of this machine or of the broker, which differ by so much that Kafka refuses every message of avaya-1.",
        ),
        (
            "KAFKA_AWAY",
            with(|status| {
                status.kafka.last_error =
                    Some(KafkaError { message: "Connection refused".to_owned(), ..KafkaError::default() });
                status.integrations[0].kafka_connected = false;
                status.integrations[0].pending_messages = 4_711;
            }),
            "Bring Kafka back, 4,711 messages of avaya-1 wait for it on disk: Connection refused.",
        ),
        (
            "JOURNAL_FILLING",
            feed(|one| one.journal_bytes = 610),
            "Bring Kafka back or resume avaya-1: its journal is 61 % full, and when it is full transitions are lost.",
        ),
        (
            "MESSAGES_WAIT",
            feed(|one| one.oldest_seconds = 61.0),
            "Find out why Kafka answers and does not take the messages of avaya-1, the oldest has waited for 1 min 1 s: the log says it.",
        ),
        (
            "NEVER_CONNECTED",
            feed(|one| {
                nobody(one);
                one.last_record_at = None;
                one.agents_logged_in = Some(0);
            }),
            "Let the RTA session of CMS dial 0.0.0.0:7001, nobody has for avaya-1 yet: are address and port right, and the firewall open?",
        ),
        (
            "FEED_DOWN",
            feed(nobody),
            "Restart the RTA session of CMS, nobody is connected to avaya-1 and 30 agents are frozen: can CMS reach 0.0.0.0:7001?",
        ),
        (
            "FEED_DOWN_IDLE",
            feed(|one| {
                nobody(one);
                one.agents_logged_in = Some(0);
            }),
            "See before the first shift that CMS dials in at avaya-1: nobody is connected, and nobody was logged in.",
        ),
        (
            "UNREADABLE_RECORDS",
            has("unreadable_records"),
            "Make layout acme of avaya-1 fit what comes, no record of it can be read (too_few_fields): `rtalink capture`, then `rtalink decode`.",
        ),
        (
            "LINK_DOWN",
            has("link_down"),
            "Tell the CMS administrator that CMS has lost the switch of avaya-1: nearly all agents are UNKNOWN.",
        ),
        (
            "NO_RECORD",
            feed(|one| one.last_record_at = None),
            "Start the report on CMS, 10.1.2.3:40000 is connected to avaya-1 and has sent no valid record: or does the layout not fit?",
        ),
        (
            "STALE",
            has("stale"),
            "Restart the report on CMS: avaya-1 has been silent since its last record 1.0 s ago, and its agents are frozen.",
        ),
        (
            "UNREADABLE_STATES",
            has("unreadable_states"),
            "Add the codes of avaya-1 that /api/v1/unmapped lists as UNKNOWN to `states` of layout acme: more than half of the agents have them.",
        ),
        (
            "NO_SNAPSHOT",
            has("no_snapshot"),
            "Make `snapshot_end` of avaya-1 or the `marker` of layout acme fit the report: no snapshot ends, so nobody is found to have left.",
        ),
        (
            "CERTIFICATE_EXPIRED",
            feed(|one| one.certificate_expires_at = Some("2026-01-05T08:00:00Z".to_owned())),
            "Renew the certificate of avaya-1 and reload: it expired at 2026-01-05T08:00:00Z, and CMS cannot dial in again.",
        ),
        (
            "PAUSED",
            feed(|one| {
                one.paused = true;
                one.oldest_seconds = 3_600.0;
                one.pending_messages = 12;
            }),
            "Run `rtalink resume avaya-1` when its maintenance is over: publishing is paused, and 12 messages wait.",
        ),
        (
            "FLAPPING",
            has("flapping"),
            "End one of the two RTA sessions that take the port of avaya-1 from each other, or limit `allow` to one of them.",
        ),
        (
            "SUSPECT",
            has("suspect"),
            "Check whether so many agents of avaya-1 have really left at once: is it the end of a shift, or was the report limited to other skills?",
        ),
        (
            "REPEATED_ROWS",
            has("repeated_rows"),
            "Sort the report of avaya-1 by agent, or use a layout with a row per agent and skill: it lists many agents more than once.",
        ),
        (
            "SHORTEST_REFRESH_TOO_LONG",
            has("shortest_refresh_too_long"),
            "Set `shortest_refresh` of avaya-1 to a third of the refresh, which is 3.0 s, and reload: two may be taken for one.",
        ),
        (
            "RECORDS_INVALID",
            feed(|one| one.records.extend([("invalid".to_owned(), 11)])),
            "Adapt layout acme of avaya-1: more than one record in a hundred cannot be read (too_few_fields).",
        ),
        (
            "CLOCK_SKEW",
            feed(|one| one.clock_skew_seconds = Some(-3_600.0)),
            "Check `time_zone` of avaya-1 and the clocks of CMS and of this machine: its times are 1 h behind our own.",
        ),
        (
            "CERTIFICATE_EXPIRES",
            feed(|one| one.certificate_expires_at = Some("2026-01-19T07:59:59Z".to_owned())),
            "Renew the certificate of avaya-1 and reload: it expires at 2026-01-19T07:59:59Z.",
        ),
        (
            "RELOAD_REFUSED",
            with(|status| status.reload_refused_at = Some("2026-01-05T07:00:00Z".to_owned())),
            "Run `rtalink check`, mend what it says and reload: the last reload was refused, and a restart would fail.",
        ),
        (
            "REMOVED",
            with(|status| status.integrations[1].agents = Some(7)),
            "Put old back into the configuration or drop it: it has 7 agents and 0 messages left.",
        ),
        (
            "UNMAPPED",
            feed(|one| one.unmapped_users = 5),
            "Map the 5 users of avaya-1 that `rtalink unmapped` lists, more than a tenth of its agents, and reload.",
        ),
    ]
}

#[test]
fn every_state_has_a_case_and_a_sentence_of_its_own() {
    let cases = cases();
    let tried: Vec<&str> = cases.iter().map(|(state, ..)| *state).collect();
    assert_eq!(tried, STATES.map(|state| state.name), "a case for each, in the order of the table");
    for (state, mut status, advice) in cases {
        conclude(&mut status);
        let told: Vec<(&str, &str)> =
            status.findings.iter().map(|finding| (&*finding.state, &*finding.advice)).collect();
        assert_eq!(told, [(state, advice)]);
        let known = STATES.iter().find(|known| known.name == state).unwrap();
        let is_of = |one: &IntegrationStatus| status.next.integration.as_deref() == Some(&*one.id);
        match known.about {
            About::Service(_) => assert_eq!(status.next.integration, None, "{state}"),
            _ => assert!(status.integrations.iter().any(|one| is_of(one) && one.state == state), "{state}"),
        }
        assert_eq!(status.next.urgency, known.urgency, "{state}");
    }
    let mut status = well();
    conclude(&mut status);
    assert_eq!((&*status.next.state, status.next.urgency), ("WELL", Urgency::Never), "{:?}", status.findings);
    assert!(status.integrations.iter().all(|one| one.state == "WELL"));
}

#[test]
fn a_cause_stands_before_what_follows_from_it() {
    let position = |name: &str| STATES.iter().position(|state| state.name == name).unwrap();
    let pairs = [
        ("STORE_REFUSES", "JOURNAL_FULL"),
        ("DISK_SHORT", "KAFKA_AWAY"),
        ("KAFKA_AWAITED", "NEVER_CONNECTED"),
        ("SUPERSEDED", "MESSAGES_WAIT"),
        ("TOPIC_MISSING", "MESSAGES_WAIT"),
        ("TIMESTAMP_REFUSED", "MESSAGES_WAIT"),
        ("KAFKA_AWAY", "JOURNAL_FILLING"),
        ("JOURNAL_FILLING", "PAUSED"),
        ("NEVER_CONNECTED", "FEED_DOWN"),
        ("FEED_DOWN", "FEED_DOWN_IDLE"),
        ("FEED_DOWN", "STALE"),
        ("UNREADABLE_RECORDS", "NO_RECORD"),
        ("LINK_DOWN", "UNREADABLE_STATES"),
        ("STALE", "NO_SNAPSHOT"),
        ("REPEATED_ROWS", "SHORTEST_REFRESH_TOO_LONG"),
    ];
    for (cause, consequence) in pairs {
        assert!(position(cause) < position(consequence), "{cause} before {consequence}");
    }
    // What can wait does not stand before what cannot, except where it is the cause of it.
    let late: Vec<&str> = STATES
        .iter()
        .enumerate()
        .filter(|(at, state)| {
            state.urgency == Urgency::Today && STATES[*at..].iter().any(|later| later.urgency == Urgency::Now)
        })
        .map(|(_, state)| state.name)
        .collect();
    assert_eq!(late, ["NEVER_CONNECTED", "FEED_DOWN_IDLE"], "with them nothing of the feed is known");
}

#[test]
fn several_findings_come_in_the_order_of_the_table_and_integrations_in_theirs() {
    let mut status = well();
    let mut other = status.integrations[0].clone();
    other.id = "avaya-2".to_owned();
    other.paused = true;
    status.integrations.insert(1, other);
    status.integrations[0].paused = true;
    status.integrations[0].conditions = vec!["suspect".to_owned(), "link_down".to_owned()];
    conclude(&mut status);
    let told: Vec<String> = status
        .findings
        .iter()
        .map(|finding| format!("{} {}", finding.state, finding.integration.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(told, ["LINK_DOWN avaya-1", "PAUSED avaya-1", "PAUSED avaya-2", "SUSPECT avaya-1"]);
    assert_eq!(status.integrations[1].state, "PAUSED");
}

#[test]
fn a_start_and_a_quiet_night_need_nobody() {
    let quiet = [
        // Kafka has not been heard of yet, and nothing waits.
        feed(|one| one.kafka_connected = false),
        // A closed site.
        feed(|one| {
            one.conditions = vec!["stale".to_owned()];
            one.agents_logged_in = Some(0);
        }),
        // The first seconds.
        with(|status| {
            status.started_at = "2026-01-05T07:59:57Z".to_owned();
            status.integrations[0].started = false;
        }),
        // Somebody has just connected.
        feed(|one| {
            one.last_record_at = None;
            one.connected_at = Some("2026-01-05T07:59:45Z".to_owned());
        }),
    ];
    for mut status in quiet {
        conclude(&mut status);
        assert_eq!(status.next.state, "WELL", "{}", status.next.advice);
    }
}
