//! `/api/v1/agents`: the current table, one entry per agent in the form of the `current` topic.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::contract;
use crate::kafka::encode::Encoder;
use crate::mapping::spelling;
use crate::views::model::{AgentView, IntegrationModel};
use crate::wire::states::Mode;

use super::{State, not_restored, problem};

/// The query of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    pub(super) integration: Option<String>,
    mode: Option<String>,
    pub(super) login_id: Option<String>,
}

pub(super) async fn list(Shared(state): Shared<Arc<State>>, query: Result<Query<Filter>, QueryRejection>) -> Response {
    let filter = match query {
        Ok(Query(filter)) => filter,
        Err(rejection) => return problem(rejection.status(), rejection.body_text()),
    };
    let mode = match filter.mode.as_deref().map(|name| Mode::from_name(name).ok_or(name)) {
        None => None,
        Some(Ok(mode)) => Some(mode),
        Some(Err(name)) => {
            let modes = Mode::ALL.map(Mode::name).join(", ");
            return problem(StatusCode::BAD_REQUEST, format!("unknown mode {name:?}: expected one of {modes}"));
        }
    };
    let chosen = match choose(&state, filter.integration.as_deref(), filter.login_id.as_deref(), mode) {
        Ok(chosen) => chosen,
        Err(NotChosen::NoSuchIntegration) => {
            return problem(StatusCode::NOT_FOUND, "no such integration: see /api/v1/integrations");
        }
        Err(NotChosen::NotRestored) => return not_restored(),
    };
    let format = state.format;
    match tokio::task::spawn_blocking(move || to_json(&chosen, format)).await {
        Ok(Ok(body)) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Ok(Err(error)) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

type Chosen = Vec<(Arc<str>, Vec<Arc<AgentView>>)>;

enum NotChosen {
    NoSuchIntegration,
    NotRestored,
}

fn choose(
    state: &State,
    integration: Option<&str>,
    login_id: Option<&str>,
    mode: Option<Mode>,
) -> Result<Chosen, NotChosen> {
    let integrations = state.model.read();
    if let Some(wanted) = integration
        && !integrations.iter().any(|known| *known.id == *wanted)
    {
        return Err(NotChosen::NoSuchIntegration);
    }
    let wanted = integrations.iter().filter(|known| integration.is_none_or(|wanted| *known.id == *wanted));
    // What they are doing is no longer known.
    let wanted = wanted.filter(|known| !known.is_removed);
    // A table with only some of a site's people is not a table either.
    if !wanted.clone().all(IntegrationModel::is_known) {
        return Err(NotChosen::NotRestored);
    }
    let agents = |known: &IntegrationModel| {
        let all = known.agents.values();
        all.filter(|entry| mode.is_none_or(|mode| entry.published.0.state.mode == mode))
            .filter(|entry| login_id.is_none_or(|wanted| spelling::is_same(&entry.published.0.login_id, wanted)))
            .cloned()
            .collect()
    };
    Ok(wanted.map(|known| (Arc::clone(&known.id), agents(known))).collect())
}

fn to_json(chosen: &Chosen, format: crate::config::model::Format) -> Result<Vec<u8>, contract::JsonError> {
    let mut body = b"{\"agents\":[".to_vec();
    for (id, agents) in chosen {
        let encoder = Encoder::new(Arc::clone(id), format);
        for entry in agents {
            let (event, annotation) = &entry.published;
            if body.last() == Some(&b'}') {
                body.push(b',');
            }
            let mut message = encoder.event(event, annotation)?;
            if entry.is_restored {
                message.event_id.clear();
            }
            body.extend(contract::message_to_json(contract::AGENT_STATE_EVENT, &message)?);
        }
    }
    body.extend_from_slice(b"]}");
    Ok(body)
}
