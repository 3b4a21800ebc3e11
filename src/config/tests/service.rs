//! Everything but layouts and environment.

use std::time::Duration;

use crate::config::model::{Bootstrap, Format, LogFormat};

use super::*;

#[test]
fn defaults_are_those_of_the_example() {
    let config = config(&valid(), &[]);
    assert_eq!(config.kafka.bootstrap, Bootstrap::Servers("k:9092".to_owned()));
    assert_eq!(config.kafka.format, Format::Protobuf);
    assert_eq!(config.kafka.topics, crate::config::topics::Topics::default());
    assert_eq!(config.kafka.properties["compression.type"], "lz4");
    assert_eq!((config.kafka.create_topics, config.kafka.partitions), (true, 6));
    assert_eq!((config.kafka.replication_factor, config.kafka.linger), (None, Duration::from_millis(1)));
    assert_eq!(config.kafka.queue_events, 100_000);
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:9464");
    assert_eq!(config.store.directory, Path::new("nowhere/data"));
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Text));
    let integration = &config.integrations[0];
    assert_eq!((&*integration.id, integration.name.as_str(), integration.time_zone.as_str()), ("a", "a", "UTC"));
    insta::assert_debug_snapshot!(integration.settings, @r"
    TrackerSettings {
        fixed: Fixed {
            acd: 1,
            details: false,
            mode: Snapshot,
            snapshot_end: Repeat,
        },
        thresholds: Thresholds {
            snapshot_idle: 500ms,
            shortest_refresh: 1s,
            logout_after: 2,
            restart_tolerance: 2s,
            stale_after: 30s,
            when_silent: Stale,
            empty_below: 5,
            unknown_after: None,
            short_states: {},
            logout_hold: 0ns,
        },
    }
    ");
    assert_eq!(integration.mapping.users, None);
    assert_eq!(integration.mapping.default_activity, ("1".to_owned(), "Present".to_owned()));
}

#[test]
fn many_problems_at_once() {
    let text = r#"[kafka]
bootstrap_server = "k:9092"
format = "jsn"
partitions = "6"
linger = 5
[kafka.properties]
acks = 1
[htp]
listen = "x"
[store]
journal_max_size = "2GB"
[[integration]]
id = "Avaya 1"
kind = "avaya"
prot = 7001
time_zone = "Europe/Berlln"
[integration.realtime]
port = 70000
layout = "cisco-icm-2O"
mode = "snapshots"
logout_after = true
allow = ["10.0.0.0/33", "10.1.1.1"]
[layout.mine]
separater = ","
columns = ["login", "state"]
states = "rta-code"
"#;
    insta::assert_snapshot!(report(text, &[]), @r#"
    error: r.toml:1:1: "bootstrap_servers" is missing in [kafka]
      hint: add bootstrap_servers = "HOST:9092", or "embedded" to try out
    error: r.toml:2:1: unknown key "bootstrap_server" in [kafka]
      hint: did you mean "bootstrap_servers"?
    error: r.toml:3:10: format: expected "protobuf" or "json", found "jsn"
      hint: did you mean "json"?
    error: r.toml:4:14: partitions: expected a whole number from 1 to 100000, found "6"
      hint: write it without quotes
    error: r.toml:5:10: linger: expected a whole number with ms, s, m, h or d, such as "500ms", "3s", "15m", found 5
      hint: did you mean "5s"?
    error: r.toml:7:8: acks: is not yours to set
      hint: remove it: events count as delivered only when all in-sync replicas have them
    error: r.toml:8:2: unknown key "htp" in the file
      hint: did you mean "http"?
    error: r.toml:11:20: journal_max_size: expected a number of bytes, or a whole number with KiB, MiB or GiB, such as "64KiB", found "2GB"
    error: r.toml:12:1: "acd" is missing in [[integration]]
      hint: add acd = 1
    error: r.toml:13:6: id: expected lower-case letters, digits and hyphens, found "Avaya 1"
    error: r.toml:14:8: kind: expected "avaya-cms", found "avaya"
    error: r.toml:15:1: unknown key "prot" in [[integration]]
      hint: did you mean "port" in [integration.realtime]?
    error: r.toml:16:13: time_zone: expected the IANA name of a time zone, such as "Europe/Berlin", found "Europe/Berlln"
      hint: did you mean "Europe/Berlin"?
    error: r.toml:18:8: port: expected a whole number from 0 to 65535, found 70000
    error: r.toml:19:10: layout: unknown layout "cisco-icm-2O"
      hint: did you mean "cisco-icm-20"?
    error: r.toml:20:8: mode: expected "snapshot", "delta" or "event", found "snapshots"
      hint: did you mean "snapshot"?
    error: r.toml:21:16: logout_after: expected a whole number from 1 to 1000, found true
    error: r.toml:22:10: allow: expected a network, such as "10.1.2.0/24", or an address, found "10.0.0.0/33"
    error: r.toml:23:1: nothing tells fields apart
      hint: add a separator (one byte, or "whitespace"), or give every column its at and width
    error: r.toml:24:1: unknown key "separater" in [layout.mine]
      hint: did you mean "separator"?
    error: r.toml:25:11: columns: "login_id" is missing
      hint: every record must say who and in what state
    error: r.toml:25:12: columns: expected "login_id", "state", "name", "aux_reason", "direction", "work_split", "extension", "duration", "timestamp", "state_start", "acd", "role", "on_hold", "location", "logout_reason", "skill", "level" or "-", found "login"
      hint: did you mean "login_id"?
    error: r.toml:26:10: states: expected "rta-codes" or "cms-names", found "rta-code"
      hint: did you mean "rta-codes"?
    "#);
}

#[test]
fn syntax_errors_have_a_place_and_do_not_hide_the_rest() {
    let duplicate =
        "[kafka]\nbootstrap_servers = \"k:9092\"\nformat = \"jsn\"\nformat = \"json\"\n[http]\nlisten = 1\n";
    insta::assert_snapshot!(report(duplicate, &[]), @r#"
    error: r.toml:3:10: format: expected "protobuf" or "json", found "jsn"
      hint: did you mean "json"?
    error: r.toml:4:1: duplicate key "format"
    error: r.toml:6:10: listen: expected an IP address and a port, such as "127.0.0.1:9464" or "[::1]:9464", or "localhost:9464" for both, found 1
    "#);
    let unclosed = "[kafka]\nfrmat = \"json\"\nbootstrap_servers = \"k\n[http]\nlistn = 1\n";
    insta::assert_snapshot!(report(unclosed, &[]), @r#"
    error: r.toml:2:1: unknown key "frmat" in [kafka]
      hint: did you mean "format"?
    error: r.toml:3:23: not valid TOML: invalid basic string, expected `"`
    error: r.toml:5:1: unknown key "listn" in [http]
      hint: did you mean "listen"?
    "#);
    insta::assert_snapshot!(report("[kafka", &[]), @"error: r.toml:1:7: not valid TOML: unclosed table, expected `]`");
}

#[test]
fn kafka() {
    let properties = |line: &str| format!("{}[kafka.properties]\n{line}\n", KAFKA) + INTEGRATION + REALTIME;
    let kafka = |line: &str| format!("{KAFKA}{line}\n") + INTEGRATION + REALTIME;
    let embedded = |line: &str| format!("[kafka]\nbootstrap_servers = \"embedded\"\n{line}\n") + INTEGRATION + REALTIME;
    let servers = |value: &str| format!("[kafka]\nbootstrap_servers = {value}\n") + INTEGRATION + REALTIME;
    let cases: &[(String, &[&str])] = &[
        (kafka("delivery = \"at-least-once\""), &[]),
        (kafka("delivery = \"exactly-once\"\ncommit_interval = \"10s\""), &[]),
        (kafka("delivery = \"exactly-once\"\ncommit_interval = \"11s\""), &["commit_interval: must be at most 10s"]),
        (kafka("delivery = \"exactly-once\"\ncommit_interval = \"0s\""), &["must be longer than zero"]),
        (kafka("commit_interval = \"20ms\""), &["warning: r.toml:3:19: commit_interval: has no effect"]),
        (embedded("delivery = \"exactly-once\""), &["\"exactly-once\" is refused with the embedded cluster"]),
        (kafka("delivery = \"at-most-once\""), &["expected \"at-least-once\" or \"exactly-once\""]),
        (kafka("replication_factor = 0"), &["replication_factor: expected a whole number from 1 to 32767, found 0"]),
        (kafka("linger = \"1h\""), &["linger: must be at most 15m"]),
        (kafka("create_topics = \"yes\""), &["create_topics: expected true or false, found \"yes\""]),
        (kafka("topics = { events = \"a b\" }"), &["events: expected a topic name"]),
        (kafka("topics = { current = \"rta.agent-state.events\" }"), &["current and events are the same topic"]),
        (kafka("topics = { checkpoint = \"mine\" }"), &[]),
        (kafka("topics = 1"), &["topics: expected a table, found 1"]),
        (servers("\"\""), &["bootstrap_servers: is empty"]),
        (servers("\"a:9092,,b\""), &["bootstrap_servers: expected host:port"]),
        (servers("\"a:x\""), &["bootstrap_servers: expected host:port"]),
        (servers("[\"a\"]"), &["bootstrap_servers: expected text, found a list"]),
        (servers("\"SSL://a:9093, [::1]:9092, b\""), &[]),
        (properties("acks = \"1\""), &["error: r.toml:4:8: acks: is not yours to set", "hint: remove it: events"]),
        (properties("enable.idempotence = false"), &["enable.idempotence: is not yours to set"]),
        (properties("\"transactional.id\" = \"x\""), &["transactional.id: is not yours to set"]),
        (properties("\"message.timeout.ms\" = 5"), &["message.timeout.ms: is not yours to set"]),
        (properties("partitioner = \"random\""), &["partitioner: is not yours to set"]),
        (properties("\"bootstrap.servers\" = \"x\""), &["warning: r.toml:4:23: bootstrap.servers: has no effect"]),
        (properties("x = [1]"), &["x: expected text, a number, true or false, found a list"]),
        (properties("security.protocol = \"SSL\"\n\"linger.ms\" = 5\nlog.connection.close = false"), &[]),
    ];
    for (text, expected) in cases {
        assert_problems(text, expected);
    }
    let properties = config(&properties("compression.type = \"zstd\"\n\"linger.ms\" = 0.5"), &[]).kafka.properties;
    let listed: Vec<_> = properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(listed, ["compression.type=zstd", "linger.ms=0.5"]);
}

#[test]
fn secrets_are_not_shown() {
    let text = format!("{KAFKA}[kafka.properties]\n\"sasl.password\" = \"hush\"\n{INTEGRATION}{REALTIME}");
    assert!(!format!("{:?}", config(&text, &[])).contains("hush"));
}

#[test]
fn http_store_log() {
    let with = |lines: &str| format!("{}{lines}\n", valid());
    let cases: &[(String, &[&str])] = &[
        (with("[http]\nlisten = \"localhost\""), &["listen: expected an IP address and a port"]),
        (
            with("[http]\nlisten = \"0.0.0.0:7001\""),
            &[
                "error: r.toml:8:8: port: 127.0.0.1:7001 is taken by http.listen",
                "warning: r.toml:12:10: listen: 0.0.0.0:7001 is not",
            ],
        ),
        (with("[store]\njournal_max_size = \"1GiB\"\nsync = \"full\""), &[]),
        (with("[store]\njournal_max_size = \"2GiB\"\nsync = \"normal\""), &[]),
        (
            with("[store]\njournal_max_size = \"64KiB\""),
            &["error: r.toml:12:20: journal_max_size: must be at least 1MiB"],
        ),
        (with("[store]\nsync = \"ful\""), &["expected \"full\" or \"normal\"", "hint: did you mean \"full\"?"]),
        (with("[store]\ndirectory = 1"), &["directory: expected text, found 1", "hint: put it in quotes"]),
        (with("[log]\nlevel = \"inof\""), &["level: expected trace, debug", "hint: did you mean \"info\"?"]),
        (with("[log]\nlevel = \"warn,rtalink::feed=debgu\""), &["level: expected trace"]),
        (with("[log]\nlevel = \"warn,rtalink::feed=debug\"\nformat = \"json\""), &[]),
        (with("[log]\nformat = \"xml\""), &["format: expected \"text\" or \"json\", found \"xml\""]),
        (with("[logs]"), &["unknown key \"logs\" in the file", "hint: did you mean \"log\"?"]),
        (
            with("[log]\nport = 1"),
            &["unknown key \"port\" in [log]", "hint: \"port\" belongs in [integration.realtime]"],
        ),
    ];
    for (text, expected) in cases {
        assert_problems(text, expected);
    }
}

#[test]
fn integrations() {
    let integration = |lines: &str| format!("{KAFKA}{INTEGRATION}{lines}\n{REALTIME}");
    let realtime = |lines: &str| format!("{}{lines}\n", valid());
    let second = |lines: &str| format!("{}[[integration]]\nkind = \"avaya-cms\"\nacd = 2\n{lines}\n", valid());
    let own = |integration: &str| format!("{KAFKA}[[integration]]\n{integration}\n");
    let bare = "layout = \"cisco-icm-20\"";
    let cases: &[(String, &[&str])] = &[
        (KAFKA.to_owned(), &["error: r.toml: there is no integration"]),
        (
            format!("{KAFKA}[integration]\nid = \"a\""),
            &[
                "integration: is a single table",
                "hint: write [[integration]]",
                "\"kind\" is missing",
                "\"acd\" is missing",
                "warning: r.toml:3:1: this integration does nothing yet",
            ],
        ),
        (
            own("id = \"\"\nkind = \"avaya-cms\"\nacd = -1"),
            &[
                "id: expected lower-case letters, digits and hyphens, found \"\"",
                "acd: expected a whole number from 0 to 4294967295, found -1",
                "does nothing yet",
            ],
        ),
        (
            integration("time_zone = \"Europe/Berln\""),
            &["time_zone: expected the IANA name", "hint: did you mean \"Europe/Berlin\"?"],
        ),
        (integration("details = 1"), &["details: expected true or false, found 1"]),
        (
            second("id = \"a\"\nrealtime = { port = 7002, bind = \"::1\", layout = \"cisco-icm-60\" }"),
            &["error: r.toml:14:6: id: \"a\" is taken by another integration (r.toml:4:6)"],
        ),
        (
            second(
                "id = \"b\"\nrealtime = { port = 7001, bind = \"0.0.0.0\", allow = [\"10.0.0.1\"], layout = \"cisco-icm-60\" }",
            ),
            &["port: 0.0.0.0:7001 is taken by integration \"a\""],
        ),
        (second("id = \"b\"\nrealtime = { port = 7001, bind = \"127.0.0.2\", layout = \"cisco-icm-60\" }"), &[]),
        (
            realtime("mode = \"deltas\""),
            &["mode: expected \"snapshot\", \"delta\" or \"event\"", "hint: did you mean \"delta\"?"],
        ),
        (realtime("snapshot_end = \"marker\""), &["snapshot_end: layout \"cisco-icm-20\" has no marker"]),
        (realtime("snapshot_idle = \"0ms\""), &["snapshot_idle: must be longer than zero"]),
        (
            realtime("stale_after = \"30\""),
            &["stale_after: expected a whole number with", "hint: did you mean \"30s\"?"],
        ),
        (realtime("restart_tolerance = \"0s\""), &[]),
        (realtime("shortest_refresh = \"0s\"\nstale_after = \"1ms\""), &[]),
        (
            realtime("shortest_refresh = 1"),
            &["shortest_refresh: expected a whole number with", "hint: did you mean \"1s\"?"],
        ),
        (
            realtime("shortest_refresh = \"30s\""),
            &[
                "warning: r.toml:11:20: shortest_refresh: 30s is not shorter than stale_after, 30s",
                "hint: a third of the report's refresh at most",
            ],
        ),
        (realtime("stale_after = \"1s\""), &["warning: r.toml:7:1: shortest_refresh: 1s is not shorter"]),
        (realtime("mode = \"event\"\nshortest_refresh = \"1h\""), &[]),
        (realtime("when_silent = \"empty\"\nempty_below = 0\nunknown_after = \"15m\"\nrefresh_after = \"1h\""), &[]),
        (
            realtime("mode = \"delta\"\nwhen_silent = \"empty\""),
            &["when_silent: only in mode \"snapshot\"", "hint: use \"stale\", or mode \"snapshot\""],
        ),
        (realtime("when_silent = \"gap\""), &["when_silent: expected \"stale\" or \"empty\""]),
        (realtime("empty_below = -1"), &["empty_below: expected a whole number from 0 to 10000"]),
        (realtime("unknown_after = \"0s\""), &["unknown_after: must be longer than zero"]),
        (realtime("short_states = { OTHER = \"5s\", unknown = \"30s\" }\nlogout_hold = \"10s\""), &[]),
        (
            realtime("short_states = { OTHR = \"5s\", UNSTAFF = \"5s\", AUX = 5 }"),
            &[
                "OTHR: is not a work mode",
                "hint: did you mean \"OTHER\"?",
                "UNSTAFF: is no state that can be left out",
                "hint: logout_hold is for agents who log out and in again",
                "AUX: expected",
                "hint: did you mean \"5s\"?",
            ],
        ),
        (realtime("short_states = \"5s\""), &["short_states: expected a table"]),
        (realtime("refresh_after = 5"), &["refresh_after: expected", "hint: did you mean \"5s\"?"]),
        (realtime("logout_after = 0"), &["logout_after: expected a whole number from 1 to 1000"]),
        (realtime("allow = [\"10.0.0.0/33\"]"), &["error: r.toml:11:10: allow: expected a network"]),
        (realtime("allow = [\"10.0.0.0/8\", \"::1\"]"), &[]),
        (
            realtime("allow = [\"::ffff:10.0.0.0/90\"]"),
            &["error: r.toml:11:10: allow: ::ffff:10.0.0.0/90 is neither IPv4 nor IPv6"],
        ),
        (realtime("allow = \"10.0.0.0/8\""), &["allow: expected a list, found \"10.0.0.0/8\""]),
        (realtime("forward = []"), &[]),
        (realtime("forward = [\"other:7001\", \"10.1.2.4:7001\", \"[::1]:7001\"]"), &[]),
        (
            realtime(
                "forward = [\"other\", \"https://other:7001\", \"other:70010\", \":7001\", \"::1:7001\", \"other:+1\"]",
            ),
            &[
                "error: r.toml:11:12: forward: expected a target as \"host:port\", such as \"10.1.2.4:7001\", \"cloudlink.example:7001\" \
                 or \"[2001:db8::4]:7001\", found \"other\"",
                "found \"https://other:7001\"",
                "found \"other:70010\"",
                "found \":7001\"",
                "found \"::1:7001\"",
                "found \"other:+1\"",
            ],
        ),
        (
            realtime("forward = [\"other:0\"]"),
            &["found \"other:0\"", "hint: the port is the one that the other tool listens on"],
        ),
        (
            realtime("forward = [\"0.0.0.0:7002\"]"),
            &["forward: \"0.0.0.0:7002\" is where one listens", "hint: for this machine, write \"127.0.0.1:7002\""],
        ),
        (realtime("forward = [\"a:1\", \"b:1\", \"a:1\"]"), &["forward: \"a:1\" is there twice"]),
        (
            realtime("forward = [\"localhost:7001\"]"),
            &["forward: a target is this very port", "hint: forward to the tool"],
        ),
        (
            format!(
                "{}{}",
                realtime("forward = [\"127.0.0.1:7002\"]"),
                "[[integration]]\nid = \"b\"\nkind = \"avaya-cms\"\nacd = 2\nrealtime = { port = 7002, bind = \"127.0.0.1\", \
                 layout = \"cisco-icm-60\", forward = [\"127.0.0.1:7001\"] }\n"
            ),
            &[
                "error: r.toml:11:11: forward: over other integrations, what comes in here would come in here again",
                "error: r.toml:16:82: forward: over other integrations",
            ],
        ),
        (realtime("prot = 1"), &["unknown key \"prot\" in [integration.realtime]", "hint: did you mean \"port\"?"]),
        (
            format!("{KAFKA}{INTEGRATION}[integration.realtime]\nport = 0\n{bare}"),
            &[
                "warning: r.toml:7:1: anybody who reaches this machine may connect: bind is 0.0.0.0 and allow is empty",
                "warning: r.toml:8:8: port: 0 takes any free port",
            ],
        ),
        (
            format!("{KAFKA}{INTEGRATION}[integration.realtime]\nbind = \"localhost\"\nallow = [\"::1\"]"),
            &[
                "error: r.toml:7:1: \"port\" is missing in [integration.realtime]",
                "\"layout\" is missing in [integration.realtime]",
                "bind: expected an IP address",
            ],
        ),
        (format!("{KAFKA}{INTEGRATION}"), &["warning: r.toml:3:1: this integration does nothing yet"]),
        (
            format!("{KAFKA}{INTEGRATION}realtime = 5"),
            &["realtime: expected a table, found 5", "\"port\" is missing", "\"layout\" is missing", "anybody"],
        ),
        (format!("integration = 5\n{KAFKA}"), &["integration: expected a list of tables"]),
    ];
    for (text, expected) in cases {
        assert_problems(text, expected);
    }
}

#[test]
fn mappings() {
    let mapping = |lines: &str| format!("{}[integration.mapping]\n{lines}\n", valid());
    let cases: &[(String, &[&str])] = &[
        (
            mapping("identify_by = \"login-id\""),
            &["expected \"login_id\" or \"name\"", "hint: did you mean \"login_id\"?"],
        ),
        (
            mapping("identify_by = \"name\""),
            &["warning: r.toml:11:1: identify_by: layout \"cisco-icm-20\" has no column"],
        ),
        (
            mapping("users = \"users.csv\""),
            &["error: r.toml:12:9: users: there is no file r.toml".trim_end_matches("r.toml")],
        ),
        (
            mapping("identify_by = \"name\"\n[privacy]\nevent_names = false"),
            &[
                "warning: r.toml:11:1: identify_by",
                "error: r.toml:14:15: event_names: integration \"a\" is mapped by name, which is in every event",
                "hint: set identify_by = \"login_id\"",
            ],
        ),
        (mapping("activities = \"\""), &["activities: is empty"]),
        (
            mapping("default_activity = { id = 1 }"),
            &["id: expected text, found 1", "\"name\" is missing in default_activity"],
        ),
        (
            mapping("default_activity = { id = \"\u{a0}7 \", name = \"Present\" }"),
            &["warning: r.toml:12:27: id: has white space around it, which is left out"],
        ),
        (
            mapping("default_activity = { id = \"\\u200b7\", name = \" \" }"),
            &["error: r.toml:12:27: id: has the invisible character U+200B in it", "name: is empty"],
        ),
        (mapping("default_activity = { id = \"\\uFEFF\", name = \"A\" }"), &["id: is empty"]),
    ];
    for (text, expected) in cases {
        assert_problems(text, expected);
    }
}

#[test]
fn mapping_files_are_found_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.toml");
    std::fs::create_dir(folder.path().join("mapping")).unwrap();
    let users = folder.path().join("mapping/users.csv");
    std::fs::write(&users, "external_user,employee_id,employee_name\n").unwrap();
    let mapping = parse(&valid(), &file, []).config.unwrap().integrations.remove(0).mapping;
    assert_eq!((mapping.users, mapping.activities), (Some(users), None));
}

#[test]
fn tokens() {
    let secret = "0123456789abcdef0123456789ABCDEF";
    let hash = "c6".repeat(32);
    let with = |lines: &str| format!("{}{lines}\n", valid());
    let token = |name: &str, lines: &str| format!("[[http.token]]\nname = \"{name}\"\nrole = \"viewer\"\n{lines}\n");
    let inline = format!("token = \"{secret}\"");
    let hashed = format!("token_sha256 = \"{hash}\"");
    let cases: &[(String, &[&str])] = &[
        (with(&token("a", &hashed)), &[]),
        (with(&token("a", &inline)), &["warning: r.toml:14:9: token: the secret stands in the configuration file"]),
        (
            with("[http]\nmetrics = \"tokens\""),
            &["metrics: expected \"open\" or \"token\"", "hint: did you mean \"token\"?"],
        ),
        (with("[http]\nloopback = \"token\"\nmetrics = \"token\""), &[]),
        (
            with("[http.token]\nname = \"a\""),
            &["token: is a single table", "hint: write [[http.token]], with double brackets"],
        ),
        (with("[[http.token]]"), &["\"name\" is missing", "\"role\" is missing", "a token without a secret"]),
        (with(&token("a", "")), &["error: r.toml:11:1: a token without a secret", "hint: add token_file = \"FILE\""]),
        (
            with(&token("a", &format!("{hashed}\ntoken_file = \"x\""))),
            &["token_file and token_sha256 exclude one another", "hint: keep one"],
        ),
        (with(&token("a b", &hashed)), &["name: expected up to 64 letters"]),
        (with(&token("loopback", &hashed)), &["\"loopback\" is what requests without a token are called"]),
        (
            with(&format!("[[http.token]]\nname = \"a\"\nrole = \"oprator\"\n{hashed}")),
            &["role: expected \"viewer\", \"planner\"", "hint: did you mean \"operator\"?"],
        ),
        (with(&token("a", "token_sha256 = \"c6\"")), &["token_sha256: expected 64 hexadecimal digits"]),
        (with(&token("a", "token_file = \"gone\"")), &["token_file: the file cannot be read: No such file"]),
        (
            with(&token("a", "token = \"short\"")),
            &["warning: r.toml:14:9: token: the secret", "a secret has from 32 to 512 characters, this one has 5"],
        ),
        (
            with(&token("a", &format!("token = \"{secret} {secret}\""))),
            &["warning: r.toml:14:9: token: the secret", "a secret has letters, digits and"],
        ),
        (
            with(&(token("a", &hashed) + &token("a", &format!("token_sha256 = \"{}\"", "00".repeat(32))))),
            &["name: \"a\" is taken"],
        ),
        (with(&(token("a", &hashed) + &token("b", &hashed))), &["\"b\" has the same secret as \"a\""]),
        (
            with("[http]\nlisten = \"0.0.0.0:9464\""),
            &["warning: r.toml:12:10: listen: 0.0.0.0:9464 is not loopback, and there is no token"],
        ),
    ];
    for (text, expected) in cases {
        assert_problems(text, expected);
        assert!(!report(text, &[]).contains("0123456789abcdef"), "a secret is shown");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{secret}\r\n")).unwrap();
    let file = file.to_str().unwrap();
    let role = ("RTALINK__HTTP__TOKEN__0__ROLE", "operator");
    let name = ("RTALINK__HTTP__TOKEN__0__NAME", "a");
    let config = config(&valid(), &[name, role, ("RTALINK__HTTP__TOKEN__0__TOKEN_FILE", file)]);
    let token = &config.http.tokens[0];
    assert_eq!((token.name.as_str(), token.role), ("a", model::Role::Operator));
    assert!(token.hash.is_same(&secret::SecretHash::of(secret.as_bytes())));
    let report = report(&valid(), &[name, role, ("RTALINK__HTTP__TOKEN__0__TOKEN", secret)]);
    assert!(
        report.starts_with("warning: RTALINK__HTTP__TOKEN__0__TOKEN: token: the secret stands in the environment"),
        "{report}"
    );
    assert!(!report.contains(secret), "{report}");
}

#[test]
fn ipv4_that_is_written_as_ipv6_is_ipv4() {
    let allow = "[\"::ffff:10.1.2.3\", \"::ffff:10.1.2.0/120\", \"::ffff:0:0/96\", \"10.0.0.0/8\", \"2001:db8::/32\"]";
    let toml = valid().replace("[integration.realtime]\n", &format!("[integration.realtime]\nallow = {allow}\n"));
    let config = config(&toml, &[]);
    let realtime = config.integrations[0].realtime.as_ref().unwrap();
    let told: Vec<String> = realtime.allow.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["10.1.2.3/32", "10.1.2.0/24", "0.0.0.0/0", "10.0.0.0/8", "2001:db8::/32"]);
}
