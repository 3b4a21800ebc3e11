//! The demo as somebody meets it who has just built it.
#![allow(clippy::unwrap_used)]

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support;

use support::http;
use support::process::{Process, program};
use support::wait::until;

/// Runs a line as a shell does into which it was pasted; with `before`, which may define something.
fn pasted(before: &str, line: &str) -> String {
    let output = program("sh").args(["-c", &format!("{before}\n{line}")]).output().unwrap();
    assert!(output.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_it_prints_can_be_copied_and_a_port_that_is_taken_is_no_obstacle() {
    // Where this cannot have it, somebody else does.
    let _usual = TcpListener::bind(("127.0.0.1", 9464));
    let mut command = program("sh");
    let arguments = ["-c", "exec \"$0\" \"$@\" >&2", env!("CARGO_BIN_EXE_rtalink"), "demo", "--agents", "60"];
    command.args(arguments).args(["--refresh", "200ms"]);
    let mut demo = Process::spawn(command);
    demo.line("port 9464 is taken: HTTP gets another one");
    demo.line("records/s");
    let commands: Vec<String> =
        demo.log().iter().filter_map(|line| Some(line.strip_prefix("  ")?.to_owned())).collect();
    let [tail, status, agents, metrics] = [0, 1, 2, 3].map(|number| commands[number].as_str());
    assert!(pasted("", status).contains("demo"));

    let with_localhost = tail.replace("127.0.0.1", "localhost");
    assert_ne!(tail, with_localhost);
    let event = [tail, &with_localhost].map(|tail| pasted("", &format!("{tail} | head -n 1")));
    let [event, _]: [Value; 2] = event.map(|event| serde_json::from_str(&event).unwrap());
    assert_eq!(event["integration"], "demo", "{event}");
    let url = |command: &str| pasted("curl() { [ $# = 1 ] && printf %s \"$1\"; }", command);
    let split = |url: &str| {
        let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        (address.parse::<SocketAddr>().unwrap(), format!("/{path}"))
    };
    let (address, path) = split(&url(agents));
    assert_ne!(address.port(), 9464);
    let in_aux = until("somebody is in AUX", || {
        let answer: Value = http::get(address, &path).json();
        (answer["agents"].as_array()?.len() > 1).then_some(answer)
    });
    assert!(in_aux["agents"].as_array().unwrap().iter().all(|agent| agent["state"]["mode"] == "AUX"), "{in_aux}");
    let (address, path) = split(&url(metrics));
    let exposition = http::get(address, &path).body;
    // One agent in fifty is left for somebody to map.
    assert!(exposition.contains("rtalink_unmapped_users{integration=\"demo\"} 1\n"), "{exposition}");

    // What `localhost` is differs from client to client.
    let beside = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        assert_eq!(http::get(beside, "/health/ready").status, 200);
    }
    demo.signal("INT");
    assert_eq!(demo.wait().0, Some(0));
}

/// Lines that were written over each other.
fn drawn(written: &str) -> Vec<String> {
    let controls = regex::Regex::new("\x1b\\[[0-9]*[A-Z]").unwrap();
    let lines = written.split("\x1b[J").skip(1).map(|text| text.split("\r").next().unwrap());
    lines.map(|text| controls.replace_all(text, "").into_owned()).collect()
}

#[test]
fn the_line_fits_the_terminal_and_follows_it() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/terminal.py");
    let mut python = program("python3");
    python.arg(script).args(["150", "50", env!("CARGO_BIN_EXE_rtalink")]);
    python.args(["demo", "--agents", "300", "--refresh", "300ms", "--http", "localhost:0"]).env("TERM", "xterm");
    let output = Command::output(&mut python).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let [wide, narrow]: [String; 2] = serde_json::from_slice(&output.stdout).unwrap();
    let of_wide = drawn(&wide);
    assert!(of_wide.iter().all(|line| line.chars().count() < 150), "{of_wide:?}");
    let last = of_wide.last().unwrap();
    assert!(last.contains(" agents: ") && last.contains("  p99 ") && last.len() > 100, "{last}");
    let of_narrow = drawn(&narrow);
    assert!(of_narrow.len() >= 3 && of_narrow.iter().all(|line| line.chars().count() < 50), "{of_narrow:?}");
    // The terminal has broken the wide line into three: the first is two up.
    assert!(narrow.starts_with("\x1b[2A\r\x1b[J"), "{narrow:?}");
    // What comes behind it begins on a line of its own.
    assert!(narrow.contains("\r\n300 agents, "), "{narrow:?}");
}
