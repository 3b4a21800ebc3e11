//! Loading a configuration for a command.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::config::model::{Config, Integration, Realtime};
use crate::config::{self, Loaded, environment};
use crate::pipeline::{captures, mapping_files, tls_files};
use crate::time::Timestamp;
use crate::wire::layout::{LayoutSpec, builtin};
use crate::wire::plan::Plan;

/// The configuration with all that is wrong with it and with the files it names.
pub(super) fn load(path: &Path) -> Loaded {
    let mut loaded = config::load(path, environment::of_process());
    let integrations = loaded.config.as_ref().map(|config| config.integrations.clone()).unwrap_or_default();
    for integration in integrations {
        let mut problems = Vec::new();
        mapping_files::check(&integration.mapping, &mut problems);
        loaded.add(problems);
        if let Some(realtime) = &integration.realtime
            && let Err(error) = Plan::compile(&realtime.layout, &integration.time_zone)
        {
            let message = format!("layout {:?}: {error}", realtime.layout_name);
            loaded.add([config::Problem::error(config::Origin::File(path.into()), message)]);
        }
        loaded.add(tls_files::read(&integration).err().unwrap_or_default());
        loaded.add(tls_files::warnings(&integration, Timestamp::now()));
    }
    let captures = loaded.config.as_ref().and_then(|config| captures::warning(config, path));
    loaded.add(captures);
    loaded
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

/// Ports that another process has.
pub(super) fn ports_in_use(loaded: &Loaded) -> Vec<(config::Origin, String)> {
    let in_use = |port: &config::Port| {
        let error = TcpListener::bind(port.address).err()?;
        Some((port.origin.clone(), format!("{}: cannot listen on {}: {error}", port.what, port.address)))
    };
    loaded.ports.iter().filter_map(in_use).collect()
}

/// The configuration; its warnings go to stderr, its errors into the result.
pub(super) fn valid(path: &Path) -> anyhow::Result<Config> {
    valid_of(load(path), |warning| eprintln!("{warning}"))
}

/// The configuration for a service that is about to listen: a port in use is an error.
pub(super) fn for_service(path: &Path) -> Loaded {
    let mut loaded = load(path);
    let in_use = ports_in_use(&loaded).into_iter().map(|(origin, message)| {
        let hint = "another process has it, or this machine has no such address: choose another, or stop the other";
        config::Problem::error(origin, message).hint(hint)
    });
    loaded.add(in_use);
    let out_of_date = out_of_date_warnings(&loaded);
    loaded.add(out_of_date);
    let unmapped = without_mapping(&loaded, path);
    loaded.add(unmapped);
    loaded
}

/// What was loaded, if it is valid; each warning is told.
pub(super) fn valid_of(loaded: Loaded, tell: impl Fn(&config::Problem)) -> anyhow::Result<Config> {
    let Some(config) = loaded.config else {
        let told: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        bail!("the configuration has problems\n{}", told.join("\n"));
    };
    loaded.problems.iter().for_each(tell);
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
