//! `[http]`, `[store]` and `[log]`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::model::{Http, Log, LogFormat, Store, Sync};
use super::reader::{Reader, Slot};
use super::schema::nearest;
use super::values;

const DEFAULT_JOURNAL: usize = 1 << 30;

/// Below this the journal of a busy integration is full after seconds.
const SMALLEST_JOURNAL: usize = 1 << 20;

/// Container engines kill after ten seconds unless told otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Reads `[http]`.
pub(super) fn http(http: &Reader<'_>) -> Http {
    let default = SocketAddr::from(([127, 0, 0, 1], 9464));
    let expected = "an IP address and a port, such as \"127.0.0.1:9464\" or \"[::1]:9464\"";
    Http { listen: http.or("listen", default, values::parsed(expected)) }
}

/// Reads `[store]`.
pub(super) fn store(store: &Reader<'_>, folder: &Path) -> Store {
    let journal_max_size = store.or("journal_max_size", DEFAULT_JOURNAL, |slot| {
        let size = values::size(slot)?;
        if size < SMALLEST_JOURNAL { slot.error("must be at least 1MiB", None) } else { Some(size) }
    });
    Store {
        directory: store.or("directory", folder.join("data"), values::path(folder)),
        journal_max_size: journal_max_size as u64,
        sync: store.or("sync", Sync::Full, values::choice(&[("full", Sync::Full), ("normal", Sync::Normal)])),
    }
}

/// Reads `shutdown_grace`.
pub(super) fn shutdown_grace(root: &Reader<'_>) -> Duration {
    root.or("shutdown_grace", DEFAULT_GRACE, values::duration)
}

/// Reads `[log]`.
pub(super) fn log(log: &Reader<'_>) -> Log {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    Log {
        level: log.or("level", "info".to_owned(), level),
        format: log.or("format", LogFormat::Text, values::choice(&formats)),
    }
}

/// A level, or directives such as `info,rtalink::feed=debug`. A filter takes a bare word that is no level for the name
/// of a module and shows everything of it, which is never meant.
fn level(slot: Slot<'_>) -> Option<String> {
    const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];
    let text = values::filled_text(slot)?;
    let is_bare = |part: &&str| !part.contains(['=', '[']);
    let wrong = text.split(',').map(str::trim).filter(is_bare).find(|part| !LEVELS.contains(part));
    if wrong.is_none() && EnvFilter::try_new(&text).is_ok() {
        return Some(text);
    }
    let hint = wrong.and_then(|part| nearest(part, LEVELS)).map(|name| format!("did you mean {name:?}?"));
    slot.wrong("trace, debug, info, warn, error, or directives such as \"info,rtalink::feed=debug\"", hint)
}
