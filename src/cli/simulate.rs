//! `rtalink simulate`: plays the CMS.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::config::model::LogFormat;
use crate::inspect::text::{self, Remarks};
use crate::simulate::script::Script;
use crate::simulate::{
    self, DialSummary, Drive, RandomLayout, Recording, Scenario, SimulateSettings, SimulatedFeedSettings, TruthSink,
};
use crate::telemetry::logs;
use crate::telemetry::targets::CLI;
use crate::time::Timestamp;

use super::output::{on_signal, runtime, stdout};
use super::{configuration, positive_duration};

/// The layout that is drawn instead of named.
const RANDOM: &str = "random";

/// When a shift begins that is recorded: 2026-01-05T09:00:00Z, always, so that a seed makes one capture.
const START: Timestamp = Timestamp::from_millis(1_767_603_600_000);

/// Plays the CMS: dials in and streams snapshots of a plausible shift until Ctrl-C or the duration is over.
///
/// With --output nothing is dialled: a capture is written in simulated time, at once.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  rtalink simulate --connect 127.0.0.1:7001 --layout cisco-icm-20 --agents 200 --scenario shift-start\n  rtalink simulate --layout random --seed 7 --output seven.capture --duration 10m"
)]
pub(super) struct Args {
    /// Where the service listens.
    #[arg(long, value_name = "ADDR", required_unless_present_any = ["output", "print_layout"])]
    connect: Option<String>,
    /// Write a capture instead, of --duration in simulated time; the file must not exist.
    #[arg(long, value_name = "CAPTURE", conflicts_with = "connect", requires = "duration")]
    output: Option<PathBuf>,
    /// Let one agent go through all states, and write when to this file, for `rtalink inspect --steps`.
    #[arg(long, value_name = "FILE", requires = "output")]
    steps: Option<PathBuf>,
    /// Print the layout as configuration, and nothing else.
    #[arg(long, conflicts_with_all = ["connect", "output"])]
    print_layout: bool,
    /// Built-in layout, one of the configuration, or "random": drawn by the seed.
    #[arg(long, value_name = "NAME")]
    layout: String,
    /// Configuration with the layout; its integration with that layout, if any, gives ACD, time zone and details.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Number of agents.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    agents: u32,
    /// Time between two snapshots.
    #[arg(long, default_value = "3s", value_parser = positive_duration)]
    refresh: Duration,
    /// End after that time.
    #[arg(long, value_parser = positive_duration)]
    duration: Option<Duration>,
    /// Another seed is another shift; the same one the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What happens: shift, shift-start, reskill, breaks-by-logout, link-outage, twin-takeover, garbage, two-acds, dst-night, empty-night.
    #[arg(long, value_name = "NAME", default_value = "shift")]
    scenario: Scenario,
    /// How much faster than in life the agents change; 1 changes some 3 % of them in a refresh of 3 s.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, conflicts_with = "change_share")]
    pace: f64,
    /// Instead: exactly this share of the agents, 0 to 1, changes between two snapshots, and everybody is logged in.
    #[arg(long, value_name = "SHARE")]
    change_share: Option<f64>,
    /// Write the true transitions to this file, as JSON lines.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    logs::start("info", LogFormat::Text)?;
    if args.print_layout {
        return print_layout(&args);
    }
    let mut feed = feed(&args)?;
    feed.agents = usize::try_from(args.agents)?;
    feed.refresh = args.refresh;
    feed.seed = args.seed;
    feed.scenario = args.scenario;
    if feed.scenario.start().is_some() && args.output.is_none() {
        bail!("{}: that night is over; record it with --output, and replay it", feed.scenario);
    }
    feed.drive = args.change_share.map_or(Drive::Pace(args.pace), Drive::ChangeShare);
    let summary = match (args.output, args.connect, args.duration) {
        (Some(output), _, Some(duration)) => {
            record(feed, &output, duration, args.steps.as_deref(), args.truth.as_deref())?
        }
        (_, connect, duration) => {
            let settings = SimulateSettings {
                target: connect.unwrap_or_default(),
                feed,
                duration,
                give_up_after: None,
                truth: args.truth.map_or(TruthSink::Nowhere, TruthSink::File),
            };
            runtime()?.block_on(async { anyhow::Ok(simulate::run(settings, on_signal()?).await?) })?
        }
    };
    serde_json::to_writer(stdout(), &summary).map_err(std::io::Error::from)?;
    writeln!(stdout())?;
    Ok(())
}

/// Writes the capture, and what belongs to it.
fn record(
    mut feed: SimulatedFeedSettings,
    output: &Path,
    duration: Duration,
    steps: Option<&Path>,
    truth: Option<&Path>,
) -> anyhow::Result<DialSummary> {
    let start = feed.scenario.start().unwrap_or(START);
    let create = |path: &Path| File::create_new(path).with_context(|| format!("cannot create {}", path.display()));
    if steps.is_some() {
        // A refresh before the first step, and the same after the last.
        let each = (duration / (Script::len() + 2)).max(feed.refresh);
        feed.script = Some(Script::through_all(start.plus(each), each));
    }
    let mut recording = Recording::new(&feed, start, duration)?;
    let mut file = BufWriter::new(create(output)?);
    let cannot_write = || format!("cannot write {}", output.display());
    while let Some(entries) = recording.refresh() {
        for entry in entries {
            writeln!(file, "{}", entry.to_line_in(feed.layout.encoding)?).with_context(cannot_write)?;
        }
    }
    file.flush().with_context(cannot_write)?;
    if let (Some(path), Some(script), Some(agent)) = (steps, &feed.script, recording.stream().feed().agents().last()) {
        fs::write(path, script.to_csv(&agent.login_id)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = truth {
        let mut file = BufWriter::new(create(path)?);
        for transition in recording.truth() {
            writeln!(file, "{}", serde_json::to_string(transition)?)?;
        }
        file.flush().with_context(|| format!("cannot write {}", path.display()))?;
    }
    let counts = recording.counts();
    let transitions: BTreeMap<_, _> = recording.stream().transitions().clone();
    Ok(DialSummary {
        snapshots: counts.snapshots,
        records: counts.records,
        garbage_lines: counts.garbage_lines,
        bytes: recording.bytes(),
        transitions,
        reconnects: 0,
    })
}

/// Prints the layout that would be written.
fn print_layout(args: &Args) -> anyhow::Result<()> {
    let mut remarks = Remarks::default();
    let (name, spec) = if args.layout == RANDOM {
        let random = RandomLayout::draw(args.seed);
        remarks.head.push(format!("[[integration]] time_zone = {:?}", random.time_zone));
        remarks.head.push(format!("[integration.realtime] snapshot_end = {:?}", random.snapshot_end_name()));
        (format!("random-{}", args.seed), random.spec)
    } else {
        let (layout, _) = configuration::layout(&args.layout, args.config.as_deref())?;
        (args.layout.clone(), (*layout).clone())
    };
    write!(stdout(), "{}", text::layout(&name, &spec, &remarks))?;
    Ok(())
}

fn feed(args: &Args) -> anyhow::Result<SimulatedFeedSettings> {
    if args.layout == RANDOM {
        return Ok(RandomLayout::draw(args.seed).feed());
    }
    let (layout, integration) = configuration::layout(&args.layout, args.config.as_deref())?;
    let mut feed = SimulatedFeedSettings::new(layout);
    if let Some(integration) = integration {
        if integration.settings.thresholds.shortest_refresh_is_too_long_for(args.refresh) {
            let (shortest_refresh, refresh) = (integration.settings.thresholds.shortest_refresh, args.refresh);
            tracing::warn!(
                target: CLI, integration = %integration.id, ?shortest_refresh, ?refresh,
                "the integration may merge refreshes that are so short: lower its shortest_refresh, or raise --refresh"
            );
        }
        feed.listener = (&integration.settings).into();
        feed.acd = integration.settings.fixed.acd;
        feed.time_zone = integration.time_zone;
    }
    Ok(feed)
}
