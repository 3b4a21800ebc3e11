//! What a scenario is: how much load, what is broken and how often.

use std::time::Duration;

use super::centre::Pace;

/// `RTALINK_TORTURE=full` plays the large sizes.
const FULL: &str = "RTALINK_TORTURE";
/// Another seed than a scenario's own.
const SEED: &str = "RTALINK_TORTURE_SEED";

/// A feed, and what happens to those who read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) delivery: Delivery,
    pub(crate) seed: u64,
    pub(crate) breaks: Breaks,
    /// `[store]` of its configuration.
    pub(crate) store: &'static str,
    /// `shutdown_grace` of its configuration.
    pub(crate) grace: &'static str,
    /// In every `cargo test`.
    pub(crate) short: Size,
    pub(crate) full: Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    AtLeastOnce,
    ExactlyOnce,
}

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaks {
    /// rtalink gets SIGKILL at random moments.
    Kills,
    /// The broker does, and is started again.
    BrokerKills,
    /// The broker is away for so long, and rtalink gets SIGKILL meanwhile, and once when it is back.
    Outage,
    /// rtalink gets SIGTERM under load.
    Terminations,
    /// rtalink is ended and killed while nothing changes.
    StillRestarts,
    /// rtalink dies at every one of its fail points.
    FailPoints,
    /// The disk of the store is full while Kafka is away.
    DiskFull,
    /// The store itself fills its disk while Kafka is away.
    DiskFilled,
    /// The journal reaches its largest size while Kafka is away.
    JournalFull,
    /// The store directory cannot be made.
    Unwritable,
    /// Files of the store are cut and bits flipped between SIGKILL and start.
    TornStore,
    /// A second process wants the same store.
    SecondProcess,
    /// The store directory is deleted while rtalink runs.
    DirectoryGone,
    /// The store comes back from an older copy of it.
    RestoredStore,
    /// A second instance for the integration.
    ClonedStore,
    /// A newer program has had the store.
    NewerStore,
    /// The disk of the store hangs, and comes back; hangs again, and rtalink gets SIGTERM.
    HungDisk,
    /// rtalink gets SIGTERM under load and has no time to end.
    NoGrace,
    /// Topics are deleted while rtalink runs.
    DeletedTopics,
    /// Topics get more partitions.
    PartitionsAdded,
    /// The integration is taken out of the configuration while Kafka does not have all of it.
    RemovedIntegration,
    /// Another integration comes, changes and goes.
    Changes,
    /// What an older program has left behind is taken over.
    Takeover,
    /// Nothing.
    Nothing,
}

/// How much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// How often it is broken.
    pub(crate) times: u32,
    pub(crate) agents: usize,
    pub(crate) refresh: Duration,
    pub(crate) pace: Pace,
    /// So many snapshots at least.
    pub(crate) snapshots: u64,
    /// How long the broker is away.
    pub(crate) outage: Duration,
}

impl Scenario {
    /// The same with that in `[store]`.
    pub(crate) const fn with_store(self, store: &'static str) -> Self {
        Self { store, ..self }
    }

    /// The same with so much time to end.
    pub(crate) const fn with_grace(self, grace: &'static str) -> Self {
        Self { grace, ..self }
    }

    pub(crate) fn size(&self) -> Size {
        if is_full() { self.full } else { self.short }
    }

    pub(crate) fn seed(&self) -> u64 {
        let given = std::env::var(SEED).ok();
        given.map_or(self.seed, |seed| seed.parse().unwrap_or_else(|_| panic!("{SEED}={seed}: expected a number")))
    }
}

impl Delivery {
    /// As in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at-least-once",
            Self::ExactlyOnce => "exactly-once",
        }
    }
}

pub(crate) fn is_full() -> bool {
    std::env::var(FULL).is_ok_and(|value| value == "full")
}
