//! Variables laid over a file.

use std::time::Duration;

use super::*;

#[test]
fn variables_override_and_add() {
    let environment = [
        ("RTALINK__KAFKA__BOOTSTRAP_SERVERS", "other:9093"),
        ("RTALINK__KAFKA__PROPERTIES__SASL_USERNAME", "me"),
        ("RTALINK__KAFKA__PARTITIONS", "12"),
        ("RTALINK__KAFKA__CREATE_TOPICS", "false"),
        ("RTALINK__STORE__DIRECTORY", "/var/lib/rtalink"),
        ("RTALINK__INTEGRATION__0__ACD", "7"),
        ("RTALINK__INTEGRATION__0__REALTIME__PORT", "7100"),
        ("RTALINK__INTEGRATION__0__REALTIME__ALLOW", "10.0.0.0/8, 192.168.1.1"),
        ("RTALINK__INTEGRATION__0__REALTIME__STALE_AFTER", "1m"),
        ("RTALINK__INTEGRATION__0__MAPPING__DEFAULT_ACTIVITY", "{ id = \"9\", name = \"Here\" }"),
        ("RTALINK__INTEGRATION__1__ID", "b"),
        ("RTALINK__INTEGRATION__1__KIND", "avaya-cms"),
        ("RTALINK__INTEGRATION__1__ACD", "2"),
        ("RTALINK__LAYOUT__SITE_A__NULL", "[\"\", \"a,b\"]"),
        ("RTALINK__LAYOUT__SITE_A__STATES__Pause", "AUX"),
        ("RTALINK_LOG", "not ours"),
    ];
    let text = valid() + "[layout.Site-A]\nseparator = \",\"\ncolumns = [\"login_id\", \"state\"]\n";
    let config = config(&text, &environment);
    assert_eq!(config.kafka.bootstrap, model::Bootstrap::Servers("other:9093".to_owned()));
    assert_eq!(config.kafka.properties["sasl.username"], "me");
    assert_eq!((config.kafka.partitions, config.kafka.create_topics), (12, false));
    assert_eq!(config.store.directory, Path::new("/var/lib/rtalink"));
    let integration = &config.integrations[0];
    let realtime = integration.realtime.as_ref().unwrap();
    assert_eq!((integration.settings.fixed.acd, realtime.listen.port()), (7, 7100));
    assert_eq!(realtime.allow.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "192.168.1.1/32"]);
    assert_eq!(integration.settings.thresholds.stale_after, Duration::from_secs(60));
    assert_eq!(integration.mapping.default_activity.0, "9");
    assert_eq!(&*config.integrations[1].id, "b");
    let layout = &config.layouts["Site-A"];
    assert_eq!(layout.null, ["", "a,b"]);
    assert!(layout.states.lookup(b"Pause").is_some());
}

#[test]
fn the_environment_alone_is_enough() {
    let environment = [
        ("RTALINK__KAFKA__BOOTSTRAP_SERVERS", "embedded"),
        ("RTALINK__INTEGRATION__0__ID", "a"),
        ("RTALINK__INTEGRATION__0__KIND", "avaya-cms"),
        ("RTALINK__INTEGRATION__0__ACD", "1"),
        ("RTALINK__INTEGRATION__0__REALTIME__PORT", "7001"),
        ("RTALINK__INTEGRATION__0__REALTIME__BIND", "::1"),
        ("RTALINK__INTEGRATION__0__REALTIME__LAYOUT", "cisco-icm-60"),
    ];
    assert_eq!(config("", &environment).integrations.len(), 1);
}

#[test]
fn problems_name_the_variable() {
    let cases = [
        (
            ("RTALINK__INTEGRATION__0__REALTIME__PORT", "http"),
            "error: RTALINK__INTEGRATION__0__REALTIME__PORT: port: expected a whole number from 0 to 65535, found \"http\"",
        ),
        (
            ("RTALINK__KAFAK__FORMAT", "json"),
            "error: RTALINK__KAFAK__FORMAT: unknown key \"kafak\" in the file\n  hint: did you mean \"kafka\"?",
        ),
        (
            ("RTALINK__INTEGRATION__2__ACD", "1"),
            "error: RTALINK__INTEGRATION__2__ACD: bad index \"2\": integration has 1 entries, counted from 0\n  hint: 1 adds one",
        ),
        (
            ("RTALINK__INTEGRATION__ACD", "1"),
            "error: RTALINK__INTEGRATION__ACD: bad index \"acd\": integration has 1 entries, counted from 0\n  hint: 1 adds one",
        ),
        (
            ("RTALINK__KAFKA__BOOTSTRAP_SERVERS__X", "1"),
            "error: RTALINK__KAFKA__BOOTSTRAP_SERVERS__X: kafka.bootstrap_servers has no keys below it",
        ),
        (("RTALINK__KAFKA", "x"), "error: RTALINK__KAFKA: kafka: expected a table, found text"),
        (
            ("RTALINK__INTEGRATION__0__REALTIME__ALLOW", "[\"x\""),
            "error: RTALINK__INTEGRATION__0__REALTIME__ALLOW: allow: expected a list",
        ),
        (
            ("RTALINK__KAFKA__PROPERTIES__MESSAGE_TIMEOUT_MS", "5"),
            "error: RTALINK__KAFKA__PROPERTIES__MESSAGE_TIMEOUT_MS: message.timeout.ms: is not yours to set",
        ),
        (("RTALINK__", "x"), "error: RTALINK__: unknown key \"\" in the file"),
        (
            ("RTALINK__HTTP__LISTEN_FILE", "missing"),
            "error: RTALINK__HTTP__LISTEN_FILE: the file that it names cannot be read: No such file",
        ),
    ];
    for (variable, expected) in cases {
        let report = report(&valid(), &[variable]);
        assert!(report.contains(expected), "expected {expected}\nin {report}");
    }
}

#[test]
fn values_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "hush \n").unwrap();
    let secret = secret.to_str().unwrap();
    let password = "RTALINK__KAFKA__PROPERTIES__SASL_PASSWORD";
    let from_file = format!("{password}_FILE");
    assert_eq!(config(&valid(), &[(&from_file, secret)]).kafka.properties["sasl.password"], "hush ");
    let twice = report(&valid(), &[(&from_file, secret), (password, "x")]);
    assert!(twice.contains(&format!("error: {password}: sets the same key as {from_file}")), "{twice}");
    let shown = report(&valid(), &[("RTALINK__KAFKA__FORMAT_FILE", secret)]);
    assert!(shown.contains("found the content of the file") && !shown.contains("hush"), "{shown}");
}
