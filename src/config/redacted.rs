//! The configuration as it may be handed to others: without secrets, and without people.
//!
//! Made from the tree of file and environment, before anything is read from it, so that it shows what was written, by whichever
//! of the two. Numbers, switches, durations and sizes are shown; text is shown only under the keys of `SHOWN` and `WHOLE`, and
//! what is new is withheld until somebody adds it there. So is everything below `[kafka.properties]`, but for `PROPERTIES`.
//! Comments are not in the tree. Patterns are shown by their shape. What is withheld and no secret is remembered, for
//! [`Redacted::scrub`] to take it out of log lines too.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use toml::Value as Toml;

use super::document::{Node, Table, Value};
use super::units;

/// What stands where something is withheld.
pub const WITHHELD: &str = "(withheld)";

/// Keys, below their tables, whose text is a choice, an address or a name that is in metrics anyway.
const SHOWN: [&str; 37] = [
    "kafka.bootstrap_servers",
    "kafka.format",
    "kafka.delivery",
    "kafka.partitions",
    "kafka.replication_factor",
    "kafka.queue_events",
    "kafka.topics.*",
    "http.listen",
    "http.metrics",
    "http.loopback",
    "http.token.role",
    "store.sync",
    "privacy.forget_after",
    "privacy.retention.*",
    "log.level",
    "log.format",
    "integration.id",
    "integration.kind",
    "integration.acd",
    "integration.time_zone",
    "integration.realtime.port",
    "integration.realtime.bind",
    "integration.realtime.layout",
    "integration.realtime.mode",
    "integration.realtime.snapshot_end",
    "integration.realtime.when_silent",
    "integration.realtime.logout_after",
    "integration.realtime.allow",
    "integration.realtime.forward",
    "integration.mapping.identify_by",
    "layout.*.encoding",
    "layout.*.record_end",
    "layout.*.separator",
    "layout.*.quote",
    "layout.*.extra_fields",
    "layout.*.width_in",
    "layout.*.null",
];

/// Tables of a layout of which all is shown: its columns, and words of the feed, which name states and never people.
const WHOLE: [&str; 5] =
    ["layout.*.columns", "layout.*.skills", "layout.*.states", "layout.*.aux_reasons", "layout.*.directions"];

/// Keys with patterns: a site may write anything into them, but their shape tells what they match.
const PATTERNS: [&str; 2] = ["layout.*.skip", "layout.*.marker"];

/// Properties of librdkafka that say how it works, and nothing about who.
const PROPERTIES: [&str; 14] = [
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "compression.type",
    "linger.ms",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "sasl.mechanism",
    "sasl.mechanisms",
    "security.protocol",
    "socket.timeout.ms",
    "transaction.timeout.ms",
];

/// Below these, nothing is remembered for scrubbing: it may be a secret.
const SECRET: [&str; 3] = ["http.token.token", "http.token.token_sha256", "kafka.properties"];

/// The one property that says who, and that messages of Kafka name.
const USER: &str = "sasl.username";

/// Shorter text is part of too many words.
const SHORTEST_SCRUBBED: usize = 4;

/// Names of files and folders that every site has.
const USUAL_NAMES: [&str; 5] = ["users.csv", "activities.csv", "names.csv", "rtalink.toml", "rtalink"];

/// A configuration without secrets and people.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redacted {
    text: String,
    withheld: BTreeSet<String>,
}

impl fmt::Debug for Redacted {
    /// Shows nothing of what is withheld.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redacted").field("text", &self.text).finish_non_exhaustive()
    }
}

impl Redacted {
    /// Returns it as it is after an earlier one: what that withheld is in lines that were written meanwhile.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        /// Reloads may bring ever new names.
        const MOST: usize = 10_000;
        let room = MOST.saturating_sub(self.withheld.len());
        self.withheld.extend(earlier.withheld.iter().take(room).cloned());
        self
    }

    /// Returns it with what another one withholds too.
    #[must_use]
    pub fn also_without(&self, other: &Self) -> Self {
        let Self { withheld, .. } = other.clone().after(self);
        Self { text: self.text.clone(), withheld }
    }

    /// Returns it as TOML.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns a line of a log without what is withheld and without the folders of absolute paths, which may be those of a
    /// person.
    #[must_use]
    pub fn scrub(&self, line: &str) -> String {
        let mut scrubbed = line.to_owned();
        // Longer ones first: a file's name may be part of another's.
        let mut withheld: Vec<&String> = self.withheld.iter().collect();
        withheld.sort_by_key(|text| std::cmp::Reverse(text.len()));
        for text in withheld {
            if scrubbed.contains(text.as_str()) {
                scrubbed = scrubbed.replace(text.as_str(), if text.ends_with('/') { "/…/" } else { "…" });
            }
        }
        without_folders(&scrubbed)
    }
}

/// Renders a tree. `folder`: of the file, where relative paths begin.
pub(super) fn of(root: &Node, folder: &Path) -> Redacted {
    let mut renderer = Renderer::default();
    // Others are known by their form.
    if let Some(folder) = folder.to_str().filter(|folder| folder.contains(char::is_whitespace)) {
        renderer.remember(&format!("{folder}/"));
    }
    let rendered = renderer.node(root, &mut Vec::new());
    let text = toml::to_string(&rendered).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"));
    let variables: Vec<&str> = renderer.variables.iter().map(String::as_str).collect();
    let from = if variables.is_empty() {
        String::new()
    } else {
        format!("# from the environment: {}\n", variables.join(", "))
    };
    Redacted { text: from + &text, withheld: renderer.withheld }
}

#[derive(Default)]
struct Renderer {
    withheld: BTreeSet<String>,
    /// Names of keys that the environment has set.
    variables: BTreeSet<String>,
}

impl Renderer {
    fn node(&mut self, node: &Node, path: &mut Vec<String>) -> Toml {
        if node.origin.is_variable() && !matches!(node.value, Value::Table(_) | Value::List(_)) {
            self.variables.insert(path.join("."));
        }
        if let Ok(Some(expanded)) = node.expanded()
            && !node.secret
        {
            return self.node(&expanded, path);
        }
        match &node.value {
            Value::Table(table) => self.table(table, path),
            Value::List(items) => Toml::Array(items.iter().map(|item| self.node(item, path)).collect()),
            _ if node.secret => Toml::String(WITHHELD.to_owned()),
            Value::Text(text) => Toml::String(self.text(text, path)),
            _ if is_below_properties(path) => Toml::String(self.text("", path)),
            Value::Integer(number) => Toml::Integer(*number),
            Value::Boolean(value) => Toml::Boolean(*value),
            Value::Float(number) => number.parse().map_or_else(|_| Toml::String(WITHHELD.to_owned()), Toml::Float),
            Value::Other(what) => Toml::String((*what).to_owned()),
        }
    }

    fn table(&mut self, table: &Table, path: &mut Vec<String>) -> Toml {
        let mut rendered = toml::Table::new();
        for entry in &table.entries {
            path.push(entry.key.clone());
            let value = self.node(&entry.node, path);
            rendered.insert(entry.key.clone(), value);
            path.pop();
        }
        Toml::Table(rendered)
    }

    fn text(&mut self, text: &str, path: &[String]) -> String {
        if is_below_properties(path) {
            return self.property(text, path);
        }
        if is_any(&PATTERNS, path) {
            return shape(text);
        }
        let is_secret = is_any(&SECRET, path);
        let is_shown = is_any(&SHOWN, path) || WHOLE.iter().any(|key| is_at_or_below(key, path));
        if is_shown || (is_plain(text) && !is_secret) {
            return text.to_owned();
        }
        if !is_secret {
            self.remember(text);
        }
        WITHHELD.to_owned()
    }

    fn property(&mut self, text: &str, path: &[String]) -> String {
        let name = path.get(2..).unwrap_or_default().join(".");
        if PROPERTIES.contains(&&*name) && !text.is_empty() {
            return text.to_owned();
        }
        if name == USER {
            self.remember(text);
        }
        WITHHELD.to_owned()
    }

    /// Keeps what is withheld: of a path its folders, with the slash behind them, and the name of the file.
    fn remember(&mut self, text: &str) {
        let cut = text.rfind('/').map_or(0, |slash| slash + 1);
        let (folders, name) = text.split_at(cut);
        // What is too short for a look of its own is taken out with the rest.
        let is_short = |part: &str| (1..SHORTEST_SCRUBBED).contains(&part.chars().count());
        let whole = if is_short(folders) || is_short(name) { text } else { "" };
        for text in [whole, folders, name] {
            if text.chars().count() >= SHORTEST_SCRUBBED && !USUAL_NAMES.contains(&text) {
                self.withheld.insert(text.to_owned());
            }
        }
    }
}

fn is_below_properties(path: &[String]) -> bool {
    matches!(path, [kafka, properties, ..] if kafka == "kafka" && properties == "properties")
}

fn is_any(keys: &[&str], path: &[String]) -> bool {
    keys.iter().any(|key| key.split('.').count() == path.len() && is_at_or_below(key, path))
}

/// A duration, a size or a switch. Digits alone may be a login id.
fn is_plain(text: &str) -> bool {
    let has_unit = !text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(text, "true" | "false" | "never")
        || (has_unit && (units::duration(text).is_some() || units::size(text).is_some()))
}

/// Whether a path begins with a key, in which `*` is any name.
fn is_at_or_below(key: &str, path: &[String]) -> bool {
    let parts: Vec<&str> = key.split('.').collect();
    parts.len() <= path.len() && parts.iter().zip(path).all(|(part, name)| *part == "*" || *part == name.as_str())
}

/// Letters as `a` or `A`, digits as `9`: what a pattern looks like, without what it says.
fn shape(pattern: &str) -> String {
    let letter = |letter: char| match letter {
        letter if letter.is_uppercase() => 'A',
        letter if letter.is_alphabetic() => 'a',
        letter if letter.is_numeric() => '9',
        letter => letter,
    };
    pattern.chars().map(letter).collect()
}

/// Leaves of each absolute path the name at its end.
fn without_folders(line: &str) -> String {
    /// Paths of addresses, not of files.
    const PAGES: [&str; 3] = ["/api/", "/health/", "/metrics"];
    let is_part = |letter: char| !letter.is_whitespace() && !matches!(letter, '"' | '\'' | ':' | ',' | ';' | ')' | '(');
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    let mut before = ' ';
    while let Some(letter) = rest.chars().next() {
        let is_begin = letter == '/' && (before.is_whitespace() || matches!(before, '"' | '\'' | '=' | '('));
        if is_begin && !PAGES.iter().any(|page| rest.starts_with(page)) {
            let end = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
            let (path, after) = rest.split_at(end);
            match path.rsplit_once('/') {
                Some((folders, name)) if !folders.is_empty() => {
                    kept.push_str("…/");
                    kept.push_str(name);
                }
                _ => kept.push_str(path),
            }
            before = path.chars().next_back().unwrap_or(before);
            rest = after;
            continue;
        }
        kept.push(letter);
        before = letter;
        rest = &rest[letter.len_utf8()..];
    }
    kept
}

#[cfg(test)]
#[path = "tests/redacted.rs"]
mod tests;
