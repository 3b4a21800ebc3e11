//! The image as it is deployed: what is in it, what it may do, and a shift from start to end.
//!
//! It is built by buildah, and run in namespaces of its own, which only root may do.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use regex::Regex;
use serde_json::{Value, json};

mod support;

#[path = "deployment/container.rs"]
mod container;
#[path = "docs/deployment/files.rs"]
mod files;

use container::{Image, Mounts, USER, get, words};
use files::{root, text, well};
use support::http::series;
use support::process::Process;
use support::wait::until_true;

const MEGABYTE: u64 = 1_000_000;

/// Ports, store and log are those of the image.
const CONFIG: &str = r#"
    [kafka]
    bootstrap_servers = "embedded"
    partitions = 1
    [[integration]]
    id = "avaya-1"
    kind = "avaya-cms"
    acd = 1
    [integration.realtime]
    port = 7001
    layout = "cisco-icm-20"
    shortest_refresh = "0s"
    allow = ["127.0.0.1/32"]
"#;

#[test]
fn it_is_small() {
    let image = Image::built();
    let (size, base) = (image.size(), image.base_size());
    let binary = fs::metadata(image.binary()).unwrap().len();
    println!("image: {size} bytes, of these {binary} are rtalink and {base} its base");
    assert!(size < 80 * MEGABYTE, "{size}");
    // Documented as 33 MB, licences included. Without link-time optimisation, as the tests build it, it has some MB more.
    assert!(size - base < 40 * MEGABYTE, "{size} on a base of {base}");
}

#[test]
fn it_says_what_it_is_and_how_it_runs() {
    let config = &Image::built().config;
    assert_eq!(config["User"], format!("{USER}:{USER}"));
    assert_eq!(config["Entrypoint"], json!(["/usr/local/bin/rtalink"]));
    assert_eq!(config["Cmd"], json!(["run", "--config", "/etc/rtalink/rtalink.toml"]));
    assert_eq!(config["ExposedPorts"], json!({ "7001/tcp": {}, "9464/tcp": {} }));
    assert_eq!(config["Volumes"], json!({ "/var/lib/rtalink": {} }));
    assert_eq!(config["StopSignal"], "SIGTERM");
    assert_eq!(config["WorkingDir"], "/var/lib/rtalink");

    let labels = &config["Labels"];
    let label = |name: &str| labels[format!("org.opencontainers.image.{name}")].as_str().unwrap_or_default();
    assert_eq!(label("title"), "rtalink");
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("licenses"), "Apache-2.0");
    assert!(Regex::new("^([0-9a-f]{40}|unknown)$").unwrap().is_match(label("revision")), "{labels}");
    assert!(!label("source").is_empty(), "{labels}");

    let notices = fs::read_to_string(Image::built().rootfs().join("usr/share/doc/rtalink/THIRD-PARTY.txt")).unwrap();
    for linked in ["tokio ", "OpenSSL", "jemalloc"] {
        assert!(notices.contains(&format!("==== {linked}")), "the licence of {linked}");
    }
}

/// One program, and no way to start another: scripts of the base have nothing that would read them.
#[test]
fn nothing_else_can_be_run_in_it() {
    let rootfs = Image::built().rootfs();
    let find = |conditions: &[&str]| {
        let found = well(Command::new("find").arg(&rootfs).arg("-xdev").args(conditions).args(["-printf", "/%P\n"]));
        String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let can_be_run = |path: &String| {
        let bytes = fs::read(rootfs.join(&path[1..])).unwrap();
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let Some(interpreter) = first.strip_prefix(b"#!") else { return !path.contains(".so") };
        let interpreter = String::from_utf8_lossy(interpreter);
        let program = interpreter.split_whitespace().next().expect("an interpreter");
        rootfs.join(program.trim_start_matches('/')).exists()
    };
    let programs: BTreeSet<String> = find(&["-type", "f", "-perm", "/111"]).into_iter().filter(can_be_run).collect();
    assert_eq!(programs, BTreeSet::from(["/usr/local/bin/rtalink".to_owned()]));
    assert_eq!(find(&["-type", "f", "-perm", "/6000"]), BTreeSet::new(), "setuid or setgid");
    let user = USER.to_string();
    assert_eq!(find(&["-user", &user]), BTreeSet::from(["/var/lib/rtalink".to_owned()]), "what is the user's own");
    for absent in
        ["bin/sh", "usr/bin/sh", "bin/busybox", "usr/bin/dpkg", "usr/bin/apt-get", "usr/bin/cc", "usr/bin/ldd"]
    {
        assert!(fs::symlink_metadata(rootfs.join(absent)).is_err(), "{absent}");
    }
}

/// What a machine without the image needs for the same binary.
#[test]
fn the_binary_needs_nothing_but_a_c_library() {
    let binary = Image::built().binary();
    assert_eq!(
        needed(&binary),
        BTreeSet::from(["ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1", "libm.so.6"].map(str::to_owned))
    );
    let symbols = String::from_utf8(well(Command::new("objdump").arg("-T").arg(&binary)).stdout).unwrap();
    let version = Regex::new(r"GLIBC_(\d+)\.(\d+)").unwrap();
    let number = |text: &str| text.parse::<u32>().unwrap();
    let newest = version.captures_iter(&symbols).map(|found| (number(&found[1]), number(&found[2]))).max().unwrap();
    let said = format!("glibc {}.{}", newest.0, newest.1);
    assert!(text("docs/deployment.md").contains(&said), "docs/deployment.md does not say {said}");
}

fn needed(binary: &Path) -> BTreeSet<String> {
    let headers = String::from_utf8(well(Command::new("objdump").arg("-p").arg(binary)).stdout).unwrap();
    let names = headers.lines().filter_map(|line| line.trim().strip_prefix("NEEDED"));
    names.map(|name| name.trim().to_owned()).collect()
}

/// Started, fed and stopped as an engine does it, on a root that cannot be written, by a user who may nothing.
#[test]
fn a_shift_in_a_container() {
    let mounts = Mounts::new(CONFIG);
    let service = mounts.start();

    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let status: BTreeMap<&str, String> = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    let user = vec![USER.to_string(); 4].join(" ");
    assert_eq!((&status["Uid"], &status["Gid"]), (&user, &user));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status[set], "0000000000000000", "{set}");
    }
    assert_eq!(status["NoNewPrivs"], "1");

    let cms =
        "simulate --connect 127.0.0.1:7001 --layout cisco-icm-20 --agents 100 --refresh 100ms --pace 20 --duration 3s";
    let sent = mounts.output(Some(service.id()), &cms.split(' ').collect::<Vec<_>>());
    assert!(sent.status.success(), "{sent:?}");
    let sent: Value = serde_json::from_slice(&sent.stdout).unwrap();
    let records = sent["records"].as_u64().unwrap();

    let total = |name: &str| {
        let page = series(&get(&service, 9464, "/metrics"));
        let own = page.into_iter().filter(|(series, _)| series.split('{').next() == Some(name));
        own.map(|(_, value)| value).sum::<f64>()
    };
    #[allow(clippy::cast_precision_loss)]
    let expected = records as f64;
    until_true("all records to be read", || total("rtalink_feed_records_total") >= expected);
    assert!((total("rtalink_feed_records_total") - expected).abs() < 0.5);
    let events = total("rtalink_events_total");
    assert!(events > 100.0, "{events} events of 100 agents");
    until_true("Kafka to have them", || total("rtalink_journal_pending_events") < 0.5);

    let peak = service.peak_memory();
    let id = service.id();
    let (code, _, log) = service.terminate();
    assert_eq!(code, Some(0), "{}", log.join("\n"));
    let last: Value = serde_json::from_str(log.last().unwrap()).expect("a line of JSON");
    assert!(last.to_string().contains("stopped: everything is acknowledged"), "{last}");
    assert!(log.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", log.join("\n"));
    assert!(fs::metadata(format!("/proc/{id}")).is_err(), "the process is gone");
    println!("{records} records, {events} events, at most {} MB of memory", peak / MEGABYTE);

    // Nothing waits, and what is in the volume is the user's.
    let inspected = mounts.output(None, &["store", "inspect", "--json", "--directory", "/var/lib/rtalink"]);
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(inspected["isOpen"], false);
    let integration = &inspected["integrations"][0];
    assert_eq!((&integration["id"], &integration["entries"]), (&json!("avaya-1"), &json!(0)), "{inspected}");
    for file in fs::read_dir(mounts.volume.path()).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().uid(), USER);
    }
}

/// As an engine asks: with the image's own command, in the container.
#[test]
fn it_knows_its_own_health() {
    let health = &Image::built().config["Healthcheck"]["Test"];
    let health = match words(health).split_first() {
        Some((kind, command)) if kind == "CMD" => command.to_vec(),
        _ => panic!("the health check must not need a shell: {health}"),
    };
    let mounts = Mounts::new(CONFIG);
    let service = mounts.start();
    let ask = |network_of| mounts.raw(network_of, &health).output().unwrap();
    let well = ask(Some(service.id()));
    assert!(well.status.success(), "{well:?}");
    assert_eq!(service.terminate().0, Some(0));
    let gone = ask(None);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
}

#[test]
fn it_writes_to_its_volume_only() {
    let mounts = Mounts::new(CONFIG);
    let capture = |path: &str| {
        let words = ["capture", "--listen", "127.0.0.1:7001", "--output", path].map(str::to_owned);
        Process::spawn(mounts.command(None, &words))
    };
    for path in ["/tmp/x", "/etc/rtalink/x", "/home/nonroot/x", "/x"] {
        let (code, _, log) = capture(path).wait();
        let log = log.join("\n");
        assert_eq!(code, Some(1), "{path}: {log}");
        assert!(log.contains("Read-only file system"), "{path}: {log}");
    }
    let process = capture("/var/lib/rtalink/x");
    process.line("recording");
    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0), "{}", log.join("\n"));
    assert!(mounts.volume.path().join("x").exists());
}

/// Beside the image: of this binary, and with the packages of its base.
#[test]
fn its_bill_of_materials_is_that_of_its_files() {
    let image = Image::built();
    let bom: Value = serde_json::from_slice(&fs::read(image.folder.join("rtalink.cdx.json")).unwrap()).unwrap();
    let components = bom["components"].as_array().unwrap();
    let name = |component: &Value| component["name"].as_str().unwrap().to_owned();
    let of_base: BTreeSet<String> = components
        .iter()
        .filter(|component| component["purl"].as_str().unwrap().starts_with("pkg:deb/debian/"))
        .map(name)
        .collect();
    let listed = fs::read_dir(image.rootfs().join("var/lib/dpkg/status.d")).unwrap();
    let listed: BTreeSet<String> = listed.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(of_base.contains("libc6") && of_base.contains("libgcc-s1"), "{of_base:?}");
    assert_eq!(of_base, listed);
    let rtalink = components.iter().find(|component| component["name"] == "rtalink").unwrap();
    let sum = String::from_utf8(well(Command::new("sha256sum").arg(image.binary())).stdout).unwrap();
    assert_eq!(rtalink["hashes"][0]["content"], sum.split(' ').next().unwrap());
}

/// The archive for machines without containers: from this binary, and the same bytes every time.
#[test]
fn the_archive_is_complete_and_reproducible() {
    let archive = |folder: &Path| {
        let mut dist = Command::new(root().join("deploy/systemd/dist.sh"));
        let output = well(dist.arg(Image::built().binary()).arg(folder).env("SOURCE_DATE_EPOCH", "1700000000"));
        let name = String::from_utf8(output.stdout).unwrap();
        fs::read(name.trim()).map(|bytes| (name.trim().to_owned(), bytes)).unwrap()
    };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (name, bytes) = archive(folders[0].path());
    assert!(archive(folders[1].path()).1 == bytes, "two archives of the same files differ");

    let listed = String::from_utf8(well(Command::new("tar").args(["tzf", &name])).stdout).unwrap();
    let top = format!("rtalink-{}/", env!("CARGO_PKG_VERSION"));
    let files: BTreeSet<&str> =
        listed.lines().filter_map(|line| line.strip_prefix(&top)).filter(|line| !line.ends_with('/')).collect();
    let expected = [
        "LICENSE",
        "THIRD-PARTY.txt",
        "deployment.md",
        "mapping/activities.csv",
        "mapping/users.csv",
        "rtalink",
        "rtalink.cdx.json",
        "rtalink.service",
        "rtalink.toml",
    ];
    assert_eq!(files.into_iter().filter(|file| !file.is_empty()).collect::<Vec<_>>(), expected);

    well(Command::new("tar").args(["xzf", &name, "-C"]).arg(folders[0].path()));
    let unpacked = folders[0].path().join(&top);
    well(Command::new(unpacked.join("rtalink")).args(["check", "--config", "rtalink.toml"]).current_dir(&unpacked));
    let notices = fs::read_to_string(unpacked.join("THIRD-PARTY.txt")).unwrap();
    for project in ["librdkafka", "OpenSSL", "tokio", "zstd"] {
        assert!(notices.contains(project), "no licence of {project}");
    }
}
