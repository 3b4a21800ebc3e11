//! Whose an integration is, with exactly-once delivery: the claim, and what a producer that is shut out does.
//!
//! `transactional.id` belongs to the integration, and the broker lets only the last producer of that id go on. A starting
//! producer first commits a checkpoint: its claim. A producer that is shut out reads the last checkpoint before it tries
//! again. If that is from another store, or from another run of a copy of ours, it stops and waits until it is to take the
//! integration back ([`Monitor::claim`](super::delivery::Monitor::claim)). If it is ours, the coordinator ended a transaction
//! that took too long, and it goes on.
//!
//! A position is trusted up to where the journal that it counts is ours: another copy of the store may have counted it.

use std::time::Duration;

use uuid::Uuid;

use crate::telemetry::targets::KAFKA;
use crate::time::Timestamp;

use super::checkpoint::{self, Checkpoint, Ours, ReadError};
use super::driver::{Driver, DriverStopped};

/// How many times to check whether the producer that shut us out has committed its claim, which may take long on a busy
/// machine. A producer that gives up too early shuts the other out, and the first of the two to start would publish.
const CLAIM_PROBES: u32 = 5;
const CLAIM_WAIT: Duration = Duration::from_secs(1);
/// How often a superseded thread checks whether it is to go on.
const SUPERSEDED_STEP: Duration = Duration::from_millis(250);

/// Whose the integration is, as far as this thread knows.
pub(super) struct Ownership {
    /// The id of our store.
    owner: Uuid,
    /// Our claim is committed.
    is_owner: bool,
    /// The last checkpoint when we had shut out everybody before us: a different one is from a later producer.
    found: Option<Option<Checkpoint>>,
    /// It was logged that Kafka is ahead.
    is_logged: bool,
}

impl Ownership {
    /// Creates it for a store that has claimed nothing yet.
    pub(super) const fn new(owner: Uuid) -> Self {
        Self { owner, is_owner: false, found: None, is_logged: false }
    }

    /// Returns a checkpoint of ours.
    pub(super) fn checkpoint(&self, driver: &Driver, position: u64) -> Checkpoint {
        let runs = driver.lane.runs().clone();
        Checkpoint { owner: self.owner, position, committed_at: Timestamp::now(), runs }
    }

    /// Learns what is committed, when earlier producers are shut out. Returns the position of our claim.
    pub(super) fn learn(&mut self, driver: &mut Driver) -> Result<u64, DriverStopped> {
        let committed = self.read_checkpoint(driver)?;
        self.found = Some(committed.last.clone());
        let position = driver.send_window.acknowledged_to();
        if committed.is_hanging {
            tracing::error!(
                target: KAFKA, integration = &*driver.integration,
                position,
                "kafka has left a transaction of this integration open for ever: taken for committed, and ended by the next one"
            );
        }
        if let Some(last) = &committed.last {
            self.log_predecessor(driver, last);
        }
        Ok(position)
    }

    /// Takes note that our claim is committed.
    pub(super) fn set_claimed(&mut self, driver: &Driver, position: u64) {
        if !std::mem::replace(&mut self.is_owner, true) {
            driver.lane.run_is_known();
        }
        driver.monitor.record_acknowledged([]);
        tracing::debug!(
            target: KAFKA, integration = &*driver.integration, position, owner = %self.owner, "checkpoint committed"
        );
    }

    /// Whether a later producer can have shut us out: we have shut out others.
    pub(super) const fn can_be_lost(&self) -> bool {
        self.is_owner || self.found.is_some()
    }

    /// Waits as long as another store has the integration. An error once the send window is stopped.
    pub(super) fn confirm(&mut self, driver: &mut Driver) -> Result<(), DriverStopped> {
        let Some(other) = self.find_other(driver)? else { return Ok(()) };
        let Checkpoint { owner, committed_at, .. } = other;
        tracing::error!(
            target: KAFKA, integration = &*driver.integration,
            %owner,
            %committed_at,
            pending = driver.send_window.pending(),
            is_copy = owner == self.owner,
            "another store publishes for this integration: stopped, messages wait; end one of the two"
        );
        driver.monitor.set_superseded_by(Some(owner));
        *self = Self::new(self.owner);
        driver.comparison.lost();
        while !driver.monitor.is_claimed() {
            driver.pause(SUPERSEDED_STEP)?;
        }
        tracing::info!(target: KAFKA, integration = &*driver.integration, %owner, "the integration is taken back");
        driver.monitor.set_superseded_by(None);
        Ok(())
    }

    /// Returns the claim of the producer that shut us out, where it comes in time and is not ours.
    fn find_other(&self, driver: &mut Driver) -> Result<Option<Checkpoint>, DriverStopped> {
        for _ in 0..CLAIM_PROBES {
            driver.pause(CLAIM_WAIT)?;
            let last = self.read_checkpoint(driver)?.last;
            let is_known = !self.is_owner && self.found.as_ref() == Some(&last);
            let other = last.filter(|last| !is_known && !self.ours(driver).is_by_this_run(last));
            if other.is_some() {
                return Ok(other);
            }
        }
        Ok(None)
    }

    /// Reads the last checkpoint, however long it takes. What it says about our journal is acknowledged at once.
    fn read_checkpoint(&self, driver: &mut Driver) -> Result<checkpoint::Found, DriverStopped> {
        loop {
            let is_stopped = || driver.is_stopped();
            let ours = self.ours(driver);
            let read = checkpoint::read_settled(&driver.servers, &driver.kafka, &driver.integration, ours, &is_stopped);
            match read {
                Ok(found) => {
                    if let Some(position) = found.committed {
                        driver.monitor.record_acknowledged(driver.send_window.acknowledge_to(position));
                    }
                    return Ok(found);
                }
                Err(ReadError::Stopped) => return Err(DriverStopped),
                Err(error) => {
                    let wait = driver.failure_policy.next_backoff();
                    tracing::warn!(
                        target: KAFKA, integration = &*driver.integration, %error, ?wait, "no checkpoint, will be retried"
                    );
                    driver.pause(wait)?;
                }
            }
        }
    }

    fn ours<'a>(&self, driver: &'a Driver) -> Ours<'a> {
        Ours { owner: self.owner, runs: driver.lane.runs() }
    }

    /// Logs whose the integration was, where that is news.
    fn log_predecessor(&mut self, driver: &Driver, last: &Checkpoint) {
        let Checkpoint { owner, position, committed_at, .. } = last;
        let integration = &*driver.integration;
        if *owner != self.owner {
            tracing::info!(target: KAFKA, integration, %owner, %committed_at, "taken over from another store");
        } else if self.ours(driver).is_behind(last) && !self.is_logged {
            // If the agents were read from Kafka, the reason was logged already.
            if driver.comparison.is_due() {
                driver.monitor.observer().behind();
                tracing::error!(
                    target: KAFKA, integration,
                    position,
                    %committed_at,
                    "Kafka has positions of this store that it does not have: it was restored from a copy, or another instance \
                     has published with a copy of it; everything that this one has counted beyond the copy is published"
                );
            }
            self.is_logged = true;
        }
    }
}
