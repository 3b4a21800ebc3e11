//! `[integration.realtime.tls]`: TLS on the port that CMS dials.
//!
//! Only the names of files are read here. Their contents are checked where the files of mappings are read too
//! (`service::tls_files`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::model::TlsConfig;
use super::reader::{Slot, TableReader};
use super::values;

/// Time in which even a slow link completes a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the table.
pub(super) fn read(table: &TableReader<'_>, folder: &Path) -> Option<TlsConfig> {
    let certificate = table.required("certificate", "\"tls/rtalink.crt\"", |slot| file(slot, folder));
    let key = table.required("key", "\"tls/rtalink.key\"", |slot| file(slot, folder));
    let has_client_ca = table.has("client_ca");
    let client_ca = table.optional("client_ca", |slot| file(slot, folder));
    let handshake_timeout = table.or("handshake_timeout", HANDSHAKE_TIMEOUT, values::positive_duration);
    if has_client_ca && client_ca.is_none() {
        // Without its CA anybody could connect to the port.
        return None;
    }
    Some(TlsConfig { certificate: certificate?, key: key?, client_ca, handshake_timeout })
}

fn file(slot: Slot<'_>, folder: &Path) -> Option<PathBuf> {
    // A key that somebody pastes here must not be shown again.
    const NAME_BYTES: usize = 255;
    let is_content = |text: &str| text.contains('\n') || text.contains("-----") || text.len() > NAME_BYTES;
    if slot.as_text().is_some_and(is_content) {
        return slot.error("expected the name of a file, found what may stand in one", None);
    }
    let file = values::path(folder)(slot)?;
    if file.is_file() {
        return Some(file);
    }
    let hint = "relative names are relative to the configuration file".to_owned();
    slot.error(format!("there is no file {}", file.display()), Some(hint))
}
