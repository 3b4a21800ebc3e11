//! What files may hold: configuration, captures.

use std::fmt::Write as _;

use rtalink::config;
use rtalink::config::http::{LONGEST_NAME, LONGEST_SECRET, MOST_TOKENS, SHORTEST_SECRET};
use rtalink::wire::layout::MOST_MAX_RECORD;
use rtalink::wire::plan::MAX_COLUMNS;
use rtalink::wire::record::MOST_SKILLS;

use crate::support::process::{output, write};
use crate::support::service::folder;

#[test]
fn the_name_of_a_file_with_a_key_has_so_many_characters_and_is_not_shown_beyond() {
    let told = |length: usize| {
        let name = "k".repeat(length);
        let tls = format!("[integration.realtime.tls]\ncertificate = \"c.pem\"\nkey = \"{name}\"");
        errors(1, "a", &tls, COLUMNS, "").pop().unwrap().replace(&name, "NAME")
    };
    assert!(told(255).starts_with("key: there is no file ") && told(255).ends_with("NAME"), "{}", told(255));
    assert_eq!(told(256), "key: expected the name of a file, found what may stand in one");
    println!("characters of the name of a key's file, limit 255: {}", told(256));
}

/// Errors of a configuration with these further lines.
fn errors(integrations: usize, id: &str, realtime: &str, layout: &str, more: &str) -> Vec<String> {
    let mut toml = format!("[kafka]\nbootstrap_servers = \"embedded\"\n{more}\n");
    for number in 0..integrations {
        let port = 20_000 + number;
        write!(
            toml,
            "[[integration]]\nid = \"{id}{number}\"\nkind = \"avaya-cms\"\nacd = 1\n\
             [integration.realtime]\nport = {port}\nbind = \"127.0.0.1\"\nlayout = \"own\"\n{realtime}\n"
        )
        .unwrap();
    }
    toml += &format!("[layout.own]\nseparator = \"|\"\nstates = \"rta-codes\"\n{layout}\n");
    let folder = folder(&[]);
    let loaded = config::parse(&toml, &folder.path().join("rtalink.toml"), []);
    let errors = loaded.problems.iter().filter(|problem| problem.severity == config::Severity::Error);
    errors.map(|problem| problem.message.clone()).collect()
}

const COLUMNS: &str = "columns = [\"login_id\", \"state\"]";

#[test]
fn a_configuration_has_so_much_of_each() {
    let columns = |count: usize| format!("columns = [\"login_id\", \"state\"{}]", ", \"-\"".repeat(count - 2));
    let repeat = |count: usize| format!("{COLUMNS}\nskills = {{ columns = [\"skill\"], repeat = {count} }}");
    let record = |bytes: usize| format!("{COLUMNS}\nmax_record = {bytes}");
    let skip = |states: usize| format!("{COLUMNS}\nskip = ['^[a-z]{{{states}}}x']");
    let allow = |count: usize| {
        let networks: Vec<String> =
            (0..count).map(|number| format!("\"10.0.{}.{}\"", number / 250, number % 250)).collect();
        format!("allow = [{}]", networks.join(","))
    };
    let forward = |count: usize| {
        let targets: Vec<String> = (0..count).map(|number| format!("\"cloudlink-{number}:7001\"")).collect();
        format!("forward = [{}]", targets.join(","))
    };
    let tokens = |count: usize, name: usize, secret: usize| {
        (0..count).fold(String::new(), |mut tokens, number| {
            let (name, secret) = (format!("{number:0>name$}"), format!("{number:0>secret$}"));
            write!(tokens, "[[http.token]]\nname = \"{name}\"\nrole = \"viewer\"\ntoken = \"{secret}\"\n").unwrap();
            tokens
        })
    };
    let topic = |length: usize| format!("[kafka.topics]\nevents = \"{}\"", "x".repeat(length));
    let plain = |realtime: &str, layout: &str, more: &str| errors(1, "a", realtime, layout, more);
    let id = |length: usize| errors(1, &"a".repeat(length - 1), "", COLUMNS, "");
    let cases: [(&str, usize, Vec<String>, Vec<String>); 12] = [
        ("integrations", 100, errors(100, "a", "", COLUMNS, ""), errors(101, "a", "", COLUMNS, "")),
        ("characters of an id", 64, id(64), id(65)),
        ("entries of allow", 1_000, plain(&allow(1_000), COLUMNS, ""), plain(&allow(1_001), COLUMNS, "")),
        ("targets of forward", 8, plain(&forward(8), COLUMNS, ""), plain(&forward(9), COLUMNS, "")),
        ("columns", MAX_COLUMNS, plain("", &columns(MAX_COLUMNS), ""), plain("", &columns(MAX_COLUMNS + 1), "")),
        ("groups of skills", MOST_SKILLS, plain("", &repeat(MOST_SKILLS), ""), plain("", &repeat(MOST_SKILLS + 1), "")),
        (
            "bytes of max_record",
            MOST_MAX_RECORD,
            plain("", &record(MOST_MAX_RECORD), ""),
            plain("", &record(MOST_MAX_RECORD + 1), ""),
        ),
        ("letters of a compiled expression", 1_000, plain("", &skip(1_000), ""), plain("", &skip(100_000), "")),
        (
            "tokens",
            MOST_TOKENS,
            plain("", COLUMNS, &tokens(MOST_TOKENS, 1, 40)),
            plain("", COLUMNS, &tokens(MOST_TOKENS + 1, 1, 40)),
        ),
        (
            "characters of a token's name",
            LONGEST_NAME,
            plain("", COLUMNS, &tokens(1, LONGEST_NAME, 40)),
            plain("", COLUMNS, &tokens(1, LONGEST_NAME + 1, 40)),
        ),
        (
            "characters of a secret",
            LONGEST_SECRET,
            plain("", COLUMNS, &tokens(1, 1, LONGEST_SECRET)),
            plain("", COLUMNS, &tokens(1, 1, LONGEST_SECRET + 1)),
        ),
        ("characters of a topic", 249, plain("", COLUMNS, &topic(249)), plain("", COLUMNS, &topic(250))),
    ];
    for (what, limit, within, beyond) in cases {
        assert_eq!(within, Vec::<String>::new(), "{limit} {what}");
        assert_eq!(beyond.len(), 1, "more than {limit} {what}: {beyond:?}");
        println!("more {what}, limit {limit}: {}", beyond[0]);
    }
    assert_eq!(plain("", COLUMNS, &tokens(1, 1, SHORTEST_SECRET - 1)).len(), 1);
}

#[test]
fn a_line_of_a_capture_has_so_many_bytes() {
    let files = folder(&[]);
    let config = "[kafka]\nbootstrap_servers = \"embedded\"\n[[integration]]\nid = \"a\"\nkind = \"avaya-cms\"\nacd = 1\n\
                  [integration.realtime]\nport = 7001\nlayout = \"cisco-icm-20\"\n";
    let config = write(files.path(), "rtalink.toml", config);
    let line = |bytes: usize| format!("{{\"at\":\"2026-01-05T08:00:00Z\",\"text\":\"{}\"}}\n", "x".repeat(bytes));
    for (name, bytes, expected) in [("fits", 4_000_000, Some(0)), ("beyond", 5_000_000, Some(1))] {
        let capture = write(files.path(), name, line(bytes));
        let told =
            output(&["replay", "--config", config.to_str().unwrap(), "--integration", "a", capture.to_str().unwrap()]);
        let error = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), expected, "{name}: {error}");
        if expected == Some(1) {
            assert!(error.contains(":1: the line is longer than 4 MiB: this is no capture"), "{error}");
            println!("a line of a capture of {bytes} bytes, limit 4 MiB: exit 1, {}", error.trim());
        }
    }
}
