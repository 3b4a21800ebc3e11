//! `forward` of `[integration.realtime]`: where every byte of a feed goes besides.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::integration::WrittenIntegration;
use super::problem::{Problem, Problems};
use super::reader::{Slot, TableReader};
use super::values;

/// Most targets of one feed.
pub(super) const MOST_TARGETS: usize = 8;

/// Reads the targets: each once, in the order of the list.
pub(super) fn read(table: &TableReader<'_>) -> Vec<Arc<str>> {
    let targets: Vec<Arc<str>> = table.or("forward", Vec::new(), values::list(target));
    let Some(slot) = table.slot("forward") else { return targets };
    if targets.len() > MOST_TARGETS {
        slot.error::<()>(
            format!("has {} targets, at most {MOST_TARGETS} can be", targets.len()),
            Some("let one of them forward to the others".to_owned()),
        );
    }
    if let Some(twice) = targets.iter().enumerate().find(|(index, target)| targets[..*index].contains(target)) {
        slot.error::<()>(format!("{:?} is there twice", twice.1), Some("name each target once".to_owned()));
    }
    targets
}

fn target(slot: Slot<'_>) -> Option<Arc<str>> {
    let text = values::filled_text(slot)?;
    let text = text.trim();
    let expected =
        "a target as \"host:port\", such as \"10.1.2.4:7001\", \"cloudlink.example:7001\" or \"[2001:db8::4]:7001\"";
    let Some((host, port)) = split(text) else { return slot.wrong(expected, None) };
    if port == 0 {
        return slot
            .wrong(expected, Some("the port is the one that the other tool listens on, from 1 to 65535".into()));
    }
    if is_here(host).is_some_and(|address| address.is_unspecified()) {
        let hint = format!("for this machine, write \"127.0.0.1:{port}\"");
        return slot.error(format!("{text:?} is where one listens, not where one connects to"), Some(hint));
    }
    Some(text.into())
}

/// Whether it is a target that can be dialled.
pub(super) fn is_target(text: &str) -> bool {
    split(text).is_some_and(|(host, port)| port > 0 && is_here(host).is_none_or(|address| !address.is_unspecified()))
}

/// Host and port of a target; `None` where it is not one.
fn split(target: &str) -> Option<(&str, u16)> {
    let (host, port) = target.rsplit_once(':')?;
    let port = port.bytes().all(|digit| digit.is_ascii_digit()).then(|| port.parse().ok())??;
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        address.parse::<std::net::Ipv6Addr>().ok()?;
        return Some((host, port));
    }
    let is_name = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && !host.starts_with('-');
    is_name.then_some((host, port))
}

/// Returns the address of a host that is surely this machine; names but `localhost` are looked up when they are dialled.
fn is_here(host: &str) -> Option<IpAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address =
        if bare.eq_ignore_ascii_case("localhost") { Some(IpAddr::from([127, 0, 0, 1])) } else { bare.parse().ok() };
    address.map(|address| address.to_canonical()).filter(|address| address.is_loopback() || address.is_unspecified())
}

/// Whether a target is certainly this port.
fn is_port(target: &str, listen: SocketAddr) -> bool {
    let Some((host, port)) = split(target) else { return false };
    if port != listen.port() {
        return false;
    }
    let bound = listen.ip().to_canonical();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_bound = bare.parse().is_ok_and(|address: IpAddr| address.to_canonical() == bound);
    let is_localhost = host.eq_ignore_ascii_case("localhost") && bound.is_loopback();
    is_bound || is_localhost || (is_here(host).is_some() && bound.is_unspecified())
}

/// What comes in must not come in again, at this port or over others of this configuration.
pub(super) fn check_loops(integrations: &[WrittenIntegration], problems: &Problems) {
    let to = |from: &WrittenIntegration| -> Vec<usize> {
        let targets = from.integration.realtime.iter().flat_map(|realtime| realtime.forward.clone());
        let port = |target: Arc<str>| {
            integrations.iter().position(|other| other.listen.is_some_and(|listen| is_port(&target, listen)))
        };
        targets.filter_map(port).collect()
    };
    let edges: Vec<Vec<usize>> = integrations.iter().map(to).collect();
    for (index, written) in integrations.iter().enumerate() {
        let (mut reached, mut next) = (vec![false; integrations.len()], edges[index].clone());
        while let Some(one) = next.pop() {
            if !std::mem::replace(&mut reached[one], true) {
                next.extend(&edges[one]);
            }
        }
        if !reached[index] {
            continue;
        }
        let message = if edges[index].contains(&index) {
            "forward: a target is this very port: what comes in would come in again".to_owned()
        } else {
            "forward: over other integrations, what comes in here would come in here again".to_owned()
        };
        let problem = Problem::error(written.forward_origin.clone(), message);
        problems.missing(problem.hint("forward to the tool that CMS fed before, at another address or port"));
    }
}
