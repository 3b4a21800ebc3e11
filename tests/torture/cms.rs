//! The CMS of these tests: a thread that dials in, again and again, and streams snapshots of a [`Centre`].
//!
//! Open loop: snapshots are due at fixed times, whatever the listener does; one that does not read makes the writing
//! wait. A connection that breaks is dialled again for ever, and each begins with an unchanged snapshot. What was on
//! its way when it broke is not sent again.

use std::io::{ErrorKind, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::centre::{Centre, Pace};

/// Between two attempts to connect.
const REDIAL: Duration = Duration::from_millis(5);

/// Where the feed is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// The first snapshot of the connection that is there now, or was the last.
    pub(crate) first: u64,
    /// The last one that was written whole.
    pub(crate) last: u64,
    pub(crate) connections: u32,
    pub(crate) records: u64,
}

/// A CMS that runs until it is dropped.
pub(crate) struct Cms {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    target: SocketAddr,
    refresh: Duration,
    pace: Pace,
    centre: Mutex<Centre>,
    progress: Mutex<Progress>,
    /// To be broken when this ends.
    connection: Mutex<Option<TcpStream>>,
    is_still: AtomicBool,
    is_over: AtomicBool,
}

impl Cms {
    pub(crate) fn start(target: SocketAddr, centre: Centre, refresh: Duration, pace: Pace) -> Self {
        let shared = Arc::new(Shared {
            target,
            refresh,
            pace,
            centre: Mutex::new(centre),
            progress: Mutex::default(),
            connection: Mutex::default(),
            is_still: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.run())
        };
        Self { shared, thread: Some(thread) }
    }

    pub(crate) fn progress(&self) -> Progress {
        *self.shared.progress.lock()
    }

    /// Nothing changes any more, while snapshots go on; the first snapshot of which this is sure.
    pub(crate) fn be_still(&self) -> u64 {
        // Snapshots are made under this lock.
        let centre = self.shared.centre.lock();
        self.shared.is_still.store(true, Ordering::Release);
        centre.snapshots + 1
    }

    /// Changes go on.
    pub(crate) fn go_on(&self) {
        self.shared.is_still.store(false, Ordering::Release);
    }

    /// The agents as they are, and were.
    pub(crate) fn centre(&self) -> Centre {
        self.shared.centre.lock().clone()
    }
}

impl Drop for Cms {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(connection) = self.shared.connection.lock().take() {
            let _ = connection.shutdown(Shutdown::Both); // may be broken already
        }
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || std::thread::panicking(), "the CMS of the test panicked");
    }
}

impl Shared {
    fn run(&self) {
        while !self.is_over.load(Ordering::Acquire) {
            let Ok(mut stream) = TcpStream::connect(self.target) else {
                std::thread::park_timeout(REDIAL);
                continue;
            };
            stream.set_nodelay(true).expect("a TCP option");
            *self.connection.lock() = Some(stream.try_clone().expect("a second handle"));
            if !self.is_over.load(Ordering::Acquire) {
                self.stream(&mut stream);
            }
        }
    }

    /// Until the connection breaks.
    fn stream(&self, stream: &mut TcpStream) {
        let mut snapshot = self.centre.lock().unchanged();
        {
            let mut progress = self.progress.lock();
            progress.first = snapshot.number;
            progress.connections += 1;
        }
        let mut due = Instant::now();
        while stream.write_all(snapshot.bytes.as_bytes()).is_ok() {
            {
                let mut progress = self.progress.lock();
                progress.last = snapshot.number;
                progress.records += snapshot.records;
            }
            due += self.refresh;
            if !stands_until(stream, due) {
                break;
            }
            let mut centre = self.centre.lock();
            let is_still = self.is_still.load(Ordering::Acquire);
            snapshot = if is_still { centre.unchanged() } else { centre.next(self.pace) };
        }
    }
}

/// Waits until then; false as soon as the connection has ended.
fn stands_until(stream: &TcpStream, due: Instant) -> bool {
    let left = due.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
    stream.set_read_timeout(Some(left)).expect("a TCP option");
    // The listener never sends: what can be read is the end.
    match stream.peek(&mut [0]) {
        Ok(_) => false,
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}
