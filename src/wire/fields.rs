//! The nom parsers of fields and of the values in them.
//!
//! All work on one frame, so `complete` parsers suffice. Fields are a few bytes long: a loop over bytes beats memchr there.

use std::time::Duration;

use nom::bytes::complete::{tag, take, take_while};
use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Parser};

use super::reason::Reason;
use super::states::Direction;

/// nom's error type here: the reason, or the plain fact that a parser did not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    Reason(Reason),
    Kind,
}

impl ParseError<&[u8]> for Mismatch {
    fn from_error_kind(_: &[u8], _: ErrorKind) -> Self {
        Self::Kind
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// What a parser of this module returns.
pub(super) type Parsed<'a, T> = IResult<&'a [u8], T, Mismatch>;

/// One field, without the blanks around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// Without quotes.
    pub(super) bytes: &'a [u8],
    /// A quote is doubled inside.
    pub(super) doubled: bool,
}

impl<'a> Field<'a> {
    pub(super) const fn plain(bytes: &'a [u8]) -> Self {
        Self { bytes, doubled: false }
    }
}

#[inline]
pub(super) const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn failure<'a, T>(reason: Reason) -> Parsed<'a, T> {
    Err(nom::Err::Failure(Mismatch::Reason(reason)))
}

/// Parses blanks, except those that separate.
#[inline]
fn blanks(separator: Option<u8>) -> impl Fn(&[u8]) -> Parsed<'_, &[u8]> {
    move |input| take_while(|byte| is_blank(byte) && Some(byte) != separator).parse(input)
}

/// Returns the length of the field at the front of `input`: up to the first byte that is one of `ends`, or all of it.
///
/// Eight bytes at a time: fields are short and of any length, so that a loop over bytes would end in a mispredicted branch
/// for nearly every one.
#[inline]
fn field_length<const N: usize>(input: &[u8], ends: [u8; N]) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut length = 0;
    let mut rest = input;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        // A byte of `found` has its high bit set where the word has an end; the lowest one is exact.
        let found = ends.iter().fold(0, |found, end| {
            let zeroed = word ^ (LOW * u64::from(*end));
            found | (zeroed.wrapping_sub(LOW) & !zeroed & HIGH)
        });
        if found != 0 {
            return length + found.trailing_zeros() as usize / 8;
        }
        length += 8;
        rest = after;
    }
    length + rest.iter().position(|byte| ends.contains(byte)).unwrap_or(rest.len())
}

/// Parses a field up to `separator`, which is not consumed, or to the end.
#[inline]
pub(super) fn separated(separator: u8, quote: Option<u8>) -> impl Fn(&[u8]) -> Parsed<'_, Field<'_>> {
    move |input| {
        let (input, _) = blanks(Some(separator))(input)?;
        if let Some(quote) = quote
            && input.first() == Some(&quote)
        {
            let (rest, field) = quoted(quote)(input)?;
            let (rest, _) = blanks(Some(separator))(rest)?;
            return match rest.first() {
                Some(&byte) if byte != separator => failure(Reason::BadQuote),
                _ => Ok((rest, field)),
            };
        }
        let (rest, bytes) = take(field_length(input, [separator])).parse(input)?;
        Ok((rest, Field::plain(trim_end(bytes))))
    }
}

/// Parses a field up to a blank or the end.
#[inline]
pub(super) fn blank_separated(quote: Option<u8>) -> impl Fn(&[u8]) -> Parsed<'_, Field<'_>> {
    move |input| {
        if let Some(quote) = quote
            && input.first() == Some(&quote)
        {
            let (rest, field) = quoted(quote)(input)?;
            return match rest.first() {
                Some(&byte) if !is_blank(byte) => failure(Reason::BadQuote),
                _ => Ok((rest, field)),
            };
        }
        let (rest, bytes) = take(field_length(input, [b' ', b'\t'])).parse(input)?;
        Ok((rest, Field::plain(bytes)))
    }
}

/// Parses a quoted field; two quotes inside are one.
fn quoted(quote: u8) -> impl Fn(&[u8]) -> Parsed<'_, Field<'_>> {
    move |input| {
        let (body, _) = tag(&[quote][..]).parse(input)?;
        let mut end = 0;
        let mut doubled = false;
        loop {
            match (body.get(end), body.get(end + 1)) {
                (None, _) => return failure(Reason::BadQuote),
                (Some(byte), Some(next)) if *byte == quote && *next == quote => {
                    doubled = true;
                    end += 2;
                }
                (Some(byte), _) if *byte == quote => break,
                _ => end += 1,
            }
        }
        Ok((&body[end + 1..], Field { bytes: &body[..end], doubled }))
    }
}

#[inline]
pub(super) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [front @ .., b' ' | b'\t'] = bytes {
        bytes = front;
    }
    bytes
}

#[inline]
pub(super) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', back @ ..] = bytes {
        bytes = back;
    }
    bytes
}

#[inline]
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

/// Parses a whole field of decimal digits.
#[inline]
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 19 {
        return None;
    }
    let digit = |value: u64, byte: &u8| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0'));
    bytes.iter().try_fold(0, digit)
}

/// Parses s, mm:ss or hh:mm:ss, at most 136 years: nobody spends longer in a state. Leading parts that reports leave out are
/// zero (`:45`, `::45`), and so are blanks that fill them, as in a quoted field.
pub(super) fn duration(bytes: &[u8]) -> Option<Duration> {
    let mut parts = [0_u64; 3];
    let mut count = 0;
    let mut has_digits = false;
    for part in trim(bytes).split(|byte| *byte == b':') {
        let place = parts.get_mut(count)?;
        if has_digits || !part.is_empty() {
            *place = number(part).filter(|value| *value <= u64::from(u32::MAX))?;
            has_digits = true;
        }
        count += 1;
    }
    if !has_digits {
        return None;
    }
    let below_sixty = parts.get(1..count)?.iter().all(|part| *part < 60);
    let seconds = parts[..count].iter().fold(0, |seconds, part| seconds * 60 + part);
    (below_sixty && seconds <= u64::from(u32::MAX)).then(|| Duration::from_secs(seconds))
}

/// Parses in, out, none, 0, 1, 2 in any case.
pub(super) fn direction(bytes: &[u8]) -> Option<Direction> {
    let spellings = [
        (&b"none"[..], Direction::None),
        (b"0", Direction::None),
        (b"out", Direction::Out),
        (b"1", Direction::Out),
        (b"in", Direction::In),
        (b"2", Direction::In),
    ];
    spellings.into_iter().find(|(spelling, _)| bytes.eq_ignore_ascii_case(spelling)).map(|(_, direction)| direction)
}

/// Parses 1, 0, Y, N in any case.
pub(super) fn yes_or_no(bytes: &[u8]) -> Option<bool> {
    match bytes {
        b"1" | b"Y" | b"y" => Some(true),
        b"0" | b"N" | b"n" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_have_colons() {
        let cases = [
            ("0", Some(0)),
            ("75", Some(75)),
            ("1:15", Some(75)),
            ("01:00:05", Some(3_605)),
            ("100:00:00", Some(360_000)),
            ("1:60", None),
            (":45", Some(45)),
            (":5", Some(5)),
            ("::45", Some(45)),
            (":01:05", Some(65)),
            ("  :45", Some(45)),
            (" 1:05 ", Some(65)),
            (":60", None),
            ("1:", None),
            (":", None),
            ("::", None),
            ("1::05", None),
            ("0::05", None),
            (":::45", None),
            ("1: 5", None),
            ("1.5", None),
            ("  ", None),
            ("1:2:3:4", None),
            ("-5", None),
            ("", None),
            ("99999999999", None),
            ("4294967295", Some(4_294_967_295)),
            ("4294967295:00:00", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(duration(text.as_bytes()), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn quotes_hold_separators_and_doubled_quotes() {
        let parse = separated(b',', Some(b'"'));
        let cases = [
            (r#" "a,b" ,c"#, r"a,b", ",c", false),
            (r#""a""b","#, r#"a""b"#, ",", true),
            ("  plain  ,x", "plain", ",x", false),
            ("", "", "", false),
        ];
        for (input, bytes, rest, doubled) in cases {
            let (left, field) = parse(input.as_bytes()).unwrap();
            assert_eq!((field.bytes, left, field.doubled), (bytes.as_bytes(), rest.as_bytes(), doubled), "{input}");
        }
        for broken in [r#""a"#, r#""a"b,"#] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
