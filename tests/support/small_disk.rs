//! A small disk: a tmpfs over a folder, which is taken away at the end.
//!
//! That needs the right to mount. Who does not have it cannot have a full disk either, and has to say so.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FILLER: &str = "filler";

/// Mounted while it lives.
pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// One of that size at `folder`; `None` where this process may not mount.
    pub(crate) fn mount(folder: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(folder).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder);
        let mounted = mount.stdout(Stdio::null()).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self { folder: folder.to_owned() })
    }

    /// Takes all room that is left; returns how much that was.
    pub(crate) fn fill(&self) -> u64 {
        let mut filler = File::create(self.folder.join(FILLER)).expect("a file");
        let portion = [1; 4096];
        let mut taken = 0;
        while let Ok(count @ 1..) = filler.write(&portion) {
            taken += count as u64;
        }
        taken
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.folder.join(FILLER)).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
        // Whoever removed the folders around it could not remove this one; where they are kept for a look, this fails.
        let emptied = fs::remove_dir(&self.folder).ok().zip(self.folder.parent());
        drop(emptied.map(|((), parent)| fs::remove_dir(parent)));
    }
}
