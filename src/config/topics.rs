//! The topics: everything that differs from one to the other is in one row of a table, [`Topic::spec`].

use std::ops::Index;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// One of the topics that are published to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Every transition.
    Events,
    /// Each agent's last event, compacted.
    Current,
    /// Connections, gaps, outages.
    FeedStatus,
    /// Records that could not be read.
    DeadLetter,
    /// How far each integration's messages are committed; with exactly-once delivery only.
    Checkpoint,
    /// Who did what, and who looked at whom.
    Audit,
}

/// What a topic is.
#[derive(Clone, Copy, Debug)]
pub struct TopicSpec {
    /// Its key in `[kafka.topics]` and `[privacy.retention]`.
    pub key: &'static str,
    /// Its name unless configured.
    pub default_name: &'static str,
    /// What it keeps.
    pub keeps: Keeps,
    /// Whether it has as many partitions as configured; one, if not.
    pub is_partitioned: bool,
    /// When its messages give way to those of the other topics.
    pub gives_way: GivesWay,
    /// How `rtalink tail` names it; `None` for what is not for consumers.
    pub argument: Option<&'static str>,
}

/// Which messages a topic keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// The last one of each key: it is compacted.
    Latest,
    /// All of them, for so long unless configured.
    For(Duration),
}

/// When nothing may wait for a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivesWay {
    /// Never: without it nothing is published.
    Never,
    /// Where it is missing.
    WhenMissing,
    /// Where it is missing, or this user may not write to it.
    WhenClosed,
}

impl Topic {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Events, Self::Current, Self::FeedStatus, Self::DeadLetter, Self::Checkpoint, Self::Audit];

    /// Returns the topic's row.
    pub const fn spec(self) -> TopicSpec {
        let events = TopicSpec {
            key: "events",
            default_name: "rta.agent-state.events",
            keeps: Keeps::For(DAY.saturating_mul(7)),
            is_partitioned: true,
            gives_way: GivesWay::Never,
            argument: Some("events"),
        };
        match self {
            Self::Events => events,
            // As many partitions as events, so that the two can be joined partition by partition.
            Self::Current => TopicSpec {
                key: "current",
                default_name: "rta.agent-state.current",
                keeps: Keeps::Latest,
                argument: Some("current"),
                ..events
            },
            Self::FeedStatus => TopicSpec {
                key: "feed_status",
                default_name: "rta.feed-status",
                keeps: Keeps::For(DAY.saturating_mul(30)),
                is_partitioned: false,
                gives_way: GivesWay::WhenMissing,
                argument: Some("feed-status"),
            },
            Self::DeadLetter => TopicSpec {
                key: "dead_letter",
                default_name: "rta.dead-letter",
                gives_way: GivesWay::WhenMissing,
                argument: Some("dead-letter"),
                ..events
            },
            Self::Checkpoint => TopicSpec {
                key: "checkpoint",
                default_name: "rta.checkpoint",
                keeps: Keeps::Latest,
                argument: None,
                ..events
            },
            Self::Audit => TopicSpec {
                key: "audit",
                default_name: "rta.audit",
                keeps: Keeps::For(DAY.saturating_mul(365)),
                is_partitioned: false,
                gives_way: GivesWay::WhenClosed,
                argument: Some("audit"),
            },
        }
    }
}

// A set of topics is a byte, and a position of the journal leaves three bits for one.
const _: () = {
    assert!(Topic::ALL.len() <= 8);
    // The audit topic stays the last one.
    assert!(Topic::ALL.len() == Topic::Audit as usize + 1, "Topic::ALL lacks a topic");
    let mut number = 0;
    while number < Topic::ALL.len() {
        assert!(Topic::ALL[number] as usize == number, "Topic::ALL is not in the order of the numbers");
        number += 1;
    }
};

/// Returns the keys of `[kafka.topics]`.
pub(super) const KEYS: [&str; Topic::ALL.len()] = {
    let mut keys = [""; Topic::ALL.len()];
    let mut number = 0;
    while number < keys.len() {
        keys[number] = Topic::ALL[number].spec().key;
        number += 1;
    }
    keys
};

/// Returns how many topics keep their messages for a while.
const KEPT: usize = {
    let (mut count, mut number) = (0, 0);
    while number < Topic::ALL.len() {
        if let Keeps::For(_) = Topic::ALL[number].spec().keeps {
            count += 1;
        }
        number += 1;
    }
    count
};

/// The keys of `[privacy.retention]`: topics, then files of captures.
pub(super) const RETENTION_KEYS: [&str; KEPT + 1] = {
    let mut keys = ["captures"; KEPT + 1];
    let (mut count, mut number) = (0, 0);
    while number < Topic::ALL.len() {
        if let Keeps::For(_) = Topic::ALL[number].spec().keeps {
            keys[count] = Topic::ALL[number].spec().key;
            count += 1;
        }
        number += 1;
    }
    keys
};

/// `[kafka.topics]`: the name of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics([String; Topic::ALL.len()]);

impl Topics {
    /// Creates them with the name that `name` returns for each.
    pub(super) fn of(name: impl FnMut(Topic) -> String) -> Self {
        Self(Topic::ALL.map(name))
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self::of(|topic| topic.spec().default_name.to_owned())
    }
}

impl Index<Topic> for Topics {
    type Output = str;

    fn index(&self, topic: Topic) -> &str {
        &self.0[topic as usize]
    }
}

/// `[privacy.retention]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    topics: [Option<Duration>; Topic::ALL.len()],
    /// Of files in [`super::model::Privacy::captures`].
    pub captures: Duration,
}

impl RetentionConfig {
    /// Creates it with what `keeps` returns for each topic that keeps its messages for a while, given its key and default.
    pub(super) fn of(captures: Duration, keeps: impl Fn(&'static str, Duration) -> Duration) -> Self {
        let keep = |topic: Topic| match topic.spec().keeps {
            Keeps::For(default) => Some(keeps(topic.spec().key, default)),
            Keeps::Latest => None,
        };
        Self { topics: Topic::ALL.map(keep), captures }
    }

    /// Returns how long a topic may keep its messages; `None` where a later message of the key replaces an earlier one.
    pub const fn topic(&self, topic: Topic) -> Option<Duration> {
        self.topics[topic as usize]
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self::of(14 * DAY, |_, default| default)
    }
}
