//! Forgetting people: on request, and those not seen for `privacy.forget_after`.
//!
//! In this order: a tombstone goes to the journal, after everything that was published of them, with a note that what is
//! known of them is void; then everything in memory forgets them (the table, the mapping, what is kept while the journal is
//! full, the last events, the read model); then the agent table is written without them. So a process that dies in between
//! has either not forgotten them, or goes on with it after the restart. Their bytes leave the store when Kafka has the
//! tombstone (`journal::erase`).
//!
//! An agent whom the feed still shows is not forgotten: the next snapshot would bring them back. Logs and metrics say how
//! many were forgotten, never who.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::contract::store;
use crate::fail_point;
use crate::integration::command::{Forget, ForgetAnswer};
use crate::journal::message::{AgentImages, Batch, Message};
use crate::journal::store::AgentKey;
use crate::mapping::spelling;
use crate::telemetry::feed_metrics::ForgetCause;
use crate::telemetry::targets::INTEGRATION;
use crate::time::Timestamp;
use crate::views::model::Update;

use super::integration_worker::IntegrationWorker;

/// How many are forgotten at a time: the feed must not wait for long.
const PORTION: usize = 500;

/// Whom a request is about.
#[derive(Default)]
struct Requested {
    /// Those who can be forgotten now.
    keys: Vec<AgentKey>,
    /// ACDs on which the feed shows them.
    in_feed: Vec<u32>,
    /// ACDs on which they were forgotten a short while ago.
    forgotten: Vec<u32>,
    /// Where the tombstones of those end.
    end: u64,
}

impl IntegrationWorker {
    /// Forgets somebody on request.
    pub(super) fn forget_requested(&mut self, forget: Forget) {
        let Forget { login_id, acd, is_unknown_too, done } = forget;
        let at = self.pace.advance(Timestamp::now());
        self.conclude(None);
        let Requested { keys, in_feed, forgotten, mut end } = self.requested(&login_id, acd, is_unknown_too);
        let mut answer = ForgetAnswer { acds: forgotten, in_feed, ..ForgetAnswer::default() };
        let mut asked = Vec::new();
        if !keys.is_empty() {
            match self.forget(keys.clone(), at, true) {
                Some(until) => {
                    answer.now = keys.len();
                    answer.acds.splice(0..0, keys.iter().map(|(acd, _)| *acd));
                    self.metrics.forgotten(ForgetCause::Request, answer.now);
                    tracing::info!(
                        target: INTEGRATION, integration = %self.id, count = answer.now, "agents forgotten on request"
                    );
                    (asked, end) = (keys, until);
                }
                None => answer.is_full = true,
            }
        }
        if end > 0 {
            answer.erased = Some(self.when_erased(asked, end));
        }
        // The caller may have stopped waiting.
        let _ = done.send(answer);
    }

    /// Finds whom a request is about.
    fn requested(&mut self, login_id: &Arc<str>, acd: Option<u32>, is_unknown_too: bool) -> Requested {
        let mut requested = Requested::default();
        let is_asked_for = |on: u32| acd.is_none_or(|acd| acd == on);
        let tracker = self.engine.tracker();
        let of_that_name = tracker.table().iter().filter(|(_, agent)| spelling::is_same(&agent.login_id, login_id));
        for (index, agent) in of_that_name.filter(|(_, agent)| is_asked_for(agent.acd)) {
            match self.has_feed && tracker.is_in_feed(index) {
                true => requested.in_feed.push(agent.acd),
                false => requested.keys.push((agent.acd, Arc::clone(&agent.login_id))),
            }
        }
        let published = self.saved.tombstones(login_id, self.publishing.lane());
        for (on, until) in published.chain(self.retention.unerased(login_id)) {
            let is_found = requested.keys.iter().any(|(acd, _)| *acd == on) || requested.in_feed.contains(&on);
            if is_asked_for(on) && !is_found {
                requested.end = requested.end.max(until);
                if !requested.forgotten.contains(&on) {
                    requested.forgotten.push(on);
                }
            }
        }
        let is_unknown = requested.keys.is_empty() && requested.in_feed.is_empty() && requested.forgotten.is_empty();
        if let Some(acd) = acd.filter(|_| is_unknown_too && is_unknown) {
            requested.keys.push((acd, Arc::clone(login_id)));
        }
        requested
    }

    /// Returns what is notified when nothing below `end` is left in the store; `asked` are those who are forgotten just now.
    fn when_erased(&mut self, asked: Vec<AgentKey>, end: u64) -> oneshot::Receiver<()> {
        let (erased, receiver) = oneshot::channel();
        let is_done = self.retention.add_unerased(asked, end);
        let notify = move || {
            is_done.store(true, Ordering::Release);
            // The caller may have stopped waiting.
            let _ = erased.send(());
        };
        self.publishing.lane().when_erased(end, Box::new(notify));
        receiver
    }

    /// Time has passed: forgets a portion of those who have not been seen for long, if that is due.
    pub(super) fn forget_old(&mut self, at: Timestamp) {
        let Some(after) = self.retention.due(at) else { return };
        if self.has_feed && !self.engine.tracker().shows_who_is_there() {
            return;
        }
        let old =
            if self.has_feed { self.engine.not_seen_for(after, at, PORTION) } else { self.last_seen_before(after, at) };
        let tracker = self.engine.tracker();
        let key = |index: &u32| {
            let agent = tracker.table().get(*index);
            (agent.acd, Arc::clone(&agent.login_id))
        };
        let keys: Vec<AgentKey> = old.iter().map(key).collect();
        let count = keys.len();
        if count > 0 && self.forget(keys, at, false).is_some() {
            self.metrics.forgotten(ForgetCause::Age, count);
            self.retention.add(count);
            if count == PORTION {
                return;
            }
        }
        let count = self.retention.end_round(at);
        if count > 0 {
            let days = after.as_secs() / 86_400;
            tracing::info!(
                target: INTEGRATION, integration = %self.id, count, days, "agents forgotten who were not seen for that long"
            );
        }
    }

    /// Without a feed: returns those whose last record is older. Nobody can come back.
    fn last_seen_before(&self, age: Duration, now: Timestamp) -> Vec<u32> {
        let agents = self.engine.tracker().table().iter();
        let old = agents.filter(|(_, agent)| now.since(agent.last_seen) > age);
        old.map(|(index, _)| index).take(PORTION).collect()
    }

    /// Forgets them; returns the position after their tombstones, or `None` where the journal has no room for these.
    fn forget(&mut self, keys: Vec<AgentKey>, at: Timestamp, is_urgent: bool) -> Option<u64> {
        let batch = tombstones(&self.id, &keys, at, is_urgent);
        fail_point::reach(fail_point::BEFORE_FORGET);
        let end = self.publishing.handle().submit(batch).ok()?;
        fail_point::reach(fail_point::AFTER_FORGET);
        for key in &keys {
            let (acd, login_id) = key;
            self.engine.forget_stranger(*acd, login_id);
            if let Some(index) = self.engine.tracker().table().find(*acd, login_id) {
                self.publishing.forget_kept(index);
                self.saved.forget_number(index);
                self.engine.forget(index, at, self.findings.found_mut());
            }
            self.saved.forget(key.clone(), end);
        }
        self.reporting.update_model(Update::Forgotten(keys));
        self.conclude(None);
        self.write_whole_checkpoint(at);
        Some(end)
    }
}

/// Returns tombstones for them, and the note that what is known of them is void.
fn tombstones(integration: &str, keys: &[AgentKey], at: Timestamp, is_urgent: bool) -> Batch {
    let tombstone = |(acd, login_id): &AgentKey| Message::tombstone(format!("{integration}/{acd}/{login_id}").into());
    let forgotten =
        |(acd, login_id): &AgentKey| store::Forgotten { acd: *acd, login_id: login_id.to_string(), at: at.as_micros() };
    Batch {
        messages: keys.iter().map(tombstone).collect(),
        agents: AgentImages::default(),
        forgotten: keys.iter().map(forgotten).collect(),
        source: None,
        is_urgent,
    }
}

#[cfg(test)]
#[path = "forgetting_tests.rs"]
mod tests;
