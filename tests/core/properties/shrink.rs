//! A capture that fails, with all taken away that it fails without.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::capture::{Act, Capture, Line, Part, Piece};

/// So long for one failure.
const PATIENCE: Duration = Duration::from_secs(20);

type Fails<'a> = &'a dyn Fn(&Capture) -> Option<String>;

pub(crate) fn shrink(mut capture: Capture, fails: Fails<'_>) -> (Capture, String) {
    let mut text = fails(&capture).unwrap_or_else(|| "  does not fail again\n".to_owned());
    let until = Instant::now() + PATIENCE;
    loop {
        let mut is_smaller = false;
        let mut take = |smaller: Capture| {
            if Instant::now() > until || smaller.steps.is_empty() || !is_well_made(&smaller) {
                return None;
            }
            let why = fails(&smaller)?;
            text = why;
            Some(smaller)
        };
        // Steps, many at a time.
        let mut size = capture.steps.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < capture.steps.len() {
                let mut smaller = capture.clone();
                smaller.steps.drain(at..(at + size).min(smaller.steps.len()));
                match take(smaller) {
                    Some(smaller) => (capture, is_smaller) = (smaller, true),
                    None => at += size,
                }
            }
            size /= 2;
        }
        // Agents.
        for agent in 0..capture.names.len() {
            let smaller = without(&capture, |piece| matches!(&piece.line, Line::Row(row) if row.agent == agent));
            if let Some(smaller) = smaller.and_then(&mut take) {
                (capture, is_smaller) = (smaller, true);
            }
        }
        // Single lines.
        for number in (0..count(&capture)).rev() {
            let mut at = 0;
            let smaller = without(&capture, |_| {
                at += 1;
                at == number + 1
            });
            if let Some(smaller) = smaller.and_then(&mut take) {
                (capture, is_smaller) = (smaller, true);
            }
        }
        // Agents' skills, and flaws.
        if !is_smaller || Instant::now() > until {
            return (capture, text);
        }
    }
}

/// Every line that is cut goes on, or its connection ends.
fn is_well_made(capture: &Capture) -> bool {
    let mut half: BTreeMap<u64, &Line> = BTreeMap::new();
    for step in &capture.steps {
        match &step.act {
            Act::Send(pieces) => {
                for piece in pieces {
                    let begun = half.remove(&step.connection);
                    let goes_on = if let Part::Tail(_) = piece.part { Some(&piece.line) } else { None };
                    if begun != goes_on {
                        return false;
                    }
                    if let Part::Head(_) = piece.part {
                        half.insert(step.connection, &piece.line);
                    }
                }
            }
            _ => drop(half.remove(&step.connection)),
        }
    }
    true
}

fn count(capture: &Capture) -> usize {
    let pieces = |act: &Act| if let Act::Send(pieces) = act { pieces.len() } else { 0 };
    capture.steps.iter().map(|step| pieces(&step.act)).sum()
}

fn without(capture: &Capture, mut is_out: impl FnMut(&Piece) -> bool) -> Option<Capture> {
    let mut smaller = capture.clone();
    let mut is_changed = false;
    for step in &mut smaller.steps {
        if let Act::Send(pieces) = &mut step.act {
            let before = pieces.len();
            pieces.retain(|piece| !is_out(piece));
            is_changed |= pieces.len() < before;
        }
    }
    smaller.steps.retain(|step| !matches!(&step.act, Act::Send(pieces) if pieces.is_empty()));
    is_changed.then_some(smaller)
}
