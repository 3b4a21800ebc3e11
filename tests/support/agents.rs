//! Events agent by agent, for comparing them with what should have happened.

use std::collections::BTreeMap;

use rtalink::contract::v1;
use rtalink::simulate::Truth;
use rtalink::tracker::event::AgentEvent;

/// What an event and a truth have in common, as text.
pub(crate) type Step = String;

/// By integration, ACD and login id: the states in their order.
pub(crate) type Steps = BTreeMap<String, Vec<Step>>;

/// What was published of each agent. Panics unless sequences are 1, 2, 3, … in the order of the partition.
pub(crate) fn published(events: &[v1::AgentStateEvent]) -> Steps {
    let mut steps = Steps::new();
    for event in events {
        let key = format!("{}/{}/{}", event.integration, event.acd, event.login_id);
        let of_agent = steps.entry(key.clone()).or_default();
        assert_eq!(event.sequence, of_agent.len() as u64 + 1, "sequence of {key} after {of_agent:?}");
        let state = event.state.clone().unwrap_or_default();
        of_agent.push(step(
            event.cause().as_str_name(),
            state.mode().as_str_name(),
            state.direction().as_str_name(),
            state.on_hold,
            state.aux_reason,
        ));
    }
    steps
}

/// What an engine of `integration` has told of each agent.
pub(crate) fn told<'a>(integration: &str, events: impl Iterator<Item = &'a AgentEvent>) -> Steps {
    let mut steps = Steps::new();
    for event in events {
        let state = &event.state;
        let of_agent = steps.entry(format!("{integration}/{}/{}", event.acd, event.login_id)).or_default();
        of_agent.push(step(
            event.cause.name(),
            state.mode.name(),
            state.direction.name(),
            state.on_hold,
            state.aux_reason,
        ));
    }
    steps
}

/// What should have been published by `integration` with ACD 1.
pub(crate) fn expected(integration: &str, truth: &[Truth]) -> Steps {
    let mut steps = Steps::new();
    for truth in truth {
        let json = serde_json::to_value(truth).expect("a line of truth");
        let name = |field: &str| json[field].as_str().unwrap_or_default().to_owned();
        let of_agent = steps.entry(format!("{integration}/1/{}", truth.login_id)).or_default();
        let reason = truth.aux_reason;
        of_agent.push(step(&name("cause"), &name("mode"), &name("direction"), truth.on_hold, reason));
    }
    steps
}

fn step(cause: &str, mode: &str, direction: &str, on_hold: bool, reason: Option<u32>) -> Step {
    let hold = if on_hold { " hold" } else { "" };
    let reason = reason.map(|reason| format!(" {reason}")).unwrap_or_default();
    format!("{cause} {mode}{reason} {direction}{hold}")
}

/// The first few differences, for a message; empty where there is none.
pub(crate) fn differences(expected: &Steps, published: &Steps) -> String {
    let none = Vec::new();
    let keys: std::collections::BTreeSet<&String> = expected.keys().chain(published.keys()).collect();
    let different = keys.into_iter().filter(|key| expected.get(*key) != published.get(*key));
    let told = different.map(|key| {
        let (wanted, found) = (expected.get(key).unwrap_or(&none), published.get(key).unwrap_or(&none));
        let at = wanted.iter().zip(found).take_while(|(one, other)| one == other).count();
        let rest = |steps: &[Step]| steps[at..].iter().take(4).cloned().collect::<Vec<_>>().join(", ");
        format!(
            "{key} after {at} of {}: expected [{}], published {}: [{}]",
            wanted.len(),
            rest(wanted),
            found.len(),
            rest(found)
        )
    });
    let told: Vec<String> = told.collect();
    let first = told.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    if told.is_empty() { String::new() } else { format!("{} agents differ:\n{first}", told.len()) }
}
