//! `rtalink simulate`: plays the CMS.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::model::LogFormat;
use crate::simulate::{self, Drive, Scenario, SimulateSettings, SimulatedFeedSettings, TruthSink};
use crate::telemetry::logs;
use crate::telemetry::targets::CLI;

use super::output::{on_signal, runtime, stdout};
use super::{configuration, positive_duration};

/// Plays the CMS: dials in and streams snapshots of a plausible shift until Ctrl-C or the duration is over.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  rtalink simulate --connect 127.0.0.1:7001 --layout cisco-icm-20 --agents 200 --scenario shift-start"
)]
pub(super) struct Args {
    /// Where the service listens.
    #[arg(long, value_name = "ADDR")]
    connect: String,
    /// Built-in layout, or one of the configuration.
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
    /// What happens: shift, shift-start, reskill, breaks-by-logout, link-outage, twin-takeover, garbage.
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
    let mut feed = feed(&args)?;
    feed.agents = usize::try_from(args.agents)?;
    feed.refresh = args.refresh;
    feed.seed = args.seed;
    feed.scenario = args.scenario;
    feed.drive = args.change_share.map_or(Drive::Pace(args.pace), Drive::ChangeShare);
    let settings = SimulateSettings {
        target: args.connect,
        feed,
        duration: args.duration,
        give_up_after: None,
        truth: args.truth.map_or(TruthSink::Nowhere, TruthSink::File),
    };
    let summary = runtime()?.block_on(async { anyhow::Ok(simulate::run(settings, on_signal()?).await?) })?;
    serde_json::to_writer(stdout(), &summary).map_err(std::io::Error::from)?;
    writeln!(stdout())?;
    Ok(())
}

fn feed(args: &Args) -> anyhow::Result<SimulatedFeedSettings> {
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
