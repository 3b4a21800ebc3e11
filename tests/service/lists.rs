//! The mapping files of a running service: what they lack, and who says so.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support;

use support::http;
use support::process::{Process, output};
use support::service::{Running, folder};
use support::short::{self, send, told};
use support::wait::until_true;

const USERS: &str = "external_user,employee_id,employee_name\n4711,E1,Ada\n4712,E2,Bo\n0815,E3,Cy\n";
const ACTIVITIES: &str = "external_activity,activity_id,activity_name\nACD,9,Call\nAUX:03,3,Lunch\n";

fn config() -> String {
    short::config(short::EMBEDDED, "logout_after = 2\nallow = []", short::MAPPING)
}

fn start() -> Running {
    Running::start_in(folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]), &config())
}

/// Runs a command against a service; its exit code, what it prints, and what it complains of.
fn command(service: &Running, arguments: &[&str]) -> (Option<i32>, String, String) {
    let http = service.http_address().to_string();
    let output = output(&[arguments, &["--http", &http]].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_is_unmapped_is_told_with_the_rows_that_were_meant_and_can_be_appended() {
    let mut service = start();
    let mut feed = service.dial();
    // 04711 has lost its zero in the list; 04712 is somebody else; nobody has 815 or 99 in the list.
    send(&mut feed, &["04711|AVAIL|", "04712|ACD|", "4712|ACD|", "815|AUX|3", "99|ACD|", "END"]);
    service.settle(5);
    until_true("all of them are listed", || service.metric("rtalink_unmapped_users", "") == 4.0);
    let without_times = |text: &str| {
        let lines = text.lines().map(|line| match line.split_once(", last ") {
            Some((begin, rest)) => format!("{begin}{}", &rest[27..]),
            None => line.to_owned(),
        });
        lines.collect::<Vec<_>>()
    };
    let (code, printed, complaints) = command(&service, &["unmapped"]);
    let expected = [
        "avaya-1: 4 unmapped user(s), 2 unmapped activity(ies)",
        "  user 04711: 1 event(s)",
        "    the list has \"4711\" for E1 (Ada), without its zeros: format the column as text, and write \"04711\" there",
        "  user 04712: 1 event(s)",
        "    the list has \"4712\" for E2 (Bo), which is somebody in the feed: probably another person",
        "  user 815: 1 event(s)",
        "    the list has \"0815\" for E3 (Cy), which differs in zeros: write \"815\" there",
        "  user 99: 1 event(s)",
        "  activity AUX:3: 1 event(s)",
        "    the list has \"AUX:03\" for 3 (Lunch), which differs in zeros: write \"AUX:3\" there",
        "  activity AVAIL: 1 event(s)",
    ];
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    assert_eq!(without_times(&printed), expected);

    let (_, printed, _) = command(&service, &["unmapped", "--csv"]);
    let both = "external_user,employee_id,employee_name\n04711,E1,Ada\n04712,,\n815,E3,Cy\n99,,\n\n\
                external_activity,activity_id,activity_name\nAUX:3,3,Lunch\nAVAIL,,\n";
    assert_eq!(printed, both);

    // What is still to be filled in is refused, and what is filled in is taken.
    let (_, rows, _) = command(&service, &["unmapped", "--csv=users", "--integration", "avaya-1"]);
    fs::write(service.path("users.csv"), USERS.to_owned() + &rows).unwrap();
    let refused: Vec<String> = service.reload(&config()).unwrap_err().iter().map(|problem| problem.line()).collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|line| line.contains("employee_id (column B) is empty")), "{refused:?}");
    let filled = rows.replace("04712,,", "04712,E4,Di").replace("99,,", "99,E5,Eve");
    fs::write(service.path("users.csv"), USERS.to_owned() + &filled).unwrap();
    service.reload(&config()).unwrap();
    let events = service.events_once(9);
    let mut told = told(&events[5..]);
    told.sort_unstable();
    let expected =
        ["04711 #2 REMAPPED E1 1 v2", "04712 #2 REMAPPED E4 9 v2", "815 #2 REMAPPED E3 1 v2", "99 #2 REMAPPED E5 9 v2"];
    assert_eq!(told, expected);
    until_true("nobody is listed", || service.metric("rtalink_unmapped_users", "") == 0.0);

    let (code, _, complaints) = command(&service, &["unmapped", "--integration", "avaya-2"]);
    assert_eq!(code, Some(1));
    assert!(complaints.contains("no integration \"avaya-2\": expected one of avaya-1"), "{complaints}");
    service.drain();
}

#[test]
fn a_row_counts_on_its_acd_and_in_its_time() {
    let users = "Externe Benutzerkennung;Mitarbeiter-ID;Mitarbeiter;ACD;Gültig ab;Gültig bis\r\n\
                 4711;E1;Ada;;;31.12.2019\r\n4711;E2;Bo;1;1.1.2020;\r\n4712;E3;Cy;2;;\r\n4713;E4;Di;;;2020-01-01\r\n";
    let service = Running::start_in(folder(&[("users.csv", users), ("activities.csv", ACTIVITIES)]), &config());
    let mut feed = service.dial();
    send(&mut feed, &["4711|ACD|", "4712|ACD|", "4713|ACD|", "END"]);
    service.settle(3);
    let expected = ["4711 #1 OBSERVED E2 9 v1", "4712 #1 OBSERVED - 9 v1", "4713 #1 OBSERVED - 9 v1"];
    assert_eq!(told(&service.events_once(3)), expected);
    until_true("all of them are listed", || service.metric("rtalink_unmapped_users", "") == 2.0);
    let (_, printed, _) = command(&service, &["unmapped"]);
    for expected in [
        "    the list has it for E3 (Cy), but only on ACD 2\n",
        "    the list has it for E4 (Di), but only until 2020-01-01T00:00:00.000Z\n",
    ] {
        assert!(printed.contains(expected), "{printed}");
    }
    let (_, printed, _) = command(&service, &["unmapped", "--csv=users"]);
    assert_eq!(printed, "4712,,\n4713,,\n");
    service.drain();
}

#[test]
fn a_reload_is_asked_for_over_http_and_answers_with_what_has_changed_or_why_not() {
    let folder = folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]);
    let process = Process::run(&folder, &config());
    let mut feed = TcpStream::connect(process.feed()).unwrap();
    send(&mut feed, &["4711|ACD|", "END"]);
    process.line("CONNECTED");
    let http = process.http().to_string();
    let reload = || {
        let output = output(&["reload", "--http", &http]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        // Ports of tests are any that is free, of which each reload warns.
        let complaints = text(output.stderr).replace("  hint: give the port that CMS dials\n", "");
        let complaints = complaints.lines().filter(|line| !line.contains("port: 0 takes any free port"));
        (output.status.code(), text(output.stdout), complaints.collect::<Vec<_>>().join("\n"))
    };
    assert_eq!(reload(), (Some(0), "nothing has changed\n".to_owned(), String::new()));

    fs::write(folder.path().join("users.csv"), USERS.replace("4712,E2,Bo", "4713,E4,Di").replace("Ada", "Eve"))
        .unwrap();
    let toml =
        config().replace("logout_after = 2", "logout_after = 3").replace("[kafka]", "shutdown_grace = \"7s\"\n[kafka]");
    fs::write(folder.path().join("rtalink.toml"), &toml).unwrap();
    let expected = "avaya-1: changed: realtime.logout_after, mapping\navaya-1: mapping version 2, before 1; users +1 -1 ~1\n\
                    waits for a restart: shutdown_grace\n";
    assert_eq!(reload(), (Some(0), expected.to_owned(), String::new()));
    process.line("reloaded");

    fs::write(folder.path().join("users.csv"), USERS.to_owned() + "4711,E9,Zauberwald\n").unwrap();
    let (code, printed, complaints) = reload();
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    assert!(complaints.contains("refused, the running configuration stays in force\nerror: "), "{complaints}");
    assert!(complaints.contains("users.csv:5: the external_user of line 2 is here again"), "{complaints}");
    assert!(!complaints.contains("Zauberwald"), "nobody is named over HTTP: {complaints}");
    assert_eq!(http::series(&http::get(process.http(), "/metrics").body)["rtalink_reload_refused"], 1.0);
    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0), "{}", log.join("\n"));
    assert_eq!(log.iter().filter(|line| line.contains("DISCONNECTED")).count(), 1, "its connection was never closed");

    // Who has no file to read again says so.
    let service = start();
    let (code, _, complaints) = command(&service, &["reload"]);
    assert_eq!(code, Some(1));
    assert!(complaints.contains("this process has no configuration file to read again"), "{complaints}");
    service.drain();
}

/// A folder as Kubernetes mounts a ConfigMap: links to a folder that is swapped as a whole.
fn swap(folder: &Path, version: &str, users: &str) {
    let data = folder.join(version);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("users.csv"), users).unwrap();
    fs::write(data.join("activities.csv"), ACTIVITIES).unwrap();
    symlink(version, folder.join("..next")).unwrap();
    fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
}

#[test]
fn mapping_files_that_change_are_taken_when_they_are_still_and_beyond_doubt() {
    let folder = folder(&[]);
    let mapping = folder.path().join("mapping");
    fs::create_dir(&mapping).unwrap();
    swap(&mapping, "..1", USERS);
    for file in ["users.csv", "activities.csv"] {
        symlink(format!("..data/{file}"), mapping.join(file)).unwrap();
    }
    let toml = short::config(short::EMBEDDED, "logout_after = 2\nallow = []", "");
    let process = Process::run(&folder, &toml);
    let mut feed = TcpStream::connect(process.feed()).unwrap();
    send(&mut feed, &["4711|ACD|", "99|ACD|", "END"]);
    process.line("CONNECTED");
    let metric = |series: &str| http::series(&http::get(process.http(), "/metrics").body)[series];
    let condition =
        |name: &str| metric(&format!("rtalink_mapping_condition{{integration=\"avaya-1\",condition=\"{name}\"}}"));

    // Swapped as a whole.
    let more = USERS.to_owned() + "99,E9,Zauberwald\n";
    swap(&mapping, "..2", &more);
    let line = process.line("the mapping files have changed: taken");
    assert!(line.contains("version=2 users_added=1 users_removed=0"), "{line}");
    until_true("99 is mapped", || metric("rtalink_events_total{integration=\"avaya-1\",cause=\"REMAPPED\"}") == 1.0);

    // Something is wrong with it: said once, with its line, and nobody is named.
    swap(&mapping, "..3", &(more.clone() + "99,E8,Quellnymph\n"));
    process.line("a mapping file has changed and is refused");
    let line = process.line("users.csv:6: the external_user of line 5 is here again");
    assert!(line.contains("ERROR"), "{line}");
    until_true("it is shown", || condition("refused") == 1.0 && metric("rtalink_reload_refused") == 1.0);

    // Most rows are gone: not without somebody who asks for it. Away for a moment is not reported.
    fs::rename(mapping.join("..data"), mapping.join("..away")).unwrap();
    swap(&mapping, "..4", "external_user,employee_id,employee_name\n4711,E1,Ada\n");
    let line = process.line("a mapping file has lost more than half of its rows: not taken");
    assert!(line.contains("WARN"), "{line}");
    until_true("it is shown", || condition("shrunken") == 1.0 && condition("refused") == 0.0);
    let asked = output(&["reload", "--http", &process.http().to_string()]);
    let printed = String::from_utf8(asked.stdout).unwrap();
    assert!(printed.contains("avaya-1: mapping version 3, before 2; users +0 -3 ~0"), "{printed}");
    assert_eq!((condition("shrunken"), metric("rtalink_reload_refused")), (0.0, 0.0));

    // Written in place, as an editor does.
    fs::write(mapping.join("..4/users.csv"), "external_user,employee_id,employee_name\n4711,E1,Eve\n").unwrap();
    process.line("version=4 users_added=0 users_removed=0 users_changed=1");
    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0), "{}", log.join("\n"));
    let count = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        (count("is refused"), count("has lost more than half"), count("is gone"), count("DISCONNECTED")),
        (1, 1, 0, 1),
        "{log:#?}"
    );
    assert!(!log.iter().any(|line| line.contains("Zauberwald") || line.contains("Quellnymph")), "{log:#?}");
}
