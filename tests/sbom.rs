//! The bill of materials says what the binary is made of: by the schema of CycloneDX, and by what the binary itself says.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use regex::bytes::Regex;
use serde_json::{Value, json};

#[path = "support/python.rs"]
mod python;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn written(arguments: &[&str]) -> String {
    let mut command = Command::new(root().join("deploy/sbom.py"));
    let output = command.args(arguments).env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// That of the binary of the tests.
fn of_binary() -> &'static str {
    static WRITTEN: OnceLock<String> = OnceLock::new();
    WRITTEN.get_or_init(|| written(&["--binary", env!("CARGO_BIN_EXE_rtalink")]))
}

fn parsed() -> Value {
    serde_json::from_str(of_binary()).unwrap()
}

/// Name and version of the components with that language.
fn components(bom: &Value, language: &str) -> BTreeSet<(String, String)> {
    let is_of = |component: &&Value| {
        let properties = component["properties"].as_array().unwrap();
        properties.contains(&json!({"name": "rtalink:language", "value": language}))
    };
    let text = |component: &Value, key: &str| component[key].as_str().unwrap().to_owned();
    let all = bom["components"].as_array().unwrap();
    all.iter().filter(is_of).map(|component| (text(component, "name"), text(component, "version"))).collect()
}

/// What is wrong with it by the schema.
fn complaint(bom: &str) -> Option<String> {
    let mut command = python::python("sbom");
    command.arg("tests/deployment/validate_sbom.py").stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(bom.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(told)
}

#[test]
fn it_is_valid_and_the_same_every_time() {
    assert_eq!(complaint(of_binary()), None);
    assert_eq!(written(&["--binary", env!("CARGO_BIN_EXE_rtalink")]), of_binary());
    assert_eq!(parsed()["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    let mut spoilt = parsed();
    spoilt["components"][0]["hashes"][0]["content"] = json!("no hash");
    let told = complaint(&spoilt.to_string()).expect("the schema refuses what is wrong");
    assert!(told.contains("no hash"), "{told}");
}

#[test]
fn it_has_every_crate_of_the_binary_and_none_that_only_builds_or_tests() {
    let crates = components(&parsed(), "Rust");
    let binary = fs::read(env!("CARGO_BIN_EXE_rtalink")).unwrap();
    // The places of panics name the folders of sources.
    let place = Regex::new(r"/registry/src/[^/]+/([A-Za-z0-9_-]+)-([0-9]+\.[0-9A-Za-z.+-]+)/").unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let linked: BTreeSet<(String, String)> =
        place.captures_iter(&binary).map(|found| (text(&found[1]), text(&found[2]))).collect();
    assert!(linked.len() > 60, "only {} crates are named in the binary", linked.len());
    let missing: Vec<_> = linked.difference(&crates).collect();
    assert!(missing.is_empty(), "linked, and not in the bill: {missing:?}");
    for other in ["proptest", "insta", "rcgen", "prost-build", "protox", "serde_derive", "cc", "openssl-src"] {
        assert!(!crates.iter().any(|(name, _)| name == other), "{other} is not linked");
    }
    let bom = parsed();
    let all = bom["components"].as_array().unwrap();
    let of_crates = all.iter().filter(|component| component["purl"].as_str().unwrap().starts_with("pkg:cargo/"));
    assert!(of_crates.clone().count() > 150);
    for component in of_crates {
        assert_eq!(component["hashes"][0]["content"].as_str().unwrap().len(), 64, "{component}");
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
    }
}

#[test]
fn it_has_the_c_libraries_in_the_versions_that_they_say_themselves() {
    let libraries = components(&parsed(), "C");
    let version = |wanted: &str| {
        let found = libraries.iter().find(|(name, _)| name == wanted);
        found.unwrap_or_else(|| panic!("no {wanted}")).1.clone()
    };
    assert_eq!(version("librdkafka"), rdkafka::util::get_rdkafka_version().1);
    assert_eq!(version("sqlite"), rusqlite::version());
    let binary = fs::read(env!("CARGO_BIN_EXE_rtalink")).unwrap();
    let says = |text: &str| memchr::memmem::find(&binary, text.as_bytes()).is_some();
    assert!(says(&format!("OpenSSL {} ", version("openssl"))));
    // A function of each, by its name in the table of symbols.
    let functions = [
        ("aws-lc", "aws_lc_0_"),
        ("cJSON", "cJSON_ParseWithLength"),
        ("jemalloc", "malloc_stats_print"),
        ("librdkafka", "rd_kafka_version"),
        ("lz4", "LZ4F_decompress"),
        ("nanopb", "pb_encode"),
        ("openssl", "SSL_CTX_new"),
        ("sqlite", "sqlite3_open_v2"),
        ("zlib", "inflateInit2_"),
        ("zstd", "ZSTD_compressStream"),
    ];
    for (name, function) in functions {
        assert!(says(function), "{name} is not linked any more");
    }
    let names: Vec<&str> = libraries.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, functions.map(|(name, _)| name));
}

/// The crates that are compiled with these features, each with its own, such as `zstd-sys default,legacy`.
fn compiled(features: &[&str], edges: &str) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(["tree", "--locked", "--prefix", "none", "--format", "{p}|{f}", "--edges", edges]);
    let output = command.args(features).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let short = |line: &str| {
        let (package, features) = line.trim_end_matches(" (*)").split_once('|').unwrap();
        format!("{} {features}", package.split(' ').next().unwrap())
    };
    tree.lines().filter(|line| !line.is_empty()).map(short).collect()
}

#[test]
fn features_say_which_c_libraries_are_built() {
    // What compiles C, or asks the distribution for it.
    let c = |crates: BTreeSet<String>| -> Vec<String> {
        let is_of_c = |line: &String| {
            let name = line.split(' ').next().unwrap();
            name != "linux-raw-sys"
                && (name.ends_with("-sys") || ["cc", "cmake", "openssl-src", "pkg-config"].contains(&name))
        };
        crates.into_iter().filter(is_of_c).collect()
    };
    let has = |crates: &[String], name: &str| crates.iter().any(|line| line.split(' ').next() == Some(name));
    let with = |crates: &[String], name: &str, feature: &str| {
        let line = crates.iter().find(|line| line.split(' ').next() == Some(name)).unwrap();
        line.split([' ', ',']).any(|part| part == feature)
    };
    assert_eq!(c(compiled(&["--no-default-features"], "normal,build,dev")), [""; 0], "the core is without C");
    let released = c(compiled(&[], "normal,build"));
    assert!(has(&released, "openssl-src") && with(&released, "libz-sys", "static"), "{released:?}");
    assert!(!with(&released, "zstd-sys", "pkg-config") && with(&released, "libsqlite3-sys", "bundled"), "{released:?}");
    let trial = c(compiled(&["--no-default-features", "--features", "system-libraries"], "normal,build"));
    assert!(!has(&trial, "openssl-src") && !with(&trial, "libz-sys", "static"), "{trial:?}");
    assert!(with(&trial, "zstd-sys", "pkg-config") && with(&trial, "libsqlite3-sys", "bundled"), "{trial:?}");
}

#[test]
fn everything_is_needed_by_something() {
    let bom = parsed();
    let dependencies = bom["dependencies"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let used: BTreeSet<String> = dependencies
        .iter()
        .flat_map(|dependency| dependency["dependsOn"].as_array().cloned().unwrap_or_default())
        .map(|reference| text(&reference))
        .collect();
    let references: BTreeSet<String> =
        bom["components"].as_array().unwrap().iter().map(|component| text(&component["bom-ref"])).collect();
    assert_eq!(used, references);
}

#[test]
fn with_an_image_it_has_the_packages_of_its_base() {
    let folder = tempfile::tempdir().unwrap();
    let status = folder.path().join("var/lib/dpkg/status.d");
    fs::create_dir_all(&status).unwrap();
    fs::create_dir(folder.path().join("etc")).unwrap();
    fs::write(folder.path().join("etc/os-release"), "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n").unwrap();
    let libc = "Package: libc6\nSource: glibc\nVersion: 2.36-9+deb12u10\nArchitecture: amd64\nMaintainer: Debian <d@example.com>\n\
                Description: the C library\n more of it\n";
    fs::write(status.join("libc6"), libc).unwrap();
    fs::write(status.join("libc6.md5sums"), "d41d8cd98f00b204e9800998ecf8427e  lib/libc.so.6\n").unwrap();
    fs::write(status.join("netbase"), "Package: netbase\nVersion: 1:6.4\nArchitecture: all\n").unwrap();
    let text = written(&["--rootfs", folder.path().to_str().unwrap()]);
    assert_eq!(complaint(&text), None);
    let bom: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bom["metadata"]["component"]["type"], "container");
    let purls: Vec<&str> =
        bom["components"].as_array().unwrap().iter().filter_map(|component| component["purl"].as_str()).collect();
    let of_debian: Vec<&&str> = purls.iter().filter(|purl| purl.starts_with("pkg:deb/")).collect();
    assert_eq!(
        of_debian,
        [
            &"pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12",
            &"pkg:deb/debian/netbase@1%3A6.4?arch=all&distro=debian-12"
        ]
    );
    assert!(purls.contains(&"pkg:cargo/rtalink@0.1.0"));
}
