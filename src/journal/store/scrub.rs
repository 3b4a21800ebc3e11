//! Removes from a page of the database everything that was deleted.
//!
//! SQLite leaves what is deleted where it was: in free pages, in the gap between the pointers and the cells of a page, in
//! blocks between cells, and after the end of a content on the last of its overflow pages. All of these are bytes that
//! nothing refers to, and they are zeroed here; no byte that SQLite reads is changed, so that a page stays equivalent, and
//! whatever SQLite has cached of it stays true. The format is that of <https://www.sqlite.org/fileformat2.html>.
//!
//! Policy: a page that does not follow the format is an error, and is left alone. Pure. Cost: one look at each byte.

use super::error::StoreError;

/// The layout of a file's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageFormat {
    /// Bytes of a page.
    pub(super) page: usize,
    /// Bytes of it that SQLite uses.
    pub(super) usable: usize,
}

/// Bytes before the contents of an overflow page: the number of the next one.
const NEXT: usize = 4;
/// No cell is shorter: a shorter one takes this much.
const SHORTEST_CELL: usize = 4;
/// Bytes of a free block that SQLite reads: where the next one is, and how long this one is.
const BLOCK_HEADER: usize = 4;

/// A content that does not fit on its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverflowPages {
    /// Bytes on overflow pages.
    pub(super) bytes: usize,
    /// The first of these pages.
    pub(super) first: u32,
}

#[derive(Clone, Copy)]
struct Cell {
    at: usize,
    length: usize,
    overflow: Option<OverflowPages>,
}

fn wrong(what: &str) -> StoreError {
    StoreError::Corrupt(format!("a page of the database is not as it should be: {what}"))
}

fn number16(page: &[u8], at: usize) -> Result<usize, StoreError> {
    let bytes = page.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
    bytes.map(|bytes| u16::from_be_bytes(bytes).into()).ok_or_else(|| wrong("it is too short"))
}

/// Four bytes as SQLite writes numbers of pages.
pub(super) fn number32(page: &[u8], at: usize) -> Result<u32, StoreError> {
    let bytes = page.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_be_bytes).ok_or_else(|| wrong("it is too short"))
}

/// Reads a number of one to nine bytes; returns it and the offset after it.
fn varint(page: &[u8], at: usize) -> Result<(u64, usize), StoreError> {
    let mut value = 0;
    for index in 0..9 {
        let byte = *page.get(at + index).ok_or_else(|| wrong("a number leaves it"))?;
        if index == 8 {
            return Ok((value << 8 | u64::from(byte), at + 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok((value, at + index + 1));
        }
    }
    Err(wrong("a number has no end"))
}

/// The kind of a tree's page, by its first byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    TableLeaf,
    TableInterior,
    IndexLeaf,
    IndexInterior,
}

impl Kind {
    fn of(page: &[u8]) -> Result<Self, StoreError> {
        match page.first() {
            Some(0x0d) => Ok(Self::TableLeaf),
            Some(0x05) => Ok(Self::TableInterior),
            Some(0x0a) => Ok(Self::IndexLeaf),
            Some(0x02) => Ok(Self::IndexInterior),
            _ => Err(wrong("it is of no tree")),
        }
    }

    const fn header(self) -> usize {
        match self {
            Self::TableLeaf | Self::IndexLeaf => 8,
            Self::TableInterior | Self::IndexInterior => 12,
        }
    }

    /// Returns how many bytes of a content of so many are on the page itself.
    const fn local(self, content: usize, usable: usize) -> usize {
        let most = match self {
            Self::TableLeaf | Self::TableInterior => usable - 35,
            Self::IndexLeaf | Self::IndexInterior => (usable - 12) * 64 / 255 - 23,
        };
        if content <= most {
            return content;
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let wanted = least + (content - least) % (usable - NEXT);
        if wanted <= most { wanted } else { least }
    }

    fn cell(self, page: &[u8], at: usize, usable: usize) -> Result<Cell, StoreError> {
        let mut end = at;
        if matches!(self, Self::TableInterior | Self::IndexInterior) {
            end += 4;
        }
        if self == Self::TableInterior {
            let (_, behind) = varint(page, end)?;
            return Ok(Cell { at, length: (behind - at).max(SHORTEST_CELL), overflow: None });
        }
        let (content, behind) = varint(page, end)?;
        let content = usize::try_from(content).map_err(|_| wrong("a content is longer than memory"))?;
        end = behind;
        if self == Self::TableLeaf {
            end = varint(page, end)?.1;
        }
        let local = self.local(content, usable);
        end += local;
        let mut overflow = None;
        if local < content {
            overflow = Some(OverflowPages { bytes: content - local, first: number32(page, end)? });
            end += NEXT;
        }
        Ok(Cell { at, length: (end - at).max(SHORTEST_CELL), overflow })
    }
}

/// Returns the cells of a tree's page.
fn cells(page: &[u8], usable: usize) -> Result<Vec<Cell>, StoreError> {
    let kind = Kind::of(page)?;
    let count = number16(page, 3)?;
    let pointers = (0..count).map(|index| number16(page, kind.header() + 2 * index));
    pointers.map(|at| kind.cell(page, at?, usable)).collect()
}

/// Returns the contents of a tree's page that continue elsewhere.
pub(super) fn overflows(page: &[u8], format: PageFormat) -> Result<Vec<OverflowPages>, StoreError> {
    Ok(cells(page, format.usable)?.into_iter().filter_map(|cell| cell.overflow).collect())
}

/// Zeroes what a tree's page does not use. True if that was anything.
pub(super) fn tree(page: &mut [u8], format: PageFormat) -> Result<bool, StoreError> {
    let PageFormat { usable, .. } = format;
    let kind = Kind::of(page)?;
    let pointers_end = kind.header() + 2 * number16(page, 3)?;
    // What is used: from where to where.
    let mut used = vec![(0, pointers_end)];
    used.extend(cells(page, usable)?.into_iter().map(|Cell { at, length, .. }| (at, at + length)));
    let mut block = number16(page, 1)?;
    while block != 0 {
        let next = number16(page, block)?;
        used.push((block, block + BLOCK_HEADER));
        if next != 0 && next < block + BLOCK_HEADER {
            return Err(wrong("its free blocks are in no order"));
        }
        block = next;
    }
    used.sort_unstable();
    let mut end = 0;
    let mut unused = Vec::new();
    for (from, to) in used {
        if from < end || to > usable {
            return Err(wrong("its cells overlap, or leave it"));
        }
        unused.push(end..from);
        end = to;
    }
    unused.push(end..usable);
    let is_news = unused.iter().any(|range| page[range.clone()].iter().any(|byte| *byte != 0));
    if is_news {
        unused.into_iter().for_each(|range| page[range].fill(0));
    }
    Ok(is_news)
}

/// Zeroes what is after an offset of a page. True if that was anything.
pub(super) fn behind(page: &mut [u8], at: usize) -> Result<bool, StoreError> {
    let unused = page.get_mut(at..).ok_or_else(|| wrong("a content ends behind it"))?;
    let is_news = unused.iter().any(|byte| *byte != 0);
    unused.fill(0);
    Ok(is_news)
}

/// Returns how many bytes are used of the last page of such an overflow, which is the `pages`-th.
pub(super) fn used_of_last(overflow: OverflowPages, pages: usize, format: PageFormat) -> Result<usize, StoreError> {
    let full = (pages - 1) * (format.usable - NEXT);
    let rest = overflow.bytes.checked_sub(full).filter(|rest| (1..=format.usable - NEXT).contains(rest));
    rest.map(|rest| NEXT + rest).ok_or_else(|| wrong("a content has another length than its pages"))
}

/// Returns how many bytes are used of a page that lists free pages.
pub(super) fn used_of_list(page: &[u8], format: PageFormat) -> Result<usize, StoreError> {
    let count = usize::try_from(number32(page, 4)?).unwrap_or(usize::MAX);
    let used = count.saturating_mul(4).saturating_add(8);
    if used <= format.usable { Ok(used) } else { Err(wrong("it lists more free pages than it can")) }
}
