//! `rtalink inspect --listen`: looks at a live feed until it is sure.
//!
//! What comes is kept in memory, up to the bound of a capture, and looked at again and again at growing distances on a thread of
//! its own: nothing waits for a look. Failure policy: a look that finds nothing is followed by another one.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::capture::{CaptureEntry, Happening};
use crate::config::model::LogFormat;
use crate::inspect::{Feed, Inspection, Step, inspect};
use crate::telemetry::logs;
use crate::telemetry::targets::CLI;
use crate::wire::encoding::Encoding;

use super::capture_file::CaptureFile;
use super::dialled::Dialled;
use super::output::{on_signal, runtime};

/// Bytes of a feed that are enough: more would only take longer.
pub(super) const ENOUGH: usize = 64 * 1024 * 1024;

/// From the first byte to the first look, and at most from one to the next.
const FIRST_LOOK: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// Where the feed comes from, and what else becomes of it.
pub(super) struct LiveFeed<'a> {
    pub(super) listen: SocketAddr,
    pub(super) forward: &'a [Arc<str>],
    pub(super) output: Option<&'a Path>,
    pub(super) duration: Option<Duration>,
}

/// What has come so far.
#[derive(Default)]
struct Come {
    feed: Feed,
    bytes: usize,
    is_cut: bool,
}

impl Come {
    fn take(&mut self, entry: &CaptureEntry) {
        if let Happening::Data(bytes) = &entry.happening {
            self.is_cut |= self.bytes + bytes.len() > ENOUGH;
            self.bytes += bytes.len();
        }
        if !self.is_cut {
            self.feed.take(entry);
        }
    }
}

/// Looks at a feed until it is sure, or told to end. `steps` are read anew for each look.
pub(super) fn feed(
    live: &LiveFeed<'_>,
    steps: impl Fn() -> anyhow::Result<Vec<Step>> + Send + 'static,
) -> anyhow::Result<Feed> {
    logs::start("info", LogFormat::Text)?;
    let file = live.output.map(create).transpose()?;
    let runtime = runtime()?;
    let feed = runtime.block_on(async {
        let dialled = Dialled::listen(live.listen, live.forward)?;
        tracing::info!(target: CLI, address = %dialled.address(), "looking at what comes; Ctrl-C ends with what is known");
        let stop = on_signal()?;
        let (queue, running) = dialled.run(stop.clone());
        let come = Arc::new(Mutex::new(Come::default()));
        let taken = Arc::clone(&come);
        let taking = tokio::task::spawn_blocking(move || take(queue, &taken, file));
        let looking = tokio::spawn(look_until_sure(Arc::clone(&come), steps, stop.clone()));
        if let Some(duration) = live.duration {
            let ends = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(duration).await;
                ends.cancel();
            });
        }
        running.await;
        // Without anybody who takes it there is nothing more to look at.
        stop.cancel();
        taking.await??;
        looking.await?;
        anyhow::Ok(std::mem::take(&mut come.lock().feed))
    });
    // A look-up of a target's name that hangs is not waited for.
    runtime.shutdown_background();
    feed
}

fn create(path: &Path) -> anyhow::Result<CaptureFile> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.with_context(|| format!("cannot create {}", path.display()))?;
    Ok(CaptureFile::new(file, PathBuf::from(path), Encoding::Utf8))
}

/// Takes what comes, and writes it down.
fn take(
    mut queue: tokio::sync::mpsc::Receiver<CaptureEntry>,
    come: &Mutex<Come>,
    mut file: Option<CaptureFile>,
) -> anyhow::Result<()> {
    while let Some(entry) = queue.blocking_recv() {
        if let Happening::Open { peer, .. } = &entry.happening {
            tracing::info!(target: CLI, %peer, "connected");
        }
        come.lock().take(&entry);
        let Some(file) = &mut file else { continue };
        file.put(entry)?;
        if queue.is_empty() {
            file.flush()?;
        }
    }
    file.as_mut().map_or(Ok(()), CaptureFile::finish)
}

async fn look_until_sure(
    come: Arc<Mutex<Come>>,
    steps: impl Fn() -> anyhow::Result<Vec<Step>> + Send + 'static,
    stop: CancellationToken,
) {
    let mut wait = FIRST_LOOK;
    let mut layout_before = None;
    let mut seen = 0;
    while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        let (feed, bytes, is_cut) = {
            let come = come.lock();
            (come.feed.clone(), come.bytes, come.is_cut)
        };
        if bytes == seen {
            let waits_for = if bytes == 0 { "nothing has come yet" } else { "nothing more has come" };
            tracing::info!(target: CLI, bytes, "{waits_for}");
            continue;
        }
        seen = bytes;
        let known = match steps() {
            Ok(steps) => steps,
            Err(error) => {
                tracing::warn!(target: CLI, error = format!("{error:#}"), "the steps cannot be read: they are left out");
                Vec::new()
            }
        };
        let Ok(found) = tokio::task::spawn_blocking(move || inspect(&feed, &known)).await else { return };
        let layout = match found {
            Ok(found) => {
                // Without its remarks, whose figures grow with the feed.
                let layout = found.layout.clone();
                let is_the_same = layout.is_some() && layout == layout_before;
                if tell(&found, bytes, is_the_same) || is_cut {
                    return stop.cancel();
                }
                layout
            }
            Err(error) => {
                tracing::info!(target: CLI, bytes, %error, "nothing is known yet");
                if is_cut {
                    return stop.cancel();
                }
                None
            }
        };
        layout_before = layout;
        wait = (wait * 3 / 2).min(LONGEST);
    }
}

/// Logs what is known, and returns whether that is enough.
fn tell(found: &Inspection, bytes: usize, is_the_same: bool) -> bool {
    let mut doubts = found.doubts();
    if doubts.is_empty() && !is_the_same {
        doubts.push("another look has to find the same".to_owned());
    }
    let fields: Vec<&str> =
        found.columns.iter().filter(|column| column.in_layout).map(|column| &*column.field).collect();
    let fields = fields.into_iter().filter(|field| *field != "-").collect::<Vec<_>>().join(",");
    let (snapshots, agents) = (found.snapshots.count, found.snapshots.agents);
    if doubts.is_empty() {
        tracing::info!(target: CLI, bytes, snapshots, agents, fields, "sure");
        return true;
    }
    tracing::info!(target: CLI, bytes, snapshots, agents, fields, doubts = doubts.join("; "), "not sure yet");
    false
}
