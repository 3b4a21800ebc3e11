//! The checksum of a row: CRC-32 over its columns, keys included, so that no bit of it can change unseen.

/// Collects columns in their order.
#[derive(Default)]
pub(super) struct Checksum(crc32fast::Hasher);

impl Checksum {
    /// Adds a number; absent ones are -1, which no column holds.
    pub(super) fn number(mut self, number: impl Into<Option<i64>>) -> Self {
        self.0.update(&number.into().unwrap_or(-1).to_le_bytes());
        self
    }

    /// Adds text or a blob, with its length, so that neighbours cannot exchange bytes.
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let mut this = self.number(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        this.0.update(bytes);
        this
    }

    /// Returns it as the column `checksum` has it.
    pub(super) fn finish(self) -> i64 {
        i64::from(self.0.finalize())
    }
}
