//! Where the fields of a frame end: found for the whole frame at once, before any of them is looked at.
//!
//! A feed has many short fields: a search that begins anew for each of them is most of what a record costs. Here every eight
//! bytes give eight bits, and going from a field to the next one is counting zeros.

use super::reason::Reason;

const LOW: u64 = 0x0101_0101_0101_0101;
const SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
/// Moves the lowest bit of each byte to one of the highest eight bits, in their order.
const GATHER: u64 = 0x0102_0408_1020_4080;

/// A bit for each byte of a frame that ends a field, and one for the end of the frame.
#[derive(Debug, Default)]
pub(super) struct Marks {
    words: Vec<u64>,
}

impl Marks {
    /// Marks the bytes of `frame` that are one of `ends`, and its end. Returns whether all of it is ASCII.
    ///
    /// # Errors
    /// [`Reason::NulByte`] where there is one.
    #[inline]
    pub(super) fn mark<const N: usize>(&mut self, frame: &[u8], ends: [u8; N]) -> Result<bool, Reason> {
        let patterns = ends.map(|end| LOW * u64::from(end));
        self.words.clear();
        let mut seen = Seen { highest: 0, without_nul: !SEVEN };
        let (blocks, rest) = frame.as_chunks::<64>();
        self.words.extend(blocks.iter().map(|block| block_bits(block, &patterns, &mut seen)));
        // What fills the last block is not the frame's, and no NUL.
        let mut last = [b'0'; 64];
        last[..rest.len()].copy_from_slice(rest);
        let end = 1 << rest.len();
        self.words.push(block_bits(&last, &patterns, &mut seen) & (end - 1) | end);
        if seen.without_nul & !SEVEN == !SEVEN { Ok(seen.highest & !SEVEN == 0) } else { Err(Reason::NulByte) }
    }

    /// Goes through the marks, from the first one.
    #[inline]
    pub(super) fn cursor(&self) -> MarkCursor<'_> {
        let (current, rest) = self.words.split_first().map_or((0, &[][..]), |(first, rest)| (*first, rest));
        MarkCursor { current, rest, base: 0 }
    }
}

/// What is noticed on the way.
struct Seen {
    /// All bytes, one over the other.
    highest: u64,
    /// The highest bit of a byte is gone where one of them was 0.
    without_nul: u64,
}

/// The highest bit of each byte is set where it is not 0; the others are anything.
#[inline]
const fn not_zero(word: u64) -> u64 {
    ((word & SEVEN) + SEVEN) | word
}

#[inline]
fn block_bits<const N: usize>(block: &[u8; 64], patterns: &[u64; N], seen: &mut Seen) -> u64 {
    let (words, _) = block.as_chunks::<8>();
    words.iter().rev().fold(0, |bits, word| {
        let word = u64::from_le_bytes(*word);
        seen.highest |= word;
        seen.without_nul &= not_zero(word);
        // The highest bit of a byte is set where it is none of the ends.
        let others = patterns.iter().fold(!SEVEN, |others, pattern| others & not_zero(word ^ pattern));
        bits << 8 | (!others & !SEVEN).wrapping_shr(7).wrapping_mul(GATHER) >> 56
    })
}

/// The marks of a frame that have not been passed yet.
#[derive(Debug)]
pub(super) struct MarkCursor<'m> {
    current: u64,
    rest: &'m [u64],
    /// The byte that the lowest bit of `current` stands for.
    base: usize,
}

impl MarkCursor<'_> {
    /// Passes the next mark. Returns its byte; behind the end of the frame there is none, and it returns 0.
    #[inline(always)]
    pub(super) fn pass(&mut self) -> usize {
        while self.current == 0 {
            let Some((next, rest)) = self.rest.split_first() else { return 0 };
            (self.current, self.rest) = (*next, rest);
            self.base += 64;
        }
        let at = self.base + self.current.trailing_zeros() as usize;
        self.current &= self.current - 1;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_are_the_ends_of_fields_whatever_stands_between_them() {
        let mut marks = Marks::default();
        // Bytes that differ from an end by one bit, by the highest bit, or by a borrow from the byte before.
        let alphabet = [b' ', b'!', b' ' | 0x80, 1, 0xff, b'\t', 8, 10, b'a', b'0', 0x7f, 0x1f];
        for length in 0..200_usize {
            for shift in 0..alphabet.len() {
                let mut frame: Vec<u8> =
                    (0..length).map(|at| alphabet[(at * at + shift * (at + 1)) % alphabet.len()]).collect();
                assert_eq!(marks.mark(&frame, [b' ', b'\t']), Ok(frame.is_ascii()), "{frame:?}");
                let mut cursor = marks.cursor();
                let blanks = (0..length).filter(|at| matches!(frame[*at], b' ' | b'\t'));
                for at in blanks.chain([length]) {
                    assert_eq!(cursor.pass(), at, "{frame:?}");
                }
                assert_eq!(cursor.pass(), 0, "{frame:?}");
                if length > 0 {
                    frame[shift * 17 % length] = 0;
                    assert_eq!(marks.mark(&frame, [b' ', b'\t']), Err(Reason::NulByte), "{frame:?}");
                }
            }
        }
    }
}
