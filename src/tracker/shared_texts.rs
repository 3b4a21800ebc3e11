//! Texts that come again and again, such as state codes and splits: each is there once.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;

/// Most texts that are shared. An activity key can have a split: that makes some thousands of keys at a large site. A feed that has
/// more makes new texts, and costs more.
pub(crate) const MOST_SHARED_TEXTS: usize = 16_384;

/// Texts that are shared. It begins anew when there are too many.
#[derive(Debug, Default)]
pub(crate) struct SharedTexts(HashSet<Arc<str>, RandomState>);

impl SharedTexts {
    /// Returns the text, shared with whoever has asked for it before.
    pub(crate) fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        if self.0.len() >= MOST_SHARED_TEXTS {
            self.0.clear();
        }
        let shared: Arc<str> = text.into();
        self.0.insert(Arc::clone(&shared));
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_there_once_and_not_too_many_are_kept() {
        let mut texts = SharedTexts::default();
        let first = texts.get("20");
        assert!(Arc::ptr_eq(&first, &texts.get("20")));
        (0..3 * MOST_SHARED_TEXTS).for_each(|number| assert_eq!(*texts.get(&number.to_string()), *number.to_string()));
        assert!(texts.0.len() <= MOST_SHARED_TEXTS);
    }
}
