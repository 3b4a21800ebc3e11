//! Fail points: places where tests kill the process as abruptly as `kill -9`.
//!
//! `RTALINK_FAIL_POINT=NAME` aborts a debug build when it reaches that point, `NAME:COUNT` when it reaches it for the
//! COUNT-th time; `NAME:COUNT:panic` makes the thread panic instead. The points lie along the way from reading to
//! acknowledgement, before and after every step that outlives the process. In a release build there are none, and reaching
//! one costs nothing.

macro_rules! points {
    ($($(#[$meaning:meta])* $point:ident = $name:literal;)*) => {
        $($(#[$meaning])* pub const $point: &str = $name;)*
        /// All of them, in the order in which they are reached.
        pub const ALL: &[&str] = &[$($point),*];
    };
}

points! {
    /// The store is open, but nothing was read from it yet.
    STORE_OPENED = "store-opened";
    /// The agents, and the journal after them, have been read.
    REPLAYED = "replayed";
    /// The agents have been read from Kafka, but nothing of that is on disk.
    KAFKA_READ = "kafka-read";
    /// The agents are in the engine; the first checkpoint comes next.
    FIRST_CHECKPOINT = "first-checkpoint";
    /// The engine has changed the agents; the journal does not know yet.
    STATE_CHANGED = "state-changed";
    /// The journal has queued a batch.
    SUBMITTED = "submitted";
    /// A batch is about to be written.
    BATCH_TAKEN = "batch-taken";
    /// A transaction of the store is complete but for the commit.
    BEFORE_STORE_COMMIT = "before-store-commit";
    /// A transaction of the store is committed, but not yet counted in the lock file.
    AFTER_STORE_COMMIT = "after-store-commit";
    /// A batch is on disk, but not yet in the send window.
    BATCH_WRITTEN = "batch-written";
    /// A batch is in the send window.
    APPENDED = "appended";
    /// A message is about to be given to librdkafka.
    BEFORE_SEND = "before-send";
    /// librdkafka has a message.
    AFTER_SEND = "after-send";
    /// Kafka has a message; the send window does not know yet.
    BEFORE_ACKNOWLEDGE = "before-acknowledge";
    /// The send window knows that Kafka has a message.
    AFTER_ACKNOWLEDGE = "after-acknowledge";
    /// A Kafka transaction has begun.
    TRANSACTION_BEGUN = "transaction-begun";
    /// librdkafka has the messages of a transaction; its checkpoint comes next.
    TRANSACTION_SENT = "transaction-sent";
    /// Everything of a transaction is in Kafka; the commit comes next.
    BEFORE_TRANSACTION_COMMIT = "before-transaction-commit";
    /// A transaction is committed; the send window does not know yet.
    AFTER_TRANSACTION_COMMIT = "after-transaction-commit";
    /// The position up to which Kafka has everything is about to be written.
    BEFORE_ACKNOWLEDGED_TO = "before-acknowledged-to";
    /// The position up to which Kafka has everything is on disk.
    AFTER_ACKNOWLEDGED_TO = "after-acknowledged-to";
    /// A portion of a checkpoint is about to be written.
    BEFORE_CHECKPOINT = "before-checkpoint";
    /// The agents of a portion are written, but not yet what they cover.
    IN_CHECKPOINT = "in-checkpoint";
    /// A portion of a checkpoint is on disk.
    AFTER_CHECKPOINT = "after-checkpoint";
    /// A tombstone is about to be handed over; the agent is still known.
    BEFORE_FORGET = "before-forget";
    /// A tombstone has been handed over; the agent is no longer known.
    AFTER_FORGET = "after-forget";
    /// The forgotten agent is in no table; the file is about to be swept.
    BEFORE_ERASE = "before-erase";
    /// The file has been swept, but only in its log.
    IN_ERASE = "in-erase";
    /// Nothing of the forgotten agent is in the file.
    AFTER_ERASE = "after-erase";
}

/// Reaches that point.
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

/// Reaches that point.
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
        /// Whether the thread panics instead of the process aborting.
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
