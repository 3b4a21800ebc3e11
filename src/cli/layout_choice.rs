//! Which layout a command reads a feed with: that of an integration, or one by itself without a whole configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;

use crate::config;
use crate::config::model::{Config, Integration, Realtime};
use crate::tracker::settings::{FeedMode, SnapshotEnd};
use crate::wire::encoding::Encoding;
use crate::wire::layout::{Column, LayoutSpec};
use crate::wire::plan::Plan;

use super::configuration;

/// `--config` with `--integration`, `--layout` or `--layout-file`.
#[derive(Debug, clap::Args)]
pub(super) struct LayoutChoice {
    /// Configuration file.
    #[arg(long, value_name = "FILE", conflicts_with = "layout_file")]
    pub(super) config: Option<PathBuf>,
    /// Id of the integration whose feed it is.
    #[arg(long, value_name = "ID", requires = "config", conflicts_with_all = ["layout", "layout_file"])]
    pub(super) integration: Option<String>,
    /// Instead of an integration: a built-in layout, or one of --config or --layout-file.
    #[arg(long, value_name = "NAME")]
    layout: Option<String>,
    /// Instead of a configuration: a file with [layout.NAME]; --layout says which, if there are several.
    #[arg(long, value_name = "FILE")]
    layout_file: Option<PathBuf>,
}

/// What an integration would say of its feed.
#[derive(Clone, Debug, Default)]
pub(super) struct FeedOptions {
    pub(super) acd: Option<u32>,
    pub(super) time_zone: Option<String>,
    pub(super) mode: Option<FeedMode>,
    pub(super) snapshot_end: Option<SnapshotEnd>,
}

impl LayoutChoice {
    /// The layout, if one was chosen, and the integration whose it is or that has it.
    pub(super) fn layout(&self) -> anyhow::Result<Option<(Arc<LayoutSpec>, Option<Integration>)>> {
        if let (Some(file), Some(id)) = (&self.config, &self.integration) {
            let (_, integration, realtime) = configuration::integration(file, id)?;
            return Ok(Some((realtime.layout, Some(integration))));
        }
        if let Some(file) = &self.layout_file {
            return Ok(Some((self.of_file(file)?.1, None)));
        }
        self.layout.as_deref().map(|name| configuration::layout(name, self.config.as_deref())).transpose()
    }

    /// The feed of the integration; or one with the layout, and what the options and the defaults say.
    pub(super) fn feed(&self, options: &FeedOptions) -> anyhow::Result<(Config, Integration, Realtime)> {
        if let (Some(file), Some(id)) = (&self.config, &self.integration) {
            return configuration::integration(file, id);
        }
        let (name, layout) = match (&self.layout_file, &self.layout) {
            (Some(file), _) => self.of_file(file)?,
            (None, Some(name)) => (name.clone(), configuration::layout(name, self.config.as_deref())?.0),
            (None, None) => bail!("no layout: give --config with --integration, --layout or --layout-file"),
        };
        let mut config = config::least().config.context("the defaults are no configuration")?;
        let mut integration = config.integrations.pop().context("the defaults have no integration")?;
        let mut realtime = integration.realtime.take().context("the defaults have no feed")?;
        let fixed = &mut integration.settings.fixed;
        fixed.acd = options.acd.unwrap_or(fixed.acd);
        fixed.mode = options.mode.unwrap_or(fixed.mode);
        fixed.snapshot_end = options.snapshot_end.unwrap_or_else(|| likely_end(&layout));
        check(&name, &layout, fixed.mode, fixed.snapshot_end)?;
        integration.time_zone = options.time_zone.clone().unwrap_or(integration.time_zone);
        if options.time_zone.is_none() && has_local_times(&layout) {
            eprintln!("layout {name:?} has local times, taken for UTC: --time-zone says otherwise");
        }
        (realtime.layout_name, realtime.layout) = (name, layout);
        Ok((config, integration, realtime))
    }

    /// The one layout of the file, or the one of that name.
    fn of_file(&self, file: &Path) -> anyhow::Result<(String, Arc<LayoutSpec>)> {
        let (name, layout) =
            pick(of_file(file)?, self.layout.as_deref()).with_context(|| file.display().to_string())?;
        Plan::compile(&layout, "UTC").with_context(|| format!("{}: layout {name:?}", file.display()))?;
        Ok((name, layout))
    }
}

type Layouts = BTreeMap<String, Arc<LayoutSpec>>;

/// The layouts of the file; warnings go to stderr.
fn of_file(file: &Path) -> anyhow::Result<Layouts> {
    let loaded = config::load_layouts(file);
    let told: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    let Some(layouts) = loaded.layouts else { bail!("the layout has problems\n{}", told.join("\n")) };
    told.iter().for_each(|problem| eprintln!("{problem}"));
    Ok(layouts)
}

fn pick(mut layouts: Layouts, name: Option<&str>) -> anyhow::Result<(String, Arc<LayoutSpec>)> {
    let names = layouts.keys().cloned().collect::<Vec<_>>().join(", ");
    match (name, layouts.len()) {
        (_, 0) => bail!("no layout in it: expected a table [layout.NAME]"),
        (Some(name), _) => {
            let found = layouts.remove_entry(name);
            found.with_context(|| format!("no layout {name:?} in it: expected one of {names}"))
        }
        (None, 1) => layouts.pop_first().context("no layout in it"),
        (None, _) => bail!("several layouts in it: choose one with --layout: {names}"),
    }
}

/// What most probably ends a snapshot of such a feed.
fn likely_end(layout: &LayoutSpec) -> SnapshotEnd {
    if layout.marker.is_some() {
        SnapshotEnd::Marker
    } else if has_row_per_skill(layout) {
        SnapshotEnd::Idle
    } else {
        SnapshotEnd::Repeat
    }
}

fn has_row_per_skill(layout: &LayoutSpec) -> bool {
    layout.columns.iter().any(|column| column.column == Column::Skill)
}

fn has_local_times(layout: &LayoutSpec) -> bool {
    let is_local = |format: &String| !format.contains("%z") && !format.contains("%:z") && !format.contains("%s");
    layout.columns.iter().any(|column| column.format.as_ref().is_some_and(is_local))
}

/// The same that the configuration asks of an integration and its layout.
fn check(name: &str, layout: &LayoutSpec, mode: FeedMode, end: SnapshotEnd) -> anyhow::Result<()> {
    if end == SnapshotEnd::Marker && layout.marker.is_none() {
        bail!("--snapshot-end marker: layout {name:?} has no marker: use repeat or idle");
    }
    if has_row_per_skill(layout) && mode == FeedMode::Event {
        bail!(
            "--mode event: layout {name:?} has one row per agent and skill, which cannot be merged: use snapshot or delta"
        );
    }
    if has_row_per_skill(layout) && end == SnapshotEnd::Repeat {
        bail!(
            "--snapshot-end repeat: layout {name:?} has one row per agent and skill: a login id seen again ends nothing: use marker \
             or idle"
        );
    }
    Ok(())
}

/// An IANA zone.
pub(super) fn time_zone(text: &str) -> Result<String, String> {
    let is_zone = TimeZone::get(text).is_ok();
    is_zone.then(|| text.to_owned()).ok_or_else(|| "expected an IANA name such as Europe/Berlin".to_owned())
}

/// An encoding, as a layout names it.
pub(super) fn encoding(text: &str) -> Result<Encoding, String> {
    let names = || Encoding::NAMES.map(|(name, _)| name).join(", ");
    Encoding::by_name(&text.to_ascii_lowercase()).ok_or_else(|| format!("expected one of {}", names()))
}

/// What ends a snapshot, as a configuration says it.
pub(super) fn snapshot_end(text: &str) -> Result<SnapshotEnd, String> {
    match text {
        "repeat" => Ok(SnapshotEnd::Repeat),
        "idle" => Ok(SnapshotEnd::Idle),
        "marker" => Ok(SnapshotEnd::Marker),
        _ => Err("expected repeat, idle or marker".to_owned()),
    }
}

/// What absence means, as a configuration says it.
pub(super) fn mode(text: &str) -> Result<FeedMode, String> {
    match text {
        "snapshot" => Ok(FeedMode::Snapshot),
        "delta" => Ok(FeedMode::Delta),
        "event" => Ok(FeedMode::Event),
        _ => Err("expected snapshot, delta or event".to_owned()),
    }
}
