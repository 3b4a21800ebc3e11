//! What a new configuration changes: of each integration, and of what all of them share.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::model::{
    Config, Http, Integration, Kafka, LogConfig, Mapping, PrivacyConfig, Realtime, StoreConfig,
};
use crate::config::problem::{Origin, Problem};
use crate::config::topics::RetentionConfig;
use crate::mapping::tables::MappingTables;
use crate::tracker::settings::{Fixed, TrackerSettings};
use crate::views::model::IntegrationIndex;

use super::{At, Slot};

/// What becomes of an integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Its feed goes on.
    Goes,
    /// It is ended and started again, because of these keys.
    Again(Vec<String>),
    /// It is new.
    Begins,
    /// It is no longer in the configuration.
    Ends,
}

/// Returns what becomes of each integration, in the order of their places: those that are there, then those that are new.
pub(super) fn changes(slots: &[Slot], config: &Config) -> Vec<(IntegrationIndex, Change, Integration)> {
    let mut changes = Vec::new();
    for (others, slot) in slots.iter().enumerate() {
        let index = IntegrationIndex::after(others);
        let wanted = config.integrations.iter().find(|wanted| wanted.id == slot.integration.id);
        match wanted {
            Some(wanted) => changes.push((index, change(slot, wanted), wanted.clone())),
            None if !slot.integration.is_removed => {
                changes.push((index, Change::Ends, Integration::removed(&slot.integration.id)));
            }
            None => {}
        }
    }
    let is_known = |id: &str| slots.iter().any(|slot| *slot.integration.id == *id);
    let new = config.integrations.iter().filter(|wanted| !is_known(&wanted.id));
    for (others, wanted) in new.enumerate() {
        changes.push((IntegrationIndex::after(slots.len() + others), Change::Begins, wanted.clone()));
    }
    changes
}

fn change(slot: &Slot, wanted: &Integration) -> Change {
    if slot.integration.is_removed {
        return Change::Begins;
    }
    let keys = keys_of_a_start(&slot.integration, wanted);
    match &slot.at {
        At::Running(_) if keys.is_empty() => Change::Goes,
        // It waits for Kafka, or could not be started: with the new configuration it may.
        _ => Change::Again(keys),
    }
}

/// Names of the keys that differ and cannot change while the integration's feed goes on. Every key is named here, so that the
/// compiler asks about a new one.
fn keys_of_a_start(running: &Integration, wanted: &Integration) -> Vec<String> {
    let Integration {
        // Unique and unchangeable.
        id: _,
        // These change while the feed goes on.
        name: _,
        time_zone: _,
        mapping: _,
        is_removed: _,
        settings: TrackerSettings { fixed: Fixed { acd, details, mode, snapshot_end }, thresholds: _ },
        realtime,
    } = running;
    let after = wanted.settings.fixed;
    let mut differ = vec![
        (*acd != after.acd, "acd"),
        (*details != after.details, "details"),
        (*mode != after.mode, "realtime.mode"),
        (*snapshot_end != after.snapshot_end, "realtime.snapshot_end"),
    ];
    match (realtime, &wanted.realtime) {
        (None, None) => {}
        (Some(running), Some(wanted)) => {
            let Realtime {
                listen,
                refresh_after,
                // These change while the feed goes on.
                layout_name: _,
                layout: _,
                allow: _,
                forward: _,
                tls: _,
            } = running;
            differ.push((*refresh_after != wanted.refresh_after, "realtime.refresh_after"));
            differ.push((*listen != wanted.listen, "realtime.port or bind"));
        }
        _ => differ.push((true, "realtime")),
    }
    differ.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key.to_owned()).collect()
}

/// Returns the names of the keys that differ and change while the integration's feed goes on, but for its mapping: what counts of
/// that is what the files say.
pub(super) fn keys_while_running(running: &Integration, wanted: &Integration) -> Vec<String> {
    let mut differ = vec![(running.name != wanted.name, "name"), (running.time_zone != wanted.time_zone, "time_zone")];
    let (before, after) = (&running.settings.thresholds, &wanted.settings.thresholds);
    let of_thresholds = [
        (before.snapshot_idle != after.snapshot_idle, "realtime.snapshot_idle"),
        (before.shortest_refresh != after.shortest_refresh, "realtime.shortest_refresh"),
        (before.logout_after != after.logout_after, "realtime.logout_after"),
        (before.restart_tolerance != after.restart_tolerance, "realtime.restart_tolerance"),
        (before.stale_after != after.stale_after, "realtime.stale_after"),
        (before.when_silent != after.when_silent, "realtime.when_silent"),
        (before.empty_below != after.empty_below, "realtime.empty_below"),
        (before.unknown_after != after.unknown_after, "realtime.unknown_after"),
        (before.short_states != after.short_states, "realtime.short_states"),
        (before.logout_hold != after.logout_hold, "realtime.logout_hold"),
    ];
    let is_another = before != after && !of_thresholds.iter().any(|(differs, _)| *differs);
    differ.extend(of_thresholds);
    differ.push((is_another, "realtime"));
    if let (Some(running), Some(wanted)) = (&running.realtime, &wanted.realtime) {
        differ.push((running.layout_name != wanted.layout_name || running.layout != wanted.layout, "realtime.layout"));
        differ.push((running.allow != wanted.allow, "realtime.allow"));
        differ.push((running.forward != wanted.forward, "realtime.forward"));
        differ.push((running.tls != wanted.tls, "realtime.tls"));
    }
    differ.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key.to_owned()).collect()
}

/// Mapping files that are in force and not there any more, where the new configuration does not name others. Somebody who
/// does not want them has to say so: a share that is gone for a moment would make everybody nobody.
pub(super) fn missing_files(running: &Mapping, wanted: &Mapping) -> Vec<Problem> {
    let files =
        [(&running.users, &wanted.users), (&running.activities, &wanted.activities), (&running.names, &wanted.names)];
    let gone = |(running, wanted): (&Option<_>, &Option<_>)| running.clone().filter(|_| wanted.is_none());
    let gone = files.into_iter().filter_map(gone).filter(|file: &std::path::PathBuf| !file.is_file());
    let problem = |file: std::path::PathBuf| {
        let problem = Problem::error(Origin::File(file.into()), "is gone, and its mapping is in force");
        problem
            .hint("put it back; a file with nothing but its header maps nobody and nothing; a restart goes without it")
    };
    gone.map(problem).collect()
}

/// Warnings of mappings that have lost more than half of their rows, with what became of them.
pub(super) fn shrunken(
    running: &MappingTables,
    wanted: &MappingTables,
    integration: &Integration,
    file: &Path,
    outcome: &str,
) -> Vec<Problem> {
    let Mapping { users, activities, names, .. } = &integration.mapping;
    let tables = [
        (users, running.user_count(), wanted.user_count()),
        (activities, running.activities.len(), wanted.activities.len()),
        (names, running.names.len(), wanted.names.len()),
    ];
    let shrunken = tables.into_iter().filter(|(_, before, after)| after * 2 < *before);
    let warning = |(path, before, after): (&Option<std::path::PathBuf>, usize, usize)| {
        let origin = Origin::File(path.as_deref().unwrap_or(file).into());
        let message = format!("integration {:?}: {after} rows instead of {before}: {outcome}", integration.id);
        Problem::warning(origin, message).hint("was it written to its end? put the rows back and reload again")
    };
    shrunken.map(warning).collect()
}

/// Names of the keys that differ and need a restart. Every key is named here, so that the compiler asks about a new one.
pub(super) fn needs_restart(running: &Config, wanted: &Config) -> Vec<String> {
    let Config {
        kafka,
        http: Http { listen, metrics: _, loopback: _, tokens: _ },
        store: StoreConfig { directory, journal_max_size, sync, in_memory },
        privacy: PrivacyConfig { event_names, forget_after: _, captures, retention },
        log: LogConfig { level: _, format },
        shutdown_grace,
        // Each for itself.
        integrations: _,
        layouts: _,
        redacted: _,
    } = running;
    // These two have names of their own. Properties may hold secrets: only their section is named.
    let rest_of =
        |kafka: &Kafka| Kafka { properties: BTreeMap::new(), retention: RetentionConfig::default(), ..kafka.clone() };
    let differ = [
        (rest_of(kafka) != rest_of(&wanted.kafka), "kafka"),
        (kafka.properties != wanted.kafka.properties, "kafka.properties"),
        (*listen != wanted.http.listen, "http.listen"),
        (*directory != wanted.store.directory, "store.directory"),
        (*journal_max_size != wanted.store.journal_max_size, "store.journal_max_size"),
        (*in_memory != wanted.store.in_memory, "store.in_memory"),
        (*sync != wanted.store.sync, "store.sync"),
        (*event_names != wanted.privacy.event_names, "privacy.event_names"),
        (*captures != wanted.privacy.captures, "privacy.captures"),
        (*retention != wanted.privacy.retention, "privacy.retention"),
        (*shutdown_grace != wanted.shutdown_grace, "shutdown_grace"),
        (*format != wanted.log.format, "log.format"),
    ];
    differ.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key.to_owned()).collect()
}
