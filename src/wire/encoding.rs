//! Text encodings of feeds.
//!
//! The three ISO-8859 tables are ours because the WHATWG ones, which `encoding_rs` follows, read them as Windows code
//! pages. Decoding is total over what [`Encoding::validate`] has let through.

use std::borrow::Cow;

/// How a feed spells text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 7 bits; anything above is undecodable.
    Ascii,
    /// UTF-8.
    Utf8,
    /// Latin 1: a byte is its code point.
    Iso8859_1,
    /// Latin 5 (Turkish): Latin 1 with six letters exchanged.
    Iso8859_9,
    /// Latin 9: Latin 1 with the euro sign and seven letters exchanged.
    Iso8859_15,
    /// Windows-1252; its five unassigned bytes are undecodable.
    Windows1252,
}

/// ISO/IEC 8859-9:1999 where it differs from 8859-1.
const LATIN_5: [(u8, char); 6] = [(0xD0, 'Ğ'), (0xDD, 'İ'), (0xDE, 'Ş'), (0xF0, 'ğ'), (0xFD, 'ı'), (0xFE, 'ş')];

/// ISO/IEC 8859-15:1999 where it differs from 8859-1.
const LATIN_9: [(u8, char); 8] =
    [(0xA4, '€'), (0xA6, 'Š'), (0xA8, 'š'), (0xB4, 'Ž'), (0xB8, 'ž'), (0xBC, 'Œ'), (0xBD, 'œ'), (0xBE, 'Ÿ')];

/// Bytes that Windows-1252 leaves unassigned.
const UNASSIGNED_1252: [u8; 5] = [0x81, 0x8D, 0x8F, 0x90, 0x9D];

impl Encoding {
    /// Every encoding with the name that configuration has for it.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("ascii", Self::Ascii),
        ("utf-8", Self::Utf8),
        ("iso-8859-1", Self::Iso8859_1),
        ("iso-8859-9", Self::Iso8859_9),
        ("iso-8859-15", Self::Iso8859_15),
        ("windows-1252", Self::Windows1252),
    ];

    /// Returns the encoding that configuration calls so.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, encoding)| encoding)
    }

    /// Returns the name that configuration has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ascii => "ascii",
            Self::Utf8 => "utf-8",
            Self::Iso8859_1 => "iso-8859-1",
            Self::Iso8859_9 => "iso-8859-9",
            Self::Iso8859_15 => "iso-8859-15",
            Self::Windows1252 => "windows-1252",
        }
    }

    /// Whether all of `bytes` can be decoded.
    pub fn validate(self, bytes: &[u8]) -> bool {
        if bytes.is_ascii() {
            return true;
        }
        match self {
            Self::Ascii => false,
            Self::Utf8 => std::str::from_utf8(bytes).is_ok(),
            Self::Iso8859_1 | Self::Iso8859_9 | Self::Iso8859_15 => true,
            Self::Windows1252 => !bytes.iter().any(|byte| UNASSIGNED_1252.contains(byte)),
        }
    }

    /// Returns the text of `bytes`; borrowed where the bytes are UTF-8 already. Undecodable bytes become U+FFFD.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        if let Ok(text) = std::str::from_utf8(bytes)
            && (bytes.is_ascii() || self == Self::Utf8)
        {
            return Cow::Borrowed(text);
        }
        match self {
            Self::Ascii | Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Iso8859_1 => Cow::Owned(latin(bytes, &[])),
            Self::Iso8859_9 => Cow::Owned(latin(bytes, &LATIN_5)),
            Self::Iso8859_15 => Cow::Owned(latin(bytes, &LATIN_9)),
            Self::Windows1252 => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
        }
    }

    /// Returns `text` in this encoding, or the first character that the encoding lacks.
    ///
    /// # Errors
    /// That character.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, char> {
        match self {
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Ascii => text.chars().map(|c| if c.is_ascii() { Ok(c as u8) } else { Err(c) }).collect(),
            Self::Iso8859_1 => text.chars().map(|c| to_latin(c, &[])).collect(),
            Self::Iso8859_9 => text.chars().map(|c| to_latin(c, &LATIN_5)).collect(),
            Self::Iso8859_15 => text.chars().map(|c| to_latin(c, &LATIN_9)).collect(),
            Self::Windows1252 => text.chars().map(to_windows_1252).collect(),
        }
    }
}

fn latin(bytes: &[u8], exchanged: &[(u8, char)]) -> String {
    let decode = |&byte: &u8| {
        let exchange = exchanged.iter().find(|(from, _)| *from == byte);
        exchange.map_or(char::from(byte), |(_, to)| *to)
    };
    bytes.iter().map(decode).collect()
}

fn to_latin(c: char, exchanged: &[(u8, char)]) -> Result<u8, char> {
    if let Some((byte, _)) = exchanged.iter().find(|(_, to)| *to == c) {
        return Ok(*byte);
    }
    match u8::try_from(u32::from(c)) {
        Ok(byte) if !exchanged.iter().any(|(from, _)| *from == byte) => Ok(byte),
        _ => Err(c),
    }
}

fn to_windows_1252(c: char) -> Result<u8, char> {
    let mut utf8 = [0_u8; 4];
    let (encoded, _, unmappable) = encoding_rs::WINDOWS_1252.encode(c.encode_utf8(&mut utf8));
    match *encoded {
        [byte] if !unmappable && !UNASSIGNED_1252.contains(&byte) => Ok(byte),
        _ => Err(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_reads_its_own_bytes() {
        let cases = [
            (Encoding::Iso8859_1, &b"M\xFCller \xA4"[..], "Müller ¤"),
            (Encoding::Iso8859_9, b"\xDEim\xFEek", "Şimşek"),
            (Encoding::Iso8859_15, b"\xA4 \xBDuvre", "€ œuvre"),
            (Encoding::Windows1252, b"\x80 \x8Aebek", "€ Šebek"),
            (Encoding::Utf8, "Jörg".as_bytes(), "Jörg"),
        ];
        for (encoding, bytes, text) in cases {
            assert!(encoding.validate(bytes), "{encoding:?}");
            assert_eq!(encoding.decode(bytes), text, "{encoding:?}");
            assert_eq!(encoding.encode(text).as_deref(), Ok(bytes), "{encoding:?}");
        }
    }

    #[test]
    fn each_encoding_has_its_name() {
        for (name, encoding) in Encoding::NAMES {
            assert_eq!((encoding.name(), Encoding::by_name(name)), (name, Some(encoding)));
        }
        assert_eq!(Encoding::by_name("latin-1"), None);
    }

    #[test]
    fn undecodable_bytes_are_told() {
        assert!(!Encoding::Ascii.validate(b"M\xFCller"));
        assert!(!Encoding::Utf8.validate(b"M\xFCller"));
        assert!(!Encoding::Windows1252.validate(b"\x81"));
        assert_eq!(Encoding::Iso8859_15.encode("¤"), Err('¤'));
    }
}
