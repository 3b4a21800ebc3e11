//! The lines of a capture file, each of a bounded length: whatever somebody takes for a capture is not read into memory.

use std::io::{BufRead, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::capture::{CaptureEntry, CaptureReader};
use crate::wire::encoding::Encoding;

use super::feed_input::{FeedInput, LONGEST_LINE};

/// The entries of a capture, one after the other; empty lines say nothing. The file may be `-`, stdin.
///
/// # Errors
/// When there is no such file, or it is no capture. Each entry may be an error, with the name of the file and the number of the
/// line.
pub(super) fn entries(
    path: &Path,
    encoding: Encoding,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<CaptureEntry>>> {
    let mut input = FeedInput::open(Some(path))?;
    if !input.is_capture()? && !input.bytes.fill_buf()?.is_empty() {
        let name = &input.name;
        bail!("{name} is no capture: its first line is no JSON object with \"at\". Raw bytes are read by decode");
    }
    Ok(entries_of(input, Some(encoding)))
}

/// The entries of an input that is a capture. `encoding` is that of text on connections that do not say; `None`: then it must
/// be ASCII.
pub(super) fn entries_of(
    mut input: FeedInput,
    encoding: Option<Encoding>,
) -> impl Iterator<Item = anyhow::Result<CaptureEntry>> {
    let mut reader = CaptureReader::new(encoding);
    let mut bytes = Vec::new();
    let mut number = 0_usize;
    std::iter::from_fn(move || {
        loop {
            number += 1;
            bytes.clear();
            let place = || format!("{}:{number}", input.name);
            match next(&mut input.bytes, &mut bytes) {
                Ok(Some("")) => {}
                Ok(Some(line)) => return Some(reader.read(line).with_context(place)),
                Ok(None) => return None,
                Err(error) => return Some(Err(error.context(place()))),
            }
        }
    })
}

/// The next line; `None` at the end.
fn next<'b>(lines: &mut impl BufRead, bytes: &'b mut Vec<u8>) -> anyhow::Result<Option<&'b str>> {
    let most = LONGEST_LINE as u64 + 1;
    if lines.by_ref().take(most).read_until(b'\n', bytes).context("cannot be read")? == 0 {
        return Ok(None);
    }
    if bytes.len() > LONGEST_LINE {
        bail!("the line is longer than {} MiB: this is no capture", LONGEST_LINE >> 20);
    }
    Ok(Some(std::str::from_utf8(bytes).context("the line is not UTF-8")?.trim()))
}
