//! What a log level may be: a level, or directives such as `info,rtalink::feed=debug`.

use tracing_subscriber::EnvFilter;

/// The words that stand alone.
pub const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];

/// A text that is no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLevel<'a> {
    /// The word that is none, where it is a word.
    pub word: Option<&'a str>,
}

/// The filter of a level. A filter takes a bare word that is no level for the name of a module and shows everything of it,
/// which is never meant.
///
/// # Errors
/// When it is none.
pub fn filter(text: &str) -> Result<EnvFilter, NoLevel<'_>> {
    let is_bare = |part: &&str| !part.contains(['=', '[']);
    let wrong = text.split(',').map(str::trim).filter(is_bare).find(|part| !LEVELS.contains(part));
    if wrong.is_some() {
        return Err(NoLevel { word: wrong });
    }
    EnvFilter::try_new(text).map_err(|_| NoLevel { word: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_word_is_a_level() {
        let cases = [
            ("info", Ok(())),
            ("off", Ok(())),
            ("info,rtalink::feed=debug", Ok(())),
            ("warn, rtalink=trace", Err(None)),
            ("loud", Err(Some("loud"))),
            ("", Err(Some(""))),
            ("info,rtalink::feed", Err(Some("rtalink::feed"))),
            ("INFO", Err(Some("INFO"))),
            ("rtalink=loud", Err(None)),
        ];
        for (text, expected) in cases {
            assert_eq!(filter(text).map(drop).map_err(|wrong| wrong.word), expected, "{text:?}");
        }
    }
}
