//! What the starts of integrations wait for while Kafka does not tell who their agents are: in the log, in the body of
//! `/health/ready`, and in the metric of Kafka's errors.
//!
//! The first error is told at once, wherever it comes from: whoever looks because CMS is refused has to find the reason.

use std::sync::Arc;

use crate::kafka::recovery::RecoveryProgress;
use crate::telemetry::targets::INTEGRATION;
use crate::time::Timestamp;
use crate::views::service::ServiceView;

use super::metrics_bridge::KafkaFigures;

/// What the starts of some integrations wait for. When this is dropped they wait no longer.
#[derive(Debug)]
pub(crate) struct StartWait<'a> {
    ids: &'a [Arc<str>],
    view: &'a ServiceView,
    kafka: &'a KafkaFigures,
}

impl<'a> StartWait<'a> {
    /// Creates it for starts that are about to wait.
    pub(crate) fn new(ids: &'a [Arc<str>], view: &'a ServiceView, kafka: &'a KafkaFigures) -> Self {
        let wait = Self { ids, view, kafka };
        wait.waits_for("Kafka has not answered yet");
        wait
    }

    /// Shows what they wait for.
    pub(super) fn waits_for(&self, reason: &str) {
        self.view.starts_wait(self.ids, reason, Timestamp::now());
    }

    /// Kafka, or the way to it, has failed once more.
    pub(super) fn failed(&self, kind: &str, reason: &str) {
        self.kafka.failed(kind);
        self.waits_for(reason);
    }

    /// Takes how far the reading of their agents is.
    pub(super) fn progress(&self, progress: RecoveryProgress) {
        match progress {
            RecoveryProgress::Reading { messages } => {
                self.waits_for("their agents are being read from Kafka");
                tracing::info!(target: INTEGRATION, messages, "reading the agents from Kafka");
            }
            RecoveryProgress::Failed { kind, reason } => self.failed(&kind, &reason),
            RecoveryProgress::Waiting { reason, waited } => {
                self.waits_for(&reason);
                let waited_s = waited.as_secs();
                tracing::warn!(
                    target: INTEGRATION, reason, waited_s, "no agents yet: CMS cannot dial in until Kafka has answered"
                );
            }
        }
    }
}

impl Drop for StartWait<'_> {
    fn drop(&mut self) {
        self.view.starts_go_on(self.ids);
    }
}
