//! The threads that integrations work on: as many as there are cores to spare, started when there is something for them.

use std::io;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use crate::integration::command::Control;
use crate::integration::integration_worker::IntegrationWorker;
use crate::integration::worker;
use crate::sources::rta::worker_channel::{self, Newcomers, WorkerSender};

/// The threads.
#[derive(Debug)]
pub(super) struct Workers {
    most: usize,
    threads: Mutex<Vec<Worker>>,
}

#[derive(Debug)]
struct Worker {
    add: Newcomers<Control, Box<IntegrationWorker>>,
    load: Load,
    thread: JoinHandle<()>,
}

/// What a thread has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    /// Integrations with a feed.
    feeds: usize,
    /// All of them.
    all: usize,
}

/// Where an integration works.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorkerPlace {
    worker: usize,
    has_feed: bool,
}

impl Workers {
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { most: cores.saturating_sub(1).max(1), threads: Mutex::default() }
    }

    /// Gives an integration to the thread that has least to do. Blocks until that takes it.
    pub(super) fn assign(&self, integration: IntegrationWorker) -> io::Result<(WorkerSender<Control>, WorkerPlace)> {
        let has_feed = integration.has_feed();
        let (to_worker, channel) = worker_channel::channel(worker::WORKER_CHANNEL);
        let mut threads = self.threads.lock();
        let loads: Vec<Load> = threads.iter().map(|worker| worker.load).collect();
        let place = WorkerPlace { worker: choose(&loads, self.most, has_feed), has_feed };
        if place.worker == threads.len() {
            let (add, receiver) = worker_channel::receiver();
            let name = format!("worker-{}", place.worker);
            let thread = thread::Builder::new().name(name).spawn(move || worker::run(receiver))?;
            threads.push(Worker { add, load: Load::default(), thread });
        }
        let worker = &mut threads[place.worker];
        worker.load.all += 1;
        worker.load.feeds += usize::from(has_feed);
        let add = worker.add.clone();
        drop(threads);
        add.send((channel, Box::new(integration))).map_err(|_| io::Error::other("a worker has ended"))?;
        Ok((to_worker, place))
    }

    /// An integration has ended.
    pub(super) fn left(&self, place: WorkerPlace) {
        if let Some(worker) = self.threads.lock().get_mut(place.worker) {
            worker.load.all -= 1;
            worker.load.feeds -= usize::from(place.has_feed);
        }
    }

    /// Takes no more integrations: each thread ends with the last of its own.
    pub(super) fn close(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock()).into_iter().map(|worker| worker.thread).collect()
    }
}

/// Returns the number of the thread that takes one more integration; the next number where that is a new one.
fn choose(loads: &[Load], most: usize, has_feed: bool) -> usize {
    // What has no feed has little to do, but is better off where little is done.
    let of = |load: &Load| if has_feed { (load.feeds, load.all) } else { (load.all, load.feeds) };
    let least = loads.iter().enumerate().min_by_key(|(_, load)| of(load));
    match least {
        Some((number, load)) if of(load).0 == 0 || loads.len() >= most => number,
        _ => loads.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the integrations of each thread, given one after the other: those that begin with `f` have a feed.
    fn spread(all: &str, most: usize) -> String {
        let mut loads: Vec<Load> = Vec::new();
        let mut names: Vec<Vec<&str>> = Vec::new();
        for id in all.split_whitespace() {
            let has_feed = id.starts_with('f');
            let number = choose(&loads, most, has_feed);
            if number == loads.len() {
                loads.push(Load::default());
                names.push(Vec::new());
            }
            loads[number].all += 1;
            loads[number].feeds += usize::from(has_feed);
            names[number].push(id);
        }
        names.iter().map(|names| names.join(" ")).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn feeds_are_spread_over_workers_wherever_they_stand() {
        let cases = [
            ("f1 x1 f2 x2", 2, "f1 x2|x1 f2"),
            ("x1 f1 x2 f2 x3 f3", 3, "x1 f1|x2 f2|x3 f3"),
            ("x1 x2 f1 f2 f3", 2, "x1 f1 f3|x2 f2"),
            ("f1 f2 f3", 1, "f1 f2 f3"),
            ("", 1, ""),
        ];
        for (all, workers, expected) in cases {
            assert_eq!(spread(all, workers), expected, "{all:?}");
        }
    }
}
