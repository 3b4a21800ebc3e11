//! A new configuration while the service runs: what changes where, and what waits for a restart.
//!
//! Of an integration, layouts, mappings, allow-lists, certificates, thresholds and its name change while its feed goes on.
//! Everything else of it is an end and a start of that integration alone. What all share needs a restart.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::{Config, Integration};
use crate::config::problem::{Origin, Problem};
use crate::integration::command::Control;
use crate::integration::mapping_versions::{Content, Versions};
use crate::integration::restore::{self, Restored};
use crate::journal::store::StoreError;
use crate::mapping::difference::MappingChange;
use crate::sources::rta::forward::passage::PauseRule;
use crate::sources::rta::listener::Bound;
use crate::telemetry::targets::SERVICE;
use crate::tracker::settings::TrackerSettings;
use crate::views::model::{IntegrationIndex, Update};

use super::changes::{self, Change};
use super::preparation::{self, Prepared};
use super::running;
use super::{At, Service, Slot, StartError};

/// How long to wait for the store to answer.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
/// How long Kafka may take to acknowledge what an integration has left when it ends.
const GRACE: Duration = Duration::from_secs(5);

/// What a reload has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Names of the keys that have changed and need a restart.
    pub needs_restart: Vec<String>,
    /// Integrations that were not there before.
    pub added: Vec<Arc<str>>,
    /// Integrations that were ended and started again, with the names of the keys that needed it.
    pub started_again: Vec<(Arc<str>, Vec<String>)>,
    /// Integrations that are no longer in the configuration.
    pub removed: Vec<Arc<str>>,
    /// Integrations whose feed goes on, with the names of the keys that have changed.
    pub changed: Vec<(Arc<str>, Vec<String>)>,
    /// Integrations whose feed goes on and whose mapping is another one.
    pub mappings: Vec<(Arc<str>, MappingChange)>,
}

/// An integration with what becomes of it.
struct Wanted {
    index: IntegrationIndex,
    change: Change,
    integration: Integration,
    prepared: Prepared,
    bound: Option<Bound>,
}

impl Service {
    /// Takes a new configuration. Returns what has happened.
    ///
    /// # Errors
    /// Problems of mapping files, certificates, layouts and ports; then nothing at all is changed.
    pub async fn reload(&mut self, config: Config, file: &Path) -> Result<Reloaded, Vec<Problem>> {
        let mut reloaded =
            Reloaded { needs_restart: changes::needs_restart(&self.context.config, &config), ..Reloaded::default() };
        let mut wanted = self.prepare_all(&config, file)?;
        self.assign(&mut wanted, file).await?;
        self.reloads += 1;
        self.serving.change_access(&config.http);
        self.context.view.set_configuration(config.redacted.clone());
        *self.context.forget_after.lock() = config.privacy.forget_after;
        // Starts that wait are begun anew with what is wanted now.
        self.stop_starts().await;
        let mut begins = Vec::new();
        let mut ends = tokio::task::JoinSet::new();
        for one in wanted {
            let id = Arc::clone(&one.integration.id);
            match &one.change {
                Change::Goes => {
                    self.note_change(&one, &mut reloaded);
                    self.go_on(one, file).await;
                    continue;
                }
                // One that was not at work has begun its start anew, for whatever reason.
                Change::Again(keys) if keys.is_empty() => {}
                Change::Again(keys) => reloaded.started_again.push((id, keys.clone())),
                Change::Begins => reloaded.added.push(id),
                Change::Ends => reloaded.removed.push(id),
            }
            if let Some(slot) = self.slots.get_mut(one.index.get())
                && let At::Running(running) = std::mem::replace(&mut slot.at, At::Ended)
            {
                ends.spawn(running.end(Arc::clone(&self.context), self.context.config.shutdown_grace.min(GRACE)));
            }
            begins.push(one);
        }
        while ends.join_next().await.is_some() {}
        self.begin_all(begins).await;
        self.forget_after(config.privacy.forget_after).await;
        self.check_all_there().await;
        // Whatever the mapping files are, somebody wants them so.
        for id in self.mapping_conditions.keys().cloned().collect::<Vec<_>>() {
            self.set_mapping_condition(&id, None);
        }
        Ok(reloaded)
    }

    /// Compiles, reads and binds everything, and changes nothing.
    fn prepare_all(&self, config: &Config, file: &Path) -> Result<Vec<Wanted>, Vec<Problem>> {
        let changes = changes::changes(&self.slots, config);
        // Their ports are free once they have ended.
        let freed: HashSet<SocketAddr> = changes
            .iter()
            .filter(|(_, change, _)| matches!(change, Change::Again(_) | Change::Ends))
            .filter_map(|(index, ..)| self.slots.get(index.get())?.integration.realtime.as_ref())
            .map(|realtime| realtime.listen)
            .collect();
        let mut problems = Vec::new();
        let mut all = Vec::new();
        for (index, change, integration) in changes {
            if let (Change::Goes | Change::Again(_), Some(slot)) = (&change, self.slots.get(index.get())) {
                problems.extend(changes::missing_files(&slot.integration.mapping, &integration.mapping));
            }
            let is_free = integration.realtime.as_ref().is_some_and(|realtime| !freed.contains(&realtime.listen));
            let bound = match &change {
                Change::Begins | Change::Again(_) if is_free => preparation::bind_for(&integration, file),
                _ => Ok(None),
            };
            // Whether names are read stays as it is until a restart.
            let privacy = &self.context.config.privacy;
            let prepared = preparation::prepare(&integration, privacy, file, &mut problems);
            match (prepared, bound) {
                (Some(prepared), Ok(bound)) => all.push(Wanted { index, change, integration, prepared, bound }),
                (_, bound) => problems.extend(bound.err()),
            }
        }
        if problems.is_empty() { Ok(all) } else { Err(problems) }
    }

    /// Gives the mappings their versions, and writes these down.
    async fn assign(&self, wanted: &mut [Wanted], file: &Path) -> Result<(), Vec<Problem>> {
        let mut configured: Vec<&mut Wanted> = wanted.iter_mut().filter(|one| !one.integration.is_removed).collect();
        let content = |one: &&mut Wanted| (Arc::clone(&one.integration.id), Content::of(&one.prepared.tables));
        let contents: Vec<(Arc<str>, Content)> = configured.iter().map(content).collect();
        let assigned = self.versions_of(contents, file).await?;
        configured.iter_mut().zip(assigned).for_each(|(one, version)| one.prepared.tables.version = version);
        Ok(())
    }

    /// Gives these mappings their versions, and writes the versions down.
    pub(super) async fn versions_of(
        &self,
        contents: Vec<(Arc<str>, Content)>,
        file: &Path,
    ) -> Result<Vec<u64>, Vec<Problem>> {
        let versions = Arc::clone(&self.context.versions);
        let assigned = self.context.publisher.with_store(move |store| {
            Versions::change(&versions, store, |versions, store| {
                let assign = |(id, content): (Arc<str>, Content)| {
                    versions.learn(&id, store.mapping_version(&id)?);
                    Ok(versions.assign(&id, content))
                };
                contents.into_iter().map(assign).collect::<Result<Vec<u64>, StoreError>>()
            })
        });
        let refused = |why: &dyn std::fmt::Display| {
            let message = format!("the versions of the mappings cannot be written down: {why}");
            vec![Problem::error(Origin::File(file.into()), message)]
        };
        let assigned = tokio::task::spawn_blocking(move || assigned.recv_timeout(STORE_PATIENCE)).await;
        assigned
            .map_err(|error| refused(&error))?
            .map_err(|_| refused(&"the store does not answer"))?
            .map_err(|error| refused(&error))
    }

    /// Notes what changes of an integration whose feed goes on.
    fn note_change(&self, wanted: &Wanted, reloaded: &mut Reloaded) {
        let Some(Slot { integration: known, at: At::Running(running) }) = self.slots.get(wanted.index.get()) else {
            return;
        };
        let id = &wanted.integration.id;
        let mut keys = changes::keys_while_running(known, &wanted.integration);
        let before = running.feed.as_ref().map(|feed| &feed.tables);
        if let Some(change) = before.and_then(|before| MappingChange::between(before, &wanted.prepared.tables)) {
            keys.push("mapping".to_owned());
            reloaded.mappings.push((Arc::clone(id), change));
        }
        if !keys.is_empty() {
            reloaded.changed.push((Arc::clone(id), keys));
        }
    }

    /// Changes an integration whose feed goes on.
    async fn go_on(&mut self, wanted: Wanted, file: &Path) {
        let Wanted { index, integration, prepared, .. } = wanted;
        let Some(Slot { integration: known, at: At::Running(running) }) = self.slots.get_mut(index.get()) else {
            return;
        };
        let tables = Arc::new(prepared.tables);
        if known.name != integration.name {
            let _ = self.context.updates.send((index, Update::Name(integration.name.clone())));
        }
        if let (Some(feed), Some(realtime), Some(plan)) = (&mut running.feed, &integration.realtime, &prepared.plan) {
            let before = feed.settings.load();
            // An unchanged layout keeps its plan: another one would begin another snapshot.
            let layout_before = known.realtime.as_ref().map(|realtime| &realtime.layout);
            let is_same = layout_before == Some(&realtime.layout) && known.time_zone == integration.time_zone;
            let plan = if is_same { &before.plan } else { plan };
            let settings = preparation::feed_settings(&integration, realtime, plan, prepared.tls.as_ref());
            feed.settings.store(Arc::new(settings));
            feed.forward.set_rule(PauseRule::of_layout(integration.settings.thresholds.snapshot_idle));
            feed.forward.set_targets(&realtime.forward);
            feed.metrics.tls_expires(prepared.tls.as_ref().map(|files| files.expires));
            for warning in changes::shrunken(&feed.tables, &tables, &integration, file, "taken") {
                tracing::warn!(target: SERVICE, "reload: {}", warning.line());
            }
            feed.tables = Arc::clone(&tables);
        }
        let TrackerSettings { thresholds, .. } = integration.settings;
        *known = integration;
        running.control(Control::Thresholds(thresholds)).await;
        if running.feed.is_some() {
            running.control(Control::Mapping(tables)).await;
        }
    }

    /// Starts integrations that are new or have ended.
    async fn begin_all(&mut self, begins: Vec<Wanted>) {
        let mut all = Vec::new();
        for Wanted { index, integration, prepared, bound, .. } in begins {
            let slot = Slot { integration: integration.clone(), at: At::Ended };
            match self.slots.get_mut(index.get()) {
                Some(known) => *known = slot,
                None => self.slots.push(slot),
            }
            let starting = self.context.starting(integration, index, prepared, bound);
            match self.read(&starting.integration).await {
                Ok(restored) if starting.integration.is_removed && !restored.has_something() => {}
                Ok(restored) => all.push((starting, restored)),
                Err(error) => running::log_failure(&starting.integration.id, &error),
            }
        }
        if let Err(error) = self.start_all(all).await {
            running::log_failure("", &error);
        }
    }

    /// Reads what the store has of an integration.
    async fn read(&self, integration: &Integration) -> Result<Restored, StartError> {
        let failed = |error: &dyn std::fmt::Display| StartError::one(&self.context.file, error.to_string());
        let (id, keeps_events) = (Arc::clone(&integration.id), restore::keeps_events(integration));
        let read = self.context.publisher.with_store(move |store| restore::read(store, &id, keeps_events));
        let read = tokio::task::spawn_blocking(move || read.recv()).await;
        read.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }

    /// Tells the workers after how long people are forgotten.
    async fn forget_after(&self, after: Option<Duration>) {
        for slot in &self.slots {
            if let At::Running(running) = &slot.at {
                running.control(Control::ForgetAfter(after)).await;
            }
        }
    }
}
