//! Every key of the configuration. A key that is not listed here is refused, and one that is must be explained in
//! `docs/configuration.md`: a test compares the two.

use super::topics;

/// A table of the configuration and its keys.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// As it is written in a file.
    pub heading: &'static str,
    /// In the order of the documentation; empty where any key goes.
    pub keys: &'static [&'static str],
}

pub(super) const ROOT: Section = Section {
    heading: "the file",
    keys: &["shutdown_grace", "kafka", "http", "store", "privacy", "log", "integration", "layout"],
};

pub(super) const KAFKA: Section = Section {
    heading: "[kafka]",
    keys: &[
        "bootstrap_servers",
        "format",
        "delivery",
        "commit_interval",
        "create_topics",
        "partitions",
        "replication_factor",
        "linger",
        "queue_events",
        "topics",
        "properties",
    ],
};

pub(super) const TOPICS: Section = Section { heading: "[kafka.topics]", keys: &topics::KEYS };

pub(super) const HTTP: Section = Section { heading: "[http]", keys: &["listen", "metrics", "loopback", "token"] };

pub(super) const TOKEN: Section =
    Section { heading: "[[http.token]]", keys: &["name", "role", "token_file", "token_sha256", "token"] };

pub(super) const STORE: Section =
    Section { heading: "[store]", keys: &["directory", "journal_max_size", "sync", "in_memory"] };

pub(super) const PRIVACY: Section =
    Section { heading: "[privacy]", keys: &["event_names", "forget_after", "captures", "retention"] };

pub(super) const RETENTION: Section = Section { heading: "[privacy.retention]", keys: &topics::RETENTION_KEYS };

pub(super) const LOG: Section = Section { heading: "[log]", keys: &["level", "format"] };

pub(super) const INTEGRATION: Section = Section {
    heading: "[[integration]]",
    keys: &["id", "name", "kind", "acd", "time_zone", "details", "realtime", "mapping"],
};

pub(super) const REALTIME: Section = Section {
    heading: "[integration.realtime]",
    keys: &[
        "port",
        "bind",
        "layout",
        "mode",
        "snapshot_end",
        "snapshot_idle",
        "logout_after",
        "restart_tolerance",
        "stale_after",
        "when_silent",
        "empty_below",
        "shortest_refresh",
        "unknown_after",
        "short_states",
        "logout_hold",
        "refresh_after",
        "allow",
        "forward",
        "tls",
    ],
};

pub(super) const TLS: Section =
    Section { heading: "[integration.realtime.tls]", keys: &["certificate", "key", "client_ca", "handshake_timeout"] };

pub(super) const MAPPING: Section =
    Section { heading: "[integration.mapping]", keys: &["identify_by", "users", "activities", "default_activity"] };

pub(super) const DEFAULT_ACTIVITY: Section = Section { heading: "default_activity", keys: &["id", "name"] };

pub(super) const LAYOUT: Section = Section {
    heading: "[layout.NAME]",
    keys: &[
        "encoding",
        "record_end",
        "record_length",
        "max_record",
        "separator",
        "width_in",
        "quote",
        "skip",
        "marker",
        "columns",
        "skills",
        "states",
        "aux_reasons",
        "directions",
        "null",
        "extra_fields",
    ],
};

pub(super) const COLUMN: Section = Section { heading: "a column", keys: &["field", "at", "width", "null", "format"] };

pub(super) const SKILLS: Section = Section { heading: "skills", keys: &["columns", "repeat", "empty", "at"] };

/// Every section with fixed keys.
pub const SECTIONS: [Section; 17] = [
    ROOT,
    KAFKA,
    TOPICS,
    HTTP,
    TOKEN,
    STORE,
    PRIVACY,
    RETENTION,
    LOG,
    INTEGRATION,
    REALTIME,
    TLS,
    MAPPING,
    DEFAULT_ACTIVITY,
    LAYOUT,
    COLUMN,
    SKILLS,
];

/// The name among `names` that `name` was probably meant to be.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR: f64 = 0.6;
    at_least(NEAR, name, names)
}

/// The name among `names` that is most like `name`, and at least that similar.
fn at_least<'a>(near: f64, name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_lowercase().replace('-', "_");
    let likeness =
        |other: &str| strsim::normalized_damerau_levenshtein(&lower, &other.to_lowercase().replace('-', "_"));
    let scored = names.into_iter().map(|other| (likeness(other), other));
    let best = scored.filter(|(score, _)| *score >= near).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, other)| other)
}

/// Advice about a key that `section` does not have.
pub(super) fn advice(key: &str, section: Section) -> String {
    if let Some(known) = nearest(key, section.keys.iter().copied()) {
        return format!("did you mean {known:?}?");
    }
    let elsewhere = SECTIONS.iter().filter(|other| other.heading.starts_with('['));
    if let Some(other) = elsewhere.clone().find(|other| other.keys.contains(&key)) {
        return format!("{key:?} belongs in {}", other.heading);
    }
    // A key that is longer or shorter by a word is nearer than anything in another table.
    let parts = |name: &str| name.to_lowercase().split(['_', '-', '.']).map(str::to_owned).collect::<Vec<_>>();
    let written = parts(key);
    let shares_all = |known: &&&str| {
        let known = parts(known);
        known.iter().all(|part| written.contains(part)) || written.iter().all(|part| known.contains(part))
    };
    if let Some(known) = section.keys.iter().find(shares_all) {
        return format!("did you mean {known:?}?");
    }
    // In another table it has to be a typing error.
    const SLIP: f64 = 0.75;
    let near =
        elsewhere.filter_map(|other| Some((at_least(SLIP, key, other.keys.iter().copied())?, other.heading))).next();
    match near {
        Some((known, heading)) => format!("did you mean {known:?} in {heading}?"),
        None => format!("known here: {}", section.keys.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_the_nearest_key_of_the_same_table() {
        let cases = [
            (MAPPING, "users_file", "did you mean \"users\"?"),
            (KAFKA, "bootstrap", "did you mean \"bootstrap_servers\"?"),
            (KAFKA, "servers", "did you mean \"bootstrap_servers\"?"),
            (REALTIME, "bind_adress", "did you mean \"bind\"?"),
            (REALTIME, "silent", "did you mean \"when_silent\"?"),
            (STORE, "journal-size", "did you mean \"journal_max_size\"?"),
            (STORE, "captures", "\"captures\" belongs in [privacy]"),
            (INTEGRATION, "prot", "did you mean \"port\" in [integration.realtime]?"),
            (LOG, "verbosity", "known here: level, format"),
        ];
        for (section, key, expected) in cases {
            assert_eq!(advice(key, section), expected, "{key} in {}", section.heading);
        }
    }
}
