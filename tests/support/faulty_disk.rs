//! A disk that hangs or fails, for the store of a process of its own: a library that is preloaded, made here with `cc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Sound until it is told otherwise.
pub(crate) struct FaultyDisk {
    _folder: TempDir,
    library: PathBuf,
    /// What is wrong, for the library.
    fault: PathBuf,
}

impl FaultyDisk {
    /// Makes the library.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let library = folder.path().join("faulty_disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/faulty_disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        let made = compiler.output().expect("cc is there: the build needs it too");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let fault = folder.path().join("fault");
        let disk = Self { _folder: folder, library, fault };
        disk.is_sound();
        disk
    }

    /// For the environment of the process.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 2] {
        [("LD_PRELOAD", self.library.to_str().unwrap()), ("FAULTY_DISK", self.fault.to_str().unwrap())]
    }

    /// Nothing comes back any more that has to be on the disk.
    pub(crate) fn hangs(&self) {
        self.set("hang");
    }

    /// Every sync fails with this `errno`.
    pub(crate) fn fails_to_sync(&self, errno: i32) {
        self.set(&format!("sync={errno}"));
    }

    /// Nothing is wrong.
    pub(crate) fn is_sound(&self) {
        self.set("");
    }

    /// Whole or not at all: the process reads it at any moment.
    fn set(&self, fault: &str) {
        let next = self.fault.with_extension("next");
        fs::write(&next, fault).and_then(|()| fs::rename(&next, &self.fault)).expect("a file of ours");
    }
}
