//! Where a capture goes, and whether it holds people or pseudonyms.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::capture::CaptureEntry;
use crate::capture::pseudonym::Pseudonyms;
use crate::capture::pseudonymise::Pseudonymiser;
use crate::config::model::Integration;
use crate::service::captures;
use crate::telemetry::targets::CLI;
use crate::time::Timestamp;
use crate::wire::encoding::Encoding;
use crate::wire::framing::Ends;
use crate::wire::layout::{Framing, LayoutSpec, MOST_MAX_RECORD};
use crate::wire::plan::Plan;

use super::configuration;
use super::layout_choice::{self, LayoutChoice};

/// Whose feed it is, and what becomes of the people in it.
#[derive(Debug, clap::Args)]
pub(super) struct Whose {
    #[command(flatten)]
    which: LayoutChoice,
    /// Encoding of the feed: chunks that are text in it are written as text. Unless given, the layout's; UTF-8 without a layout.
    #[arg(long, value_name = "NAME", value_parser = layout_choice::encoding)]
    encoding: Option<Encoding>,
    /// Replace login ids, names, extensions and locations by pseudonyms, and what is not known by filler.
    #[arg(long, requires = "key_file")]
    pseudonymise: bool,
    /// Key of the pseudonyms; made where it is missing. The same key gives the same person the same pseudonym.
    #[arg(long, value_name = "FILE", requires = "pseudonymise")]
    key_file: Option<PathBuf>,
}

/// How entries become lines of a file, and which bytes are text in it.
pub(super) struct Form {
    pub(super) lines: Lines,
    pub(super) text: Encoding,
    /// How the feed ends its lines, to count them.
    pub(super) ends: Ends,
}

/// How entries become lines.
pub(super) enum Lines {
    AsTheyCome,
    Pseudonymised { pseudonymiser: Box<Pseudonymiser>, encoding: Encoding },
}

impl Lines {
    pub(super) fn push(&mut self, entry: CaptureEntry, out: &mut Vec<CaptureEntry>) -> anyhow::Result<()> {
        match self {
            Self::AsTheyCome => out.push(entry),
            Self::Pseudonymised { pseudonymiser, .. } => pseudonymiser.push(entry, out)?,
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<CaptureEntry>) {
        if let Self::Pseudonymised { pseudonymiser, .. } = self {
            pseudonymiser.finish(out);
        }
    }

    /// That of the layout.
    pub(super) const fn encoding(&self) -> Option<Encoding> {
        match self {
            Self::AsTheyCome => None,
            Self::Pseudonymised { encoding, .. } => Some(*encoding),
        }
    }

    /// What became of the records.
    pub(super) fn summary(&self) -> String {
        let Self::Pseudonymised { pseudonymiser, .. } = self else { return String::new() };
        let counts = pseudonymiser.counts();
        format!(
            "; records pseudonymised {}, invalid and filled {}, other lines filled {}, changed {}",
            counts.records, counts.broken, counts.lines, counts.changed
        )
    }
}

impl Whose {
    /// What the options say of the file.
    pub(super) fn form(&self) -> anyhow::Result<Form> {
        let layout = self.which.layout()?;
        let spec = layout.as_ref().map(|(spec, _)| spec);
        let text = self.encoding.or(spec.map(|spec| spec.encoding)).unwrap_or(Encoding::Utf8);
        let ends = spec.map_or_else(
            || Ends::new(Framing::Terminator(b"\n".to_vec()), MOST_MAX_RECORD),
            |spec| Ends::new(spec.framing.clone(), spec.max_record),
        );
        Ok(Form { lines: self.lines(layout)?, text, ends })
    }

    fn lines(&self, layout: Option<(Arc<LayoutSpec>, Option<Integration>)>) -> anyhow::Result<Lines> {
        let Some(key_file) = self.key_file.as_ref().filter(|_| self.pseudonymise) else {
            return Ok(Lines::AsTheyCome);
        };
        let Some((layout, integration)) = layout else {
            bail!(
                "--pseudonymise needs the layout: --config FILE with --integration ID, --layout NAME or --layout-file FILE"
            )
        };
        // Times stay as they are, in whatever zone.
        let time_zone = integration.map_or_else(|| "UTC".to_owned(), |integration| integration.time_zone);
        let plan = Plan::compile(&layout, &time_zone)?;
        let (pseudonyms, is_new) =
            Pseudonyms::from_file(key_file).with_context(|| format!("key file {}", key_file.display()))?;
        if is_new {
            tracing::info!(
                target: CLI, file = %key_file.display(), "a new key: whoever has it can find out who somebody is, keep it apart"
            );
        }
        let encoding = layout.encoding;
        Ok(Lines::Pseudonymised { pseudonymiser: Box::new(Pseudonymiser::new(plan, pseudonyms)), encoding })
    }
}

/// The file, for its owner alone.
pub(super) fn create(whose: &Whose, output: Option<&Path>, append: bool) -> anyhow::Result<(File, PathBuf)> {
    let path = match output {
        Some(path) => path.to_owned(),
        None => in_folder(whose)?,
    };
    let mut options = OpenOptions::new();
    let options = if append { options.append(true).create(true) } else { options.write(true).create_new(true) };
    let file = options
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot create {} (--append goes on with a file)", path.display()))?;
    Ok((file, path))
}

fn in_folder(whose: &Whose) -> anyhow::Result<PathBuf> {
    let folder =
        whose.which.config.as_deref().map(configuration::valid).transpose()?.and_then(|config| config.privacy.captures);
    let folder = folder.context("no --output, and [privacy] of the configuration has no captures")?;
    let integration =
        whose.which.integration.as_deref().context("without --output, --integration ID is needed for the name")?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    Ok(folder.join(captures::file_name(integration, Timestamp::now(), whose.pseudonymise)))
}
