//! Fail points: where tests let the process die, as suddenly as `kill -9`.
//!
//! `RTALINK_FAIL_POINT=NAME` aborts a debug build when it reaches that point, `NAME:COUNT` when it does for the COUNT-th
//! time, and with `NAME:COUNT:panic` the thread that does it panics instead. The points lie between what was read and what is acknowledged, before and after everything that outlives the
//! process. In a release build there are none, and reaching one costs nothing.

macro_rules! points {
    ($($(#[$meaning:meta])* $point:ident = $name:literal;)*) => {
        $($(#[$meaning])* pub const $point: &str = $name;)*
        /// All of them, in the order in which they follow one another.
        pub const ALL: &[&str] = &[$($point),*];
    };
}

points! {
    /// The store is open, nothing of it is read yet.
    STORE_OPENED = "store-opened";
    /// The agents and the journal behind them are read.
    REPLAYED = "replayed";
    /// The agents are read from Kafka, and nothing of that is written down.
    KAFKA_READ = "kafka-read";
    /// The agents are in the engine, the first checkpoint is to follow.
    FIRST_CHECKPOINT = "first-checkpoint";
    /// The engine has changed the agents, the journal does not know yet.
    STATE_CHANGED = "state-changed";
    /// The journal has taken a batch into its queue.
    SUBMITTED = "submitted";
    /// A batch is about to be written.
    BATCH_TAKEN = "batch-taken";
    /// Everything of a transaction of the store is said but the commit.
    BEFORE_STORE_COMMIT = "before-store-commit";
    /// A transaction of the store is committed, and not counted in the lock file.
    AFTER_STORE_COMMIT = "after-store-commit";
    /// A batch is on disk, the outbox does not have it.
    BATCH_WRITTEN = "batch-written";
    /// A batch is in the outbox.
    APPENDED = "appended";
    /// A message is about to be given to librdkafka.
    BEFORE_SEND = "before-send";
    /// librdkafka has a message.
    AFTER_SEND = "after-send";
    /// Kafka has a message, the outbox does not know.
    BEFORE_ACKNOWLEDGE = "before-acknowledge";
    /// The outbox knows that Kafka has a message.
    AFTER_ACKNOWLEDGE = "after-acknowledge";
    /// A transaction of Kafka has begun.
    TRANSACTION_BEGUN = "transaction-begun";
    /// librdkafka has the messages of a transaction, its checkpoint is to follow.
    TRANSACTION_SENT = "transaction-sent";
    /// Everything of a transaction is in Kafka, the commit is to follow.
    BEFORE_TRANSACTION_COMMIT = "before-transaction-commit";
    /// A transaction is committed, the outbox does not know.
    AFTER_TRANSACTION_COMMIT = "after-transaction-commit";
    /// How far Kafka is is about to be written down.
    BEFORE_ACKNOWLEDGED_TO = "before-acknowledged-to";
    /// How far Kafka is is on disk.
    AFTER_ACKNOWLEDGED_TO = "after-acknowledged-to";
    /// A portion of a checkpoint is about to be written.
    BEFORE_CHECKPOINT = "before-checkpoint";
    /// The agents of a portion are written, what they cover is not.
    IN_CHECKPOINT = "in-checkpoint";
    /// A portion of a checkpoint is on disk.
    AFTER_CHECKPOINT = "after-checkpoint";
    /// A tombstone is about to be handed over; the agent is known.
    BEFORE_FORGET = "before-forget";
    /// A tombstone is handed over, the agent is not known any more.
    AFTER_FORGET = "after-forget";
    /// Whoever was forgotten is in no table; the file is about to be swept.
    BEFORE_ERASE = "before-erase";
    /// The file is swept, in its log.
    IN_ERASE = "in-erase";
    /// Nothing of whom was forgotten is in the file.
    AFTER_ERASE = "after-erase";
}

/// The process is at that point.
#[cfg(debug_assertions)]
pub fn reach(name: &str) {
    use std::sync::atomic::Ordering;

    let armed = armed::ARMED.get_or_init(armed::from_environment);
    if let Some(armed) = armed.as_ref().filter(|armed| armed.name == name)
        && armed.reached.fetch_add(1, Ordering::Relaxed) + 1 == armed.count
    {
        if armed.panics {
            panic!("fail point {name}");
        }
        std::process::abort();
    }
}

/// The process is at that point.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn reach(_name: &str) {}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicU32;

    /// Where this process is to die.
    pub(super) struct Armed {
        pub(super) name: String,
        pub(super) count: u32,
        pub(super) reached: AtomicU32,
        /// Instead of an end without a word.
        pub(super) panics: bool,
    }

    pub(super) static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    pub(super) fn from_environment() -> Option<Armed> {
        let wanted = std::env::var("RTALINK_FAIL_POINT").ok()?;
        let mut parts = wanted.split(':');
        let (name, count, end) = (parts.next()?, parts.next().unwrap_or("1"), parts.next());
        let panics = end == Some("panic");
        Some(Armed { name: name.to_owned(), count: count.parse().ok()?, reached: AtomicU32::new(0), panics })
    }
}
