//! Layouts at work: what `rtalink decode` makes of raw bytes.
//!
//! Each case is three files in `tests/decode`: `NAME.toml` is the layout, beginning with a comment that says what the case
//! is about; `NAME.input` is what the feed sends; `NAME.jsonl` is what comes out. In an input `\xNN` is a byte, `\\` a
//! backslash, and a backslash at the end of a line joins it with the next one. Times are those of Europe/Berlin.
//! `RTALINK_BLESS=1 cargo test --test cli decode::` writes the `.jsonl` files anew.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::support;
use crate::support::bytes;

use support::process::{output, write};

const FEWEST: usize = 25;

fn config(layout: &str) -> String {
    format!(
        r#"
[kafka]
bootstrap_servers = "embedded"
[[integration]]
id = "case"
kind = "avaya-cms"
acd = 1
time_zone = "Europe/Berlin"
[integration.realtime]
port = 7001
bind = "127.0.0.1"
layout = "case"
snapshot_end = "idle"
[layout.case]
{layout}"#
    )
}

/// What `decode` prints.
fn decode(layout: &str, input: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), "rtalink.toml", config(layout));
    let input = write(folder.path(), "input", input);
    let [config, input] = [&config, &input].map(|file| file.to_str().unwrap());
    let output = output(&["decode", "--config", config, "--integration", "case", input]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decode");
    fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_layout_decodes_to_what_its_file_says() {
    let cases: BTreeSet<PathBuf> = files().into_iter().map(|file| file.with_extension("")).collect();
    assert!(cases.len() >= FEWEST, "{} cases", cases.len());
    let is_blessing = env::var_os("RTALINK_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let text = |extension| {
            fs::read_to_string(case.with_extension(extension))
                .unwrap_or_else(|error| panic!("{name}.{extension}: {error}"))
        };
        let layout = text("toml");
        assert!(layout.starts_with("# "), "{name}.toml does not say what it is about");
        let decoded = decode(&layout, &bytes::of(&text("input")));
        if is_blessing {
            fs::write(case.with_extension("jsonl"), &decoded).unwrap();
            continue;
        }
        let expected = text("jsonl");
        if expected != decoded {
            wrong.push(format!("== {name}\n-- expected\n{expected}-- decoded\n{decoded}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
