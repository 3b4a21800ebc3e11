//! `[integration.realtime.tls]`: TLS on the port that CMS dials.
//!
//! Here only the names of files are read. What is in them is looked at by whoever reads the files of mappings too
//! (`pipeline::tls_files`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::model::Tls;
use super::reader::{Reader, Slot};
use super::values;

/// Time in which even a slow link shakes hands.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the table.
pub(super) fn read(table: &Reader<'_>, folder: &Path) -> Option<Tls> {
    let certificate = table.required("certificate", "\"tls/rtalink.crt\"", |slot| file(slot, folder));
    let key = table.required("key", "\"tls/rtalink.key\"", |slot| file(slot, folder));
    let has_client_ca = table.has("client_ca");
    let client_ca = table.optional("client_ca", |slot| file(slot, folder));
    let handshake_timeout = table.or("handshake_timeout", HANDSHAKE_TIMEOUT, values::positive_duration);
    if has_client_ca && client_ca.is_none() {
        // Without its CA the port would be open to anybody.
        return None;
    }
    Some(Tls { certificate: certificate?, key: key?, client_ca, handshake_timeout })
}

fn file(slot: Slot<'_>, folder: &Path) -> Option<PathBuf> {
    // Whoever pastes a key here must not see it again.
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
