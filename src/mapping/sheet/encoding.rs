//! The text of a file that a spreadsheet program has written, told by its bytes.
//!
//! UTF-8 with or without a byte order mark, UTF-16 with one ("Unicode text"), and otherwise Windows-1252, which is what Excel
//! writes in Western Europe. A wrong guess would change names without a word, so that what is probably none of these is
//! refused: code pages of MS-DOS and of the Macintosh, UTF-16 without a mark, two encodings in one file, and workbooks.

use std::borrow::Cow;

use super::RowProblem;

/// What Excel calls the format that can hold every letter.
const REMEDY: &str = "save the sheet as \"CSV UTF-8 (comma delimited)\"";

/// The text of a file.
pub(super) struct Text<'f> {
    pub(super) text: Cow<'f, str>,
    /// Whether the encoding has every letter; where it lacks one, a spreadsheet program writes `?`.
    pub(super) has_every_letter: bool,
}

/// Returns the text of `file`, without its byte order mark.
///
/// # Errors
/// Why it cannot be told, or read.
pub(super) fn text(file: &[u8]) -> Result<Text<'_>, RowProblem> {
    let unicode = |text| Ok(Text { text, has_every_letter: true });
    if let Some(kind) = workbook(file) {
        return Err(problem(1, format!("this is {kind}, not a list: {REMEDY}")));
    }
    match file {
        [0xef, 0xbb, 0xbf, rest @ ..] => match std::str::from_utf8(rest) {
            Ok(text) => unicode(Cow::Borrowed(text)),
            Err(error) => {
                let message =
                    format!("expected UTF-8, as at the beginning of the file, found another encoding: {REMEDY}");
                Err(problem(line_of(rest, error.valid_up_to()), message))
            }
        },
        [0xff, 0xfe, rest @ ..] => utf_16(encoding_rs::UTF_16LE, rest).and_then(unicode),
        [0xfe, 0xff, rest @ ..] => utf_16(encoding_rs::UTF_16BE, rest).and_then(unicode),
        [0, _, ..] | [_, 0, ..] => Err(problem(1, format!("UTF-16 without a byte order mark: {REMEDY}"))),
        _ => match std::str::from_utf8(file) {
            Ok(text) => Ok(Text { text: Cow::Borrowed(text), has_every_letter: !text.is_ascii() }),
            Err(error) => windows_1252(file, error.valid_up_to()),
        },
    }
}

fn problem(line: u64, message: String) -> RowProblem {
    RowProblem { line, message, content: None }
}

/// What a file is that is no text at all.
fn workbook(file: &[u8]) -> Option<&'static str> {
    match file {
        [b'P', b'K', 3, 4, ..] => Some("a workbook (.xlsx or .ods)"),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Some("a workbook of an older Excel (.xls)"),
        [b'<', ..] | [0xef, 0xbb, 0xbf, b'<', ..] => Some("a page or an XML spreadsheet"),
        _ => None,
    }
}

fn utf_16<'f>(encoding: &'static encoding_rs::Encoding, bytes: &'f [u8]) -> Result<Cow<'f, str>, RowProblem> {
    encoding.decode_without_bom_handling_and_without_replacement(bytes).ok_or_else(|| {
        problem(1, format!("expected UTF-16, as at the beginning of the file, found something else: {REMEDY}"))
    })
}

/// What is not UTF-8, from the byte `first` on.
fn windows_1252(file: &[u8], first: usize) -> Result<Text<'_>, RowProblem> {
    let line = |at| line_of(file, at);
    if file.get(..first).is_some_and(|before| !before.is_ascii()) || has_utf_8(file) {
        return Err(problem(
            line(first),
            format!("expected UTF-8, as in other lines, found another encoding: {REMEDY}"),
        ));
    }
    if !file.contains(&b'\n') && file.contains(&b'\r') {
        return Err(problem(line(first), format!("the encoding of \"CSV (Macintosh)\" cannot be told: {REMEDY}")));
    }
    if let Some(at) = other_code_page(file) {
        let message = format!("not Windows-1252, but probably a code page of MS-DOS or the Macintosh: {REMEDY}");
        return Err(problem(line(at), message));
    }
    let text = encoding_rs::WINDOWS_1252.decode_without_bom_handling(file).0;
    Ok(Text { text, has_every_letter: false })
}

/// Whether any letter is written in UTF-8: two such bytes in a row would be no word in Windows-1252 (`Ã¼`).
fn has_utf_8(file: &[u8]) -> bool {
    let mut rest = file;
    while let Some(start) = rest.iter().position(|byte| !byte.is_ascii()) {
        let word = &rest[start..];
        let end = word.iter().position(u8::is_ascii).unwrap_or(word.len());
        if end > 1 && std::str::from_utf8(&word[..end]).is_ok() {
            return true;
        }
        rest = &word[end..];
    }
    false
}

/// Letters of code page 850, of which 437 has the same in these places, that occur in Western European names.
const MS_DOS: &[u8] =
    b"\x80\x81\x82\x83\x84\x85\x87\x88\x89\x8a\x8b\x8c\x8e\x90\x93\x94\x96\x97\x99\x9a\xa0\xa1\xa2\xa3\xa4\xe1";
/// The same of the Macintosh.
const MACINTOSH: &[u8] =
    b"\x80\x83\x85\x86\x87\x88\x89\x8a\x8d\x8e\x8f\x90\x91\x92\x96\x97\x99\x9a\x9c\x9d\x9e\x9f\xa7";

/// Returns where a byte stands that hardly stands there in Windows-1252. In the code pages 437 and 850 `ü` is 0x81, `ä` 0x84,
/// `ö` 0x94, `ß` 0xe1; on the Macintosh they are 0x9f, 0x8a, 0x9a and 0xa7.
fn other_code_page(file: &[u8]) -> Option<usize> {
    let reads_as = |page: &[u8]| file.iter().all(|byte| byte.is_ascii() || page.contains(byte));
    let (ms_dos, macintosh) = (reads_as(MS_DOS), reads_as(MACINTOSH));
    let is_wrong = |(at, byte): &(usize, &u8)| {
        let before = at.checked_sub(1).and_then(|at| file.get(at)).copied().unwrap_or(b' ');
        let after = file.get(at + 1).copied().unwrap_or(b' ');
        is_impossible(before, **byte, after)
            || (ms_dos && is_rather_ms_dos(before, **byte, after))
            || (macintosh && is_rather_macintosh(before, **byte, after))
    };
    file.iter().enumerate().find(is_wrong).map(|(at, _)| at)
}

/// Whether Windows-1252 has no such letter, or has a sign there where no word has one, or a capital within a word.
const fn is_impossible(before: u8, byte: u8, after: u8) -> bool {
    let (is_after_letter, is_before_letter) = (before.is_ascii_alphabetic(), after.is_ascii_alphabetic());
    match byte {
        0x81 | 0x8d | 0x8f | 0x90 | 0x9d => true,
        // Opening quotes, accents that stand alone, per mille: nowhere behind a letter.
        0x82 | 0x84 | 0x88 | 0x89 | 0x8b | 0x98 => is_after_letter,
        // No apostrophes and dashes: names have these.
        0x86 | 0x87 | 0x94 | 0x95 | 0x9b | 0xa1..=0xa5 => is_after_letter && is_before_letter,
        // Three dots, a trade mark, a paragraph: not in a word, and not at its beginning or, the last, its end.
        0x85 | 0x99 => is_before_letter && (is_after_letter || after.is_ascii_lowercase()),
        0xa7 => is_after_letter && !after.is_ascii_digit(),
        0x8a | 0x8c | 0x8e | 0x9f => {
            (is_after_letter && after.is_ascii_lowercase()) || (before.is_ascii_lowercase() && !is_before_letter)
        }
        _ => false,
    }
}

/// Whether a byte that Windows-1252 has a letter for is rather one of MS-DOS, in a file in which all others may be: an `Ü`, `Ä` or
/// `ß` instead of an `š`, `Ž` or `á`.
fn is_rather_ms_dos(before: u8, byte: u8, after: u8) -> bool {
    let is_vowel = |letter: u8| matches!(letter.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u');
    match byte {
        0x9a => !before.is_ascii_alphabetic() && after.is_ascii_lowercase(),
        0x8e => !before.is_ascii_alphabetic() && after.is_ascii_lowercase() && !is_vowel(after),
        0xe1 => is_vowel(before) && (is_vowel(after) || !after.is_ascii_alphabetic()),
        _ => false,
    }
}

/// The same for the Macintosh: an `ö` instead of an `š` in a word, and an `Ä`, `Ö` or `Ü` instead of a sign before it.
const fn is_rather_macintosh(before: u8, byte: u8, after: u8) -> bool {
    match byte {
        // Names end with the one, and hardly with the other.
        0x9a => before.is_ascii_alphabetic() && after.is_ascii_alphabetic(),
        0x80 | 0x86 => !before.is_ascii_alphabetic() && after.is_ascii_alphabetic(),
        _ => false,
    }
}

/// Returns the line, from 1, of a byte.
fn line_of(file: &[u8], at: usize) -> u64 {
    super::lines::Lines::of(file).line_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spreadsheet_programs_write_is_read() {
        let written = "Müller;Şahin\r\n";
        let utf_16 = |order: fn(u16) -> [u8; 2], mark: [u8; 2]| {
            [mark.to_vec(), written.encode_utf16().flat_map(order).collect()].concat()
        };
        let cases = [
            written.as_bytes().to_vec(),
            ["\u{feff}".as_bytes(), written.as_bytes()].concat(),
            utf_16(u16::to_le_bytes, [0xff, 0xfe]),
            utf_16(u16::to_be_bytes, [0xfe, 0xff]),
        ];
        for file in cases {
            let read = text(&file).unwrap();
            assert_eq!((&*read.text, read.has_every_letter), (written, true), "{file:x?}");
        }
        let latin = text(b"M\xfcller;O\x92Hara \x96 \x80;\x8aimon;?ahin\r\n").unwrap();
        assert_eq!((&*latin.text, latin.has_every_letter), ("Müller;O’Hara – €;Šimon;?ahin\r\n", false));
        assert!(text(b"").unwrap().text.is_empty());
        // Rare letters and signs, where they stand in Windows-1252.
        for (file, expected) in [
            (&b"M\xfcller;Ale\x9a;\x9eeljko;K\x9c"[..], "Müller;Aleš;željko;Kœ"),
            (b"Milo\x9a;O\x92Hara", "Miloš;O’Hara"),
            (b"Kasse 5 \x80;50\x80 \x96 BR\xa737", "Kasse 5 €;50€ – BR§37"),
            (b"S\xe1nchez;Juli\xe1n;Bogot\xe1", "Sánchez;Julián;Bogotá"),
            (b"\x84Team A\x93 \x85;5 \x80;\xa7 7;\x8eupan;\x8amid", "„Team A“ …;5 €;§ 7;Župan;Šmid"),
        ] {
            assert_eq!(text(file).unwrap().text, expected);
        }
    }

    #[test]
    fn what_would_be_read_wrongly_is_refused_with_its_line_and_the_remedy() {
        let cases: [(&[u8], u64, &str); 23] = [
            (b"PK\x03\x04...", 1, "a workbook (.xlsx or .ods)"),
            (b"\xd0\xcf\x11\xe0...", 1, "older Excel"),
            (b"<html>", 1, "a page"),
            (b"\xef\xbb\xbfa\nM\xfcller\n", 2, "expected UTF-8, as at the beginning"),
            (b"\xff\xfea\0\n\0b", 1, "expected UTF-16"),
            (b"a\0b\0", 1, "UTF-16 without a byte order mark"),
            (b"\0a\0b", 1, "UTF-16 without a byte order mark"),
            ("Müller\nSch\u{1}fer\n".as_bytes(), 0, ""),
            (b"M\xc3\xbcller\r\nSch\xe4fer\r\n", 2, "as in other lines"),
            (b"Sch\xe4fer\r\nM\xc3\xbcller\r\n", 1, "as in other lines"),
            (b"a\rM\x9fller\r", 2, "Macintosh"),
            (b"a\r\nM\x81ller\r\n", 2, "MS-DOS"),
            (b"a\r\nb\r\nSch\x84fer\r\n", 3, "MS-DOS"),
            (b"a\r\nJ\x94rg\r\n", 2, "MS-DOS"),
            (b"a\nM\x9fller\n", 2, "Macintosh"),
            // Few letters, each of which Windows-1252 has a sign or a letter for.
            (b"a\nStra\xe1e\n", 2, "MS-DOS"),
            (b"a\nWei\xe1;1\n", 2, "MS-DOS"),
            (b"a\n\x9anal;1\n", 2, "MS-DOS"),
            (b"a\n\x99zdemir;1\n", 2, "MS-DOS"),
            (b"a\nRen\x82;1\n", 2, "MS-DOS"),
            (b"a\nJ\x9arg;1\n", 2, "Macintosh"),
            (b"a\nRen\x8e;1\n", 2, "Macintosh"),
            (b"a\nWei\xa7;1\n", 2, "Macintosh"),
        ];
        for (file, line, expected) in cases {
            match text(file) {
                Ok(_) => assert_eq!(line, 0, "{file:x?}"),
                Err(problem) => {
                    assert_eq!(problem.line, line, "{problem}");
                    assert!(problem.message.contains(expected) && problem.message.ends_with(REMEDY), "{problem}");
                }
            }
        }
    }
}
