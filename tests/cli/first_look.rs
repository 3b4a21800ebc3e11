//! The first look at a feed: `decode` and `replay` with a layout and no configuration, on captures and raw bytes, with an account
//! of everything and a trace.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support;

use support::process::{output, rtalink, write};
use support::service::folder;

const LAYOUT: &str = r#"
[layout.acme]
encoding = "windows-1252"
separator = "|"
skip = ["^#"]
marker = "^END"
columns = ["login_id", "name", "state", "aux_reason", "duration"]
states = "cms-names"
"#;

const CAPTURE: &str = r##"{"at":"2026-01-05T08:00:00.000Z","peer":"10.1.2.3:40000","open":true}
{"at":"2026-01-05T08:00:00.120Z","text":"# shift\n1|Müller|AVAIL||10\n2|Öz|AUX|3|600\n3|A|LUNCH||5\nEND\n"}
{"at":"2026-01-05T08:00:03.120Z","text":"1|Müller|AVAIL||13\n2|Öz|AUX|three|603\n3|A|LUNCH||8\nEND\n"}
{"at":"2026-01-05T08:00:06.120Z","text":"1|Müller|ACD||2\n2|Öz|AUX|3|606\n|A|AVAIL||\nEND\n1|A"}
{"at":"2026-01-05T08:00:07.120Z","close":true}
"##;

const INVALID: &str = "\
invalid    1 bad_number (aux_reason is not a number in range), the first at offset 78, read at 2026-01-05T08:00:03.120Z
           1 missing_value (login_id is empty), the first at offset 145, read at 2026-01-05T08:00:06.120Z
           1 truncated (the input ended before the record did), the first at offset 160, read at 2026-01-05T08:00:07.120Z
";

struct Files {
    _folder: TempDir,
    layout: PathBuf,
    capture: PathBuf,
}

impl Files {
    fn new(layout: &str) -> Self {
        let folder = folder(&[]);
        let layout = write(folder.path(), "acme.toml", layout);
        let capture = write(folder.path(), "monday.capture", CAPTURE);
        Self { layout, capture, _folder: folder }
    }

    fn run(&self, command: &str, options: &[&str]) -> Output {
        output(&[&[command, "--layout-file", self.layout.to_str().unwrap()], options].concat())
    }

    /// With the capture.
    fn play(&self, command: &str, options: &[&str]) -> Output {
        self.run(command, &[&[self.capture.to_str().unwrap()], options].concat())
    }
}

fn with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut child =
        rtalink().args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn decode_reads_a_capture_and_accounts_for_everything() {
    let files = Files::new(LAYOUT);
    let decoded = files.play("decode", &[]);
    let expected = format!(
        "records    10: 7 valid, 3 invalid\n{INVALID}\
lines      1 skipped, 3 markers
snapshots  3 complete, one every 3s; 0 without an end
agents     3, 2 to 3 in a complete snapshot
codes      records with codes that are not in the table: 2 of \"LUNCH\"
"
    );
    assert_eq!((decoded.status.code(), text(&decoded.stderr)), (Some(0), expected.clone()));
    let records = lines(&decoded.stdout);
    assert_eq!(records.len(), 10);
    assert_eq!((&records[0]["agentName"], &records[0]["offset"]), (&Value::from("Müller"), &Value::from(8)));

    let strict = files.play("decode", &["--strict"]);
    assert_eq!((strict.status.code(), &strict.stdout), (Some(1), &decoded.stdout));
    assert_eq!(text(&strict.stderr), expected + "rtalink: 3 invalid record(s), and --strict is given\n");

    // The same from stdin, with or without saying so.
    let layout = files.layout.to_str().unwrap();
    for input in [&["-"][..], &[]] {
        let read = with_input(&[&["decode", "--layout-file", layout], input].concat(), CAPTURE.as_bytes());
        assert_eq!((read.stdout, read.stderr), (decoded.stdout.clone(), decoded.stderr.clone()));
    }
    // Raw bytes have the same records, and no times.
    let exported = output(&["capture", "export", files.capture.to_str().unwrap(), "--layout-file", layout]);
    let raw = write(files.layout.parent().unwrap(), "feed.bin", &exported.stdout);
    let raw = files.run("decode", &[raw.to_str().unwrap()]);
    assert_eq!(lines(&raw.stdout)[..9], records[..9]);
    let account = text(&raw.stderr);
    assert!(account.contains("snapshots  3 complete, how often is not in raw bytes; 0 without an end"), "{account}");
    assert!(!account.contains("read at"), "{account}");
}

#[test]
fn without_a_marker_a_repeat_ends_a_snapshot() {
    let layout = LAYOUT.replace("marker = \"^END\"", "").replace("[\"^#\"]", "[\"^#\", \"^END\"]");
    let files = Files::new(&layout);
    let account = text(&files.play("decode", &[]).stderr);
    assert!(account.contains("snapshots  2 complete, one every 3s; 1 without an end"), "{account}");
    assert!(account.contains("lines      4 skipped, 0 markers"), "{account}");
    let idle = text(&files.play("decode", &["--snapshot-end", "idle"]).stderr);
    assert!(idle.contains("snapshots  2 complete, one every 3s; 1 without an end"), "{idle}");
    let refused = files.play("replay", &["--snapshot-end", "marker"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("layout \"acme\" has no marker: use repeat or idle"), "{refused:?}");
}

#[test]
fn replay_needs_no_configuration_and_tells_of_invalid_records() {
    let files = Files::new(LAYOUT);
    let played = files.play("replay", &["--acd", "7"]);
    let account = text(&played.stderr);
    assert_eq!(played.status.code(), Some(0), "{account}");
    assert!(account.starts_with("records    10: 4 changed, 3 unchanged, 3 invalid\n"), "{account}");
    assert!(account.contains(INVALID), "{account}");
    let events = lines(&played.stdout);
    let told: Vec<String> =
        events.iter().map(|event| format!("{} {} {}", event["acd"], event["loginId"], event["cause"])).collect();
    let observed = |agent: u8| format!("7 \"{agent}\" \"OBSERVED\"");
    assert_eq!(told, [observed(1), observed(2), observed(3), "7 \"1\" \"CHANGED\"".to_owned()]);
    let strict = files.play("replay", &["--strict"]);
    assert_eq!(strict.status.code(), Some(1));
    assert!(text(&strict.stderr).ends_with("rtalink: 3 invalid record(s), and --strict is given\n"), "{strict:?}");
    let read = with_input(&["replay", "--layout-file", files.layout.to_str().unwrap(), "-"], CAPTURE.as_bytes());
    assert_eq!(text(&read.stdout).lines().count(), 4, "{read:?}");
    let raw = files.run("replay", &[files.layout.to_str().unwrap()]);
    assert!(text(&raw.stderr).contains("acme.toml is no capture"), "{raw:?}");
}

/// What comes on a connection that the engine has closed is read by nobody: it is counted.
#[test]
fn what_a_closed_connection_sends_is_counted() {
    let files = Files::new(LAYOUT);
    let capture = r#"{"at":"2026-01-05T08:00:00.000Z","peer":"10.1.2.3:40000","open":true}
{"at":"2026-01-05T08:00:00.120Z","text":"1;Muster;20\nEND\n"}
{"at":"2026-01-05T08:00:01.120Z","conn":1,"text":"1|A|AVAIL||1\n"}
{"at":"2026-01-05T08:00:03.120Z","text":"1;Muster;20\nEND\n"}
"#;
    let capture = write(files.layout.parent().unwrap(), "twins.capture", capture);
    let account = text(&files.run("replay", &[capture.to_str().unwrap()]).stderr);
    let expected = "unread     16 bytes of 1 connection that was closed before: replaced, or without a valid record\n";
    assert!(account.contains(expected), "{account}");
}

/// What each line of a trace is about.
fn traced(output: &Output) -> Vec<String> {
    let line = |line: Value| {
        let at = line["at"].as_str().unwrap()[17..23].to_owned();
        let mut keys = line.as_object().unwrap().keys().filter(|key| *key != "at" && *key != "conn");
        let (kind, None) = (keys.next().unwrap().clone(), keys.next()) else { panic!("{line}") };
        let told = &line[&kind];
        let text = match kind.as_str() {
            "record" => told["loginId"].to_string(),
            "invalid" => told["error"].as_str().unwrap().split(':').next().unwrap().to_owned(),
            "event" => format!("{} {}", told["loginId"], told["cause"]),
            "status" => told["kind"].to_string(),
            "snapshot" => format!("{} {}", told["complete"], told["periodSeconds"]),
            _ => told.to_string(),
        };
        format!("{at} {kind} {text}").replace('"', "")
    };
    lines(&output.stdout).into_iter().map(line).collect()
}

#[test]
fn a_trace_has_records_ends_of_snapshots_statuses_and_events_in_their_order() {
    let files = Files::new(LAYOUT);
    let all = files.play("replay", &["--trace"]);
    let expected = [
        "00.000 status CONNECTED",
        "00.120 skipped # shift",
        "00.120 record 1",
        "00.120 event 1 OBSERVED",
        "00.120 record 2",
        "00.120 event 2 OBSERVED",
        "00.120 record 3",
        "00.120 marker END",
        "00.120 event 3 OBSERVED",
        "00.120 snapshot true null",
        "03.120 record 1",
        "03.120 invalid bad_number",
        "03.120 record 3",
        "03.120 marker END",
        "03.120 snapshot true 3.0",
        "06.120 record 1",
        "06.120 event 1 CHANGED",
        "06.120 record 2",
        "06.120 invalid missing_value",
        "06.120 marker END",
        "06.120 snapshot true 3.0",
        "07.120 invalid truncated",
        "07.120 status DISCONNECTED",
    ];
    assert_eq!(traced(&all), expected);
    let of_agent = files.play("replay", &["--trace", "--agent", "2"]);
    let is_of_agent = |line: &&&str| {
        let others = ["record 1", "record 3", "event 1", "event 3", "marker", "skipped", "missing", "truncated"];
        !others.iter().any(|other| line.contains(other))
    };
    let expected: Vec<&str> = expected.iter().filter(is_of_agent).copied().collect();
    assert_eq!(traced(&of_agent), expected);
    assert_eq!(of_agent.stderr, all.stderr, "the account is of everything");

    // Events are those of a replay without a trace, byte for byte.
    let events: Vec<String> = text(&files.play("replay", &[]).stdout).lines().map(str::to_owned).collect();
    let whole = text(&all.stdout);
    assert_eq!(events.iter().filter(|event| whole.contains(&format!("\"event\":{event}}}"))).count(), 4);

    let nobody = files.play("replay", &["--trace", "--agent", "02"]);
    assert!(text(&nobody.stderr).contains("no record and no event of agent \"02\""), "{nobody:?}");
}

#[test]
fn a_layout_is_picked_by_name_and_its_problems_are_told() {
    let files = Files::new(&format!("{LAYOUT}\n{}", LAYOUT.replace("acme", "other")));
    let capture = files.capture.to_str().unwrap();
    let cases: [(&[&str], i32, &str); 5] = [
        (&[], 1, "several layouts in it: choose one with --layout: acme, other"),
        (&["--layout", "third"], 1, "no layout \"third\" in it: expected one of acme, other"),
        (&["--layout", "acme"], 0, "records    10"),
        (&["--layout", "acme", "--config", "x"], 2, "cannot be used with"),
        (&["--layout", "acme", "--time-zone", "Berlin"], 2, "expected an IANA name"),
    ];
    for (options, code, expected) in cases {
        let decoded = files.run("decode", &[&[capture], options].concat());
        let told = text(&decoded.stderr);
        assert_eq!(decoded.status.code(), Some(code), "{options:?}: {told}");
        assert!(told.contains(expected), "{options:?}: {told}");
    }
    let broken = Files::new(&LAYOUT.replace("separator", "seperator").replace("cms-names", "cms"));
    let told = text(&broken.play("decode", &[]).stderr);
    for expected in
        ["acme.toml:4:1: unknown key \"seperator\" in [layout.acme]", "did you mean \"separator\"?", ":8:10: "]
    {
        assert!(told.contains(expected), "{told}");
    }
    let bare = Files::new(&LAYOUT.replace("[layout.acme]", ""));
    let told = text(&bare.play("decode", &[]).stderr);
    assert!(told.contains("\"separator\" belongs in [layout.NAME]"), "{told}");

    // A whole configuration will do, and a built-in layout needs no file.
    let whole = Files::new(&format!("[kafka]\nbootstrap_servers = \"x:1\"\n{LAYOUT}"));
    assert_eq!(whole.play("decode", &[]).status.code(), Some(0));
    let builtin = with_input(&["decode", "--layout", "cisco-icm-20", "-"], b"301204 20\n");
    assert!(text(&builtin.stdout).starts_with("{\"error\":\"too_few_fields"), "{builtin:?}");
    let local = Files::new(&LAYOUT.replace("\"duration\"", "{ field = \"timestamp\", format = \"%H:%M\" }"));
    let told = text(&local.play("decode", &[]).stderr);
    assert!(told.contains("layout \"acme\" has local times, taken for UTC: --time-zone says otherwise"), "{told}");
    let told = text(&local.play("decode", &["--time-zone", "Europe/Berlin"]).stderr);
    assert!(!told.contains("taken for UTC"), "{told}");
}
