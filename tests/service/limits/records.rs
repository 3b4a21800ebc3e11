//! What a feed may tell: values, skills, rows and agents, in an engine without a service around it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use rtalink::engine::{Engine, Finding};
use rtalink::mapping::annotate::{Annotation, NoUser};
use rtalink::mapping::key::MatchLevel;
use rtalink::mapping::unmapped::{MAX_LISTED, Unmapped};
use rtalink::telemetry::feed_metrics::FeedMetrics;
use rtalink::telemetry::metrics::Metrics;
use rtalink::time::Timestamp;
use rtalink::tracker::event::Cause;
use rtalink::tracker::table::{MAX_AGENTS, MOST_BYTES};
use rtalink::views::model::{self, IntegrationIndex, IntegrationModel, MOST_UPDATES, Update};
use rtalink::wire::framing::{Piece, Run};
use rtalink::wire::plan::Plan;
use rtalink::wire::record::{LONGEST_VALUE, MOST_SKILLS};

use crate::support::sections;
use crate::support::service::{folder, parse};

/// As in `src/tracker/strangers.rs`.
const MAX_STRANGERS: usize = 4_096;

/// An engine of a configured integration, and one connection that sends it text.
struct Feed {
    engine: Engine,
    plan: Arc<Plan>,
    findings: Vec<Finding>,
    moment: i64,
}

impl Feed {
    /// `layout`: its columns and whatever else; `realtime`: further lines of that section.
    fn of(realtime: &str, layout: &str) -> Self {
        let integration = sections::integration("details = true", &format!("layout = \"own\"\n{realtime}"));
        let toml = format!(
            "[kafka]\nbootstrap_servers = \"embedded\"\n{integration}\n\
             [layout.own]\nseparator = \"|\"\nmarker = \"^END\"\nstates = \"rta-codes\"\n{layout}"
        );
        let config = parse(&toml, &folder(&[]));
        let integration = &config.integrations[0];
        let plan = Plan::compile(&integration.realtime.as_ref().unwrap().layout, "UTC").unwrap();
        let mapping = rtalink::config::mapping::read(&integration.mapping).unwrap();
        let mut engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), Arc::new(mapping));
        let mut findings = Vec::new();
        engine.open(1, &"10.1.2.3:4".into(), Timestamp::from_millis(0), &mut findings);
        Self { engine, plan, findings, moment: 0 }
    }

    fn send(&mut self, text: impl Into<String>) {
        self.moment += 10;
        let at = Timestamp::from_millis(self.moment);
        let piece = Piece::Records(Run { bytes: text.into().into(), offset: 0 });
        self.engine.receive(1, &self.plan, &piece, at, &mut self.findings);
    }

    /// How many dead letters of each reason there were, and events of each cause, since the last time.
    fn told(&mut self) -> BTreeMap<&'static str, usize> {
        let mut told = BTreeMap::new();
        for finding in self.findings.drain(..) {
            let what = match finding {
                Finding::DeadLetter(letter) => letter.reason.label(),
                Finding::Event(event, _) => event.cause.name(),
                _ => continue,
            };
            *told.entry(what).or_default() += 1;
        }
        told
    }
}

#[test]
fn a_value_has_so_many_bytes() {
    let columns = [
        "login_id",
        "state",
        "name",
        "work_split",
        "extension",
        "role",
        "location",
        "logout_reason",
        "aux_reason",
        "timestamp",
        "-",
    ];
    let layout = format!("columns = {columns:?}\nskills = {{ columns = [\"skill\"], repeat = \"rest\" }}");
    for (number, column) in columns.iter().chain(&["skill"]).enumerate() {
        let record = |value: String| {
            let mut fields = vec!["4711".to_owned(), "20".to_owned()];
            fields.resize(columns.len() + 1, String::new());
            fields[number] = value;
            fields.join("|") + "\n"
        };
        let mut feed = Feed::of("snapshot_end = \"marker\"", &layout);
        let is_text = !matches!(*column, "aux_reason" | "timestamp" | "-");
        feed.send(record("7".repeat(LONGEST_VALUE)));
        let fits = feed.told();
        feed.send(record("7".repeat(LONGEST_VALUE + 1)));
        let beyond = feed.told();
        // A code that is not listed waits for the end of its snapshot.
        let taken = if *column == "state" { BTreeMap::new() } else { BTreeMap::from([("OBSERVED", 1)]) };
        if is_text {
            assert_eq!(fits, taken, "{column}");
        }
        let expected = if *column == "-" { BTreeMap::new() } else { BTreeMap::from([("value_too_long", 1)]) };
        assert_eq!(beyond, expected, "{column}");
        println!("{column} of {} bytes, limit {LONGEST_VALUE}: {beyond:?}", LONGEST_VALUE + 1);
    }
}

#[test]
fn an_agent_has_so_many_skills() {
    let mut feed = Feed::of(
        "snapshot_end = \"marker\"",
        "max_record = \"64KiB\"\ncolumns = [\"login_id\", \"state\"]\nskills = { columns = [\"skill\"], repeat = \"rest\" }",
    );
    let record = |skills: usize| format!("4711|20{}\n", "|1".repeat(skills));
    feed.send(record(MOST_SKILLS));
    assert_eq!(feed.told(), BTreeMap::from([("OBSERVED", 1)]));
    feed.send(record(MOST_SKILLS + 1));
    let beyond = feed.told();
    assert_eq!(beyond, BTreeMap::from([("too_many_skills", 1)]));
    println!("{} skills in a record, limit {MOST_SKILLS}: {beyond:?}", MOST_SKILLS + 1);
}

#[test]
fn rows_of_an_agent_do_not_grow_while_no_marker_comes() {
    let mut feed = Feed::of("snapshot_end = \"marker\"", "columns = [\"login_id\", \"state\", \"skill\", \"level\"]");
    feed.send("4711|20|1|1\n4712|20|1|1\nEND\n");
    assert_eq!(feed.told(), BTreeMap::from([("OBSERVED", 2)]));
    let rows: String = (0..3 * MOST_SKILLS).fold(String::new(), |mut rows, skill| {
        writeln!(rows, "4711|30|{skill}|1").unwrap();
        rows
    });
    feed.send(rows + "4712|30|2|1\n");
    let beyond = feed.told();
    assert_eq!(beyond, BTreeMap::from([("too_many_skills", 2 * MOST_SKILLS)]));
    println!("{} rows of an agent without a marker, limit {MOST_SKILLS}: {beyond:?}", 3 * MOST_SKILLS);
    feed.send("END\n");
    // Of whom a row is missing nothing is said; the others go on.
    assert_eq!(feed.told(), BTreeMap::from([("CHANGED", 1)]));
    feed.send("4711|30|1|1\n4712|30|2|1\nEND\n");
    assert_eq!(feed.told(), BTreeMap::from([("CHANGED", 1)]));
}

#[test]
fn an_integration_has_so_many_agents() {
    let mut feed = Feed::of("mode = \"event\"", "columns = [\"login_id\", \"state\"]");
    for thousand in 0..MAX_AGENTS / 1_000 {
        feed.send((0..1_000).map(|agent| format!("{}|20\n", thousand * 1_000 + agent)).collect::<String>());
        assert_eq!(feed.told(), BTreeMap::from([("OBSERVED", 1_000)]));
    }
    feed.send("beyond|20\n");
    let beyond = feed.told();
    assert_eq!(beyond, BTreeMap::from([("too_many_agents", 1)]));
    feed.send("0|30\n199999|30\n");
    assert_eq!(feed.told(), BTreeMap::from([("CHANGED", 2)]), "those who are known go on");
    println!("{} agents of an integration, limit {MAX_AGENTS}: {beyond:?}", MAX_AGENTS + 1);
}

#[test]
fn the_agents_of_an_integration_have_so_many_bytes() {
    let mut feed = Feed::of("mode = \"event\"", "max_record = \"1MiB\"\ncolumns = [\"login_id\", \"state\", \"-\"]");
    let record = |agent: usize, bytes: usize| {
        let head = format!("{agent}|20|");
        format!("{head}{}\n", "x".repeat(bytes - head.len()))
    };
    let mebibyte = 1024 * 1024;
    let most = MOST_BYTES / mebibyte;
    (0..most - 1).for_each(|agent| feed.send(record(agent, mebibyte)));
    feed.send(record(most - 1, mebibyte - 100));
    assert_eq!(feed.told(), BTreeMap::from([("OBSERVED", most)]));
    feed.send(record(most, 101));
    feed.send(record(most - 1, mebibyte).replace("|20|", "|30|"));
    let beyond = feed.told();
    assert_eq!(beyond, BTreeMap::from([("CHANGED", 1), ("too_many_agents", 1)]));
    feed.send(record(most, 100));
    feed.send(record(0, 100).replace("|20|", "|30|"));
    assert_eq!(feed.told(), BTreeMap::from([("CHANGED", 1), ("too_many_agents", 1)]), "all of it is taken");
    println!("agents with records of {MOST_BYTES} bytes, limit {MOST_BYTES}, and one more: {beyond:?}");
}

#[test]
fn beyond_so_many_strangers_a_snapshot_proves_nobody_absent() {
    for (strangers, is_logged_out) in [(MAX_STRANGERS, true), (MAX_STRANGERS + 1, false)] {
        let mut feed = Feed::of("snapshot_end = \"marker\"", "columns = [\"login_id\", \"state\", \"aux_reason\"]");
        feed.send("here|20|\ngone|20|\nEND\n");
        // Whose they are can be read, what they say cannot.
        let bad: String = (0..strangers).map(|stranger| format!("s{stranger}|20|?\n")).collect();
        // In three snapshots in a row they may be somebody else.
        for _ in 0..5 {
            feed.send(format!("here|20|\n{bad}END\n"));
        }
        let told = feed.told();
        assert_eq!(told["bad_number"], 5 * strangers);
        assert_eq!(told.contains_key("LOGGED_OUT"), is_logged_out, "{strangers}: {told:?}");
        println!("{strangers} login ids of bad records alone, limit {MAX_STRANGERS}: {told:?}");
    }
}

#[test]
fn so_many_unmapped_users_and_activities_are_listed() {
    let annotation = |number: usize| Annotation {
        external_user: number.to_string().into(),
        user: Err(NoUser::Unmapped),
        external_activity: "".into(),
        activity_base: format!("UNKNOWN:{number}").into(),
        activity: None,
        level: MatchLevel::None,
        previous_external_activity: None,
        previous_activity: None,
        activity_since: None,
        version: 1,
    };
    let mut unmapped = Unmapped::default();
    (0..MAX_LISTED + 5).for_each(|number| unmapped.note(&annotation(number), 1, Timestamp::from_millis(0)));
    assert_eq!(unmapped.counts(), (MAX_LISTED, MAX_LISTED));
    assert_eq!(unmapped.listed().not_listed, 10);
    println!(
        "{} unmapped users and activities, limit {MAX_LISTED}: {} not listed",
        MAX_LISTED + 5,
        unmapped.listed().not_listed
    );
}

#[test]
fn so_many_updates_wait_for_http() {
    let metrics = Metrics::new().unwrap();
    let id: Arc<str> = "a".into();
    let feed_metrics = FeedMetrics::new(&metrics, &id);
    let (model, updates, thread) = model::start(vec![IntegrationModel::new(id, "A".to_owned(), feed_metrics)]).unwrap();
    let reader = model.read();
    assert_eq!(reader[0].causes, [0; Cause::ALL.len()]);
    let sent = (0..)
        .take_while(|_| updates.try_send((IntegrationIndex::after(0), Update::Events(Vec::new()))).is_ok())
        .count();
    // Its thread holds one of them.
    assert!((MOST_UPDATES..=MOST_UPDATES + 1).contains(&sent), "{sent}");
    println!("updates while somebody reads, limit {MOST_UPDATES}: {sent} taken, then the worker waits");
    drop((reader, updates));
    thread.join().unwrap();
}
