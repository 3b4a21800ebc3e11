//! `capture --pseudonymise`: a replay gives the same events but for who they are about, and nobody is left in the bytes.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rtalink::capture::pseudonym::Pseudonyms;
use rtalink::capture::pseudonymise::{MaskedCounts, Pseudonymiser};
use rtalink::capture::{CaptureEntry, Happening};
use rtalink::config::{self, model::Config};
use rtalink::contract::v1;
use rtalink::engine::replay::Replay;
use rtalink::engine::{Engine, Finding};
use rtalink::kafka::encode::Encoder;
use rtalink::mapping::tables::{Activity, IdentifyBy, MappingTables};
use rtalink::time::Timestamp;
use rtalink::wire::plan::Plan;

use crate::support::{bytes, player};

const KEY: &[u8] = b"the key of these tests";

fn pseudonymised(plan: &Arc<Plan>, entries: &[CaptureEntry]) -> (Vec<CaptureEntry>, MaskedCounts) {
    let mut pseudonymiser = Pseudonymiser::new(Arc::clone(plan), Pseudonyms::new(KEY));
    let mut out = Vec::new();
    for entry in entries {
        pseudonymiser.push(entry.clone(), &mut out).unwrap();
    }
    pseudonymiser.finish(&mut out);
    (out, pseudonymiser.counts())
}

/// What an integration of that name publishes; nobody is mapped.
fn events(config: &Config, id: &str, plan: &Arc<Plan>, entries: &[CaptureEntry]) -> Vec<v1::AgentStateEvent> {
    let integration = config.integrations.iter().find(|integration| *integration.id == *id).unwrap();
    let tables = MappingTables {
        version: 1,
        identify_by: IdentifyBy::LoginId,
        users: std::collections::HashMap::new(),
        scoped: Default::default(),
        names: Default::default(),
        activities: std::collections::HashMap::new(),
        default_activity: Arc::new(Activity { activity_id: "1".to_owned(), activity_name: String::new() }),
    };
    let engine = Engine::new(integration.settings.clone(), Arc::clone(plan), Arc::new(tables));
    let mut replay = Replay::new(engine, Arc::clone(plan), integration.settings.thresholds.snapshot_idle);
    let mut findings = Vec::new();
    entries.iter().for_each(|entry| replay.play(entry, &mut findings));
    replay.finish(&mut findings);
    let encoder = Encoder::new(Arc::clone(&integration.id), config::model::Format::Json);
    let event = |finding: Finding| match finding {
        Finding::Event(event, annotation) => Some(encoder.event(&event, &annotation).unwrap()),
        _ => None,
    };
    findings.into_iter().filter_map(event).collect()
}

/// An event without those whom it is about.
fn anonymous(event: &v1::AgentStateEvent) -> v1::AgentStateEvent {
    let mut event = event.clone();
    for text in [&mut event.event_id, &mut event.login_id, &mut event.external_user] {
        text.clear();
    }
    // Whether there was one counts.
    for text in [&mut event.agent_name, &mut event.location] {
        *text = text.is_empty().to_string();
    }
    for state in [&mut event.state, &mut event.previous].into_iter().flatten() {
        state.extension = state.extension.is_empty().to_string();
        if !state.recognised {
            state.raw_state = state.raw_state.len().to_string();
        }
    }
    for key in [&mut event.external_activity, &mut event.previous_external_activity] {
        if let Some((unknown, raw)) = key.clone().split_once(':').filter(|(mode, _)| *mode == "UNKNOWN") {
            *key = format!("{unknown}:{}", raw.len());
        }
    }
    event
}

#[test]
fn a_replay_gives_the_same_events_of_others() {
    let config = player::load_config();
    let mut seen = 0;
    let mut total = MaskedCounts::default();
    for (name, path) in player::scenarios() {
        let (id, _) = name.split_once('/').unwrap();
        let realtime = config.integrations.iter().find(|integration| *integration.id == *id).unwrap();
        let layout = &realtime.realtime.as_ref().unwrap().layout;
        let plan = Plan::compile(layout, &realtime.time_zone).unwrap();
        let text = fs::read_to_string(path).unwrap();
        let lines = player::lines(&text).filter(|line| !line.contains("\"restart\":true"));
        let entries: Vec<CaptureEntry> =
            lines.map(|line| CaptureEntry::parse(line, layout.encoding).unwrap()).collect();
        let (others, counts) = pseudonymised(&plan, &entries);
        assert_eq!(counts.changed, 0, "{name}");
        assert_eq!(shape(&others), shape(&entries), "{name}: times and lengths");
        let [before, after] = [&entries, &others].map(|entries| events(&config, id, &plan, entries));
        let [told, expected] = [&after, &before].map(|events| events.iter().map(anonymous).collect::<Vec<_>>());
        assert_eq!(told, expected, "{name}");
        let mut pseudonyms: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (before, after) in before.iter().zip(&after) {
            pseudonyms.entry(&before.login_id).or_default().insert(&after.login_id);
        }
        let all: BTreeSet<&str> = pseudonyms.values().flatten().copied().collect();
        assert!(
            pseudonyms.values().all(|one| one.len() == 1) && all.len() == pseudonyms.len(),
            "{name}: {pseudonyms:?}"
        );
        seen += before.len();
        total.records += counts.records;
        total.lines += counts.lines;
        total.broken += counts.broken;
    }
    assert!(seen > 150 && total.records > 400 && total.lines > 50 && total.broken > 5, "{seen} events, {total:?}");
}

/// Times, kinds and lengths.
fn shape(entries: &[CaptureEntry]) -> Vec<(Timestamp, u64, usize)> {
    let length = |happening: &Happening| if let Happening::Data(bytes) = happening { bytes.len() } else { 0 };
    entries.iter().map(|entry| (entry.at, entry.connection, length(&entry.happening))).collect()
}

fn config_of(layout: &str) -> String {
    format!(
        "[kafka]\nbootstrap_servers = \"embedded\"\n[[integration]]\nid = \"case\"\nkind = \"avaya-cms\"\nacd = 1\n\
         time_zone = \"Europe/Berlin\"\n[integration.realtime]\nport = 7001\nbind = \"127.0.0.1\"\nlayout = \"case\"\n\
         snapshot_end = \"idle\"\n[layout.case]\n{layout}"
    )
}

/// The bytes in chunks of `length`.
fn chunks(bytes: &[u8], length: usize) -> Vec<CaptureEntry> {
    let at = Timestamp::parse_rfc3339("2026-01-05T08:00:00Z").unwrap();
    bytes
        .chunks(length)
        .map(|chunk| CaptureEntry { at, connection: 0, happening: Happening::Data(chunk.to_vec()) })
        .collect()
}

fn joined(entries: &[CaptureEntry]) -> Vec<u8> {
    let data =
        |entry: &CaptureEntry| if let Happening::Data(bytes) = &entry.happening { bytes.clone() } else { Vec::new() };
    entries.iter().flat_map(data).collect()
}

#[test]
fn every_kind_of_layout_keeps_its_shape_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decode");
    let layouts = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut changed = Vec::new();
    let mut records = 0;
    for path in layouts.filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let toml = config_of(&fs::read_to_string(&path).unwrap());
        let config = config::parse(&toml, &path, []).config.unwrap();
        let layout = &config.integrations[0].realtime.as_ref().unwrap().layout;
        let plan = Plan::compile(layout, "Europe/Berlin").unwrap();
        let input = bytes::of(&fs::read_to_string(path.with_extension("input")).unwrap());
        let (whole, counts) = pseudonymised(&plan, &chunks(&input, input.len().max(1)));
        for length in [1, 7, 100] {
            let (cut, of_cut) = pseudonymised(&plan, &chunks(&input, length));
            assert_eq!(shape(&cut), shape(&chunks(&input, length)), "{name}");
            assert_eq!((joined(&cut), of_cut), (joined(&whole), counts), "{name} in chunks of {length}");
        }
        let [before, after] =
            [chunks(&input, 64), chunks(&joined(&whole), 64)].map(|entries| events(&config, "case", &plan, &entries));
        let [told, expected] = [&after, &before].map(|events| events.iter().map(anonymous).collect::<Vec<_>>());
        if counts.changed > 0 {
            changed.push(name);
        } else {
            assert_eq!(told, expected, "{name}");
        }
        records += counts.records;
    }
    assert!(changed.is_empty() && records > 80, "{changed:?}, {records} records");
}

/// Everything that may hold a name does, in a layout with every kind of place for it.
const LAYOUT: &str = r##"
separator = "|"
quote = "\""
skip = ["^# [a-z]+", "^$"]
marker = "^END.*done"
columns = ["login_id", "name", "state", "aux_reason", "extension", "-", "location", { field = "work_split", null = ["0"] }]
states = "cms-names"
extra_fields = "ignore"
"##;

const SECRETS: [&str; 13] = [
    "301204",
    "Lovelace",
    "Ada",
    "801326",
    "Ehrenfeld",
    "Turing",
    "Grace",
    "Hopper",
    "Joan",
    "Clarke",
    "Murray",
    "Böhm",
    "4711",
];

#[test]
fn nobody_is_left() {
    let feed = [
        "301204|\"Lovelace, Ada\"|AVAIL||801326|Turing|Ehrenfeld|232|Grace|4711",
        "301205|Clarke, Joan|AUX|3|801327|||0",
        "# list of Hopper, Grace (4711)",
        "END of Murray's shift done",
        "301204|Lovelace|Hopper|3|801326|Turing|Ehrenfeld|232",
        "301204|Böhm, Ada|AVAIL|Turing|801326",
        "Lovelace, Ada has no separator 301204 801326",
        "301206|\"Hopper|AVAIL",
        "301207|Murray|AVAIL|x\u{0}4711|",
        "",
        "301208|Joan|AVAIL|1|80",
    ];
    let input = feed.join("\n").into_bytes();
    let path = Path::new("nowhere/rtalink.toml");
    let config = config::parse(&config_of(LAYOUT), path, []).config.unwrap();
    let plan = Plan::compile(&config.integrations[0].realtime.as_ref().unwrap().layout, "Europe/Berlin").unwrap();
    let (others, counts) = pseudonymised(&plan, &chunks(&input, 10));
    let text = String::from_utf8_lossy(&joined(&others)).into_owned();
    let left: Vec<&str> = SECRETS.into_iter().filter(|secret| text.contains(secret)).collect();
    assert_eq!(left, Vec::<&str>::new(), "{text}");
    assert_eq!((counts.records, counts.lines, counts.broken, counts.changed), (3, 3, 5, 0), "{text}");
    let kept: Vec<&str> = text.lines().map(|line| line.split('|').nth(2).unwrap_or(line)).collect();
    insta::assert_snapshot!(kept.join("\n"), @r"
    AVAIL
    AUX
    # xxxx xx Xxxxxx, Xxxxx (0000)
    END xx Xxxxxx'x xxxxx done
    vrwdqg
    XXXXX
    Xxxxxxxx, Xxx xxx xx xxxxxxxxx 000000 000000
    XXXXX
    XXXXX

    XXXXX
    ");
}

#[test]
fn words_of_the_site_and_what_nobody_sees_stay() {
    let layout = "separator = \"|\"\nquote = \"'\"\ncolumns = [\"login_id\", \"state\", \"aux_reason\", \"direction\", \"name\"]\n\
                  states = \"cms-names\"\naux_reasons = { Pause = 3, \"Zu Tisch\" = 4 }\ndirections = { ein = \"in\" }\n";
    let feed = [
        "\u{feff}\u{a0}301204\u{a0}|AUX|Pause|ein|Ada",
        "\u{c}301204|AUX|'Zu Tisch'|ein|Ada",
        "\u{c}\u{c}'  301204 '|AUX|3|in|Ada",
        "\u{a0}|AUX|3|in|Ada",
        "3012\u{200b}04|AUX|Pause|ein|Ada",
        "",
    ];
    let config = config::parse(&config_of(layout), Path::new("rtalink.toml"), []).config.unwrap();
    let plan = Plan::compile(&config.integrations[0].realtime.as_ref().unwrap().layout, "UTC").unwrap();
    let feed = feed.join("\n").into_bytes();
    for length in [1, 7, feed.len()] {
        let (entries, counts) = pseudonymised(&plan, &chunks(&feed, length));
        assert_eq!((counts.records, counts.broken, counts.changed), (3, 2, 0));
        let masked = String::from_utf8(joined(&entries)).unwrap();
        let lines: Vec<&str> = masked.lines().collect();
        let id = lines[1].trim_start_matches('\u{c}').split('|').next().unwrap();
        assert!(id != "301204" && id.len() == 6 && !masked.contains("3012") && !masked.contains("Ada"), "{masked}");
        let name = lines[1].rsplit('|').next().unwrap();
        let expected = [
            format!("\u{feff}\u{a0}{id}\u{a0}|AUX|Pause|ein|{name}"),
            format!("\u{c}{id}|AUX|'Zu Tisch'|ein|{name}"),
            format!("\u{c}\u{c}'  {id} '|AUX|3|in|{name}"),
        ];
        assert_eq!(lines[..3], expected, "{masked:?}");
    }
}

#[test]
fn where_a_connection_came_from_is_left_out() {
    let config = player::load_config();
    let plan = Plan::compile(&config.integrations[0].realtime.as_ref().unwrap().layout, "UTC").unwrap();
    let at = Timestamp::parse_rfc3339("2026-01-05T08:00:00Z").unwrap();
    let open = CaptureEntry {
        at,
        connection: 0,
        happening: Happening::Open { peer: "10.1.2.3:40000".to_owned(), encoding: None },
    };
    let (others, _) = pseudonymised(&plan, &[open]);
    assert_eq!(
        others,
        [CaptureEntry { at, connection: 0, happening: Happening::Open { peer: String::new(), encoding: None } }]
    );
}

#[test]
fn so_much_waits_behind_half_a_record() {
    const MEGABYTE: usize = 1 << 20;
    let plan = Plan::compile(&rtalink::wire::layout::builtin::get("cisco-icm-20").unwrap(), "UTC").unwrap();
    let mut pseudonymiser = Pseudonymiser::new(plan, Pseudonyms::new(KEY));
    let mut push = |connection, bytes: Vec<u8>| {
        let entry = CaptureEntry { at: Timestamp::from_millis(0), connection, happening: Happening::Data(bytes) };
        pseudonymiser.push(entry, &mut Vec::new())
    };
    push(1, b"301204 20".to_vec()).unwrap();
    let taken = (0..100).take_while(|_| push(2, vec![b'7'; MEGABYTE]).is_ok()).count();
    assert_eq!(taken, 63, "of 64 MiB, less the half record");
    let told = push(2, b"7".to_vec()).unwrap_err().to_string();
    assert!(told.starts_with("connection 1 has sent half a record"), "{told}");
}

/// Where a login id could become somebody else's in the next record, the record is filler, and that is told.
#[test]
fn who_cannot_be_told_for_certain_is_nobody() {
    let fixed = "columns = [{ field = \"login_id\", at = 0, width = 6 }, { field = \"location\", at = 4, width = 6 }, \
                 { field = \"state\", at = 10, width = 5 }]\nstates = \"cms-names\"";
    let cases = [
        // A doubled quote: the same id can be spelled without.
        (LAYOUT, "\"30\"\"1\"|Ada|AVAIL||801326|Turing|Ehrenfeld|232\n", 1),
        (LAYOUT, "\"301204\"|Ada|AVAIL||801326|Turing|Ehrenfeld|232\n", 0),
        // Columns that share bytes.
        (fixed, "301204KoelAVAIL\n", 1),
        (&fixed.replace("at = 4, width = 6", "at = 6, width = 4"), "301204KoelAVAIL\n", 0),
    ];
    for (layout, feed, changed) in cases {
        let config = config::parse(&config_of(layout), Path::new("rtalink.toml"), []).config.unwrap();
        let plan = Plan::compile(&config.integrations[0].realtime.as_ref().unwrap().layout, "UTC").unwrap();
        let (entries, counts) = pseudonymised(&plan, &chunks(feed.as_bytes(), feed.len()));
        assert_eq!(counts.changed, changed, "{feed}");
        let masked = String::from_utf8(joined(&entries)).unwrap();
        assert!(!masked.contains("3012") && !masked.contains("Ada"), "{masked}");
    }
}
