//! What the service needs before it can start: layouts compiled, mappings read, ports bound.
//!
//! Every problem is collected; nothing is started while there is one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::config::http_address::HttpAddress;
use crate::config::mapping as mapping_files;
use crate::config::model::{Config, Integration, PrivacyConfig, Realtime};
use crate::config::problem::{Origin, Problem};
use crate::mapping::tables::MappingTables;
use crate::sources::rta::listener::{self, Bound};
use crate::sources::rta::settings::FeedSettings;
use crate::telemetry::feed_metrics::FeedMetrics;
use crate::tracker::settings::SnapshotEnd;
use crate::views::model::IntegrationModel;
use crate::wire::layout::builtin;
use crate::wire::plan::Plan;

use super::tls_files::{self, TlsFiles};

/// What an integration is read with.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Absent without real time.
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) tls: Option<TlsFiles>,
    /// They have no version yet.
    pub(super) tables: MappingTables,
}

/// What is started: each integration with its port, and where HTTP is served.
pub(super) type AllPrepared = (Vec<(Prepared, Option<Bound>)>, Vec<TcpListener>);

/// Prepares every integration, and takes all ports.
///
/// # Errors
/// Everything that is in the way.
pub(super) fn prepare_all(
    config: &Config,
    integrations: &[Integration],
    file: &Path,
) -> Result<AllPrepared, Vec<Problem>> {
    let mut problems = Vec::new();
    let prepared: Vec<_> =
        integrations.iter().map(|integration| prepare(integration, &config.privacy, file, &mut problems)).collect();
    let bound: Vec<_> = integrations.iter().map(|integration| bind_for(integration, file)).collect();
    let http =
        listen_for_http(config.http.listen).map_err(|(address, error)| port_problem(file, "[http]", address, &error));
    let mut all = Vec::new();
    for one in prepared.into_iter().zip(bound) {
        match one {
            (Some(prepared), Ok(bound)) => all.push((prepared, bound)),
            (_, bound) => problems.extend(bound.err()),
        }
    }
    match http {
        Ok(http) if problems.is_empty() => Ok((all, http)),
        http => {
            problems.extend(http.err());
            Err(problems)
        }
    }
}

/// Listens where HTTP is served.
///
/// # Errors
/// The address that cannot be taken, and why.
fn listen_for_http(wanted: HttpAddress) -> Result<Vec<TcpListener>, (SocketAddr, std::io::Error)> {
    let listen = |address| listener::bind(address).and_then(Bound::listen).map_err(|error| (address, error));
    let first = listen(wanted.first())?;
    if !wanted.is_localhost() {
        return Ok(vec![first]);
    }
    let taken = first.local_addr().map_err(|error| (wanted.first(), error))?;
    match listen(HttpAddress::beside(taken)) {
        Ok(beside) => Ok(vec![first, beside]),
        Err((_, error)) if listener::is_without_ipv6(&error) => Ok(vec![first]),
        Err(failed) => Err(failed),
    }
}

/// Compiles and reads what an integration names.
pub(super) fn prepare(
    integration: &Integration,
    privacy: &PrivacyConfig,
    file: &Path,
    problems: &mut Vec<Problem>,
) -> Option<Prepared> {
    let plan = integration.realtime.as_ref().map(|realtime| {
        Plan::compile(&privacy.layout(&realtime.layout), &integration.time_zone)
            .map_err(|error| problems.push(layout_problem(file, realtime, &error)))
    });
    let tables = mapping_files::read(&integration.mapping).map_err(|wrong| problems.extend(wrong));
    let tls = tls_files::read(integration).map_err(|wrong| problems.extend(wrong));
    Some(Prepared { plan: plan.transpose().ok()?, tls: tls.ok()?, tables: privacy.tables(tables.ok()?) })
}

fn layout_problem(file: &Path, realtime: &Realtime, error: &dyn std::fmt::Display) -> Problem {
    Problem::error(Origin::File(file.into()), format!("layout {:?}: {error}", realtime.layout_name))
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

/// Takes the port of an integration.
pub(super) fn bind(address: SocketAddr, integration: &str, file: &Path) -> Result<Bound, Problem> {
    listener::bind(address)
        .map_err(|error| port_problem(file, &format!("integration {integration:?}"), address, &error))
}

/// Takes the port of an integration, where it has one.
pub(super) fn bind_for(integration: &Integration, file: &Path) -> Result<Option<Bound>, Problem> {
    integration.realtime.as_ref().map(|realtime| bind(realtime.listen, &integration.id, file)).transpose()
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

/// Returns what is known of an integration before it has begun.
pub(super) fn model(integration: &Integration, metrics: &FeedMetrics, bound: Option<&Bound>) -> IntegrationModel {
    let mut model = IntegrationModel::new(Arc::clone(&integration.id), integration.name.clone(), metrics.clone());
    // A port that is not bound yet is known all the same.
    model.listen = bound
        .and_then(|bound| bound.local_addr().ok())
        .or_else(|| integration.realtime.as_ref().map(|realtime| realtime.listen));
    model.layout = integration.realtime.as_ref().map(|realtime| realtime.layout_name.clone()).unwrap_or_default();
    model.is_removed = integration.is_removed;
    model
}

/// Returns the plan with which the worker of an integration without a feed would read one: it never does, but its people have
/// to be known.
pub(super) fn plan_without_feed() -> Option<Arc<Plan>> {
    let layout = Arc::new(builtin::get(builtin::NAMES.first()?)?);
    Plan::compile(&layout, "UTC").ok()
}
