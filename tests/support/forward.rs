//! A way to Kafka that forgets connections without telling either side, as firewalls and balancers do after some idle minutes.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Forwards until the process ends.
pub(crate) struct Forward {
    generation: Arc<AtomicU64>,
    target: Arc<parking_lot::Mutex<Option<String>>>,
    port: u16,
    is_over: Arc<AtomicBool>,
}

impl Forward {
    /// At a free port; to nowhere yet.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let forward = Self { generation: Arc::default(), target: Arc::default(), port, is_over: Arc::default() };
        let (generation, target, is_over) =
            (Arc::clone(&forward.generation), Arc::clone(&forward.target), Arc::clone(&forward.is_over));
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                let Some(far) = target.lock().clone().and_then(|target| TcpStream::connect(target).ok()) else {
                    continue;
                };
                let born = generation.load(Ordering::Acquire);
                let pairs = [
                    (near.try_clone().expect("a second handle"), far.try_clone().expect("a second handle")),
                    (far, near),
                ];
                for (source, sink) in pairs {
                    let generation = Arc::clone(&generation);
                    thread::spawn(move || pump(source, sink, born, &generation));
                }
            }
        });
        forward
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where it leads.
    pub(crate) fn lead_to(&self, target: &str) {
        *self.target.lock() = Some(target.to_owned());
    }

    /// Nothing passes any more on the connections that there are, and neither side is told. New ones work.
    pub(crate) fn forget(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // For whoever accepts; may fail where nobody does any more.
        let _ = TcpStream::connect_timeout(&([127, 0, 0, 1], self.port).into(), Duration::from_secs(1));
    }
}

/// Reads on after it was forgotten, for the other side must not notice either.
fn pump(mut source: TcpStream, mut sink: TcpStream, born: u64, generation: &AtomicU64) {
    let mut buffer = [0; 65_536];
    while let Ok(count) = source.read(&mut buffer) {
        let is_known = born == generation.load(Ordering::Acquire);
        if count == 0 {
            if is_known {
                let _ = sink.shutdown(std::net::Shutdown::Both); // may have ended
            }
            return;
        }
        if is_known && sink.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}
