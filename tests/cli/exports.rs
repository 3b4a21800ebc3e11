//! `rtalink capture` and `rtalink capture export`: what was on the wire comes back, byte for byte, in every encoding and however
//! it was cut.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;

use rtalink::wire::encoding::Encoding;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support;

use support::process::{Process, output, rtalink, write};
use support::service::folder;
use support::wait::until_true;

/// Names, and what else feeds have in them; what an encoding lacks is left out.
const LINES: [&str; 6] = [
    "\u{feff}# Schicht Süd\r\n",
    "301204|Müller, Jörg|AVAIL|€ 5\r\n",
    "301205|Şahin İpek|AUX|3\n",
    "301206|Œuvre Šebek|ACD|\u{3}\u{c}\n",
    "301207|日本 語|ACW|\n",
    "END\r\n\r\n",
];

fn wire(encoding: Encoding) -> Vec<u8> {
    let one = |character: char| encoding.encode(&character.to_string()).unwrap_or_default();
    let mut bytes: Vec<u8> = LINES.concat().chars().flat_map(one).collect();
    // Bytes that are no text come back, too, and so does half a character.
    bytes.extend((0..=255).rev());
    bytes.extend(b"301208|\xc3");
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Sends each stream on a connection of its own, in chunks of its size; returns what was logged.
fn record(capture: &Path, options: &[&str], streams: &[(usize, &[u8])]) -> Vec<String> {
    let mut command = rtalink();
    command.args(["capture", "--listen", "127.0.0.1:0", "--output"]).arg(capture).args(options);
    let process = Process::spawn(command);
    let address = process.field("recording; Ctrl-C ends", "address");
    for (number, (size, stream)) in streams.iter().enumerate() {
        let mut feed = TcpStream::connect(&address).unwrap();
        feed.set_nodelay(true).unwrap();
        stream.chunks(*size).for_each(|chunk| feed.write_all(chunk).unwrap());
        drop(feed);
        let closes = || fs::read_to_string(capture).unwrap_or_default().matches("\"close\":true").count();
        until_true("the end of the connection", || closes() == number + 1);
    }
    let (code, _, log) = process.terminate();
    assert_eq!(code, Some(0), "{log:#?}");
    log
}

fn export(capture: &Path, options: &[&str]) -> Vec<u8> {
    let output = output(&[&["capture", "export", capture.to_str().unwrap()], options].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    output.stdout
}

#[test]
fn every_encoding_comes_back_however_it_was_cut() {
    let folder = folder(&[]);
    for (name, encoding) in Encoding::NAMES {
        let wire = wire(encoding);
        let layout = format!(
            "[layout.site]\nencoding = \"{name}\"\nseparator = \"|\"\ncolumns = [\"login_id\", \"state\"]\nstates = \"cms-names\"\n"
        );
        let layout = write(folder.path(), "layout.toml", layout);
        let by_layout = ["--layout-file", layout.to_str().unwrap()];
        // Known by the layout, said, and not known at all.
        for (how, options) in [&by_layout[..], &["--encoding", name], &[]].into_iter().enumerate() {
            let capture = folder.path().join(format!("{name}-{how}.capture"));
            let streams = [(1, &wire[..]), (7, &wire), (1_000_000, &wire)];
            record(&capture, options, &streams);
            assert_eq!(sha256(&export(&capture, &[])), sha256(&wire.repeat(3)), "{name} {options:?}");
            for number in ["1", "2", "3"] {
                let exported = export(&capture, &["--connection", number]);
                assert_eq!(sha256(&exported), sha256(&wire), "{name} {options:?} {number}");
            }
            let text = fs::read_to_string(&capture).unwrap();
            let told = if options.is_empty() { "utf-8" } else { name };
            assert_eq!(text.matches(&format!("\"encoding\":\"{told}\",\"open\":true")).count(), 3, "{text}");
        }
    }
}

#[test]
fn what_is_text_is_text() {
    let folder = folder(&[]);
    let capture = folder.path().join("feed.capture");
    let line = "301204|Müller|AVAIL\n";
    let latin = Encoding::Iso8859_1.encode(line).unwrap();
    let log = record(&capture, &["--encoding", "iso-8859-1"], &[(100, &latin), (100, b"1\n2\n3")]);
    let recorded = fs::read_to_string(&capture).unwrap();
    let entries: Vec<Value> = recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries[1]["text"], line, "{recorded}");
    let counts: Vec<&String> = log.iter().filter(|line| line.contains("closed")).collect();
    let [first, second] = counts[..] else { panic!("{log:#?}") };
    assert!(first.contains("bytes=20 lines=1") && second.contains("bytes=5 lines=2"), "{log:#?}");

    // One that was written by hand does not say, and must be told.
    let by_hand = recorded.replace("\"encoding\":\"iso-8859-1\",", "");
    let capture = write(folder.path(), "by-hand.capture", by_hand);
    let refused = output(&["capture", "export", capture.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("by-hand.capture:2: text has the character 'ü', and the capture does not say"), "{told}");
    assert_eq!(export(&capture, &["--encoding", "iso-8859-1", "--connection", "1"]), latin);
    assert_eq!(export(&capture, &["--encoding", "utf-8", "--connection", "1"]), line.as_bytes());

    let file = folder.path().join("feed.bin");
    let into_file = ["capture", "export", capture.to_str().unwrap(), "--encoding", "utf-8", "--output"];
    let into_file = [&into_file[..], &[file.to_str().unwrap()]].concat();
    let done = output(&into_file);
    assert_eq!(String::from_utf8_lossy(&done.stderr), "26 bytes of 2 connections\n");
    assert_eq!(fs::read(&file).unwrap(), [line.as_bytes(), b"1\n2\n3"].concat());
    let again = output(&into_file);
    assert_eq!(again.status.code(), Some(1), "nothing is written over: {again:?}");
    let absent = output(&[&into_file[..3], &["--encoding", "utf-8", "--connection", "3"]].concat());
    assert!(String::from_utf8_lossy(&absent.stderr).contains("no connection 3: the capture has 2"), "{absent:?}");
}

#[test]
fn a_recording_says_how_it_goes() {
    let folder = folder(&[]);
    let mut command = rtalink();
    command.args(["capture", "--listen", "127.0.0.1:0", "--output"]).arg(folder.path().join("feed.capture"));
    let process = Process::spawn(command);
    let mut feed = TcpStream::connect(process.field("recording; Ctrl-C ends", "address")).unwrap();
    let peer = feed.local_addr().unwrap();
    process.line(&format!("connected peer={peer}"));
    feed.write_all(b"1\n2\n3").unwrap();
    let line = process.line(&format!("recording peer={peer} bytes=5 lines=2 last="));
    assert!(line.contains("s ago"), "{line}");
    process.terminate();
}
