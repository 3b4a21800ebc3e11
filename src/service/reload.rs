//! What a new configuration may change while running, and what it may not.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::model::{Config, Integration, Kafka, Mapping, Retention};
use crate::config::problem::{Origin, Problem};
use crate::mapping::tables::MappingTables;
use crate::tracker::settings::Fixed;

/// Mapping files that are in force and not there any more, where the new configuration does not name others. Somebody who
/// does not want them has to say so: a share that is gone for a moment would make everybody nobody.
pub(super) fn missing_files(running: &Mapping, wanted: &Mapping) -> Vec<Problem> {
    let files = [(&running.users, &wanted.users), (&running.activities, &wanted.activities)];
    let gone = |(running, wanted): (&Option<_>, &Option<_>)| running.clone().filter(|_| wanted.is_none());
    let gone = files.into_iter().filter_map(gone).filter(|file: &std::path::PathBuf| !file.is_file());
    let problem = |file: std::path::PathBuf| {
        let problem = Problem::error(Origin::File(file.into()), "is gone, and its mapping is in force");
        problem
            .hint("put it back; a file with nothing but its header maps nobody and nothing; a restart goes without it")
    };
    gone.map(problem).collect()
}

/// Warnings of mappings that have lost more than half of their rows, which they may, as somebody has asked for the reload.
pub(super) fn shrunken(
    running: &MappingTables,
    wanted: &MappingTables,
    integration: &Integration,
    file: &Path,
) -> Vec<Problem> {
    let Mapping { users, activities, .. } = &integration.mapping;
    let tables = [
        (users, running.users.len(), wanted.users.len()),
        (activities, running.activities.len(), wanted.activities.len()),
    ];
    let shrunken = tables.into_iter().filter(|(_, before, after)| after * 2 < *before);
    let warning = |(path, before, after): (&Option<std::path::PathBuf>, usize, usize)| {
        let origin = Origin::File(path.as_deref().unwrap_or(file).into());
        let message = format!("integration {:?}: {after} rows instead of {before}: taken", integration.id);
        Problem::warning(origin, message).hint("was it written to its end? put the rows back and reload again")
    };
    shrunken.map(warning).collect()
}

/// Whether both read a feed in the same way, so that a layout of the one fits the other.
pub(super) fn reads_alike(running: &Integration, wanted: &Integration) -> bool {
    let of = |integration: &Integration| (integration.settings.fixed.mode, integration.settings.fixed.snapshot_end);
    of(running) == of(wanted)
}

/// Names of the keys that differ and need a restart.
pub(super) fn needs_restart(running: &Config, wanted: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    let mut compare = |differs: bool, key: &str| {
        if differs {
            keys.push(key.to_owned());
        }
    };
    // These two have names of their own. Properties may hold secrets: only their section is named.
    let rest_of =
        |kafka: &Kafka| Kafka { properties: BTreeMap::new(), retention: Retention::default(), ..kafka.clone() };
    compare(rest_of(&running.kafka) != rest_of(&wanted.kafka), "kafka");
    compare(running.kafka.properties != wanted.kafka.properties, "kafka.properties");
    compare(running.http.listen != wanted.http.listen, "http.listen");
    compare(running.store.directory != wanted.store.directory, "store.directory");
    compare(running.store.journal_max_size != wanted.store.journal_max_size, "store.journal_max_size");
    compare(running.store.in_memory != wanted.store.in_memory, "store.in_memory");
    compare(running.store.sync != wanted.store.sync, "store.sync");
    compare(running.privacy.event_names != wanted.privacy.event_names, "privacy.event_names");
    compare(running.privacy.captures != wanted.privacy.captures, "privacy.captures");
    compare(running.privacy.retention != wanted.privacy.retention, "privacy.retention");
    compare(running.shutdown_grace != wanted.shutdown_grace, "shutdown_grace");
    compare(running.log.format != wanted.log.format, "log.format");
    for integration in &wanted.integrations {
        let id = &integration.id;
        match running.integrations.iter().find(|known| known.id == *id) {
            Some(known) => integration_keys(known, integration, &mut compare),
            None => compare(true, &format!("integration {id:?} (new)")),
        }
    }
    for gone in &running.integrations {
        let is_gone = !wanted.integrations.iter().any(|integration| integration.id == gone.id);
        compare(is_gone, &format!("integration {:?} (removed)", gone.id));
    }
    keys
}

fn integration_keys(running: &Integration, wanted: &Integration, compare: &mut impl FnMut(bool, &str)) {
    let id = &wanted.id;
    let key = |name: &str| format!("integration {id:?}: {name}");
    let Fixed { acd, details, mode, snapshot_end } = running.settings.fixed;
    let after = wanted.settings.fixed;
    compare(acd != after.acd, &key("acd"));
    compare(details != after.details, &key("details"));
    compare(mode != after.mode, &key("realtime.mode"));
    compare(snapshot_end != after.snapshot_end, &key("realtime.snapshot_end"));
    compare(running.name != wanted.name, &key("name"));
    let listen = |integration: &Integration| integration.realtime.as_ref().map(|realtime| realtime.listen);
    let refresh_after =
        |integration: &Integration| integration.realtime.as_ref().map(|realtime| realtime.refresh_after);
    compare(refresh_after(running) != refresh_after(wanted), &key("realtime.refresh_after"));
    compare(listen(running) != listen(wanted), &key("realtime.port or bind"));
}
