//! Text of a record that stays bytes until it is needed.

use std::borrow::Cow;

use super::encoding::Encoding;

/// A field that stays as received until its text is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawText<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) encoding: Encoding,
    /// The quote that is doubled inside, if any.
    pub(super) doubled: Option<u8>,
}

impl<'a> RawText<'a> {
    /// Returns the text; borrowed where the bytes are UTF-8 and hold no doubled quote.
    pub fn text(self) -> Cow<'a, str> {
        let text = self.encoding.decode(self.bytes);
        match self.doubled {
            None => text,
            Some(quote) => {
                let quote = char::from(quote);
                Cow::Owned(text.replace(&format!("{quote}{quote}"), &quote.to_string()))
            }
        }
    }

    /// Whether the text is `other`.
    pub fn is(self, other: &str) -> bool {
        self.bytes == other.as_bytes() && self.doubled.is_none() && other.is_ascii() || self.text() == other
    }
}
