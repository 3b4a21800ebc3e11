//! What the service needs before it can start: layouts compiled, mappings read, ports bound, threads.
//!
//! Every problem is collected; nothing is started while there is one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::config::mapping as mapping_files;
use crate::config::model::{Config, Integration, Realtime};
use crate::config::problem::{Origin, Problem};
use crate::integration::command::{Command, Task};
use crate::integration::mapping_versions::Versions;
use crate::integration::worker::{self, Charge, Control};
use crate::mapping::tables::MappingTables;
use crate::sources::rta::inbox::{self, Letter, Outlet};
use crate::sources::rta::listener::{self, Bound};
use crate::sources::rta::settings::FeedSettings;
use crate::telemetry::metrics::FeedMetrics;
use crate::tracker::settings::SnapshotEnd;
use crate::views::model::IntegrationModel;
use crate::wire::layout::builtin;
use crate::wire::plan::Plan;

use super::tls_files::{self, TlsFiles};

/// What an integration needs before anything is started.
pub(super) struct Prepared {
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) tls: Option<TlsFiles>,
    pub(super) tables: Arc<MappingTables>,
}

pub(super) fn layout_problem(file: &Path, realtime: &Realtime, error: &dyn std::fmt::Display) -> Problem {
    Problem::error(Origin::File(file.into()), format!("layout {:?}: {error}", realtime.layout_name))
}

pub(super) fn prepare(
    config: &Config,
    file: &Path,
    versions: &mut Versions,
    problems: &mut Vec<Problem>,
) -> Option<Vec<Prepared>> {
    let mut prepared = Vec::new();
    for integration in &config.integrations {
        let plan = integration.realtime.as_ref().map(|realtime| {
            Plan::compile(&config.privacy.layout(&realtime.layout), &integration.time_zone)
                .map_err(|error| problems.push(layout_problem(file, realtime, &error)))
                .ok()
        });
        if integration.is_removed {
            // It gets no version: should it come back, its mapping is what it was.
            let tables = mapping_files::read(&integration.mapping).map(Arc::new);
            prepared.extend(tables.ok().map(|tables| Prepared { plan: None, tls: None, tables }));
            continue;
        }
        let tables = match mapping_files::read(&integration.mapping) {
            Ok(tables) => config.privacy.tables(tables),
            Err(wrong) => {
                problems.extend(wrong);
                continue;
            }
        };
        let tls = match tls_files::read(integration) {
            Ok(tls) => tls,
            Err(wrong) => {
                problems.extend(wrong);
                continue;
            }
        };
        prepared.push(Prepared { plan: plan.flatten(), tls, tables: versions.assign(&integration.id, tables) });
    }
    (prepared.len() == config.integrations.len()).then_some(prepared)
}

fn port_problem(file: &Path, what: &str, address: SocketAddr, error: &std::io::Error) -> Problem {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => "another process has the port: stop it, or choose another port",
        std::io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one",
        std::io::ErrorKind::AddrNotAvailable => "this machine does not have the address: check `bind` or `listen`",
        _ => "check the address and the port",
    };
    Problem::error(Origin::File(file.into()), format!("{what}: cannot listen on {address}: {error}")).hint(hint)
}

pub(super) fn bind_all(config: &Config, file: &Path, problems: &mut Vec<Problem>) -> Option<Vec<Option<Bound>>> {
    let mut bound = Vec::new();
    for integration in &config.integrations {
        let Some(realtime) = &integration.realtime else {
            bound.push(None);
            continue;
        };
        match listener::bind(realtime.listen) {
            Ok(listener) => bound.push(Some(listener)),
            Err(error) => {
                let what = format!("integration {:?}", integration.id);
                problems.push(port_problem(file, &what, realtime.listen, &error));
            }
        }
    }
    (bound.len() == config.integrations.len()).then_some(bound)
}

pub(super) fn bind_http(config: &Config, file: &Path, problems: &mut Vec<Problem>) -> Option<TcpListener> {
    listener::bind(config.http.listen)
        .and_then(Bound::listen)
        .map_err(|error| problems.push(port_problem(file, "[http]", config.http.listen, &error)))
        .ok()
}

pub(super) fn feed_settings(
    integration: &Integration,
    realtime: &Realtime,
    plan: &Arc<Plan>,
    tls: Option<&TlsFiles>,
) -> FeedSettings {
    let settings = &integration.settings;
    FeedSettings {
        plan: Arc::clone(plan),
        allow: realtime.allow.clone(),
        idle_after: (settings.fixed.snapshot_end != SnapshotEnd::Marker).then_some(settings.thresholds.snapshot_idle),
        tls: tls.map(|files| Arc::clone(&files.tls)),
    }
}

pub(super) fn models(
    config: &Config,
    metrics: &[FeedMetrics],
    prepared: &[Prepared],
    bound: &[Option<Bound>],
) -> Vec<IntegrationModel> {
    let parts = config.integrations.iter().zip(metrics).zip(prepared).zip(bound);
    parts
        .map(|(((integration, metrics), prepared), listener)| {
            let mut model =
                IntegrationModel::new(Arc::clone(&integration.id), integration.name.clone(), metrics.clone());
            model.listen = listener.as_ref().and_then(|listener| listener.local_addr().ok());
            model.layout =
                integration.realtime.as_ref().map(|realtime| realtime.layout_name.clone()).unwrap_or_default();
            model.mapping_version = prepared.tables.version;
            model.is_removed = integration.is_removed;
            model
        })
        .collect()
}

/// Returns the plan with which the worker of an integration without a feed would read one: it never does, but its people have
/// to be known.
pub(super) fn plan_without_feed() -> Option<Arc<Plan>> {
    let layout = Arc::new(builtin::get(builtin::NAMES.first()?)?);
    Plan::compile(&layout, "UTC").ok()
}

/// Passes on what HTTP asks for. A command for an integration without a worker is not carried out: dropping it says so.
pub(super) async fn carry_out(mut commands: mpsc::Receiver<Command>, outlets: HashMap<usize, Outlet<Control>>) {
    while let Some(Command { number, task }) = commands.recv().await {
        if let Some(outlet) = outlets.get(&number) {
            let control = match task {
                Task::Publishing { pause, done } => Control::Publishing { pause, done },
                Task::Forget(forget) => Control::Forget(forget),
            };
            // A worker that has ended drops it too.
            let _ = outlet.send(Letter::Control(control)).await;
        }
    }
}

/// Gives each of so many workers as many of those that have much to do as the others, and then of the rest.
fn shares<T>(mut all: Vec<T>, workers: usize, has_much_to_do: impl Fn(&T) -> bool) -> Vec<Vec<T>> {
    all.sort_by_key(|one| !has_much_to_do(one));
    let mut shares: Vec<Vec<T>> = (0..workers).map(|_| Vec::new()).collect();
    for (position, one) in all.into_iter().enumerate() {
        shares[position % workers].push(one);
    }
    shares
}

/// The channels of the integrations by their numbers, and the workers' threads.
pub(super) type Workers = (HashMap<usize, Outlet<Control>>, Vec<std::thread::JoinHandle<()>>);

/// Spreads integrations over workers: as many as there are cores to spare, and no more than integrations.
pub(super) fn start_workers(charges: Vec<(usize, Charge)>) -> std::io::Result<Workers> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = charges.len().clamp(1, cores.saturating_sub(1).max(1));
    let shares = shares(charges, count, |(_, charge)| charge.has_feed());
    let mut outlets = HashMap::new();
    let mut workers = Vec::new();
    for (number, share) in shares.into_iter().enumerate() {
        let (numbers, charges): (Vec<usize>, Vec<Charge>) = share.into_iter().unzip();
        let (of_worker, inbox) = inbox::channels(numbers.len(), worker::INBOX);
        let name = format!("worker-{number}");
        workers.push(std::thread::Builder::new().name(name).spawn(move || worker::run(inbox, charges))?);
        outlets.extend(numbers.into_iter().zip(of_worker));
    }
    Ok((outlets, workers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_are_spread_over_workers_wherever_they_stand() {
        let has_feed = |id: &&str| id.starts_with('f');
        let cases = [
            ("f1 x1 f2 x2", 2, "f1 x1|f2 x2"),
            ("x1 f1 x2 f2 x3 f3", 3, "f1 x1|f2 x2|f3 x3"),
            ("f1 f2 f3", 1, "f1 f2 f3"),
            ("", 1, ""),
        ];
        for (all, workers, expected) in cases {
            let shares = shares(all.split_whitespace().collect(), workers, has_feed);
            let told: Vec<String> = shares.iter().map(|share| share.join(" ")).collect();
            assert_eq!(told.join("|"), expected, "{all:?}");
        }
    }
}
