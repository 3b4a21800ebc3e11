//! A mapping that arrives while no process runs, or while one does: REMAPPED once for whom it changes, and nothing for others.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rtalink::capture::{CaptureEntry, Happening};
use rtalink::config;
use rtalink::contract::saved;
use rtalink::engine::replay::Replay;
use rtalink::engine::{Engine, Finding};
use rtalink::mapping::scoped::{Scope, ScopedUsers};
use rtalink::mapping::tables::{Activity, IdentifyBy, MappingTables, User};
use rtalink::time::Timestamp;
use rtalink::wire::encoding::Encoding;
use rtalink::wire::framing::{Piece, Run};
use rtalink::wire::layout::LayoutSpec;
use rtalink::wire::plan::Plan;

use crate::support::told;

fn at(second: i64) -> Timestamp {
    Timestamp::parse_rfc3339("2026-01-05T08:00:00Z")
        .unwrap()
        .plus(std::time::Duration::from_secs(second.unsigned_abs()))
}

fn tables(identify_by: IdentifyBy, version: u64, users: &[(&str, &str)], activities: &[(&str, &str)]) -> MappingTables {
    let user = |(external, id): &(&str, &str)| {
        ((*external).to_owned(), Arc::new(User { employee_id: (*id).to_owned(), employee_name: String::new() }))
    };
    let activity = |id: &str| Arc::new(Activity { activity_id: id.to_owned(), activity_name: String::new() });
    MappingTables {
        version,
        identify_by,
        users: users.iter().map(user).collect(),
        scoped: Default::default(),
        names: Default::default(),
        activities: activities.iter().map(|(key, id)| ((*key).to_owned(), activity(id))).collect::<HashMap<_, _>>(),
        default_activity: activity("1"),
    }
}

/// A process after the other: what one remembers goes through the bytes of the store to the next.
struct Site {
    engine: Engine,
    plan: Arc<Plan>,
    /// Seconds since the beginning.
    now: i64,
}

impl Site {
    fn start(mapping: MappingTables) -> Self {
        Self::start_as(mapping, Encoding::Iso8859_1)
    }

    fn start_in_utf8(mapping: MappingTables) -> Self {
        Self::start_as(mapping, Encoding::Utf8)
    }

    fn start_as(mapping: MappingTables, encoding: Encoding) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
        let config = config::load(&root.join("rtalink.toml"), []).config.unwrap();
        let names = config.integrations.iter().find(|integration| &*integration.id == "names").unwrap();
        let layout = LayoutSpec { encoding, ..LayoutSpec::clone(&names.realtime.as_ref().unwrap().layout) };
        let plan = Plan::compile(&layout, &names.time_zone).unwrap();
        let engine = Engine::new(names.settings.clone(), Arc::clone(&plan), Arc::new(mapping));
        Self { engine, plan, now: 0 }
    }

    /// What was published, without feed statuses.
    fn told(findings: Vec<Finding>) -> Vec<String> {
        let mut text = String::new();
        let events = findings.iter().filter(|finding| matches!(finding, Finding::Event(..)));
        events.for_each(|event| told::tell(event, &mut text));
        text.lines().map(str::to_owned).collect()
    }

    /// A snapshot: login id, name, state.
    fn snapshot(&mut self, rows: &[(&str, &str, &str)]) -> Vec<String> {
        Self::told(self.found(rows))
    }

    fn found(&mut self, rows: &[(&str, &str, &str)]) -> Vec<Finding> {
        self.lines(rows, "END\n")
    }

    /// Rows, and what comes behind them.
    fn lines(&mut self, rows: &[(&str, &str, &str)], end: &str) -> Vec<Finding> {
        self.now += 3;
        let mut found = Vec::new();
        if self.engine.session().peer().is_none() {
            self.engine.open(1, &"peer".into(), at(self.now), &mut found);
        }
        let row = |(login, name, state): &(&str, &str, &str)| format!("{login}|1|{name}|{state}|||||||\n");
        let text: String = rows.iter().map(row).chain([end.to_owned()]).collect();
        let piece = Piece::Records(Run { bytes: text.into(), offset: 0 });
        self.engine.receive(1, &self.plan, &piece, at(self.now), &mut found);
        found
    }

    fn set_mapping(&mut self, mapping: MappingTables) -> Vec<String> {
        self.now += 1;
        let mut found = Vec::new();
        self.engine.set_mapping(Arc::new(mapping), at(self.now), &mut found);
        Self::told(found)
    }

    fn restart(&mut self, mapping: MappingTables) -> Vec<String> {
        let indices: Vec<_> = self.engine.tracker().table().indices().collect();
        let rows: Vec<Vec<u8>> = indices
            .into_iter()
            .map(|index| {
                let (agent, published) = self.engine.saved(index);
                saved::encode_agent(&agent, published.as_ref(), None)
            })
            .collect();
        let feed = saved::encode_feed(&self.engine.saved_feed());
        let now = self.now + 10;
        *self = Self::start(mapping);
        self.now = now;
        let agents = rows.iter().map(|row| saved::decode_agent(row).unwrap());
        let agents: Vec<_> = agents.map(|stored| (stored.agent, stored.published)).collect();
        self.engine.restore(agents, &saved::decode_feed(&feed).unwrap());
        let mut found = Vec::new();
        self.engine.remap_outdated(at(now), &mut found);
        Self::told(found)
    }

    /// The mapping arrives, while the process runs or between two.
    fn remap(&mut self, is_running: bool, mapping: MappingTables) -> Vec<String> {
        if is_running { self.set_mapping(mapping) } else { self.restart(mapping) }
    }
}

/// Login id, sequence and cause; user and activity as they are told.
fn brief(lines: &[String]) -> Vec<String> {
    let tell = |line: &String| {
        let mut words = line.split(' ').skip(1);
        let head: Vec<&str> = words.by_ref().take(3).collect();
        let rest: Vec<&str> = words.collect();
        let after = |word: &str| {
            let found = rest.windows(2).find(|pair| pair[0] == word && pair[1] != "since");
            found.map_or("-", |pair| pair[1])
        };
        format!("{} user {} activity {}", head.join(" "), after("user"), after("activity"))
    };
    lines.iter().map(tell).collect()
}

const NOTHING: [String; 0] = [];
const AVAIL: [(&str, &str, &str); 2] = [("1", "Ada", "AVAIL"), ("2", "Bo", "AVAIL")];

#[test]
fn a_user_who_becomes_known_is_told_once() {
    for is_running in [false, true] {
        for by in [IdentifyBy::LoginId, IdentifyBy::Name] {
            let ada = if by == IdentifyBy::Name { "Ada" } else { "1" };
            let known = |version| tables(by, version, &[(ada, "E1")], &[]);
            let mut site = Site::start(tables(by, 1, &[], &[]));
            assert_eq!(site.snapshot(&AVAIL).len(), 2);
            assert_eq!(site.restart(tables(by, 1, &[], &[])), NOTHING, "nothing has changed");
            assert_eq!(site.snapshot(&AVAIL), NOTHING);
            let told = site.remap(is_running, known(2));
            assert_eq!(told.len(), 1, "{told:?}");
            // The state, its start and that of the activity are the same.
            let expected = "1/1 #2 REMAPPED AVAIL (since 08:00:03.000, seen";
            assert!(told[0].contains(expected) && told[0].contains("-> AVAIL since 08:00:03.000"), "{told:?}");
            assert!(told[0].contains("user E1") && !told[0].contains("activity since"), "{told:?}");
            assert_eq!(site.remap(is_running, known(3)), NOTHING);
            assert_eq!(site.restart(known(3)), NOTHING);
            assert_eq!(site.snapshot(&AVAIL), NOTHING);
            let told = site.snapshot(&[("1", "Ada", "ACD"), ("2", "Bo", "AVAIL")]);
            assert!(told.len() == 1 && told[0].contains("1/1 #3 CHANGED") && told[0].contains("user E1"), "{told:?}");
        }
    }
}

#[test]
fn another_activity_begins_with_the_state_and_knows_the_one_before() {
    for is_running in [false, true] {
        let by = IdentifyBy::LoginId;
        let mapped = |version, id| tables(by, version, &[], &[("AVAIL", id), ("ACW", id)]);
        let mut site = Site::start(mapped(1, "7"));
        site.snapshot(&AVAIL[..1]);
        let told = site.snapshot(&[("1", "Ada", "ACW")]);
        assert!(told[0].contains("since 08:00:06.000") && told[0].contains("activity since 08:00:03.000"), "{told:?}");
        site.restart(mapped(1, "7"));
        let now = at(site.now + if is_running { 1 } else { 10 });
        let mut found = Vec::new();
        if is_running {
            site.now += 1;
            site.engine.set_mapping(Arc::new(mapped(2, "8")), now, &mut found);
        } else {
            let told = site.restart(mapped(2, "8"));
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains("#3 REMAPPED") && !told[0].contains("activity since"), "{told:?}");
            // Once more, to look at it: the same mapping back and forth.
            site.restart(mapped(3, "7"));
            site.engine.set_mapping(Arc::new(mapped(4, "8")), now, &mut found);
        }
        let [Finding::Event(event, annotation)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(event.state_since, at(6));
        assert_eq!(annotation.previous_activity.as_ref().unwrap().activity_id, "7");
        assert_eq!(annotation.activity.as_ref().unwrap().activity_id, "8");
        assert_eq!(annotation.activity_since, Some(at(6)), "the new activity begins with the state");
    }
}

#[test]
fn a_name_that_two_share_stays_nobodys_over_a_restart_and_becomes_somebodys_again() {
    for is_running in [false, true] {
        let mapping = |version, users: &[(&str, &str)]| tables(IdentifyBy::Name, version, users, &[]);
        let shared = [("1", "Ada", "AVAIL"), ("2", "Ada", "AVAIL")];
        let mut site = Site::start(mapping(1, &[]));
        site.snapshot(&shared);
        assert_eq!(site.restart(mapping(1, &[])), NOTHING);
        assert_eq!(site.remap(is_running, mapping(2, &[("Ada", "E1"), ("Cy", "E3")])), NOTHING, "it is nobody's");
        assert_eq!(site.restart(mapping(2, &[("Ada", "E1"), ("Cy", "E3")])), NOTHING);
        assert_eq!(site.snapshot(&shared), NOTHING);
        // One of them is called otherwise: it is the other's; their own new name rides along with their next event.
        let told = site.snapshot(&[("1", "Ada", "AVAIL"), ("2", "Cy", "AVAIL")]);
        assert_eq!(brief(&told), ["1/1 #2 REMAPPED user E1 activity -"], "{told:?}");
        let told = site.restart(mapping(2, &[("Ada", "E1"), ("Cy", "E3")]));
        assert_eq!(brief(&told), ["1/2 #2 REMAPPED user E3 activity -"], "{told:?}");
        assert_eq!(site.restart(mapping(2, &[("Ada", "E1"), ("Cy", "E3")])), NOTHING);
    }
}

#[test]
fn who_is_logged_out_is_told_when_they_come_back() {
    for is_running in [false, true] {
        let mut site = Site::start(tables(IdentifyBy::LoginId, 1, &[], &[]));
        site.snapshot(&AVAIL[..1]);
        site.snapshot(&[("1", "Ada", "UNSTAFF")]);
        let mapping = || tables(IdentifyBy::LoginId, 2, &[("1", "E1")], &[("LOGGED_OUT", "9")]);
        assert_eq!(site.remap(is_running, mapping()), NOTHING);
        assert_eq!(site.restart(mapping()), NOTHING);
        let told = site.snapshot(&AVAIL[..1]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("1/1 #3 LOGGED_IN") && told[0].contains("user E1"), "{told:?}");
    }
}

/// Second at which the activity began, as each event tells it.
fn activity_since(findings: &[Finding]) -> Vec<Option<Timestamp>> {
    let annotations = findings.iter().filter_map(|finding| match finding {
        Finding::Event(_, annotation) => Some(annotation),
        _ => None,
    });
    annotations.map(|annotation| annotation.activity_since).collect()
}

#[test]
fn an_activity_goes_on_from_a_log_out_that_was_never_published() {
    // LOGGED_OUT, AVAIL and UNKNOWN are mapped to these; the agent is first seen logged out at second 3.
    let cases = [
        ("the same", [Some("9"), Some("9")], Some(3)),
        ("another", [Some("8"), Some("9")], Some(6)),
        ("none before", [None, Some("9")], Some(6)),
    ];
    for restarts in [false, true] {
        for (name, [logged_out, avail], expected) in cases {
            let rows = [("LOGGED_OUT", logged_out), ("AVAIL", avail)];
            let rows: Vec<_> = rows.into_iter().filter_map(|(key, id)| Some((key, id?))).collect();
            let mapping = || tables(IdentifyBy::LoginId, 1, &[], &rows);
            let mut site = Site::start(mapping());
            assert_eq!(site.snapshot(&[("1", "Ada", "UNSTAFF")]), NOTHING);
            if restarts {
                assert_eq!(site.restart(mapping()), NOTHING);
            }
            site.now = 3;
            let found = site.found(&[("1", "Ada", "AVAIL")]);
            assert_eq!(activity_since(&found), [expected.map(at)], "{name}, restarts: {restarts}");
        }
    }
}

#[test]
fn without_an_activity_it_has_no_beginning() {
    for restarts in [false, true] {
        let mapping = |version, rows: &[(&str, &str)]| tables(IdentifyBy::LoginId, version, &[], rows);
        let mut site = Site::start(mapping(1, &[]));
        // UNKNOWN and LOGGED_OUT take no default.
        assert_eq!(activity_since(&site.found(&[("1", "Ada", "UNKNOWN")])), [None]);
        if restarts {
            assert_eq!(site.restart(mapping(1, &[])), NOTHING);
        }
        let began = site.now + 3;
        assert_eq!(activity_since(&site.found(&[("1", "Ada", "AVAIL")])), [Some(at(began))]);
        assert_eq!(activity_since(&site.found(&[("1", "Ada", "UNSTAFF")])), [None]);
        let began = site.now + 3;
        assert_eq!(activity_since(&site.found(&[("1", "Ada", "AVAIL")])), [Some(at(began))]);
        // Found at last: it began with the state.
        site.snapshot(&[("1", "Ada", "UNKNOWN")]);
        let began = site.now;
        let told = site.remap(restarts, mapping(2, &[("UNKNOWN", "7")]));
        assert_eq!(told.len(), 1);
        let stored = site.engine.saved(0).1.unwrap();
        assert_eq!(stored.activity_since, Some(at(began)));
    }
}

#[test]
fn people_are_found_however_their_ids_and_names_are_spelled() {
    // As the mapping has it, and as the feed does.
    let spellings =
        [("M\u{fc}ller, J.", "Mu\u{308}ller, J."), ("Roe, R.", "Roe, R.\u{2003}"), ("Doe, J.", "\u{2009}Doe, J.")];
    for (known, told) in spellings {
        let by_name = tables(IdentifyBy::Name, 1, &[(known, "E1")], &[]);
        let by_login_id = tables(IdentifyBy::LoginId, 1, &[(known, "E1")], &[]);
        for (mapping, row) in [(by_name, ("1", told, "AVAIL")), (by_login_id, (told, "Ada", "AVAIL"))] {
            let mut site = Site::start_in_utf8(mapping);
            let lines = site.snapshot(&[row]);
            assert!(lines.len() == 1 && lines[0].contains("user E1"), "{lines:?}");
        }
        // Two who are called the same are nobody.
        let mut site = Site::start_in_utf8(tables(IdentifyBy::Name, 1, &[(known, "E1")], &[]));
        let lines = site.snapshot(&[("1", known, "AVAIL"), ("2", told, "AVAIL")]);
        let expected = ["1/1 #1 OBSERVED user E1", "1/2 #1 OBSERVED user ambiguous", "1/1 #2 REMAPPED user ambiguous"];
        assert!(brief(&lines).iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{lines:?}");
    }
}

/// The login id 1 is Ada's until second 100, nobody's until 200, and Eve's from then on, but not on ACD 2.
fn reused(version: u64) -> MappingTables {
    let row = |acd, from: Option<i64>, to: Option<i64>, id: &str| {
        let user = User { employee_id: id.to_owned(), employee_name: String::new() };
        (Scope { acd, from: from.map(at), to: to.map(at) }, Arc::new(user))
    };
    let rows = vec![row(None, None, Some(100), "E1"), row(Some(1), Some(200), None, "E9")];
    let scoped = ScopedUsers::new(HashMap::from([("1".to_owned(), rows)]));
    MappingTables { scoped, ..tables(IdentifyBy::LoginId, version, &[("2", "E2")], &[]) }
}

#[test]
fn a_row_that_begins_or_ends_is_told_when_it_does() {
    let mut site = Site::start(reused(1));
    let first = brief(&site.snapshot(&AVAIL));
    assert_eq!(first, ["1/1 #1 OBSERVED user E1 activity -", "1/2 #1 OBSERVED user E2 activity -"]);
    let tick = |site: &mut Site, second: i64| {
        site.now = second;
        let mut found = Vec::new();
        site.engine.tick(at(second), &mut found);
        brief(&Site::told(found))
    };
    assert_eq!(site.engine.next_deadline().map(|due| due <= at(100)), Some(true));
    assert_eq!(tick(&mut site, 99), NOTHING);
    assert_eq!(tick(&mut site, 100), ["1/1 #2 REMAPPED user - activity -"]);
    assert_eq!(tick(&mut site, 101), NOTHING);
    let told = brief(&site.snapshot(&[("1", "Ada", "ACD"), ("2", "Bo", "AVAIL")]));
    assert_eq!(told, ["1/1 #3 CHANGED user - activity -"]);
    // It begins while the process is down.
    site.now = 230;
    assert_eq!(brief(&site.restart(reused(1))), ["1/1 #4 REMAPPED user E9 activity -"]);
    assert_eq!(tick(&mut site, 1_000), NOTHING, "nothing more begins or ends");
    // A mapping without such rows never asks for the time.
    assert_eq!(site.set_mapping(tables(IdentifyBy::LoginId, 2, &[("1", "E9"), ("2", "E2")], &[])), NOTHING);
}

#[test]
fn an_event_that_has_waited_is_mapped_as_of_its_record_and_then_as_of_now() {
    let mut site = Site::start(reused(1));
    site.snapshot(&AVAIL);
    site.now = 96;
    // UNKNOWN waits for the end of the snapshot.
    let rows = [("1", "Ada", "UNKNOWN"), ("2", "Bo", "AVAIL")];
    assert_eq!(brief(&Site::told(site.lines(&rows, ""))), NOTHING);
    let mut found = Vec::new();
    site.engine.tick(at(100), &mut found);
    assert_eq!(brief(&Site::told(found)), ["1/1 #2 REMAPPED user - activity -"]);
    let told = brief(&Site::told(site.lines(&[], "END\n")));
    assert_eq!(told, ["1/1 #3 CHANGED user E1 activity -", "1/1 #4 REMAPPED user - activity -"]);
}

#[test]
fn a_replay_tells_it_at_the_time_of_the_capture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let config = config::load(&root.join("rtalink.toml"), []).config.unwrap();
    let names = config.integrations.iter().find(|integration| &*integration.id == "names").unwrap();
    let plan = Plan::compile(&names.realtime.as_ref().unwrap().layout, &names.time_zone).unwrap();
    let engine = Engine::new(names.settings.clone(), Arc::clone(&plan), Arc::new(reused(1)));
    let mut replay = Replay::new(engine, plan, std::time::Duration::from_millis(500));
    let mut found = Vec::new();
    for second in [90, 93, 150, 250] {
        let happening = Happening::Data("1|1|Ada|AVAIL|||||||\n1|2|Eve|AVAIL|||||||\nEND\n".into());
        replay.play(&CaptureEntry { at: at(second), connection: 0, happening }, &mut found);
    }
    let events = found.iter().filter_map(|finding| match finding {
        Finding::Event(event, mapped) => {
            let user = mapped.user.as_ref().map_or("-", |user| user.employee_id.as_str());
            Some(format!("{} {} {} {user}", event.observed_at, event.acd, event.cause.name()))
        }
        _ => None,
    });
    let expected = [
        "2026-01-05T08:01:30.000Z 1 OBSERVED E1",
        "2026-01-05T08:01:30.000Z 2 OBSERVED E1",
        "2026-01-05T08:01:40.000Z 1 REMAPPED -",
        "2026-01-05T08:01:40.000Z 2 REMAPPED -",
        "2026-01-05T08:03:20.000Z 1 REMAPPED E9",
    ];
    assert_eq!(events.collect::<Vec<_>>(), expected);
}

#[test]
fn a_list_of_names_names_those_whom_the_feed_does_not() {
    let names = |names: &[(&str, &str)]| names.iter().map(|(id, name)| ((*id).to_owned(), Arc::from(*name))).collect();
    let mapping = |version, list: &[(&str, &str)]| MappingTables {
        names: names(list),
        ..tables(IdentifyBy::Name, version, &[("Ada", "E1"), ("Bo", "E2"), ("Eve", "E3")], &[])
    };
    let told = |found: &[Finding]| -> Vec<String> {
        let events = found.iter().filter_map(|finding| match finding {
            Finding::Event(event, mapped) => {
                let user = mapped.user.as_ref().map_or("-", |user| user.employee_id.as_str());
                let name = event.ride_along.name.as_deref().unwrap_or("-");
                Some(format!("{} {} {name} {user}", event.login_id, event.cause.name()))
            }
            _ => None,
        });
        events.collect()
    };
    let mut site = Site::start(mapping(1, &[("1", "Ada"), ("2", "Nobody")]));
    // 1 and 3 are not named by the feed; 3 not by the list either; 2 is, and the feed knows better.
    let found = site.found(&[("1", "", "AVAIL"), ("2", "Bo", "AVAIL"), ("3", "", "AVAIL")]);
    assert_eq!(told(&found), ["1 OBSERVED Ada E1", "2 OBSERVED Bo E2", "3 OBSERVED - -"]);
    // Another list: who has another name by it is somebody else.
    let mut found = Vec::new();
    site.engine.set_mapping(Arc::new(mapping(2, &[("1", "Eve"), ("3", "Ada")])), at(10), &mut found);
    assert_eq!(told(&found), ["1 REMAPPED Eve E3", "3 REMAPPED Ada E1"]);
    // Whoever shares a name is nobody, whether the feed has it or the list.
    site.now = 20;
    let found = site.found(&[("1", "", "AVAIL"), ("2", "Bo", "AVAIL"), ("3", "", "AVAIL"), ("4", "Eve", "ACD")]);
    assert_eq!(told(&found), ["4 LOGGED_IN Eve -", "1 REMAPPED Eve -"]);
}
