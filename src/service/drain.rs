//! The end of the service: what has come is finished, written and, if there is time, acknowledged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::integration::command::Control;
use crate::join;
use crate::kafka::publisher::Drained;
use crate::sources::rta::worker_channel::WorkerMessage;
use crate::telemetry::targets::SERVICE;

use super::{At, Service};

impl Service {
    /// Ends: takes no more bytes, finishes what has come, writes it down, and waits for Kafka until the deadline. What Kafka
    /// has not acknowledged by then is in the store; what is not even there is lost. Everything that is waited for shares the
    /// one deadline: neither a disk that hangs nor a thread that waits for it makes the end longer, save for a moment in which
    /// it is said what is lost.
    pub async fn drain(self, grace: Duration) -> Drained {
        let Times { close_at, workers_until, deadline } = Times::of(grace);
        let Self { context, mut slots, mut starts, model_thread, serving, commands, captures, stop, .. } = self;
        commands.abort();
        captures.abort();
        stop.cancel();
        context.stop.cancel();
        // One that hangs is left behind: it has published nothing yet.
        let started = async {
            while let Some(started) = starts.join_next().await {
                let running =
                    started.unwrap_or_default().into_iter().filter_map(|(index, running)| Some((index, running.ok()?)));
                for (index, running) in running {
                    if let Some(slot) = slots.get_mut(index.get()) {
                        slot.at = At::Running(Box::new(running));
                    }
                }
            }
        };
        let _ = tokio::time::timeout_at(close_at.into(), started).await;
        let senders: Vec<_> = context.senders.read().values().cloned().collect();
        let finish = async {
            for slot in &mut slots {
                if let At::Running(running) = &mut slot.at {
                    running.end_feed().await;
                }
            }
            for to_worker in senders {
                // A worker that has ended needs no stop, and its end is seen below.
                let (done, _) = tokio::sync::oneshot::channel();
                let _ = to_worker.send(WorkerMessage::Control(Control::Stop { done })).await;
            }
        };
        tokio::pin!(finish);
        let workers = context.workers.close();
        let mut workers = tokio::task::spawn_blocking(move || join_all(workers, workers_until));
        let is_handed_over = tokio::time::timeout_at(close_at.into(), &mut finish).await.is_ok();
        let joined = match tokio::time::timeout_at(close_at.into(), &mut workers).await {
            Ok(joined) => joined,
            Err(_) => {
                // A slow store keeps the workers, and they the connections, waiting: give up what does not fit.
                context.publisher.refuse();
                if !is_handed_over {
                    // Who does not come to an end is found hanging below.
                    let _ = tokio::time::timeout_at(workers_until.into(), &mut finish).await;
                }
                workers.await
            }
        };
        let hanging = joined.unwrap_or_else(|error| {
            tracing::error!(target: SERVICE, %error, "a worker could not be waited for");
            Vec::new()
        });
        let refused = Arc::clone(&context.refused);
        let ended = tokio::task::spawn_blocking(move || {
            let drained = context.publisher.drain(deadline);
            for (integration, count) in &drained.kept {
                tracing::warn!(
                    target: SERVICE, %integration, count, "not acknowledged by Kafka yet: kept in the store for the next start"
                );
            }
            drained
        });
        let mut drained = ended.await.unwrap_or_else(|error| {
            tracing::error!(target: SERVICE, %error, "the publisher could not be drained");
            Drained::default()
        });
        let last = deadline.max(Instant::now() + MOMENT);
        // The model ends with the workers.
        if hanging.is_empty() {
            let model = tokio::task::spawn_blocking(move || join_all(vec![model_thread], last));
            // It is in the log.
            let _ = model.await;
        }
        if tokio::time::timeout_at(last.into(), serving.end()).await.is_err() {
            tracing::warn!(target: SERVICE, "an HTTP request hangs and is left to the end of the process");
        }
        drained.hanging = hanging;
        drained.unwritten += refused.load(Ordering::Relaxed);
        drained
    }
}

/// What the end has least for a step, however little time there is.
const MOMENT: Duration = Duration::from_millis(250);

/// When an end gives what up.
struct Times {
    /// The journal refuses from here on: the workers, and the connections, wait for it no longer.
    close_at: Instant,
    /// The workers have seen that.
    workers_until: Instant,
    /// Everything is over.
    deadline: Instant,
}

impl Times {
    fn of(grace: Duration) -> Self {
        let now = Instant::now();
        let close_at = now + grace.mul_f64(0.75);
        Self { close_at, workers_until: (now + grace.mul_f64(0.875)).max(close_at + MOMENT), deadline: now + grace }
    }
}

/// Waits for threads; the names of those that hang.
fn join_all(threads: Vec<std::thread::JoinHandle<()>>, deadline: Instant) -> Vec<String> {
    threads.into_iter().filter_map(|thread| join::by(thread, Some(deadline))).collect()
}
