//! Kinds of bytes, as far as the shape of a report shows in them.

/// What a byte looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    /// Blank or tab.
    Blank,
    /// `0` to `9`.
    Digit,
    /// A letter, or a part of one outside ASCII.
    Letter,
    /// Anything else.
    Other,
}

impl Class {
    pub(super) const COUNT: usize = 4;

    pub(super) const fn of(byte: u8) -> Self {
        match byte {
            b' ' | b'\t' => Self::Blank,
            b'0'..=b'9' => Self::Digit,
            b'a'..=b'z' | b'A'..=b'Z' | 0x80..=0xff => Self::Letter,
            _ => Self::Other,
        }
    }

    /// Returns the number of the class, from 0.
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// What a whole value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Shape {
    /// Nothing, or a spelling of nothing.
    Null,
    /// Digits only.
    Number,
    /// Digits with `:`, `.`, `-`, `/` or blanks between them.
    Time,
    /// Has letters.
    Text,
    /// Has neither digits nor letters.
    Marks,
}

/// Spellings of nothing in reports. `0` is one of them only where other values show it.
const NULLS: [&str; 12] = ["", "-", "--", "---", "N/A", "n/a", "NULL", "null", "-1", ".", "?", "*"];

/// Whether a report writes this for nothing.
pub(super) fn is_null(value: &[u8]) -> bool {
    NULLS.iter().any(|null| null.as_bytes() == value)
}

/// Whether a report may write this for nothing, zeros included.
pub(super) fn is_null_or_zero(value: &[u8]) -> bool {
    is_null(value) || (!value.is_empty() && value.iter().all(|byte| *byte == b'0'))
}

impl Shape {
    pub(super) fn of(value: &[u8]) -> Self {
        if is_null(value) {
            return Self::Null;
        }
        let has = |class| value.iter().any(|byte| Class::of(*byte) == class);
        match (has(Class::Digit), has(Class::Letter)) {
            (_, true) => Self::Text,
            (true, false) if value.iter().all(u8::is_ascii_digit) => Self::Number,
            (true, false) => Self::Time,
            (false, false) => Self::Marks,
        }
    }
}

/// Returns the digits of `value` as a number.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_shapes() {
        let cases = [
            ("", Shape::Null),
            ("N/A", Shape::Null),
            ("004711", Shape::Number),
            ("00:12", Shape::Time),
            ("05.01.2026 08:00:00", Shape::Time),
            ("M\u{fc}ller, Anna", Shape::Text),
            ("A17", Shape::Text),
            ("--/--", Shape::Marks),
        ];
        for (value, shape) in cases {
            assert_eq!(Shape::of(value.as_bytes()), shape, "{value:?}");
        }
    }
}
