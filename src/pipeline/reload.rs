//! What a new configuration may change while running, and what it may not.

use crate::config::model::{Config, Integration};
use crate::state::settings::Settings;

/// The running settings with the new thresholds. What would make another feed stays as it is until a restart.
pub(super) fn thresholds(running: &Integration, wanted: &Integration) -> Settings {
    let Settings { acd, details, mode, snapshot_end, .. } = running.settings;
    Settings { acd, details, mode, snapshot_end, ..wanted.settings.clone() }
}

/// Whether both read a feed in the same way, so that a layout of the one fits the other.
pub(super) fn reads_alike(running: &Integration, wanted: &Integration) -> bool {
    let of = |integration: &Integration| (integration.settings.mode, integration.settings.snapshot_end);
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
    // Properties may hold secrets: they are compared, and only their section is named.
    compare(format!("{:?}", running.kafka) != format!("{:?}", wanted.kafka), "kafka");
    compare(running.kafka.properties != wanted.kafka.properties, "kafka.properties");
    compare(running.http.listen != wanted.http.listen, "http.listen");
    compare(running.store.directory != wanted.store.directory, "store.directory");
    compare(running.store.journal_max_size != wanted.store.journal_max_size, "store.journal_max_size");
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
    let (before, after) = (&running.settings, &wanted.settings);
    compare(before.acd != after.acd, &key("acd"));
    compare(before.details != after.details, &key("details"));
    compare(before.mode != after.mode, &key("realtime.mode"));
    compare(before.snapshot_end != after.snapshot_end, &key("realtime.snapshot_end"));
    compare(running.name != wanted.name, &key("name"));
    let listen = |integration: &Integration| integration.realtime.as_ref().map(|realtime| realtime.listen);
    let refresh_after =
        |integration: &Integration| integration.realtime.as_ref().map(|realtime| realtime.refresh_after);
    compare(refresh_after(running) != refresh_after(wanted), &key("realtime.refresh_after"));
    compare(listen(running) != listen(wanted), &key("realtime.port or bind"));
}
