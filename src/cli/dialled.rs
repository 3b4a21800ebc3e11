//! Connections that CMS opens to a command, until Ctrl-C: whatever happens on them, in order, and on to other targets.
//!
//! Every connection is followed, also those that the service would let wait. Failure policy: who takes the entries makes the
//! sockets wait; when they go away, everything ends. Cost: a copy of every chunk.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capture::{CaptureEntry, Happening};
use crate::sources::rta::listener::{Bound, MAX_CONNECTIONS, bind};
use crate::telemetry::targets::CLI;
use crate::time::Timestamp;

use super::capture_forward::Forwarding;

/// Chunks that may wait for whoever takes them before the sockets wait.
const QUEUE: usize = 256;
/// After a connection that could not be accepted.
const AGAIN: Duration = Duration::from_millis(100);

/// A port that CMS dials.
pub(super) struct Dialled {
    listener: TcpListener,
    address: SocketAddr,
    forward: Arc<Forwarding>,
}

impl Dialled {
    /// Listens. What comes goes to these targets as well. Needs a runtime.
    pub(super) fn listen(address: SocketAddr, targets: &[Arc<str>]) -> anyhow::Result<Self> {
        let listener = bind(address)
            .and_then(Bound::listen)
            .with_context(|| format!("cannot listen on {address}: choose another port"))?;
        let address = listener.local_addr()?;
        let forward = Arc::new(Forwarding::start(targets, address));
        Ok(Self { listener, address, forward })
    }

    /// Returns where CMS dials.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what happens, and what makes it happen until `stop`.
    pub(super) fn run(
        self,
        stop: CancellationToken,
    ) -> (mpsc::Receiver<CaptureEntry>, impl Future<Output = ()> + Send + 'static) {
        let (entries, queue) = mpsc::channel(QUEUE);
        (queue, self.accept(entries, stop))
    }

    async fn accept(self, entries: mpsc::Sender<CaptureEntry>, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (mut connections, followers) = (0, TaskTracker::new());
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                () = entries.closed() => break,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(target: CLI, %error, "accept failed");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(target: CLI, %peer, most = MAX_CONNECTIONS, "connection refused: too many are open");
                continue;
            };
            let (entries, stop, forward) = (entries.clone(), stop.clone(), Arc::clone(&self.forward));
            followers.spawn(async move {
                forward.opened(connections);
                // Why nobody takes entries any more is told by whoever took them.
                let _ = follow(stream, peer, connections, &entries, &forward, &stop).await;
                forward.closed(connections);
                drop(place);
            });
            connections += 1;
        }
        drop(entries);
        followers.close();
        followers.wait().await;
        self.forward.finish().await;
    }
}

/// Passes on one connection.
async fn follow(
    mut stream: TcpStream,
    peer: SocketAddr,
    connection: u64,
    entries: &mpsc::Sender<CaptureEntry>,
    forward: &Forwarding,
    stop: &CancellationToken,
) -> Result<(), mpsc::error::SendError<CaptureEntry>> {
    let entry = |happening| CaptureEntry { at: Timestamp::now(), connection, happening };
    entries.send(entry(Happening::Open { peer: peer.to_string(), encoding: None })).await?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            () = stop.cancelled() => break,
            () = entries.closed() => break,
            read = stream.read(&mut buffer) => read,
        };
        match read {
            Ok(0) => break,
            Ok(count) => {
                forward.read(connection, &buffer[..count], Timestamp::now());
                entries.send(entry(Happening::Data(buffer[..count].to_vec()))).await?;
            }
            Err(error) => {
                tracing::warn!(target: CLI, %peer, %error, "read failed");
                break;
            }
        }
    }
    entries.send(entry(Happening::Close)).await
}
