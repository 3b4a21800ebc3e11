//! A target of `forward`: a tool that was fed by CMS before, or one that has gone wrong.

use std::io::Read as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::wait::until_true;

/// A connection as the target saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) bytes: Vec<u8>,
    /// The other side has ended it.
    pub(crate) is_over: bool,
}

impl Seen {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Listens until the process ends, unless it is closed.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    reads: Arc<AtomicBool>,
    is_closed: Arc<AtomicBool>,
}

impl Target {
    /// At a free port.
    pub(crate) fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(crate) fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let target = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            streams: Arc::default(),
            reads: Arc::new(AtomicBool::new(true)),
            is_closed: Arc::default(),
        };
        let (seen, streams) = (Arc::clone(&target.seen), Arc::clone(&target.streams));
        let (reads, is_closed) = (Arc::clone(&target.reads), Arc::clone(&target.is_closed));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_closed.load(Ordering::Acquire) {
                    return;
                }
                let index = {
                    let mut seen = seen.lock();
                    seen.push(Seen::default());
                    seen.len() - 1
                };
                streams.lock().push(stream.try_clone().unwrap());
                let (seen, reads) = (Arc::clone(&seen), Arc::clone(&reads));
                thread::spawn(move || collect(stream, index, &seen, &reads));
            }
        });
        target
    }

    /// Reads nothing from now on, or goes on reading.
    pub(crate) fn read_on(&self, reads: bool) {
        self.reads.store(reads, Ordering::Release);
    }

    /// Ends the connection that there is with a reset.
    pub(crate) fn reset(&self) {
        let stream = self.streams.lock().pop().expect("a connection");
        socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        // Whoever reads it is woken, and drops the last handle.
        let _ = stream.shutdown(Shutdown::Read);
    }

    /// Is gone: nobody listens there any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address));
        for stream in self.streams.lock().drain(..) {
            let _ = stream.shutdown(Shutdown::Both); // may have ended
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Waits until connection `index` has brought this, from its first byte on.
    pub(crate) fn until(&self, index: usize, text: &str) {
        until_true(&format!("connection {index} brings {text:?}"), || {
            self.seen().get(index).is_some_and(|seen| {
                assert!(
                    text.as_bytes().starts_with(&seen.bytes[..seen.bytes.len().min(text.len())]),
                    "{}",
                    seen.text()
                );
                seen.bytes.len() >= text.len()
            })
        });
    }

    pub(crate) fn until_over(&self, index: usize) {
        until_true("the end of a connection", || self.seen().get(index).is_some_and(|seen| seen.is_over));
    }
}

fn collect(mut stream: TcpStream, index: usize, seen: &Mutex<Vec<Seen>>, reads: &AtomicBool) {
    let mut buffer = vec![0; 65_536];
    loop {
        until_true("it reads on", || reads.load(Ordering::Acquire));
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => seen.lock()[index].bytes.extend(&buffer[..count]),
        }
    }
    seen.lock()[index].is_over = true;
}
