//! `rtalink run`: the service.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::model::Config;
use crate::service::reload::Reloaded;
use crate::service::{Options, Service};
use crate::telemetry::logs::{self, LogLevel};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::targets::RUN;

use super::configuration;
use super::output::{on_signal, runtime};

/// Runs the service.
///
/// SIGTERM or SIGINT: takes no more bytes, publishes what has come within `shutdown_grace` and keeps the rest in the store
/// for the next start, exits 0; 1 if the store could not be written. SIGHUP: takes new layouts, mappings, allow-lists,
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
    let options = Options { file: args.config.clone(), latencies: None, stop: stop.clone() };
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
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // A reload that hangs at the disk does not keep the service from ending.
            _ = hangup.recv() => drop(stop.run_until_cancelled(reload(&args.config, &mut service, log_level)).await),
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

/// A configuration with an error is refused as a whole: what is in force stays.
async fn reload(path: &Path, service: &mut Service, log_level: &LogLevel) {
    let mut loaded = configuration::load(path);
    let out_of_date = configuration::out_of_date_warnings(&loaded);
    loaded.add(out_of_date);
    let unmapped = configuration::without_mapping(&loaded, path);
    loaded.add(unmapped);
    for problem in &loaded.problems {
        if problem.is_error() {
            tracing::error!(target: RUN, "reload: {}", problem.line());
        } else {
            tracing::warn!(target: RUN, "reload: {}", problem.line());
        }
    }
    let Some(config) = loaded.config else {
        tracing::error!(target: RUN, "reload refused: the running configuration stays in force");
        service.record_reload(true);
        return;
    };
    let level = config.log.level.clone();
    let reloaded = service.reload(config, path).await;
    service.record_reload(reloaded.is_err());
    match reloaded {
        Ok(Reloaded { needs_restart, added, started_again, removed }) => {
            if let Err(error) = log_level.configure(&level) {
                tracing::error!(target: RUN, %error, "reload: the log level stays");
            }
            if !needs_restart.is_empty() {
                tracing::warn!(target: RUN, keys = needs_restart.join(", "), "reload: these changes need a restart");
            }
            for integration in added {
                tracing::info!(target: RUN, %integration, "reload: the integration is new");
            }
            for (integration, keys) in started_again {
                let keys = keys.join(", ");
                tracing::warn!(target: RUN, %integration, keys, "reload: the integration was started again");
            }
            for integration in removed {
                tracing::warn!(
                    target: RUN, %integration,
                    "reload: the integration is not in the configuration any more: what waits is published, and its people \
                     are forgotten on request or by privacy.forget_after"
                );
            }
            tracing::info!(target: RUN, "reloaded");
        }
        Err(problems) => {
            problems.iter().for_each(|problem| tracing::error!(target: RUN, "reload: {}", problem.line()));
            tracing::error!(target: RUN, "reload refused: the running configuration stays in force");
        }
    }
}
