//! Peers that mean no good, all at once: crowds of connections, senders of a byte at a time, garbage as fast as it goes,
//! handshakes that are begun and never finished.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Connections of each crowd.
pub(crate) const CROWD: u64 = 1_000;

const SLOW_SENDERS: usize = 4;
const GARBAGE_SENDERS: usize = 2;

/// Between two bytes of a slow sender.
const SLOWNESS: Duration = Duration::from_millis(10);
/// Before somebody dials again: more would use up the ports of the machine.
const REDIAL: Duration = Duration::from_millis(5);

/// What has been done so far.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Connections opened, and left open, to the plain port.
    pub(crate) crowd: AtomicU64,
    /// Handshakes begun, and left so.
    pub(crate) handshakes: AtomicU64,
    pub(crate) slow_bytes: AtomicU64,
    pub(crate) garbage_bytes: AtomicU64,
}

/// Goes on until it is dropped.
pub(crate) struct Attack {
    done: Arc<Done>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Attack {
    /// On the port of a plain feed, and on one that speaks TLS.
    pub(crate) fn start(plain: SocketAddr, tls: SocketAddr) -> Self {
        let mut attack = Self { done: Arc::default(), stop: Arc::default(), threads: Vec::new() };
        attack.spawn(move |done, stop| crowd(plain, &[], &done.crowd, stop));
        attack.spawn(move |done, stop| crowd(tls, &[0x16, 0x03, 0x01, 0x02], &done.handshakes, stop));
        for _ in 0..SLOW_SENDERS {
            attack.spawn(move |done, stop| {
                again_and_again(plain, stop, |feed| {
                    feed.set_nodelay(true)?;
                    while !stop.load(Ordering::Relaxed) {
                        feed.write_all(b"1")?;
                        done.slow_bytes.fetch_add(1, Ordering::Relaxed);
                        std::thread::park_timeout(SLOWNESS);
                    }
                    Ok(())
                });
            });
        }
        let garbage: Arc<[u8]> = b"no record at all\n".repeat(4 * 1024).into();
        for target in [plain; GARBAGE_SENDERS].into_iter().chain([tls]) {
            let garbage = Arc::clone(&garbage);
            attack.spawn(move |done, stop| {
                again_and_again(target, stop, |feed| {
                    while !stop.load(Ordering::Relaxed) {
                        feed.write_all(&garbage)?;
                        done.garbage_bytes.fetch_add(garbage.len() as u64, Ordering::Relaxed);
                    }
                    Ok(())
                });
            });
        }
        attack
    }

    pub(crate) fn done(&self) -> &Done {
        &self.done
    }

    fn spawn(&mut self, play: impl FnOnce(&Done, &AtomicBool) + Send + 'static) {
        let (done, stop) = (Arc::clone(&self.done), Arc::clone(&self.stop));
        self.threads.push(std::thread::spawn(move || play(&done, &stop)));
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Opens connections, says a few bytes on each, and keeps them until the end.
fn crowd(target: SocketAddr, says: &[u8], count: &AtomicU64, stop: &AtomicBool) {
    let mut open = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if open.len() as u64 == CROWD {
            std::thread::park_timeout(REDIAL);
            continue;
        }
        let Ok(mut connection) = TcpStream::connect(target) else { continue };
        let _ = connection.write_all(says); // may be closed already
        open.push(connection);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn again_and_again(target: SocketAddr, stop: &AtomicBool, play: impl Fn(&mut TcpStream) -> std::io::Result<()>) {
    while !stop.load(Ordering::Relaxed) {
        if let Ok(mut connection) = TcpStream::connect(target) {
            // Nobody reads: the rest waits until the connection is closed, or this sender is over.
            let _ = connection.set_write_timeout(Some(Duration::from_millis(500)));
            let _ = play(&mut connection); // ends when it is refused
        }
        std::thread::park_timeout(REDIAL);
    }
}
