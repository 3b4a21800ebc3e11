//! Watches the mapping files of all integrations, once a second, in a task of its own: a share that hangs holds up nothing else.
//!
//! It only looks. Whoever has the service takes what it reports ([`super::Service::take_mapping`]).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::telemetry::targets::SERVICE;
use crate::time::Timestamp;

use super::mapping_files::{self, FileWatch, Next};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// News that may wait; then it looks no further.
const MOST_NEWS: usize = 16;

/// Files of an integration.
pub(super) type WatchedFiles = (Arc<str>, Vec<PathBuf>);

/// What has been seen.
#[derive(Debug)]
pub struct MappingNews {
    /// Of which integration.
    pub integration: Arc<str>,
    /// What.
    pub seen: Seen,
}

/// What has been seen of the files.
#[derive(Debug)]
pub enum Seen {
    /// They have changed, and are still.
    Changed,
    /// One has been away for long.
    Away(PathBuf),
    /// It is back, as it was.
    Back,
}

/// The watch. Dropping this ends it.
#[derive(Debug)]
pub struct MappingWatch {
    files: Arc<Mutex<Vec<WatchedFiles>>>,
    news: mpsc::Receiver<MappingNews>,
    _task: AbortOnDropHandle<()>,
}

impl MappingWatch {
    /// Watches these files, which have just been read.
    pub(super) fn start(files: Vec<WatchedFiles>) -> Self {
        let (sender, news) = mpsc::channel(MOST_NEWS);
        let files = Arc::new(Mutex::new(files));
        let task = tokio::spawn(watch(Arc::clone(&files), sender));
        Self { files, news, _task: AbortOnDropHandle::new(task) }
    }

    /// Watches these from now on. Those that were watched before go on being watched as they are.
    pub(super) fn set(&self, files: Vec<WatchedFiles>) {
        *self.files.lock() = files;
    }

    /// Returns the next news. Nothing is lost where this is given up.
    pub async fn next(&mut self) -> MappingNews {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }
}

async fn watch(files: Arc<Mutex<Vec<WatchedFiles>>>, news: mpsc::Sender<MappingNews>) {
    let mut watched: HashMap<Arc<str>, FileWatch> = HashMap::new();
    let mut looks = tokio::time::interval(EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let wanted = files.lock().clone();
        watched.retain(|id, watch| wanted.iter().any(|(known, files)| known == id && *files == watch.files()));
        let look = tokio::task::spawn_blocking(move || {
            let look = |(id, files): WatchedFiles| {
                let seen = mapping_files::signatures(&files);
                (id, files, seen)
            };
            wanted.into_iter().map(look).collect::<Vec<_>>()
        });
        let seen = match look.await {
            Ok(seen) => seen,
            Err(error) => {
                tracing::error!(target: SERVICE, %error, "mapping files are not watched any more");
                return;
            }
        };
        let now = Timestamp::now();
        for (integration, files, seen) in seen {
            let Some(watch) = watched.get_mut(&integration) else {
                watched.insert(integration, FileWatch::new(files, seen, now));
                continue;
            };
            let seen = match watch.look(seen, now) {
                Next::Wait => continue,
                Next::Read => Seen::Changed,
                Next::Away(file) => Seen::Away(file),
                Next::Back => Seen::Back,
            };
            if news.send(MappingNews { integration, seen }).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watch that nobody follows does not heap up news: the sender waits once so many are there.
    #[test]
    fn a_watch_that_nobody_follows_waits() {
        let (sender, mut news) = mpsc::channel(MOST_NEWS);
        let one = || MappingNews { integration: "a".into(), seen: Seen::Changed };
        let sent = (0..MOST_NEWS + 5).take_while(|_| sender.try_send(one()).is_ok()).count();
        println!("{} news of mapping files, limit {MOST_NEWS}: {sent} wait", MOST_NEWS + 5);
        assert_eq!(sent, MOST_NEWS);
        assert!(news.try_recv().is_ok() && sender.try_send(one()).is_ok(), "there is room again");
    }

    #[tokio::test]
    async fn files_that_change_are_reported() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("users.csv");
        std::fs::write(&file, "a").unwrap();
        let mut watch = MappingWatch::start(vec![("a".into(), vec![file.clone()])]);
        // They may have changed between the start and the first look.
        assert!(matches!(watch.next().await, MappingNews { seen: Seen::Changed, .. }));
        std::fs::write(&file, "ab").unwrap();
        let news = watch.next().await;
        assert!(&*news.integration == "a" && matches!(news.seen, Seen::Changed));
    }
}
