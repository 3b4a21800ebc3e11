//! `rtalink demo`: the whole system on one machine.

mod files;
mod header;
mod latencies;
mod line;
mod rates;
mod screen;
mod summary;

use std::io::{ErrorKind, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::http_address::HttpAddress;
use crate::config::{self, environment};
use crate::service::{Options, Service};
use crate::simulate::feed::SimulatedFeed;
use crate::simulate::{self, Drive, SimulateSettings, SimulatedFeedSettings, TruthSink};
use crate::sources::rta::listener;
use crate::telemetry::logs;
use crate::telemetry::metrics::Metrics;
use crate::time::Timestamp;
use crate::tracker::event::Cause;
use crate::views::model::IntegrationModel;
use crate::wire::layout::builtin;

use super::output::{on_signal, runtime, stdout};
use super::positive_duration;

use self::latencies::Latencies;
use self::line::{LastEvent, Line};
use self::rates::Rates;
use self::screen::Screen;
use self::summary::Summary;

/// How long Kafka may take for the last acknowledgements.
const GRACE: Duration = Duration::from_secs(20);

/// Shows the whole system at work on this machine, with nothing else installed.
///
/// Starts an embedded Kafka cluster (librdkafka's mock cluster, the real protocol), the service and a simulated CMS, and
/// shows a live line of figures. Ends with a summary.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  rtalink demo --agents 2000 --duration 20s")]
pub(super) struct Args {
    /// Number of agents.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    agents: u32,
    /// Time between two snapshots.
    #[arg(long, default_value = "3s", value_parser = positive_duration)]
    refresh: Duration,
    /// End after that time; without it, Ctrl-C ends.
    #[arg(long, value_parser = positive_duration)]
    duration: Option<Duration>,
    /// Where to serve metrics, health and the API; `localhost:PORT` is both loopback addresses [default: port 9464 of both, or
    /// another one if that is taken]
    #[arg(long, value_name = "ADDR")]
    http: Option<HttpAddress>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    logs::start("error", crate::config::model::LogFormat::Text)?;
    runtime()?.block_on(demonstrate(args))
}

async fn demonstrate(args: &Args) -> anyhow::Result<()> {
    let stop = on_signal()?;
    let directory = tempfile::Builder::new().prefix("rtalink-demo-").tempdir()?;
    let layout = Arc::new(builtin::get(files::LAYOUT).context("a built-in layout is missing")?);
    let mut feed = SimulatedFeedSettings::new(layout);
    feed.agents = usize::try_from(args.agents)?;
    feed.refresh = args.refresh;
    feed.drive = Drive::Pace(2.0);
    let agents = SimulatedFeed::new(&feed, Timestamp::now())?;
    let http = args.http.unwrap_or_else(free_http_address);
    let path = files::write(directory.path(), agents.agents(), args.refresh, http)?;

    let loaded = config::load(&path, environment::of_process());
    let Some(config) = loaded.config else {
        let told: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        bail!("the demo's configuration has problems (are RTALINK__ variables set?)\n{}", told.join("\n"));
    };
    feed.listener = (&config.integrations[0].settings).into();
    let latencies = Latencies::new()?;
    let options = Options { file: path, latencies: Some(latencies.sink()), stop: stop.clone(), reloads: None };
    let service = Service::start(config, options, Metrics::new()?)
        .await
        .context("the demo cannot start (HTTP elsewhere: --http localhost:0)")?;
    let (_, cms) = service.feed_addresses().into_iter().next().context("the demo has no feed")?;
    header::write(&service, cms, args.agents)?;

    let settings = SimulateSettings {
        target: cms.to_string(),
        feed,
        duration: args.duration,
        give_up_after: Some(Duration::from_secs(10)),
        truth: TruthSink::Nowhere,
    };
    let simulated = CancellationToken::new();
    let simulation = tokio::spawn(simulate::run(settings, simulated.clone()));
    let begin = Instant::now();
    let mut live = Live { service: &service, latencies: &latencies, begin, rates: Rates::new(args.refresh) };
    let mut screen = Screen::new();
    let mut line = None;
    let step = live.rates.step();
    let mut looks = tokio::time::interval_at((begin + step / 2).into(), step);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut resized = signal(SignalKind::window_change())?;
    let mut ended = std::pin::pin!(simulation);
    let sent = loop {
        tokio::select! {
            sent = &mut ended => break sent??,
            () = stop.cancelled(), if !simulated.is_cancelled() => simulated.cancel(),
            _ = looks.tick() => screen.show(line.insert(live.line())),
            _ = resized.recv() => line.iter().for_each(|line| screen.resized(line)),
        }
    };
    screen.end();
    // What the CMS has sent is still on its way through the service.
    let arrived = Instant::now() + GRACE;
    while figures(&service).records < sent.records && Instant::now() < arrived {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let figures = figures(&service);
    let drained = service.drain(GRACE).await;
    // The demo's store goes with it: what is only there is lost.
    let lost = drained.unwritten + drained.kept.values().sum::<usize>();
    let took = begin.elapsed();
    let (snapshots, agents) = (sent.snapshots, args.agents);
    let summary = Summary { took, snapshots, agents, figures, lost, latencies: &latencies };
    write!(stdout(), "{summary}")?;
    if lost > 0 {
        bail!("{lost} message(s) were not acknowledged");
    }
    Ok(())
}

/// Port 9464, or any other if somebody has that one, which is said.
fn free_http_address() -> HttpAddress {
    const USUAL: u16 = 9464;
    let usual = HttpAddress::Localhost(USUAL);
    let first = usual.first();
    let is_taken = |address| listener::probe(address).is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
    if is_taken(first) || is_taken(HttpAddress::beside(first)) {
        let _ = writeln!(std::io::stderr(), "port {USUAL} is taken: HTTP gets another one");
        return HttpAddress::Localhost(0);
    }
    usual
}

/// Figures at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    records: u64,
    events: u64,
    causes: [u64; Cause::ALL.len()],
}

fn figures(service: &Service) -> Figures {
    let integrations = service.model().read();
    integrations.iter().fold(Figures::default(), |sum, integration| Figures {
        records: sum.records + integration.feed.figures.totals.records.all(),
        events: sum.events + integration.feed.figures.totals.events,
        causes: std::array::from_fn(|cause| sum.causes[cause] + integration.causes[cause]),
    })
}

/// The demo while it runs.
#[derive(Debug)]
struct Live<'a> {
    service: &'a Service,
    latencies: &'a Latencies,
    begin: Instant,
    rates: Rates,
}

impl Live<'_> {
    /// Takes a look at everything.
    fn line(&mut self) -> Line {
        let at = self.begin.elapsed();
        let Figures { records, events, .. } = figures(self.service);
        if events > 0 && self.service.pending() == 0 {
            self.latencies.first_is_over();
        }
        let integrations = self.service.model().read();
        let integration = integrations.first();
        let modes = integration.into_iter().flat_map(IntegrationModel::agents_by_mode);
        let modes: Vec<_> = modes.filter(|(mode, count)| *count > 0 && !mode.is_logged_out()).collect();
        let last = integration.and_then(|integration| integration.last_event.clone());
        Line {
            at,
            rates: self.rates.take(at, [records, events]),
            p99: self.latencies.later(0.99),
            modes: modes.into_iter().map(|(mode, count)| (mode.name(), count)).collect(),
            last: last.map(|view| LastEvent::of(&view.published)),
        }
    }
}
