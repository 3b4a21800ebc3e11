//! What a command reads a feed from: a file or stdin, a capture or raw bytes. The first line tells which.
//!
//! Raw bytes that come live are passed on as they come: nothing waits for the end of a line unless it may be a capture's.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Most bytes of a line of a capture: a read of a connection as base64 takes far less.
pub(super) const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// An input that has been opened.
pub(super) struct FeedInput {
    /// For messages.
    pub(super) name: String,
    /// From the first byte on.
    pub(super) bytes: Box<dyn BufRead>,
    /// It comes as it happens, perhaps.
    pub(super) is_stdin: bool,
}

/// What only a line of a capture is.
#[derive(Deserialize)]
struct CaptureLike {
    #[serde(rename = "at")]
    _at: IgnoredAny,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl FeedInput {
    /// Opens a file, or stdin where it is `-` or none.
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            let bytes = Box::new(BufReader::with_capacity(64 * 1024, io::stdin()));
            return Ok(Self { name: "stdin".to_owned(), bytes, is_stdin: true });
        };
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
        Ok(Self { name, bytes: Box::new(BufReader::with_capacity(64 * 1024, file)), is_stdin: false })
    }

    /// Whether it is a capture: the first line that is not empty is a JSON object with "at". A byte order mark before that is
    /// dropped.
    pub(super) fn is_capture(&mut self) -> anyhow::Result<bool> {
        let mut head = Vec::new();
        let is_capture = loop {
            let more = self.bytes.fill_buf().with_context(|| format!("cannot read {}", self.name))?;
            let is_end = more.is_empty();
            head.extend_from_slice(more);
            let count = more.len();
            self.bytes.consume(count);
            if let Some(is_capture) = begins_capture(&head, is_end) {
                break is_capture;
            }
        };
        if is_capture && head.starts_with(BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
        }
        let rest = std::mem::replace(&mut self.bytes, Box::new(io::empty()));
        self.bytes = Box::new(Cursor::new(head).chain(rest));
        Ok(is_capture)
    }
}

/// Whether bytes that begin so are a capture; `None` where that cannot be known yet.
fn begins_capture(head: &[u8], is_end: bool) -> Option<bool> {
    let unknown = (is_end || head.len() > LONGEST_LINE).then_some(false);
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start();
    match text.first() {
        None => return unknown,
        Some(b'{') => {}
        // The first bytes of a byte order mark may be all that has come.
        Some(_) => return if BYTE_ORDER_MARK.starts_with(head) { unknown } else { Some(false) },
    }
    let line = match memchr::memchr(b'\n', text) {
        Some(end) => &text[..end],
        None if is_end => text,
        None if unknown.is_some() => return Some(text.starts_with(b"{\"")),
        None => return None,
    };
    Some(serde_json::from_slice::<CaptureLike>(line).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_a_capture_from_raw_bytes() {
        let line = r#"{"at":"2026-01-05T08:00:00Z","open":true}"#;
        let cases: [(&str, Option<bool>); 14] = [
            (line, None),
            (&format!("{line}\n"), Some(true)),
            (&format!("\n \r\n{line}\r\n301204"), Some(true)),
            (&format!("\u{feff}{line}\n"), Some(true)),
            // What is wrong with it is told where it is read.
            ("{\"at\":5}\n", Some(true)),
            ("{\"at\":", None),
            ("{301204|20\n", Some(false)),
            ("{\"key\":1}\n", Some(false)),
            ("", None),
            ("\n\n", None),
            ("3", Some(false)),
            ("\u{feff}", None),
            ("\u{feff}3", Some(false)),
            ("# comment", Some(false)),
        ];
        for (head, expected) in cases {
            assert_eq!(begins_capture(head.as_bytes(), false), expected, "{head:?}");
        }
        assert_eq!(begins_capture(b"\xef\xbb", false), None);
        assert_eq!(begins_capture(line.as_bytes(), true), Some(true), "without a line end");
        assert_eq!(["", "\n", "{\"at\":"].map(|head| begins_capture(head.as_bytes(), true)), [Some(false); 3]);
        assert_eq!(begins_capture(&vec![b'\n'; LONGEST_LINE + 1], false), Some(false));
        let long = |begin: &str| [begin.as_bytes(), &vec![b'x'; LONGEST_LINE]].concat();
        assert_eq!(["{\"at\":\"", "{x"].map(|begin| begins_capture(&long(begin), false)), [Some(true), Some(false)]);
    }

    #[test]
    fn looking_at_the_first_line_loses_nothing() {
        let text = "{\"at\":1}\nrest";
        let bytes = Box::new(BufReader::with_capacity(1, Cursor::new(format!("\u{feff}{text}"))));
        let mut input = FeedInput { name: String::new(), bytes, is_stdin: false };
        assert!(input.is_capture().unwrap());
        let mut read = String::new();
        input.bytes.read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
    }
}
