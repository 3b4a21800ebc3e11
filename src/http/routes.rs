//! Every route, and everything that is to be said of it: one row each.

use std::sync::Arc;

use axum::http::{Method, Uri};
use axum::routing::{MethodFilter, MethodRouter, on};

use super::access::{ADMIN, EVERYBODY, Needed, OPERATING, PLANNING};
use super::audit::{self, Deed};
use super::{
    State, agents, forget, health, integrations, log_level, metrics, publishing, reload, root, status, support,
    unmapped,
};

/// What a request takes of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Little; whoever watches the service has places of their own.
    Watching,
    /// What most requests take.
    Usual,
    /// Its answer can be as large as the table of agents.
    Table,
}

/// A route.
pub(super) struct HttpRoute {
    pub(super) method: Method,
    /// The pattern of its path.
    pub(super) path: &'static str,
    pub(super) handler: fn(MethodFilter) -> MethodRouter<Arc<State>>,
    pub(super) needs: Needed,
    pub(super) load: Load,
    /// What is recorded of a request with that address and body.
    pub(super) deed: fn(&Uri, &[u8]) -> Option<Deed>,
}

/// All of them.
pub(super) static ROUTES: [HttpRoute; 16] = [
    HttpRoute {
        method: Method::GET,
        path: "/",
        handler: |method| on(method, root::show),
        needs: Needed::Reading(EVERYBODY),
        load: Load::Usual,
        deed: audit::nothing,
    },
    HttpRoute {
        method: Method::GET,
        path: "/metrics",
        handler: |method| on(method, metrics),
        needs: Needed::Metrics,
        load: Load::Watching,
        deed: audit::nothing,
    },
    HttpRoute {
        method: Method::GET,
        path: "/health/live",
        handler: |method| on(method, health::live),
        needs: Needed::Nothing,
        load: Load::Watching,
        deed: audit::nothing,
    },
    HttpRoute {
        method: Method::GET,
        path: "/health/ready",
        handler: |method| on(method, health::ready),
        needs: Needed::Nothing,
        load: Load::Watching,
        deed: audit::nothing,
    },
    HttpRoute {
        method: Method::GET,
        path: "/api/v1/agents",
        handler: |method| on(method, agents::list),
        needs: Needed::Reading(PLANNING),
        load: Load::Table,
        deed: audit::look_at_agent,
    },
    HttpRoute {
        method: Method::GET,
        path: "/api/v1/configuration",
        handler: |method| on(method, support::configuration),
        needs: Needed::Reading(OPERATING),
        load: Load::Usual,
        deed: audit::nothing,
    },
    HttpRoute {
        method: Method::POST,
        path: "/api/v1/forget",
        handler: |method| on(method, forget::forget),
        needs: Needed::Writing(ADMIN),
        load: Load::Usual,
        deed: audit::forget,
    },
    HttpRoute {
        method: Method::GET,
        path: "/api/v1/integrations",
        handler: |method| on(method, integrations::list),
        needs: Needed::Reading(EVERYBODY),
        load: Load::Usual,
        deed: audit::nothing,
    },
    HttpRoute {
        method: Method::POST,
        path: "/api/v1/integrations/{id}/pause",
        handler: |method| on(method, publishing::pause),
        needs: Needed::Writing(OPERATING),
        load: Load::Usual,
        deed: audit::pause,
    },
    HttpRoute {
        method: Method::POST,
        path: "/api/v1/integrations/{id}/resume",
        handler: |method| on(method, publishing::resume),
        needs: Needed::Writing(OPERATING),
        load: Load::Usual,
        deed: audit::resume,
    },
    HttpRoute {
        method: Method::GET,
        path: "/api/v1/log",
        handler: |method| on(method, support::log),
        needs: Needed::Reading(OPERATING),
        load: Load::Usual,
        deed: audit::nothing,
    },
    HttpRoute {
        method: Method::GET,
        path: "/api/v1/log-level",
        handler: |method| on(method, log_level::get),
        needs: Needed::Reading(OPERATING),
        load: Load::Usual,
        deed: audit::nothing,
    },
    HttpRoute {
        method: Method::PUT,
        path: "/api/v1/log-level",
        handler: |method| on(method, log_level::put),
        needs: Needed::Writing(OPERATING),
        load: Load::Usual,
        deed: audit::log_level,
    },
    HttpRoute {
        method: Method::POST,
        path: "/api/v1/reload",
        handler: |method| on(method, reload::reload),
        needs: Needed::Writing(OPERATING),
        load: Load::Usual,
        deed: audit::reload,
    },
    HttpRoute {
        method: Method::GET,
        path: "/api/v1/status",
        handler: |method| on(method, status::show),
        needs: Needed::Reading(EVERYBODY),
        load: Load::Usual,
        deed: audit::nothing,
    },
    HttpRoute {
        method: Method::GET,
        path: "/api/v1/unmapped",
        handler: |method| on(method, unmapped::list),
        needs: Needed::Reading(PLANNING),
        load: Load::Usual,
        deed: audit::nothing,
    },
];

/// The route of a request whose path matches that pattern. HEAD is answered as GET is, without the body.
pub(super) fn find(method: &Method, path: Option<&str>) -> Option<&'static HttpRoute> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    ROUTES.iter().find(|route| route.method == *method && Some(route.path) == path)
}

/// All of them, for somebody who has asked for another.
pub(super) fn named() -> String {
    let names: Vec<String> = ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    names.join(", ")
}
