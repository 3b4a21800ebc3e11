//! Why a store cannot be read, by what has to be done.
//!
//! Only damage sets a store aside. Data of a newer version prevents the start: an image that was rolled back must not destroy
//! what it cannot read. A full or failing disk, or another program that has the file, says nothing about the content: the
//! file stays where it is.

use crate::contract::saved::SavedError;
use crate::journal::row::RowError;
use crate::journal::store::StoreError;

/// Why a store cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// What is there is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// It is what was written, but by a newer version.
    #[error("{0}")]
    Newer(String),
    /// Unknown: the disk is full, busy or failing.
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

impl From<SavedError> for Unread {
    fn from(error: SavedError) -> Self {
        let why = error.to_string();
        if error.is_newer() { Self::Newer(why) } else { Self::Damaged(why) }
    }
}

#[cfg(test)]
#[path = "unread_tests.rs"]
mod tests;
