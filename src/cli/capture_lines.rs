//! The lines of a capture file, each of a bounded length: whatever somebody takes for a capture is not read into memory.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::capture::CaptureEntry;
use crate::wire::encoding::Encoding;

/// Most bytes of a line of a capture: a read of a connection as base64 takes far less.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// The entries of a capture, one after the other; empty lines say nothing.
///
/// # Errors
/// When there is no such file. Each entry may be an error, with the name of the file and the number of the line.
pub(super) fn entries(
    path: &Path,
    encoding: Encoding,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<CaptureEntry>>> {
    let name = path.display().to_string();
    let mut lines = BufReader::new(File::open(path).with_context(|| format!("cannot read {name}"))?);
    let mut bytes = Vec::new();
    let mut number = 0_usize;
    Ok(std::iter::from_fn(move || {
        loop {
            number += 1;
            bytes.clear();
            match next(&mut lines, &mut bytes).with_context(|| format!("{name}:{number}")) {
                Ok(Some("")) => {}
                Ok(Some(line)) => {
                    return Some(CaptureEntry::parse(line, encoding).with_context(|| format!("{name}:{number}")));
                }
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }))
}

/// The next line; `None` at the end.
fn next<'b>(lines: &mut BufReader<File>, bytes: &'b mut Vec<u8>) -> anyhow::Result<Option<&'b str>> {
    let most = LONGEST_LINE as u64 + 1;
    if lines.by_ref().take(most).read_until(b'\n', bytes).context("cannot be read")? == 0 {
        return Ok(None);
    }
    if bytes.len() > LONGEST_LINE {
        bail!("the line is longer than {} MiB: this is no capture", LONGEST_LINE >> 20);
    }
    Ok(Some(std::str::from_utf8(bytes).context("the line is not UTF-8")?.trim()))
}
