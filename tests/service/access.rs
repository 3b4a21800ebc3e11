//! Who may do what over HTTP, and that no secret of a token is ever shown.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support;

use support::process::{Process, output, rtalink};
use support::service::{Running, folder, parse};
use support::wait::until_true;

/// A secret as `openssl rand -hex 32` makes it, of its own for each name.
fn secret(of: &str) -> String {
    hex::encode(of).repeat(64).chars().take(64).collect()
}

const NAMES: [&str; 4] = ["wallboard", "planning", "night-shift", "owner"];

/// One token of each role, its secret given in each way.
fn tokens() -> String {
    let inline = secret("night-shift");
    // printf %s SECRET | sha256sum
    let sha256 = "b4b655f78f1035ed1c9516154d3507d228e20d1b7ce3e64c112c813f3977b927";
    format!(
        "[[http.token]]\nname = \"wallboard\"\nrole = \"viewer\"\ntoken_file = \"wallboard\"\n\
         [[http.token]]\nname = \"planning\"\nrole = \"planner\"\ntoken_sha256 = \"{sha256}\"\n\
         [[http.token]]\nname = \"night-shift\"\nrole = \"operator\"\ntoken = \"{inline}\"\n\
         [[http.token]]\nname = \"owner\"\nrole = \"admin\"\ntoken_file = \"owner\"\n"
    )
}

fn files() -> TempDir {
    let secrets = NAMES.map(|name| (name, secret(name) + "\n"));
    folder(&secrets.each_ref().map(|(name, secret)| (*name, secret.as_str())))
}

fn config(http: &str, tokens: &str) -> String {
    format!(
        "[kafka]\nbootstrap_servers = \"embedded\"\npartitions = 1\n\
         [http]\nlisten = \"127.0.0.1:0\"\n{http}\n{tokens}\
         [log]\nlevel = \"trace\"\n\
         [[integration]]\nid = \"avaya-1\"\nkind = \"avaya-cms\"\nacd = 1\n\
         [integration.realtime]\nport = 0\nbind = \"127.0.0.1\"\nlayout = \"cisco-icm-20\"\nshortest_refresh = \"0s\"\n"
    )
}

/// From another machine, as a proxy tells it.
const ELSEWHERE: &str = "X-Forwarded-For: 10.1.2.3\r\n";

/// Status, head and body.
fn ask(address: SocketAddr, request: &str, headers: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "{request} HTTP/1.0\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

fn bearer(name: &str) -> String {
    format!("Authorization: Bearer {}\r\n", secret(name))
}

/// What each role gets, with `http.metrics = "token"`: without a token, viewer, planner, operator, admin.
const TABLE: [(&str, &str, [u16; 5]); 17] = [
    ("GET /", "", [401, 200, 200, 200, 200]),
    ("GET /health/live", "", [200; 5]),
    ("GET /health/ready", "", [200; 5]),
    ("GET /metrics", "", [401, 200, 200, 200, 200]),
    ("GET /api/v1/integrations", "", [401, 200, 200, 200, 200]),
    ("GET /api/v1/status", "", [401, 200, 200, 200, 200]),
    ("GET /api/v1/agents", "", [401, 403, 200, 403, 200]),
    ("GET /api/v1/agents?mode=ACD", "", [401, 403, 200, 403, 200]),
    ("GET /api/v1/unmapped", "", [401, 403, 200, 403, 200]),
    ("GET /api/v1/log-level", "", [401, 403, 403, 200, 200]),
    ("GET /api/v1/log", "", [401, 403, 403, 503, 503]),
    ("GET /api/v1/configuration", "", [401, 403, 403, 200, 200]),
    ("PUT /api/v1/log-level", "", [401, 403, 403, 503, 503]),
    ("POST /api/v1/reload", "", [401, 403, 403, 503, 503]),
    ("POST /api/v1/integrations/avaya-1/pause", "", [401, 403, 403, 200, 200]),
    ("POST /api/v1/integrations/avaya-1/resume", "", [401, 403, 403, 200, 200]),
    ("GET /api/v1/nothing", "", [401, 404, 404, 404, 404]),
];

#[test]
fn each_role_may_do_what_its_row_says() {
    let service = Running::start_in(files(), &config("metrics = \"token\"", &tokens()));
    let address = service.http_address();
    let callers = [String::new()].into_iter().chain(NAMES.map(bearer));
    let mut refused = [0.0; 2];
    for (number, caller) in callers.enumerate() {
        for (request, body, statuses) in TABLE {
            // This process does not log: who may ask for the level is told so with 503.
            let expected = match statuses[number] {
                200 if request.contains("log-level") => 503,
                status => status,
            };
            let (status, head, body) = ask(address, request, &(ELSEWHERE.to_owned() + &caller), body);
            assert_eq!(status, expected, "{request} as caller {number}: {body}");
            assert_eq!(head.contains("www-authenticate: bearer"), matches!(status, 401 | 403), "{head}");
            refused[0] += f64::from(u8::from(status == 401));
            refused[1] += f64::from(u8::from(status == 403));
        }
    }
    assert_eq!(service.metric("rtalink_http_refused_total", "\"no_token\""), refused[0]);
    assert_eq!(service.metric("rtalink_http_refused_total", "\"forbidden\""), refused[1]);
    let (_, _, body) = ask(address, "GET /api/v1/agents", &bearer("wallboard"), "");
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(error["error"], "token \"wallboard\" is viewer: this needs planner or admin");
}

#[test]
fn metrics_are_open_unless_they_need_a_token_and_loopback_reads_unless_it_does() {
    let pause = "POST /api/v1/integrations/avaya-1/pause";
    let cases: [(&str, bool, &str, &str, u16); 10] = [
        ("", true, "GET /metrics", ELSEWHERE, 200),
        ("", false, "GET /metrics", ELSEWHERE, 200),
        ("metrics = \"token\"", true, "GET /metrics", ELSEWHERE, 401),
        ("metrics = \"token\"", true, "GET /metrics", "", 200),
        ("", true, "GET /api/v1/agents", "", 200),
        ("loopback = \"token\"", true, "GET /api/v1/agents", "", 401),
        ("", false, pause, "", 200),
        ("", false, pause, ELSEWHERE, 401),
        ("", true, pause, "", 401),
        ("", false, pause, "Origin: https://elsewhere.example\r\n", 401),
    ];
    for (http, has_tokens, request, headers, expected) in cases {
        let tokens = if has_tokens { tokens() } else { String::new() };
        let service = Running::start_in(files(), &config(http, &tokens));
        let (status, _, body) = ask(service.http_address(), request, headers, "");
        assert_eq!(status, expected, "{http} {has_tokens} {request} {headers}: {body}");
    }
}

#[test]
fn a_reload_takes_and_gives_tokens() {
    let mut service = Running::start_in(files(), &config("", &tokens()));
    let address = service.http_address();
    let status = |name: &str| ask(address, "GET /api/v1/agents", &(ELSEWHERE.to_owned() + &bearer(name)), "").0;
    assert_eq!((status("owner"), status("new")), (200, 401));
    fs::write(service.path("owner"), secret("new")).unwrap();
    assert_eq!(service.reload(&config("", &tokens())).unwrap(), Vec::<String>::new());
    assert_eq!((status("owner"), status("new")), (401, 200));
    assert_eq!(service.reload(&config("", "")).unwrap(), Vec::<String>::new());
    assert_eq!(status("new"), 401);
    assert_eq!(service.metric("rtalink_http_refused_total", "\"wrong_token\""), 3.0);
}

/// Where a secret is looked for.
struct Seen(Vec<(String, String)>);

impl Seen {
    fn add(&mut self, place: &str, text: impl AsRef<[u8]>) {
        self.0.push((place.to_owned(), String::from_utf8_lossy(text.as_ref()).into_owned()));
    }

    fn assert_none(&self, secrets: &[String]) {
        for (place, text) in &self.0 {
            for secret in secrets {
                // Not even a good part of one.
                assert!(!text.contains(&secret[8..28]), "a secret is shown in {place}:\n{text}");
            }
        }
    }
}

fn printed(seen: &mut Seen, place: &str, arguments: &[&str], folder: &Path) -> String {
    let mut command = rtalink();
    command.args(arguments).current_dir(folder).env("RTALINK_TOKEN", secret("environment"));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    seen.add(place, &text);
    text
}

#[test]
fn no_secret_is_shown_anywhere() {
    let mut seen = Seen(Vec::new());
    let mut secrets: Vec<String> = NAMES.map(secret).to_vec();
    secrets.extend(["environment", "wrong", "misplaced"].map(secret));
    let folder = files();
    let toml = config("", &tokens());
    let process = Process::run(&folder, &toml);
    let http = process.http();
    for name in NAMES.into_iter().chain(["wrong"]) {
        for (request, body, _) in TABLE {
            let (_, head, body) = ask(http, request, &bearer(name), body);
            seen.add("an answer", head + &body);
        }
    }
    let malformed = format!("GET /\u{1} HTTP/1.1\r\n{}\r\n", bearer("owner"));
    let mut stream = TcpStream::connect(http).unwrap();
    stream.write_all(malformed.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    seen.add("the answer to a malformed request", answer);

    let address = http.to_string();
    printed(&mut seen, "pause", &["pause", "avaya-1", "--http", &address], folder.path());
    printed(&mut seen, "help", &["pause", "--help"], folder.path());
    // A secret where others belong, and secrets that are none.
    let misplaced = secret("misplaced");
    let token = |lines: &str| format!("[[http.token]]\n{lines}\n");
    let wrong = [
        token(&format!("name = \"a\"\nrole = \"{misplaced}\"\ntoken_file = \"{misplaced}\"")),
        token(&format!("name = \"a\"\nrole = \"admin\"\ntoken = \" {misplaced}\"")),
        token(&format!("name = \"a\"\nrole = \"admin\"\ntoken_sha256 = \"{misplaced}0\"")),
        token(&format!("name = \"a\"\nrole = \"admin\"\ntoken = [\"{misplaced}\"]")),
        token(&format!("name = \"a\"\nrole = \"admin\"\ntoken = {misplaced}")),
        token(&format!("name = \"a\"\nrole = \"admin\"\ntoken = \"{misplaced}\n")),
        token(&format!("name = \"a\"\nrole = \"admin\"\ntoken_fil = \"{misplaced}\"")),
        format!("token = \"{misplaced}\"\n"),
        format!("token = [\"{misplaced}\"]\n"),
        format!("token = {{ token = \"{misplaced}\" }}\n"),
        tokens() + &token(&format!("name = \"a\"\nrole = \"admin\"\ntoken = \"{}\"", secret("owner"))),
    ];
    for tokens in &wrong {
        fs::write(folder.path().join("rtalink.toml"), config("", tokens)).unwrap();
        let text = printed(&mut seen, "check", &["check", "--config", "rtalink.toml"], folder.path());
        assert!(text.contains("error"), "{tokens}: {text}");
        printed(&mut seen, "run", &["run", "--config", "rtalink.toml"], folder.path());
        let refused = process.log().iter().filter(|line| line.contains("reload refused")).count();
        process.signal("HUP");
        until_true("the reload is refused", || {
            process.log().iter().filter(|line| line.contains("reload refused")).count() > refused
        });
    }
    fs::write(folder.path().join("rtalink.toml"), &toml).unwrap();
    let text = printed(&mut seen, "check", &["check", "--config", "rtalink.toml"], folder.path());
    assert!(text.contains("the secret stands in the configuration file"), "{text}");
    // What a panic could print of it.
    seen.add("Debug", format!("{:#?}", parse(&toml, &folder)));
    let log = process.terminate().2;
    assert!(log.iter().any(|line| line.contains("refused over HTTP")), "the log tells that somebody was refused");
    assert!(log.iter().any(|line| line.contains("TRACE")), "the log is at trace");
    seen.add("the log", log.join("\n"));
    seen.assert_none(&secrets);
}

#[test]
fn commands_send_the_token_that_they_are_given() {
    let folder = files();
    let process = Process::run(&folder, &config("", &tokens()));
    let http = process.http().to_string();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let told = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = rtalink();
        command.args(arguments).args(["--http", &http]).envs(variables.iter().copied());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = told(&["pause", "avaya-1"], &[]);
    assert!(code == Some(1) && text.contains("--token-file FILE"), "{text}");
    let (code, text) = told(&["pause", "avaya-1", "--token-file", &file("planning")], &[]);
    assert!(code == Some(1) && text.contains("this needs operator or admin"), "{text}");
    assert_eq!(told(&["health"], &[]), (Some(0), "ready\n".to_owned()));
    let operator = secret("night-shift");
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 4] = [
        (&["pause", "avaya-1", "--token-file", &file("owner")], &[], "avaya-1: paused\n"),
        (&["resume", "avaya-1"], &[("RTALINK_TOKEN", &operator)], "avaya-1: running\n"),
        (&["pause", "avaya-1"], &[("RTALINK_TOKEN_FILE", &file("owner"))], "avaya-1: paused\n"),
        (&["resume", "avaya-1", "--token-file", &file("owner")], &[("RTALINK_TOKEN", "wrong")], "avaya-1: running\n"),
    ];
    for (arguments, variables, expected) in cases {
        assert_eq!(told(arguments, variables), (Some(0), expected.to_owned()), "{arguments:?} {variables:?}");
    }
    let (code, text) = told(&["resume", "avaya-1"], &[("RTALINK_TOKEN", "two\nlines")]);
    assert!(code == Some(1) && text.contains("RTALINK_TOKEN holds no secret"), "{text}");
}

#[test]
fn check_warns_of_what_is_open() {
    let folder = folder(&[]);
    let file = folder.path().join("rtalink.toml");
    let hash = "a".repeat(64);
    let token = format!("[[http.token]]\nname = \"a\"\nrole = \"viewer\"\ntoken_sha256 = \"{hash}\"\n");
    let open = "anybody who reaches this machine may connect: bind is";
    let no_token = "is not loopback, and there is no token";
    let cases: [(&str, &str, &str, &[&str]); 9] = [
        ("127.0.0.1:0", "127.0.0.1", "", &[]),
        ("0.0.0.0:0", "127.0.0.1", "", &[no_token]),
        ("[::]:0", "127.0.0.1", "", &[no_token]),
        ("0.0.0.0:0", "127.0.0.1", &token, &[]),
        ("127.0.0.1:0", "0.0.0.0", "", &[open]),
        ("127.0.0.1:0", "::", "", &[open]),
        ("127.0.0.1:0", "::ffff:0.0.0.0", "", &[open]),
        ("127.0.0.1:0", "0.0.0.0\"\nallow = []\n#\"", "", &[open]),
        ("127.0.0.1:0", "0.0.0.0\"\nallow = [\"10.1.2.3\"]\n#\"", "", &[]),
    ];
    for (listen, bind, tokens, expected) in cases {
        let toml = config("", tokens)
            .replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{listen}\""))
            .replace("bind = \"127.0.0.1\"", &format!("bind = \"{bind}\""));
        fs::write(&file, toml).unwrap();
        let output = output(&["check", "--config", &file.display().to_string()]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        // Besides, port 0 is one that CMS cannot know, and nobody is mapped.
        assert_eq!(text.matches("warning: ").count(), 2 + expected.len(), "{listen} {bind}: {text}");
        assert!(expected.iter().all(|warning| text.contains(warning)), "{listen} {bind}: {text}");
    }
}
