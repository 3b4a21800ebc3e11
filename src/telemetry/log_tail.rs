//! The last lines of the log, kept in memory: stderr cannot be read back.
//!
//! Only lines at INFO and above are kept: what is below names people. Bounded by lines and bytes; the oldest go first, and are
//! counted. Cost: a copy of each line that is written, and a lock.

use std::collections::VecDeque;
use std::io;

use parking_lot::Mutex;

/// Most lines that are kept.
pub const MOST_LINES: usize = 2_000;
/// Most bytes of them.
pub const MOST_BYTES: usize = 256 * 1024;
/// A longer line is kept up to here.
const LONGEST_LINE: usize = 8 * 1024;

/// The last lines.
#[derive(Debug)]
pub struct LogTail(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    lines: VecDeque<String>,
    bytes: usize,
    earlier: u64,
}

/// What is kept at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastLines {
    /// Lines that were written before these and are not kept any more.
    pub earlier: u64,
    /// In their order.
    pub lines: Vec<String>,
}

impl LogTail {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Kept { lines: VecDeque::new(), bytes: 0, earlier: 0 }))
    }

    /// Returns what is kept now.
    pub fn read(&self) -> LastLines {
        let kept = self.0.lock();
        LastLines { earlier: kept.earlier, lines: kept.lines.iter().cloned().collect() }
    }

    fn keep(&self, line: &str) {
        let mut line = without_colours(line.trim_end_matches('\n'));
        line.truncate(line.floor_char_boundary(LONGEST_LINE));
        let mut kept = self.0.lock();
        kept.bytes += line.len();
        kept.lines.push_back(line);
        while kept.lines.len() > MOST_LINES || kept.bytes > MOST_BYTES {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.len();
            kept.earlier += 1;
        }
    }
}

/// Takes what is written: each call is a line, as lines are formatted before they are written.
impl io::Write for &LogTail {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !line.is_empty() {
            self.keep(&String::from_utf8_lossy(line));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes what a terminal shows as colours.
fn without_colours(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once("\x1b[") {
        kept.push_str(before);
        rest = behind.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';');
        rest = rest.strip_prefix('m').unwrap_or(rest);
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_last_lines_are_kept_within_bounds_and_the_others_counted() {
        let tail = LogTail::new();
        let mut writer = &tail;
        for number in 0..3 * MOST_LINES {
            writer.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        writer.write_all(b"").unwrap();
        let LastLines { earlier, lines } = tail.read();
        assert_eq!((lines.len(), earlier), (MOST_LINES, 2 * MOST_LINES as u64));
        assert_eq!((lines[0].as_str(), lines[MOST_LINES - 1].as_str()), ("line 4000", "line 5999"));
        for _ in 0..100 {
            writer.write_all("ü".repeat(LONGEST_LINE).as_bytes()).unwrap();
        }
        let LastLines { earlier, lines } = tail.read();
        let bytes: usize = lines.iter().map(String::len).sum();
        assert!(bytes <= MOST_BYTES && bytes > MOST_BYTES - 2 * LONGEST_LINE, "{bytes} bytes");
        assert_eq!(earlier as usize + lines.len(), 3 * MOST_LINES + 100);
        println!(
            "{} lines, limits {MOST_LINES} lines and {MOST_BYTES} bytes: {} kept",
            3 * MOST_LINES + 100,
            lines.len()
        );
    }

    #[test]
    fn colours_are_not_kept() {
        let tail = LogTail::new();
        let mut writer = &tail;
        writer.write_all(b"\x1b[2m2026\x1b[0m \x1b[1;32m INFO\x1b[0m a\x1b[3m=\x1b[0mb\n").unwrap();
        assert_eq!(tail.read().lines, ["2026  INFO a=b"]);
    }
}
