//! Lines that are not records: markers and what is skipped.
//!
//! Patterns are regular expressions, but nearly all are `^text` or `^text$`: those cost a comparison of a few bytes.

use regex::bytes::{Regex, RegexBuilder};

/// A compiled pattern of a line.
#[derive(Debug)]
enum Pattern {
    Prefix(Vec<u8>),
    Exact(Vec<u8>),
    Regex(Regex),
}

/// Most bytes of a compiled expression.
pub const LARGEST_EXPRESSION: usize = 1024 * 1024;

/// Compiles an expression over bytes.
///
/// # Errors
/// When it is not one, or is too large.
pub fn expression(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source).unicode(false).size_limit(LARGEST_EXPRESSION).build()
}

impl Pattern {
    fn compile(source: &str) -> Result<Self, regex::Error> {
        let regex = expression(source)?;
        let Some(anchored) = source.strip_prefix('^') else { return Ok(Self::Regex(regex)) };
        let (text, exact) = match anchored.strip_suffix('$') {
            Some(text) => (text, true),
            None => (anchored, false),
        };
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"#;:,_=/-% @!<>\"'~&".contains(&byte));
        Ok(match (is_plain, exact) {
            (true, true) => Self::Exact(text.as_bytes().to_vec()),
            (true, false) => Self::Prefix(text.as_bytes().to_vec()),
            (false, _) => Self::Regex(regex),
        })
    }

    #[inline]
    fn matches(&self, line: &[u8]) -> bool {
        match self {
            Self::Prefix(text) => line.starts_with(text),
            Self::Exact(text) => line == text,
            Self::Regex(regex) => regex.is_match(line),
        }
    }
}

/// What a frame is before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// To be decoded.
    Record,
    /// The end of a snapshot.
    Marker,
    /// Skipped.
    Skipped,
}

/// The line patterns of a layout.
#[derive(Debug)]
pub struct LinePatterns {
    marker: Option<Pattern>,
    skip: Vec<Pattern>,
}

impl LinePatterns {
    /// Compiles them.
    ///
    /// # Errors
    /// The first invalid expression.
    pub fn compile(marker: Option<&str>, skip: &[String]) -> Result<Self, regex::Error> {
        Ok(Self {
            marker: marker.map(Pattern::compile).transpose()?,
            skip: skip.iter().map(|source| Pattern::compile(source)).collect::<Result<_, _>>()?,
        })
    }

    /// Returns what `line` is.
    #[inline]
    pub fn classify(&self, line: &[u8]) -> LineKind {
        if self.marker.as_ref().is_some_and(|marker| marker.matches(line)) {
            LineKind::Marker
        } else if self.skip.iter().any(|pattern| pattern.matches(line)) {
            LineKind::Skipped
        } else {
            LineKind::Record
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_looked_for_before_skip() {
        let skip = ["^#".to_owned(), "^$".to_owned(), r"^\s+total\b".to_owned()];
        let patterns = LinePatterns::compile(Some("^#END$"), &skip).unwrap();
        let cases = [
            ("#END", LineKind::Marker),
            ("#ENDE", LineKind::Skipped),
            ("", LineKind::Skipped),
            ("  total 5", LineKind::Skipped),
            ("301204 20", LineKind::Record),
        ];
        for (line, kind) in cases {
            assert_eq!(patterns.classify(line.as_bytes()), kind, "{line:?}");
        }
    }
}
