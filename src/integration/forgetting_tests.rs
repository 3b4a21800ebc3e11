//! Forgetting as scenarios: each line is what happens, and after `->` what is published or, for `forget`, whether it is
//! allowed.
//!
//! `A AVAIL` is a row of login id A, whose name is A; with a dash (`B-Ada AVAIL`) the name differs.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::config::mapping as mapping_files;
use crate::engine::{Engine, Finding};
use crate::telemetry::feed_metrics::FeedMetrics;
use crate::telemetry::metrics::Metrics;
use crate::time::Timestamp;
use crate::views::model::{IntegrationModel, Update};
use crate::wire::framing::{Piece, Run};
use crate::wire::plan::Plan;

fn config(folder: &Path) -> String {
    let users = folder.join("users.csv");
    std::fs::write(&users, "external_user,employee_id,employee_name\nAda,E1,Ada L.\n").unwrap();
    format!(
        r#"
        [kafka]
        bootstrap_servers = "nobody:1"
        [[integration]]
        id = "avaya-1"
        kind = "avaya-cms"
        acd = 1
        [integration.realtime]
        port = 7001
        layout = "people"
        snapshot_end = "marker"
        logout_after = 1
        [integration.mapping]
        identify_by = "name"
        users = "{}"
        [layout.people]
        separator = "|"
        marker = "^END"
        columns = ["login_id", "state", "name"]
        states = "cms-names"
        "#,
        users.display()
    )
}

/// Creates an engine that has seen nothing yet, and the plan of its feed.
fn engine() -> (Engine, Arc<Plan>) {
    let folder = tempfile::tempdir().unwrap();
    let loaded = config::parse(&config(folder.path()), &folder.path().join("rtalink.toml"), []);
    let integration = loaded.config.expect("a good configuration").integrations.remove(0);
    let plan = Plan::compile(&integration.realtime.as_ref().unwrap().layout, &integration.time_zone).unwrap();
    let tables = Arc::new(mapping_files::read(&integration.mapping).unwrap());
    (Engine::new(integration.settings.clone(), Arc::clone(&plan), tables), plan)
}

/// Returns what each line publishes; at the end who is known, and who is on the page of unmapped users.
fn play(lines: &[&str]) -> String {
    let (mut engine, plan) = engine();
    let metrics = FeedMetrics::new(&Metrics::new().unwrap(), &"avaya-1".into());
    let mut model = IntegrationModel::new("avaya-1".into(), String::new(), metrics);
    let mut told = String::new();
    for (number, line) in (0..).zip(lines) {
        let at = Timestamp::from_millis(1_767_600_000_000 + number * 3_000);
        let mut found = Vec::new();
        let mut answer = None;
        match line.split_once(' ') {
            None if *line == "connects" => engine.open(1, &"peer".into(), at, &mut found),
            None if *line == "goes" => engine.close(1, at, &mut found),
            Some(("forget", login_id)) => {
                let index = engine.tracker().table().find(1, login_id);
                answer = Some(match index {
                    None => "unknown",
                    Some(index) if engine.tracker().is_in_feed(index) => "in the feed",
                    Some(index) => {
                        engine.forget(index, at, &mut found);
                        model.apply(Update::Forgotten(vec![(1, login_id.into())]));
                        "forgotten"
                    }
                });
            }
            _ => {
                let row = |agent: &str| {
                    let (who, state) = agent.split_once(' ').unwrap();
                    let (login_id, name) = who.split_once('-').unwrap_or((who, who));
                    format!("{login_id}|{state}|{name}\n")
                };
                let rows: String = line.split(", ").map(row).collect();
                let piece = Piece::Records(Run { bytes: (rows + "END\n").into(), offset: 0 });
                engine.receive(1, &plan, &piece, at, &mut found);
            }
        }
        let events: Vec<_> = found
            .into_iter()
            .filter_map(
                |finding| if let Finding::Event(event, mapped) = finding { Some((event, mapped)) } else { None },
            )
            .collect();
        let published = events.iter().map(|(event, mapped)| {
            let user = mapped.user.as_ref().map_or("-", |user| &user.employee_id);
            let previous = if event.previous.is_some() { "" } else { " first" };
            format!("{} #{} {} {user}{previous}", event.login_id, event.sequence, event.cause.name())
        });
        let published: Vec<String> = answer.map(str::to_owned).into_iter().chain(published).collect();
        model.apply(Update::Events(events));
        writeln!(told, "{}", format!("{line} -> {}", published.join(", ")).trim_end()).unwrap();
    }
    let table = engine.tracker().table();
    let known: Vec<&str> = table.iter().map(|(_, agent)| &*agent.login_id).collect();
    let mut shown: Vec<&str> = model.agents.keys().map(|(_, login_id)| &**login_id).collect();
    shown.sort_unstable();
    let [users, _] = model.unmapped.listed().sorted();
    let unmapped: Vec<&str> = users.iter().map(|(user, _)| &**user).collect();
    let (known, shown, unmapped) = (known.join(" "), shown.join(" "), unmapped.join(" "));
    let last = format!("known: {known}; logged in: {}; shown: {shown}; unmapped: {unmapped}", table.logged_in());
    told + last.trim_end()
}

#[test]
fn who_comes_again_begins_anew_and_nobody_else_notices() {
    insta::assert_snapshot!(play(&[
        "connects",
        "A AVAIL, B AVAIL, C AVAIL",
        "A AVAIL, B ACD, C AVAIL",
        "A AVAIL, C AVAIL",
        "forget B",
        "forget B",
        "A ACD, D AVAIL, C AVAIL",
        "A ACD, D AVAIL, C AVAIL, B AVAIL",
        "A ACD, D AVAIL, C ACD, B ACD",
    ]), @"
    connects ->
    A AVAIL, B AVAIL, C AVAIL -> A #1 OBSERVED - first, B #1 OBSERVED - first, C #1 OBSERVED - first
    A AVAIL, B ACD, C AVAIL -> B #2 CHANGED -
    A AVAIL, C AVAIL -> B #3 LOGGED_OUT -
    forget B -> forgotten
    forget B -> unknown
    A ACD, D AVAIL, C AVAIL -> A #2 CHANGED -, D #1 LOGGED_IN - first
    A ACD, D AVAIL, C AVAIL, B AVAIL -> B #1 LOGGED_IN - first
    A ACD, D AVAIL, C ACD, B ACD -> C #2 CHANGED -, B #2 CHANGED -
    known: A D C B; logged in: 4; shown: A B C D; unmapped: A B C D
    ");
}

#[test]
fn whom_the_feed_shows_is_not_forgotten() {
    insta::assert_snapshot!(play(&[
        "connects",
        "A AVAIL, B AVAIL",
        "forget B",
        "A AVAIL, B UNSTAFF",
        "forget B",
        "A AVAIL, B UNSTAFF",
        "forget B",
        "A AVAIL",
        "forget B",
        "goes",
        "forget A",
        "connects",
        "A AVAIL",
    ]), @"
    connects ->
    A AVAIL, B AVAIL -> A #1 OBSERVED - first, B #1 OBSERVED - first
    forget B -> in the feed
    A AVAIL, B UNSTAFF -> B #2 LOGGED_OUT -
    forget B -> in the feed
    A AVAIL, B UNSTAFF ->
    forget B -> in the feed
    A AVAIL ->
    forget B -> forgotten
    goes ->
    forget A -> forgotten
    connects ->
    A AVAIL -> A #1 LOGGED_IN - first
    known: A; logged in: 1; shown: A; unmapped: A
    ");
}

#[test]
fn a_name_that_nobody_else_has_any_more_is_somebodys_again() {
    insta::assert_snapshot!(play(&[
        "connects",
        "A-Ada AVAIL, B-Bo AVAIL",
        "A-Ada AVAIL, B-Ada AVAIL",
        "A-Ada AVAIL",
        "forget B",
        "A-Ada ACD",
    ]), @"
    connects ->
    A-Ada AVAIL, B-Bo AVAIL -> A #1 OBSERVED E1 first, B #1 OBSERVED - first
    A-Ada AVAIL, B-Ada AVAIL -> A #2 REMAPPED -
    A-Ada AVAIL -> B #2 LOGGED_OUT -
    forget B -> forgotten, A #3 REMAPPED E1
    A-Ada ACD -> A #4 CHANGED E1
    known: A; logged in: 1; shown: A; unmapped:
    ");
}

#[test]
fn who_was_not_seen_for_long_and_is_not_in_the_feed_is_due() {
    let (mut engine, plan) = engine();
    let at = |seconds: u64| Timestamp::from_millis(1_767_600_000_000).plus(Duration::from_secs(seconds));
    let mut found = Vec::new();
    let send = |engine: &mut Engine, connection, rows: &'static str, seconds| {
        let piece = Piece::Records(Run { bytes: rows.into(), offset: 0 });
        engine.tick(at(seconds), &mut Vec::new());
        engine.receive(connection, &plan, &piece, at(seconds), &mut Vec::new());
    };
    let due = |engine: &mut Engine, age, now, most| -> Vec<String> {
        let due = engine.not_seen_for(Duration::from_secs(age), at(now), most);
        due.into_iter().map(|index| engine.tracker().table().get(index).login_id.to_string()).collect()
    };
    engine.tick(at(0), &mut found);
    engine.open(1, &"peer".into(), at(0), &mut found);
    send(&mut engine, 1, "A|AVAIL|\nB|AVAIL|\n", 0);
    assert!(!engine.tracker().shows_who_is_there(), "the snapshot is not whole");
    send(&mut engine, 1, "C|UNSTAFF|\nEND\n", 0);
    for seconds in (10..=600).step_by(10) {
        send(&mut engine, 1, "A|AVAIL|\nC|UNSTAFF|\nEND\n", seconds);
    }
    assert!(engine.tracker().shows_who_is_there());
    assert_eq!(due(&mut engine, 600, 600, 9), [""; 0], "not longer than that");
    assert_eq!(due(&mut engine, 599, 600, 9), ["B"], "the feed still has the others");
    engine.close(1, at(600), &mut found);
    assert!(!engine.tracker().shows_who_is_there(), "nobody knows");
    // Nobody listens for a day.
    engine.open(2, &"peer".into(), at(86_400), &mut found);
    send(&mut engine, 2, "B|UNSTAFF|\n", 86_400);
    assert!(!engine.tracker().shows_who_is_there());
    send(&mut engine, 2, "END\n", 86_400);
    assert!(engine.tracker().shows_who_is_there());
    send(&mut engine, 2, "B|UNSTAFF|\nEND\n", 86_410);
    engine.close(2, at(86_410), &mut found);
    engine.open(3, &"peer".into(), at(86_410), &mut found);
    send(&mut engine, 3, "D|AVAIL|\nEND\nD|AVAIL|\nEND\n", 86_420);
    assert_eq!(due(&mut engine, 21, 86_420, 9), [""; 0], "of the day, 20 s were listened to");
    assert_eq!(due(&mut engine, 15, 86_420, 9), ["A", "C"]);
    assert_eq!(due(&mut engine, 15, 86_420, 1), ["A"]);
}
