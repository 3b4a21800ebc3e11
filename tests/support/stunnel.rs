//! A real stunnel, which plays the side of CMS: it listens on a Unix socket and dials the feed's port with TLS.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::wait::until;

/// stunnel in client mode; ends with the test.
pub(crate) struct Stunnel {
    child: Child,
    socket: PathBuf,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stunnel {
    /// Dials `feed`; `service` are the lines that say what it checks and shows.
    pub(crate) fn start(folder: &Path, feed: SocketAddr, service: &str) -> Self {
        let socket = folder.join("cms.socket");
        let _ = std::fs::remove_file(&socket); // of the one before
        let text = format!(
            "foreground = yes\nsyslog = no\npid =\ndebug = info\n[rtalink]\nclient = yes\naccept = {}\nconnect = {feed}\n{service}\n",
            socket.display()
        );
        let file = folder.join("stunnel.conf");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("stunnel");
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("stunnel: make tools installs it");
        let stderr = child.stderr.take().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let reader = {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    log.lock().push(line);
                }
            })
        };
        let stunnel = Self { child, socket, log, reader: Some(reader) };
        stunnel.line("Configuration successful");
        stunnel
    }

    /// CMS dials in: plain text, which stunnel wraps.
    pub(crate) fn dial(&self) -> UnixStream {
        until("the socket of stunnel", || UnixStream::connect(&self.socket).ok())
    }

    /// The first line of its log that has `text`, once it is there.
    pub(crate) fn line(&self, text: &str) -> String {
        let found = || self.log.lock().iter().find(|line| line.contains(text)).cloned();
        let mut looks = 0;
        until(&format!("a line with {text:?} of stunnel"), || {
            looks += 1;
            assert!(looks < 5_000, "no {text:?}:\n{}", self.log.lock().join("\n"));
            found()
        })
    }
}

impl Drop for Stunnel {
    fn drop(&mut self) {
        let _ = self.child.kill(); // may have ended already
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
