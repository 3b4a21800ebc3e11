//! What a running service takes from a new configuration, and what it refuses.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::Path;

use rtalink::contract::v1;
use rtalink::service::reload::Reloaded;
use tempfile::TempDir;

use crate::support;

use support::http;
use support::process::{Process, rtalink};
use support::service::{Running, folder};
use support::short::{self, send, told};
use support::wait::until_true;

const USERS: &str = "external_user,employee_id,employee_name\n1,E1,Ada\n2,E2,Bo\n";
const ACTIVITIES: &str = "external_activity,activity_id,activity_name\nACD,9,Call\n";

fn config() -> String {
    short::config(short::EMBEDDED, "logout_after = 2\nstale_after = \"30s\"\nallow = []", short::MAPPING)
}

/// The configuration with one line instead of another.
fn edited(from: &str, to: &str) -> String {
    let toml = config();
    assert!(toml.contains(from), "{from}");
    toml.replace(from, to)
}

fn start() -> Running {
    Running::start_in(folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]), &config())
}

#[test]
fn a_new_mapping_is_told_for_those_it_changes_and_its_version_survives() {
    let mut service = start();
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|", "3|AVAIL|", "4|AVAIL|", "END", "4|UNSTAFF|", "3|ACD|", "END"]);
    service.settle(6);
    let before = service.events().len();
    assert_eq!(before, 6);

    // 1 stays, 2 becomes somebody else, 3 somebody at all, 4 is logged out.
    fs::write(
        service.path("users.csv"),
        "external_user,employee_id,employee_name\n1,E1,Ada\n2,E9,Cy\n3,E3,Di\n4,E4,Ed\n",
    )
    .unwrap();
    assert_eq!(service.reload(&config()).unwrap(), Vec::<String>::new());
    assert_eq!(told(&service.events_once(before + 2)[before..]), ["2 #2 REMAPPED E9 1 v2", "3 #3 REMAPPED E3 9 v2"]);

    fs::write(
        service.path("activities.csv"),
        "external_activity,activity_id,activity_name\nACD,9,Call\nAVAIL,7,Ready\n",
    )
    .unwrap();
    service.reload(&config()).unwrap();
    let events = service.events_once(before + 4);
    assert_eq!(told(&events[before + 2..]), ["1 #2 REMAPPED E1 7 v3", "2 #3 REMAPPED E9 7 v3"]);
    let remapped = &events[before + 2];
    assert_eq!(remapped.state, events[0].state, "the state is the same");
    assert_eq!(remapped.previous_activity.as_ref().unwrap().activity_id, "1");

    // Nothing new: nothing to tell, the same version.
    service.reload(&config()).unwrap();
    send(&mut feed, &["1|ACD|"]);
    service.settle(7);
    assert_eq!(told(&service.events()[before + 4..]), ["1 #3 CHANGED E1 9 v3"]);

    let (lost, folder) = service.drain();
    assert_eq!(lost, 0);
    let service = Running::start_in(folder, &config());
    send(&mut service.dial(), &["1|ACD|", "1|AVAIL|"]);
    assert_eq!(told(&service.events_once(1)), ["1 #4 CHANGED E1 7 v3"], "the same content after a restart");
    let (_, folder) = service.drain();
    fs::write(folder.path().join("users.csv"), USERS).unwrap();
    let service = Running::start_in(folder, &config());
    // Another content, though an old one. Who is mapped otherwise than they were published is told at once.
    assert_eq!(told(&service.events_once(2)), ["2 #4 REMAPPED E2 7 v4", "3 #4 REMAPPED - 9 v4"]);
}

#[test]
fn a_broken_mapping_is_refused_as_a_whole() {
    let mut service = start();
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|"]);
    service.settle(2);
    let broken = "external_user,employee_id,employee_name\n1,E8,Eve\n2,E2\n,E3,Fay\n";
    fs::write(service.path("users.csv"), broken).unwrap();
    let problems = service.reload(&edited("logout_after = 2", "logout_after = 1")).unwrap_err();
    let told_problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2);
    for (problem, place) in told_problems.iter().zip(["users.csv:3: ", "users.csv:4: "]) {
        assert!(problem.contains(place), "{told_problems:?}");
    }
    // Neither the mapping nor anything else has changed: one absence logs nobody out.
    send(&mut feed, &["END", "1|ACD|", "END", "1|ACD|"]);
    service.settle(4);
    let events = service.events();
    assert_eq!(told(&events), ["1 #1 OBSERVED E1 1 v1", "2 #1 OBSERVED E2 1 v1", "1 #2 CHANGED E1 9 v1"]);
}

/// At their default places, where nothing names them.
fn start_at_default_places() -> (TempDir, String) {
    let folder = folder(&[]);
    fs::create_dir(folder.path().join("mapping")).unwrap();
    fs::write(folder.path().join("mapping/users.csv"), USERS).unwrap();
    fs::write(folder.path().join("mapping/activities.csv"), ACTIVITIES).unwrap();
    (folder, short::config(short::EMBEDDED, "logout_after = 2\nstale_after = \"30s\"\nallow = []", ""))
}

#[test]
fn a_mapping_file_that_is_gone_or_cannot_be_read_is_no_wish_to_map_nobody() {
    let (folder, toml) = start_at_default_places();
    let mut service = Running::start_in(folder, &toml);
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|"]);
    service.settle(2);
    let away = service.path("away");
    type Harm = fn(&Path, &Path) -> std::io::Result<()>;
    let harms: [(&str, Harm, &[&str]); 4] = [
        ("mapping/users.csv", |file, away| fs::rename(file, away), &["mapping/users.csv: is gone"]),
        ("mapping/activities.csv", |file, away| fs::rename(file, away), &["mapping/activities.csv: is gone"]),
        (
            "mapping",
            |file, away| fs::rename(file, away),
            &["mapping/users.csv: is gone", "mapping/activities.csv: is gone"],
        ),
        (
            "mapping/users.csv",
            |file, away| fs::rename(file, away).and_then(|()| fs::create_dir(file)),
            &["mapping/users.csv: cannot be read: it is a folder"],
        ),
    ];
    for (file, harm, expected) in harms {
        let file = service.path(file);
        harm(&file, &away).unwrap();
        let problems: Vec<String> = service.reload(&toml).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.contains(expected), "{problems:?}");
        }
        if file.is_dir() {
            fs::remove_dir(&file).unwrap();
        }
        fs::rename(&away, &file).unwrap();
        assert_eq!(service.reload(&toml).unwrap(), Vec::<String>::new());
    }
    // Whoever wants to map nobody says so.
    fs::write(service.path("mapping/users.csv"), "external_user,employee_id,employee_name\n").unwrap();
    service.reload(&toml).unwrap();
    let events = told(&service.events_once(4));
    assert_eq!(events[2..], ["1 #2 REMAPPED - 1 v2", "2 #2 REMAPPED - 1 v2"]);
}

#[test]
fn what_a_reload_finds_about_mapping_files_is_told() {
    let (folder, toml) = start_at_default_places();
    let users = folder.path().join("mapping/users.csv");
    let process = Process::run(&folder, &toml);
    let refused = || http::series(&http::get(process.http(), "/metrics").body)["rtalink_reload_refused"].to_string();
    assert_eq!(refused(), "0");
    fs::rename(&users, folder.path().join("away")).unwrap();
    process.signal("HUP");
    let line = process.line("users.csv: is gone, and its mapping is in force");
    assert!(line.contains("ERROR"), "{line}");
    process.line("the running configuration stays in force");
    until_true("the refusal is a metric", || refused() == "1");

    fs::write(&users, "external_user,employee_id,employee_name\n").unwrap();
    process.signal("HUP");
    let line = process.line("0 rows instead of 2: taken");
    assert!(line.contains("WARN") && line.contains("users.csv"), "{line}");
    process.line("reloaded");
    until_true("it is over", || refused() == "0");
    assert_eq!(process.count("has no mapping"), 0);
    drop(process);

    fs::remove_dir_all(folder.path().join("mapping")).unwrap();
    let process = Process::run(&folder, &toml);
    let line = process.line("integration \"avaya-1\" has no mapping");
    assert!(line.contains("WARN"), "{line}");
}

#[test]
fn an_allow_list_is_for_newcomers() {
    let mut service = start();
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|"]);
    service.settle(1);
    let restart = service.reload(&edited("allow = []", "allow = [\"10.0.0.0/8\"]")).unwrap();
    assert_eq!(restart, Vec::<String>::new());
    let _refused = service.dial();
    until_true("a refusal", || service.metric("rtalink_feed_refused_total", "not_allowed") > 0.0);
    send(&mut feed, &["1|ACD|"]);
    service.settle(2);
    assert_eq!(service.events().len(), 2);
}

#[test]
fn a_layout_is_for_the_next_bytes_of_an_open_connection() {
    let mut service = start();
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "END"]);
    service.settle(1);
    assert_eq!(service.reload(&edited("separator = \"|\"", "separator = \";\"")).unwrap(), Vec::<String>::new());
    send(&mut feed, &["1;AUX;3", "1|ACD|"]);
    service.settle(3);
    let events = service.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].external_activity, "AUX:3");
    assert_eq!(service.dead_letters().len(), 1);
    let kinds: Vec<_> = service.feed_statuses().iter().map(v1::FeedStatus::kind).collect();
    assert_eq!(kinds, [v1::feed_status::Kind::Connected]);
}

#[test]
fn thresholds_change_without_a_disconnect() {
    let mut service = start();
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|", "END"]);
    service.settle(2);
    let toml =
        edited("logout_after = 2", "logout_after = 1").replace("stale_after = \"30s\"", "stale_after = \"400ms\"");
    assert_eq!(service.reload(&toml).unwrap(), Vec::<String>::new());
    send(&mut feed, &["1|AVAIL|", "END"]);
    assert_eq!(told(&service.events_once(3)[2..]), ["2 #2 LOGGED_OUT E2 - v1"]);
    until_true("a stale feed", || {
        service.feed_statuses().iter().any(|status| status.kind() == v1::feed_status::Kind::Stale)
    });
    assert!(!service.feed_statuses().iter().any(|status| status.kind() == v1::feed_status::Kind::Disconnected));
}

#[test]
fn a_shortest_refresh_that_is_too_long_is_told_until_another_one_is_taken() {
    let folder = folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]);
    let file = folder.path().join("rtalink.toml");
    let process = Process::run(&folder, &edited("shortest_refresh = \"0s\"", "shortest_refresh = \"20s\""));
    let mut feed = TcpStream::connect(process.feed()).unwrap();
    let mut is_told_after_a_refresh = || {
        send(&mut feed, &["1|AVAIL|", "2|AVAIL|", "END"]);
        let condition = "rtalink_feed_condition{integration=\"avaya-1\",condition=\"shortest_refresh_too_long\"}";
        http::series(&http::get(process.http(), "/metrics").body)[condition] == 1.0
    };
    until_true("it is told", &mut is_told_after_a_refresh);
    let line = process.line("shortest_refresh is more than half of the time between two refreshes");
    assert!(line.contains("WARN") && line.contains("shortest_refresh_ms=20000 period_ms="), "{line}");

    fs::write(&file, config()).unwrap();
    process.signal("HUP");
    until_true("it is over", || !is_told_after_a_refresh());
    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0), "{}", log.join("\n"));
    assert_eq!(log.iter().filter(|line| line.contains("shortest_refresh is more than half")).count(), 1);
}

#[test]
fn what_needs_a_restart_is_named_and_not_taken() {
    let cases = [
        ("partitions = 1", "partitions = 2", "kafka"),
        ("\"127.0.0.1:0\"", "\"127.0.0.1:9464\"", "http.listen"),
        ("[http]", "[store]\ndirectory = \"other\"\n[http]", "store.directory"),
    ];
    let mut service = start();
    let mut feed = service.dial();
    for (from, to, keys) in cases {
        let reloaded = service.change(&edited(from, to)).unwrap();
        assert_eq!(reloaded, Reloaded { needs_restart: vec![keys.to_owned()], ..Reloaded::default() }, "{to}");
    }
    send(&mut feed, &["1|AVAIL|"]);
    service.settle(1);
}

#[test]
fn what_a_feed_cannot_take_ends_it_and_starts_it_again_where_it_was() {
    let cases = [
        ("allow = []", "mode = \"delta\"", "realtime.mode"),
        ("acd = 1", "acd = 1\ndetails = true", "details"),
        ("\"marker\"", "\"idle\"", "realtime.snapshot_end"),
        ("allow = []", "refresh_after = \"10m\"", "realtime.refresh_after"),
    ];
    let mut service = start();
    for (count, (from, to, key)) in cases.into_iter().enumerate() {
        let mut feed = service.dial();
        send(&mut feed, &[["1|AVAIL|", "1|ACD|"][count % 2], "END"]);
        service.settle(u32::try_from(count + 1).unwrap());
        let reloaded = service.change(&edited(from, to)).unwrap();
        let started_again = vec![("avaya-1".into(), vec![key.to_owned()])];
        assert_eq!(reloaded.started_again, started_again, "{to}");
        assert_eq!(reloaded.needs_restart, Vec::<String>::new(), "{to}");
        assert_eq!(end_of(&mut feed), Vec::<u8>::new(), "{to}: the connection has ended");
        // Back again, for the next one.
        service.change(&config()).unwrap();
    }
    let events = service.events();
    assert_eq!(
        events.iter().map(|event| event.sequence).collect::<Vec<_>>(),
        (1..=cases.len() as u64).collect::<Vec<_>>()
    );
    let kinds: Vec<_> = service.feed_statuses().iter().map(v1::FeedStatus::kind).collect();
    let count = |wanted| kinds.iter().filter(|kind| **kind == wanted).count();
    assert_eq!(count(v1::feed_status::Kind::Connected), cases.len());
    assert_eq!(count(v1::feed_status::Kind::Disconnected), cases.len());
}

/// What comes until the connection ends.
fn end_of(feed: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // It may be reset.
    let _ = feed.read_to_end(&mut rest);
    rest
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_layout_that_needs_another_mode_is_taken_with_it() {
    let mut service = start();
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "END"]);
    service.settle(1);
    let layout = edited("separator = \"|\"", "separator = \";\"");
    service.change(&layout.replace("snapshot_end = \"marker\"", "snapshot_end = \"idle\"")).unwrap();
    let mut feed = service.dial();
    send(&mut feed, &["1;AUX;3"]);
    service.settle(2);
    let activities: Vec<_> = service.events().into_iter().map(|event| event.external_activity).collect();
    assert_eq!(activities, ["AVAIL", "AUX:3"]);
}

/// The configuration with these integrations.
fn with_integrations(ids: &[&str]) -> String {
    let one = config();
    let begin = one.find("[[integration]]").unwrap();
    let end = one.find("[layout.short]").unwrap();
    let integration = &one[begin..end];
    let all: Vec<String> =
        ids.iter().map(|id| integration.replace("id = \"avaya-1\"", &format!("id = \"{id}\""))).collect();
    format!("{}{}{}", &one[..begin], all.concat(), &one[end..])
}

#[test]
fn integrations_come_and_go_while_another_goes_on() {
    let files = [("users.csv", USERS), ("activities.csv", ACTIVITIES)];
    let mut service = Running::start_in(folder(&files), &with_integrations(&["avaya-1"]));
    let mut first = service.dial();
    send(&mut first, &["1|AVAIL|", "END"]);
    service.settle(1);

    let reloaded = service.change(&with_integrations(&["avaya-1", "avaya-2"])).unwrap();
    assert_eq!(reloaded, Reloaded { added: vec!["avaya-2".into()], ..Reloaded::default() });
    let mut second = TcpStream::connect(service.feed_of("avaya-2")).unwrap();
    send(&mut second, &["1|ACD|", "2|AVAIL|", "END"]);
    service.settle(3);
    let integrations = service.get("/api/v1/integrations");
    assert!(integrations.body.contains("avaya-2"), "{}", integrations.body);
    assert_eq!(service.metric("rtalink_feed_up", "integration=\"avaya-2\""), 1.0);
    // What HTTP asks for reaches it.
    assert_eq!(http::post(service.http_address(), "/api/v1/integrations/avaya-2/pause").status, 200);
    assert_eq!(http::post(service.http_address(), "/api/v1/integrations/avaya-2/resume").status, 200);

    let reloaded = service.change(&with_integrations(&["avaya-1"])).unwrap();
    assert_eq!(reloaded, Reloaded { removed: vec!["avaya-2".into()], ..Reloaded::default() });
    assert_eq!(end_of(&mut second), Vec::<u8>::new());
    assert!(!service.metrics.render().contains("rtalink_feed_up{integration=\"avaya-2\""));
    until_true("its people are known", || {
        service.metric("rtalink_removed_integration_agents", "integration=\"avaya-2\"") == 2.0
    });
    send(&mut first, &["1|ACD|", "END"]);
    service.settle(2);

    // It comes back with its people and their sequences.
    let reloaded = service.change(&with_integrations(&["avaya-1", "avaya-2"])).unwrap();
    assert_eq!(reloaded, Reloaded { added: vec!["avaya-2".into()], ..Reloaded::default() });
    let mut second = TcpStream::connect(service.feed_of("avaya-2")).unwrap();
    send(&mut second, &["1|ACD|", "2|ACD|", "END"]);
    service.settle(6);
    assert_eq!(service.metric("rtalink_feed_up", "integration=\"avaya-2\""), 1.0);
    assert!(!service.metrics.render().contains("rtalink_removed_integration_agents{"), "nothing is removed any more");
    let events = service.events();
    let of_second = |event: &&v1::AgentStateEvent| event.integration == "avaya-2";
    let sequences: Vec<(&str, u64)> =
        events.iter().filter(of_second).map(|event| (&*event.login_id, event.sequence)).collect();
    assert_eq!(sequences, [("1", 1), ("2", 1), ("2", 2)]);
    // The first has never lost its connection.
    send(&mut first, &["1|AVAIL|", "END"]);
    service.settle(7);
    let statuses = service.feed_statuses();
    let of_first: Vec<_> =
        statuses.iter().filter(|status| status.integration == "avaya-1").map(v1::FeedStatus::kind).collect();
    assert_eq!(of_first, [v1::feed_status::Kind::Connected]);
}

#[test]
fn an_integration_that_waits_for_kafka_keeps_no_other_waiting() {
    let folder = folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]);
    // The first run knows avaya-1; avaya-2 is new when Kafka is away, and its agents may be there.
    let process = Process::run(&folder, &with_integrations(&["avaya-1"]));
    let mut feed = TcpStream::connect(process.feed()).unwrap();
    send(&mut feed, &["1|AVAIL|", "END"]);
    process.line("CONNECTED");
    assert_eq!(process.terminate().0, Some(0));
    let away = |ids: &[&str]| with_integrations(ids).replace("\"embedded\"", "\"127.0.0.1:1\"");
    let file = folder.path().join("rtalink.toml");
    fs::write(&file, away(&["avaya-1", "avaya-2"])).unwrap();
    let mut command = rtalink();
    command.args(["run", "--config"]).arg(&file);
    let process = Process::spawn(command);
    process.line("listening for CMS integration=avaya-1");
    let mut feed = TcpStream::connect(process.feed_of("avaya-1")).unwrap();
    send(&mut feed, &["1|ACD|", "END"]);
    process.line("no agents yet");
    process.line("CONNECTED");
    assert_eq!(process.count("started http="), 0, "not everything is there");
    assert_eq!(process.count("listening for CMS integration=avaya-2"), 0);
    // Taken out, nothing waits any more.
    fs::write(&file, away(&["avaya-1"])).unwrap();
    process.signal("HUP");
    process.line("started http=");
    // Put back, it waits again, and holds up neither a reload nor the end.
    fs::write(&file, away(&["avaya-1", "avaya-2"])).unwrap();
    process.signal("HUP");
    process.line("reload: the integration is new integration=avaya-2");
    send(&mut feed, &["1|AVAIL|", "END"]);
    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0), "{}", log.join("\n"));
    assert_eq!(log.iter().filter(|line| line.contains("DISCONNECTED")).count(), 1, "it was never disconnected before");
}

#[test]
fn a_port_that_is_taken_refuses_the_reload_and_two_that_change_places_do_not() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    let mut service = start();
    let mut feed = service.dial();
    let problems = service.change(&edited("port = 0", &format!("port = {taken_port}"))).unwrap_err();
    assert!(problems[0].to_string().contains("another process has the port"), "{}", problems[0]);
    send(&mut feed, &["1|AVAIL|", "END"]);
    service.settle(1);
    drop(taken);

    let [one, other] = [taken_port, free_port()];
    let both = |first: u16, second: u16| {
        let toml = with_integrations(&["avaya-1", "avaya-2"]).replacen("port = 0", &format!("port = {first}"), 1);
        toml.replacen("port = 0", &format!("port = {second}"), 1)
    };
    service.change(&both(one, other)).unwrap();
    let reloaded = service.change(&both(other, one)).unwrap();
    assert_eq!(reloaded.started_again.len(), 2);
    assert_eq!(service.feed_of("avaya-1").port(), other);
    assert_eq!(service.feed_of("avaya-2").port(), one);
}

#[test]
fn sighup_reloads_the_file() {
    let folder = folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]);
    let file = folder.path().join("rtalink.toml");
    let process = Process::run(&folder, &config());
    let mut feed = TcpStream::connect(process.feed()).unwrap();
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|"]);
    process.line("CONNECTED");

    let edited_file = edited("partitions = 1", "partitions = 2").replace("[http]", "[log]\nlevel = \"debug\"\n[http]");
    fs::write(&file, edited_file).unwrap();
    process.signal("HUP");
    let line = process.line("need a restart");
    assert!(line.contains("WARN") && line.contains("keys=kafka"), "{line}");
    let _second = TcpStream::connect(process.feed()).unwrap();
    process.line("DEBUG rtalink::feed: accepted");

    fs::write(folder.path().join("users.csv"), "external_user,employee_id,employee_name\n1,E1,Ada\n1,E2,Bo\n").unwrap();
    process.signal("HUP");
    let line = process.line("users.csv:3: ");
    assert!(line.contains("ERROR"), "{line}");
    process.line("the running configuration stays in force");

    let broken = edited("acd = 1", "acd = one\nacdc = 1");
    let place = broken.lines().position(|line| line.contains("acd = one")).unwrap() + 1;
    fs::write(&file, broken).unwrap();
    process.signal("HUP");
    process.line(&format!("rtalink.toml:{place}:"));
    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0), "{}", log.join("\n"));
}

/// Runs what the unit does at `systemctl reload`, one after the other until one fails, as systemd does.
fn systemctl_reload(process: &Process) -> Result<(), String> {
    let unit = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd/rtalink.service")).unwrap();
    let lines: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("ExecReload=")).collect();
    assert!(!lines.is_empty());
    for line in lines {
        let line = line.replace("/usr/local/bin/rtalink", env!("CARGO_BIN_EXE_rtalink"));
        // The test's service has whatever port was free.
        let line = line.replace("--config /etc/rtalink/rtalink.toml", &format!("--http {}", process.http()));
        let mut words = line.split(' ');
        let output = std::process::Command::new(words.next().unwrap()).args(words).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
    }
    Ok(())
}

#[test]
fn a_reload_by_systemd_fails_where_the_configuration_is_refused() {
    let folder = folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]);
    let process = Process::run(&folder, &with_integrations(&["avaya-1"]));
    let file = folder.path().join("rtalink.toml");
    let good = fs::read_to_string(&file).unwrap();
    systemctl_reload(&process).unwrap();
    process.line("reloaded");
    fs::write(&file, good.replace("acd = ", "acd = \"x\" # ")).unwrap();
    let refused = systemctl_reload(&process).unwrap_err();
    assert!(refused.contains("acd: expected a whole number"), "{refused}");
    fs::write(&file, good).unwrap();
    systemctl_reload(&process).unwrap();
    until_true("the next reload", || process.count("reloaded") == 2);
}
