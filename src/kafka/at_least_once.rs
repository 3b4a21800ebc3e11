//! At-least-once delivery: messages one after another, each acknowledged by its own delivery reports.
//!
//! Invariant: a message leaves the send window only by a delivery report.
//!
//! Failure policy: `enable.gapless.guarantee` stops a producer before anything after a failed message is sent, and the rest is
//! purged. What the next producer sends again includes what must not stay ahead of a message that failed: these are the
//! duplicates.

use std::time::Duration;

use crate::telemetry::targets::KAFKA;

use super::connection::KafkaConnection;
use super::driver::{Driver, DriverEnd, DriverStopped, Guarantee};

/// The guarantee that every message arrives.
pub(super) struct AtLeastOnce;

impl Guarantee for AtLeastOnce {
    fn begin(&mut self, driver: &mut Driver, _: &KafkaConnection) -> Result<(), DriverEnd> {
        Ok(driver.wait_compared()?)
    }

    fn publish(&mut self, driver: &mut Driver, connection: &KafkaConnection) -> Result<(), DriverEnd> {
        let messages = driver.take(connection)?;
        messages.iter().try_for_each(|outgoing| driver.send(connection, outgoing))
    }

    fn close(&mut self, _: &Driver, connection: KafkaConnection, _: DriverEnd) {
        drop(connection);
    }

    fn prepare_next(&mut self, driver: &mut Driver, _: DriverEnd, wait: Duration) -> Result<(), DriverStopped> {
        // Only now: a message that was just given up does not make others go out again.
        let duplicates = driver.send_window.rewind();
        tracing::debug!(target: KAFKA, integration = &*driver.integration, duplicates, ?wait, "new producer");
        Ok(())
    }
}
