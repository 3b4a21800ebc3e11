//! The read model: what the HTTP side shows.
//!
//! Fed by the workers over a bounded channel, batch by batch, and read under a lock that the workers never take: a slow
//! request cannot slow down a feed. It holds each agent's last event, and what nobody has mapped.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::Notify;

use crate::mapping::annotate::Annotation;
use crate::mapping::tables::MappingTables;
use crate::mapping::unmapped::Unmapped;
use crate::telemetry::feed_metrics::{FeedCondition, FeedMetrics, IN_AUX_OVER};
use crate::telemetry::tally::Tallied;
use crate::time::Timestamp;
use crate::tracker::event::{AgentEvent, Cause};
use crate::tracker::status::{FeedFigures, FeedStatus};
use crate::wire::states::Mode;

use super::doing::{Doing, Doings, DoingsShown};
use super::in_aux::{self, InAux};

/// Updates that may wait for the model before a worker waits. One may have all events of a read in it.
pub const MOST_UPDATES: usize = 128;

/// An integration's place in the model: the order in which integrations came, in the configuration and after it. None is used
/// for another integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntegrationIndex(usize);

impl IntegrationIndex {
    /// Returns the place of the integration that comes after so many others.
    pub const fn after(others: usize) -> Self {
        Self(others)
    }

    /// Returns how many come before it.
    pub const fn get(self) -> usize {
        self.0
    }
}

/// What the service and the workers report.
#[derive(Debug)]
pub enum Update {
    /// The integration begins, or begins anew: nothing of what was known of it counts any more.
    Begin(Box<IntegrationModel>),
    /// What it is called by people.
    Name(String),
    /// Events of one batch.
    Events(Vec<AnnotatedEvent>),
    /// Agents as they were remembered at the start.
    Restored(Vec<AnnotatedEvent>),
    /// Agents who are forgotten.
    Forgotten(Vec<(u32, Arc<str>)>),
    /// Another version of the mapping.
    Mapping(Arc<MappingTables>),
    /// The state of the feed.
    Feed(Box<FeedView>),
}

/// An event with its mapping.
pub type AnnotatedEvent = (Box<AgentEvent>, Box<Annotation>);

/// What is known of an agent.
#[derive(Debug)]
pub struct AgentView {
    /// The last event.
    pub published: AnnotatedEvent,
    /// Since when the agent has been in AUX, whatever the reason; `None` in other modes.
    pub in_aux_since: Option<Timestamp>,
    /// It is what the store remembered at startup, and not an event of its own.
    pub is_restored: bool,
}

impl AgentView {
    fn doing(&self) -> Doing {
        let (event, annotation) = &self.published;
        Doing::of(event, annotation)
    }
}

/// The state of a feed, as of its last news.
#[derive(Clone, Debug, Default)]
pub struct FeedView {
    /// Open connections.
    pub connections: usize,
    /// Last feed status.
    pub status: Option<FeedStatus>,
    /// When the connection that speaks was opened.
    pub connected_at: Option<Timestamp>,
    /// When the last connection that spoke has ended.
    pub disconnected_at: Option<Timestamp>,
    /// When a snapshot would last have logged out too many.
    pub suspect_at: Option<Timestamp>,
    /// When two senders last took the port from each other for a while.
    pub flapping_at: Option<Timestamp>,
    /// When the last complete snapshot ended.
    pub last_snapshot_at: Option<Timestamp>,
    /// Time between the first records of the last two complete snapshots.
    pub period: Option<Duration>,
    /// Timestamp of the last record less its receipt, in seconds.
    pub clock_skew_seconds: Option<f64>,
    /// What is wrong with the feed for longer than a moment, in the order of [`FeedCondition::ALL`].
    pub conditions: [bool; FeedCondition::ALL.len()],
    /// The journal is full: of each agent only the latest state is kept.
    pub is_journal_full: bool,
    /// Nearly all agents are UNKNOWN.
    pub is_link_down: bool,
    /// From STALE until RESTORED: how many agents were logged in as that silence began.
    pub stale_agents: Option<u32>,
    /// Peer, last record, figures since the start.
    pub figures: FeedFigures,
}

/// What is known of one integration.
#[derive(Debug)]
pub struct IntegrationModel {
    /// Its id.
    pub id: Arc<str>,
    /// For people.
    pub name: String,
    /// Where CMS dials in; absent without real time.
    pub listen: Option<std::net::SocketAddr>,
    /// Name of the layout.
    pub layout: String,
    /// Last event of each agent, by ACD and login id.
    pub agents: BTreeMap<(u32, Arc<str>), Arc<AgentView>>,
    /// The state of the feed.
    pub feed: FeedView,
    /// Users and activities without a mapping.
    pub unmapped: Unmapped,
    /// The version of the mapping in force.
    pub mapping_version: u64,
    /// The last event of any agent since the start.
    pub last_event: Option<Arc<AgentView>>,
    /// The mapping in force.
    pub mapping: Option<Arc<MappingTables>>,
    /// It is no longer in the configuration: what is left of it waits for Kafka, or to be forgotten.
    pub is_removed: bool,
    /// Events by cause, in the order of [`Cause::ALL`].
    pub causes: [u64; Cause::ALL.len()],
    /// The agents of earlier runs are there: an agent who is not in the table is not known.
    is_known: bool,
    counts: [usize; Mode::ALL.len()],
    in_aux: InAux,
    doings: Doings,
    /// Only those who tell of it change it.
    shown: Mutex<DoingsShown>,
    metrics: FeedMetrics,
}

impl IntegrationModel {
    /// Creates one of which nothing is known yet.
    pub fn new(id: Arc<str>, name: String, metrics: FeedMetrics) -> Self {
        Self {
            id,
            name,
            listen: None,
            layout: String::new(),
            agents: BTreeMap::new(),
            feed: FeedView::default(),
            unmapped: Unmapped::default(),
            mapping_version: 0,
            last_event: None,
            mapping: None,
            is_removed: false,
            causes: [0; Cause::ALL.len()],
            is_known: false,
            counts: [0; Mode::ALL.len()],
            in_aux: InAux::default(),
            doings: Doings::default(),
            shown: Mutex::default(),
            metrics,
        }
    }

    /// Whether the table can be shown: before it is restored, an empty one would say that nobody is there. Without real time
    /// there is nothing to restore.
    pub fn is_known(&self) -> bool {
        self.is_known || self.listen.is_none()
    }

    /// Returns how many agents are in each mode, by their last events.
    pub fn agents_by_mode(&self) -> impl Iterator<Item = (Mode, usize)> {
        Mode::ALL.into_iter().zip(self.counts)
    }

    /// Returns what was refused so far, and until when the port's certificate can be used.
    pub fn tallied(&self) -> Tallied {
        self.metrics.tallied()
    }

    /// Takes news.
    pub(crate) fn apply(&mut self, update: Update) {
        match update {
            Update::Begin(model) => {
                let shown = std::mem::take(&mut self.shown);
                *self = Self { shown, ..*model };
            }
            Update::Name(name) => self.name = name,
            Update::Events(events) => {
                for published in events {
                    if let Some(position) = Cause::ALL.iter().position(|known| *known == published.0.cause) {
                        self.causes[position] += 1;
                    }
                    self.put(published, false);
                }
                self.record_counts();
            }
            Update::Restored(agents) => {
                agents.into_iter().for_each(|published| self.put(published, true));
                self.is_known = true;
                self.record_counts();
                self.shown.lock().tell(&self.doings, &self.metrics);
            }
            Update::Forgotten(agents) => {
                agents.iter().for_each(|key| self.forget(key));
                self.forget_users();
                self.record_counts();
            }
            Update::Mapping(tables) => {
                self.mapping_version = tables.version;
                self.unmapped.prune(&tables);
                self.mapping = Some(tables);
                self.record_counts();
            }
            Update::Feed(feed) => self.feed = *feed,
        }
    }

    fn put(&mut self, published: AnnotatedEvent, is_restored: bool) {
        let (event, annotation) = &published;
        self.unmapped.note(annotation, event.acd, event.observed_at);
        self.count(event.state.mode, 1);
        let key = (event.acd, Arc::clone(&event.login_id));
        let before = self.agents.get(&key).map(|before| (before.published.0.state.mode, before.in_aux_since));
        let was_in_aux_since = before.and_then(|(_, since)| since);
        let in_aux_since = in_aux::since(event, was_in_aux_since);
        self.in_aux.replace(was_in_aux_since, in_aux_since);
        let was_doing = self.agents.get(&key).map(|before| before.doing());
        self.doings.replace(was_doing.as_ref(), Some(&Doing::of(event, annotation)));
        if let Some((mode, _)) = before {
            self.count(mode, -1);
        }
        let view = Arc::new(AgentView { published, in_aux_since, is_restored });
        if !is_restored {
            self.last_event = Some(Arc::clone(&view));
        }
        self.agents.insert(key, view);
    }

    fn forget(&mut self, key: &(u32, Arc<str>)) {
        let Some(entry) = self.agents.remove(key) else { return };
        self.last_event.take_if(|last| Arc::ptr_eq(last, &entry));
        let (event, _) = &entry.published;
        self.count(event.state.mode, -1);
        self.in_aux.replace(entry.in_aux_since, None);
        self.doings.replace(Some(&entry.doing()), None);
    }

    /// Forgets users who are no longer anybody: names that the agent had before are nobody's either.
    fn forget_users(&mut self) {
        if self.unmapped.counts().0 > 0 {
            let external_user = |entry: &Arc<AgentView>| Arc::clone(&entry.published.1.external_user);
            let known: HashSet<Arc<str>> = self.agents.values().map(external_user).collect();
            self.unmapped.retain_users(|user| known.contains(user));
        }
    }

    /// Updates figures that are not worth an update with every event, or change with time alone. To be called every few seconds.
    pub fn record_times(&self, now: Timestamp) {
        if !self.is_known {
            return;
        }
        self.shown.lock().tell(&self.doings, &self.metrics);
        self.metrics.in_aux(&IN_AUX_OVER.map(|(_, over)| self.in_aux.longer_than(over, now)));
    }

    fn record_counts(&self) {
        if !self.is_known {
            return;
        }
        self.metrics.agents(&self.counts);
        self.metrics.unmapped(&self.unmapped);
    }

    fn count(&mut self, mode: Mode, by: isize) {
        if let Some(position) = Mode::ALL.iter().position(|known| *known == mode) {
            self.counts[position] = self.counts[position].saturating_add_signed(by);
        }
    }
}

/// Reads the model. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReadModel {
    integrations: Arc<RwLock<Vec<IntegrationModel>>>,
    /// The agents of one more integration are known.
    known: Arc<Notify>,
}

impl ReadModel {
    /// Returns all integrations, in the order of the configuration. Hold it only briefly: it keeps updates waiting.
    pub fn read(&self) -> RwLockReadGuard<'_, Vec<IntegrationModel>> {
        self.integrations.read()
    }

    /// Waits until there are so many integrations.
    pub async fn has(&self, count: usize) {
        self.changed_until(|integrations| integrations.len() >= count).await;
    }

    /// Waits until the agents of all integrations are known.
    pub async fn all_are_known(&self) {
        self.changed_until(|integrations| integrations.iter().all(IntegrationModel::is_known)).await;
    }

    async fn changed_until(&self, is_so: impl Fn(&[IntegrationModel]) -> bool) {
        loop {
            let known = self.known.notified();
            tokio::pin!(known);
            known.as_mut().enable();
            if is_so(&self.read()) {
                return;
            }
            known.await;
        }
    }
}

/// Sends updates to the model: which integration, and what.
pub type Updates = Sender<(IntegrationIndex, Update)>;

/// Starts the model's thread. It ends when the last sender is gone.
///
/// # Errors
/// When the system provides no thread.
pub fn start(integrations: Vec<IntegrationModel>) -> std::io::Result<(ReadModel, Updates, thread::JoinHandle<()>)> {
    let (sender, receiver) = crossbeam_channel::bounded(MOST_UPDATES);
    let model = ReadModel { integrations: Arc::new(RwLock::new(integrations)), known: Arc::default() };
    let thread = {
        let model = model.clone();
        thread::Builder::new().name("read-model".to_owned()).spawn(move || follow(&model, &receiver))?
    };
    Ok((model, sender, thread))
}

fn follow(model: &ReadModel, updates: &Receiver<(IntegrationIndex, Update)>) {
    while let Ok((index, update)) = updates.recv() {
        let is_known_now = matches!(update, Update::Restored(_) | Update::Begin(_));
        let mut integrations = model.integrations.write();
        match (integrations.get_mut(index.get()), update) {
            (Some(integration), update) => integration.apply(update),
            // They begin in their order.
            (None, Update::Begin(integration)) => integrations.push(*integration),
            (None, _) => {}
        }
        drop(integrations);
        if is_known_now {
            model.known.notify_waiters();
        }
    }
}
