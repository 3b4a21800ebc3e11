//! Watches the mapping files of all integrations, once a second, and reads what has changed, in a task of its own: a share that
//! hangs holds up the lists of the others, and nothing else.
//!
//! It only looks and reads. Whoever has the service takes what it reports ([`super::Service::take_news`]).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::config::mapping;
use crate::config::model::Mapping;
use crate::config::problem::Problem;
use crate::mapping::tables::MappingTables;
use crate::telemetry::targets::SERVICE;
use crate::time::Timestamp;

use super::mapping_files::{self, FileWatch, Next};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// News that may wait, each with lists of up to 64 MiB; then it looks no further.
const MOST_NEWS: usize = 2;

/// A mapping whose files are watched, by its integration.
pub(super) type Watched = (Arc<str>, Mapping);

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
    /// They were read.
    Read(Box<Reading>),
    /// One has been away for long.
    Away(PathBuf),
}

/// What was read of the files of a mapping.
#[derive(Debug)]
pub struct Reading {
    /// After how many reloads.
    pub reloads: u64,
    /// What they say; `None` where they are refused.
    pub tables: Option<MappingTables>,
    /// Errors and remarks.
    pub problems: Vec<Problem>,
}

/// The watch. Dropping this ends it.
#[derive(Debug)]
pub struct MappingWatch {
    shared: Arc<Shared>,
    news: mpsc::Receiver<MappingNews>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What is watched, after how many reloads.
    watched: Mutex<(Vec<Watched>, u64)>,
    /// Integrations for which what was read is not in force, and when it is to be read again.
    not_taken: Mutex<Vec<(Arc<str>, Again)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Soon,
    Later,
}

impl MappingWatch {
    /// Watches the files of these mappings, which have just been read.
    pub(super) fn start(watched: Vec<Watched>, reloads: u64) -> Self {
        let (sender, news) = mpsc::channel(MOST_NEWS);
        let shared = Arc::new(Shared { watched: Mutex::new((watched, reloads)), ..Shared::default() });
        let task = tokio::spawn(watch(Arc::clone(&shared), sender));
        Self { shared, news, _task: AbortOnDropHandle::new(task) }
    }

    /// Watches these from now on. Those that were watched before go on being watched as they are.
    pub(super) fn set(&self, watched: Vec<Watched>, reloads: u64) {
        *self.shared.watched.lock() = (watched, reloads);
    }

    /// What was read for an integration cannot be in force: it is read again after a while.
    pub(super) fn read_later(&self, integration: Arc<str>) {
        self.shared.not_taken.lock().push((integration, Again::Later));
    }

    /// What was read for an integration is out of date: it is read again.
    pub(super) fn read_soon(&self, integration: Arc<str>) {
        self.shared.not_taken.lock().push((integration, Again::Soon));
    }

    /// Returns the next news. Nothing is lost where this is given up.
    pub async fn next(&mut self) -> MappingNews {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }
}

async fn watch(shared: Arc<Shared>, news: mpsc::Sender<MappingNews>) {
    let mut files: HashMap<Arc<str>, FileWatch> = HashMap::new();
    let mut looks = tokio::time::interval(EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let begin = Instant::now();
    let now = || Timestamp::from_millis(i64::try_from(begin.elapsed().as_millis()).unwrap_or(i64::MAX));
    loop {
        looks.tick().await;
        let (wanted, reloads) = shared.watched.lock().clone();
        files.retain(|id, watch| {
            wanted.iter().any(|(known, mapping)| known == id && mapping.files().eq(watch.files().iter()))
        });
        for (id, again) in std::mem::take(&mut *shared.not_taken.lock()) {
            files.entry(id).and_modify(|watch| match again {
                Again::Soon => watch.has_changed_meanwhile(),
                Again::Later => watch.read_again(now()),
            });
        }
        for (integration, mapping) in wanted {
            let looked = tokio::task::spawn_blocking(move || {
                let seen = mapping_files::signatures(mapping.files());
                (mapping, seen)
            });
            let Ok((mapping, seen)) = looked.await.inspect_err(|error| log_end(&error)) else { return };
            let Some(watch) = files.get_mut(&integration) else {
                let paths = mapping.files().cloned().collect();
                files.insert(integration, FileWatch::new(paths, seen, now()));
                continue;
            };
            let seen = match watch.look(seen.clone(), now()) {
                Next::Wait => continue,
                Next::Away(file) => Seen::Away(file),
                Next::Read => {
                    let read = tokio::task::spawn_blocking(move || read(&mapping, &seen, reloads));
                    match read.await.inspect_err(|error| log_end(&error)) {
                        Ok(Some(reading)) => Seen::Read(Box::new(reading)),
                        Ok(None) => {
                            watch.has_changed_meanwhile();
                            continue;
                        }
                        Err(_) => return,
                    }
                }
            };
            if news.send(MappingNews { integration, seen }).await.is_err() {
                return;
            }
        }
    }
}

fn log_end(error: &dyn std::fmt::Display) {
    tracing::error!(target: SERVICE, %error, "mapping files are not watched any more");
}

/// Reads the files. `None` where they are no longer what was seen.
fn read(mapping: &Mapping, seen: &[Option<mapping_files::Signature>], reloads: u64) -> Option<Reading> {
    let mut problems = Vec::new();
    let tables = mapping::check(mapping, &mut problems);
    (mapping_files::signatures(mapping.files()) == seen).then_some(Reading { reloads, tables, problems })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::mapping::tables::IdentifyBy;

    fn mapping(file: &Path) -> Mapping {
        Mapping {
            identify_by: IdentifyBy::LoginId,
            time_zone: "UTC".to_owned(),
            users: Some(file.to_owned()),
            names: None,
            activities: None,
            default_activity: (String::new(), String::new()),
        }
    }

    fn write(file: &Path, users: usize) {
        let rows: String = (0..users).map(|user| format!("{user},E{user},A\n")).collect();
        std::fs::write(file, format!("external_user,employee_id,employee_name\n{rows}")).unwrap();
    }

    fn users(news: &MappingNews) -> usize {
        match &news.seen {
            Seen::Read(reading) => reading.tables.as_ref().map_or(0, |tables| tables.users.len()),
            Seen::Away(_) => 0,
        }
    }

    /// A watch that nobody follows heaps up no news, and loses none.
    #[tokio::test(start_paused = true)]
    async fn a_watch_that_nobody_follows_waits() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("users.csv");
        write(&file, 1);
        let all: Vec<Watched> = (0..MOST_NEWS + 3).map(|number| (number.to_string().into(), mapping(&file))).collect();
        let mut watch = MappingWatch::start(all.clone(), 0);
        tokio::time::sleep(Duration::from_secs(30)).await;
        let waiting = watch.news.len();
        println!("{} news of mapping files, limit {MOST_NEWS}: {waiting} wait", all.len());
        assert_eq!(waiting, MOST_NEWS);
        for (integration, _) in all {
            assert_eq!(watch.next().await.integration, integration);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn files_that_change_are_read_and_those_that_are_not_taken_are_read_again() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("users.csv");
        write(&file, 1);
        let mut watch = MappingWatch::start(vec![("a".into(), mapping(&file))], 0);
        // They may have changed between the start and the first look.
        assert_eq!(users(&watch.next().await), 1);
        write(&file, 2);
        assert_eq!(users(&watch.next().await), 2);
        let begin = Instant::now();
        watch.read_later("a".into());
        assert_eq!(users(&watch.next().await), 2);
        assert!(begin.elapsed() >= mapping_files::AGAIN, "{:?}", begin.elapsed());
        let begin = Instant::now();
        watch.read_soon("a".into());
        assert_eq!(users(&watch.next().await), 2);
        assert!(begin.elapsed() < mapping_files::AGAIN, "{:?}", begin.elapsed());
    }
}
