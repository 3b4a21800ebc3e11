//! A publisher with a store of its own, without a service around it.

#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;

use rtalink::config::model::Kafka;
use rtalink::journal::message::{Batch, Message};
use rtalink::journal::send_window::WindowLimits;
use rtalink::journal::store;
use rtalink::journal::{self, Bounds, Journal, LaneStart};
use rtalink::kafka::Publisher;
use rtalink::kafka::observer::{Observer, UnobservedProducer};
use tempfile::TempDir;
use uuid::Uuid;

use super::service::{folder, parse};

/// Section `[kafka]` with these lines, perhaps with others behind it, beside the integration `avaya-1`.
pub(crate) fn kafka(lines: &str) -> Kafka {
    let toml = format!(
        r#"
        [kafka]
        {lines}
        [[integration]]
        id = "avaya-1"
        kind = "avaya-cms"
        acd = 1
        "#
    );
    parse(&toml, &folder(&[])).kafka
}

/// Starts it for one integration; the folder of its store must outlive it.
pub(crate) fn publisher(kafka: &Kafka, integration: &str) -> (Publisher, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    (publisher_in(folder.path(), kafka, integration), folder)
}

/// Starts it on a store that may have been used before.
pub(crate) fn publisher_in(folder: &Path, kafka: &Kafka, integration: &str) -> Publisher {
    observed_in(folder, kafka, integration, Arc::new(UnobservedProducer))
}

/// The same with somebody who looks on.
pub(crate) fn observed_in(folder: &Path, kafka: &Kafka, integration: &str, observer: Arc<dyn Observer>) -> Publisher {
    let settings = store::StoreSettings { directory: folder.to_owned(), sync: store::Sync::Normal };
    let mut store = store::open(&settings).unwrap().store;
    let stored = store.integration(integration).unwrap();
    let lanes = [LaneStart { integration: integration.into(), stored, keeps_events: false }];
    let window = WindowLimits { messages: kafka.queue_events, bytes: WindowLimits::DEFAULT_BYTES };
    let bounds = Bounds { journal_bytes: 1 << 30, window };
    let journal = Journal::start(store, &lanes, bounds, Arc::new(journal::UnobservedStore)).unwrap();
    Publisher::start(kafka, None, journal, |_| Arc::clone(&observer)).unwrap()
}

/// Id of the store in a folder that nobody uses at the moment.
pub(crate) fn store_id(folder: &Path) -> Uuid {
    store::open(&store::StoreSettings { directory: folder.to_owned(), sync: store::Sync::Normal }).unwrap().store.id()
}

/// The same, and the runs that have counted the journal of an integration, as text.
pub(crate) fn runs(folder: &Path, integration: &str) -> (Uuid, String) {
    let settings = store::StoreSettings { directory: folder.to_owned(), sync: store::Sync::Normal };
    let mut store = store::open(&settings).unwrap().store;
    let number = store.integration(integration).unwrap().number;
    (store.id(), store.lineage(number).to_string())
}

/// A batch without agents.
pub(crate) fn batch(messages: Vec<Message>) -> Batch {
    Batch { messages, ..Batch::default() }
}
