//! A site's own words: what the texts of a column stand for.
//!
//! A text is looked up as it is, including case; a lookup costs one hash and no allocation for ASCII.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::text::RawText;

/// Words and what each stands for.
#[derive(Clone, Debug)]
pub struct Words<T> {
    meanings: HashMap<Box<[u8]>, T, FixedState>,
    /// In the order of definition, for code that spells words instead of reading them.
    listed: Vec<(String, T)>,
}

/// Words with the same rows are equal: the meanings are derived from them.
impl<T: PartialEq> PartialEq for Words<T> {
    fn eq(&self, other: &Self) -> bool {
        self.listed == other.listed
    }
}

impl<T: Eq> Eq for Words<T> {}

impl<T> Default for Words<T> {
    fn default() -> Self {
        Self { meanings: HashMap::default(), listed: Vec::new() }
    }
}

impl<T: Copy> Words<T> {
    /// Creates them from rows of a word and its meaning; of two rows with one word the later wins.
    pub fn new(rows: impl IntoIterator<Item = (String, T)>) -> Self {
        let listed: Vec<_> = rows.into_iter().collect();
        let meanings = listed.iter().map(|(word, meaning)| (word.as_bytes().into(), *meaning)).collect();
        Self { meanings, listed }
    }

    /// Returns what `word`, in UTF-8, stands for.
    #[inline]
    pub fn lookup(&self, word: &[u8]) -> Option<T> {
        self.meanings.get(word).copied()
    }

    /// Does the same for a field.
    #[inline]
    pub(super) fn meaning(&self, field: RawText<'_>) -> Option<T> {
        if self.listed.is_empty() {
            return None;
        }
        if field.doubled.is_none() && field.bytes.is_ascii() {
            return self.lookup(field.bytes);
        }
        self.lookup(field.text().as_bytes())
    }

    /// Every row, in the order of definition.
    pub fn rows(&self) -> &[(String, T)] {
        &self.listed
    }
}
