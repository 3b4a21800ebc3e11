//! The visible part of a login id.
//!
//! Invisible characters must not distinguish two people: white space around a login id does not belong to it, and an
//! invisible character inside makes it nobody's.

use super::encoding::Encoding;

/// General category Cf of Unicode 17.0, first and last code point of each range. The standard library has Cc alone
/// (`char::is_control`), and a crate of all categories is not worth it for 21 ranges that hardly ever grow.
const FORMAT: [(u32, u32); 21] = [
    (0x00AD, 0x00AD),
    (0x0600, 0x0605),
    (0x061C, 0x061C),
    (0x06DD, 0x06DD),
    (0x070F, 0x070F),
    (0x0890, 0x0891),
    (0x08E2, 0x08E2),
    (0x180E, 0x180E),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x2064),
    (0x2066, 0x206F),
    (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFB),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0001, 0xE0001),
    (0xE0020, 0xE007F),
];

/// Returns `bytes` without the white space at both ends. A control character other than the tab is not white space here.
pub(super) fn trim(encoding: Encoding, bytes: &[u8]) -> &[u8] {
    if encoding == Encoding::Utf8 {
        let is_white = |c: char| c == '\t' || c.is_whitespace() && !c.is_control();
        return std::str::from_utf8(bytes).map_or(bytes, |text| text.trim_matches(is_white).as_bytes());
    }
    // All single-byte encodings with a no-break space have it here.
    let no_break = if encoding == Encoding::Ascii { b' ' } else { 0xA0 };
    let is_white = |byte: &u8| matches!(byte, b' ' | b'\t') || *byte == no_break;
    let Some(first) = bytes.iter().position(|byte| !is_white(byte)) else { return &bytes[..0] };
    let last = bytes.iter().rposition(|byte| !is_white(byte)).unwrap_or(first);
    &bytes[first..=last]
}

/// Whether it is a control or format character (Unicode Cc and Cf).
pub(crate) fn is_invisible(c: char) -> bool {
    let is_format = || {
        let code = u32::from(c);
        let after = FORMAT.partition_point(|(first, _)| *first <= code);
        after > 0 && code <= FORMAT[after - 1].1
    };
    c.is_control() || !c.is_ascii() && is_format()
}

/// Returns the first invisible character.
pub(super) fn invisible(text: &str) -> Option<char> {
    text.chars().find(|c| is_invisible(*c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_is_trimmed_in_any_encoding() {
        let cases: [(Encoding, &[u8], &[u8]); 8] = [
            (Encoding::Utf8, "\u{a0}\t4711\u{2003}\u{3000}".as_bytes(), b"4711"),
            (Encoding::Utf8, "\u{feff}4711".as_bytes(), "\u{feff}4711".as_bytes()),
            (Encoding::Utf8, " \u{a0} ".as_bytes(), b""),
            (Encoding::Iso8859_1, b"\xA0 4 711\xA0", b"4 711"),
            (Encoding::Iso8859_9, b"\xA0", b""),
            (Encoding::Windows1252, b"\t4711\xA0\x85", b"4711\xA0\x85"),
            (Encoding::Iso8859_15, b"\x0c4711", b"\x0c4711"),
            (Encoding::Ascii, b" 4711 ", b"4711"),
        ];
        for (encoding, bytes, trimmed) in cases {
            assert_eq!(trim(encoding, bytes), trimmed, "{encoding:?} {}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_nobody_sees_is_found() {
        let seen = ["4711", "a b", "Jörg", "5\u{a0}5", "\u{301}", "한", "\u{1F600}"];
        assert!(seen.iter().all(|text| invisible(text).is_none()));
        for c in ['\0', '\x0c', '\x7f', '\u{85}', '\u{ad}', '\u{200b}', '\u{200f}', '\u{feff}', '\u{e0041}'] {
            assert_eq!(invisible(&format!("47{c}11")), Some(c), "{c:?}");
        }
        assert!(FORMAT.is_sorted() && FORMAT.iter().all(|(first, last)| first <= last));
    }
}
