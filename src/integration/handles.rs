//! The ways to Kafka of the integrations that are at work, for those who show them or hand something over.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::kafka::PublishHandle;
use crate::views::model::IntegrationIndex;

/// The handles, by the integrations' places in the model. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Handles(Arc<RwLock<BTreeMap<IntegrationIndex, PublishHandle>>>);

impl Handles {
    /// Adds the handle of an integration that begins its work.
    pub fn insert(&self, index: IntegrationIndex, handle: PublishHandle) {
        self.0.write().insert(index, handle);
    }

    /// Removes the handle of an integration that has ended its work.
    pub fn remove(&self, index: IntegrationIndex) {
        self.0.write().remove(&index);
    }

    /// Returns the handle of an integration, while it is at work.
    pub fn get(&self, index: IntegrationIndex) -> Option<PublishHandle> {
        self.0.read().get(&index).cloned()
    }

    /// Returns the handle of any of them: the store is the same for all.
    pub fn any(&self) -> Option<PublishHandle> {
        self.0.read().values().next().cloned()
    }

    /// Returns all of them.
    pub fn all(&self) -> Vec<PublishHandle> {
        self.0.read().values().cloned().collect()
    }

    /// Returns the number of messages that wait for the store or for Kafka.
    pub fn pending(&self) -> usize {
        self.0.read().values().map(PublishHandle::pending).sum()
    }
}
