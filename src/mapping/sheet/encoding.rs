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

/// Returns where a byte stands that cannot stand there in Windows-1252: a sign between letters, or a capital before a small
/// letter in the middle of a word. In the code pages 437 and 850 `ü` is 0x81, `ä` 0x84, `ö` 0x94; on the Macintosh `ü` is 0x9f.
fn other_code_page(file: &[u8]) -> Option<usize> {
    const UNASSIGNED: [u8; 5] = [0x81, 0x8d, 0x8f, 0x90, 0x9d];
    /// No apostrophes and dashes: names have these.
    const SIGNS: [u8; 14] = [0x82, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8b, 0x94, 0x95, 0x98, 0x99, 0x9b, 0xa7];
    const CAPITALS: [u8; 4] = [0x8a, 0x8c, 0x8e, 0x9f];
    let found = |(at, byte): &(usize, &u8)| {
        let before = || at.checked_sub(1).and_then(|at| file.get(at)).is_some_and(u8::is_ascii_alphabetic);
        let after = file.get(at + 1);
        UNASSIGNED.contains(byte)
            || (SIGNS.contains(byte) && before() && after.is_some_and(u8::is_ascii_alphabetic))
            || (CAPITALS.contains(byte) && before() && after.is_some_and(u8::is_ascii_lowercase))
    };
    file.iter().enumerate().find(found).map(|(at, _)| at)
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
    }

    #[test]
    fn what_would_be_read_wrongly_is_refused_with_its_line_and_the_remedy() {
        let cases: [(&[u8], u64, &str); 15] = [
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
