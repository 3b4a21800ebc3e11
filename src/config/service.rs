//! `[store]` and `[log]`.

use std::path::Path;
use std::time::Duration;

use super::log_level;
use super::model::{LogConfig, LogFormat, StoreConfig, Sync};
use super::reader::{Slot, TableReader};
use super::schema::nearest;
use super::values;

const DEFAULT_JOURNAL: usize = 1 << 30;

/// Below this the journal of a busy integration is full within seconds.
const SMALLEST_JOURNAL: usize = 1 << 20;

/// Container engines kill after ten seconds by default.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Reads `[store]`.
pub(super) fn store(store: &TableReader<'_>, folder: &Path) -> StoreConfig {
    let journal_max_size = store.or("journal_max_size", DEFAULT_JOURNAL, |slot| {
        let size = values::size(slot)?;
        if size < SMALLEST_JOURNAL { slot.error("must be at least 1MiB", None) } else { Some(size) }
    });
    StoreConfig {
        directory: store.or("directory", folder.join("data"), values::path(folder)),
        journal_max_size: journal_max_size as u64,
        in_memory: store.or("in_memory", false, values::boolean),
        sync: store.or("sync", Sync::Full, values::choice(&[("full", Sync::Full), ("normal", Sync::Normal)])),
    }
}

/// Reads `shutdown_grace`.
pub(super) fn shutdown_grace(root: &TableReader<'_>) -> Duration {
    root.or("shutdown_grace", DEFAULT_GRACE, values::duration)
}

/// Reads `[log]`.
pub(super) fn log(log: &TableReader<'_>) -> LogConfig {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let default = LogConfig::default();
    LogConfig {
        level: log.or("level", default.level, level),
        format: log.or("format", default.format, values::choice(&formats)),
    }
}

/// A level, or directives such as `info,rtalink::feed=debug`.
fn level(slot: Slot<'_>) -> Option<String> {
    let text = values::filled_text(slot)?;
    let wrong = match log_level::read(&text) {
        Ok(level) => {
            for (old, now) in level.renamed {
                slot.warning(&format!("{old} is called {now} now, and will not be understood by the next version"));
            }
            return Some(text);
        }
        Err(wrong) => wrong.word,
    };
    let nearest = wrong.and_then(|word| nearest(word, log_level::LEVELS));
    let hint = nearest.map(|name| format!("did you mean {name:?}?"));
    slot.wrong("trace, debug, info, warn, error, or directives such as \"info,rtalink::feed=debug\"", hint)
}
