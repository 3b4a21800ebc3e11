//! Checks across integrations: ids and ports.

use std::net::SocketAddr;

use super::forward;
use super::integration::WrittenIntegration;
use super::problem::{Problem, Problems};

/// Most integrations of one service. Each has a port, a thread and a producer of its own.
pub(super) const MOST_INTEGRATIONS: usize = 100;

/// Ids and ports must be unique; `http` takes one, too.
pub(super) fn check(integrations: &[WrittenIntegration], http: SocketAddr, problems: &Problems) {
    if let Some(one_more) = integrations.get(MOST_INTEGRATIONS) {
        let message = format!("there are {} integrations, at most {MOST_INTEGRATIONS} can be", integrations.len());
        problems.add(Problem::error(one_more.id_origin.clone(), message).hint("let a second service take the others"));
    }
    forward::check_loops(integrations, problems);
    for (index, written) in integrations.iter().enumerate() {
        let earlier = &integrations[..index];
        let id = &written.integration.id;
        if let Some(other) = earlier.iter().find(|other| !id.is_empty() && other.integration.id == *id) {
            let message = format!("id: {id:?} is taken by another integration ({})", other.id_origin);
            problems.missing(Problem::error(written.id_origin.clone(), message).hint("ids are unique"));
        }
        let Some(listen) = written.listen else { continue };
        let same_port = earlier.iter().find(|other| other.listen.is_some_and(|other| collide(other, listen)));
        let taker = same_port.map(|other| format!("integration {:?}", other.integration.id)).or_else(|| {
            let is_http = collide(http, listen);
            is_http.then(|| "http.listen".to_owned())
        });
        if let Some(taker) = taker {
            let message = format!("port: {} is taken by {taker}", listen);
            problems.missing(Problem::error(written.port_origin.clone(), message).hint("each feed has its own port"));
        }
    }
}

/// Whether one of two listeners would find its port in use. An unspecified address takes the port of every address.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_address = one.ip() == other.ip()
        || (one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4()))
        || (other.ip().is_unspecified() && (other.is_ipv6() || one.is_ipv4()));
    one.port() != 0 && one.port() == other.port() && same_address
}
