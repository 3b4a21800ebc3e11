//! `rtalink capture`: records a feed, replaces the people in a record of one, or gives its bytes back.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;

use crate::capture::CaptureEntry;
use crate::config::model::LogFormat;
use crate::telemetry::logs;
use crate::telemetry::targets::CLI;

use super::capture_file::CaptureFile;
use super::capture_live::Live;
use super::capture_output::{self, Form, Lines, Whose};
use super::dialled::Dialled;
use super::output::{on_signal, runtime, stdout};
use super::{capture_export, capture_forward, capture_lines};

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
    let mut output = Output { file: CaptureFile::new(file, path, text), lines, ready: Vec::new() };
    if let Some(input) = &args.input {
        output.copy(input)?;
        output.finish()?;
    } else if let Some(listen) = args.listen {
        let runtime = runtime()?;
        let recorded = runtime.block_on(record(listen, &args.forward, output, Live::new(ends)));
        // A look-up of a target's name that hangs is not waited for.
        runtime.shutdown_background();
        output = recorded?;
    }
    let Output { file, lines, .. } = &output;
    writeln!(stdout(), "{}: {} line(s){}", file.path().display(), file.written(), lines.summary())?;
    Ok(())
}

/// The capture as it is written.
struct Output {
    file: CaptureFile,
    lines: Lines,
    ready: Vec<CaptureEntry>,
}

impl Output {
    fn put(&mut self, entry: CaptureEntry) -> anyhow::Result<()> {
        self.lines.push(entry, &mut self.ready)?;
        self.write()
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.ready.drain(..).try_for_each(|entry| self.file.put(entry))
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.lines.finish(&mut self.ready);
        self.write()?;
        self.file.finish()
    }

    fn copy(&mut self, input: &Path) -> anyhow::Result<()> {
        let Some(encoding) = self.lines.encoding() else { bail!("--input needs --pseudonymise") };
        for entry in capture_lines::entries(input, encoding)? {
            self.put(entry?)?;
        }
        Ok(())
    }
}

async fn record(listen: SocketAddr, targets: &[Arc<str>], mut output: Output, live: Live) -> anyhow::Result<Output> {
    let dialled = Dialled::listen(listen, targets)?;
    tracing::info!(
        target: CLI, address = %dialled.address(), file = %output.file.path().display(), "recording; Ctrl-C ends"
    );
    let (mut queue, running) = dialled.run(on_signal()?);
    let live = live.start();
    let writer = tokio::task::spawn_blocking(move || -> anyhow::Result<Output> {
        while let Some(entry) = queue.blocking_recv() {
            live.take(&entry);
            output.put(entry)?;
            if queue.is_empty() {
                output.file.flush()?;
            }
        }
        output.finish()?;
        Ok(output)
    });
    running.await;
    writer.await?
}
