//! What a worker can be asked to do with an integration while it runs, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::mapping::tables::MappingTables;
use crate::tracker::settings::Thresholds;
use crate::views::model::IntegrationIndex;

/// What the service sends to a worker about one of its integrations.
#[derive(Debug)]
pub enum Control {
    /// Another version of an integration's mapping.
    Mapping(Arc<MappingTables>),
    /// Other thresholds.
    Thresholds(Thresholds),
    /// Stops publishing or resumes it; reports when that is on disk.
    Publishing {
        /// Whether it is to stop.
        pause: bool,
        /// Notified when it is done; `false`: it was so before.
        done: oneshot::Sender<bool>,
    },
    /// Forgets somebody.
    Forget(Forget),
    /// How long after they were last seen agents are forgotten.
    ForgetAfter(Option<Duration>),
    /// Not everything that was found, or kept while the journal was full, has been handed over. Sent by the worker to itself,
    /// so that others have their turn in between.
    GoOn,
    /// All messages that will ever come are before this one: the integration ends, and the worker goes on with the others.
    Stop {
        /// Notified when everything is handed over that can be.
        done: oneshot::Sender<()>,
    },
}

/// What a request asks for, of the integration with that position in the model.
#[derive(Debug)]
pub struct Command {
    /// The position.
    pub index: IntegrationIndex,
    /// What is to be done.
    pub task: Task,
}

/// A thing to do.
#[derive(Debug)]
pub enum Task {
    /// Stop publishing, or resume it.
    Publishing {
        /// To stop.
        pause: bool,
        /// Notified when it is on disk; `false`: it was so before.
        done: oneshot::Sender<bool>,
    },
    /// Forget somebody.
    Forget(Forget),
}

/// Who is to be forgotten.
#[derive(Debug)]
pub struct Forget {
    /// Their login id.
    pub login_id: Arc<str>,
    /// Only on that ACD.
    pub acd: Option<u32>,
    /// Even where nobody knows them here: then only a tombstone is published. Needs an ACD.
    pub is_unknown_too: bool,
    /// Gets the answer when it has begun, or cannot begin.
    pub done: oneshot::Sender<ForgetAnswer>,
}

/// The result in one integration.
#[derive(Debug, Default)]
pub struct ForgetAnswer {
    /// ACDs on which they are forgotten, now or a short while ago.
    pub acds: Vec<u32>,
    /// How many of them, counted from the first, only now.
    pub now: usize,
    /// ACDs on which the feed still shows them.
    pub in_feed: Vec<u32>,
    /// The journal had no room for it.
    pub is_full: bool,
    /// Notified when nothing of them is left in the store.
    pub erased: Option<oneshot::Receiver<()>>,
}

/// Sends commands to the tasks that carry them out.
pub type Commands = mpsc::Sender<Command>;
