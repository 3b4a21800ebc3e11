//! The few lines of HTTP that the tests need, and the Prometheus exposition as numbers.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// `GET path`.
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    try_get(address, path).expect("HTTP is served")
}

/// `GET path` as somebody from another machine asks, without a token: through a proxy, which says so.
pub(crate) fn get_from_elsewhere(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path}"), "X-Forwarded-For: 10.1.2.3\r\n", "").expect("HTTP is served")
}

/// `POST path`, without a body.
pub(crate) fn post(address: SocketAddr, path: &str) -> Answer {
    try_post(address, path, "").expect("HTTP is served")
}

/// `POST path` with a body, where somebody may die while answering.
pub(crate) fn try_post(address: SocketAddr, path: &str, body: &str) -> Option<Answer> {
    ask(address, &format!("POST {path}"), "", body)
}

/// `GET path` where nobody may answer yet.
pub(crate) fn try_get(address: SocketAddr, path: &str) -> Option<Answer> {
    ask(address, &format!("GET {path}"), "", "")
}

fn ask(address: SocketAddr, what: &str, headers: &str, body: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    // HTTP/1.0: an answer in one piece, and the end of the connection is its end.
    let length = body.len();
    write!(stream, "{what} HTTP/1.0\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    // Whoever dies while answering has not answered.
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let content_type = headers.filter(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| value);
    Some(Answer { status, content_type: content_type.collect(), body: body.to_owned() })
}

/// Sum of all series of that name whose labels contain `labels`; 0 where there is none.
pub(crate) fn sum(exposition: &str, name: &str, labels: &str) -> f64 {
    let is_wanted = |series: &str| {
        let (found, rest) = series.split_once('{').unwrap_or((series, ""));
        found == name && rest.contains(labels)
    };
    series(exposition).iter().filter(|(series, _)| is_wanted(series)).map(|(_, value)| value).sum()
}

/// Values by series, a series being `name{label="value",…}` as it stands in the exposition.
pub(crate) fn series(exposition: &str) -> BTreeMap<String, f64> {
    let samples = exposition.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
            (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line:?}")))
        })
        .collect()
}
