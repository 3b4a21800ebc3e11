//! The commands as their users meet them: arguments in, output and exit code out.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use rtalink::time::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support;

use support::kafka::free_port;
use support::process::{Process, output, rtalink, write};
use support::service::folder;
use support::short::LAYOUT;
use support::small_disk::SmallDisk;
use support::wait::{until, until_true};

/// One integration; `more` goes to the end of the file.
fn config(port: u16, http: u16, layout: &str, more: &str) -> String {
    format!(
        r#"
[kafka]
bootstrap_servers = "embedded"
partitions = 1
[http]
listen = "127.0.0.1:{http}"
[[integration]]
id = "avaya-1"
kind = "avaya-cms"
acd = 1
[integration.realtime]
port = {port}
bind = "127.0.0.1"
layout = "{layout}"
shortest_refresh = "0s"
{more}
"#
    )
}

const FIXED: &str = r#"
[layout.fixed]
record_length = 8
columns = [{ field = "login_id", at = 0, width = 4 }, { field = "state", at = 4, width = 4 }]
states = "rta-codes"
"#;

/// A folder with that configuration, and the file.
fn with_config(toml: &str) -> (TempDir, String) {
    let folder = folder(&[("rtalink.toml", toml)]);
    let file = folder.path().join("rtalink.toml").to_str().unwrap().to_owned();
    (folder, file)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = rtalink();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn decode(toml: &str, input: &[u8]) -> Vec<String> {
    let (_folder, file) = with_config(toml);
    let output = with_input(&["decode", "--config", &file, "--integration", "avaya-1"], input);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn every_command_has_an_example_and_wrong_usage_exits_2() {
    let help = text(&output(&["--help"]).stdout);
    let commands = [
        "run", "demo", "check", "decode", "replay", "capture", "simulate", "tail", "store", "pause", "resume",
        "health", "unmapped", "reload",
    ];
    for command in commands {
        assert!(help.contains(command), "{help}");
        let output = output(&[command, "--help"]);
        let help = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{command}");
        let example = format!("Example:\n  rtalink {command}");
        assert!(help.contains(&example) || help.contains(&format!("| rtalink {command}")), "{command}: {help}");
    }
    let wrong: [&[&str]; 12] = [
        &[],
        &["unknown"],
        &["run"],
        &["check", "--conf", "x"],
        &["decode", "--config", "x"],
        &["tail"],
        &["tail", "--config", "x", "--bootstrap", "y"],
        &["simulate", "--connect", "x", "--layout", "y", "--scenario", "nights"],
        &["capture", "--listen", "nowhere", "--output", "x"],
        &["health", "--timeout", "0s"],
        &["health", "avaya-1"],
        &["health", "--http", "127.0.0.1:1", "--config", "x"],
    ];
    for arguments in wrong {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn failures_exit_1_with_one_message() {
    let (folder, file) = with_config(&config(0, 0, "cisco-icm-20", ""));
    let missing = folder.path().join("none").to_str().unwrap().to_owned();
    let with = |command, rest: &[&'static str]| [&[command, "--config", &file, "--integration"], rest].concat();
    let cases: [(Vec<&str>, &str); 6] = [
        (vec!["check", "--config", &missing], "cannot read the configuration"),
        (with("decode", &["avaya-2"]), "has no integration \"avaya-2\": expected one of avaya-1"),
        (with("decode", &["avaya-1", "/nowhere/feed"]), "cannot read /nowhere/feed"),
        (with("replay", &["avaya-1", "/nowhere/feed"]), "cannot read /nowhere/feed"),
        (vec!["simulate", "--connect", "127.0.0.1:1", "--layout", "cisco"], "expected one of cisco-icm-20"),
        (vec!["tail", "--config", &file], "--bootstrap"),
    ];
    for (arguments, message) in cases {
        let output = output(&arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains(message) && !told.contains("panicked"), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn check_tells_every_problem_with_its_line() {
    let toml = config(0, 0, "cisco-icm-21", FIXED)
        .replace("acd = 1", "acd = \"one\"")
        .replace("partitions = 1", "partitons = 1")
        .replace("width = 4 }]", "width = 5 }]");
    let (_folder, file) = with_config(&toml);
    let output = output(&["check", "--config", &file]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let line_of = |wanted: &str| toml.lines().position(|line| line.contains(wanted)).unwrap() + 1;
    let problems = [
        ("partitons", "did you mean \"partitions\"?"),
        ("acd = \"one\"", "acd"),
        ("layout = \"cisco-icm-21\"", "did you mean \"cisco-icm-20\"?"),
        ("width = 5", "ends at byte 9"),
    ];
    for (line, message) in problems {
        let place = format!("error: {file}:{}:", line_of(line));
        assert!(told.contains(&place) && told.contains(message), "{place} {message}: {told}");
    }
    assert!(told.contains("4 error(s)"), "{told}");
}

#[test]
fn check_reads_the_mapping_too() {
    let mapping = "[integration.mapping]\nusers = \"u.csv\"\nactivities = \"a.csv\"\n";
    let (folder, file) = with_config(&config(0, 0, "cisco-icm-20", mapping));
    write(folder.path(), "u.csv", "external_user,employee_id,employee_name\n1,E1\n");
    write(folder.path(), "a.csv", "external_activity,activity_id,activity_name\nACD,1,Call\nLUNCH,2,Lunch\n");
    let failed = output(&["check", "--config", &file]);
    let told = text(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1));
    assert!(told.contains("u.csv:2: ") && told.contains("a.csv:3: "), "{told}");

    write(folder.path(), "u.csv", "external_user,employee_id,employee_name\n1,E1,Ada\n");
    write(folder.path(), "a.csv", "external_activity,activity_id,activity_name\nACD,1,Call\n");
    let passed = output(&["check", "--config", &file]);
    assert_eq!(passed.status.code(), Some(0), "{}", text(&passed.stderr));
    assert!(text(&passed.stdout).contains("ok, 1 integration(s)"), "{}", text(&passed.stdout));

    write(folder.path(), "u.csv", "external_user,employee_id,employee_name\n1,E1,Ada\n2 ,E2\u{a0},Bo\na  b,E3,Cy\n");
    let passed = output(&["check", "--config", &file]);
    let told = text(&passed.stderr);
    assert_eq!(passed.status.code(), Some(0), "{told}");
    for expected in
        ["u.csv:3: white space around 2 values is left out", "u.csv:4: 1 value of external_user with two blanks"]
    {
        assert!(told.lines().any(|line| line.starts_with("warning: ") && line.contains(expected)), "{told}");
    }
    assert!(!told.contains("E2") && !told.contains("a  b"), "{told}");
}

#[test]
fn a_port_in_use_is_a_warning_for_check_and_an_error_for_run() {
    let (feed, http) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (feed_address, http_address) = (feed.local_addr().unwrap(), http.local_addr().unwrap());
    let (_folder, file) = with_config(&config(feed_address.port(), http_address.port(), "cisco-icm-20", ""));
    for (command, code, severity) in [("check", 0, "warning"), ("run", 1, "error")] {
        let output = output(&[command, "--config", &file]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        for address in [feed_address, http_address] {
            let place = |line: &&str| line.contains(&format!("{severity}: ")) && line.contains(&address.to_string());
            assert!(told.lines().any(|line| place(&line)), "{command} {address}: {told}");
        }
    }
}

/// What `check` and `run` say, which end alike.
fn refused_by_both(file: &str) -> String {
    let [checked, run] = ["check", "run"].map(|command| output(&[command, "--config", file]));
    let told = text(&checked.stderr);
    assert_eq!((checked.status.code(), run.status.code()), (Some(1), Some(1)), "{told}\n{}", text(&run.stderr));
    told
}

#[test]
fn what_run_refuses_check_refuses_and_says_where() {
    let config = |kafka: &str, store: &str| {
        config(0, free_port(), "cisco-icm-20", "").replacen("partitions = 1", &format!("partitions = 1\n{kafka}"), 1)
            + store
    };
    let cases = [
        (
            "[kafka.properties]\n\"sasl.pasword\" = \"hunter2\"",
            "",
            ":6:18: \"sasl.pasword\": librdkafka has no such property\n  hint: did you mean \"sasl.password\"?",
        ),
        ("[kafka.properties]\nlinger.ms = 9999999999", "", ":6:13: \"linger.ms\": must be from 0 to 900000"),
        (
            "[kafka.properties]\nsecurity.protocol = \"SSL\"\nssl.ca.location = \"/no/ca.pem\"",
            "",
            ":7:19: \"ssl.ca.location\": /no/ca.pem: there is no such file",
        ),
        (
            "[kafka.properties]\nsecurity.protocol = \"SASL_SSL\"",
            "",
            ": [kafka.properties]: sasl.mechanism: GSSAPI is not in this program",
        ),
        ("", "[store]\ndirectory = \"rtalink.toml/data\"\n", ": [store] the store directory "),
    ];
    for (kafka, store, expected) in cases {
        let (_folder, file) = with_config(&config(kafka, store));
        let told = refused_by_both(&file);
        assert!(told.contains(&format!("{file}{expected}")), "{expected}\n{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    // Nobody needs the directory.
    let (folder, _) = with_config("");
    let toml = config("", "[store]\ndirectory = \"rtalink.toml/data\"\nin_memory = true\n");
    let process = Process::run(&folder, &toml);
    assert!(process.line("in_memory").contains("WARN"));
    let answer = support::http::get(process.http(), "/health/ready");
    assert_eq!((answer.status, &answer.json()["store"]), (200, &json!("in memory, as configured")), "{}", answer.body);
    let file = folder.path().join("rtalink.toml");
    let checked = output(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
}

#[test]
fn a_disk_that_takes_nothing_now_is_a_warning() {
    let (folder, file) = with_config(&config(0, free_port(), "cisco-icm-20", ""));
    let Some(disk) = SmallDisk::mount(&folder.path().join("data"), "1M") else {
        println!("skipped: this process may not mount");
        return;
    };
    disk.fill();
    let checked = output(&["check", "--config", &file]);
    let told = text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(0), "{told}");
    assert!(told.contains("warning: ") && told.contains("the service would start in memory, not ready"), "{told}");
}

#[test]
fn mapping_files_are_read_where_the_configuration_has_errors() {
    let toml = config(7001, 9464, "cisco-icm-20", "[integration.mapping]\nusers = \"users.csv\"\n")
        .replace("acd = 1", "acd = x");
    let folder = folder(&[
        ("rtalink.toml", &toml.replace('\n', "\r\n")),
        ("users.csv", "external_user,employee_id,employee_name\r\n1,,A\r\n"),
    ]);
    let checked = output(&["check", "--config", folder.path().join("rtalink.toml").to_str().unwrap()]);
    let told = text(&checked.stderr);
    let place = toml.lines().position(|line| line == "acd = x").unwrap() + 1;
    for expected in [
        format!("rtalink.toml:{place}:7: "),
        "users.csv:2: employee_id (column B) is empty: ".to_owned(),
        "  line: 1,,A\n".to_owned(),
    ] {
        assert!(told.contains(&expected), "{expected}\n{told}");
    }
}

#[test]
fn decode_prints_one_line_per_record() {
    let toml = config(0, 0, "cisco-icm-20", "");
    let good = format!("301204 80 0 0 0 232 0 1 801326 232 1{}", " 0 0".repeat(19));
    let line = |offset: usize| {
        format!(
            "{{\"loginId\":\"301204\",\"mode\":\"RING\",\"direction\":\"NONE\",\"rawState\":\"80\",\"auxReason\":0,\
             \"workSplit\":\"232\",\"extension\":\"801326\",\"skills\":[{{\"skill\":\"232\",\"level\":1}}],\
             \"offset\":{offset}}}"
        )
    };
    assert_eq!(decode(&toml, good.as_bytes()), [line(0)], "a last line without its end");
    let bad = b"a\\b \x00\xff";
    let input = [good.as_bytes(), b"\r\n", bad, b"\n", good.as_bytes(), b"\n"].concat();
    let lines = decode(&toml, &input);
    assert_eq!((&lines[0], &lines[2]), (&line(0), &line(good.len() + 2 + bad.len() + 1)));
    let error: Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!((&error["offset"], &error["raw"]), (&json!(good.len() + 2), &json!("a\\x5cb \\x00\\xff")));
    assert!(error["error"].as_str().unwrap().starts_with("nul_byte"), "{error}");
    assert_eq!(error.as_object().unwrap().len(), 3);
    assert_eq!(decode(&toml, b""), Vec::<String>::new());
}

#[test]
fn decode_of_fixed_length_reports_a_last_record_that_is_cut() {
    let lines = decode(&config(0, 0, "fixed", FIXED), b"0471  200472");
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], r#"{"loginId":"0471","mode":"AVAIL","direction":"NONE","rawState":"20","offset":0}"#);
    assert_eq!(serde_json::from_str::<Value>(&lines[1]).unwrap()["offset"], 8);
    assert!(lines[1].starts_with("{\"error\":\"truncated"), "{}", lines[1]);
}

#[test]
fn decode_takes_a_time_without_a_date_for_the_latest_before_it_runs() {
    let format = "{ field = \"timestamp\", format = \"%H:%M:%S %z\" }";
    let layout = format!("separator = \"|\"\ncolumns = [\"login_id\", \"state\", {format}]\nstates = \"rta-codes\"");
    let begin = Timestamp::now();
    let lines = decode(&config(0, 0, "timed", &format!("[layout.timed]\n{layout}")), b"0471|20|12:00:00 +0000\n");
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    let told = Timestamp::parse_rfc3339(line["timestamp"].as_str().unwrap()).unwrap();
    assert!(told.to_string().ends_with("T12:00:00.000Z"), "{told}");
    assert!(told > begin.minus(Duration::from_secs(86_400)) && told <= Timestamp::now().plus(Duration::from_secs(10)));
}

#[test]
fn decode_shows_all_columns_whatever_details_says() {
    let toml = config(0, 0, "cisco-icm-20", "").replace("acd = 1", "acd = 1\ndetails = false");
    let record = format!("1 32 0 0 0 232 0 1 801326 232 1 233 51{}\n", " 0 0".repeat(18));
    let line: Value = serde_json::from_str(&decode(&toml, record.as_bytes())[0]).unwrap();
    assert_eq!(line["skills"], json!([{ "skill": "232", "level": 1 }, { "skill": "233", "level": 51 }]));
    assert_eq!((&line["workSplit"], &line["direction"]), (&json!("232"), &json!("IN")));
}

fn short() -> String {
    format!("snapshot_end = \"marker\"\n{LAYOUT}")
}

const CAPTURE: &str = r#"{"at":"2026-01-05T08:00:00.000Z","peer":"10.1.2.3:40000","open":true}
{"at":"2026-01-05T08:00:00.120Z","text":"1|AVAIL|\n2|AUX|3\nEND\n"}
{"at":"2026-01-05T08:06:00.120Z","data":"MXxBQ0R8CjJ8QVVYfDMKRU5ECg=="}
{"at":"2026-01-05T08:09:00.120Z","text":"1|ACD|\nEND\n1|ACD|\nEND\n"}
{"at":"2026-01-05T08:10:00.120Z","close":true}
"#;

fn replay(file: &str, capture: &Path, options: &[&str]) -> String {
    replay_with_account(file, capture, options).0
}

/// Standard output, and standard error without the warnings about the configuration.
fn replay_with_account(file: &str, capture: &Path, options: &[&str]) -> (String, String) {
    let capture = capture.to_str().unwrap();
    let arguments = [&["replay", "--config", file, "--integration", "avaya-1", capture], options].concat();
    let output = output(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stderr);
    let (_, account) = told.split_once("records  ").unwrap_or_else(|| panic!("no account: {told}"));
    (text(&output.stdout), format!("records  {account}"))
}

#[test]
fn replay_is_deterministic_and_adds_up() {
    let (folder, file) = with_config(&config(0, 0, "short", &short()));
    let capture = write(folder.path(), "monday.capture", CAPTURE);
    let events = replay(&file, &capture, &[]);
    assert_eq!(events, replay(&file, &capture, &[]), "byte for byte");
    let told: Vec<String> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|event| {
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            format!("{} {} {} {}", text("loginId"), text("cause"), text("externalActivity"), text("stateSince"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "1 OBSERVED AVAIL 2026-01-05T08:00:00.120Z",
            "2 OBSERVED AUX:3 2026-01-05T08:00:00.120Z",
            "1 CHANGED ACD 2026-01-05T08:06:00.120Z",
            "2 LOGGED_OUT LOGGED_OUT 2026-01-05T08:09:00.120Z",
        ]
    );
    let expected = "acd\tlogin_id\tmode\treason\tminutes\tbefore\n1\t1\tAVAIL\t\t6.00\t0.00\n1\t1\tACD\t\t4.00\t0.00\n1\t2\tAUX\t3\t9.00\t0.00\n";
    assert_eq!(replay(&file, &capture, &["--summary"]), expected);

    let broken = write(folder.path(), "broken.capture", CAPTURE.replace("\"close\"", "\"clos\""));
    let output = output(&["replay", "--config", &file, "--integration", "avaya-1", broken.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("broken.capture:5"), "{}", text(&output.stderr));
}

#[test]
fn replay_accounts_for_what_it_saw() {
    let layout = short().replace("[layout.short]", "[layout.short]\nskip = [\"^#\"]");
    let (folder, file) = with_config(&config(0, 0, "short", &layout));
    let capture = r##"{"at":"2026-01-05T08:00:00.000Z","peer":"10.1.2.3:40000","open":true}
{"at":"2026-01-05T08:00:00.120Z","text":"# shift\n1|AVAIL|\n2|AUX|3\n3|LUNCH|\nEND\n"}
{"at":"2026-01-05T08:00:03.120Z","text":"1|AVAIL|\n2|AUX|three\n3|LUNCH|\nEND\n"}
{"at":"2026-01-05T08:00:06.120Z","text":"1|AVAIL|\n2|AUX|\n|AVAIL|\n3|LUNCH|\nEND\n1|A"}
{"at":"2026-01-05T08:00:07.120Z","close":true}
{"at":"2026-01-05T08:00:08.000Z","peer":"10.1.2.3:40001","open":true}
{"at":"2026-01-05T08:00:08.120Z","text":"1|ACD|\n"}
{"at":"2026-01-05T08:00:08.500Z","close":true}
"##;
    let capture = write(folder.path(), "monday.capture", capture);
    let expected = "\
records    12: 5 changed, 4 unchanged, 3 invalid
invalid    1 bad_number (aux_reason is not a number in range), the first at offset 47, read at 2026-01-05T08:00:03.120Z
           1 missing_value (login_id is empty), the first at offset 88, read at 2026-01-05T08:00:06.120Z
           1 truncated (the input ended before the record did), the first at offset 109, read at 2026-01-05T08:00:07.120Z
lines      1 skipped, 3 markers
snapshots  3 complete, one every 3s; 1 cut off
agents     3, 3 of them logged in at the end
events     5: 3 OBSERVED, 2 CHANGED
statuses   4: 2 CONNECTED, 2 DISCONNECTED
codes      records with codes that are not in the table: 3 of \"LUNCH\"
";
    let (events, account) = replay_with_account(&file, &capture, &[]);
    assert_eq!(account, expected);
    assert_eq!(replay_with_account(&file, &capture, &["--summary"]).1, expected);

    let (mixed, account) = replay_with_account(&file, &capture, &["--statuses"]);
    assert_eq!(account, expected);
    let (statuses, others): (Vec<&str>, Vec<&str>) = mixed.lines().partition(|line| is_status(line));
    assert_eq!(others, events.lines().collect::<Vec<_>>(), "the same events, in the same order");
    assert_eq!(statuses.len(), 4);
    let told = mixed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told: Vec<String> = told.map(|line| line["kind"].as_str().unwrap_or("event").to_owned()).collect();
    let expected = "CONNECTED event event event event DISCONNECTED CONNECTED event DISCONNECTED";
    assert_eq!(told.join(" "), expected);
    let options = ["--summary", "--statuses"];
    let arguments =
        [&["replay", "--config", &file, "--integration", "avaya-1", capture.to_str().unwrap()], &options[..]].concat();
    assert_eq!(output(&arguments).status.code(), Some(2), "a table has no place for them");
}

/// A feed status has a `kind`, an event an `eventId`, and neither has the other's.
fn is_status(line: &str) -> bool {
    let line: Value = serde_json::from_str(line).unwrap();
    assert_ne!(line.get("kind").is_some(), line.get("eventId").is_some(), "{line}");
    line.get("kind").is_some()
}

#[test]
fn what_is_captured_can_be_replayed() {
    let (folder, file) = with_config(&config(0, 0, "short", &short()));
    let capture = folder.path().join("feed.capture");
    let mut command = rtalink();
    command.args(["capture", "--listen", "127.0.0.1:0", "--output"]).arg(&capture);
    let process = Process::spawn(command);
    let address = process.field("recording", "address");
    for state in ["AVAIL", "ACD"] {
        let mut feed = TcpStream::connect(&address).unwrap();
        feed.write_all(&[format!("1|{state}|\n").as_bytes(), b"\xfc|"].concat()).unwrap();
        drop(feed);
        let closes = || fs::read_to_string(&capture).unwrap_or_default().matches("\"close\":true").count();
        until_true("a recorded connection", || closes() == if state == "AVAIL" { 1 } else { 2 });
    }
    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0), "{}", log.join("\n"));

    let recorded = fs::read_to_string(&capture).unwrap();
    let lines: Vec<Value> = recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["open"], &lines[0]["conn"]), (&json!(true), &Value::Null));
    assert_eq!(lines.last().unwrap()["conn"], 1);
    let events = replay(&file, &capture, &[]);
    assert_eq!(events.lines().count(), 2, "{events}");
    let arguments = ["capture", "--listen", "127.0.0.1:0", "--output", capture.to_str().unwrap()];
    let refused = output(&arguments);
    assert_eq!(refused.status.code(), Some(1), "an existing file is not overwritten");
    assert_eq!(fs::read_to_string(&capture).unwrap(), recorded);
}

#[test]
fn simulate_feeds_run_tail_reads_it_and_the_truth_is_what_was_published() {
    let (folder, file) = with_config(&config(0, 0, "cisco-icm-20", "snapshot_idle = \"20ms\""));
    let process = Process::run(&folder, &fs::read_to_string(&file).unwrap());
    let address = process.feed().to_string();
    let truth = folder.path().join("truth.jsonl");
    let arguments = [
        "simulate",
        "--connect",
        &address,
        "--layout",
        "cisco-icm-20",
        "--agents",
        "20",
        "--refresh",
        "100ms",
        "--duration",
        "1500ms",
        "--pace",
        "100",
        "--seed",
        "3",
        "--truth",
        truth.to_str().unwrap(),
    ];
    let simulated = output(&arguments);
    assert_eq!(simulated.status.code(), Some(0), "{}", text(&simulated.stderr));
    let summary: Value = serde_json::from_slice(&simulated.stdout).unwrap();
    assert!(summary["snapshots"].as_u64().unwrap() >= 5, "{summary}");
    process.line("DISCONNECTED");

    let truth = fs::read_to_string(truth).unwrap();
    let count = truth.lines().count();
    let transitions = summary["transitions"].as_object().unwrap().values().map(|count| count.as_u64().unwrap());
    assert_eq!(transitions.sum::<u64>(), count as u64);
    let tail = |topic: &str| {
        let tailed = output(&["tail", "--bootstrap", &process.kafka(), "--topic", topic, "--until-end"]);
        assert_eq!(tailed.status.code(), Some(0), "{}", text(&tailed.stderr));
        text(&tailed.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let events = until("all events", || Some(tail("events")).filter(|events| events.len() >= count));
    let told = |entry: &Value, mode: &Value| format!("{} {} {mode}", entry["loginId"], entry["cause"]);
    let mut published: Vec<String> = events.iter().map(|event| told(event, &event["state"]["mode"])).collect();
    let truths = truth.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut expected: Vec<String> = truths
        .map(|truth| {
            let login_id = truth.get("loginId").or(truth.get("login_id")).unwrap();
            format!("{login_id} {} {}", truth["cause"], truth["mode"])
        })
        .collect();
    published.sort_unstable();
    expected.sort_unstable();
    assert_eq!(published, expected);
    assert_eq!(tail("feed-status").len(), 2);
    assert_eq!(tail("dead-letter").len(), 0);
    let counted =
        output(&["tail", "--bootstrap", &process.kafka(), "--topic", "current", "--from-beginning", "--count", "3"]);
    assert_eq!(text(&counted.stdout).lines().count(), 3);
    assert_eq!(process.terminate().0, Some(0));
}

/// What a command says, with its exit code.
fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let output = output(arguments);
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn health_asks_a_running_service() {
    let (folder, file) = with_config(&config(0, 0, "cisco-icm-20", ""));
    let process = Process::run(&folder, &fs::read_to_string(&file).unwrap());
    let http = process.http();
    let everywhere = format!("0.0.0.0:{}", http.port());
    // A configuration that is being edited still says where HTTP is; mapping files are not looked for.
    let broken = config(0, http.port(), "cisco-icm-20", "[integration.mapping]\nusers = \"none.csv\"")
        .replace("acd = 1", "acd = x");
    let broken = write(folder.path(), "edited.toml", broken).to_str().unwrap().to_owned();
    let nowhere = folder.path().join("none.toml").to_str().unwrap().to_owned();
    let ready = (Some(0), "ready\n".to_owned());
    assert_eq!(said(&["health", "--http", &http.to_string()]), ready);
    assert_eq!(said(&["health", "--http", &everywhere]), ready);
    assert_eq!(said(&["health", "--config", &broken]), ready);
    assert_eq!(said(&["health", "--http", &everywhere, "--live"]), (Some(0), "live\n".to_owned()));
    let (code, told) = said(&["health", "--config", &nowhere]);
    assert_eq!((code, told.contains("does not say where HTTP is served: give --http ADDR")), (Some(1), true), "{told}");

    fs::remove_dir_all(folder.path().join("data")).unwrap();
    // The service looks by itself, every five seconds.
    let (_, told) =
        until("it is noticed", || Some(said(&["health", "--http", &everywhere])).filter(|(code, _)| *code == Some(1)));
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.starts_with("rtalink: not ready: store: its file is gone"), "{told}");
    assert_eq!(said(&["health", "--http", &everywhere, "--live"]), (Some(0), "live\n".to_owned()));
    assert_eq!(process.terminate().0, Some(0));
    let (code, told) = said(&["health", "--http", &everywhere, "--live"]);
    assert_eq!(code, Some(1));
    assert!(told.starts_with(&format!("rtalink: not live: no answer from rtalink at {everywhere}: ")), "{told}");
}

/// In a network of its own, which it sets up as `$3` says: starts the service and asks it over IPv4, then by its configuration.
const IN_A_NETWORK: &str = r#"
ip link set lo up
case $3 in
    v6only) echo 1 > /proc/sys/net/ipv6/bindv6only ;;
    no-ipv6) echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 ;;
esac
"$1" run --config "$2" & service=$!
asked=0
until "$1" health --http 127.0.0.1:9464 || [ $asked = 300 ]; do asked=$((asked + 1)); sleep 0.1; done
"$1" health --config "$2"; well=$?
kill $service; wait $service
[ $asked -lt 300 ] && exit $well
"#;

#[test]
fn everywhere_is_ipv4_too_whatever_the_machine_thinks_of_ipv6() {
    let toml = config(7001, 9464, "cisco-icm-20", "").replace("127.0.0.1:9464", "[::]:9464");
    let (_folder, file) = with_config(&toml.replace("bind = \"127.0.0.1\"", "bind = \"::\""));
    for mode in ["v6only", "no-ipv6"] {
        let mut unshare = std::process::Command::new("unshare");
        if !unshare.args(["-n", "true"]).output().is_ok_and(|output| output.status.success()) {
            println!("skipped: this process may not have a network of its own");
            return;
        }
        let mut command = std::process::Command::new("unshare");
        command.args(["-n", "sh", "-c", IN_A_NETWORK, "sh", env!("CARGO_BIN_EXE_rtalink"), &file, mode]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{mode}: {}", text(&output.stderr));
    }
}

#[test]
fn health_tells_in_one_line_what_is_wrong() {
    let recovering = r#"{"agentTable":"being recovered","kafka":{},"listeners":"waiting for the agent table","status":"not ready","store":"opened"}"#;
    let full = r#"{"agentTable":"complete","kafka":{},"listeners":"bound","status":"not ready","store":"the disk of the store is full"}"#;
    let http = |status: &str, body: &str| format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let cases = [
        (
            http("503 Service Unavailable", recovering),
            "not ready: agent table: being recovered; listeners: waiting for the agent table",
        ),
        (http("503 Service Unavailable", full), "not ready: store: the disk of the store is full"),
        (http("200 OK", "<html>hello</html>"), "is not rtalink (status 200)"),
        (http("404 Not Found", "{}"), "is not rtalink (status 404)"),
        (http("200 OK", r#"{"status":"live"}"#), "not ready: "),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "not an answer in HTTP"),
        (String::new(), "not an answer in HTTP"),
    ];
    for (answer, expected) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let (code, told) = said(&["health", "--http", &address]);
        assert_eq!((code, told.lines().count()), (Some(1), 1), "{told}");
        assert!(told.contains(expected), "{expected}: {told}");
        assert!(server.join().unwrap().starts_with("GET /health/ready HTTP/1.1\r\n"));
    }
    // Who takes the connection and says nothing is not waited for.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let (code, told) = said(&["health", "--http", &address, "--timeout", "100ms"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("timed out"), "{told}");
}
