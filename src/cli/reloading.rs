//! A reload of `rtalink run`, by SIGHUP or by `POST /api/v1/reload`: reads everything again, hands it to the service, and says
//! in the log and in the answer what has come of it.

use std::path::Path;

use serde_json::{Value, json};

use crate::http::reload::ReloadAnswer;
use crate::mapping::difference::{Difference, MappingChange};
use crate::service::Service;
use crate::service::reload::Reloaded;
use crate::telemetry::logs::LogLevel;
use crate::telemetry::targets::RUN;

use super::configuration;

/// A configuration with an error is refused as a whole: what is in force stays.
pub(super) async fn reload(path: &Path, service: &mut Service, log_level: &LogLevel) -> ReloadAnswer {
    let mut loaded = configuration::load(path);
    if let Some(parts) = &loaded.parts {
        service.withhold(&parts.redacted);
    }
    let out_of_date = configuration::out_of_date_warnings(&loaded);
    loaded.add(out_of_date);
    let unmapped = configuration::without_mapping(&loaded, path);
    loaded.add(unmapped);
    let mut warnings = Vec::new();
    let mut errors = Vec::new();
    for problem in &loaded.problems {
        if problem.is_error() {
            tracing::error!(target: RUN, "reload: {}", problem.line());
            errors.push(problem.to_string());
        } else {
            tracing::warn!(target: RUN, "reload: {}", problem.line());
            warnings.push(problem.to_string());
        }
    }
    let Some(config) = loaded.config else {
        tracing::error!(target: RUN, "reload refused: the running configuration stays in force");
        service.record_reload(true);
        return refused(&warnings, &errors);
    };
    let level = config.log.level.clone();
    let reloaded = service.reload(config, path).await;
    service.record_reload(reloaded.is_err());
    match reloaded {
        Ok(reloaded) => {
            if let Err(error) = log_level.configure(&level) {
                tracing::error!(target: RUN, %error, "reload: the log level stays");
                warnings.push(format!("warning: the log level stays: {error}"));
            }
            log(&reloaded);
            ReloadAnswer { is_refused: false, body: body(&reloaded, &warnings) }
        }
        Err(problems) => {
            problems.iter().for_each(|problem| tracing::error!(target: RUN, "reload: {}", problem.line()));
            tracing::error!(target: RUN, "reload refused: the running configuration stays in force");
            refused(&warnings, &problems.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
    }
}

fn log(reloaded: &Reloaded) {
    let Reloaded { needs_restart, added, started_again, removed, changed: _, mappings: _ } = reloaded;
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

fn refused(warnings: &[String], problems: &[String]) -> ReloadAnswer {
    let error = "refused: the running configuration stays in force";
    let body = json!({ "reloaded": false, "error": error, "problems": problems, "warnings": warnings });
    ReloadAnswer { is_refused: true, body }
}

fn body(reloaded: &Reloaded, warnings: &[String]) -> Value {
    let Reloaded { needs_restart, added, started_again, removed, changed, mappings } = reloaded;
    let entry = |id: &str, change: &str, keys: &[String]| json!({ "integration": id, "change": change, "keys": keys });
    let mut integrations: Vec<Value> = added.iter().map(|id| entry(id, "added", &[])).collect();
    integrations.extend(started_again.iter().map(|(id, keys)| entry(id, "started again", keys)));
    integrations.extend(removed.iter().map(|id| entry(id, "removed", &[])));
    integrations.extend(changed.iter().map(|(id, keys)| {
        let mut entry = entry(id, "changed", keys);
        if let Some((_, change)) = mappings.iter().find(|(of, _)| of == id) {
            entry["mapping"] = mapping(change);
        }
        entry
    }));
    json!({ "reloaded": true, "integrations": integrations, "needsRestart": needs_restart, "warnings": warnings })
}

fn mapping(change: &MappingChange) -> Value {
    let figures = |Difference { added, removed, changed }: Difference| json!({ "added": added, "removed": removed, "changed": changed });
    json!({
        "versionBefore": change.version_before,
        "version": change.version,
        "users": figures(change.users),
        "activities": figures(change.activities),
        "names": figures(change.names),
    })
}
