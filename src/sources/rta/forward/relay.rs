//! The connections of one port and the targets that get their bytes, behind one lock.
//!
//! Connections hand over what they read, the worker says which of them speaks and where its snapshots begin, and a task per
//! target ([`super::target`]) takes what it can send. Nobody waits here for anybody: the lock is taken once per read and per
//! write, for as long as it takes to move a reference, and what is kept is bounded ([`super::passage`]). So a target that is
//! slow or dead costs those who feed the worker nothing but the copy of a read.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::session::ConnectionId;
use crate::telemetry::forward_metrics::ForwardMetrics;
use crate::time::Timestamp;

use super::passage::{DropReason, Next, Passage, PauseRule, TargetId};
use super::target::TargetTask;

/// How long targets may take for the last bytes when the feed ends for good.
const LAST_BYTES: Duration = Duration::from_secs(2);

/// Registers the metrics of a target.
type MakeMetrics = Box<dyn Fn(&str) -> ForwardMetrics + Send + Sync>;

/// What is forwarded of one port, and to whom.
pub struct Relay {
    /// Of the integration, for logs.
    pub(super) id: Arc<str>,
    /// For connections to come.
    rule: Mutex<PauseRule>,
    metrics: MakeMetrics,
    /// Where CMS dials in, once that is known.
    address: Mutex<Option<SocketAddr>>,
    state: Mutex<State>,
    /// How many targets there are.
    targets: AtomicUsize,
    changed: Notify,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct State {
    passages: HashMap<ConnectionId, Passage>,
    /// The connection that is forwarded.
    speaking: Option<ConnectionId>,
    targets: BTreeMap<TargetId, Target>,
    last_target: TargetId,
}

#[derive(Debug)]
struct Target {
    address: Arc<str>,
    stop: CancellationToken,
    metrics: ForwardMetrics,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Relay {
    /// Creates one without targets.
    pub fn new(
        id: Arc<str>,
        rule: PauseRule,
        metrics: impl Fn(&str) -> ForwardMetrics + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            rule: Mutex::new(rule),
            metrics: Box::new(metrics),
            address: Mutex::default(),
            state: Mutex::default(),
            targets: AtomicUsize::new(0),
            changed: Notify::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Forwards to these addresses from now on: those that are new are dialled, those that are gone are closed, the others
    /// notice nothing. Needs a runtime.
    pub fn set_targets(self: &Arc<Self>, addresses: &[Arc<str>]) {
        let mut state = self.state.lock();
        let gone = |target: &Target| !addresses.contains(&target.address);
        let gone: Vec<TargetId> = state.targets.iter().filter(|(_, target)| gone(target)).map(|(id, _)| *id).collect();
        for id in gone {
            state.remove_target(id);
        }
        for address in addresses {
            if !state.targets.values().any(|target| target.address == *address) {
                let (stop, metrics) = (CancellationToken::new(), (self.metrics)(address));
                let id = state.add_target(Target { address: Arc::clone(address), stop: stop.clone(), metrics });
                self.tasks.spawn(TargetTask::new(id, Arc::clone(address), Arc::clone(self), stop).run());
            }
        }
        self.targets.store(state.targets.len(), Ordering::Relaxed);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Sets the rule, for the connections that are there too.
    pub fn set_rule(&self, rule: PauseRule) {
        *self.rule.lock() = rule;
        self.state.lock().passages.values_mut().for_each(|passage| passage.set_rule(rule));
    }

    /// CMS dials in at this address: no target may be there.
    pub fn listens_at(&self, address: SocketAddr) {
        *self.address.lock() = Some(address);
    }

    /// Whether an address that was dialled is the port that CMS dials.
    pub(super) fn is_own_port(&self, here: SocketAddr, there: SocketAddr) -> bool {
        let (here, target) = (here.ip().to_canonical(), there.ip().to_canonical());
        self.address.lock().is_some_and(|own| {
            let bound = own.ip().to_canonical();
            // Another address of this machine may have the same port.
            here == target && there.port() == own.port() && (bound.is_unspecified() || bound == target)
        })
    }

    /// A connection has been accepted.
    pub fn opened(&self, connection: ConnectionId) {
        self.state.lock().passages.insert(connection, Passage::new(*self.rule.lock()));
    }

    /// A connection has sent these bytes.
    pub fn read(&self, connection: ConnectionId, bytes: &[u8], at: Timestamp) {
        // A copy: what was read shares its memory with what is read next, and would keep all of it.
        let copy = (self.targets.load(Ordering::Relaxed) > 0).then(|| Bytes::copy_from_slice(bytes));
        let is_news = copy.is_some();
        self.with(connection, |passage| match copy {
            Some(copy) => passage.push(copy, at),
            None => passage.pass_over(bytes.len()),
        });
        if is_news {
            self.changed.notify_waiters();
        }
    }

    /// A connection has ended.
    pub fn closed(&self, connection: ConnectionId) {
        self.state.lock().end(connection);
        self.changed.notify_waiters();
    }

    /// This connection is the one that is forwarded from now on.
    pub fn speaks(&self, connection: ConnectionId) {
        let mut state = self.state.lock();
        if state.speaking == Some(connection) {
            return;
        }
        if let Some(before) = state.speaking.replace(connection) {
            state.end(before);
        }
        let targets: Vec<TargetId> = state.targets.keys().copied().collect();
        if let Some(passage) = state.passages.get_mut(&connection) {
            passage.begin();
            targets.into_iter().for_each(|target| passage.add(target));
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A snapshot of a connection begins there.
    pub fn snapshot_begins(&self, connection: ConnectionId, offset: u64, at: Timestamp) {
        self.with(connection, |passage| passage.snapshot_begins(offset, at));
        self.changed.notify_waiters();
    }

    /// Gives the targets a moment for the last bytes, and ends them.
    pub async fn finish(&self) {
        let open: Vec<ConnectionId> = self.state.lock().passages.keys().copied().collect();
        open.into_iter().for_each(|connection| self.closed(connection));
        let until_given = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.state.lock().passages.is_empty() {
                    break;
                }
                changed.await;
            }
        };
        // What a target has not taken by then is counted as dropped.
        let _ = tokio::time::timeout(LAST_BYTES, until_given).await;
        self.set_nobody();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn set_nobody(&self) {
        let mut state = self.state.lock();
        let all: Vec<TargetId> = state.targets.keys().copied().collect();
        all.into_iter().for_each(|id| state.remove_target(id));
        self.targets.store(0, Ordering::Relaxed);
    }

    /// Does something with a passage, and counts what that drops.
    fn with<T: Default>(&self, connection: ConnectionId, act: impl FnOnce(&mut Passage) -> T) -> T {
        let mut state = self.state.lock();
        let State { passages, targets, .. } = &mut *state;
        let Some(passage) = passages.get_mut(&connection) else { return T::default() };
        let result = act(passage);
        for (target, dropped) in passage.take_dropped() {
            if let Some(target) = targets.get(&target) {
                target.metrics.dropped(dropped);
            }
        }
        result
    }

    /// Waits until there is a connection that a target has not had to its end. It may be over: whoever has not begun with it
    /// has to leave it, or its bytes would be kept for good.
    pub(super) async fn next_connection(&self, target: TargetId) -> ConnectionId {
        self.when(|state| {
            let has = state.passages.iter().filter(|(_, passage)| passage.has(target));
            has.map(|(connection, _)| *connection).min()
        })
        .await
    }

    /// Waits until a connection is of no use to a target.
    pub(super) async fn is_over(&self, connection: ConnectionId, target: TargetId) {
        let is_over = |state: &State| {
            let passage = state.passages.get(&connection);
            passage.is_none_or(|passage| passage.is_over() || !passage.has(target)).then_some(())
        };
        self.when(is_over).await;
    }

    /// Waits for something.
    async fn when<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look: so a change in between is not missed.
            changed.as_mut().enable();
            if let Some(found) = look(&self.state.lock()) {
                return found;
            }
            changed.await;
        }
    }

    /// A target has a connection.
    pub(super) fn connected(&self, connection: ConnectionId, target: TargetId) {
        self.with(connection, |passage| passage.connected(target));
        self.state.lock().set_up(target, true);
    }

    /// It has lost it.
    pub(super) fn disconnected(&self, connection: ConnectionId, target: TargetId, reason: DropReason) {
        let is_over = self.with(connection, |passage| {
            passage.disconnected(target, reason);
            passage.is_over()
        });
        if is_over {
            self.leave(connection, target, reason);
        }
        self.state.lock().set_up(target, false);
    }

    /// It has had all that it will get of a connection.
    pub(super) fn leave(&self, connection: ConnectionId, target: TargetId, reason: DropReason) {
        let mut state = self.state.lock();
        state.leave(connection, target, reason);
        state.set_up(target, false);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits until a target has something to do.
    pub(super) async fn next(&self, connection: ConnectionId, target: TargetId) -> Next {
        self.when(|state| {
            let next = state.passages.get(&connection).map_or(Next::Over, |passage| passage.next(target));
            Some(next).filter(|next| *next != Next::Wait)
        })
        .await
    }

    /// A target has taken so many bytes.
    pub(super) fn given(&self, connection: ConnectionId, target: TargetId, bytes: usize) {
        self.with(connection, |passage| passage.given(target, bytes));
        if let Some(target) = self.state.lock().targets.get(&target) {
            target.metrics.given(bytes);
        }
    }
}

impl State {
    fn add_target(&mut self, target: Target) -> TargetId {
        self.last_target += 1;
        let id = self.last_target;
        self.targets.insert(id, target);
        self.set_up(id, false);
        if let Some(passage) = self.speaking.and_then(|speaking| self.passages.get_mut(&speaking))
            && !passage.is_over()
        {
            passage.add(id);
        }
        id
    }

    fn remove_target(&mut self, id: TargetId) {
        let connections: Vec<ConnectionId> = self.passages.keys().copied().collect();
        connections.into_iter().for_each(|connection| self.leave(connection, id, DropReason::TooSlow));
        if let Some(target) = self.targets.remove(&id) {
            target.stop.cancel();
            target.metrics.removed();
        }
    }

    fn set_up(&self, target: TargetId, is_up: bool) {
        if let Some(target) = self.targets.get(&target) {
            target.metrics.up(is_up);
        }
    }

    /// Nothing more comes of a connection: who has begun with it gets the rest, the others nothing.
    fn end(&mut self, connection: ConnectionId) {
        let Some(passage) = self.passages.get_mut(&connection) else { return };
        passage.end();
        for target in passage.not_begun() {
            self.leave(connection, target, DropReason::NotConnected);
        }
        self.forget_if_done(connection);
    }

    fn leave(&mut self, connection: ConnectionId, target: TargetId, reason: DropReason) {
        let Some(passage) = self.passages.get_mut(&connection) else { return };
        let dropped = passage.remove(target, reason);
        if let Some(target) = self.targets.get(&target) {
            target.metrics.dropped(dropped);
        }
        self.forget_if_done(connection);
    }

    fn forget_if_done(&mut self, connection: ConnectionId) {
        if self.passages.get(&connection).is_some_and(Passage::is_done) {
            self.passages.remove(&connection);
        }
    }
}
