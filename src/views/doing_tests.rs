//! Agents by AUX reason and by activity, in the exposition.

use super::*;
use crate::telemetry::metrics::Metrics;

fn doing(reason: Option<Reason>, activity: Option<&str>) -> Doing {
    let named = |name: &str| {
        let activity = Activity { activity_id: format!("id of {name}"), activity_name: name.to_owned() };
        Counted::Activity(ByName(Arc::new(activity)))
    };
    let activity = activity.map(|name| if name.is_empty() { Counted::Unmapped } else { named(name) });
    Doing { reason, activity }
}

/// Series whose name begins so, without what they have in common.
fn told(metrics: &Metrics, name: &str) -> Vec<String> {
    let exposition = metrics.render();
    let prefix = format!("{name}{{integration=\"a\",");
    let mut told: Vec<String> =
        exposition.lines().filter_map(|line| Some(line.strip_prefix(&prefix)?.into())).collect();
    told.sort();
    told
}

struct Place {
    metrics: Metrics,
    feed: FeedMetrics,
    doings: Doings,
    shown: DoingsShown,
}

impl Place {
    fn new() -> Self {
        let metrics = Metrics::new().unwrap();
        let feed = FeedMetrics::new(&metrics, &"a".into());
        Self { metrics, feed, doings: Doings::default(), shown: DoingsShown::default() }
    }

    fn told(&mut self, name: &str) -> Vec<String> {
        self.shown.tell(&self.doings, &self.feed);
        told(&self.metrics, name)
    }
}

#[test]
fn a_series_that_nobody_is_in_any_more_goes_to_0() {
    let mut place = Place::new();
    let [lunch, above, call] = [
        doing(Some(Reason::Number(2)), Some("Break")),
        doing(Some(Reason::Above), Some("Break")),
        doing(None, Some("Call")),
    ];
    place.doings.replace(None, Some(&lunch));
    place.doings.replace(None, Some(&lunch));
    place.doings.replace(None, Some(&above));
    assert_eq!(place.told("rtalink_agents_by_aux_reason"), ["reason=\"2\"} 2", "reason=\"above\"} 1"]);
    place.doings.replace(Some(&lunch), Some(&call));
    place.doings.replace(Some(&lunch), None);
    place.doings.replace(Some(&above), Some(&above));
    assert_eq!(place.told("rtalink_agents_by_aux_reason"), ["reason=\"2\"} 0", "reason=\"above\"} 1"]);
    let activities = [
        "activity_id=\"-\",activity=\"unmapped\"} 0",
        "activity_id=\"id of Break\",activity=\"Break\"} 1",
        "activity_id=\"id of Call\",activity=\"Call\"} 1",
    ];
    assert_eq!(place.told("rtalink_agents_by_activity"), activities);
    assert!(place.doings.reasons.len() == 1 && place.doings.activities.len() == 2, "{:?}", place.doings);
}

#[test]
fn there_are_no_more_series_of_activities_than_there_may_be_and_nobody_is_left_out() {
    let mut place = Place::new();
    let mut before = None;
    for number in 0..2 * MOST_ACTIVITIES {
        let after = doing(None, Some(&format!("{number:04}")));
        place.doings.replace(None, Some(&after));
        place.doings.replace(before.as_ref(), None);
        before = Some(after);
        place.told("rtalink_agents_by_activity");
    }
    let unmapped = doing(Some(Reason::Unknown), Some(""));
    place.doings.replace(None, Some(&unmapped));
    let told = place.told("rtalink_agents_by_activity");
    assert_eq!(told.len(), MOST_ACTIVITIES + 2);
    let others = told.iter().filter(|series| !series.ends_with("} 0"));
    let expected = ["activity_id=\"-\",activity=\"other\"} 1", "activity_id=\"-\",activity=\"unmapped\"} 1"];
    assert_eq!(others.collect::<Vec<_>>(), expected);
    assert_eq!(place.told("rtalink_agents_by_aux_reason"), ["reason=\"unknown\"} 1"]);
}
