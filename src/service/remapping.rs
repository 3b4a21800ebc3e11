//! A mapping that changes by its files alone, while everything else stays as it is.
//!
//! Nobody has asked for it, so that it is taken only where it is beyond doubt: a file that cannot be read, has an error or has
//! lost more than half of its rows changes nothing, and is said, in the log and in [`MappingCondition`]. A reload that somebody
//! asks for takes the last of these.

use std::path::Path;
use std::sync::Arc;

use crate::config::model::Integration;
use crate::config::problem::Problem;
use crate::integration::command::Control;
use crate::integration::mapping_versions::Content;
use crate::mapping::difference::MappingChange;
use crate::mapping::tables::MappingTables;
use crate::telemetry::feed_metrics::MappingCondition;
use crate::telemetry::targets::RUN;

use super::changes;
use super::mapping_watch::{MappingNews, MappingWatch, Reading, Seen, Watched};
use super::{At, Running, Service, Slot};

/// Most problems of a file that are logged one by one.
const MOST_LOGGED: usize = 20;

/// Why what was read of the files of an integration is not its mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Untaken {
    condition: MappingCondition,
    problems: Vec<Problem>,
}

impl Untaken {
    const fn new(condition: MappingCondition, problems: Vec<Problem>) -> Self {
        Self { condition, problems }
    }
}

impl Service {
    /// Watches the mapping files. Its news are to be handed to [`Self::take_news`].
    pub fn watch_mappings(&self) -> MappingWatch {
        MappingWatch::start(self.watched(), self.reloads)
    }

    /// Watches those that are in force now, after a reload.
    pub fn watch_again(&self, watch: &MappingWatch) {
        watch.set(self.watched(), self.reloads);
    }

    fn watched(&self) -> Vec<Watched> {
        // One that is being started has read them already, and reads them again once it is at work.
        let is_watched = |slot: &&Slot| !slot.integration.is_removed && matches!(slot.at, At::Running(_));
        let slots = self.slots.iter().filter(is_watched);
        slots.map(|slot| (Arc::clone(&slot.integration.id), slot.integration.mapping.clone())).collect()
    }

    /// Takes what the watch has seen. `file`: of the configuration.
    pub async fn take_news(&mut self, news: MappingNews, watch: &MappingWatch, file: &Path) {
        let MappingNews { integration: id, seen } = news;
        // A reload may have taken it out meanwhile.
        let Some(mapping) = self.watched().into_iter().find_map(|(known, mapping)| (known == id).then_some(mapping))
        else {
            return;
        };
        match seen {
            // Somebody has asked for a reload meanwhile, which may have read what is newer, or otherwise.
            Seen::Read(reading) if reading.reloads != self.reloads => watch.read_soon(id),
            Seen::Read(reading) => match self.take_mapping(&id, *reading, file).await {
                Ok(()) => self.set_mapping_condition(&id, None),
                Err(untaken) => {
                    if untaken.condition == MappingCondition::Refused {
                        watch.read_later(Arc::clone(&id));
                    }
                    self.not_taken(&id, untaken);
                }
            },
            // A reload has named another.
            Seen::Away(away) if !mapping.files().any(|file| *file == away) => {}
            Seen::Away(away) => {
                tracing::warn!(
                    target: RUN, integration = %id, file = %away.display(),
                    "a mapping file is gone: the mapping that was read stays in force; put it back"
                );
                self.set_mapping_condition(&id, Some(Untaken::new(MappingCondition::Gone, Vec::new())));
            }
        }
    }

    /// Takes what was read for an integration, where it is beyond doubt.
    async fn take_mapping(&mut self, id: &Arc<str>, reading: Reading, file: &Path) -> Result<(), Untaken> {
        let Reading { tables, problems, .. } = reading;
        let Some((integration, before)) = self.running_feed(id) else { return Ok(()) };
        let Some(tables) = tables else { return Err(Untaken::new(MappingCondition::Refused, problems)) };
        let mut tables = self.context.config.privacy.tables(tables);
        if tables.has_same_content(&before) {
            return Ok(());
        }
        let shrunken = changes::shrunken(&before, &tables, &integration, file, "not taken");
        if !shrunken.is_empty() {
            return Err(Untaken::new(MappingCondition::Shrunken, shrunken));
        }
        let versions = self.versions_of(vec![(Arc::clone(id), Content::of(&tables))], file).await;
        let versions = versions.map_err(|problems| Untaken::new(MappingCondition::Refused, problems))?;
        tables.version = versions.first().copied().unwrap_or(before.version);
        log_problems(id, &problems);
        if let Some(change) = MappingChange::between(&before, &tables) {
            log_change(id, &change);
        }
        let tables = Arc::new(tables);
        if let Some(running) = self.running_mut(id) {
            if let Some(feed) = &mut running.feed {
                feed.tables = Arc::clone(&tables);
            }
            running.control(Control::Mapping(tables)).await;
        }
        Ok(())
    }

    /// Remembers why what was read is not in force, and says it once.
    fn not_taken(&mut self, id: &Arc<str>, untaken: Untaken) {
        if self.mapping_conditions.get(id) == Some(&untaken) {
            return;
        }
        log_problems(id, &untaken.problems);
        if untaken.condition == MappingCondition::Shrunken {
            tracing::warn!(
                target: RUN, integration = %id,
                "a mapping file has lost more than half of its rows: not taken; `rtalink reload` takes it as it is"
            );
        } else {
            let problems = untaken.problems.iter().filter(|problem| problem.is_error()).count();
            tracing::error!(
                target: RUN, integration = %id, problems,
                "a mapping file has changed and is refused: the mapping that was read before stays in force"
            );
        }
        self.set_mapping_condition(id, Some(untaken));
    }

    /// An integration whose feed is at work, with the mapping in force.
    fn running_feed(&self, id: &str) -> Option<(Integration, Arc<MappingTables>)> {
        let (integration, running) = self.running().find(|(integration, _)| *integration.id == *id)?;
        Some((integration.clone(), Arc::clone(&running.feed.as_ref()?.tables)))
    }

    fn running_mut(&mut self, id: &str) -> Option<&mut Running> {
        let slot = self.slots.iter_mut().find(|slot| *slot.integration.id == *id)?;
        match &mut slot.at {
            At::Running(running) => Some(running),
            At::Starting | At::Ended => None,
        }
    }

    /// Sets what keeps the files of an integration from being its mapping.
    pub(super) fn set_mapping_condition(&mut self, id: &Arc<str>, untaken: Option<Untaken>) {
        let condition = untaken.as_ref().map(|untaken| untaken.condition);
        match untaken {
            Some(untaken) => drop(self.mapping_conditions.insert(Arc::clone(id), untaken)),
            None => drop(self.mapping_conditions.remove(id)),
        }
        if let Some(feed) = self.running_mut(id).and_then(|running| running.feed.as_ref()) {
            feed.metrics.mapping_condition(condition);
        }
        self.show_refusals();
    }
}

/// Logs them, the first ones each.
fn log_problems(integration: &Arc<str>, problems: &[Problem]) {
    let (told, rest) = logged(problems);
    for problem in told {
        if problem.is_error() {
            tracing::error!(target: RUN, %integration, "mapping: {}", problem.line());
        } else {
            tracing::warn!(target: RUN, %integration, "mapping: {}", problem.line());
        }
    }
    if rest > 0 {
        tracing::warn!(target: RUN, %integration, rest, "mapping: more problems, which `rtalink check` lists");
    }
}

/// Returns those that are logged, and how many are not.
fn logged(problems: &[Problem]) -> (&[Problem], usize) {
    let told = problems.get(..MOST_LOGGED).unwrap_or(problems);
    (told, problems.len() - told.len())
}

fn log_change(integration: &Arc<str>, change: &MappingChange) {
    let MappingChange { version, users, activities, .. } = change;
    tracing::info!(
        target: RUN, %integration, version,
        users_added = users.added, users_removed = users.removed, users_changed = users.changed,
        activities_added = activities.added, activities_removed = activities.removed,
        activities_changed = activities.changed,
        "the mapping files have changed: taken"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Origin;

    #[test]
    fn so_many_problems_of_a_changed_list_are_logged() {
        let problems: Vec<Problem> =
            (1..=100).map(|line| Problem::error(Origin::line(Path::new("users.csv"), line), "is wrong")).collect();
        let (told, rest) = logged(&problems);
        println!("100 problems of a list, limit {MOST_LOGGED}: {} are logged, {rest} counted", told.len());
        assert_eq!((told.len(), rest), (MOST_LOGGED, 100 - MOST_LOGGED));
        assert_eq!(logged(&problems[..3]).0.len(), 3);
    }
}
