use crate::config;
use crate::config::schema::{self, SECTIONS};

use super::*;

/// With a secret or a person wherever somebody may write one.
const WRITTEN: &str = r#"
# Ask Hilde Nordmann about this file.
[kafka]
bootstrap_servers = "broker-1:9093"
partitions = 3
linger = "5ms"
[kafka.properties]
"security.protocol" = "SASL_SSL"
"sasl.username" = "hilde.nordmann"
"sasl.password" = 13374242
ssl.key.password = "geheim-geheim"
ssl.ca.location = "/home/nordmann/ca.pem"
[http]
listen = "127.0.0.1:9464"
[[http.token]]
name = "nordmann"
role = "viewer"
token = "0123456789abcdef0123456789abcdef"
[store]
directory = "/home/nordmann/data"
journal_max_size = "1GiB"
[[integration]]
id = "site"
name = "Team of Hilde Nordmann"
kind = "avaya-cms"
acd = 1
[integration.realtime]
port = 7001
layout = "acme"
stale_after = "30s"
allow = ["10.0.0.0/8"]
[integration.mapping]
users = "nordmann-users.csv"
[layout.acme]
separator = "|"
skip = ["^47110815 Nordmann"]
marker = "^END"
columns = ["login_id", { field = "state" }]
[layout.acme.states]
"Pause 1" = "AUX"
"#;

const NOBODY: [&str; 10] =
    ["Hilde", "ordmann", "13374242", "geheim", "0123456789", "47110815", "ca.pem", "hilde", "token-file", "4711"];

fn redacted(environment: &[(&str, &str)]) -> Redacted {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let loaded = config::parse(WRITTEN, std::path::Path::new("nowhere/r.toml"), environment);
    loaded.parts.unwrap().redacted
}

#[test]
fn what_is_written_is_shown_without_secrets_and_people() {
    let text = redacted(&[
        ("RTALINK__KAFKA__PROPERTIES__SASL_PASSWORD", "geheim-2"),
        ("RTALINK__INTEGRATION__0__NAME", "Hilde's"),
        ("RTALINK__INTEGRATION__0__ACD", "12"),
        ("RTALINK__LOG__LEVEL", "debug"),
        ("RTALINK__HTTP__TOKEN", "[{ name = \"hilde\", role = \"admin\", token_file = \"token-file\" }]"),
    ])
    .text()
    .to_owned();
    for person in NOBODY {
        assert!(!text.contains(person), "{person} in\n{text}");
    }
    insta::assert_snapshot!(text, @r#"
    # from the environment: http.token, http.token.name, http.token.role, http.token.token_file, integration.acd, integration.name, kafka.properties.sasl.password, log.level
    [http]
    listen = "127.0.0.1:9464"

    [[http.token]]
    name = "(withheld)"
    role = "admin"
    token_file = "(withheld)"

    [[integration]]
    acd = "12"
    id = "site"
    kind = "avaya-cms"
    name = "(withheld)"

    [integration.mapping]
    users = "(withheld)"

    [integration.realtime]
    allow = ["10.0.0.0/8"]
    layout = "acme"
    port = 7001
    stale_after = "30s"

    [kafka]
    bootstrap_servers = "broker-1:9093"
    linger = "5ms"
    partitions = 3

    [kafka.properties]
    "sasl.password" = "(withheld)"
    "sasl.username" = "(withheld)"
    "security.protocol" = "SASL_SSL"

    [kafka.properties.ssl.ca]
    location = "(withheld)"

    [kafka.properties.ssl.key]
    password = "(withheld)"

    [layout.acme]
    columns = ["login_id", { field = "state" }]
    marker = "^AAA"
    separator = "|"
    skip = ["^99999999 Aaaaaaaa"]

    [layout.acme.states]
    "Pause 1" = "AUX"

    [log]
    level = "debug"

    [store]
    directory = "(withheld)"
    journal_max_size = "1GiB"
    "#);
    assert!(text.parse::<toml::Table>().is_ok());
}

#[test]
fn what_is_withheld_is_taken_out_of_lines_too() {
    let redacted = redacted(&[]);
    let lines = [
        ("reading /home/nordmann/site/nordmann-users.csv:3: no", "reading …/…:3: no"),
        ("store=/var/lib/rtalink/users.csv is gone", "store=…/users.csv is gone"),
        ("user \"hilde.nordmann\" lacks READ", "user \"…\" lacks READ"),
        ("name=Team of Hilde Nordmann changed", "name=… changed"),
        ("see /api/v1/unmapped and /health/ready", "see /api/v1/unmapped and /health/ready"),
        ("kafka=broker-1:9093/1 a/b http://127.0.0.1:1/x/y", "kafka=broker-1:9093/1 a/b http://127.0.0.1:1/x/y"),
        ("", ""),
        ("/", "/"),
    ];
    for (line, expected) in lines {
        assert_eq!(redacted.scrub(line), expected);
    }
    assert!(!format!("{redacted:?}").contains("ordmann"));
    assert!(
        !redacted.withheld.iter().any(|text| text.contains("geheim") || text.contains("0123")),
        "no secret is kept"
    );
}

/// Where a folder ends cannot be told from the line.
#[test]
fn folders_of_two_words_are_taken_out_of_lines_too() {
    let written = WRITTEN.replace("nordmann-users.csv", "/srv/Team Blau/lists/users.csv");
    let loaded = config::parse(&written, std::path::Path::new("/etc/the site/r.toml"), []);
    let redacted = loaded.parts.unwrap().redacted;
    let lines = [
        ("users of /srv/Team Blau/lists/users.csv:3: no", "users of …/users.csv:3: no"),
        ("/etc/the site/r.toml:3: no", "…/r.toml:3: no"),
        ("the lists of rtalink::feed", "the lists of rtalink::feed"),
    ];
    for (line, expected) in lines {
        assert_eq!(redacted.scrub(line), expected);
    }
}

#[test]
fn every_key_that_is_named_here_is_one() {
    let known = |key: &str| SECTIONS.iter().any(|section| section.keys.contains(&key));
    let named = SHOWN.iter().chain(&WHOLE).chain(&PATTERNS).chain(&SECRET);
    // Of versions to come.
    let coming = ["width_in"];
    for key in named {
        for part in key.split('.').filter(|part| *part != "*" && !coming.contains(part)) {
            assert!(known(part) || schema::ROOT.keys.contains(&part), "{key}: there is no {part}");
        }
    }
}
