//! Loading a configuration for a command.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::config::mapping as mapping_files;
use crate::config::model::{Config, Integration, Realtime};
use crate::config::{self, Loaded, environment};
use crate::journal::store::{self, ProbeFinding};
use crate::kafka::properties::{self, Fault};
use crate::service::{captures, tls_files};
use crate::sources::rta::listener;
use crate::time::Timestamp;
use crate::wire::layout::{LayoutSpec, builtin};
use crate::wire::plan::Plan;

/// The configuration with all that is wrong with it and with the files it names, those of its sound parts too.
pub(super) fn load(path: &Path) -> Loaded {
    let mut loaded = config::load(path, environment::of_process());
    let Some(parts) = loaded.parts.take() else { return loaded };
    // What does not fit together may be a stand-in's fault.
    let is_whole = loaded.config.is_some();
    for integration in &parts.integrations {
        let mut problems = Vec::new();
        mapping_files::check(&integration.mapping, &mut problems);
        loaded.add(problems);
        if let Some(realtime) = integration.realtime.as_ref().filter(|_| is_whole)
            && let Err(error) = Plan::compile(&realtime.layout, &integration.time_zone)
        {
            let message = format!("layout {:?}: {error}", realtime.layout_name);
            loaded.add([config::Problem::error(config::Origin::File(path.into()), message)]);
        }
        loaded.add(tls_files::read(integration).err().unwrap_or_default());
        loaded.add(tls_files::warnings(integration, Timestamp::now()));
    }
    let refused =
        properties::check(&parts.kafka, is_whole).into_iter().map(|fault| refused_property(fault, &loaded, path));
    let refused: Vec<_> = refused.collect();
    loaded.add(refused);
    loaded.add(captures::warning(&parts, path));
    loaded.parts = Some(parts);
    loaded
}

/// What librdkafka has against a property, where that is written.
fn refused_property(fault: Fault, loaded: &Loaded, path: &Path) -> config::Problem {
    let Fault { property, message, hint } = fault;
    let origin = property.as_ref().and_then(|property| loaded.properties.get(property)).cloned();
    let name = property.map_or_else(|| "[kafka.properties]".to_owned(), |property| format!("{property:?}"));
    let problem = config::Problem::error(
        origin.unwrap_or_else(|| config::Origin::File(path.into())),
        format!("{name}: {message}"),
    );
    config::Problem { hint, ..problem }
}

/// What is against the store directory.
pub(super) fn store(loaded: &Loaded, path: &Path) -> Option<config::Problem> {
    let store = &loaded.config.as_ref()?.store;
    let origin = || config::Origin::File(path.into());
    let place = store.directory.display();
    if store.in_memory {
        let message = "[store] in_memory: what Kafka has not got is lost when the process ends";
        return Some(config::Problem::warning(origin(), message));
    }
    match store::probe(&store.directory)? {
        ProbeFinding::Refused(why) => Some(config::Problem::error(origin(), format!("[store] {why}"))),
        ProbeFinding::InMemory(why) => {
            let message = format!(
                "[store] the directory {place} takes nothing ({why}): the service would start in memory, not ready"
            );
            Some(config::Problem::warning(origin(), message).hint("make it writable, with room"))
        }
        ProbeFinding::Held(pid) => {
            let by = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            let message = format!("[store] the store in {place} is in use by {by}");
            Some(
                config::Problem::warning(origin(), message)
                    .hint("fine if that is the service; otherwise name another directory"),
            )
        }
    }
}

/// Integrations that map nobody and nothing.
pub(super) fn without_mapping(loaded: &Loaded, path: &Path) -> Vec<config::Problem> {
    let integrations = loaded.config.iter().flat_map(|config| &config.integrations);
    integrations.filter_map(|integration| mapping_files::absence(integration, path)).collect()
}

/// Certificates that no peer accepts now.
pub(super) fn out_of_date(loaded: &Loaded) -> Vec<(config::Origin, String)> {
    let now = Timestamp::now();
    let integrations = loaded.config.iter().flat_map(|config| &config.integrations);
    integrations.flat_map(|integration| tls_files::out_of_date(integration, now)).collect()
}

/// The same as warnings: one integration's certificate must not keep the others from their feeds.
pub(super) fn out_of_date_warnings(loaded: &Loaded) -> Vec<config::Problem> {
    let warning = |(origin, message)| config::Problem::warning(origin, message).hint(RENEW);
    out_of_date(loaded).into_iter().map(warning).collect()
}

/// What to do about such a certificate.
pub(super) const RENEW: &str = "peers that look refuse it: renew it and send SIGHUP, or check the clock";

/// An address that nobody can listen on now.
pub(super) struct UnavailableAddress {
    pub(super) origin: config::Origin,
    pub(super) message: String,
    /// Another process has it; otherwise this machine or this user cannot have it at all.
    pub(super) is_in_use: bool,
}

/// Ports that another process has, or that cannot be had.
pub(super) fn ports_taken(loaded: &Loaded) -> Vec<UnavailableAddress> {
    let taken = |port: &config::ListenAddress| {
        let error = listener::probe(port.address).err()?;
        let message = format!("{}: cannot listen on {}: {error}", port.what, port.address);
        Some(UnavailableAddress {
            origin: port.origin.clone(),
            message,
            is_in_use: error.kind() == ErrorKind::AddrInUse,
        })
    };
    loaded.ports.iter().filter_map(taken).collect()
}

/// The configuration; its warnings go to stderr, its errors into the result.
pub(super) fn valid(path: &Path) -> anyhow::Result<Config> {
    valid_of(load(path), |warning| eprintln!("{warning}"))
}

/// The configuration for a service that is about to listen: a port in use is an error.
pub(super) fn for_service(path: &Path) -> Loaded {
    let mut loaded = load(path);
    let taken = ports_taken(&loaded).into_iter().map(|UnavailableAddress { origin, message, .. }| {
        let hint = "another process has it, or this machine has no such address: choose another, or stop the other";
        config::Problem::error(origin, message).hint(hint)
    });
    loaded.add(taken);
    let out_of_date = out_of_date_warnings(&loaded);
    loaded.add(out_of_date);
    let unmapped = without_mapping(&loaded, path);
    loaded.add(unmapped);
    // Everything else about the store shows when it is opened.
    let volatile = store(&loaded, path).filter(|_| loaded.config.as_ref().is_some_and(|config| config.store.in_memory));
    loaded.add(volatile);
    loaded
}

/// What was loaded, if it is valid; each warning is printed.
pub(super) fn valid_of(loaded: Loaded, print: impl Fn(&config::Problem)) -> anyhow::Result<Config> {
    let Some(config) = loaded.config else {
        let told: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        bail!("the configuration has problems\n{}", told.join("\n"));
    };
    loaded.problems.iter().for_each(print);
    Ok(config)
}

/// One integration with real time.
pub(super) fn integration(path: &Path, id: &str) -> anyhow::Result<(Config, Integration, Realtime)> {
    let config = valid(path)?;
    let found = config.integrations.iter().find(|integration| *integration.id == *id).cloned();
    let integration = found.with_context(|| {
        let known: Vec<&str> = config.integrations.iter().map(|integration| &*integration.id).collect();
        format!("{} has no integration {id:?}: expected one of {}", path.display(), known.join(", "))
    })?;
    let realtime = integration
        .realtime
        .clone()
        .with_context(|| format!("integration {id:?} has no [integration.realtime]: it has no feed"))?;
    Ok((config, integration, realtime))
}

/// A layout by its name: of the configuration, where one is given, or built in; and the first integration that has it.
pub(super) fn layout(name: &str, file: Option<&Path>) -> anyhow::Result<(Arc<LayoutSpec>, Option<Integration>)> {
    let config = file.map(valid).transpose()?;
    let written = config.as_ref().and_then(|config| config.layouts.get(name).cloned());
    let layout = written.or_else(|| builtin::get(name).map(Arc::new)).with_context(|| match file {
        Some(file) => format!("{} has no layout {name:?}", file.display()),
        None => {
            let names = builtin::NAMES.join(", ");
            format!("no built-in layout {name:?}: expected one of {names}, or --config FILE with [layout.{name}]")
        }
    })?;
    let has_it = |integration: &Integration| {
        integration.realtime.as_ref().is_some_and(|realtime| *realtime.layout_name == *name)
    };
    Ok((layout, config.and_then(|config| config.integrations.into_iter().find(has_it))))
}
