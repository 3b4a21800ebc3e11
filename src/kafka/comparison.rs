//! What Kafka knows, compared with what the store knows, before anything of an integration is published.
//!
//! Purpose: a store may be older than it was: a restored volume, a cloned machine. Nothing in it shows that, but Kafka does:
//! an agent on the topic `current` has a higher sequence than the store has ever given them. So the topic is read once per
//! run, and again when the integration is taken back from another instance.
//!
//! Invariant: nothing is published before the comparison is done, and nothing else waits for it: neither CMS nor readiness.
//! Kafka may come hours later. What was numbered until then is published as it is, with sequences that Kafka may have seen
//! with other events; the worker learns who is [`Ahead`], and continues after them from the next event on.
//!
//! Conversely, agents who were published but are missing on the topic are written to it again: it was recreated. While the
//! service runs, `topic_keeper` finds that ([`Comparison::write_all`]).
//!
//! Failure policy: it is repeated until Kafka has answered. Cost: one reading of the topic for all integrations waiting at
//! the time, on a thread of its own; one entry per agent in memory until it is done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use parking_lot::{Condvar, Mutex};

use crate::config::model::Kafka;
use crate::contract::recovered::Differences;
use crate::engine::behind::Ahead;
use crate::journal::lane::Lane;
use crate::journal::message::Route;
use crate::journal::row;
use crate::journal::store::AgentKey;
use crate::telemetry::targets::KAFKA;

use super::delivery::Monitor;
use super::diagnosis::is_for_somebody;
use super::recovery::{self, RecoveryProgress, Sequences};

/// How often the publisher checks whether it has to stop.
const STEP: Duration = Duration::from_millis(250);
/// How long a journal that cannot be read is left alone.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// Bytes that are read from the journal at a time.
const PORTION: usize = 4 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Done,
    /// To be done before the next message.
    Due,
    /// The publisher waits for it.
    Wanted,
    /// It is in progress, with what was known when it began.
    Reading,
}

struct State {
    stage: Stage,
    known: Option<Sequences>,
    /// There is a worker, or will be one, that reports what it knows and takes what is found.
    is_attended: bool,
    found: Vec<Ahead>,
    again: Again,
}

/// What is known of the agents of an integration at startup.
#[derive(Debug)]
pub enum KnownAgents {
    /// There are no agents, and no worker that would take what is found.
    Nobody,
    /// What Kafka has: it was read from there.
    AsKafka,
    /// What the store knows: each agent's last sequence.
    Sequences(Sequences),
}

/// Whose last events are to be written to `current` again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Again {
    /// Nobody's.
    #[default]
    Nobody,
    /// Those of these agents.
    Of(Vec<AgentKey>),
    /// Everybody's.
    All,
}

/// The comparison of one integration, between its publisher, its worker, and the thread that reads.
pub struct Comparison {
    state: Mutex<State>,
    changed: Condvar,
    wake: Sender<()>,
}

impl Comparison {
    fn new(known: KnownAgents, wake: Sender<()>) -> Self {
        let is_attended = !matches!(known, KnownAgents::Nobody);
        let (stage, known) = match known {
            KnownAgents::Nobody | KnownAgents::AsKafka => (Stage::Done, None),
            KnownAgents::Sequences(sequences) => (Stage::Due, Some(sequences)),
        };
        let state = State { stage, known, is_attended, found: Vec::new(), again: Again::Nobody };
        Self { state: Mutex::new(state), changed: Condvar::new(), wake }
    }

    /// Whether the comparison asks the worker for what it knows.
    pub fn asks(&self) -> bool {
        let state = self.state.lock();
        matches!(state.stage, Stage::Due | Stage::Wanted) && state.known.is_none()
    }

    /// Takes the last sequence of every agent from the worker.
    pub fn answer(&self, known: Sequences) {
        self.state.lock().known = Some(known);
        self.wake();
    }

    /// Takes the agents who are ahead, each time once.
    pub fn take_found(&self) -> Vec<Ahead> {
        std::mem::take(&mut self.state.lock().found)
    }

    /// Notes that the topic `current` has begun anew.
    pub(super) fn write_all(&self) {
        let mut state = self.state.lock();
        if state.is_attended {
            state.again = Again::All;
        }
    }

    /// Takes the agents whose last events are to be written again, each time once.
    pub fn take_again(&self) -> Again {
        std::mem::take(&mut self.state.lock().again)
    }

    /// Whether it is still to be done.
    pub(super) fn is_due(&self) -> bool {
        self.state.lock().stage != Stage::Done
    }

    /// Another instance publishes from now on: when we do again, it has to be repeated.
    pub(super) fn lost(&self) {
        let mut state = self.state.lock();
        if state.is_attended {
            state.stage = Stage::Due;
            state.known = None;
        }
    }

    /// Waits until it is done. False when it had to stop.
    #[must_use]
    pub(super) fn wait(&self, is_stopped: impl Fn() -> bool) -> bool {
        let mut state = self.state.lock();
        if state.stage == Stage::Due {
            state.stage = Stage::Wanted;
            self.wake();
        }
        while state.stage != Stage::Done {
            if is_stopped() {
                return false;
            }
            self.changed.wait_for(&mut state, STEP);
        }
        true
    }

    fn wake(&self) {
        // One that waits already is enough.
        let _ = self.wake.try_send(());
    }

    fn wanted(&self) -> Option<Sequences> {
        let mut state = self.state.lock();
        let known = if state.stage == Stage::Wanted { state.known.take() } else { None };
        if known.is_some() {
            state.stage = Stage::Reading;
        }
        known
    }

    fn finish(&self, found: Vec<Ahead>, missing: Vec<AgentKey>) {
        let mut state = self.state.lock();
        if state.is_attended {
            state.found = found;
            if !missing.is_empty() && state.again != Again::All {
                state.again = Again::Of(missing);
            }
        }
        state.stage = Stage::Done;
        drop(state);
        self.changed.notify_all();
    }
}

impl std::fmt::Debug for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Comparison").finish_non_exhaustive()
    }
}

/// One integration, as the thread sees it.
pub(super) struct Compared {
    pub(super) integration: Arc<str>,
    pub(super) comparison: Arc<Comparison>,
    pub(super) lane: Lane,
    pub(super) monitor: Arc<Monitor>,
}

/// The integrations that are compared.
type All = Arc<Mutex<Vec<Arc<Compared>>>>;

/// The thread that reads. Once this is ended or dropped, the thread ends when its request is answered or has timed out.
pub(super) struct Comparer {
    wake: Sender<()>,
    all: All,
    stop: Mutex<Option<Sender<()>>>,
}

impl Comparer {
    /// Starts it.
    pub(super) fn spawn(servers: &str, kafka: &Kafka) -> std::io::Result<Self> {
        let (wake, woken) = crossbeam_channel::bounded(1);
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let all = All::default();
        let work = Work { servers: servers.to_owned(), kafka: kafka.clone(), all: Arc::clone(&all), stopped };
        let thread = thread::Builder::new().name("comparison".to_owned()).spawn(move || work.run(&woken))?;
        // It only reads: nobody needs to wait for its end.
        drop(thread);
        Ok(Self { wake, all, stop: Mutex::new(Some(stop)) })
    }

    /// Creates the comparison of an integration.
    pub(super) fn comparison(&self, known: KnownAgents) -> Arc<Comparison> {
        Arc::new(Comparison::new(known, self.wake.clone()))
    }

    /// Makes the comparison of an integration from now on, whenever its publisher waits for it.
    pub(super) fn add(&self, one: Compared) {
        self.all.lock().push(Arc::new(one));
        // Its publisher may have asked already. One that waits is enough.
        let _ = self.wake.try_send(());
    }

    /// Ends that.
    pub(super) fn remove(&self, comparison: &Arc<Comparison>) {
        self.all.lock().retain(|one| !Arc::ptr_eq(&one.comparison, comparison));
    }

    /// Ends the thread.
    pub(super) fn end(&self) {
        self.stop.lock().take();
    }
}

struct Work {
    servers: String,
    kafka: Kafka,
    all: All,
    stopped: Receiver<()>,
}

impl Work {
    fn run(&self, woken: &Receiver<()>) {
        loop {
            crossbeam_channel::select! {
                recv(woken) -> _ => {}
                recv(self.stopped) -> _ => return,
            }
            let all: Vec<Arc<Compared>> = self.all.lock().clone();
            let wanted: Vec<(&Compared, Sequences)> =
                all.iter().filter_map(|one| Some((&**one, one.comparison.wanted()?))).collect();
            if !wanted.is_empty() && !self.compare(wanted) {
                return;
            }
        }
    }

    /// Makes the comparison of these integrations. False when it had to stop.
    fn compare(&self, wanted: Vec<(&Compared, Sequences)>) -> bool {
        let is_stopped = || self.stopped.try_recv() != Err(TryRecvError::Empty);
        let (wanted, known): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
        let ids = wanted.iter().map(|one| Arc::clone(&one.integration));
        let known: HashMap<Arc<str>, Sequences> = ids.zip(known).collect();
        let read = recovery::read_beyond(&self.servers, &self.kafka, &known, &is_stopped, &mut log_progress);
        let mut found = match read {
            Ok(found) => found,
            Err(recovery::RecoveryError::Stopped) => return false,
            Err(error) => {
                // The producers would not exist either.
                tracing::error!(target: KAFKA, %error, "what Kafka knows could not be compared with the store");
                HashMap::new()
            }
        };
        for one in wanted {
            let found = found.remove(&one.integration).unwrap_or_default();
            let known = known.get(&one.integration);
            let Some((ahead, missing)) = one.differences(found, known, &self.stopped) else { return false };
            one.log_outcome(&ahead, missing.len());
            one.comparison.finish(ahead, missing);
        }
        true
    }
}

impl Compared {
    /// Returns who is ahead, and whom Kafka does not have, unless the journal says otherwise. `None` when it had to stop.
    fn differences(
        &self,
        found: Differences,
        known: Option<&Sequences>,
        stopped: &Receiver<()>,
    ) -> Option<(Vec<Ahead>, Vec<AgentKey>)> {
        let Differences { beyond, missing } = found;
        if beyond.is_empty() && missing.is_empty() {
            return Some((Vec::new(), Vec::new()));
        }
        let mut ahead: HashMap<String, Ahead> = HashMap::new();
        for agent in beyond {
            let who = format!("{}/{}", agent.agent.acd, agent.agent.login_id);
            let known = known.and_then(|known| known.get(who.as_str())).copied().unwrap_or_default();
            ahead.insert(format!("{}/{who}", self.integration), Ahead { agent, waits: false, known });
        }
        let Waiting { events, tombstones } = self.waiting(stopped)?;
        ahead.retain(|key, _| !tombstones.contains(key.as_str()));
        ahead.iter_mut().for_each(|(key, ahead)| ahead.waits = events.contains(key.as_str()));
        let is_missing = |who: &str| {
            let key = format!("{}/{who}", self.integration);
            !events.contains(key.as_str()) && !tombstones.contains(key.as_str())
        };
        let key_of = |who: Box<str>| {
            let (acd, login_id) = who.split_once('/')?;
            Some((acd.parse().ok()?, Arc::from(login_id)))
        };
        let missing = missing.into_iter().filter(|who| is_missing(who)).filter_map(key_of).collect();
        Some((ahead.into_values().collect(), missing))
    }

    /// Returns the keys of what waits in the journal, except damaged rows, and what is after a damaged page: those are given
    /// up when they are fetched. Any other read error is waited out, as in fetching. `None` when it had to stop.
    fn waiting(&self, stopped: &Receiver<()>) -> Option<Waiting> {
        let acknowledged_to = self.lane.send_window().acknowledged_to();
        let mut waiting = Waiting::default();
        let mut position = acknowledged_to;
        loop {
            let rows = match self.lane.sound_rows(position, PORTION) {
                Ok(rows) => rows,
                // Nothing can be found after it, and what is before it must not wait.
                Err(error) if error.is_damage() => return Some(waiting),
                Err(error) => {
                    let integration = &*self.integration;
                    tracing::error!(
                        target: KAFKA, integration,
                        position,
                        %error,
                        "what waits in the journal cannot be read for the comparison, will be tried again"
                    );
                    match stopped.recv_timeout(READ_AGAIN) {
                        Err(RecvTimeoutError::Timeout) => continue,
                        _ => return None,
                    }
                }
            };
            let Some(last) = rows.last() else { return Some(waiting) };
            position = last.end();
            for row in &rows {
                let Ok((messages, _)) = row::decode(&row.content) else { continue };
                for (at, message) in (row.first..).zip(messages).filter(|(at, _)| *at >= acknowledged_to) {
                    debug_assert!(at < row.end(), "as many messages as the row says");
                    waiting.take(message.route, message.key);
                }
            }
        }
    }

    fn log_outcome(&self, ahead: &[Ahead], missing: usize) {
        let integration = &*self.integration;
        if missing > 0 {
            tracing::error!(
                target: KAFKA, integration,
                agents = missing,
                "the topic current has nothing of agents of whom events were published: it was made anew, or keeps them for a \
                 time only; their last events are written to it again"
            );
        }
        if ahead.is_empty() {
            tracing::debug!(target: KAFKA, integration, "kafka knows nothing that the store does not know");
            return;
        }
        self.monitor.observer().behind();
        tracing::error!(
            target: KAFKA, integration,
            agents = ahead.len(),
            waiting = ahead.iter().filter(|ahead| ahead.waits).count(),
            "the store is older than what Kafka has: it was restored from a copy, or another instance has published for this \
             integration; sequences go on behind Kafka's, and everything that waits is published"
        );
    }
}

#[derive(Default)]
struct Waiting {
    events: HashSet<Arc<str>>,
    tombstones: HashSet<Arc<str>>,
}

impl Waiting {
    fn take(&mut self, route: Route, key: Arc<str>) {
        match route {
            Route::AgentState => drop(self.events.insert(key)),
            Route::Tombstone => {
                self.events.remove(&key);
                self.tombstones.insert(key);
            }
            Route::FeedStatus | Route::DeadLetter | Route::Refresh | Route::Audit => {}
        }
    }
}

fn log_progress(progress: RecoveryProgress) {
    match progress {
        RecoveryProgress::Reading { messages } => {
            tracing::debug!(target: KAFKA, messages, "comparing the store with Kafka")
        }
        // Producers report it, as they see it.
        RecoveryProgress::Failed { .. } => {}
        RecoveryProgress::Waiting { reason, waited } => {
            let waited_s = waited.as_secs();
            // That Kafka is away is reported by the producers.
            if is_for_somebody(&reason) {
                tracing::warn!(
                    target: KAFKA, reason, waited_s, "nothing is published until the store is compared with Kafka"
                );
            } else {
                tracing::debug!(target: KAFKA, reason, waited_s, "the store is not compared with Kafka yet");
            }
        }
    }
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
