//! Capture files: what a feed sent and when, as JSON lines that people can read and write.
//!
//! The format is described in `docs/capture.md`. Chunks are as they were received; a record may be split anywhere.
//!
//! ```
//! use rtalink::capture::{CaptureEntry, Happening};
//! use rtalink::wire::encoding::Encoding;
//!
//! let line = r#"{"at":"2026-01-05T08:00:00.120Z","text":"301204 20 0\n"}"#;
//! let entry = CaptureEntry::parse(line, Encoding::Utf8)?;
//! assert_eq!(entry.happening, Happening::Data(b"301204 20 0\n".to_vec()));
//! assert_eq!(entry.to_line()?, line);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What was received comes back byte for byte: a chunk is `text` only where encoding the text again gives the same bytes, and
//! the `open` line says in which encoding that is.

#[cfg(feature = "service")]
pub mod pseudonym;
#[cfg(feature = "service")]
pub mod pseudonymise;

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::wire::encoding::Encoding;

/// One line of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureEntry {
    /// When it happened.
    pub at: Timestamp,
    /// Tells twins apart; 0 unless the file says otherwise.
    pub connection: u64,
    /// What happened.
    pub happening: Happening,
}

/// What a line of a capture says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A connection was accepted.
    Open {
        /// Address and port.
        peer: String,
        /// The encoding of `text` on this connection; `None`: the layout's.
        encoding: Option<Encoding>,
    },
    /// Bytes were received.
    Data(Vec<u8>),
    /// The connection ended.
    Close,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    conn: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoding: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    open: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    close: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Why a line is not a line of a capture.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It is not a JSON object of the expected form.
    #[error("not a line of a capture")]
    Json(#[from] serde_json::Error),
    /// The time is not a time.
    #[error("{text:?} is not an RFC 3339 time: {message}")]
    Time {
        /// What stands there.
        text: String,
        /// What the calendar says.
        message: String,
    },
    /// The data is not base64.
    #[error("data is not base64")]
    Base64(#[from] base64::DecodeError),
    /// The text has a character that its encoding does not have.
    #[error("text has the character {0:?}, which {name} does not have: use \"data\"", name = .1.name())]
    Encoding(char, Encoding),
    /// The text is not ASCII, and nothing says which bytes it stands for.
    #[error(
        "text has the character {0:?}, and the capture does not say in which encoding: name the encoding or the layout"
    )]
    NoEncoding(char),
    /// There is no such encoding.
    #[error("unknown encoding {0:?}: expected one of {names}", names = Encoding::NAMES.map(|(name, _)| name).join(", "))]
    UnknownEncoding(String),
    /// Only an `open` line says how text is encoded.
    #[error("\"encoding\" belongs in a line with \"open\"")]
    MisplacedEncoding,
    /// None or several of open, text, data and close.
    #[error("a line has exactly one of \"open\", \"text\", \"data\" and \"close\"")]
    Happening,
}

impl CaptureEntry {
    /// Reads one line alone. `text` is encoded to the layout's encoding; a [`CaptureReader`] knows what the connection's
    /// `open` line says.
    ///
    /// # Errors
    /// When it is not a line of a capture.
    pub fn parse(line: &str, encoding: Encoding) -> Result<Self, CaptureError> {
        CaptureReader::new(Some(encoding)).read(line)
    }

    /// Returns the line, without its end. ASCII becomes `text`, whatever the encoding of the feed; other bytes `data`.
    ///
    /// # Errors
    /// Never in practice: the form has only strings and numbers.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        self.to_line_in(Encoding::Ascii)
    }

    /// Returns the line, without its end. Bytes that are text in that encoding become `text`, others `data`.
    ///
    /// # Errors
    /// Never in practice: the form has only strings and numbers.
    pub fn to_line_in(&self, text: Encoding) -> Result<String, serde_json::Error> {
        let mut line = Line {
            at: self.at.to_string(),
            conn: self.connection,
            peer: None,
            encoding: None,
            open: false,
            text: None,
            data: None,
            close: false,
        };
        match &self.happening {
            Happening::Open { peer, encoding } => {
                line.open = true;
                line.peer = Some(peer.clone());
                line.encoding = encoding.map(|encoding| encoding.name().to_owned());
            }
            Happening::Data(bytes) => match text_of(bytes, text) {
                Some(text) => line.text = Some(text.into_owned()),
                None => line.data = Some(STANDARD.encode(bytes)),
            },
            Happening::Close => line.close = true,
        }
        serde_json::to_string(&line)
    }
}

/// Returns the bytes as text that encodes to the same bytes; `None` where they are no text. What an editor would not show
/// (NUL and the control characters above ASCII, which are most often another encoding's letters) is no text.
fn text_of(bytes: &[u8], encoding: Encoding) -> Option<Cow<'_, str>> {
    if !encoding.validate(bytes) {
        return None;
    }
    let text = encoding.decode(bytes);
    let is_hidden = |character: char| matches!(character, '\0' | '\u{7f}'..='\u{9f}');
    if text.contains(is_hidden) {
        return None;
    }
    let is_exact = bytes.is_ascii() || encoding.encode(&text).is_ok_and(|encoded| encoded == bytes);
    is_exact.then_some(text)
}

/// Reads a capture line by line, and remembers how the text of each connection is encoded.
#[derive(Clone, Debug)]
pub struct CaptureReader {
    /// Where the `open` line says nothing; `None`: then text must be ASCII.
    encoding: Option<Encoding>,
    /// What it says, while the connection is open.
    told: HashMap<u64, Encoding>,
}

impl CaptureReader {
    /// Creates one for text in the layout's encoding. An `open` line that names another one is right about its connection.
    /// Without a layout, text beyond ASCII must have an encoding of its own.
    pub fn new(encoding: Option<Encoding>) -> Self {
        Self { encoding, told: HashMap::new() }
    }

    /// Reads the next line.
    ///
    /// # Errors
    /// When it is not a line of a capture.
    pub fn read(&mut self, line: &str) -> Result<CaptureEntry, CaptureError> {
        let line: Line = serde_json::from_str(line)?;
        let at = Timestamp::parse_rfc3339(&line.at)
            .map_err(|message| CaptureError::Time { text: line.at.clone(), message })?;
        if line.encoding.is_some() && !line.open {
            return Err(CaptureError::MisplacedEncoding);
        }
        let happening = match (line.open, line.text, line.data, line.close) {
            (true, None, None, false) => {
                let named = |name: String| Encoding::by_name(&name).ok_or(CaptureError::UnknownEncoding(name));
                let encoding = line.encoding.map(named).transpose()?;
                match encoding {
                    Some(encoding) => self.told.insert(line.conn, encoding),
                    None => self.told.remove(&line.conn),
                };
                Happening::Open { peer: line.peer.unwrap_or_default(), encoding }
            }
            (false, Some(text), None, false) => Happening::Data(self.encode(line.conn, &text)?),
            (false, None, Some(data), false) => Happening::Data(STANDARD.decode(data)?),
            (false, None, None, true) => {
                self.told.remove(&line.conn);
                Happening::Close
            }
            _ => return Err(CaptureError::Happening),
        };
        Ok(CaptureEntry { at, connection: line.conn, happening })
    }

    fn encode(&self, connection: u64, text: &str) -> Result<Vec<u8>, CaptureError> {
        let Some(encoding) = self.told.get(&connection).copied().or(self.encoding) else {
            return match text.chars().find(|character| !character.is_ascii()) {
                Some(character) => Err(CaptureError::NoEncoding(character)),
                None => Ok(text.as_bytes().to_vec()),
            };
        };
        encoding.encode(text).map_err(|character| CaptureError::Encoding(character, encoding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_written_alike() {
        let lines = [
            r#"{"at":"2026-01-05T08:00:00.000Z","peer":"10.1.2.3:40000","open":true}"#,
            r#"{"at":"2026-01-05T08:00:00.000Z","peer":"10.1.2.3:40000","encoding":"windows-1252","open":true}"#,
            r#"{"at":"2026-01-05T08:00:00.120Z","text":"301204 20 0\n"}"#,
            r#"{"at":"2026-01-05T08:00:00.120Z","text":"\f301204\u00032\u001f0\r\n"}"#,
            r#"{"at":"2026-01-05T08:00:03.120Z","conn":1,"data":"TfxsbGVyCg=="}"#,
            r#"{"at":"2026-01-05T08:00:09.000Z","close":true}"#,
        ];
        for line in lines {
            let entry = CaptureEntry::parse(line, Encoding::Utf8).unwrap();
            assert_eq!(entry.to_line().unwrap(), line);
        }
    }

    #[test]
    fn text_takes_the_layouts_encoding() {
        let line = r#"{"at":"2026-01-05T08:00:00Z","text":"Müller"}"#;
        let entry = CaptureEntry::parse(line, Encoding::Iso8859_1).unwrap();
        assert_eq!(entry.happening, Happening::Data(b"M\xFCller".to_vec()));
        assert!(matches!(
            CaptureEntry::parse(line, Encoding::Ascii),
            Err(CaptureError::Encoding('ü', Encoding::Ascii))
        ));
    }

    #[test]
    fn broken_lines_are_told() {
        let cases = [
            r#"{"at":"2026-01-05T08:00:00Z"}"#,
            r#"{"at":"2026-01-05T08:00:00Z","text":"a","close":true}"#,
            r#"{"at":"8 o'clock","text":"a"}"#,
            r#"{"at":"2026-01-05T08:00:00Z","data":"%"}"#,
            r#"{"at":"2026-01-05T08:00:00Z","txt":"a"}"#,
            r#"{"at":"2026-01-05T08:00:00Z","open":true,"encoding":"latin-1"}"#,
            r#"{"at":"2026-01-05T08:00:00Z","text":"a","encoding":"utf-8"}"#,
            "",
        ];
        for line in cases {
            assert!(CaptureEntry::parse(line, Encoding::Utf8).is_err(), "{line}");
        }
    }
    #[test]
    fn the_encoding_of_an_open_line_beats_the_layouts_until_the_connection_ends() {
        let mut reader = CaptureReader::new(Some(Encoding::Utf8));
        let mut bytes = |line: &str| match reader.read(line).unwrap().happening {
            Happening::Data(bytes) => bytes,
            Happening::Open { .. } | Happening::Close => Vec::new(),
        };
        let (text, other) =
            (r#"{"at":"2026-01-05T08:00:00Z","text":"ü"}"#, r#"{"at":"2026-01-05T08:00:00Z","conn":1,"text":"ü"}"#);
        assert_eq!(bytes(text), b"\xC3\xBC");
        bytes(r#"{"at":"2026-01-05T08:00:00Z","open":true,"encoding":"iso-8859-1"}"#);
        assert_eq!((bytes(text), bytes(other)), (b"\xFC".to_vec(), b"\xC3\xBC".to_vec()));
        bytes(r#"{"at":"2026-01-05T08:00:00Z","open":true}"#);
        assert_eq!(bytes(text), b"\xC3\xBC", "another connection of the same number");
        bytes(r#"{"at":"2026-01-05T08:00:00Z","open":true,"encoding":"iso-8859-1"}"#);
        bytes(r#"{"at":"2026-01-05T08:00:00Z","close":true}"#);
        assert_eq!(bytes(text), b"\xC3\xBC");

        let mut reader = CaptureReader::new(None);
        assert!(matches!(reader.read(text), Err(CaptureError::NoEncoding('ü'))));
        assert!(reader.read(r#"{"at":"2026-01-05T08:00:00Z","text":"u"}"#).is_ok());
    }

    /// All bytes in all encodings, alone and after each other, whole and cut anywhere.
    #[test]
    fn every_byte_comes_back() {
        let every: Vec<u8> = (0..=255).collect();
        let texts = ["Müller, Jörg €|20\n", "Şahin|İ\r\n", "Šebek œ\u{3}", "日本\u{feff}", "plain"];
        for (name, encoding) in Encoding::NAMES {
            let written = texts.map(|text| encoding.encode(text).unwrap_or_else(|_| text.as_bytes().to_vec()));
            for stream in written.iter().chain([&every]) {
                for size in 1..=stream.len() {
                    for chunk in stream.chunks(size) {
                        let happening = Happening::Data(chunk.to_vec());
                        let entry = CaptureEntry { at: Timestamp::from_millis(0), connection: 0, happening };
                        let line = entry.to_line_in(encoding).unwrap();
                        assert_eq!(CaptureEntry::parse(&line, encoding).unwrap(), entry, "{name} {line}");
                    }
                }
            }
        }
        let line = |bytes: &[u8], encoding| {
            let happening = Happening::Data(bytes.to_vec());
            let entry = CaptureEntry { at: Timestamp::from_millis(0), connection: 0, happening };
            entry.to_line_in(encoding).unwrap()
        };
        assert!(line(b"M\xFCller", Encoding::Windows1252).contains("\"text\":\"Müller\""));
        assert!(line(b"M\xFCller", Encoding::Utf8).contains("\"data\""));
        // In Latin 1 these are no letters: the feed is in another encoding.
        assert!(line(b"\x80 \x8Aebek", Encoding::Iso8859_1).contains("\"data\""));
        assert!(line(b"\x80 \x8Aebek", Encoding::Windows1252).contains("€ Šebek"));
    }
}
