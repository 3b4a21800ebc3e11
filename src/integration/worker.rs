//! A worker: one OS thread that owns its integrations.
//!
//! Nothing here is shared, so nothing is locked. A worker takes messages from its channels, from each integration in turn
//! and no more than a share at a time, and passes each to its integration ([`super::integration_worker`]). While the store
//! is slow, an integration's part of the journal accepts nothing for a while: then its channel fills, and its sockets wait.
//! When the journal has no room the feed is still read, and each agent's latest state is kept (`overflow`). Timers of an
//! integration run when none of its messages waits.
//!
//! Time is [`Timestamp::now`] at the edges, which never goes back and never stands still: a wall clock that is set back, here
//! or while no process ran, makes timers late by a factor of two at most until it has caught up. Messages carry times of the
//! same clock, but may come out of order: the time that is passed to an engine never goes back either (`pace`).

use std::time::{Duration, Instant};

use crate::sources::rta::worker_channel::{Received, WorkerMessage, WorkerReceiver};
use crate::telemetry::targets::INTEGRATION;
use crate::time::{ClockNews, Timestamp};

use super::command::Control;
use super::integration_worker::IntegrationWorker;
use super::pace::TICK;

/// Messages of an integration that may wait for its worker.
pub const WORKER_CHANNEL: usize = 64;

/// How often to check for room where an integration's part of the journal has none.
const NO_ROOM: Duration = Duration::from_millis(5);

/// The integrations of a worker, each with a channel.
struct Worker {
    receiver: WorkerReceiver<Control, Box<IntegrationWorker>>,
    /// In the order of the channels.
    integrations: Vec<Box<IntegrationWorker>>,
    ticked: Instant,
}

/// Runs until it is stopped. Integrations come with a channel of `receiver` each, and leave with [`Control::Stop`].
///
/// Timers must not overtake messages: what was received before a deadline is processed before it, however late the worker
/// is. So the clock counts for an integration only while none of its messages waits and it is not behind; otherwise its
/// messages set the time.
pub fn run(receiver: WorkerReceiver<Control, Box<IntegrationWorker>>) {
    let mut worker = Worker { receiver, integrations: Vec::new(), ticked: Instant::now() };
    while worker.take_turn() {
        if worker.ticked.elapsed() >= TICK {
            worker.ticked = Instant::now();
            log_clock_news();
            worker.tick_all();
        }
        worker.have_the_rest_go_on();
    }
    worker.integrations.iter_mut().for_each(|integration| integration.end());
}

impl Worker {
    /// Waits for what comes next, at most until a timer is due, and processes it; false once nothing will come any more.
    fn take_turn(&mut self) -> bool {
        let rooms: Vec<bool> = self.integrations.iter().map(|integration| integration.takes_more()).collect();
        let wait = self.wait_for_timers(rooms.contains(&false));
        match self.receiver.receive(wait, |index| rooms[index]) {
            Received::Newcomer(mut integration) => {
                integration.begin();
                self.integrations.push(integration);
            }
            Received::Message(index, WorkerMessage::Control(Control::Stop { done })) => {
                self.receiver.remove(index);
                self.integrations.swap_remove(index).end();
                // The caller may have stopped waiting.
                let _ = done.send(());
            }
            Received::Message(index, WorkerMessage::Control(control)) => {
                if let Some(integration) = self.integrations.get_mut(index) {
                    integration.control(control);
                }
            }
            Received::Message(index, WorkerMessage::Feed(from_feed)) => {
                if let Some(integration) = self.integrations.get_mut(index)
                    && let Some(rest) = integration.feed(from_feed)
                {
                    self.receiver.put_back(index, WorkerMessage::Feed(rest));
                }
            }
            Received::TimedOut => self.tick_those_due(),
            Received::Ended => return false,
        }
        true
    }

    /// Returns the time until a timer of an integration is due of which no message waits.
    fn wait_for_timers(&self, is_room_missing: bool) -> Duration {
        let idle = self.integrations.iter().enumerate().filter(|(index, _)| self.receiver.is_empty(*index));
        let due = idle.map(|(_, integration)| integration.until_due()).min().unwrap_or(TICK);
        let wait = if is_room_missing { due.min(NO_ROOM) } else { due };
        wait.min(TICK.saturating_sub(self.ticked.elapsed()))
    }

    fn tick_those_due(&mut self) {
        let now = Timestamp::now();
        for (index, integration) in self.integrations.iter_mut().enumerate() {
            if self.receiver.is_empty(index) && integration.until_due().is_zero() {
                integration.tick(now);
            }
        }
    }

    /// Runs the timers of all of them. A feed that never pauses must not keep its own timers waiting, nor those of the others.
    fn tick_all(&mut self) {
        let now = Timestamp::now();
        for (index, integration) in self.integrations.iter_mut().enumerate() {
            let is_current = self.receiver.is_empty(index) && !integration.is_behind();
            integration.tick(if is_current { now } else { integration.now() });
        }
    }

    /// Gives those of whom something is left another turn, after the others.
    fn have_the_rest_go_on(&mut self) {
        for (index, integration) in self.integrations.iter().enumerate() {
            if integration.goes_on() && !self.receiver.has_rest(index) {
                self.receiver.put_back(index, WorkerMessage::Control(Control::GoOn));
            }
        }
    }
}

fn log_clock_news() {
    match Timestamp::clock_news() {
        None => {}
        Some(ClockNews::WentBack(ahead)) => {
            let ahead_s = ahead.as_secs();
            tracing::warn!(
                target: INTEGRATION, ahead_s, "the wall clock was set back: time goes on at half speed until it has caught up"
            );
        }
        Some(ClockNews::CaughtUp) => tracing::info!(target: INTEGRATION, "the wall clock has caught up"),
    }
}
