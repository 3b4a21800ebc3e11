//! Line numbers by the bytes of a file, whatever its line ends: in a file with CRLF the CSV reader puts a row one line too early.

/// Counts the lines of a text; places must be asked for in order.
pub struct Lines<'f> {
    file: &'f [u8],
    /// How many bytes have been read, and how many lines have ended in them.
    seen: usize,
    ended: u64,
}

impl<'f> Lines<'f> {
    /// Begins with the first line of a text.
    pub const fn of(file: &'f [u8]) -> Self {
        Self { file, seen: 0, ended: 0 }
    }

    /// Returns the line, from 1, in which the byte `at` stands.
    pub(super) fn line_at(&mut self, at: usize) -> u64 {
        while self.seen < at {
            let is_end = match self.file.get(self.seen..) {
                Some([b'\r', b'\n', ..]) => false,
                Some([b'\r' | b'\n', ..]) => true,
                _ => false,
            };
            self.ended += u64::from(is_end);
            self.seen += 1;
        }
        self.ended + 1
    }

    /// Returns the same for a row that the CSV reader puts at the byte `at`, and where its first line begins. For the reader
    /// the end of the previous row, and empty lines, are part of this one.
    pub fn row_at(&mut self, at: usize) -> (u64, usize) {
        let rest = self.file.get(at..).unwrap_or_default();
        let start = at + rest.iter().take_while(|byte| is_break(**byte)).count();
        (self.line_at(start), start)
    }
}

pub(super) const fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Returns the length of the line that begins a text, without its end.
pub(super) fn length(text: &str) -> usize {
    text.bytes().position(is_break).unwrap_or(text.len())
}
