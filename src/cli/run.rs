//! `rtalink run`: the service.

use std::path::{Path, PathBuf};

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::model::Config;
use crate::service::{Options, Service};
use crate::telemetry::logs::{self, LogLevel};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::targets::RUN;

use super::configuration;
use super::output::{on_signal, runtime};

/// Runs the service.
///
/// SIGTERM or SIGINT: takes no more bytes, publishes what has come within `shutdown_grace` and keeps the rest in the store
/// for the next start, exits 0; 1 if the store could not be written. SIGHUP: takes new layouts, mappings, allow-lists, certificates, thresholds and the log level without closing a socket;
/// names in a WARN what needs a restart.
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
    let start = Service::start(config, options, Metrics::new()?);
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
    announce(&service);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = hangup.recv() => reload(&args.config, &mut service, log_level).await,
        }
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

fn announce(service: &Service) {
    for (integration, address) in service.feed_addresses() {
        tracing::info!(target: RUN, %integration, %address, "listening for CMS");
    }
    let http = service.http_address();
    tracing::info!(
        target: RUN, %http, kafka = service.bootstrap_servers(), version = env!("CARGO_PKG_VERSION"), "started"
    );
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
        service.tell_reload(true);
        return;
    };
    let level = config.log.level.clone();
    let reloaded = service.reload(config, path).await;
    service.tell_reload(reloaded.is_err());
    match reloaded {
        Ok(restart) => {
            if let Err(error) = log_level.configure(&level) {
                tracing::error!(target: RUN, %error, "reload: the log level stays");
            }
            if !restart.is_empty() {
                tracing::warn!(target: RUN, keys = restart.join(", "), "reload: these changes need a restart");
            }
            tracing::info!(target: RUN, "reloaded");
        }
        Err(problems) => {
            problems.iter().for_each(|problem| tracing::error!(target: RUN, "reload: {}", problem.line()));
            tracing::error!(target: RUN, "reload refused: the running configuration stays in force");
        }
    }
}
