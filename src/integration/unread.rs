//! Why a store cannot be read, by what has to follow.
//!
//! Only damage sets a store aside. What a newer version has written refuses the start: an image that was rolled back must not
//! destroy what it cannot read. A disk that is full or fails, and another program that has the file, say nothing of what is
//! in it: it stays where it is.

use crate::contract::saved::MemoryError;
use crate::journal::row::RowError;
use crate::journal::store::StoreError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// What is there is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// It is what was written, by a version that knows more.
    #[error("{0}")]
    Newer(String),
    /// Nobody knows: full, busy, failing.
    #[error("{0}")]
    Unknown(StoreError),
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        if error.is_damage() { Self::Damaged(error.detail().to_owned()) } else { Self::Unknown(error) }
    }
}

impl From<RowError> for Unread {
    fn from(error: RowError) -> Self {
        let why = error.to_string();
        if error.is_newer() { Self::Newer(why) } else { Self::Damaged(why) }
    }
}

impl From<MemoryError> for Unread {
    fn from(error: MemoryError) -> Self {
        let why = error.to_string();
        if error.is_newer() { Self::Newer(why) } else { Self::Damaged(why) }
    }
}

#[cfg(test)]
#[path = "unread_tests.rs"]
mod tests;
