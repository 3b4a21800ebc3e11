//! `rtalink` as a process of its own.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tempfile::TempDir;

use super::wait::{until, until_true};

/// The binary, ready for arguments.
pub(crate) fn rtalink() -> Command {
    program(env!("CARGO_BIN_EXE_rtalink"))
}

/// One of any version. Variables of this process that would change its configuration are kept from it.
pub(crate) fn program(file: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(file);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RTALINK__")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn output(arguments: &[&str]) -> Output {
    rtalink().args(arguments).output().expect("the binary starts")
}

/// A command that goes on until it is told to stop.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    has_ended: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("its stderr");
        let log = Arc::new(Mutex::new(Vec::new()));
        let has_ended = Arc::new(AtomicBool::new(false));
        let reader = {
            let (log, has_ended) = (Arc::clone(&log), Arc::clone(&has_ended));
            std::thread::spawn(move || {
                follow(stderr, &log);
                has_ended.store(true, Ordering::Release);
            })
        };
        Self { child, log, has_ended, reader: Some(reader) }
    }

    /// `rtalink run` with that configuration, written to `folder`; returns when it has started.
    pub(crate) fn run(folder: &TempDir, toml: &str) -> Self {
        Self::run_in(folder, toml, &[])
    }

    /// The same with further variables.
    pub(crate) fn run_in(folder: &TempDir, toml: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = rtalink();
        command.envs(environment.iter().copied());
        Self::run_with(command, folder, toml)
    }

    /// The same by a program of any version.
    pub(crate) fn run_with(mut program: Command, folder: &TempDir, toml: &str) -> Self {
        let file = write(folder.path(), "rtalink.toml", toml);
        program.args(["run", "--config"]).arg(&file);
        let process = Self::spawn(program);
        process.line("started");
        process
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines of its log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    /// How many lines of its log have `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.log.lock().iter().filter(|line| line.contains(text)).count()
    }

    /// The first line of its log that has `text`, once it is there.
    pub(crate) fn line(&self, text: &str) -> String {
        until(&format!("a line with {text:?}"), || {
            let ended = self.has_ended.load(Ordering::Acquire);
            let found = self.log.lock().iter().find(|line| line.contains(text)).cloned();
            assert!(found.is_some() || !ended, "ended without {text:?}:\n{}", self.log().join("\n"));
            found
        })
    }

    /// The value of a field in the first line with `text`.
    pub(crate) fn field(&self, text: &str, field: &str) -> String {
        let line = self.line(text);
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(&format!("{field}=")));
        value.unwrap_or_else(|| panic!("no {field}= in {line:?}")).trim_matches('"').to_owned()
    }

    pub(crate) fn feed(&self) -> SocketAddr {
        self.field("listening for CMS", "address").parse().expect("an address")
    }

    /// Where CMS dials in for the integration of that name.
    pub(crate) fn feed_of(&self, integration: &str) -> SocketAddr {
        let log = self.log();
        let is_its = |line: &&String| {
            line.contains("listening for CMS") && line.contains(&format!("integration={integration} "))
        };
        let line = log.iter().find(is_its).unwrap_or_else(|| panic!("{integration} in {log:#?}"));
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("address="));
        address.expect("address=").parse().expect("an address")
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.field("started http=", "http").parse().expect("an address")
    }

    pub(crate) fn kafka(&self) -> String {
        self.field("started http=", "kafka")
    }

    /// Most memory that it has ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Ends it as suddenly as can be.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill(); // may have ended already
    }

    /// Sends a signal such as `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// SIGTERM; its exit code and what it printed on stdout.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String, Vec<String>) {
        self.signal("TERM");
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> (Option<i32>, String, Vec<String>) {
        until_true("the end of the process", || matches!(self.child.try_wait(), Ok(Some(_))));
        let status = self.child.wait().unwrap();
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status.code(), stdout, self.log())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // may have ended already
        let _ = self.child.wait();
    }
}

fn follow(stderr: ChildStderr, log: &Mutex<Vec<String>>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        log.lock().push(line);
    }
}

/// Writes `text` to `name` in `folder`.
pub(crate) fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    file
}
