//! What holds of every capture, whatever happens in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rtalink::engine::Finding;
use rtalink::time::Timestamp;
use rtalink::tracker::event::{AgentEvent, Cause, Evidence, StatusKind};
use rtalink::wire::layout::Column;
use rtalink::wire::states::Mode as WorkMode;

use super::capture::{Act, Capture, Line, Part, Row, Step, Value};
use super::play::Told;
use super::shape::{End, Mode};

type Key = (u32, Arc<str>);

/// What was told so far.
struct Watch<'a> {
    capture: &'a Capture,
    last: HashMap<Key, AgentEvent>,
    is_connected: bool,
    is_down: bool,
}

/// # Errors
/// What does not hold.
pub(crate) fn check(capture: &Capture, told: &Told) -> Result<(), String> {
    let mut watch = Watch { capture, last: HashMap::new(), is_connected: false, is_down: false };
    let mut most = Duration::ZERO;
    for (found, delay) in told.by_step.iter().zip(&told.delays) {
        // The record that was last seen may have been as late as the feed ever was.
        most = most.max(*delay);
        for finding in found {
            match finding {
                Finding::Event(event, _) => watch.event(event, most)?,
                Finding::Status(status) => watch.status(status.event.kind)?,
                _ => {}
            }
        }
    }
    absences(capture, told)
}

impl Watch<'_> {
    fn event(&mut self, event: &AgentEvent, delay: Duration) -> Result<(), String> {
        let key = (event.acd, event.login_id.clone());
        let before = self.last.get(&key);
        let claim = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {event:?}")) };
        claim(event.sequence == before.map_or(0, |before| before.sequence) + 1, "a hole in the sequence")?;
        claim(event.state_since <= event.observed_at, "since later than seen")?;
        claim(event.evidence.is_some() == (event.cause == Cause::LoggedOut), "evidence")?;
        let is_aux = event.state.mode == WorkMode::Aux;
        claim(is_aux || event.state.aux_reason.is_none(), "a reason without AUX")?;
        if let Some(previous) = &event.previous {
            claim(event.state_since >= previous.state_since, "since before the previous one")?;
            let is_same = previous.state.is_same(&event.state);
            claim(is_same == matches!(event.cause, Cause::Reentered | Cause::Remapped), "the same state")?;
            if event.cause == Cause::Reentered && !self.capture.shape.has_times() {
                let least = previous.last_seen.minus(self.capture.shape.tolerance()).minus(delay);
                claim(event.state_since >= least, "begins before it was last seen")?;
                claim(event.state.mode != WorkMode::Unstaff, "a log-out again")?;
            }
        }
        if let Some(before) = before {
            let is_told = event.previous.as_ref().is_some_and(|previous| previous.state.is_same(&before.state));
            claim(is_told, "previous is not what was told")?;
        }
        self.last.insert(key, event.clone());
        Ok(())
    }

    fn status(&mut self, kind: StatusKind) -> Result<(), String> {
        let mut turns = |flag: fn(&mut Self) -> &mut bool, to: bool| {
            let was = std::mem::replace(flag(self), to);
            if was == to { Err(format!("{} twice", kind.name())) } else { Ok(()) }
        };
        match kind {
            StatusKind::Connected => turns(|watch| &mut watch.is_connected, true),
            StatusKind::Disconnected => turns(|watch| &mut watch.is_connected, false),
            StatusKind::LinkDown => turns(|watch| &mut watch.is_down, true),
            StatusKind::LinkUp => turns(|watch| &mut watch.is_down, false),
            StatusKind::Restored { gap_from, gap_to } if gap_from > gap_to => Err(format!("{kind:?}")),
            StatusKind::Stale if self.capture.shape.mode != Mode::Snapshot => Err("STALE".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Nobody is logged out by absence who had a valid record in one of the last `logout_after` snapshots.
fn absences(capture: &Capture, told: &Told) -> Result<(), String> {
    let shape = &capture.shape;
    let is_one = capture.steps.iter().all(|step| step.connection == 0);
    // A log-out that has to last is told when the agent may be on the way back.
    if shape.when_silent_empty || shape.logout_hold.is_some() || shape.mode != Mode::Snapshot || !is_one {
        return Ok(());
    }
    // By agent: the last valid record, whether its snapshot is open, and how many have been complete since.
    let mut seen: HashMap<Key, (Timestamp, bool, u32)> = HashMap::new();
    for (index, found) in told.by_step.iter().enumerate() {
        for finding in found {
            match finding {
                Finding::Snapshot(snapshot) => {
                    for (_, is_open, complete) in seen.values_mut() {
                        *complete += u32::from(snapshot.complete && !*is_open);
                        *is_open = false;
                    }
                }
                Finding::Event(event, _) if event.evidence == Some(Evidence::Absence) => {
                    let Some((at, is_open, complete)) = seen.get(&(event.acd, event.login_id.clone())) else {
                        continue;
                    };
                    // The one that ends here counts.
                    if *is_open || complete + 1 < shape.logout_after || event.state_since < *at {
                        return Err(format!("seen {at} and {complete} snapshots since: {event:?}"));
                    }
                }
                _ => {}
            }
        }
        let Some(Step { at, act: Act::Send(pieces), .. }) = capture.steps.get(index) else { continue };
        for (number, piece) in pieces.iter().enumerate() {
            if let Line::Row(row @ Row { flaw: None, .. }) = &piece.line
                && !matches!(piece.part, Part::Head(_))
            {
                // Other ends of snapshots are seen later than the record, or it is the end of the one before.
                let is_marked = pieces[number..].iter().any(|piece| piece.line == Line::Marker);
                seen.insert(key(capture, row), (*at, shape.end == End::Marker && !is_marked, 0));
            }
        }
    }
    Ok(())
}

fn key(capture: &Capture, row: &Row) -> Key {
    let mut key = (1, Arc::from(""));
    for ((column, _), value) in capture.shape.columns.iter().zip(&row.values) {
        match (column, value) {
            (Column::LoginId, Value::Login(number)) => key.1 = Arc::from(&*capture.logins[*number]),
            (Column::Acd, Value::Text(acd)) => key.0 = acd.parse().unwrap_or(1),
            _ => {}
        }
    }
    key
}
