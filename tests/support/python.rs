//! Python with a pinned set of packages: `tests/tools/NAME.txt`.

use std::path::Path;
use std::process::Command;

/// Python with the packages of `name`, in the folder of the repository; its arguments follow.
pub(crate) fn python(name: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("tests/tools/python.sh"));
    command.current_dir(root).args(["run", name]);
    command
}
