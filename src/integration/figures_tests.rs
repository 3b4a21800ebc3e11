//! What the metrics say about time: agents in AUX for long, and a stale feed, as a day through an engine.
//!
//! Each line of a day is a time and what happens then: a connection comes (`connects`) or goes, nothing happens (`waits`),
//! the process is replaced (`restarts`), or a whole snapshot. After `->` comes what the metrics say then: agents in AUX for
//! more than 15, 30 and 60 minutes; and, while the feed is stale, how many were logged in when the silence began.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::config::mapping as mapping_files;
use crate::config::model::Integration;
use crate::engine::{Engine, Finding};
use crate::mapping::tables::MappingTables;
use crate::telemetry::feed_metrics::FeedMetrics;
use crate::telemetry::metrics::Metrics;
use crate::time::Timestamp;
use crate::views::model::{IntegrationModel, Update};
use crate::wire::framing::{Piece, Run};
use crate::wire::plan::Plan;

use super::staleness::Staleness;

struct Day {
    integration: Integration,
    plan: Arc<Plan>,
    tables: Arc<MappingTables>,
    engine: Engine,
    staleness: Staleness,
    metrics: Metrics,
    model: IntegrationModel,
}

impl Day {
    fn new(unknown_after: Option<Duration>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
        let config = config::load(&root.join("rtalink.toml"), []).config.unwrap();
        let found = config.integrations.into_iter().find(|integration| &*integration.id == "timed");
        let mut integration = found.unwrap();
        integration.settings.thresholds.unknown_after = unknown_after;
        let plan = Plan::compile(&integration.realtime.as_ref().unwrap().layout, &integration.time_zone).unwrap();
        let tables = Arc::new(mapping_files::read(&integration.mapping).unwrap());
        let engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), Arc::clone(&tables));
        let (metrics, model) = Self::model(&integration);
        Self { integration, plan, tables, engine, staleness: Staleness::default(), metrics, model }
    }

    fn model(integration: &Integration) -> (Metrics, IntegrationModel) {
        let metrics = Metrics::new().unwrap();
        let feed = FeedMetrics::new(&metrics, &integration.id);
        let mut model = IntegrationModel::new(Arc::clone(&integration.id), String::new(), feed);
        // Nobody was there before.
        model.apply(Update::Restored(Vec::new()));
        (metrics, model)
    }

    fn happens(&mut self, what: &str, at: Timestamp) {
        let mut found = Vec::new();
        self.engine.tick(at, &mut found);
        match what {
            "waits" => {}
            "connects" => self.engine.open(1, &"peer".into(), at, &mut found),
            "goes" => self.engine.close(1, at, &mut found),
            "restarts" => self.restart(),
            agents => {
                let row = |agent: &str| {
                    let (login_id, state) = agent.split_once(' ').unwrap();
                    let (mode, reason) = state.split_once(':').unwrap_or((state, ""));
                    format!("{login_id}|{mode}|{reason}||||\n")
                };
                let rows: String = agents.split(", ").map(row).collect();
                let piece = Piece::Records(Run { bytes: (rows + "END\n").into(), offset: 0 });
                self.engine.receive(1, &self.plan, &piece, at, &mut found);
            }
        }
        let mut events = Vec::new();
        for finding in found {
            match finding {
                Finding::Event(event, annotation) => events.push((event, annotation)),
                Finding::Status(status) => self.staleness.status(&status),
                Finding::Snapshot(snapshot) if snapshot.complete => self.staleness.complete_snapshot(),
                _ => {}
            }
        }
        self.model.apply(Update::Events(events));
        self.model.record_times(at);
    }

    fn restart(&mut self) {
        let agents: Vec<_> = self.engine.tracker().table().indices().map(|index| self.engine.saved(index)).collect();
        let feed = self.engine.saved_feed();
        self.engine = Engine::new(self.integration.settings.clone(), Arc::clone(&self.plan), Arc::clone(&self.tables));
        self.engine.restore(agents, &feed);
        self.staleness = Staleness::default();
        (self.metrics, self.model) = Self::model(&self.integration);
        self.model.apply(Update::Restored(self.engine.current()));
    }

    fn figures(&self) -> String {
        let exposition = self.metrics.render();
        let mut told = String::new();
        for over in ["15m", "30m", "1h"] {
            let series = format!("rtalink_agents_in_aux{{integration=\"timed\",over=\"{over}\"}} ");
            let count = exposition.lines().find_map(|line| line.strip_prefix(&series)).unwrap();
            write!(told, " {count}").unwrap();
        }
        match self.staleness.agents() {
            None => told,
            Some(agents) => format!("{told}, stale with {agents}"),
        }
    }
}

fn check(unknown_after: Option<Duration>, script: &str) {
    let mut day = Day::new(unknown_after);
    let mut played = String::new();
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    for line in lines.clone() {
        let (step, _) = line.split_once(" ->").unwrap();
        let (time, what) = step.split_once(' ').unwrap();
        let at = Timestamp::parse_rfc3339(&format!("2026-01-05T{time}:00Z")).unwrap();
        day.happens(what, at);
        writeln!(played, "{step} ->{}", day.figures()).unwrap();
    }
    let expected: String = lines.map(|line| format!("{line}\n")).collect();
    assert_eq!(played, expected);
}

#[test]
fn agents_in_aux_are_counted_from_when_they_went_there() {
    check(
        None,
        "
        08:00 connects -> 0 0 0
        08:00 1 AUX:1, 2 AUX:2, 3 AVAIL, 4 ACD -> 0 0 0
        08:15 1 AUX:1, 2 AUX:2, 3 AVAIL, 4 ACD -> 0 0 0
        08:16 1 AUX:3, 2 AUX:2, 3 AUX:1, 4 ACD -> 2 0 0
        08:31 1 AUX:3, 2 AVAIL, 3 AUX:1, 4 ACD -> 1 1 0
        08:32 1 AUX:3, 2 AUX:2, 3 AUX:1, 4 ACD -> 2 1 0
        09:01 1 AUX:3, 2 AUX:2, 3 AUX:1, 4 ACD -> 3 2 1
        09:02 1 UNSTAFF, 2 AUX:2, 3 AUX:1, 4 ACD -> 2 1 0
        09:33 2 AUX:2, 3 AUX:1, 4 AUX:1 -> 2 2 2
        ",
    );
}

#[test]
fn a_restart_counts_from_the_last_change_and_goes_on_from_there() {
    check(
        None,
        "
        08:00 connects -> 0 0 0
        08:00 1 AUX:1, 2 AUX:2, 3 AVAIL -> 0 0 0
        08:20 1 AUX:3, 2 AUX:2, 3 AVAIL -> 2 0 0
        08:20 goes -> 2 0 0
        08:31 restarts -> 1 1 0
        08:36 waits -> 2 1 0
        08:36 connects -> 2 1 0
        08:37 1 AUX:1, 2 AUX:2, 3 AUX:1 -> 2 1 0
        08:51 1 AUX:1, 2 AUX:2, 3 AUX:1 -> 2 2 0
        ",
    );
}

#[test]
fn a_silence_is_about_those_who_were_logged_in_as_it_began() {
    check(
        None,
        "
        08:00 connects -> 0 0 0
        08:01 waits -> 0 0 0, stale with 0
        08:02 1 AVAIL, 2 ACD, 3 UNSTAFF -> 0 0 0
        08:04 waits -> 0 0 0, stale with 2
        08:05 goes -> 0 0 0, stale with 2
        08:06 connects -> 0 0 0, stale with 2
        08:08 waits -> 0 0 0, stale with 2
        08:09 1 AVAIL -> 0 0 0
        08:09 1 AVAIL -> 0 0 0
        08:10 waits -> 0 0 0, stale with 1
        08:11 restarts -> 0 0 0
        08:12 connects -> 0 0 0
        08:13 waits -> 0 0 0, stale with 1
        08:14 1 UNSTAFF -> 0 0 0
        08:16 waits -> 0 0 0, stale with 0
        ",
    );
}

#[test]
fn giving_the_agents_up_meanwhile_changes_nothing() {
    check(
        Some(Duration::from_mins(5)),
        "
        08:00 connects -> 0 0 0
        08:00 1 AVAIL, 2 AUX:1 -> 0 0 0
        08:01 waits -> 0 0 0, stale with 2
        08:20 waits -> 0 0 0, stale with 2
        08:21 1 AVAIL -> 0 0 0
        ",
    );
}

/// Agents by AUX reason and by activity as they are told now.
fn doing(day: &Day) -> Vec<String> {
    let exposition = day.metrics.render();
    let told = exposition.lines().filter_map(|line| line.strip_prefix("rtalink_agents_by_"));
    let mut told: Vec<String> = told.map(|line| line.replace("integration=\"timed\",", "")).collect();
    told.sort();
    told
}

#[test]
fn what_agents_do_is_counted_and_an_integration_that_begins_anew_leaves_nobody_behind() {
    let mut day = Day::new(None);
    let at = |minute: i64| Timestamp::from_millis(1_767_600_000_000 + minute * 60_000);
    day.happens("connects", at(0));
    day.happens("1 AUX:1, 2 AUX:1, 3 AUX:150, 4 AUX, 5 AVAIL, 6 UNSTAFF, 7 UNKNOWN", at(0));
    let present = |count: usize| format!("activity{{activity_id=\"1\",activity=\"Present\"}} {count}");
    let unmapped = |count: usize| format!("activity{{activity_id=\"-\",activity=\"unmapped\"}} {count}");
    let reasons = ["1\"} 2", "above\"} 1", "unknown\"} 1"].map(|end| format!("aux_reason{{reason=\"{end}"));
    assert_eq!(doing(&day), [&[unmapped(1), present(5)][..], &reasons].concat());

    // As after a reload that starts it again, whose store remembers nobody.
    let feed = FeedMetrics::new(&day.metrics, &day.integration.id);
    let anew = IntegrationModel::new(Arc::clone(&day.integration.id), String::new(), feed);
    day.model.apply(Update::Begin(Box::new(anew)));
    day.model.apply(Update::Restored(Vec::new()));
    let reasons = ["1", "above", "unknown"].map(|reason| format!("aux_reason{{reason=\"{reason}\"}} 0"));
    assert_eq!(doing(&day), [&[unmapped(0), present(0)][..], &reasons].concat());
}
