//! CPU time of processes and their threads, from /proc.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What Linux counts in: a hundredth of a second on every architecture that the service is built for.
const TICK: Duration = Duration::from_millis(10);

/// CPU time that a process has used so far, and each kind of its threads, without the number at the end of a name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) whole: Duration,
    pub(crate) threads: BTreeMap<String, Duration>,
}

impl Cpu {
    /// Reads it.
    pub(crate) fn of(process: u32) -> Self {
        let folder = format!("/proc/{process}");
        let mut threads: BTreeMap<String, Duration> = BTreeMap::new();
        for thread in fs::read_dir(format!("{folder}/task")).unwrap() {
            // It may have ended since.
            let Some((name, used)) = thread.ok().and_then(|thread| used(&thread.path())) else { continue };
            let kind = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
            *threads.entry(kind).or_default() += used;
        }
        Self { whole: used(Path::new(&folder)).unwrap().1, threads }
    }

    /// Returns what was used since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let of = |(name, used): (&String, &Duration)| {
            (name.clone(), used.saturating_sub(before.threads.get(name).copied().unwrap_or_default()))
        };
        Self { whole: self.whole.saturating_sub(before.whole), threads: self.threads.iter().map(of).collect() }
    }
}

/// Returns name and CPU time of a process or thread.
fn used(folder: &Path) -> Option<(String, Duration)> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some((name.to_owned(), TICK * (ticks(11)? + ticks(12)?)))
}
