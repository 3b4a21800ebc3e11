//! `rtalink demo`: the whole system on one machine.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::{self, environment};
use crate::integration::metrics_bridge::LatencySink;
use crate::service::{Options, Service};
use crate::simulate::feed::SimulatedFeed;
use crate::simulate::{self, Drive, SimulateSettings, SimulatedFeedSettings, TruthSink};
use crate::telemetry::logs;
use crate::telemetry::metrics::Metrics;
use crate::time::Timestamp;
use crate::tracker::event::Cause;
use crate::wire::layout::builtin;

use super::demo_files;
use super::output::{on_signal, runtime, stdout};
use super::positive_duration;

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
    /// Where to serve metrics, health and the API.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9464")]
    http: SocketAddr,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    logs::start("error", crate::config::model::LogFormat::Text)?;
    runtime()?.block_on(demonstrate(args))
}

async fn demonstrate(args: &Args) -> anyhow::Result<()> {
    let stop = on_signal()?;
    let directory = tempfile::Builder::new().prefix("rtalink-demo-").tempdir()?;
    let layout = Arc::new(builtin::get(demo_files::LAYOUT).context("a built-in layout is missing")?);
    let mut feed = SimulatedFeedSettings::new(layout);
    feed.agents = usize::try_from(args.agents)?;
    feed.refresh = args.refresh;
    feed.drive = Drive::Pace(2.0);
    let agents = SimulatedFeed::new(&feed, Timestamp::now())?;
    let path = demo_files::write(directory.path(), agents.agents(), args.refresh, args.http)?;

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
        .context("the demo cannot start (HTTP elsewhere: --http 127.0.0.1:0)")?;
    let (_, cms) = service.feed_addresses().into_iter().next().context("the demo has no feed")?;
    announce(&service, cms)?;

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
    let mut shown = Figures::default();
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let sent = loop {
        tokio::select! {
            () = stop.cancelled() => simulated.cancel(),
            _ = every.tick() => show(&service, &latencies, &mut shown, begin),
        }
        if simulation.is_finished() {
            break simulation.await??;
        }
    };
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
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

fn announce(service: &Service, cms: SocketAddr) -> std::io::Result<()> {
    let kafka = service.bootstrap_servers();
    let http = service.http_address();
    let mut out = stdout();
    writeln!(out, "rtalink demo: a simulated CMS -> rtalink -> an embedded Kafka cluster")?;
    writeln!(out, "  feed    {cms}")?;
    writeln!(out, "  Kafka   {kafka}   (rtalink tail --bootstrap {kafka} --topic events)")?;
    writeln!(out, "  HTTP    http://{http}/metrics   http://{http}/api/v1/agents?mode=AUX")?;
    writeln!(out)?;
    out.flush()
}

/// Figures at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    logged_in: u32,
    records: u64,
    events: u64,
    causes: [u64; Cause::ALL.len()],
    at: Duration,
}

fn figures(service: &Service) -> Figures {
    let integrations = service.model().read();
    integrations.iter().fold(Figures::default(), |sum, integration| Figures {
        logged_in: sum.logged_in + integration.feed.figures.logged_in,
        records: sum.records + integration.feed.figures.totals.records.all(),
        events: sum.events + integration.feed.figures.totals.events,
        causes: std::array::from_fn(|cause| sum.causes[cause] + integration.causes[cause]),
        at: sum.at,
    })
}

fn show(service: &Service, latencies: &Latencies, shown: &mut Figures, begin: Instant) {
    let now = Figures { at: begin.elapsed(), ..figures(service) };
    if now.events > 0 && service.pending() == 0 {
        latencies.first_is_over();
    }
    let seconds = (now.at - shown.at).as_secs_f64().max(0.001);
    #[allow(clippy::cast_precision_loss)] // figures for people
    let rate = |now: u64, before: u64| (now - before) as f64 / seconds;
    let line = format!(
        "{:>4.0} s  {} agents logged in  {:>7.0} records/s  {:>6.0} events/s  p99 {}",
        now.at.as_secs_f64(),
        now.logged_in,
        rate(now.records, shown.records),
        rate(now.events, shown.events),
        latencies.later(0.99),
    );
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
    } else {
        eprintln!("{line}");
    }
    *shown = now;
}

/// Latencies of events, from the socket read to the broker's acknowledgement.
///
/// Those of the first snapshot are kept apart: everybody's state is an event then, all at once, and the producer has yet
/// to connect.
#[derive(Clone, Debug)]
struct Latencies(Arc<Mutex<Histograms>>);

#[derive(Debug)]
struct Histograms {
    first: Histogram<u64>,
    later: Histogram<u64>,
    is_later: bool,
}

impl Latencies {
    fn new() -> anyhow::Result<Self> {
        let first = Histogram::new_with_bounds(1, 600_000_000, 3)?;
        let later = first.clone();
        Ok(Self(Arc::new(Mutex::new(Histograms { first, later, is_later: false }))))
    }

    fn sink(&self) -> LatencySink {
        let histograms = Arc::clone(&self.0);
        LatencySink(Arc::new(move |_, latency| {
            let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            let mut histograms = histograms.lock();
            let Histograms { first, later, is_later } = &mut *histograms;
            if *is_later { later } else { first }.saturating_record(micros);
        }))
    }

    /// The first snapshot is over.
    fn first_is_over(&self) {
        self.0.lock().is_later = true;
    }

    fn first(&self, quantile: f64) -> Milliseconds {
        Milliseconds::of(&self.0.lock().first, quantile)
    }

    fn later(&self, quantile: f64) -> Milliseconds {
        Milliseconds::of(&self.0.lock().later, quantile)
    }
}

struct Milliseconds(Option<Duration>);

impl Milliseconds {
    fn of(histogram: &Histogram<u64>, quantile: f64) -> Self {
        let duration = Duration::from_micros(histogram.value_at_quantile(quantile));
        Self((!histogram.is_empty()).then_some(duration))
    }
}

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => write!(f, "{:.2} ms", duration.as_secs_f64() * 1e3),
            None => f.write_str("-"),
        }
    }
}

struct Summary<'a> {
    took: Duration,
    snapshots: u64,
    agents: u32,
    figures: Figures,
    lost: usize,
    latencies: &'a Latencies,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { records, events, causes, .. } = self.figures;
        writeln!(f, "{} agents, {} snapshots in {:.1} s", self.agents, self.snapshots, self.took.as_secs_f64())?;
        writeln!(f, "  records  {records}")?;
        writeln!(f, "  events   {events}")?;
        for (cause, count) in Cause::ALL.iter().zip(causes).filter(|(_, count)| *count > 0) {
            writeln!(f, "    {:<12} {count}", cause.name())?;
        }
        let [p50, p99] = [0.5, 0.99].map(|quantile| self.latencies.later(quantile));
        writeln!(f, "  latency  p50 {p50}, p99 {p99}   (socket read to Kafka's acknowledgement)")?;
        let [p50, p99] = [0.5, 0.99].map(|quantile| self.latencies.first(quantile));
        writeln!(f, "           p50 {p50}, p99 {p99}   (first snapshot: everybody at once, Kafka not yet connected)")?;
        writeln!(f, "  lost {}", self.lost)
    }
}
