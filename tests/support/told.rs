//! Findings as lines of text.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use rtalink::engine::Finding;
use rtalink::mapping::annotate::{Annotation, NoUser};
use rtalink::time::Timestamp;
use rtalink::tracker::agent_state::AgentState;
use rtalink::tracker::event::{AgentEvent, Evidence, StatusKind};
use rtalink::tracker::since::Quality;
use rtalink::wire::escape::escape;

/// Time of day, microseconds only where there are any.
fn clock(at: Timestamp) -> String {
    at.to_string().trim_end_matches('Z').split_once('T').map_or_else(|| at.to_string(), |(_, time)| time.to_owned())
}

/// One line for a finding; none where nothing is published.
pub(crate) fn tell(finding: &Finding, text: &mut String) {
    match finding {
        Finding::Event(event, annotation) => tell_event(event, annotation, text),
        Finding::Status(status) => {
            let peer = status.figures.peer.as_deref().filter(|peer| !peer.is_empty());
            write!(text, "{} feed {}", clock(status.event.at), status.event.kind.name()).unwrap();
            if let StatusKind::Restored { gap_from, gap_to } = status.event.kind {
                write!(text, " gap {} to {}", clock(gap_from), clock(gap_to)).unwrap();
            }
            if status.event.affected > 0 {
                write!(text, " affected {}", status.event.affected).unwrap();
            }
            let is_about_peer =
                matches!(status.event.kind, StatusKind::Connected | StatusKind::Disconnected | StatusKind::Flapping);
            if let Some(peer) = peer.filter(|_| is_about_peer) {
                write!(text, " peer {peer}").unwrap();
            }
            if status.no_valid_record {
                text.push_str(" no valid record");
            }
            text.push('\n');
        }
        Finding::DeadLetter(letter) => {
            let at = clock(letter.received_at);
            writeln!(text, "{at} dead-letter {} at {}: {}", letter.reason.label(), letter.offset, escape(&letter.raw))
                .unwrap();
        }
        Finding::Close(connection, reason) => {
            writeln!(text, "             close connection {connection}: {}", reason.label()).unwrap();
        }
        Finding::Snapshot(_) | Finding::Probe(_) => {}
    }
}

fn state(state: &AgentState) -> String {
    let mut text = rtalink::mapping::key::ActivityKey::of(state).full().to_owned();
    if !state.skills.is_empty() {
        let skills: Vec<String> = state.skills.iter().map(|(skill, level)| format!("{skill}/{level}")).collect();
        write!(text, " [{}]", skills.join(" ")).unwrap();
    }
    text
}

/// `observed ACD/login #sequence CAUSE previous -> state since … QUALITY …`.
fn tell_event(event: &AgentEvent, annotation: &Annotation, text: &mut String) {
    write!(text, "{} {}/{} #{} ", clock(event.observed_at), event.acd, event.login_id, event.sequence).unwrap();
    text.push_str(event.cause.name());
    match event.evidence {
        Some(Evidence::Row) => write!(text, " by row {:?}", &*event.state.raw_state).unwrap(),
        Some(Evidence::Absence) => text.push_str(" by absence"),
        None => {}
    }
    if let Some(previous) = &event.previous {
        write!(
            text,
            " {} (since {}, seen {}) ->",
            state(&previous.state),
            clock(previous.state_since),
            clock(previous.last_seen)
        )
        .unwrap();
    }
    write!(text, " {} since {}", state(&event.state), clock(event.state_since)).unwrap();
    text.push_str(match event.quality {
        Quality::Exact => " EXACT",
        Quality::WithinRefresh => " WITHIN_REFRESH",
        Quality::AfterGap => " AFTER_GAP",
    });
    if event.after_gap {
        text.push_str(" afterGap");
    }
    if let Some(activity_since) =
        annotation.activity_since.filter(|activity_since| *activity_since != event.state_since)
    {
        write!(text, " activity since {}", clock(activity_since)).unwrap();
    }
    let ride_along = &event.ride_along;
    let details = [
        ("name", &ride_along.name),
        ("extension", &ride_along.extension),
        ("role", &ride_along.role),
        ("location", &ride_along.location),
        ("logout reason", &ride_along.logout_reason),
    ];
    for (label, value) in details {
        if let Some(value) = value {
            write!(text, " {label} {value:?}").unwrap();
        }
    }
    // Mappings are told where the integration has some.
    match &annotation.user {
        Ok(user) => write!(text, " user {}", user.employee_id).unwrap(),
        Err(NoUser::Ambiguous) => text.push_str(" user ambiguous"),
        Err(NoUser::Unmapped | NoUser::Nameless) => {}
    }
    if let Some(activity) = annotation.activity.as_ref().filter(|activity| activity.activity_id != "1") {
        write!(text, " activity {} {:?}", activity.activity_id, annotation.level).unwrap();
    }
    text.push('\n');
}
