//! `rtalink capture`: records a feed, replaces the people in a record of one, or gives its bytes back.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capture::{CaptureEntry, Happening};
use crate::config::model::LogFormat;
use crate::sources::rta::listener::{Bound, MAX_CONNECTIONS, bind};
use crate::telemetry::logs;
use crate::telemetry::targets::CLI;
use crate::time::Timestamp;
use crate::wire::encoding::Encoding;

use super::capture_forward::{self, Forwarding};
use super::capture_live::Live;
use super::capture_output::{self, Form, Lines, Whose};
use super::output::{on_signal, runtime, stdout};
use super::{capture_export, capture_lines};

/// Chunks that may wait for the disk before the sockets wait.
const QUEUE: usize = 256;

/// Records a feed as a capture, with the times of receipt, until Ctrl-C.
///
/// Every connection is recorded; from the second on its lines carry "conn". A capture holds personal data: --pseudonymise replaces
/// login ids, names and extensions by a key, as they come or, with --input, in a capture that exists.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example:\n  rtalink capture --listen 0.0.0.0:7001 --output monday.capture\n  rtalink capture --listen 0.0.0.0:7001 --output monday.capture --forward cloudlink.example:7001\n  rtalink capture --input monday.capture --output monday-pseudonymised.capture --pseudonymise --key-file capture.key --layout cisco-icm-20\n  rtalink capture export monday.capture --output monday.bin"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Address and port that CMS dials.
    #[arg(long, value_name = "ADDR", required_unless_present = "input")]
    listen: Option<SocketAddr>,
    /// A capture to be pseudonymised instead.
    #[arg(long, value_name = "CAPTURE", conflicts_with = "listen", requires = "pseudonymise")]
    input: Option<PathBuf>,
    /// File to write; must not exist, unless --append is given. Without, a new one in the folder [privacy] captures.
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    output: Option<PathBuf>,
    /// Go on with a file that exists.
    #[arg(long, requires = "output")]
    append: bool,
    /// Send every byte on to this target too, such as the tool that CMS fed before; may be given several times.
    #[arg(long, value_name = "HOST:PORT", value_parser = capture_forward::target, conflicts_with = "input")]
    forward: Vec<Arc<str>>,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Export(capture_export::Args),
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(Command::Export(args)) = &args.command {
        return capture_export::run(args);
    }
    logs::start("info", LogFormat::Text)?;
    let Form { lines, text, ends } = args.whose.form()?;
    let (file, path) = capture_output::create(&args.whose, args.output.as_deref(), args.append)?;
    let mut output = Output { file: BufWriter::new(file), path, lines, text, written: 0, ready: Vec::new() };
    if let Some(input) = &args.input {
        output.copy(input)?;
        output.finish()?;
    } else if let Some(listen) = args.listen {
        output = runtime()?.block_on(record(listen, &args.forward, output, Live::new(ends)))?;
    }
    let (path, written) = (output.path.display(), output.written);
    writeln!(stdout(), "{path}: {written} line(s){}", output.lines.summary())?;
    Ok(())
}

/// The capture as it is written.
struct Output {
    file: BufWriter<File>,
    path: PathBuf,
    lines: Lines,
    /// What is text in this encoding is written as text.
    text: Encoding,
    written: u64,
    ready: Vec<CaptureEntry>,
}

impl Output {
    fn put(&mut self, entry: CaptureEntry) -> anyhow::Result<()> {
        self.lines.push(entry, &mut self.ready)?;
        self.write()
    }

    fn write(&mut self) -> anyhow::Result<()> {
        for mut entry in self.ready.drain(..) {
            if let Happening::Open { encoding, .. } = &mut entry.happening {
                *encoding = Some(self.text);
            }
            writeln!(self.file, "{}", entry.to_line_in(self.text)?).with_context(|| cannot_write(&self.path))?;
            self.written += 1;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.file.flush().with_context(|| cannot_write(&self.path))
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.lines.finish(&mut self.ready);
        self.write()?;
        self.flush()?;
        self.file.get_ref().sync_all().with_context(|| cannot_write(&self.path))
    }

    fn copy(&mut self, input: &Path) -> anyhow::Result<()> {
        let Some(encoding) = self.lines.encoding() else { bail!("--input needs --pseudonymise") };
        for entry in capture_lines::entries(input, encoding)? {
            self.put(entry?)?;
        }
        Ok(())
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

async fn record(listen: SocketAddr, targets: &[Arc<str>], mut output: Output, live: Live) -> anyhow::Result<Output> {
    let listener = bind(listen)
        .and_then(Bound::listen)
        .with_context(|| format!("cannot listen on {listen}: choose another port"))?;
    tracing::info!(
        target: CLI, address = %listener.local_addr()?, file = %output.path.display(), "recording; Ctrl-C ends"
    );
    let stop = on_signal()?;
    let (entries, mut queue) = mpsc::channel::<CaptureEntry>(QUEUE);
    let live = live.start();
    let writer = tokio::task::spawn_blocking(move || -> anyhow::Result<Output> {
        while let Some(entry) = queue.blocking_recv() {
            live.take(&entry);
            output.put(entry)?;
            if queue.is_empty() {
                output.flush()?;
            }
        }
        output.finish()?;
        Ok(output)
    });
    let forward = Arc::new(Forwarding::start(targets, listener.local_addr()?.port()));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (mut connections, followers) = (0, TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            () = entries.closed() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(target: CLI, %error, "accept failed");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(target: CLI, %peer, most = MAX_CONNECTIONS, "connection refused: too many are open");
            continue;
        };
        let (entries, stop, forward) = (entries.clone(), stop.clone(), Arc::clone(&forward));
        followers.spawn(async move {
            forward.opened(connections);
            // The writer's own error is what is told.
            let _ = follow(stream, peer, connections, &entries, &forward, &stop).await;
            forward.closed(connections);
            drop(place);
        });
        connections += 1;
    }
    drop(entries);
    let written = writer.await?;
    followers.close();
    followers.wait().await;
    forward.finish().await;
    written
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
