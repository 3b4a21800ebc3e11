//! `rtalink status --bundle`: everything for somebody who is to help, and nobody in it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::support;

use support::http::get;
use support::process::{Process, rtalink};
use support::service::folder;
use support::wait::until;

/// Who is in the feed: login ids, names and extensions.
const IN_FEED: [&str; 4] = ["47110815", "47110816", "Zauberwald", "80099123"];
/// Who is in the mapping.
const IN_MAPPING: [&str; 2] = ["EMP-9917", "Quellnymph"];
/// Who, and which secrets, are in the configuration and the environment.
const IN_CONFIGURATION: [&str; 10] = [
    "Dornröschen",
    "rumpelstilz",
    "sesam-oeffne-dich",
    "0123456789abcdef0123456789abcdef",
    "Siebenzwerge",
    "frauholle",
    "umgebung-geheim",
    "Rapunzel",
    "Siebenschön",
    "Hexenliste",
];

const USERS: &str = "external_user,employee_id,employee_name\n47110815,EMP-9917,Quellnymph\n";

fn config(format: &str) -> String {
    format!(
        r#"
# Dornröschen wrote this.
[kafka]
bootstrap_servers = "embedded"
partitions = 1
[kafka.properties]
"sasl.username" = "rumpelstilz"
"sasl.password" = "sesam-oeffne-dich"
[http]
listen = "127.0.0.1:0"
[[http.token]]
name = "frauholle"
role = "operator"
token = "0123456789abcdef0123456789abcdef"
[log]
level = "debug"
format = "{format}"
[store]
directory = "Siebenzwerge/data"
[[integration]]
id = "site"
name = "Das Team von Dornröschen"
kind = "avaya-cms"
acd = 1
[integration.realtime]
port = 0
bind = "127.0.0.1"
layout = "short"
snapshot_end = "marker"
[integration.mapping]
users = "Rapunzel.csv"
[layout.short]
separator = "|"
marker = "^END"
skip = ["^Dornröschen"]
columns = ["login_id", "name", "state", "aux_reason", "extension"]
states = "cms-names"
"#
    )
}

/// The files of an archive.
fn unpacked(archive: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(fs::File::open(archive).unwrap()));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(name, text);
    }
    files
}

/// Exit code and stderr.
fn bundle(http: SocketAddr, file: &Path, more: &[&str]) -> (i32, String) {
    let mut command = rtalink();
    command.args(["status", "--http", &http.to_string(), "--bundle"]).arg(file).args(more);
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn nobody_and_no_secret_is_in_a_bundle() {
    for format in ["text", "json"] {
        let folder = folder(&[("Rapunzel.csv", USERS)]);
        let process = {
            // The environment counts as well; an empty password is never sent anywhere.
            let environment = [
                ("RTALINK__KAFKA__PROPERTIES__SSL_KEY_PASSWORD", "umgebung-geheim"),
                ("RTALINK__INTEGRATION__0__REALTIME__STALE_AFTER", "47s"),
            ];
            fs::write(folder.path().join("rtalink.toml"), config(format)).unwrap();
            let mut command = rtalink();
            command.args(["run", "--config"]).arg(folder.path().join("rtalink.toml")).envs(environment);
            Process::spawn(command)
        };
        let (http, feed) = if format == "text" {
            (process.http(), process.feed())
        } else {
            let of = |text: &str, field: &str| -> SocketAddr {
                let line: Value = serde_json::from_str(&process.line(text)).unwrap();
                line[field].as_str().unwrap().parse().unwrap()
            };
            (of("\"started\"", "http"), of("listening for CMS", "address"))
        };
        let mut feed = TcpStream::connect(feed).unwrap();
        let records = [
            "47110815|Zauberwald|AVAIL||80099123",
            "47110816|Zauberwald|DANCING||80099123",
            "Dornröschen",
            "END",
            "47110815|Zauberwald",
            "47110816|Zauberwald|AUX|x|80099123",
        ];
        feed.write_all((records.join("\n") + "\n").as_bytes()).unwrap();
        until("all records", || {
            let records = get(http, "/api/v1/status").json()["integrations"][0]["records"].clone();
            Some(()).filter(|()| records["invalid"] == 2 && records["changed"] == 2)
        });
        // A mapping that cannot be read, whose path and lines the log tells of.
        fs::write(folder.path().join("Rapunzel.csv"), "47110815,EMP-9917,Quellnymph\n").unwrap();
        process.signal("HUP");
        process.line("reload refused");
        // And a configuration that is refused, with a list in a folder of two words.
        let refused = config(format).replace("Rapunzel.csv", "Team Siebenschön/Hexenliste.csv");
        fs::write(folder.path().join("rtalink.toml"), refused).unwrap();
        process.signal("HUP");
        process.line("Hexenliste");
        // The test of the test: the log itself names them, since it is at DEBUG, and the path at any level.
        let log = process.log().join("\n");
        assert!(log.contains("Rapunzel") && log.contains("47110815"), "{log}");

        let file = folder.path().join("bundle.tar.gz");
        let secret = folder.path().join("secret");
        fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
        let (code, said) = bundle(http, &file, &["--token-file", secret.to_str().unwrap()]);
        assert_eq!((code, said.as_str()), (0, ""));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let files = unpacked(&file);
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "README.txt",
                "configuration.toml",
                "health.json",
                "layouts.json",
                "log.txt",
                "metrics.txt",
                "status.json",
                "status.txt",
                "versions.json"
            ]
        );
        for (name, text) in &files {
            for person in IN_FEED.iter().chain(&IN_MAPPING).chain(&IN_CONFIGURATION) {
                assert!(!text.contains(person), "{person} in {name}:\n{text}");
            }
            assert!(!text.contains(folder.path().to_str().unwrap()), "a folder in {name}:\n{text}");
        }
        // And what is needed is there.
        let json = |name: &str| -> Value { serde_json::from_str(&files[name]).unwrap() };
        let configuration: toml::Table = files["configuration.toml"].parse().unwrap();
        let realtime = &configuration["integration"][0]["realtime"];
        assert_eq!((realtime["layout"].as_str(), realtime["stale_after"].as_str()), (Some("short"), Some("47s")));
        assert_eq!(configuration["kafka"]["properties"]["sasl.password"].as_str(), Some("(withheld)"));
        assert!(files["configuration.toml"].contains("# from the environment: integration.realtime.stale_after"));
        let layout = &json("layouts.json")["short"];
        assert_eq!(layout["unreadable"], json!({ "bad_number": 1, "too_few_fields": 1 }));
        assert_eq!((&layout["records"]["skipped"], &layout["records"]["changed"]), (&json!(1), &json!(2)));
        let reload = files["log.txt"].lines().find(|line| line.contains("reload refused")).unwrap_or_default();
        assert!(reload.contains("ERROR") && files["log.txt"].contains("invalid record"), "{}", files["log.txt"]);
        assert!(!files["log.txt"].contains("DEBUG"), "{}", files["log.txt"]);
        assert!(files["metrics.txt"].contains("rtalink_feed_records_total{integration=\"site\""));
        assert_eq!(json("health.json")["status"], "ready");
        assert!(files["status.txt"].contains("next: ") && json("status.json")["reloadRefusedAt"].is_string());
        assert_eq!(json("versions.json")["service"]["rtalink"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn what_a_token_may_not_see_is_left_out_and_said_and_nothing_is_half_written() {
    let folder = folder(&[("Rapunzel.csv", USERS)]);
    let toml = config("text").replace("\"operator\"", "\"viewer\"").replace("level = \"debug\"", "level = \"info\"");
    let process = Process::run(
        &folder,
        &toml.replace("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:0\"\nloopback = \"token\""),
    );
    let http = process.http();
    let (file, secret) = (folder.path().join("bundle.tar.gz"), folder.path().join("secret"));
    let (code, said) = bundle(http, &file, &[]);
    assert_eq!((code, file.exists()), (1, false), "{said}");
    fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    let (code, said) = bundle(http, &file, &["--token-file", secret.to_str().unwrap()]);
    let needs = "token \"frauholle\" is viewer: this needs operator or admin";
    for missing in ["configuration.toml", "log.txt"] {
        assert!(said.contains(&format!("rtalink: warning: not in the archive: {missing}: {needs}")), "{said}");
    }
    assert_eq!(code, 0);
    let files = unpacked(&file);
    assert!(files["log.txt"].starts_with("could not be had") && files["metrics.txt"].contains("rtalink_ready"));
    assert!(!files.values().any(|text| text.contains("frauholle")));
    let (code, said) = bundle(http, Path::new("/no/such/folder/b.tar.gz"), &["--token-file", secret.to_str().unwrap()]);
    assert!(code == 1 && said.contains("cannot write /no/such/folder/b.tar.gz"), "{said}");
}
