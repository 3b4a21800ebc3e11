//! How ids and names of a mapping are compared: invisible differences do not count.
//!
//! White space around one does not belong to it, and a letter is the same however its accent is written (Unicode NFC). Files
//! are trimmed as they are read; a lookup brings both sides to the same spelling. ASCII, the common case, is not copied.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::wire::visible;

/// Returns the text without white space around it. A byte order mark counts as white space: spreadsheets leave it there.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// Returns the spelling in which ids and names are compared.
pub fn normal(text: &str) -> Cow<'_, str> {
    let text = trim(text);
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// Whether both are one id, or one name.
pub fn is_same(one: &str, other: &str) -> bool {
    one == other || normal(one) == normal(other)
}

/// Returns the first invisible character: nobody would find out why an id with one is different.
pub fn invisible(text: &str) -> Option<char> {
    text.chars().find(|c| visible::is_invisible(*c) && !c.is_whitespace())
}

/// Whether there is white space inside that looks like a single blank but is not.
pub fn has_odd_blanks(text: &str) -> bool {
    text.contains("  ") || text.chars().any(|c| c.is_whitespace() && c != ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_the_same() {
        let same = [
            ("4711", "4711"),
            (" 4711\t", "4711"),
            ("\u{a0}4711\u{2003}", "4711"),
            ("\u{feff}4711 \u{feff}", "4711"),
            ("Mu\u{308}ller, J.", "M\u{fc}ller, J."),
            ("Mu\u{308}ller ", "\u{a0}M\u{fc}ller"),
            ("\u{212b}", "\u{c5}"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            (" ", ""),
        ];
        for (one, other) in same {
            assert!(is_same(one, other) && is_same(other, one), "{one:?} {other:?}");
        }
        let others = [("4711", "04711"), ("Doe,  J.", "Doe, J."), ("a", "A"), ("\u{200b}4711", "4711"), ("ß", "ss")];
        for (one, other) in others {
            assert!(!is_same(one, other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn ascii_and_what_is_normal_already_is_not_copied() {
        for text in ["4711", " 4711 ", "M\u{fc}ller, J.", "한", ""] {
            assert!(matches!(normal(text), Cow::Borrowed(_)), "{text:?}");
        }
    }

    #[test]
    fn what_takes_no_room_is_found() {
        for text in ["4711", "a\tb", "5\u{a0}5", "Jo\u{308}rg", "\u{1F600}", ""] {
            assert_eq!(invisible(text), None, "{text:?}");
        }
        for c in ['\0', '\u{1b}', '\u{7f}', '\u{ad}', '\u{200b}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{e0041}'] {
            assert_eq!(invisible(&format!("47{c}11")), Some(c), "{c:?}");
        }
    }

    #[test]
    fn blanks_that_are_more_than_they_seem_are_found() {
        for text in ["Doe, J.", "a b c", "", "a"] {
            assert!(!has_odd_blanks(text), "{text:?}");
        }
        for text in ["Doe,  J.", "Doe,\u{a0}J.", "a b\tc", "a  "] {
            assert!(has_odd_blanks(text), "{text:?}");
        }
    }
}
