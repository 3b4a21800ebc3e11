//! Text of a record that stays bytes until somebody needs it.

use std::borrow::Cow;

use super::encoding::Encoding;

/// A field that stays as it was received until somebody needs its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawText<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) encoding: Encoding,
    /// The quote that stands doubled inside, where one does.
    pub(super) doubled: Option<u8>,
}

impl<'a> RawText<'a> {
    /// The text; borrowed where the bytes are UTF-8 and hold no doubled quote.
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
