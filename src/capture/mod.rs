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

#[cfg(feature = "service")]
pub mod pseudonym;
#[cfg(feature = "service")]
pub mod pseudonymise;

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
    /// The text has a character that the layout's encoding does not have.
    #[error("text has the character {0:?}, which the layout's encoding does not have: use \"data\"")]
    Encoding(char),
    /// None or several of open, text, data and close.
    #[error("a line has exactly one of \"open\", \"text\", \"data\" and \"close\"")]
    Happening,
}

impl CaptureEntry {
    /// Reads one line. `text` is encoded to the layout's encoding.
    ///
    /// # Errors
    /// When it is not a line of a capture.
    pub fn parse(line: &str, encoding: Encoding) -> Result<Self, CaptureError> {
        let line: Line = serde_json::from_str(line)?;
        let at = Timestamp::parse_rfc3339(&line.at)
            .map_err(|message| CaptureError::Time { text: line.at.clone(), message })?;
        let happening = match (line.open, line.text, line.data, line.close) {
            (true, None, None, false) => Happening::Open { peer: line.peer.unwrap_or_default() },
            (false, Some(text), None, false) => {
                Happening::Data(encoding.encode(&text).map_err(CaptureError::Encoding)?)
            }
            (false, None, Some(data), false) => Happening::Data(STANDARD.decode(data)?),
            (false, None, None, true) => Happening::Close,
            _ => return Err(CaptureError::Happening),
        };
        Ok(Self { at, connection: line.conn, happening })
    }

    /// Returns the line, without its end. Bytes that are printable ASCII and line ends become `text`, others `data`.
    ///
    /// # Errors
    /// Never in practice: the form has only strings and numbers.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        let mut line = Line {
            at: self.at.to_string(),
            conn: self.connection,
            peer: None,
            open: false,
            text: None,
            data: None,
            close: false,
        };
        match &self.happening {
            Happening::Open { peer } => {
                line.open = true;
                line.peer = Some(peer.clone());
            }
            Happening::Data(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if bytes.iter().all(is_plain) => line.text = Some(text.to_owned()),
                _ => line.data = Some(STANDARD.encode(bytes)),
            },
            Happening::Close => line.close = true,
        }
        serde_json::to_string(&line)
    }
}

const fn is_plain(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_written_alike() {
        let lines = [
            r#"{"at":"2026-01-05T08:00:00.000Z","peer":"10.1.2.3:40000","open":true}"#,
            r#"{"at":"2026-01-05T08:00:00.120Z","text":"301204 20 0\n"}"#,
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
        assert!(matches!(CaptureEntry::parse(line, Encoding::Ascii), Err(CaptureError::Encoding('ü'))));
    }

    #[test]
    fn broken_lines_are_told() {
        let cases = [
            r#"{"at":"2026-01-05T08:00:00Z"}"#,
            r#"{"at":"2026-01-05T08:00:00Z","text":"a","close":true}"#,
            r#"{"at":"8 o'clock","text":"a"}"#,
            r#"{"at":"2026-01-05T08:00:00Z","data":"%"}"#,
            r#"{"at":"2026-01-05T08:00:00Z","txt":"a"}"#,
            "",
        ];
        for line in cases {
            assert!(CaptureEntry::parse(line, Encoding::Utf8).is_err(), "{line}");
        }
    }
}
