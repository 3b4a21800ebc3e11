//! How text is encoded.
//!
//! UTF-8 cannot be mistaken. Of the single-byte encodings, Windows-1252 alone has letters and marks from 0x80 to 0x9f; the
//! others differ in a few letters each, so that what stands beside letters decides.

use crate::wire::encoding::Encoding;

use super::class::Class;
use super::finding::{Finding, percent};

/// Latin 5 has Turkish letters here, and Latin 1 those of Iceland.
const TURKISH: [u8; 6] = [0xD0, 0xDD, 0xDE, 0xF0, 0xFD, 0xFE];

/// Latin 9 has letters here, and Latin 1 signs that do not stand within words.
const LATIN_9: [u8; 7] = [0xA6, 0xA8, 0xB4, 0xB8, 0xBC, 0xBD, 0xBE];

/// Windows-1252 has nothing here.
const UNASSIGNED: [u8; 5] = [0x81, 0x8D, 0x8F, 0x90, 0x9D];

/// Finds it; `lines` are without their ends.
pub(super) fn find<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Finding<Encoding> {
    let lines: Vec<&[u8]> = lines.filter(|line| !line.is_ascii()).collect();
    if lines.is_empty() {
        let evidence = "every byte is ASCII: as good as any other until a letter says more";
        return Finding::sure(Encoding::Utf8, 0.6, evidence);
    }
    let valid = lines.iter().filter(|line| std::str::from_utf8(line).is_ok()).count();
    if valid * 100 >= lines.len() * 95 {
        let evidence =
            format!("{} of the {} lines beyond ASCII are valid UTF-8", percent(valid, lines.len()), lines.len());
        return Finding::sure(Encoding::Utf8, 0.99, evidence);
    }
    let count =
        |wanted: &dyn Fn(u8) -> bool| lines.iter().flat_map(|line| line.iter()).filter(|byte| wanted(**byte)).count();
    let windows = count(&|byte| (0x80..=0x9f).contains(&byte) && !UNASSIGNED.contains(&byte));
    let unassigned = count(&|byte| UNASSIGNED.contains(&byte));
    if windows > 0 && unassigned == 0 {
        let evidence = format!("no UTF-8, and {windows} bytes from 0x80 to 0x9f, where only Windows-1252 has letters");
        return Finding::sure(Encoding::Windows1252, 0.95, evidence);
    }
    let turkish = lines.iter().map(|line| within_words(line, &TURKISH)).sum::<usize>();
    let latin_9 = lines.iter().map(|line| within_words(line, &LATIN_9)).sum::<usize>();
    let euro = count(&|byte| byte == 0xA4);
    let (encoding, confidence, evidence) = if latin_9 > 0 && latin_9 >= turkish {
        (
            Encoding::Iso8859_15,
            0.85,
            format!("no UTF-8, and {latin_9} bytes within words that are letters in Latin 9 only"),
        )
    } else if turkish > 0 {
        (
            Encoding::Iso8859_9,
            0.8,
            format!("no UTF-8, and {turkish} bytes within words that are Turkish letters in Latin 5"),
        )
    } else if euro > 0 {
        (Encoding::Iso8859_15, 0.6, format!("no UTF-8, and {euro} times 0xa4, the euro sign of Latin 9"))
    } else {
        let evidence = "no UTF-8, and every letter is the same in ISO 8859-1, 8859-15 and Windows-1252";
        (Encoding::Iso8859_1, 0.7, evidence.to_owned())
    };
    Finding::sure(encoding, confidence, evidence)
}

/// Counts those of `bytes` that have a letter on either side, or begin or end a word.
fn within_words(line: &[u8], bytes: &[u8]) -> usize {
    let is_letter = |at: Option<&u8>| at.is_some_and(|byte| Class::of(*byte) == Class::Letter);
    let is_within = |(at, byte): &(usize, &u8)| {
        bytes.contains(byte)
            && (is_letter(at.checked_sub(1).and_then(|before| line.get(before))) || is_letter(line.get(at + 1)))
    };
    line.iter().enumerate().filter(is_within).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_by_what_only_they_have() {
        let cases: [(&[u8], Encoding); 6] = [
            (b"Mueller", Encoding::Utf8),
            ("Müller".as_bytes(), Encoding::Utf8),
            (b"M\xFCller", Encoding::Iso8859_1),
            (b"\xDEim\xFEek", Encoding::Iso8859_9),
            (b"Tom\xE1\xA8", Encoding::Iso8859_15),
            (b"\x8Aebek", Encoding::Windows1252),
        ];
        for (line, encoding) in cases {
            assert_eq!(find([line].into_iter()).value, encoding, "{line:x?}");
        }
    }
}
