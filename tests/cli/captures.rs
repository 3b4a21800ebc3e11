//! `rtalink capture` as a command: into the folder of the configuration, with pseudonyms, from a file; and the service, which
//! deletes what is too old.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::support;

use support::process::{Process, output, rtalink};
use support::service::folder;
use support::short;
use support::target::Target;
use support::wait::until_true;

fn config(folder: &TempDir) -> PathBuf {
    let toml = short::config(short::EMBEDDED, "", "")
        + "[privacy]\ncaptures = \"captures\"\n[privacy.retention]\ncaptures = \"2d\"\n";
    let path = folder.path().join("rtalink.toml");
    fs::write(&path, toml).unwrap();
    path
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Records what is sent, and ends.
fn record(arguments: &[&str], lines: &[&str]) -> String {
    let mut command = rtalink();
    command.args(["capture", "--listen", "127.0.0.1:0"]).args(arguments);
    let process = Process::spawn(command);
    let [address, file] = ["address", "file"].map(|field| process.field("recording; Ctrl-C ends", field));
    let mut feed = TcpStream::connect(address).unwrap();
    feed.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    drop(feed);
    until_true("all of it written", || fs::read_to_string(&file).unwrap().contains("\"close\":true"));
    let (code, stdout, log) = process.terminate();
    assert_eq!(code, Some(0), "{log:#?}");
    stdout
}

#[test]
fn what_is_recorded_goes_to_further_targets_too() {
    let folder = folder(&[]);
    let file = folder.path().join("forwarded.capture");
    let (target, gone) = (Target::start(), Target::start());
    gone.close();
    let mut command = rtalink();
    let [one, other] = [&target, &gone].map(|target| target.address.to_string());
    command.args(["capture", "--listen", "127.0.0.1:0", "--forward", &one, "--forward", &other, "--output"]).arg(&file);
    let process = Process::spawn(command);
    let address = process.field("recording; Ctrl-C ends", "address");
    let mut feed = TcpStream::connect(&address).unwrap();
    feed.write_all(b"# title\n1|AVAIL|\n\xff\x00half").unwrap();
    until_true("all of it", || {
        target.seen().first().is_some_and(|seen| seen.bytes == b"# title\n1|AVAIL|\n\xff\x00half")
    });
    // The oldest is the one; another follows when it has ended.
    let mut second = TcpStream::connect(&address).unwrap();
    second.write_all(b"2|AVAIL|\n").unwrap();
    until_true("both are recorded", || fs::read_to_string(&file).unwrap().contains("2|AVAIL|"));
    assert_eq!(target.seen().len(), 1);
    drop(feed);
    target.until_over(0);
    target.until(1, "2|AVAIL|\n");
    // One that comes back begins behind a pause.
    target.reset();
    let back = |target: &Target| target.seen().get(2).map(|seen| seen.text());
    until_true("another connection, and a pause", || {
        let _ = second.write_all(b"2|ACD|\n"); // a socket that is closed shows that only when it is written to
        std::thread::park_timeout(Duration::from_millis(600));
        back(&target).is_some_and(|text| text.starts_with("2|ACD|\n"))
    });
    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0), "{log:#?}");
    target.until_over(2);
    assert!(log.iter().any(|line| line.contains("not forwarded") && line.contains(&other)), "{log:#?}");
}

fn replay(config: &Path, capture: &Path) -> String {
    let [config, capture] = [config, capture].map(|path| path.to_str().unwrap());
    let output = output(&["replay", "--config", config, "--integration", "avaya-1", capture]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_capture_with_pseudonyms_goes_to_the_folder_of_the_configuration_and_leaves_it_in_time() {
    let folder = folder(&[]);
    let config = config(&folder);
    let of_config = ["--config", config.to_str().unwrap(), "--integration", "avaya-1"];
    let key = folder.path().join("capture.key");
    let with_key = ["--pseudonymise", "--key-file", key.to_str().unwrap()];
    let told = record(&[&of_config[..], &with_key].concat(), &["301204|AVAIL|", "301205|AUX|3", "END"]);
    let captures = folder.path().join("captures");
    let [name] = files(&captures).try_into().unwrap();
    let file = captures.join(&name);
    assert!(name.starts_with("rtalink-avaya-1-2") && name.ends_with("Z-pseudonymised.capture"), "{name}");
    assert_eq!([mode(&captures), mode(&file), mode(&key)], [0o700, 0o600, 0o600]);
    let counts = "records pseudonymised 2, invalid and filled 0, other lines filled 1, changed 0";
    assert!(told.contains(counts), "{told}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains("301204") && !text.contains("301205") && !text.contains("127.0.0.1"), "{text}");
    let events = replay(&config, &file);
    assert_eq!(events.lines().count(), 2, "{events}");

    // A capture in clear, pseudonymised afterwards with the same key: the same people.
    let clear = folder.path().join("clear.capture");
    record(&["--output", clear.to_str().unwrap()], &["301204|AVAIL|", "301205|AUX|3", "END"]);
    assert_eq!(mode(&clear), 0o600);
    let later = folder.path().join("later.capture");
    let from = ["capture", "--input", clear.to_str().unwrap(), "--output", later.to_str().unwrap()];
    let done = output(&[&from[..], &of_config, &with_key].concat());
    assert!(done.status.success(), "{done:?}");
    let logins = |events: &str| -> Vec<String> {
        let login = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["loginId"].to_string();
        events.lines().map(login).collect()
    };
    assert_eq!(logins(&replay(&config, &later)), logins(&events));
    assert_eq!(logins(&replay(&config, &clear)), ["\"301204\"", "\"301205\""]);

    // Old, somebody else's, young.
    let aged = |name: &str, days: u32| {
        let at = SystemTime::now() - days * Duration::from_secs(24 * 3600);
        fs::File::create(captures.join(name)).unwrap().set_modified(at).unwrap();
    };
    aged("rtalink-avaya-1-20260105T080000Z.capture", 3);
    aged("monday.capture", 30);
    fs::set_permissions(&captures, Permissions::from_mode(0o755)).unwrap();
    let checked = output(&["check", "--config", config.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(told.contains("captures: others may look into") && told.contains("chmod 700"), "{told}");
    let mut command = rtalink();
    command.args(["run", "--config"]).arg(&config);
    let process = Process::spawn(command);
    process.line("captures deleted: their time is over deleted=1");
    assert_eq!(process.terminate().0, Some(0));
    assert_eq!(files(&captures), ["monday.capture".to_owned(), name]);
}

#[test]
fn wrong_usage_is_told() {
    let folder = folder(&[]);
    let key = folder.path().join("key");
    fs::write(&key, "x".repeat(40)).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let key = key.to_str().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let config = config(&folder);
    let config = config.to_str().unwrap();
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--output", out, "--listen", "127.0.0.1:0", "--forward", "cloudlink"], 2, "expected host:port"),
        (&["--output", out], 2, "--listen"),
        (&["--input", "a", "--output", out], 2, "--pseudonymise"),
        (&["--input", "a", "--output", out, "--pseudonymise"], 2, "--key-file"),
        (&["--input", "a", "--output", out, "--pseudonymise", "--key-file", key], 1, "needs the layout"),
        (
            &["--input", "a", "--output", out, "--pseudonymise", "--key-file", key, "--layout", "cisco-icm-20"],
            1,
            "others may read it (mode 644)",
        ),
        (&["--listen", "127.0.0.1:0", "--config", config], 1, "--integration ID is needed"),
    ];
    for (arguments, code, expected) in cases {
        let output = output(&[&["capture"], arguments].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(expected), "{arguments:?}: {told}");
    }
    assert!(!Path::new(out).exists());
}
