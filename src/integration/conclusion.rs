//! Concludes what the engine has found, a share at a time: publishes, shows, logs and counts it.

use std::time::Instant;

use crate::engine::session::ConnectionId;
use crate::engine::{CloseReason, Finding};
use crate::journal::message::Message;
use crate::mapping::annotate::Annotation;
use crate::telemetry::targets::AGENTS;
use crate::tracker::event::AgentEvent;
use crate::tracker::status::FeedStatus;
use crate::views::model::{AnnotatedEvent, Update};

use super::findings::Portion;
use super::integration_worker::IntegrationWorker;

/// What a portion of findings amounts to.
#[derive(Default)]
struct Conclusion {
    messages: Vec<Message>,
    events: Vec<AnnotatedEvent>,
    has_status: bool,
}

impl IntegrationWorker {
    /// Publishes, shows and counts what the engine has found.
    pub(super) fn conclude(&mut self, read_at: Option<Instant>) {
        let portion = self.findings.take_all(&mut self.engine, read_at);
        self.conclude_portion(portion);
    }

    /// Does the same for a share: the end of one snapshot may log out everybody. The rest comes before anything else of this
    /// integration.
    pub(super) fn conclude_share(&mut self, read_at: Option<Instant>) {
        let portion = self.findings.take_share(&mut self.engine, read_at);
        self.conclude_portion(portion);
    }

    fn conclude_portion(&mut self, portion: Portion) {
        let begin = Instant::now();
        let Portion { findings, read_at } = portion;
        let has_findings = !findings.is_empty();
        let mut conclusion = Conclusion::default();
        for finding in findings {
            self.conclude_finding(finding, read_at, &mut conclusion);
        }
        let Conclusion { messages, events, has_status } = conclusion;
        let has_rest = self.findings.has_rest();
        let (publishing, mut background) = self.publishing_with();
        publishing.hand_over(messages, &events, &mut background);
        // Not before: what is written of an agent then is what their last event says.
        if !has_rest {
            publishing.end_overflow(&mut background);
        }
        if has_findings || read_at.is_some() {
            self.metrics.publish.record(begin.elapsed().as_secs_f64());
        }
        if !events.is_empty() {
            self.reporting.update_model(Update::Events(events));
        }
        self.reporting.note_journal(self.publishing.is_behind());
        self.reporting.report(&self.engine, has_findings, has_status);
    }

    fn conclude_finding(&mut self, finding: Finding, read_at: Option<Instant>, conclusion: &mut Conclusion) {
        match finding {
            Finding::Event(event, annotation) => self.conclude_event(event, annotation, read_at, conclusion),
            Finding::Status(status) => self.conclude_status(&status, conclusion),
            Finding::DeadLetter(letter) => conclusion.messages.extend(self.publishing.dead_letter(letter)),
            Finding::Snapshot(snapshot) => {
                self.reporting.note_snapshot(&snapshot, self.engine.tracker(), self.pace.now());
            }
            Finding::Close(connection, reason) => self.close(connection, reason),
            Finding::Probe(peer) => self.reporting.log_probe(&peer),
        }
    }

    fn conclude_event(
        &mut self,
        event: Box<AgentEvent>,
        annotation: Box<Annotation>,
        read_at: Option<Instant>,
        conclusion: &mut Conclusion,
    ) {
        self.metrics.event(event.cause);
        let (agent, cause, mode) = (&*event.login_id, event.cause.name(), event.state.mode.name());
        tracing::debug!(
            target: AGENTS, integration = %self.id, acd = event.acd, agent, cause, mode, "event"
        );
        let read_at = read_at.filter(|_| event.observed_at == self.pace.now());
        // An event that may be merged with later ones is encoded when it is final.
        if !self.publishing.is_behind() {
            conclusion.messages.extend(self.publishing.event_message(&event, &annotation, read_at));
        }
        conclusion.events.push((event, annotation));
    }

    fn conclude_status(&mut self, status: &FeedStatus, conclusion: &mut Conclusion) {
        self.reporting.note_status(status);
        conclusion.messages.extend(self.publishing.status_message(status));
        conclusion.has_status = true;
    }

    fn close(&self, connection: ConnectionId, reason: CloseReason) {
        self.reporting.record_close(connection, reason);
        if let Some(close) = self.connections.get(&connection) {
            close.cancel();
        }
    }
}
