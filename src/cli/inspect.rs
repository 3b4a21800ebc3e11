//! `rtalink inspect`: finds the layout of a recorded feed.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::capture::Happening;
use crate::inspect::{self, Feed, Inspection, Step};
use crate::wire::encoding::Encoding;

use super::capture_lines;
use super::feed_input::FeedInput;
use super::output::stdout;

/// Bytes of a feed that are enough: more would only take longer.
const ENOUGH: usize = 64 * 1024 * 1024;

/// Finds the layout of a recorded feed, and writes one to start from.
///
/// Takes a capture or raw bytes. Each column is named with the evidence; the layout is tried on the whole feed at once, and what does
/// not fit is shown. What a site calls its states often cannot be seen: let somebody go through them, and write down when
/// (--steps). The output may show login ids and names.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  rtalink inspect monday.capture --steps steps.csv --layout-file acme.toml\n\nSteps are a CSV file with the header time,login_id,step. Times are RFC 3339; steps are login, aux 1 (or another\nnumber), available, ring, call in, hold, call out, acw, direct call, direct acw and logout."
)]
pub(super) struct Args {
    /// A capture, or the bytes of a feed as they came; - for stdin.
    capture: PathBuf,
    /// What an agent did on purpose, and when.
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
    let feed = read(&args.capture)?;
    let steps = args.steps.as_deref().map(steps).transpose()?.unwrap_or_default();
    let found = inspect::inspect(&feed, &steps).with_context(|| args.capture.display().to_string())?;
    let layout = found.layout_text(&args.name);
    if let (Some(path), Some(layout)) = (&args.layout_file, &layout) {
        let mut file = File::create_new(path).with_context(|| format!("cannot create {}", path.display()))?;
        file.write_all(layout.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    }
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
    if layout.is_none() {
        bail!(
            "no layout: a column of login ids or of states was not found. Record more of the feed, with changes in it"
        );
    }
    Ok(())
}

fn steps(path: &Path) -> anyhow::Result<Vec<Step>> {
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
