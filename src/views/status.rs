//! How the service is doing, as one document: what `GET /api/v1/status` answers and `rtalink status` shows.
//!
//! Names of fields are part of the interface (`docs/http.md`). There is nobody in it: counts, times, peers and reasons. The
//! text of errors is only there for those who may read it. Pure: the document is filled by `http`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::advice::Finding;

/// The whole document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// When this was so, RFC 3339.
    pub at: String,
    /// Since when the service runs.
    pub started_at: String,
    /// Versions of the service and of what it is made of.
    pub versions: BTreeMap<String, String>,
    /// Whether it takes feeds and keeps what it reads.
    pub ready: bool,
    /// What to do next: the first of `findings`.
    pub next: Finding,
    /// Everything that is not as it should be, in the order in which to look at it.
    pub findings: Vec<Finding>,
    /// The cluster that events go to.
    pub kafka: KafkaStatus,
    /// The store on disk.
    pub store: StoreStatus,
    /// When the last reload was refused; absent where it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload_refused_at: Option<String>,
    /// In the order of the configuration.
    pub integrations: Vec<IntegrationStatus>,
}

/// Kafka, as all integrations together see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaStatus {
    /// In fixed words, as in `/health/ready`.
    pub state: String,
    /// Brokers that are connected.
    pub brokers_up: usize,
    /// Brokers that are known.
    pub brokers: usize,
    /// When the last acknowledgement came.
    pub last_acknowledged: Option<String>,
    /// The last error, however long ago.
    pub last_error: Option<KafkaError>,
    /// What a start waits for.
    pub waiting_for: Option<String>,
}

/// An error of Kafka.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaError {
    /// librdkafka's name for it.
    pub kind: String,
    /// What it says.
    pub message: String,
    /// When.
    pub at: String,
}

/// The store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StoreStatus {
    /// In fixed words, as in `/health/ready`.
    pub state: String,
    /// Whether it is as it should be.
    pub is_well: bool,
    /// What the system says about that.
    pub error: Option<String>,
    /// Bytes that can still be written to its disk.
    pub disk_free_bytes: Option<u64>,
    /// Size of that disk.
    pub disk_size_bytes: Option<u64>,
    /// Bytes of SQLite's log.
    pub log_bytes: u64,
    /// Bytes that each integration may have in the journal.
    pub journal_max_bytes: u64,
}

/// One integration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IntegrationStatus {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// The first of its findings; `WELL` without any.
    pub state: String,
    /// It is no longer in the configuration.
    pub removed: bool,
    /// It is at work: its agents are known, and CMS can dial in.
    pub started: bool,
    /// What its start waits for.
    pub waiting_for: Option<String>,
    /// Where CMS dials in.
    pub listen: Option<String>,
    /// The layout by which records are read.
    pub layout: String,
    /// Who speaks.
    pub peer: Option<String>,
    /// Since when they are connected.
    pub connected_at: Option<String>,
    /// When the last one before was gone.
    pub disconnected_at: Option<String>,
    /// Open connections, waiting ones included.
    pub connections: usize,
    /// When the last valid record was read.
    pub last_record_at: Option<String>,
    /// When the last complete snapshot ended.
    pub last_complete_snapshot_at: Option<String>,
    /// Time between the last two.
    pub period_seconds: Option<f64>,
    /// Timestamp of the last record less its receipt.
    pub clock_skew_seconds: Option<f64>,
    /// Agents with at least one event.
    pub agents: Option<usize>,
    /// Those who are logged in.
    pub agents_logged_in: Option<u32>,
    /// Users without an employee.
    pub unmapped_users: usize,
    /// Activities without a row of their own.
    pub unmapped_activities: usize,
    /// The version of the mapping in force.
    pub mapping_version: u64,
    /// Records since the integration began: `changed`, `unchanged`, `invalid`, and lines that are none: `skipped`, `markers`.
    pub records: BTreeMap<String, u64>,
    /// Invalid ones by reason, with events that Kafka will never take.
    pub unreadable: BTreeMap<String, u64>,
    /// Connections that were closed, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Complete snapshots.
    pub complete_snapshots: u64,
    /// Incomplete ones.
    pub incomplete_snapshots: u64,
    /// What is wrong for longer than a moment: names as in the metrics `rtalink_feed_condition` and
    /// `rtalink_kafka_condition`, and `link_down`, `stale`, `suspect`, `flapping`.
    pub conditions: Vec<String>,
    /// The last feed status of this run.
    pub last_status: Option<LastStatus>,
    /// Publishing is paused.
    pub paused: bool,
    /// The store of another instance that publishes for it.
    pub superseded_by: Option<String>,
    /// Whether a broker can be reached, as its own producer sees it.
    pub kafka_connected: bool,
    /// Messages that are not on disk yet, or that Kafka has not acknowledged.
    pub pending_messages: usize,
    /// For how long the oldest of them has been waiting.
    pub oldest_seconds: f64,
    /// Bytes of its rows in the journal.
    pub journal_bytes: u64,
    /// There is no room for more: of each agent only the latest state is kept.
    pub journal_full: bool,
    /// When the certificate of its port expires.
    pub certificate_expires_at: Option<String>,
}

/// A feed status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LastStatus {
    /// Its kind.
    pub kind: String,
    /// When.
    pub at: String,
}

impl IntegrationStatus {
    /// Whether that condition lasts.
    pub fn has(&self, condition: &str) -> bool {
        self.conditions.iter().any(|known| known == condition)
    }

    /// Returns the number of records of that kind.
    pub fn records(&self, kind: &str) -> u64 {
        self.records.get(kind).copied().unwrap_or(0)
    }

    /// Returns the number of valid records.
    pub fn valid_records(&self) -> u64 {
        self.records("changed") + self.records("unchanged")
    }
}
