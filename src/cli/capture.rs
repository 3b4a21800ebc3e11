//! `rtalink capture`: records a feed.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::model::LogFormat;
use crate::feed::capture::{Entry, Happening};
use crate::feed::listener::{Bound, MAX_CONNECTIONS, bind};
use crate::telemetry::logs;
use crate::time::Timestamp;

use super::output::{on_signal, runtime, stdout};

/// Chunks that may wait for the disk before the sockets wait.
const QUEUE: usize = 256;

/// Records a feed as a capture, with the times of receipt, until Ctrl-C.
///
/// Every connection is recorded; from the second on its lines carry "conn". A capture holds personal data.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  rtalink capture --listen 0.0.0.0:7001 --output monday.capture")]
pub(super) struct Args {
    /// Address and port that CMS dials.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// File to write; must not exist, unless --append is given.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Go on with a file that exists.
    #[arg(long)]
    append: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    logs::start("info", LogFormat::Text)?;
    let written = runtime()?.block_on(record(args))?;
    writeln!(stdout(), "{}: {written} line(s)", args.output.display())?;
    Ok(())
}

async fn record(args: &Args) -> anyhow::Result<u64> {
    let name = args.output.display().to_string();
    let mut options = OpenOptions::new();
    let file = if args.append { options.append(true).create(true) } else { options.write(true).create_new(true) };
    let file =
        file.open(&args.output).with_context(|| format!("cannot create {name} (--append goes on with a file)"))?;
    let listener = bind(args.listen)
        .and_then(Bound::listen)
        .with_context(|| format!("cannot listen on {}: choose another port", args.listen))?;
    tracing::info!(address = %listener.local_addr()?, file = name, "recording; Ctrl-C ends");
    let stop = on_signal()?;
    let (entries, mut queue) = mpsc::channel::<Entry>(QUEUE);
    let writer = tokio::task::spawn_blocking(move || -> anyhow::Result<u64> {
        let mut file = BufWriter::new(file);
        let mut written = 0;
        while let Some(entry) = queue.blocking_recv() {
            writeln!(file, "{}", entry.to_line()?).with_context(|| format!("cannot write {name}"))?;
            written += 1;
            if queue.is_empty() {
                file.flush().with_context(|| format!("cannot write {name}"))?;
            }
        }
        file.flush().with_context(|| format!("cannot write {name}"))?;
        file.get_ref().sync_all().with_context(|| format!("cannot write {name}"))?;
        Ok(written)
    });
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = 0;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            () = entries.closed() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%peer, most = MAX_CONNECTIONS, "connection refused: too many are open");
            continue;
        };
        let (entries, stop) = (entries.clone(), stop.clone());
        tokio::spawn(async move {
            // The writer's own error is what is told.
            let _ = follow(stream, peer, connections, &entries, &stop).await;
            drop(place);
        });
        connections += 1;
    }
    drop(entries);
    writer.await?
}

/// Passes on one connection.
async fn follow(
    mut stream: TcpStream,
    peer: SocketAddr,
    connection: u64,
    entries: &mpsc::Sender<Entry>,
    stop: &CancellationToken,
) -> Result<(), mpsc::error::SendError<Entry>> {
    let entry = |happening| Entry { at: Timestamp::now(), connection, happening };
    entries.send(entry(Happening::Open { peer: peer.to_string() })).await?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            () = stop.cancelled() => break,
            read = stream.read(&mut buffer) => read,
        };
        match read {
            Ok(0) => break,
            Ok(count) => entries.send(entry(Happening::Data(buffer[..count].to_vec()))).await?,
            Err(error) => {
                tracing::warn!(%peer, %error, "read failed");
                break;
            }
        }
    }
    entries.send(entry(Happening::Close)).await
}
