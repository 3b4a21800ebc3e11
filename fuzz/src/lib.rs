//! What the fuzz targets share: layouts and feeds made of a fuzzer's bytes.
//!
//! Bytes alone hardly ever make a valid record, let alone a layout that compiles. So both are built: each choice takes a few
//! bytes of the input, and a change of one byte is a small change of the layout or of one field. Inputs that are text
//! (`[layout.…]` before a NUL, a feed behind it) are taken as such: these are the seeds, for the dictionary to work on.

pub mod feed;
pub mod layout;

use arbitrary::{Result, Unstructured};

/// The input in pieces, cut where the fuzzer wants.
///
/// # Errors
/// None: an exhausted input cuts nowhere.
pub fn chunks<'a>(u: &mut Unstructured<'_>, mut bytes: &'a [u8]) -> Result<Vec<&'a [u8]>> {
    let mut chunks = Vec::new();
    while bytes.len() > 1 && !u.is_empty() {
        // Mostly short ones: what is torn is torn at its end.
        let most = if u.ratio(3_u8, 4_u8)? { bytes.len().min(24) } else { bytes.len() };
        let (chunk, rest) = bytes.split_at(u.int_in_range(1..=most)?);
        chunks.push(chunk);
        bytes = rest;
    }
    if !bytes.is_empty() {
        chunks.push(bytes);
    }
    Ok(chunks)
}
