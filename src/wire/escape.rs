//! Raw bytes as text for people.

use std::fmt::Write as _;

/// Escapes raw bytes. UTF-8 stays; control characters, the backslash and whatever is not UTF-8 become `\xNN`, byte by byte,
/// so that the bytes can be recovered.
pub fn escape(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' || character.is_control() {
                escape_bytes(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(character);
            }
        }
        escape_bytes(&mut text, chunk.invalid());
    }
    text
}

fn escape_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_can_be_had_back() {
        assert_eq!(escape("Müller|\\\0\n".as_bytes()), "Müller|\\x5c\\x00\\x0a");
        assert_eq!(escape(b"M\xFCller"), "M\\xfcller");
    }
}
