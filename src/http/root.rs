//! `GET /`: what is there, as a page for browsers, as text for people with `curl`, as JSON where that is asked for.
//!
//! It is made of the table of routes, so that it lacks none; nothing in it depends on the service.

use std::fmt::Write as _;

use axum::Json;
use axum::http::{HeaderMap, Method, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use super::routes::{HttpRoute, ROUTES};

/// What each of them gives.
const GIVES: [(&str, &str); 14] = [
    ("/", "this page"),
    ("/metrics", "metrics for Prometheus"),
    ("/health/live", "whether the process answers"),
    ("/health/ready", "whether feeds are taken and kept"),
    ("/api/v1/status", "how everything is, and what to do next; `rtalink status` shows it"),
    ("/api/v1/integrations", "how each feed stands"),
    ("/api/v1/agents", "the last event of every agent"),
    ("/api/v1/unmapped", "users and activities that nobody has mapped"),
    ("/api/v1/log", "the last lines of the log"),
    ("/api/v1/configuration", "the configuration, without secrets"),
    ("/api/v1/log-level", "what is logged; PUT changes it"),
    ("/api/v1/integrations/{id}/pause", "stops publishing an integration; resume goes on"),
    ("/api/v1/forget", "forgets a person"),
    ("/api/v1/reload", "reads configuration and mapping files again"),
];

/// The forms that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Text,
    Json,
}

pub(super) async fn show(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match form(accept) {
        Form::Html => Html(html()).into_response(),
        Form::Text => text().into_response(),
        Form::Json => Json(document()).into_response(),
    }
}

/// Returns the form that is wanted most; text where all are the same.
fn form(accept: &str) -> Form {
    let mut wanted = (0.0, Form::Text);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let form = match parts.next().unwrap_or_default() {
            "text/html" | "application/xhtml+xml" => Form::Html,
            "text/plain" => Form::Text,
            "application/json" => Form::Json,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        if quality > wanted.0 {
            wanted = (quality, form);
        }
    }
    wanted.1
}

fn gives(route: &HttpRoute) -> &'static str {
    GIVES.iter().find(|(path, _)| *path == route.path).map_or("", |(_, gives)| gives)
}

fn text() -> String {
    let mut text = "rtalink: Avaya CMS agent states to Kafka\n\n".to_owned();
    for route in &ROUTES {
        // Writing to a string cannot fail.
        let line = format!("{:<4} {:<33} {}", route.method.as_str(), route.path, gives(route));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text + "\nWho may do what: docs/http.md\n"
}

fn html() -> String {
    let mut rows = String::new();
    for route in &ROUTES {
        let HttpRoute { method, path, .. } = route;
        let is_page = *method == Method::GET;
        let path = if is_page { format!("<a href=\"{path}\">{path}</a>") } else { (*path).to_owned() };
        let _ = writeln!(rows, "<tr><td>{method}</td><td>{path}</td><td>{}</td></tr>", gives(route));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>rtalink</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<h1>rtalink</h1>\n<p>Avaya CMS agent states to Kafka</p>\n\
         <table>\n{rows}</table>\n<p>Who may do what: docs/http.md</p>\n</html>\n"
    )
}

fn document() -> Value {
    let page =
        |route: &HttpRoute| json!({ "method": route.method.as_str(), "path": route.path, "gives": gives(route) });
    json!({ "name": "rtalink", "pages": ROUTES.iter().map(page).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_is_wanted_most() {
        let cases = [
            ("", Form::Text),
            ("*/*", Form::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Form::Html),
            ("application/json", Form::Json),
            ("application/json;q=0.5, text/html", Form::Html),
            ("text/html;q=0.1, application/json; q=0.2", Form::Json),
            ("text/plain, text/html", Form::Text),
            ("application/json;q=0", Form::Text),
            ("image/png", Form::Text),
        ];
        for (accept, expected) in cases {
            assert_eq!(form(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn what_is_said_to_be_there_is_and_every_page_that_can_be_read_is_explained() {
        for (path, _) in GIVES {
            assert!(ROUTES.iter().any(|route| route.path == path), "there is no {path}");
        }
        for route in ROUTES.iter().filter(|route| route.method == Method::GET) {
            assert!(!gives(route).is_empty(), "{}", route.path);
        }
        let text = text();
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
        for route in &ROUTES {
            assert!(text.contains(route.path) && html().contains(route.path), "{}", route.path);
        }
    }
}
