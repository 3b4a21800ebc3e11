//! `GET /api/v1/status`: how the service is doing, and what to do next.
//!
//! The document is filled from the read model, the ways to Kafka and what is known of the service as a whole; what follows
//! from it is decided in `views::advice`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;

use crate::journal::store;
use crate::kafka::observer::{KafkaCondition, KafkaHealth};
use crate::kafka::{self, PublishHandle};
use crate::telemetry::feed_metrics::FeedCondition;
use crate::telemetry::tally::Tallied;
use crate::time::Timestamp;
use crate::views::advice;
use crate::views::model::{FeedView, IntegrationIndex, IntegrationModel};
use crate::views::service::ServiceView;
use crate::views::status::{IntegrationStatus, KafkaError, KafkaStatus, LastStatus, Status, StoreStatus};

use super::State;
use super::health;
use super::readiness::{Readiness, Trouble};

/// A doubtful snapshot is told of for so long, as by its alert.
const SUSPECT_FOR: Duration = Duration::from_mins(30);
/// So is a port that two senders take from each other.
const FLAPPING_FOR: Duration = Duration::from_mins(10);

pub(super) async fn show(Shared(state): Shared<Arc<State>>) -> Json<Status> {
    Json(status(&state, Timestamp::now()))
}

fn status(state: &State, now: Timestamp) -> Status {
    let (readiness, service) = (&state.readiness, &state.service);
    let sample = readiness.sample();
    let handles = readiness.handles();
    let mut integrations: Vec<IntegrationStatus> =
        state.model.read().iter().map(|integration| of_model(integration, now)).collect();
    for (others, one) in integrations.iter_mut().enumerate() {
        one.started = one.listen.is_none();
        if let Some(handle) = handles.get(IntegrationIndex::after(others)) {
            one.started = true;
            take_handle(one, &handle);
        }
        one.waiting_for = service.awaited_by(&one.id).map(|awaited| awaited.reason);
    }
    let mut status = Status {
        at: now.to_string(),
        started_at: service.started_at().to_string(),
        versions: versions(),
        ready: sample.is_ready(),
        kafka: kafka_status(readiness, service),
        store: store_status(sample.store, service),
        reload_refused_at: service.reload_refused_at().map(|at| at.to_string()),
        integrations,
        ..Status::default()
    };
    advice::conclude(&mut status);
    status
}

fn versions() -> BTreeMap<String, String> {
    let versions = [
        ("rtalink", env!("CARGO_PKG_VERSION").to_owned()),
        ("librdkafka", kafka::library_version()),
        ("sqlite", store::version()),
    ];
    versions.into_iter().map(|(name, version)| (name.to_owned(), version)).collect()
}

fn kafka_status(readiness: &Readiness, service: &ServiceView) -> KafkaStatus {
    let handles = readiness.handles().all();
    let health = handles.iter().map(PublishHandle::health).reduce(KafkaHealth::merge);
    let state = health::kafka_state(health.as_ref()).to_owned();
    let health = health.unwrap_or_default();
    KafkaStatus {
        state,
        brokers_up: health.brokers_up,
        brokers: health.brokers,
        last_acknowledged: health.last_acknowledged.map(|at| at.to_string()),
        last_error: health.last_error.map(|error| KafkaError {
            kind: error.kind,
            message: error.message,
            at: error.at.to_string(),
        }),
        waiting_for: service.awaited().map(|awaited| awaited.reason),
    }
}

fn store_status(store: Result<&'static str, Trouble>, service: &ServiceView) -> StoreStatus {
    let is_well = store.is_ok();
    let (state, error) = match store {
        Ok(state) => (state, None),
        Err(Trouble { state, said }) => (state, said),
    };
    let disk = service.disk();
    StoreStatus {
        state: state.to_owned(),
        is_well,
        error,
        disk_free_bytes: disk.free,
        disk_size_bytes: disk.size,
        log_bytes: disk.log,
        journal_max_bytes: service.journal_max_size(),
    }
}

/// What the read model knows. Nobody waits for the model for longer than this takes: there are only counts in it.
fn of_model(integration: &IntegrationModel, now: Timestamp) -> IntegrationStatus {
    let FeedView { connections, status, figures, last_snapshot_at, .. } = &integration.feed;
    let feed = &integration.feed;
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let is_known = integration.is_known();
    let (unmapped_users, unmapped_activities) = integration.unmapped.counts();
    let Tallied { refused, unreadable, certificate_expires } = integration.tallied();
    let totals = figures.totals;
    let records = [
        ("changed", totals.records.changed),
        ("unchanged", totals.records.unchanged),
        ("invalid", totals.invalid),
        ("skipped", totals.skipped),
        ("markers", totals.markers),
        ("impossibleTimes", totals.impossible_times),
    ];
    IntegrationStatus {
        id: integration.id.to_string(),
        name: integration.name.clone(),
        removed: integration.is_removed,
        listen: integration.listen.map(|address| address.to_string()),
        layout: integration.layout.clone(),
        peer: figures.peer.as_deref().map(str::to_owned),
        connected_at: text(feed.connected_at),
        disconnected_at: text(feed.disconnected_at),
        connections: *connections,
        last_record_at: text(figures.last_record_at),
        last_complete_snapshot_at: text(*last_snapshot_at),
        period_seconds: feed.period.map(|period| period.as_secs_f64()),
        clock_skew_seconds: feed.clock_skew_seconds,
        agents: is_known.then_some(integration.agents.len()),
        agents_logged_in: is_known.then_some(figures.logged_in),
        unmapped_users,
        unmapped_activities,
        mapping_version: integration.mapping_version,
        records: records.map(|(name, count)| (name.to_owned(), count)).into(),
        unreadable,
        refused,
        complete_snapshots: totals.complete_snapshots,
        incomplete_snapshots: totals.incomplete_snapshots,
        conditions: conditions(feed, now),
        last_status: status
            .as_ref()
            .map(|status| LastStatus { kind: status.event.kind.name().to_owned(), at: status.event.at.to_string() }),
        journal_full: feed.is_journal_full,
        certificate_expires_at: text(certificate_expires),
        ..IntegrationStatus::default()
    }
}

/// What is wrong with the feed, and was a moment ago where that shows only at a moment.
fn conditions(feed: &FeedView, now: Timestamp) -> Vec<String> {
    let lasting = FeedCondition::ALL.iter().zip(feed.conditions).map(|(condition, lasts)| (condition.label(), lasts));
    let was = |at: Option<Timestamp>, within| at.is_some_and(|at| now.since(at) < within);
    let others = [
        ("link_down", feed.is_link_down),
        ("stale", feed.stale_agents.is_some()),
        ("suspect", was(feed.suspect_at, SUSPECT_FOR)),
        ("flapping", was(feed.flapping_at, FLAPPING_FOR)),
    ];
    lasting.chain(others).filter(|(_, lasts)| *lasts).map(|(name, _)| name.to_owned()).collect()
}

/// What the way to Kafka knows.
fn take_handle(one: &mut IntegrationStatus, handle: &PublishHandle) {
    let health = handle.health();
    let lasting = KafkaCondition::ALL.iter().zip(health.conditions).filter(|(_, lasts)| *lasts);
    one.conditions.extend(lasting.map(|(condition, _)| condition.label().to_owned()));
    one.kafka_connected = health.connected;
    one.superseded_by = health.superseded_by.map(|owner| owner.to_string());
    one.paused = handle.is_paused();
    one.pending_messages = handle.pending();
    one.oldest_seconds = handle.oldest_age().as_secs_f64();
    one.journal_bytes = handle.lane().stored_bytes();
}
