//! A configuration with every kind of secret is run, checked, reloaded, asked and broken in many ways; none of the secrets is in
//! anything that comes out, in no spelling.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use tempfile::TempDir;

use crate::support;

use support::certificates::{Authority, DAY, NAME, Valid};
use support::process::{Process, rtalink, write};
use support::secure_kafka::{PASSWORD, Secure};
use support::service::folder;
use support::short::{self, send};
use support::wait::until;

/// What the configuration of a site hides, by name. Each has characters that some spelling changes.
const SECRETS: [(&str, &str); 8] = [
    ("the password that is right", PASSWORD),
    ("a password that is wrong", "wrong/p+ss %41 \"w\\ord\""),
    ("the password of a key", "key=p+ss/%42 'word'"),
    ("the password of a keystore", "store=p+ss/%43 'word'"),
    ("a token in the file", "in-the-file~+/0123456789abcdef0123456789=="),
    ("a token in a file of its own", "of-its-own~+/0123456789abcdef0123456789=="),
    ("a token of which the hash is given", "only-a-hash~+/0123456789abcdef0123456789=="),
    ("a token from the environment", "environment~+/0123456789abcdef0123456789=="),
];

const RIGHT: &str = SECRETS[0].1;
const WRONG: &str = SECRETS[1].1;
const KEY: &str = SECRETS[2].1;
const STORE: &str = SECRETS[3].1;
const INLINE: &str = SECRETS[4].1;
const OF_ITS_OWN: &str = SECRETS[5].1;
const HASHED: &str = SECRETS[6].1;
const ENVIRONMENT: &str = SECRETS[7].1;

/// How a text may have been written on its way.
fn spellings(secret: &str) -> Vec<String> {
    let percent = |upper: bool, keeps: &[u8]| {
        secret.bytes().fold(String::new(), |mut text, byte| {
            match byte {
                byte if byte.is_ascii_alphanumeric() || keeps.contains(&byte) => text.push(char::from(byte)),
                byte if upper => write!(text, "%{byte:02X}").unwrap(),
                byte => write!(text, "%{byte:02x}").unwrap(),
            }
            text
        })
    };
    let hex = hex::encode(secret);
    let mut all = vec![
        secret.to_owned(),
        format!("{secret:?}").trim_matches('"').to_owned(),
        // Escaped again, as a field of a line that is itself escaped.
        format!("{:?}", format!("{secret:?}")).trim_matches(['"', '\\']).to_owned(),
        serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(),
        percent(true, b"-._~"),
        percent(false, b"-._~"),
        percent(true, b""),
        percent(true, b"-._~/").replace("%20", "+"),
        hex.to_uppercase(),
        hex,
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
    ];
    all.sort();
    all.dedup();
    all
}

/// Everything that came out, each with where.
#[derive(Default)]
struct Outputs(Vec<(String, String)>);

impl Outputs {
    fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    /// Runs a command to its end.
    fn run(&mut self, place: &str, command: &mut Command) -> Option<i32> {
        let output = command.output().unwrap();
        self.add(format!("{place}: stdout"), String::from_utf8_lossy(&output.stdout));
        self.add(format!("{place}: stderr"), String::from_utf8_lossy(&output.stderr));
        output.status.code()
    }

    fn text(&self, place: &str) -> &str {
        &self.0.iter().find(|(known, _)| known == place).unwrap().1
    }

    /// Where which secret is.
    fn find(&self, secrets: &[(String, Vec<String>)]) -> Vec<String> {
        let mut found = Vec::new();
        for (place, text) in &self.0 {
            for (name, spellings) in secrets {
                if let Some(spelling) = spellings.iter().find(|spelling| text.contains(spelling.as_str())) {
                    let line = text.lines().find(|line| line.contains(spelling.as_str())).unwrap_or(text);
                    found.push(format!("{name} in {place}: {line}"));
                }
            }
        }
        found
    }
}

/// A configuration and its files.
struct Site {
    folder: TempDir,
    toml: String,
    /// The lines of private keys.
    keys: Vec<String>,
}

impl Site {
    fn new(level: &str, format: &str) -> Self {
        let secure = Secure::shared();
        let files = [
            ("kafka.password", format!("{RIGHT}\n")),
            ("wrong.password", format!("{WRONG}\n")),
            ("own.token", format!("{OF_ITS_OWN}\n")),
            ("environment.token", format!("{ENVIRONMENT}\n")),
        ];
        let folder = folder(&files.each_ref().map(|(name, text)| (*name, text.as_str())));
        let pair = Authority::new(folder.path(), "feed").sign("feed", NAME, Valid::For(DAY));
        let keys = fs::read_to_string(&pair.key).unwrap();
        let keys = keys.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect();
        let kafka = format!(
            r#"bootstrap_servers = "{}"
            create_topics = false
            [kafka.topics]
            events = "secrets.events"
            current = "secrets.current"
            feed_status = "secrets.feed-status"
            dead_letter = "secrets.dead-letter"
            audit = "secrets.audit"
            [kafka.properties]
            "security.protocol" = "SASL_SSL"
            "ssl.ca.location" = "{}"
            "sasl.mechanism" = "SCRAM-SHA-512"
            "sasl.username" = "secrets"
            "debug" = "conf,security,broker,eos"
            "ssl.key.password" = {KEY:?}
            "ssl.keystore.password" = {STORE:?}"#,
            secure.bootstrap(),
            secure.ca().display()
        );
        let hash = sha256(HASHED);
        let tokens = format!(
            r#"
            [[http.token]]
            name = "inline"
            role = "admin"
            token = "{INLINE}"
            [[http.token]]
            name = "own"
            role = "viewer"
            token_file = "own.token"
            [[http.token]]
            name = "hashed"
            role = "planner"
            token_sha256 = "{hash}"
            "#
        );
        let toml = short::config(&kafka, &pair.section(""), "")
            + &tokens
            + &format!("[log]\nlevel = \"{level}\"\nformat = \"{format}\"\n");
        Self { folder, toml, keys }
    }

    fn secrets(&self) -> Vec<(String, Vec<String>)> {
        let named = SECRETS.iter().map(|(name, secret)| ((*name).to_owned(), spellings(secret)));
        named.chain([("the private key of the feed".to_owned(), self.keys.clone())]).collect()
    }

    /// A command on that configuration, with a password from that file.
    fn command(&self, arguments: &[&str], toml: &str, password: &str) -> Command {
        let file = write(self.folder.path(), "rtalink.toml", toml);
        let mut command = rtalink();
        command.args(arguments).arg("--config").arg(file);
        command.envs([
            ("RTALINK__KAFKA__PROPERTIES__SASL_PASSWORD_FILE", password),
            ("RTALINK__HTTP__TOKEN__3__NAME", "environment"),
            ("RTALINK__HTTP__TOKEN__3__ROLE", "operator"),
            ("RTALINK__HTTP__TOKEN__3__TOKEN_FILE", "environment.token"),
        ]);
        command
    }

    fn run(&self, password: &str, more: &[(&str, &str)]) -> Process {
        let mut command = self.command(&["run"], &self.toml, password);
        command.envs(more.iter().copied());
        Process::spawn(command)
    }

    /// The configuration with something else in the place of a part.
    fn with(&self, part: &str, other: &str) -> String {
        assert!(self.toml.contains(part), "{part}");
        self.toml.replacen(part, other, 1)
    }
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(text))
}

fn ask(address: SocketAddr, request: &str, token: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("{request} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
    write!(stream, "{head}Authorization: Bearer {token}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Every page, to everybody and to nobody.
fn pages(outputs: &mut Outputs, place: &str, address: SocketAddr) {
    let requests = [
        "GET /health/live",
        "GET /health/ready",
        "GET /metrics",
        "GET /api/v1/integrations",
        "GET /api/v1/status",
        "GET /api/v1/agents",
        "GET /api/v1/agents?login_id=1",
        "GET /api/v1/unmapped",
        "GET /api/v1/log-level",
        "GET /api/v1/log",
        "GET /api/v1/configuration",
        "GET /api/v1/nothing",
        "POST /api/v1/integrations/avaya-1/pause",
        "POST /api/v1/integrations/avaya-1/resume",
        "PUT /api/v1/log-level",
        "DELETE /",
    ];
    for request in requests {
        for token in [INLINE, OF_ITS_OWN, HASHED, ENVIRONMENT, "a-token-that-nobody-knows-at-all-012345"] {
            outputs.add(format!("{place}: {request}"), ask(address, request, token, "trace"));
        }
    }
}

/// What is wrong near a secret, and what stands there instead.
fn mistakes(site: &Site) -> Vec<(&'static str, String)> {
    let key_line = format!("\"ssl.key.password\" = {KEY:?}");
    let token_line = format!("token = \"{INLINE}\"");
    let (pem_line, pem) = {
        let line = site.toml.lines().find(|line| line.starts_with("key = ")).unwrap();
        (line.to_owned(), site.keys.join("\\n"))
    };
    let servers = format!("bootstrap_servers = \"{}\"", Secure::shared().bootstrap());
    vec![
        ("an end that is missing", site.with(&key_line, key_line.trim_end_matches('"'))),
        ("quotes that are missing", site.with(&key_line, &key_line.replace('"', ""))),
        ("a list", site.with(&key_line, &format!("\"ssl.key.password\" = [{KEY:?}]"))),
        ("twice", site.with(&key_line, &format!("{key_line}\n{key_line}"))),
        ("no equals sign", site.with(&key_line, &key_line.replacen(" =", "", 1))),
        ("a property that is ours", site.with(&key_line, &key_line.replace("ssl.key.password", "acks"))),
        ("a table that is none", site.with("[kafka.properties]", &format!("properties = {KEY:?}\n[other]"))),
        ("an unknown key", site.with(&token_line, &token_line.replace("token", "tokn"))),
        ("a token with a blank", site.with(&token_line, &format!("token = \"{INLINE} \""))),
        ("a token as a role", site.with("role = \"admin\"", &format!("role = \"{INLINE}\""))),
        ("a token as a name", site.with("name = \"inline\"", &format!("name = \"{INLINE}\""))),
        ("a token as a file", site.with("token_file = \"own.token\"", &format!("token_file = \"{OF_ITS_OWN}\""))),
        ("a token as a hash", site.with(&token_line, &format!("token_sha256 = \"{INLINE}\""))),
        ("a token as a list", site.with(&token_line, &format!("token = [\"{INLINE}\"]"))),
        (
            "a token as the list of tokens",
            site.toml.replace("[[http.token]]", "[[http.other]]") + &format!("[http]\ntoken = \"{INLINE}\"\n"),
        ),
        (
            "a password in an address",
            site.with(&servers, &format!("bootstrap_servers = \"secrets:{KEY}@localhost:9092\"")),
        ),
        (
            "a password in an address that is fine",
            site.with(
                &servers,
                "bootstrap_servers = \"secrets:in-the-file~+/0123456789abcdef0123456789==@localhost:9092\"",
            ),
        ),
        (
            "a key instead of its file",
            site.with(&pem_line, &format!("key = \"-----BEGIN PRIVATE KEY-----\\n{pem}\\n\"")),
        ),
        ("a certificate instead of its file", site.with("certificate = ", &format!("certificate = \"{pem}\"\n# "))),
        (
            "a property that nobody knows",
            site.with(&key_line, &format!("\"sasl.jaas.config\" = \"x password={}\"", KEY)),
        ),
        (
            "a key among the properties",
            site.with(&key_line, &format!("\"ssl.key.pem\" = \"-----BEGIN PRIVATE KEY-----\\n{pem}\\n\"")),
        ),
    ]
}

/// The same from the environment.
const VARIABLES: [(&str, &str); 7] = [
    ("RTALINK__KAFKA__PROPERTIES__SASL_PASSWORD_FILE", KEY),
    ("RTALINK__KAFKA__PROPERTIES__SSL_KEY_PASSWORD_FILE", "/nowhere/at/all/key=p+ss/%42 'word'"),
    ("RTALINK__KAFKA__PROPERTIES", KEY),
    ("RTALINK__KAFKA", KEY),
    ("RTALINK__HTTP__TOKEN__3__TOKEN", KEY),
    ("RTALINK__HTTP__TOKEN", KEY),
    ("RTALINK__KAFKA__PROPERTIES__ACKS", KEY),
];

#[test]
fn the_search_finds_what_is_there() {
    for (name, secret) in SECRETS {
        for spelling in spellings(secret) {
            let mut outputs = Outputs::default();
            outputs.add("a log", format!("before\nkafka error=\"no {spelling} here\"\nbehind"));
            let found = outputs.find(&[(name.to_owned(), spellings(secret))]);
            assert_eq!(found, [format!("{name} in a log: kafka error=\"no {spelling} here\"")]);
        }
    }
    assert!(Outputs(vec![("x".into(), "nothing".into())]).find(&Site::new("info", "text").secrets()).is_empty());
}

#[test]
fn no_secret_comes_out_of_a_service_that_runs() {
    let secure = Secure::shared();
    secure.change(&["secrets"], &[], &[]);
    let mut outputs = Outputs::default();
    let mut all = Vec::new();
    for (password, format) in [("wrong.password", "text"), ("kafka.password", "json")] {
        let site = Site::new("trace", format);
        // A store that knows the agents: made while Kafka let everybody in.
        let open = site.with(&secure.bootstrap(), secure.admin().bootstrap()).replace("SASL_SSL", "PLAINTEXT");
        let started = if format == "text" { "started http=" } else { "\"message\":\"started\"" };
        let process = Process::spawn(site.command(&["run"], &open, password));
        process.line(started);
        assert_eq!(process.terminate().0, Some(0));

        let process = site.run(password, &[]);
        process.line(started);
        // With the right password it has no right to anything, which is an error as well.
        process.line(if password == "wrong.password" { "SASL authentication error" } else { "Kafka refuses" });
        let http = {
            let line = process.line(started);
            let (_, rest) = line.split_once("http").unwrap();
            let digits = |letter: char| letter.is_ascii_digit() || matches!(letter, '.' | ':');
            let start = rest.find("127").unwrap();
            let rest = &rest[start..];
            rest[..rest.find(|letter| !digits(letter)).unwrap_or(rest.len())].parse::<SocketAddr>().unwrap()
        };
        pages(&mut outputs, password, http);
        let mut feed = TcpStream::connect(("127.0.0.1", http.port())).unwrap();
        send(&mut feed, &["garbage on HTTP"]);
        for (what, toml) in mistakes(&site) {
            fs::write(site.folder.path().join("rtalink.toml"), toml).unwrap();
            let reloads = || process.count("reload refused") + process.count("reloaded");
            let before = reloads();
            process.signal("HUP");
            until(what, || (reloads() > before).then_some(()));
        }
        let wrong = rtalink()
            .args(["pause", "avaya-1", "--http", &http.to_string()])
            .env("RTALINK_TOKEN", OF_ITS_OWN)
            .output()
            .unwrap();
        assert_eq!(wrong.status.code(), Some(1));
        outputs.add("pause", String::from_utf8_lossy(&wrong.stderr));
        let (_, stdout, log) = process.terminate();
        outputs.add(format!("{password}: stdout"), stdout);
        outputs.add(format!("{password}: the log"), log.join("\n"));
        assert!(log.iter().any(|line| line.contains("sasl.password")), "librdkafka tells what it was given");
        for file in fs::read_dir(site.folder.path().join("data")).unwrap().map(|entry| entry.unwrap().path()) {
            outputs.add(file.display().to_string(), String::from_utf8_lossy(&fs::read(&file).unwrap()));
        }
        all.extend(outputs.find(&site.secrets()));
    }
    assert!(outputs.text("wrong.password: the log").contains("Authentication"));
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn no_secret_comes_out_of_commands_and_of_what_goes_wrong() {
    let mut outputs = Outputs::default();
    let site = Site::new("trace", "text");
    let check = |outputs: &mut Outputs, what: &str, toml: &str| {
        outputs.run(&format!("check, {what}"), &mut site.command(&["check"], toml, "kafka.password"))
    };
    assert_eq!(check(&mut outputs, "valid", &site.toml), Some(0), "{}", outputs.text("check, valid: stderr"));
    let mut refused = 0;
    for (what, toml) in mistakes(&site) {
        for format in ["text", "json"] {
            let toml = toml.replace("format = \"text\"", &format!("format = \"{format}\""));
            let code = check(&mut outputs, what, &toml);
            if code == Some(1) {
                refused += 1;
                // What `check` refuses `run` refuses, with words of its own.
                let place = format!("run, {what}, {format}");
                assert_eq!(
                    outputs.run(&place, &mut site.command(&["run"], &toml, "kafka.password")),
                    Some(1),
                    "{what}"
                );
                outputs.run(&format!("tail, {what}"), &mut site.command(&["tail"], &toml, "kafka.password"));
            }
        }
    }
    assert!(refused > 20, "{refused}");
    for (name, value) in VARIABLES {
        let mut command = site.command(&["check"], &site.toml, "kafka.password");
        let code = outputs.run(&format!("check with {name}"), command.env(name, value));
        assert_eq!(code, Some(1), "{name}");
    }
    // What librdkafka itself does not accept.
    let key_line = format!("\"ssl.key.password\" = {KEY:?}");
    let locked = write(site.folder.path(), "locked.key", LOCKED_KEY);
    let of_librdkafka = [
        ("unknown", format!("\"sasl.jaas.config\" = \"x password={KEY}\"")),
        ("no key", format!("\"ssl.key.pem\" = \"-----BEGIN PRIVATE KEY-----\\n{}\\n\"", site.keys.join("\\n"))),
        ("locked", format!("{key_line}\n\"ssl.key.location\" = {:?}", locked.display().to_string())),
    ];
    for (what, line) in of_librdkafka {
        let toml = site.with(&key_line, &line);
        let place = format!("run, {what}");
        assert_eq!(outputs.run(&place, &mut site.command(&["run"], &toml, "kafka.password")), Some(1), "{what}");
    }
    let mut feed_key = site.command(&["check"], &site.toml, "kafka.password");
    fs::write(site.folder.path().join("feed.key"), site.keys.join("\n")).unwrap();
    assert_eq!(outputs.run("check, a key without its frame", &mut feed_key), Some(1));

    let help = [
        "", "run", "check", "decode", "replay", "capture", "simulate", "tail", "health", "pause", "resume", "store",
        "demo",
    ];
    for command in help {
        let mut command_line = rtalink();
        command_line.args((!command.is_empty()).then_some(command)).arg("--help");
        let variables = [("RTALINK_TOKEN", INLINE), ("RTALINK__KAFKA__PROPERTIES__SASL_PASSWORD", RIGHT)];
        assert_eq!(outputs.run(&format!("help {command}"), command_line.envs(variables)), Some(0));
    }
    for (place, token) in [("a token for nobody", INLINE.to_owned()), ("no token", format!("{INLINE}\nand more"))] {
        let mut command = rtalink();
        command.args(["pause", "avaya-1", "--http", "127.0.0.1:1"]).env("RTALINK_TOKEN", token);
        assert_eq!(outputs.run(place, &mut command), Some(1));
    }
    for arguments in [&["store", "inspect"][..], &["store", "verify"], &["health"], &["tail", "--until-end"]] {
        let place = arguments.join(" ");
        assert_eq!(outputs.run(&place, &mut site.command(arguments, &site.toml, "wrong.password")), Some(1), "{place}");
    }
    let found = outputs.find(&site.secrets());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_secret_comes_out_of_a_panic() {
    let secure = Secure::shared();
    secure.change(&["secrets"], &[], &[]);
    let site = Site::new("trace", "text");
    let open = site.with(&secure.bootstrap(), secure.admin().bootstrap()).replace("SASL_SSL", "PLAINTEXT");
    let mut command = site.command(&["run"], &open, "kafka.password");
    command.envs([("RTALINK_FAIL_POINT", "before-send:1:panic"), ("RUST_BACKTRACE", "full")]);
    let process = Process::spawn(command);
    process.line("started http=");
    for topic in ["events", "current", "feed-status", "dead-letter", "audit"] {
        let topic = format!("secrets.{topic}");
        if secure.admin().partitions(&topic) == 0 {
            secure.admin().create_topic(&topic, 1, &[]);
        }
    }
    ask(process.http(), "POST /api/v1/integrations/avaya-1/resume", INLINE, "");
    ask(process.http(), "GET /api/v1/agents?login_id=1", INLINE, "");
    process.line("panicked, this is a bug");
    let mut outputs = Outputs::default();
    process.signal("KILL");
    outputs.add("the log", process.log().join("\n"));
    assert_eq!(outputs.find(&site.secrets()), Vec::<String>::new());
}

/// `openssl genpkey -algorithm ed25519 -aes256 -pass pass:another`
const LOCKED_KEY: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhMQSQwYhXEXwICCAAw\n\
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEMTqNUA59k5TeI3oytm8ne0EQA6c\n\
Lp0EWH/UfrH/NaSTwgH2NSkNd2A/K+Ndin5sl3+4dnP2ZJpbeME1gj5OYGkscSLp\n\
zw5hseyfG2u822z/sdc=\n\
-----END ENCRYPTED PRIVATE KEY-----\n\n";
