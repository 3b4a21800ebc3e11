//! Who may do what, decided from the head of a request alone, before anything else is done with it.
//!
//! * `/health` is open: it says whether the service is well, and nothing else.
//! * `/metrics` is open or needs a token, as `http.metrics` says.
//! * Everything else needs a token with a suitable role, with one exception: this machine reads without one and, while no
//!   token is configured at all, writes too. Anybody with a shell here can read the configuration and send signals anyway.
//!
//! The exception is for a person at this machine. A request over loopback is not theirs if a proxy passed it on (a header
//! says so), or if somebody else's page made their browser send it. Browsers say so in `Sec-Fetch-Site`, even for an image or
//! a link, which has no origin; older ones send a foreign origin or referrer. If the page had its own name resolved to this
//! machine, the host is a name.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, header};

use crate::config::model::{Http, Reading, Role, Token};
use crate::config::secret::SecretHash;

use super::routes;

/// Headers by which proxies say that they passed a request on.
const PASSED_ON: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Header in which a browser says whose page made the request.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The name, in logs and in the audit topic, of a caller without a token on this machine.
pub(super) const LOOPBACK: &str = "loopback";

pub(super) const ADMIN: &[Role] = &[Role::Admin];
pub(super) const EVERYBODY: &[Role] = &Role::ALL;
pub(super) const PLANNING: &[Role] = &[Role::Planner, Role::Admin];
pub(super) const OPERATING: &[Role] = &[Role::Operator, Role::Admin];

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needed {
    /// It is open.
    Nothing,
    /// It is open or needs any token, as `http.metrics` says.
    Metrics,
    /// Reading; one of these roles.
    Reading(&'static [Role]),
    /// Changing something; one of these roles.
    Writing(&'static [Role]),
}

/// A route says what it needs; a method that it does not have is for admins alone. Anybody with a token may learn that a page
/// does not exist (`route` is `None`).
fn needed(method: &Method, route: Option<&str>) -> Needed {
    let is_reading = matches!(*method, Method::GET | Method::HEAD);
    match (route, routes::find(method, route)) {
        (None, _) => Needed::Reading(EVERYBODY),
        (_, Some(route)) => route.needs,
        (_, None) if is_reading => Needed::Reading(ADMIN),
        (_, None) => Needed::Writing(ADMIN),
    }
}

/// The caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The token's name, or [`LOOPBACK`].
    pub(super) name: String,
    /// The token's role; `None` without a token.
    pub(super) role: Option<Role>,
    /// Where the request comes from.
    pub(super) peer: IpAddr,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AccessRefusal {
    /// The request needs a token and has none.
    NoToken {
        /// Why it needs one, and what to do.
        why: &'static str,
    },
    /// Its token is unknown.
    WrongToken,
    /// The role of its token does not allow this.
    Forbidden {
        /// Name of the token.
        name: String,
        /// Its role.
        role: Role,
        /// The roles that allow it.
        needed: &'static [Role],
    },
}

/// Decides whether the request may be answered; returns the caller, where that matters.
///
/// `route` is the pattern that its path matches.
///
/// # Errors
/// Why it is refused.
pub(super) fn decide(
    http: &Http,
    peer: SocketAddr,
    method: &Method,
    route: Option<&str>,
    headers: &HeaderMap,
) -> Result<Option<Caller>, AccessRefusal> {
    let peer = peer.ip().to_canonical();
    let needed = needed(method, route);
    let roles = match needed {
        Needed::Nothing => return Ok(None),
        Needed::Metrics if http.metrics == Reading::Open => return Ok(None),
        Needed::Metrics => EVERYBODY,
        Needed::Reading(roles) | Needed::Writing(roles) => roles,
    };
    if let Some(presented) = headers.get(header::AUTHORIZATION) {
        let token = known(&http.tokens, presented.as_bytes()).ok_or(AccessRefusal::WrongToken)?;
        if !roles.contains(&token.role) {
            return Err(AccessRefusal::Forbidden { name: token.name.clone(), role: token.role, needed: roles });
        }
        return Ok(Some(Caller { name: token.name.clone(), role: Some(token.role), peer }));
    }
    let refused = |why| Err(AccessRefusal::NoToken { why });
    if !peer.is_loopback() {
        return match http.tokens[..] {
            [] => refused("from another machine the API needs a token, and none is configured: add [[http.token]]"),
            _ => refused("from another machine the API needs a token: send it as `Authorization: Bearer SECRET`"),
        };
    }
    if PASSED_ON.iter().any(|name| headers.contains_key(*name)) {
        return refused(
            "a proxy has passed this on, so that it needs a token: send it as `Authorization: Bearer SECRET`",
        );
    }
    if is_of_another_page(headers) {
        return refused("a web page of somebody else's asks, or a host name instead of 127.0.0.1: this needs a token");
    }
    match needed {
        Needed::Writing(_) if !http.tokens.is_empty() => refused(
            "since tokens are configured, a change needs one: --token-file FILE, or `Authorization: Bearer SECRET`",
        ),
        Needed::Reading(_) | Needed::Metrics if http.loopback == Reading::Token => {
            refused("http.loopback is \"token\": send one as `Authorization: Bearer SECRET`")
        }
        _ => Ok(Some(Caller { name: LOOPBACK.to_owned(), role: None, peer })),
    }
}

/// Whether the caller may read the state of the integrations, and so the text of errors.
pub(super) fn may_read_errors(http: &Http, peer: SocketAddr, headers: &HeaderMap) -> bool {
    decide(http, peer, &Method::GET, Some("/api/v1/integrations"), headers).is_ok()
}

/// Returns the token of a header `Bearer SECRET`. Every known one is compared, and each takes the same time.
fn known<'t>(tokens: &'t [Token], header: &[u8]) -> Option<&'t Token> {
    let (scheme, secret) = header.split_at_checked("Bearer ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return None;
    }
    let presented = SecretHash::of(secret.trim_ascii());
    tokens.iter().fold(None, |found, token| if token.hash.is_same(&presented) { Some(token) } else { found })
}

fn is_of_another_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST);
    let is_a_name = |host: &str| {
        let without_port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let name = without_port.map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        !name.eq_ignore_ascii_case("localhost") && name.parse::<IpAddr>().is_err()
    };
    // `null` is the origin of a page that hides it.
    let is_elsewhere = |origin: &str| origin.split_once("://").is_none_or(|(_, origin)| Some(origin) != host);
    let is_linked_from_elsewhere = |url: &str| {
        let end = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
        url.get(..end).is_none_or(is_elsewhere)
    };
    // Of two lines either may be the browser's. Another port of this machine is `same-site`, yet somebody else's page.
    let sites = headers.get_all(SEC_FETCH_SITE).iter().map(|value| value.to_str().unwrap_or("?"));
    host.is_some_and(is_a_name)
        || text(header::ORIGIN).is_some_and(is_elsewhere)
        || text(header::REFERER).is_some_and(is_linked_from_elsewhere)
        || sites.into_iter().any(|site| !matches!(site, "same-origin" | "none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::http_address::HttpAddress;

    const SECRETS: [&str; 4] = ["viewer-secret", "planner-secret", "operator-secret", "admin-secret"];

    fn http(with_tokens: bool, metrics: Reading, loopback: Reading) -> Http {
        let token = |(role, secret): (Role, &str)| Token {
            name: format!("the-{}", role.name()),
            role,
            hash: SecretHash::of(secret.as_bytes()),
        };
        let tokens = if with_tokens { Role::ALL.into_iter().zip(SECRETS).map(token).collect() } else { Vec::new() };
        Http { listen: HttpAddress::Localhost(0), metrics, loopback, tokens }
    }

    /// `ok NAME`, or the kind of the refusal. Headers are `name: value`.
    fn told(http: &Http, peer: &str, request: &str, headers: &[&str]) -> String {
        let (method, route) = request.split_once(' ').unwrap();
        let peer = SocketAddr::new(peer.parse().unwrap(), 40_000);
        let mut map = HeaderMap::new();
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            map.insert(axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        // A path that matches nothing, as the router reports it.
        let route = (route != "none").then_some(route);
        match decide(http, peer, &method.parse().unwrap(), route, &map) {
            Ok(None) => "open".to_owned(),
            Ok(Some(caller)) => format!("ok {}", caller.name),
            Err(AccessRefusal::NoToken { .. }) => "no token".to_owned(),
            Err(AccessRefusal::WrongToken) => "wrong token".to_owned(),
            Err(AccessRefusal::Forbidden { name, .. }) => format!("forbidden {name}"),
        }
    }

    #[test]
    fn from_this_machine_a_token_is_needed_for_changes_once_there_is_one() {
        let none = http(false, Reading::Open, Reading::Open);
        let some = http(true, Reading::Open, Reading::Open);
        let strict = http(true, Reading::Open, Reading::Token);
        let cases = [
            (&none, "GET /api/v1/agents", "ok loopback"),
            (&none, "POST /api/v1/integrations/{id}/pause", "ok loopback"),
            (&none, "DELETE /api/v1/agents", "ok loopback"),
            (&some, "GET /api/v1/agents", "ok loopback"),
            (&some, "HEAD /api/v1/agents", "ok loopback"),
            (&some, "POST /api/v1/integrations/{id}/pause", "no token"),
            (&some, "PUT /api/v1/log-level", "no token"),
            (&strict, "GET /api/v1/agents", "no token"),
            (&strict, "GET /health/ready", "open"),
        ];
        for (http, request, expected) in cases {
            for peer in ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"] {
                assert_eq!(told(http, peer, request, &[]), expected, "{request} from {peer}");
            }
        }
    }

    #[test]
    fn what_comes_over_loopback_from_elsewhere_is_from_elsewhere() {
        let none = http(false, Reading::Open, Reading::Open);
        let cases = [
            ("host: 127.0.0.1:9464", "ok loopback"),
            ("host: [::1]:9464", "ok loopback"),
            ("host: localhost", "ok loopback"),
            ("host: LOCALHOST:9464", "ok loopback"),
            ("host: attacker.example:9464", "no token"),
            ("host: 127.0.0.1.attacker.example", "no token"),
            ("origin: https://attacker.example", "no token"),
            ("origin: null", "no token"),
            ("x-forwarded-for: 10.1.2.3", "no token"),
            ("forwarded: for=10.1.2.3", "no token"),
            ("via: 1.1 proxy", "no token"),
            ("sec-fetch-site: cross-site", "no token"),
            ("sec-fetch-site: same-site", "no token"),
            ("sec-fetch-site: anything", "no token"),
            ("sec-fetch-site: same-origin", "ok loopback"),
            ("sec-fetch-site: none", "ok loopback"),
            ("referer: http://elsewhere.example/page", "no token"),
        ];
        for (header, expected) in cases {
            assert_eq!(told(&none, "127.0.0.1", "GET /api/v1/agents", &[header]), expected, "{header}");
        }
        let own_page = ["host: 127.0.0.1:9464", "origin: http://127.0.0.1:9464"];
        assert_eq!(told(&none, "127.0.0.1", "POST /api/v1/integrations/{id}/pause", &own_page), "ok loopback");
        let own_link =
            ["host: 127.0.0.1:9464", "referer: http://127.0.0.1:9464/a/b?c=/", "sec-fetch-site: same-origin"];
        assert_eq!(told(&none, "127.0.0.1", "GET /api/v1/agents", &own_link), "ok loopback");
    }

    #[test]
    fn a_token_is_told_by_its_secret_and_nothing_else() {
        let some = http(true, Reading::Token, Reading::Open);
        let cases = [
            ("Bearer admin-secret", "ok the-admin"),
            ("bearer  admin-secret ", "ok the-admin"),
            ("Bearer planner-secret", "ok the-planner"),
            ("Bearer viewer-secret", "forbidden the-viewer"),
            ("Bearer admin-secre", "wrong token"),
            ("Bearer admin-secrets", "wrong token"),
            ("Bearer ", "wrong token"),
            ("Bearer", "wrong token"),
            ("Basic admin-secret", "wrong token"),
            ("the-admin", "wrong token"),
        ];
        for (header, expected) in cases {
            for peer in ["10.1.2.3", "127.0.0.1"] {
                let header = format!("authorization: {header}");
                assert_eq!(told(&some, peer, "GET /api/v1/agents", &[&header]), expected, "{header} from {peer}");
            }
        }
        assert_eq!(told(&some, "10.1.2.3", "GET /metrics", &[]), "no token");
        assert_eq!(told(&some, "127.0.0.1", "GET /metrics", &[]), "ok loopback");
        assert_eq!(told(&some, "10.1.2.3", "GET /metrics", &["authorization: Bearer viewer-secret"]), "ok the-viewer");
    }

    #[test]
    fn what_the_table_forgets_is_admins_alone_and_a_page_that_does_not_exist_is_nobodys_secret() {
        let some = http(true, Reading::Open, Reading::Open);
        let cases = [
            (
                "GET /api/v1/forgotten",
                ["forbidden the-viewer", "forbidden the-planner", "forbidden the-operator", "ok the-admin"],
            ),
            (
                "HEAD /health/forgotten",
                ["forbidden the-viewer", "forbidden the-planner", "forbidden the-operator", "ok the-admin"],
            ),
            (
                "POST /api/v1/agents",
                ["forbidden the-viewer", "forbidden the-planner", "forbidden the-operator", "ok the-admin"],
            ),
            (
                "GET /api/v1/integrations/{id}/pause",
                ["forbidden the-viewer", "forbidden the-planner", "forbidden the-operator", "ok the-admin"],
            ),
            ("GET none", ["ok the-viewer", "ok the-planner", "ok the-operator", "ok the-admin"]),
            ("DELETE none", ["ok the-viewer", "ok the-planner", "ok the-operator", "ok the-admin"]),
        ];
        for (request, expected) in cases {
            let told =
                SECRETS.map(|secret| told(&some, "10.1.2.3", request, &[&format!("authorization: Bearer {secret}")]));
            assert_eq!(told, expected, "{request}");
            assert_eq!(super::tests::told(&some, "10.1.2.3", request, &[]), "no token", "{request}");
        }
    }
}
