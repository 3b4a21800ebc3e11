//! The typed configuration: what remains when every problem has been found.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::http_address::HttpAddress;
use super::redacted::Redacted;
use super::secret::SecretHash;
pub use crate::mapping::tables::IdentifyBy;
use crate::mapping::tables::MappingTables;
use crate::tracker::settings::{FeedMode, Fixed, ShortStates, SnapshotEnd, Thresholds, TrackerSettings, WhenSilent};
use crate::wire::layout::LayoutSpec;

use super::topics::{RetentionConfig, Topics};

/// Everything that `--config FILE` says.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where events go.
    pub kafka: Kafka,
    /// Health, metrics and API.
    pub http: Http,
    /// What the service must remember.
    pub store: StoreConfig,
    /// Which personal data there is, and for how long.
    pub privacy: PrivacyConfig,
    /// What is written to stderr.
    pub log: LogConfig,
    /// How long shutting down may take.
    pub shutdown_grace: Duration,
    /// One per CMS session.
    pub integrations: Vec<Integration>,
    /// `[layout.NAME]`, for lookups by name; integrations carry their own.
    pub layouts: BTreeMap<String, Arc<LayoutSpec>>,
    /// What was written, as it may be handed to others.
    pub redacted: Redacted,
}

/// `[kafka]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Kafka {
    /// The cluster.
    pub bootstrap: Bootstrap,
    /// How values are encoded.
    pub format: Format,
    /// What consumers can rely on.
    pub delivery: Delivery,
    /// With exactly-once delivery: the least time between the beginnings of two transactions.
    pub commit_interval: Duration,
    /// Names of the topics.
    pub topics: Topics,
    /// Handed to librdkafka.
    pub properties: BTreeMap<String, String>,
    /// Whether missing topics are created.
    pub create_topics: bool,
    /// Partitions of a topic that is created.
    pub partitions: i32,
    /// For how long topics that are created keep their messages: `[privacy.retention]`.
    pub retention: RetentionConfig,
    /// Replication factor of a topic that is created; `None` takes the broker's default.
    pub replication_factor: Option<i32>,
    /// How long the producer waits for more messages of a batch (`linger.ms`).
    pub linger: Duration,
    /// Most events per integration that wait for Kafka before the socket waits.
    pub queue_events: usize,
}

impl fmt::Debug for Kafka {
    /// Prints only the names of the properties, which hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka")
            .field("bootstrap", &self.bootstrap)
            .field("format", &self.format)
            .field("delivery", &self.delivery)
            .field("commit_interval", &self.commit_interval)
            .field("topics", &self.topics)
            .field("properties", &self.properties.keys())
            .field("create_topics", &self.create_topics)
            .field("partitions", &self.partitions)
            .field("replication_factor", &self.replication_factor)
            .field("linger", &self.linger)
            .field("queue_events", &self.queue_events)
            .finish()
    }
}

/// `kafka.bootstrap_servers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// `"embedded"`: a cluster inside the process, for trying out.
    Embedded,
    /// `host:port`, comma-separated.
    Servers(String),
}

/// `kafka.delivery`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing is lost; after a failure, events may come again with the same id.
    AtLeastOnce,
    /// Transactions: consumers that read what is committed see every event once.
    ExactlyOnce,
}

/// `kafka.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The messages of `proto/rtalink/v1`.
    Protobuf,
    /// Their JSON form.
    Json,
}

/// `[http]`.
#[derive(Clone, Debug)]
pub struct Http {
    /// Where to serve.
    pub listen: HttpAddress,
    /// Who may read `/metrics`.
    pub metrics: Reading,
    /// Whether this machine may read the API without a token.
    pub loopback: Reading,
    /// Who else may do what.
    pub tokens: Vec<Token>,
}

/// `http.metrics` and `http.loopback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Anybody who can reach it.
    Open,
    /// Anybody who has a token.
    Token,
}

/// `[[http.token]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// In logs and in the audit topic.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// The hash of its secret.
    pub hash: SecretHash,
}

/// What the bearer of a token may do.
///
/// Not ranks but separate sets: a planner who maps names need not be able to stop publishing, and an operator who runs the
/// service need not see what everybody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Counts, without anything personal.
    Viewer,
    /// Names, mappings, agents.
    Planner,
    /// Feeds, publishing, the log.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Planner, Self::Operator, Self::Admin];

    /// Returns it as it is written in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Planner => "planner",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Power loss: each commit waits for the disk.
    Full,
    /// A crash of the process. After power loss the last commits may be gone; that is noticed, see
    /// `Incident::RolledBack`.
    Normal,
}

/// `[store]`.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Created when missing.
    pub directory: PathBuf,
    /// Bytes that an integration may have in the journal.
    pub journal_max_size: u64,
    /// What a commit survives.
    pub sync: Sync,
    /// Nothing is on disk: what waits is lost when the process ends.
    pub in_memory: bool,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A level (`info`) or the directives of an `EnvFilter` (`info,rtalink::feed=debug`).
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[[integration]]`.
#[derive(Clone, Debug)]
pub struct Integration {
    /// Unique and unchangeable: in keys, metrics, files and URLs.
    pub id: Arc<str>,
    /// For people.
    pub name: String,
    /// IANA name of the zone of local times in the feed.
    pub time_zone: String,
    /// How records become states.
    pub settings: TrackerSettings,
    /// Absent where the integration has no real time.
    pub realtime: Option<Realtime>,
    /// Users and activities.
    pub mapping: Mapping,
    /// It is no longer in the configuration, but the store still has data of it.
    pub is_removed: bool,
}

impl Integration {
    /// Creates one that was removed from the configuration: only its id is known.
    pub fn removed(id: &str) -> Self {
        let mapping = Mapping {
            identify_by: IdentifyBy::LoginId,
            time_zone: "UTC".to_owned(),
            users: None,
            names: None,
            activities: None,
            default_activity: (String::new(), String::new()),
        };
        Self {
            id: id.into(),
            name: id.to_owned(),
            time_zone: "UTC".to_owned(),
            // They are never used to read anything.
            settings: TrackerSettings {
                fixed: Fixed { acd: 0, details: false, mode: FeedMode::Event, snapshot_end: SnapshotEnd::Idle },
                thresholds: Thresholds {
                    snapshot_idle: Duration::from_secs(1),
                    shortest_refresh: Duration::ZERO,
                    logout_after: 1,
                    restart_tolerance: Duration::from_secs(2),
                    stale_after: Duration::from_secs(30),
                    when_silent: WhenSilent::Stale,
                    empty_below: 0,
                    unknown_after: None,
                    short_states: ShortStates::default(),
                    logout_hold: Duration::ZERO,
                },
            },
            realtime: None,
            mapping,
            is_removed: true,
        }
    }
}

/// `[integration.realtime]`, less what [`TrackerSettings`] holds.
#[derive(Clone, Debug)]
pub struct Realtime {
    /// Where CMS dials in: `bind` and `port`.
    pub listen: SocketAddr,
    /// Name of the layout.
    pub layout_name: String,
    /// The layout.
    pub layout: Arc<LayoutSpec>,
    /// Who may connect; empty: anybody.
    pub allow: Vec<IpNet>,
    /// Time after which the last state of an agent is published again; `None`: never.
    pub refresh_after: Option<Duration>,
    /// Further targets of every byte of the feed, as `host:port`.
    pub forward: Vec<Arc<str>>,
    /// TLS on the port; `None`: plain text.
    pub tls: Option<TlsConfig>,
}

/// `[integration.realtime.tls]`: PEM files, and how long a handshake may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Ours, with the certificates between it and the CA.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// CAs, one of which must have signed the peer's certificate; `None`: no certificate is requested.
    pub client_ca: Option<PathBuf>,
    /// The longest a handshake may take.
    pub handshake_timeout: Duration,
}

/// `[integration.mapping]`.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// What users are looked up with.
    pub identify_by: IdentifyBy,
    /// Zone of the dates in them: the integration's.
    pub time_zone: String,
    /// CSV file; without one nobody is mapped.
    pub users: Option<PathBuf>,
    /// CSV file with names of agents; without one agents are called what the feed calls them.
    pub names: Option<PathBuf>,
    /// CSV file; without one every activity takes the default.
    pub activities: Option<PathBuf>,
    /// Id and name of the activity for keys without a row.
    pub default_activity: (String, String),
}

impl Mapping {
    /// The files that it names, or finds in their usual places.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.users, &self.activities, &self.names].into_iter().flatten()
    }
}

/// `[privacy]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivacyConfig {
    /// Whether names of agents and employees are in events.
    pub event_names: bool,
    /// Agents who have been logged out for so long are forgotten.
    pub forget_after: Option<Duration>,
    /// Folder of captures.
    pub captures: Option<PathBuf>,
    /// For how long data is kept.
    pub retention: RetentionConfig,
}

impl PrivacyConfig {
    /// A layout as the service reads it.
    pub fn layout(&self, written: &Arc<LayoutSpec>) -> Arc<LayoutSpec> {
        if self.event_names { Arc::clone(written) } else { Arc::new(written.without_names()) }
    }

    /// A mapping as the service uses it.
    pub fn tables(&self, read: MappingTables) -> MappingTables {
        if self.event_names { read } else { read.without_names() }
    }
}
