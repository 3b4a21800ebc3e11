//! docs/connect-avaya.md, in both languages, followed to the letter: every command runs, and shows what the text says.
//!
//! A comment before a block says what is done with it: `<!-- file: PATH -->` saves it, `<!-- run: until Ctrl-C -->` and
//! `<!-- run: in the background -->` are for what does not end by itself. Every line of a `text` block is in what the command
//! before it has printed, in that order; `…` leaves lines out. Ports are others, for who else uses this machine.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::kafka::free_port;
use crate::support::process::{Process, rtalink};

/// A block of the page: what the comment before it says, its language, its content.
struct Block {
    comment: String,
    language: String,
    content: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut comment = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(said) = line.strip_prefix("<!-- ").and_then(|said| said.strip_suffix(" -->")) {
            comment = said.to_owned();
        } else if let Some(language) = line.strip_prefix("```") {
            let content: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let comment = std::mem::take(&mut comment);
            blocks.push(Block { comment, language: language.to_owned(), content: content.join("\n") + "\n" });
        }
    }
    blocks
}

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// The folder of somebody who follows the page.
struct Follower {
    folder: TempDir,
    http: String,
    ports: [(&'static str, String); 2],
    running: Option<Process>,
    printed: String,
}

impl Follower {
    fn new() -> Self {
        let port = || free_port().to_string();
        Self {
            folder: TempDir::new().unwrap(),
            http: format!("127.0.0.1:{}", port()),
            ports: [("7001", port()), ("7002", port())],
            running: None,
            printed: String::new(),
        }
    }

    fn with_ports(&self, text: &str) -> String {
        self.ports.iter().fold(text.to_owned(), |text, (port, other)| text.replace(port, other))
    }

    /// A shell in which rtalink is the one of this build, and its HTTP where nobody else is.
    fn shell(&self, script: &str) -> Command {
        let program = rtalink();
        let binary = program.get_program().to_str().unwrap().to_owned();
        let prelude = format!(
            "rtalink() {{ case $1 in status|unmapped|reload) '{binary}' \"$@\" --http {};; *) '{binary}' \"$@\";; esac; }}",
            self.http
        );
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &format!("{prelude}\n{}", self.with_ports(script))]);
        command.current_dir(self.folder.path()).env("RTALINK__HTTP__LISTEN", &self.http);
        command
    }

    /// A command that does not end by itself, once its log says so.
    fn start(&self, script: &str, ready: &str) -> Process {
        let script = self.with_ports(script);
        let mut words = script.split_whitespace();
        assert_eq!(words.next(), Some("rtalink"));
        let mut command = rtalink();
        command.args(words).current_dir(self.folder.path()).env("RTALINK__HTTP__LISTEN", &self.http);
        let process = Process::spawn(command);
        process.line(ready);
        process
    }

    fn follow(&mut self, block: &Block) {
        match (block.comment.split_once(": "), block.language.as_str()) {
            (Some(("file", path)), _) => {
                let path = self.folder.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, self.with_ports(&block.content)).unwrap();
            }
            (Some(("run", "until Ctrl-C")), _) => {
                let mut process = self.start(&block.content, "Ctrl-C ends");
                process.signal("INT");
                let (code, _, log) = process.wait();
                assert_eq!(code, Some(0), "{}{log:#?}", block.content);
            }
            (Some(("run", "in the background")), _) => {
                self.running = Some(self.start(&block.content, "rtalink::run: started"));
            }
            (None, "sh") => {
                let output = self.shell(&block.content).output().unwrap();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                self.printed = text(&output.stdout) + &text(&output.stderr);
                assert!(output.status.success(), "{}{}", block.content, self.printed);
            }
            (None, "text") => self.compare(&block.content),
            (None, "csv") => {}
            _ => panic!("what is to be done with this block?\n{}", block.content),
        }
    }

    fn compare(&self, shown: &str) {
        let mut printed = self.printed.lines();
        for line in shown.lines().filter(|line| *line != "…") {
            assert!(printed.any(|printed| printed.contains(line)), "{line:?} is not in\n{}", self.printed);
        }
    }
}

fn follow(name: &str) {
    let mut follower = Follower::new();
    for block in blocks(&page(name)) {
        follower.follow(&block);
    }
    let (code, _, log) = follower.running.unwrap().terminate();
    assert_eq!(code, Some(0), "{log:#?}");
}

#[test]
fn the_guide_can_be_followed_in_english() {
    follow("connect-avaya.md");
}

#[test]
fn the_guide_can_be_followed_in_german() {
    follow("connect-avaya.de.md");
}

#[test]
fn both_guides_have_the_same_commands_and_as_many_sections_and_rows() {
    let commands = |name: &str| -> Vec<String> {
        blocks(&page(name)).into_iter().filter(|block| block.language == "sh").map(|block| block.content).collect()
    };
    let shape = |name: &str| -> Vec<&'static str> {
        let kind = |line: &str| match line {
            line if line.starts_with("## ") => Some("section"),
            line if line.starts_with("### ") => Some("part"),
            line if line.starts_with("| ") => Some("row"),
            line if line.starts_with("```") => Some("block"),
            _ => None,
        };
        page(name).lines().filter_map(kind).collect()
    };
    assert_eq!(commands("connect-avaya.md"), commands("connect-avaya.de.md"));
    assert_eq!(shape("connect-avaya.md"), shape("connect-avaya.de.md"));
}
