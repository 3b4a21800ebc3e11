//! `rtalink run`: the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::model::Config;
use crate::http::reload::{MOST_RELOADS, ReloadRequest};
use crate::service::{Options, Service};
use crate::telemetry::logs::{self, LogLevel};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::targets::RUN;

use super::output::{on_signal, runtime};
use super::{configuration, reloading};

/// Runs the service.
///
/// SIGTERM or SIGINT: takes no more bytes, publishes what has come within `shutdown_grace` and keeps the rest in the store
/// for the next start, exits 0; 1 if the store could not be written. SIGHUP, or `rtalink reload`: takes new layouts, mappings, allow-lists,
/// certificates, thresholds and the log level without closing a socket; starts integrations that are new, ends those that are
/// gone, and starts again those whose port, mode, ACD or details have changed, while the others go on; names in a WARN what
/// needs a restart.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  rtalink run --config rtalink.toml")]
pub(super) struct Args {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let loaded = configuration::for_service(&args.config);
    let log_level = logs::start(&loaded.log.level, loaded.log.format)?;
    let config =
        configuration::valid_of(loaded, |warning| tracing::warn!(target: RUN, "configuration: {}", warning.line()))?;
    let runtime = runtime()?;
    let ended = runtime.block_on(serve(args, config, log_level));
    // Whoever hangs at a disk is not waited for.
    runtime.shutdown_background();
    ended
}

async fn serve(args: &Args, config: Config, log_level: &LogLevel) -> anyhow::Result<()> {
    let stop = on_signal()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let grace = config.shutdown_grace;
    let (reloads, mut asked) = tokio::sync::mpsc::channel(MOST_RELOADS);
    let options = Options { file: args.config.clone(), latencies: None, stop: stop.clone(), reloads: Some(reloads) };
    let start = Service::begin(config, options, Metrics::new()?);
    let given_up = async {
        stop.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    let started = tokio::select! {
        started = start => started,
        () = given_up => {
            tracing::error!(
                target: RUN, "stopped before the start was over, which hangs: look at the disk of the store"
            );
            return Ok(());
        }
    };
    let mut service = match started {
        Ok(service) => service,
        Err(_) if stop.is_cancelled() => {
            tracing::info!(target: RUN, "stopped before the start was over");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut announced = Announced::default();
    announced.log_news(&service);
    let mut watch = service.watch_mappings();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // A reload that hangs at the disk does not keep the service from ending.
            _ = hangup.recv() => {
                drop(stop.run_until_cancelled(reloading::reload(&args.config, &mut service, log_level)).await);
            }
            news = watch.next() => {
                let _ = stop.run_until_cancelled(service.take_news(news, &watch, &args.config)).await;
            }
            Some(ReloadRequest { done }) = asked.recv() => {
                let reload = reloading::reload(&args.config, &mut service, log_level);
                if let Some(answer) = stop.run_until_cancelled(reload).await {
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(answer);
                }
            }
            started = service.next_start() => match started {
                Ok(()) => {}
                Err(_) if stop.is_cancelled() => break,
                Err(error) => {
                    let drained = service.drain(grace).await;
                    let kept: usize = drained.kept.values().sum();
                    tracing::info!(target: RUN, kept, "stopped, since an integration cannot be started");
                    return Err(error.into());
                }
            },
        }
        service.watch_again(&watch);
        announced.log_news(&service);
    }
    tracing::info!(target: RUN, pending = service.pending(), "stopping: publishing what has come");
    let drained = service.drain(grace).await;
    if drained.unwritten > 0 {
        bail!("{} message(s) could not be written to the store and are lost", drained.unwritten);
    }
    if !drained.hanging.is_empty() {
        bail!("{} did not end in time: what they had read and not handed over is lost", drained.hanging.join(", "));
    }
    let kept: usize = drained.kept.values().sum();
    tracing::info!(target: RUN, kept, "stopped: everything is acknowledged or in the store");
    Ok(())
}

/// What the log says about where the service can be found.
#[derive(Debug, Default)]
struct Announced {
    feeds: Vec<(Arc<str>, SocketAddr)>,
    is_started: bool,
}

impl Announced {
    /// Logs what is new.
    fn log_news(&mut self, service: &Service) {
        let feeds = service.feed_addresses();
        for (integration, address) in feeds.iter().filter(|feed| !self.feeds.contains(feed)) {
            tracing::info!(target: RUN, %integration, %address, "listening for CMS");
        }
        self.feeds = feeds;
        if service.is_all_there() && !std::mem::replace(&mut self.is_started, true) {
            let http = service.http_address();
            tracing::info!(
                target: RUN, %http, kafka = service.bootstrap_servers(), version = env!("CARGO_PKG_VERSION"), "started"
            );
        }
    }
}
