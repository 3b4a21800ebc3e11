//! `rtalink inspect`: finds the layout of a feed, recorded or live.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::capture::Happening;
use crate::inspect::{self, Feed, Inspection, Step};
use crate::telemetry::targets::CLI;
use crate::wire::encoding::Encoding;

use super::feed_input::FeedInput;
use super::inspect_live::{self, ENOUGH, LiveFeed};
use super::output::stdout;
use super::{capture_forward, capture_lines, positive_duration};

/// Finds the layout of a feed, and writes one to start from.
///
/// Takes a capture or raw bytes, or waits for CMS to dial (--listen). Each column is named with the evidence; the layout is tried on the whole feed at once, and what does
/// not fit is shown. What a site calls its states often cannot be seen: let somebody go through them, and write down when
/// (--steps). The output may show login ids and names.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  rtalink inspect monday.capture --steps steps.csv --layout-file acme.toml\n  rtalink inspect --listen 0.0.0.0:7001 --forward cloudlink.example:7001 --output monday.capture\n\nSteps are a CSV file with the header time,login_id,step. Times are RFC 3339; steps are login, aux 1 (or another\nnumber), available, ring, call in, hold, call out, acw, direct call, direct acw and logout."
)]
pub(super) struct Args {
    /// A capture, or the bytes of a feed as they came; - for stdin.
    #[arg(required_unless_present = "listen")]
    capture: Option<PathBuf>,
    /// Instead: address and port that CMS dials. Ends when more of the feed would hardly say more, or with Ctrl-C.
    #[arg(long, value_name = "ADDR", conflicts_with = "capture")]
    listen: Option<SocketAddr>,
    /// Send every byte on to the tool that CMS fed before; may be given several times.
    #[arg(long, value_name = "HOST:PORT", value_parser = capture_forward::target, requires = "listen")]
    forward: Vec<Arc<str>>,
    /// Write what comes as a capture too, to a file that does not exist.
    #[arg(long, value_name = "FILE", requires = "listen")]
    output: Option<PathBuf>,
    /// End after this time, sure or not.
    #[arg(long, value_name = "DURATION", value_parser = positive_duration, requires = "listen")]
    duration: Option<Duration>,
    /// What an agent did on purpose, and when; with --listen it is read again and again.
    #[arg(long, value_name = "FILE")]
    steps: Option<PathBuf>,
    /// Print everything as JSON, for programs.
    #[arg(long)]
    json: bool,
    /// Write the layout to this file, which must not exist, instead of printing it.
    #[arg(long, value_name = "FILE")]
    layout_file: Option<PathBuf>,
    /// What to call the layout.
    #[arg(long, value_name = "NAME", default_value = "found")]
    name: String,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    inspection: &'a Inspection,
    /// As configuration spells it.
    layout: Option<&'a str>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(path) = args.layout_file.as_deref().filter(|path| path.exists()) {
        bail!("{} exists already: choose another name for --layout-file, or remove it", path.display());
    }
    let path = args.steps.clone();
    let steps = move || Ok(path.as_deref().map(read_steps).transpose()?.unwrap_or_default());
    let known: Vec<Step> = steps()?;
    let (feed, name, known) = match (args.listen, &args.capture) {
        (Some(listen), _) => {
            let Args { forward, output, duration, .. } = args;
            let live = LiveFeed { listen, forward, output: output.as_deref(), duration: *duration };
            let feed = inspect_live::feed(&live, steps.clone())?;
            let known = steps().unwrap_or_else(|error: anyhow::Error| {
                tracing::warn!(target: CLI, error = format!("{error:#}"), "the steps cannot be read: they are left out");
                Vec::new()
            });
            (feed, listen.to_string(), known)
        }
        (None, Some(capture)) => (read(capture)?, capture.display().to_string(), known),
        (None, None) => bail!("expected a capture, or --listen"),
    };
    let found = inspect::inspect(&feed, &known).context(name)?;
    let layout = found.layout_text(&args.name);
    if args.json {
        let whole = Whole { inspection: &found, layout: layout.as_deref() };
        serde_json::to_writer_pretty(stdout(), &whole).map_err(std::io::Error::from)?;
        writeln!(stdout())?;
    } else {
        write!(stdout(), "{}", found.to_text())?;
        if let (None, Some(layout)) = (&args.layout_file, &layout) {
            write!(stdout(), "\n{layout}")?;
        }
    }
    if let (Some(path), Some(layout)) = (&args.layout_file, &layout) {
        let mut file = File::create_new(path).with_context(|| format!("cannot create {}", path.display()))?;
        file.write_all(layout.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if layout.is_none() {
        bail!(
            "no layout: a column of login ids or of states was not found. Record more of the feed, with changes in it"
        );
    }
    Ok(())
}

fn read_steps(path: &Path) -> anyhow::Result<Vec<Step>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    inspect::parse_steps(&text).with_context(|| path.display().to_string())
}

/// Reads a capture, or raw bytes: the first line that is not empty tells which.
fn read(path: &Path) -> anyhow::Result<Feed> {
    let mut input = FeedInput::open(Some(path))?;
    if !input.is_capture()? {
        let mut bytes = Vec::new();
        let most = u64::try_from(ENOUGH)? + 1;
        input.bytes.take(most).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", input.name))?;
        tell_of_more(bytes.len() > ENOUGH);
        bytes.truncate(ENOUGH);
        return Ok(Feed::raw(&bytes));
    }
    let mut feed = Feed::default();
    let mut taken = 0;
    for entry in capture_lines::entries_of(input, Some(Encoding::Utf8)) {
        let entry = entry?;
        if let Happening::Data(bytes) = &entry.happening {
            taken += bytes.len();
        }
        if taken > ENOUGH {
            tell_of_more(true);
            break;
        }
        feed.take(&entry);
    }
    Ok(feed)
}

fn tell_of_more(is_more: bool) {
    if is_more {
        eprintln!("the first {} MiB are looked at, the rest is not", ENOUGH >> 20);
    }
}
