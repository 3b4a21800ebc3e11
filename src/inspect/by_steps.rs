//! What steps say about columns: what was done on purpose is a better witness than statistics.

use std::collections::HashSet;

use super::class::{is_null, is_null_or_zero, number};
use super::guess::Known;
use super::steps::{Action, Seen};

/// Returns what a column said after a step.
pub(super) fn said<'a>(seen: &Seen<'a>, index: usize) -> Option<&'a [u8]> {
    seen.cells.as_ref().map(|cells| cells.get(index).copied().unwrap_or_default())
}

/// Returns the AUX reasons that steps have shown: a column that does not tell them apart has no reasons.
pub(super) fn reasons_asked_for(known: &Known<'_, '_>) -> HashSet<u32> {
    let reasons = known.seen.iter().filter_map(|seen| match seen.action {
        Action::Aux(reason) if seen.cells.is_some() => Some(reason),
        _ => None,
    });
    reasons.collect()
}

/// Returns the values after steps into AUX, if each reason has its own and the state does not say it already.
pub(super) fn reasons(known: &Known<'_, '_>, index: usize) -> Option<Vec<(Vec<u8>, u32)>> {
    let mut reasons: Vec<(Vec<u8>, u32)> = Vec::new();
    for seen in known.seen {
        let Action::Aux(reason) = seen.action else { continue };
        let Some(value) = said(seen, index) else { continue };
        if !reasons.iter().any(|(known, _)| known == value) {
            reasons.push((value.to_vec(), reason));
        }
    }
    let steps: HashSet<u32> = reasons.iter().map(|(_, reason)| *reason).collect();
    let asked = reasons_asked_for(known);
    // Numbers must be the reasons themselves: anything may differ from step to step.
    let are_themselves = reasons.iter().all(|(value, reason)| {
        number(value).map_or_else(|| !is_null(value) || *reason == 0, |value| value == u64::from(*reason))
    });
    let elsewhere = known.seen.iter().filter(|seen| matches!(seen.action, Action::Available | Action::CallIn));
    let is_nothing_elsewhere = elsewhere.filter_map(|seen| said(seen, index)).all(is_null_or_zero);
    (steps.len() >= 2 && steps == asked && are_themselves && is_nothing_elsewhere).then_some(reasons)
}

/// Returns the evidence that a column is the direction.
pub(super) fn direction(known: &Known<'_, '_>, index: usize) -> Option<String> {
    let after =
        |action: Action| known.seen.iter().find(|seen| seen.action == action).and_then(|seen| said(seen, index));
    let (inward, outward) = (after(Action::CallIn)?, after(Action::CallOut)?);
    let waiting = after(Action::Available).unwrap_or_default();
    let differ = inward != outward && inward != waiting && outward != waiting && !is_null(inward) && !is_null(outward);
    let aux =
        known.seen.iter().filter(|seen| matches!(seen.action, Action::Aux(_))).filter_map(|seen| said(seen, index));
    (differ && aux.into_iter().all(|value| value == waiting || is_null_or_zero(value)))
        .then(|| "one value after the step \"call in\", another after \"call out\"".to_owned())
}
