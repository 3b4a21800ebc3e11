//! A capture that is being written.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::capture::{CaptureEntry, Happening};
use crate::wire::encoding::Encoding;

/// The file, as `open` lines say in one encoding: what is text in it is written as text.
pub(super) struct CaptureFile {
    file: BufWriter<File>,
    path: PathBuf,
    text: Encoding,
    written: u64,
}

impl CaptureFile {
    /// Writes into a file that is open.
    pub(super) fn new(file: File, path: PathBuf, text: Encoding) -> Self {
        Self { file: BufWriter::new(file), path, text, written: 0 }
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how many lines were written.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Writes a line.
    pub(super) fn put(&mut self, mut entry: CaptureEntry) -> anyhow::Result<()> {
        if let Happening::Open { encoding, .. } = &mut entry.happening {
            *encoding = Some(self.text);
        }
        let line = entry.to_line_in(self.text)?;
        writeln!(self.file, "{line}").with_context(|| self.cannot_write())?;
        self.written += 1;
        Ok(())
    }

    /// Hands what is there to the operating system.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.file.flush().with_context(|| self.cannot_write())
    }

    /// Brings everything to the disk.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.flush()?;
        self.file.get_ref().sync_all().with_context(|| self.cannot_write())
    }

    fn cannot_write(&self) -> String {
        format!("cannot write {}", self.path.display())
    }
}
