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
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::contract::store;
use crate::fail_point;
use crate::integration::command::{Forget, Forgotten};
use crate::journal::message::{Batch, Message};
use crate::journal::store::AgentKey;
use crate::mapping::spelling;
use crate::telemetry::metrics::{Dropped, Forgotten as Cause};
use crate::telemetry::targets::INTEGRATION;
use crate::time::Timestamp;
use crate::views::model::Update;

use super::ageing::{EVERY, Unerased};
use super::worker::Charge;

/// How many are forgotten at a time: the feed must not wait for long.
const PORTION: usize = 500;

impl Charge {
    /// Forgets somebody on request.
    pub(super) fn forget_requested(&mut self, forget: Forget) {
        let Forget { login_id, acd, is_unknown_too, done } = forget;
        let at = self.advance(Timestamp::now());
        self.conclude(None);
        let mut told = Forgotten::default();
        let (mut keys, mut asked, mut end) = (Vec::new(), Vec::new(), 0);
        let table = self.engine.tracker().table();
        for (index, agent) in table.iter().filter(|(_, agent)| spelling::is_same(&agent.login_id, &login_id)) {
            if acd.is_some_and(|acd| acd != agent.acd) {
                continue;
            }
            match self.has_feed && self.engine.tracker().is_in_feed(index) {
                true => told.in_feed.push(agent.acd),
                false => keys.push((agent.acd, Arc::clone(&agent.login_id))),
            }
        }
        self.unerased.retain(|unerased| !unerased.is_done.load(Ordering::Acquire));
        let asked_for = self.unerased.iter().filter(|unerased| spelling::is_same(&unerased.key.1, &login_id));
        let asked_for = asked_for.map(|unerased| (unerased.key.0, unerased.end));
        let published = self.checkpoint.tombstones(&login_id, self.publish.lane());
        for (on, until) in published.chain(asked_for) {
            let is_told = keys.iter().any(|(acd, _)| *acd == on) || told.in_feed.contains(&on);
            if acd.is_none_or(|acd| acd == on) && !is_told {
                end = end.max(until);
                if !told.acds.contains(&on) {
                    told.acds.push(on);
                }
            }
        }
        if let Some(acd) = acd.filter(|_| is_unknown_too && keys.is_empty())
            && told.in_feed.is_empty()
            && told.acds.is_empty()
        {
            keys.push((acd, login_id));
        }
        if !keys.is_empty() {
            let acds: Vec<u32> = keys.iter().map(|(acd, _)| *acd).collect();
            match self.forget(keys.clone(), at, true) {
                Some(until) => {
                    asked = keys;
                    told.now = acds.len();
                    told.acds.splice(0..0, acds);
                    end = until;
                    self.metrics.forgotten(Cause::Request, told.now);
                    tracing::info!(
                        target: INTEGRATION, integration = %self.id, count = told.now, "agents forgotten on request"
                    );
                }
                None => told.is_full = true,
            }
        }
        if end > 0 {
            let (erased, receiver) = tokio::sync::oneshot::channel();
            told.erased = Some(receiver);
            // The caller may have stopped waiting.
            let is_done = Arc::new(AtomicBool::new(false));
            let unerased = |key| Unerased { key, end, is_done: Arc::clone(&is_done) };
            self.unerased.extend(asked.into_iter().map(unerased));
            let tell = move || {
                is_done.store(true, Ordering::Release);
                let _ = erased.send(());
            };
            self.publish.lane().when_erased(end, Box::new(tell));
        }
        let _ = done.send(told);
    }

    /// Time has passed: forgets a portion of those who have not been seen for long, if that is due.
    pub(super) fn forget_old(&mut self, at: Timestamp) {
        let Some(after) = self.ageing.after else { return };
        if self.ageing.due.is_some_and(|due| at < due) {
            return;
        }
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
            self.metrics.forgotten(Cause::Age, count);
            self.ageing.count += count;
            if count == PORTION {
                return;
            }
        }
        let count = std::mem::take(&mut self.ageing.count);
        if count > 0 {
            let days = after.as_secs() / 86_400;
            tracing::info!(
                target: INTEGRATION, integration = %self.id, count, days, "agents forgotten who were not seen for that long"
            );
        }
        self.ageing.due = Some(at.plus(EVERY));
    }

    /// Without a feed: returns those whose last record is older. Nobody can come back.
    fn last_seen_before(&self, age: Duration, now: Timestamp) -> Vec<u32> {
        let agents = self.engine.tracker().table().iter();
        let old = agents.filter(|(_, agent)| now.since(agent.last_seen) > age);
        old.map(|(index, _)| index).take(PORTION).collect()
    }

    /// Forgets them; returns the position after their tombstones, or `None` where the journal has no room for these.
    fn forget(&mut self, keys: Vec<AgentKey>, at: Timestamp, is_urgent: bool) -> Option<u64> {
        let tombstone = |(acd, login_id): &AgentKey| Message::tombstone(format!("{}/{acd}/{login_id}", self.id).into());
        let forgotten = |(acd, login_id): &AgentKey| store::Forgotten {
            acd: *acd,
            login_id: login_id.to_string(),
            at: at.as_micros(),
        };
        let batch = Batch {
            messages: keys.iter().map(tombstone).collect(),
            agents: Vec::new(),
            forgotten: keys.iter().map(forgotten).collect(),
            source: None,
            is_urgent,
        };
        fail_point::reach(fail_point::BEFORE_FORGET);
        let end = self.publish.submit(batch).ok()?;
        fail_point::reach(fail_point::AFTER_FORGET);
        for key in &keys {
            let (acd, login_id) = key;
            self.engine.forget_stranger(*acd, login_id);
            if let Some(index) = self.engine.tracker().table().find(*acd, login_id) {
                if self.standing.overflow().is_some_and(|overflow| overflow.forget(index)) {
                    self.metrics.dropped(Dropped::Event, 1);
                }
                self.last_events.forget(index);
                self.checkpoint.forget_number(index);
                self.engine.forget(index, at, &mut self.findings);
            }
            self.checkpoint.forget(key.clone(), end);
        }
        self.tell_model(Update::Forgotten(keys));
        self.conclude(None);
        self.write_whole_checkpoint(at);
        Some(end)
    }
}

#[cfg(test)]
#[path = "forgetting_tests.rs"]
mod tests;
