//! Publishes, shows, logs and counts what the engine has found, a share at a time.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::engine::session::ConnectionId;
use crate::engine::{CloseReason, DeadLetter, Finding};
use crate::journal::message::Message;
use crate::kafka::dead_letter;
use crate::telemetry::metrics::Dropped;
use crate::telemetry::targets::{AGENTS, INTEGRATION};
use crate::tracker::event::StatusKind;
use crate::tracker::status::FeedStatus;
use crate::tracker::table::AgentIndex;
use crate::views::model::Update;
use crate::wire::escape::escape;

use super::conditions::advice;
use super::worker::{Charge, SHARE_FINDINGS};

/// The shortest time between two updates of the read model with figures alone.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// What the read model knows of a feed. In a flood, not every letter wakes it.
#[derive(Debug, Default)]
pub(super) struct Shown {
    at: Option<Instant>,
    is_behind: bool,
}

impl Shown {
    /// Whether the model is to be updated now: for a feed status at once, for anything else now or at a later call.
    fn is_due(&mut self, has_changed: bool, has_status: bool, now: Instant) -> bool {
        self.is_behind |= has_changed || has_status;
        let is_quiet = self.at.is_none_or(|at| now.saturating_duration_since(at) >= SHOW_EVERY);
        let is_due = has_status || self.is_behind && is_quiet;
        if is_due {
            *self = Self { at: Some(now), is_behind: false };
        }
        is_due
    }
}

/// What was found, or still has to be found, and is not concluded yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    /// When the bytes were read from which it was found.
    read_at: Option<Instant>,
}

/// Returns how many findings have to be handed over together, so that none of the others is an event of an agent among them.
/// `agents` has the agent of each finding that is an event.
fn together(agents: impl Iterator<Item = Option<AgentIndex>>) -> usize {
    let mut seen = HashSet::new();
    let is_again = |(_, agent): &(usize, Option<AgentIndex>)| agent.is_some_and(|agent| !seen.insert(agent));
    agents.enumerate().filter(is_again).last().map_or(0, |(index, _)| index + 1)
}

const fn agent_of(finding: &Finding) -> Option<AgentIndex> {
    match finding {
        Finding::Event(event, _) => Some(event.agent),
        _ => None,
    }
}

impl Charge {
    /// Publishes, shows and counts what the engine has found.
    pub(super) fn conclude(&mut self, read_at: Option<Instant>) {
        let read_at = self.rest.take().map_or(read_at, |rest| rest.read_at);
        self.engine.settle(&mut self.findings);
        let findings = std::mem::take(&mut self.findings);
        self.conclude_these(findings, read_at);
    }

    /// Does the same for a share: the end of one snapshot may log out everybody. The rest comes before anything else of this
    /// integration.
    ///
    /// With an agent's event what the engine has of them now is written, which is what their last event says. So all
    /// events of an agent are handed over together.
    pub(super) fn conclude_share(&mut self, read_at: Option<Instant>) {
        let before = self.rest.take();
        let read_at = before.map_or(read_at, |rest| rest.read_at);
        let are_new = before.is_none() || self.findings.is_empty();
        if self.findings.is_empty() {
            self.engine.go_on(&mut self.findings);
        }
        let are_many = self.findings.len() > SHARE_FINDINGS;
        let together = if are_new && are_many { together(self.findings.iter().map(agent_of)) } else { 0 };
        let share = together.max(SHARE_FINDINGS).min(self.findings.len());
        let rest = self.findings.split_off(share);
        let findings = std::mem::replace(&mut self.findings, rest);
        let is_left = !self.findings.is_empty() || self.engine.has_more();
        self.rest = is_left.then_some(Rest { read_at });
        self.conclude_these(findings, read_at);
    }

    fn conclude_these(&mut self, findings: Vec<Finding>, read_at: Option<Instant>) {
        let begin = Instant::now();
        let has_findings = !findings.is_empty();
        let mut has_status = false;
        let mut messages = Vec::new();
        let mut events = Vec::new();
        for finding in findings {
            match finding {
                Finding::Event(event, annotation) => {
                    self.metrics.event(event.cause);
                    let (agent, cause, mode) = (&*event.login_id, event.cause.name(), event.state.mode.name());
                    tracing::debug!(
                        target: AGENTS, integration = %self.id, acd = event.acd, agent, cause, mode, "event"
                    );
                    let read_at = read_at.filter(|_| event.observed_at == self.now);
                    // An event that may be merged with later ones is encoded when it is final.
                    if !self.standing.is_behind() {
                        self.collect(&mut messages, self.encoder.event_message(&event, &annotation, read_at));
                    }
                    events.push((event, annotation));
                }
                Finding::Status(status) => {
                    self.tell_status(&status);
                    self.staleness.status(&status);
                    self.collect(&mut messages, self.encoder.status_message(&status));
                    self.view.status = Some(*status);
                    has_status = true;
                }
                Finding::DeadLetter(letter) => messages.extend(self.dead_letter(letter)),
                Finding::Snapshot(snapshot) => {
                    if let Some(period) = snapshot.period {
                        self.metrics.period.set(period.as_secs_f64());
                        self.watch_refresh(period);
                    }
                    if snapshot.complete {
                        self.staleness.complete_snapshot();
                        self.view.last_snapshot_at = Some(self.now);
                    }
                }
                Finding::Close(connection, reason) => self.close(connection, reason),
                Finding::Probe(peer) => {
                    let advice = "a port scan or a health check; no feed status tells of it, for there were many";
                    tracing::info!(
                        target: INTEGRATION, integration = %self.id, %peer, advice, "a connection ended without a valid record"
                    );
                }
            }
        }
        let events = self.hand_over(messages, events);
        // Not before: what is written of an agent then is what their last event says.
        if self.rest.is_none() {
            self.end_overflow();
        }
        if has_findings || read_at.is_some() {
            self.metrics.publish.record(begin.elapsed().as_secs_f64());
        }
        if !events.is_empty() {
            self.tell_model(Update::Events(events));
        }
        self.report(has_findings, has_status);
    }

    fn dead_letter(&mut self, letter: DeadLetter) -> Option<Message> {
        let DeadLetter { reason, offset, raw, received_at } = letter;
        let raw = if self.event_names { raw } else { Vec::new() };
        self.metrics.dead_letter(reason);
        tracing::warn!(
            target: INTEGRATION, integration = %self.id, reason = reason.label(), offset, "invalid record: {reason}"
        );
        tracing::debug!(
            target: AGENTS, integration = %self.id, offset, raw = %escape(&raw), "an invalid record as it was read"
        );
        if !self.limiter.admit(received_at) {
            return None;
        }
        // While Kafka is away, garbage must not take the room of transitions.
        let has_room = self.publish.lane().is_below_half();
        if !has_room {
            self.metrics.dropped(Dropped::DeadLetter, 1);
        }
        has_room.then(|| dead_letter::dead_letter(&self.id, reason.label(), offset, received_at, Bytes::from(raw)))
    }

    fn close(&mut self, connection: ConnectionId, reason: CloseReason) {
        self.metrics.refused(reason.label());
        tracing::info!(
            target: INTEGRATION, integration = %self.id, connection, reason = reason.label(), "connection closed"
        );
        if let Some(close) = self.connections.get(&connection) {
            close.cancel();
        }
    }

    fn watch_refresh(&mut self, period: Duration) {
        let settings = self.engine.tracker().settings();
        if self.conditions.refreshed(settings, period) {
            let (shortest_refresh_ms, period_ms) =
                (settings.thresholds.shortest_refresh.as_millis(), period.as_millis());
            tracing::warn!(
                target: INTEGRATION, integration = %self.id, shortest_refresh_ms, period_ms,
                "shortest_refresh is more than half of the time between two refreshes, which may be merged: set it to a \
                 third of the report's refresh at most"
            );
        }
    }

    /// Logs and counts a feed status.
    pub(super) fn tell_status(&self, status: &FeedStatus) {
        let kind = status.event.kind;
        self.metrics.status(kind);
        let peer = status.figures.peer.as_deref().unwrap_or_default();
        let affected = status.event.affected;
        let kind_name = kind.name();
        match kind {
            StatusKind::Connected | StatusKind::Restored { .. } | StatusKind::LinkUp => {
                tracing::info!(
                    target: INTEGRATION, integration = %self.id, kind = kind_name, peer, affected, "feed status"
                );
            }
            StatusKind::Disconnected if status.no_valid_record => {
                let advice = "a port scan, a health check, or a layout that does not fit";
                tracing::warn!(
                    target: INTEGRATION, integration = %self.id, kind = kind_name, peer, no_valid_record = true, advice, "feed status"
                );
            }
            _ => {
                let advice = advice(kind, affected);
                tracing::warn!(
                    target: INTEGRATION, integration = %self.id, kind = kind_name, peer, affected, advice, "feed status"
                );
            }
        }
    }

    /// Counts what has come since the last time, and shows it.
    pub(super) fn report(&mut self, has_findings: bool, has_status: bool) {
        let totals = self.engine.totals();
        let before = std::mem::replace(&mut self.reported, totals);
        self.metrics.changed.increment(totals.records.changed - before.records.changed);
        self.metrics.unchanged.increment(totals.records.unchanged - before.records.unchanged);
        self.metrics.invalid.increment(totals.invalid - before.invalid);
        self.metrics.probes.increment(totals.probes - before.probes);
        self.metrics.complete.increment(totals.complete_snapshots - before.complete_snapshots);
        self.metrics.incomplete.increment(totals.incomplete_snapshots - before.incomplete_snapshots);
        let session = self.engine.session();
        let tracker = self.engine.tracker();
        if let Some(at) = tracker.last_valid() {
            #[allow(clippy::cast_precision_loss)] // microseconds fit until the year 2255
            self.metrics.last_record.set(at.as_micros() as f64 / 1e6);
        }
        if let Some(skew) = tracker.clock_skew_seconds() {
            self.metrics.clock_skew(skew);
        }
        self.metrics.up.set(if session.peer().is_some() { 1.0 } else { 0.0 });
        #[allow(clippy::cast_precision_loss)] // at most five
        self.metrics.connections.set(session.connections() as f64);
        self.metrics.link_down.set(if tracker.link_is_down() { 1.0 } else { 0.0 });
        self.metrics.stale(self.staleness.agents());
        self.conditions.report(tracker, &self.metrics);
        let count = totals.impossible_times - before.impossible_times;
        self.metrics.impossible_times.increment(count);
        if count > 0 {
            tracing::warn!(
                target: INTEGRATION, integration = %self.id, count,
                "local times that do not occur, as in the hour that is left out in spring, are taken as missing: is \
                 `time_zone` that of the feed's clock?"
            );
        }
        let figures = self.engine.figures();
        let has_changed = has_findings || figures != self.view.figures;
        self.view.figures = figures;
        self.view.connections = session.connections();
        if self.shown.is_due(has_changed, has_status, Instant::now()) {
            self.tell_model(Update::Feed(Box::new(self.view.clone())));
        }
    }

    pub(super) fn tell_model(&self, update: Update) {
        // The model outlives its senders except at shutdown, when nobody reads it any more.
        let _ = self.model.send((self.index, update));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_told_of_a_status_at_once_and_of_figures_in_the_end() {
        let begin = Instant::now();
        let mut shown = Shown::default();
        // After so many milliseconds: something has changed, a status came, the model is updated.
        let looks = [
            (0, true, false, true),
            (1, true, false, false),
            (2, false, false, false),
            (50, false, true, true),
            (149, true, false, false),
            (150, false, false, true),
            (400, false, false, false),
            (401, true, false, true),
        ];
        for (after, has_changed, has_status, expected) in looks {
            let now = begin + Duration::from_millis(after);
            assert_eq!(shown.is_due(has_changed, has_status, now), expected, "after {after} ms");
        }
    }

    #[test]
    fn all_events_of_an_agent_are_handed_over_together() {
        let cases: [(&[Option<AgentIndex>], usize); 5] = [
            (&[], 0),
            (&[Some(1), None, Some(2), None], 0),
            (&[Some(1), Some(2), Some(1), Some(3)], 3),
            (&[Some(1), Some(2), Some(3), None, Some(2), Some(4), Some(5)], 5),
            (&[Some(1), Some(1)], 2),
        ];
        for (agents, expected) in cases {
            assert_eq!(together(agents.iter().copied()), expected, "{agents:?}");
        }
    }
}
