//! What a worker can be asked to do with an integration while it runs, and what it answers.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

/// What a request asks for, of the integration with that position in the configuration.
#[derive(Debug)]
pub struct Command {
    /// The position.
    pub number: usize,
    /// What.
    pub task: Task,
}

/// What is to be done.
#[derive(Debug)]
pub enum Task {
    /// Stop publishing, or go on with it.
    Publishing {
        /// To stop.
        pause: bool,
        /// Told when it is on disk; `false`: it was so before.
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
    /// On that ACD alone.
    pub acd: Option<u32>,
    /// Also where nobody knows them here: then only a tombstone is published. With an ACD.
    pub is_unknown_too: bool,
    /// Told when it has begun, or that it cannot be.
    pub done: oneshot::Sender<Forgotten>,
}

/// What came of it in one integration.
#[derive(Debug, Default)]
pub struct Forgotten {
    /// ACDs on which they are forgotten, now or a short while ago.
    pub acds: Vec<u32>,
    /// So many of them, the first, only now.
    pub now: usize,
    /// ACDs on which the feed still shows them.
    pub in_feed: Vec<u32>,
    /// The journal had no room for it.
    pub is_full: bool,
    /// Told when nothing of them is left in the store.
    pub erased: Option<oneshot::Receiver<()>>,
}

/// To those who carry it out.
pub type Commands = mpsc::Sender<Command>;
