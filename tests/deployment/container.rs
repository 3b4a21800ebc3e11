//! The image, built by `tests/deployment/image.sh`, and run by `contain.sh` as an engine would run it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::files::{root, text_of, well};
use crate::support::process::Process;

/// Of the image.
pub(crate) const USER: u32 = 65532;

pub(crate) struct Image {
    pub(crate) folder: PathBuf,
    /// As Docker has it: `User`, `Env`, `Entrypoint`, ….
    pub(crate) config: Value,
}

impl Image {
    /// Builds it, unless nothing has changed since it was built.
    pub(crate) fn built() -> &'static Image {
        static BUILT: OnceLock<Image> = OnceLock::new();
        BUILT.get_or_init(|| {
            let output = Command::new(root().join("tests/deployment/image.sh"))
                .arg("build")
                .stderr(Stdio::inherit())
                .output()
                .expect("tests/deployment/image.sh starts");
            assert!(output.status.success(), "the image was not built: {}", output.status);
            let said = String::from_utf8(output.stdout).expect("UTF-8");
            let folder = PathBuf::from(said.trim().lines().last().expect("a folder"));
            let inspected: Value =
                serde_json::from_slice(&fs::read(folder.join("config.json")).expect("config.json")).expect("JSON");
            Image { folder, config: inspected["Docker"]["config"].clone() }
        })
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.folder.join("rootfs")
    }

    pub(crate) fn binary(&self) -> PathBuf {
        self.rootfs().join("usr/local/bin/rtalink")
    }

    /// A list of words such as `Cmd`.
    pub(crate) fn words(&self, name: &str) -> Vec<String> {
        words(&self.config[name])
    }

    /// Bytes of all files, as they are counted for the base.
    pub(crate) fn size(&self) -> u64 {
        let output = well(Command::new("du").args(["-sb", "--apparent-size"]).arg(self.rootfs()));
        String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap().parse().expect("a number")
    }

    pub(crate) fn base_size(&self) -> u64 {
        fs::read_to_string(self.folder.join("base-bytes")).expect("base-bytes").trim().parse().expect("a number")
    }
}

pub(crate) fn words(list: &Value) -> Vec<String> {
    list.as_array().unwrap_or_else(|| panic!("no list: {list}")).iter().map(text_of).collect()
}

/// What an engine would mount.
pub(crate) struct Mounts {
    pub(crate) volume: TempDir,
    configuration: TempDir,
}

impl Mounts {
    /// A new volume, which takes its owner from the image, and a configuration.
    pub(crate) fn new(toml: &str) -> Self {
        let mounts = Self { volume: TempDir::new().unwrap(), configuration: TempDir::new().unwrap() };
        let in_image = fs::metadata(Image::built().rootfs().join("var/lib/rtalink")).expect("the folder of the volume");
        use std::os::unix::fs::MetadataExt as _;
        chown(mounts.volume.path(), Some(in_image.uid()), Some(in_image.gid())).unwrap();
        fs::write(mounts.configuration.path().join("rtalink.toml"), toml).unwrap();
        fs::set_permissions(mounts.configuration.path(), fs::Permissions::from_mode(0o755)).unwrap();
        mounts
    }

    /// A container with these words behind the entry point, in the network of another or its own.
    pub(crate) fn command(&self, network_of: Option<u32>, words: &[String]) -> Command {
        let image = Image::built();
        let mut entry_point = image.words("Entrypoint");
        entry_point.extend(words.iter().cloned());
        self.raw(network_of, &entry_point)
    }

    /// The same without the entry point.
    pub(crate) fn raw(&self, network_of: Option<u32>, words: &[String]) -> Command {
        let image = Image::built();
        let mut command = Command::new(root().join("tests/deployment/contain.sh"));
        command.args([&image.rootfs(), self.volume.path(), self.configuration.path()] as [&Path; 3]);
        command.args(network_of.map(|id| id.to_string())).arg("--").args(words).stdin(Stdio::null()).env_clear();
        for variable in image.words("Env") {
            let (name, value) = variable.split_once('=').expect("NAME=VALUE");
            command.env(name, value);
        }
        command
    }

    /// Runs it to its end.
    pub(crate) fn output(&self, network_of: Option<u32>, words: &[&str]) -> Output {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.command(network_of, &words).output().expect("contain.sh starts")
    }

    /// As the image starts when nothing else is said.
    pub(crate) fn start(&self) -> Process {
        let process = Process::spawn(self.command(None, &Image::built().words("Cmd")));
        process.line("\"started\"");
        process
    }
}

/// `GET` in the network of a process.
pub(crate) fn get(process: &Process, port: u16, path: &str) -> String {
    let ask = "exec 3<>/dev/tcp/127.0.0.1/$0; printf 'GET %s HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' \"$1\" >&3; cat <&3";
    let network = format!("--net=/proc/{}/ns/net", process.id());
    let output = well(Command::new("nsenter").args([&network, "bash", "-euc", ask, &port.to_string(), path]));
    let answer = String::from_utf8(output.stdout).expect("UTF-8");
    answer.split_once("\r\n\r\n").expect("an answer in HTTP").1.to_owned()
}
