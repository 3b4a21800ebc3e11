//! A restart is a gap like a disconnect: every scenario, cut at every entry, goes on in a new process as it does after all
//! connections have broken.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::Duration;

use rtalink::config::model::Config;
use rtalink::contract::saved;
use rtalink::time::Timestamp;
use rtalink::tracker::saved::SavedAgent;
use rtalink::tracker::settings::FeedMode;

use super::player::{Agents, Player, lines, load_config, scenarios};

fn is_delta(config: &Config, id: &str) -> bool {
    config
        .integrations
        .iter()
        .any(|integration| *integration.id == *id && integration.settings.fixed.mode == FeedMode::Delta)
}

/// Calls `test` with the name, integration and lines of every scenario.
fn for_each_scenario(mut test: impl FnMut(&Config, &str, &str, &[&str])) {
    let config = load_config();
    for (name, path) in scenarios() {
        let (id, _) = name.split_once('/').unwrap();
        let capture = fs::read_to_string(path).unwrap();
        let entries: Vec<&str> = lines(&capture).collect();
        test(&config, &name, id, &entries);
    }
}

fn time_of(line: &str) -> Timestamp {
    let (_, rest) = line.split_once("\"at\":\"").unwrap();
    Timestamp::parse_rfc3339(rest.split_once('"').unwrap().0).unwrap()
}

/// What the process publishes after the cut.
fn go_on(mut player: Player<'_>, entries: &[&str]) -> String {
    player.text.clear();
    entries.iter().for_each(|line| player.play(line));
    player.finish();
    player.text
}

/// Less what only one process knows: numbers of connections, earlier takeovers, for how long a feed has said nothing, and who
/// was absent before they came.
fn comparable(text: &str, with_last_seen: bool) -> String {
    let mut comparable = String::new();
    let of_one_process = ["feed FLAPPING", "feed UNREADABLE", "feed NO_SNAPSHOT"];
    let is_of_both =
        |line: &&str| !of_one_process.iter().any(|end| line.ends_with(end)) && !line.contains("close connection");
    for line in text.lines().filter(is_of_both) {
        let is_first_sight = line.contains(" OBSERVED ") || (line.contains(" LOGGED_IN ") && !line.contains(" -> "));
        let mut line = line.to_owned();
        if is_first_sight {
            line = line.replace(" LOGGED_IN ", " OBSERVED ").replace(" WITHIN_REFRESH", " AFTER_GAP");
        }
        if !with_last_seen && let Some((before, rest)) = line.clone().split_once(", seen ") {
            line = format!("{before}{}", rest.trim_start_matches(|c| c != ')'));
        }
        comparable.push_str(&line);
        comparable.push('\n');
    }
    comparable
}

fn all_of(player: &Player<'_>) -> Agents {
    let engine = player.engine();
    let all = engine.tracker().table().indices().map(|index| engine.saved(index));
    all.map(|(saved, published)| ((saved.acd, saved.login_id.clone()), (saved, published))).collect()
}

#[test]
fn a_restart_publishes_what_a_disconnect_does() {
    let mut compared = 0;
    for_each_scenario(|config, name, id, entries| {
        for cut in 1..entries.len() {
            let at = time_of(entries[cut - 1]);
            let begin = || {
                let mut player = Player::new(config, id);
                entries[..cut].iter().for_each(|line| player.play(line));
                player
            };
            let mut disconnected = begin();
            // Who is present by a bad record counts as seen.
            let with_last_seen = !disconnected.text.contains("dead-letter");
            disconnected.text.clear();
            if is_delta(config, id) && disconnected.engine().tracker().link_is_down() {
                // Who had a readable record when the link went down is not remembered.
                continue;
            }
            if disconnected.engine().tracker().strangers() > 0 {
                // Neither is in how many snapshots in a row somebody was who has had no valid record yet.
                continue;
            }
            disconnected.disconnect(at);
            if disconnected.engine().session().probes() > 0 {
                // Neither is how many were told, nor since when nobody has told anything.
                continue;
            }
            if disconnected.text.contains("dead-letter") {
                // Half a record was read: a process that dies does not know of it.
                continue;
            }
            let wanted = go_on(disconnected, &entries[cut..]);
            let mut restarted = begin();
            let exact = all_of(&restarted);
            restarted.restart(exact, at);
            let found = go_on(restarted, &entries[cut..]);
            let comparable_here = |text: &str| comparable(text, with_last_seen);
            assert_eq!(comparable_here(&found), comparable_here(&wanted), "{name} cut after {cut}");
            let mut stored = begin();
            stored.restart(stored.stored.clone(), at);
            let found = go_on(stored, &entries[cut..]);
            assert_eq!(comparable(&found, false), comparable(&wanted, false), "{name} cut after {cut}, as stored");
            compared += 1;
        }
    });
    assert!(compared > 500, "{compared}");
}

/// Less what may move without being stored.
fn settled(saved: &SavedAgent, is_snapshot_mode: bool) -> SavedAgent {
    let last_seen = if is_snapshot_mode { Timestamp::default() } else { saved.last_seen };
    let moves = |at: Option<Timestamp>| at.map(|_| Timestamp::default());
    SavedAgent { last_seen, start: moves(saved.start), state_seen: moves(saved.state_seen), ..saved.clone() }
}

#[test]
fn what_changes_is_said_to_have_changed() {
    for_each_scenario(|config, name, id, entries| {
        let integration = config.integrations.iter().find(|integration| *integration.id == *id).unwrap();
        let is_snapshot_mode = integration.settings.fixed.mode == FeedMode::Snapshot;
        let mut player = Player::new(config, id);
        for line in entries {
            player.play(line);
            let live = all_of(&player);
            assert_eq!(live.len(), player.stored.len(), "{name}: {line}");
            for (key, (agent, published)) in &live {
                let read = saved::decode_agent(&saved::encode_agent(agent, published.as_ref(), None)).unwrap();
                assert_eq!((&read.agent, &read.published), (agent, published), "{name}: {line}");
                let (stored, stored_published) = &player.stored[key];
                assert_eq!(settled(stored, is_snapshot_mode), settled(agent, is_snapshot_mode), "{name}: {line}");
                assert_eq!(stored_published, published, "{name}: {line}");
                let (was, is) = (stored.start.unwrap_or_default(), agent.start.unwrap_or_default());
                let moved = was.since(is).max(is.since(was));
                assert!(moved <= integration.settings.thresholds.restart_tolerance, "{name}: {line}");
            }
        }
    });
}

const FIRST: &str = r#"{"at":"2026-01-05T08:00:01.000Z","text":"0471|AVAIL|\n0472|AVAIL|\nEND\n"}"#;
const SAME: &str = r#"{"at":"2026-01-05T08:00:04.000Z","text":"0471|AVAIL|\n0472|AVAIL|\nEND\n"}"#;
const LATER: &str = r#"{"at":"2026-01-05T08:00:07.000Z","text":"0471|AVAIL|\n0472|ACD|\nEND\n"}"#;

#[test]
fn who_has_changed_is_named_once() {
    let config = load_config();
    let mut player = Player::new(&config, "marker");
    let mut changed = |line: Option<&str>| {
        let before = player.stored.clone();
        line.into_iter().for_each(|line| player.play(line));
        let after = std::mem::take(&mut player.stored);
        let names = after.iter().filter(|(key, stored)| before.get(*key) != Some(*stored));
        let names: Vec<String> = names.map(|((_, login_id), _)| login_id.to_string()).collect();
        player.stored = after;
        names.join(" ")
    };
    assert_eq!(changed(Some(FIRST)), "0471 0472");
    assert_eq!(changed(Some(SAME)), "");
    assert_eq!(changed(Some(LATER)), "0472");
    let engine = player.engine_mut();
    assert!(engine.take_changed().is_empty());
    engine.mark_all_changed();
    engine.mark_all_changed();
    assert_eq!(engine.take_changed(), [0, 1]);
    assert!(engine.take_changed().is_empty());
}

#[track_caller]
fn assert_nothing_changed_in_silence(player: &Player<'_>) {
    for (key, (agent, _)) in &all_of(player) {
        assert_eq!(settled(&player.stored[key].0, true), settled(agent, true));
    }
}

#[test]
fn another_layout_changes_nothing_in_silence() {
    let config = load_config();
    let other = |id: &str| config.integrations.iter().find(|integration| *integration.id == *id).unwrap();
    let mut player = Player::new(&config, "timed");
    player.play(r#"{"at":"2026-01-05T08:00:01.000Z","text":"0471|AVAIL|||10||\nEND\n"}"#);
    for id in ["timed", "marker", "timed"] {
        player.receive_as(other(id), "", time_of(LATER));
        assert_nothing_changed_in_silence(&player);
        // What one that tells no starts is given when it takes over.
        let mut restored = Player::new(&config, "marker");
        let feed = player.engine().saved_feed();
        restored.engine_mut().restore(all_of(&player).into_values(), &feed);
        assert_eq!(all_of(&restored), all_of(&player), "{id}");
    }
}

#[test]
fn what_a_record_told_while_it_waits_is_dropped_by_nothing_in_silence() {
    let config = load_config();
    let timed = |at: &str, text: &str| format!(r#"{{"at":"2026-01-05T08:00:{at}.000Z","text":"{text}"}}"#);
    // The start of the state was told as a duration, and then, in an open snapshot, as a time.
    let before = [timed("01", "0471|AVAIL|||10||\\nEND\\n"), timed("04", "0471|AVAIL|||13||1767599991\\n")];
    let others = ["0471|AVAIL|||13||\\n", "0471|UNKNOWN|||1||\\n", "0471|AVAIL|||||\\n", "0471|ACD|||1||\\n", "END\\n"];
    for other in others {
        let mut player = Player::new(&config, "timed");
        before.iter().for_each(|line| player.play(line));
        assert!(all_of(&player).values().all(|(agent, _)| agent.told_start.is_some()), "it waits");
        player.play(&timed("05", other));
        assert_nothing_changed_in_silence(&player);
    }
    for layout in ["marker", "stamped"] {
        let other = config.integrations.iter().find(|integration| *integration.id == *layout).unwrap();
        let mut player = Player::new(&config, "timed");
        before.iter().for_each(|line| player.play(line));
        player.receive_as(other, "", time_of(LATER));
        assert_nothing_changed_in_silence(&player);
    }
    // Of somebody of whom nothing else is known.
    for other in ["0471|UNKNOWN|||1||\\n", "0471|AVAIL|||||\\n"] {
        let mut player = Player::new(&config, "timed");
        player.play(&timed("01", "0471|AVAIL|||10||\\n"));
        player.play(&timed("02", other));
        assert_nothing_changed_in_silence(&player);
    }
}

#[test]
fn other_thresholds_change_what_is_remembered() {
    let config = load_config();
    let mut player = Player::new(&config, "timed");
    player.play(r#"{"at":"2026-01-05T08:00:01.000Z","text":"0471|AVAIL|||10||1767599990\nEND\n"}"#);
    // An older version has not saved when the state was seen.
    player.stored.values_mut().for_each(|(agent, _)| agent.state_seen = None);
    player.restart(player.stored.clone(), time_of(SAME));
    player.play(r#"{"at":"2026-01-05T08:10:00.000Z","text":"0471|AVAIL|||60||1767600540\n"}"#);
    assert_nothing_changed_in_silence(&player);
    assert_eq!(all_of(&player).values().next().unwrap().0.state_seen, None, "it shows a re-entry");
    let mut settings = player.engine().tracker().settings().clone();
    settings.thresholds.restart_tolerance = Duration::from_secs(3_600);
    player.set_thresholds(settings.thresholds);
    assert_nothing_changed_in_silence(&player);
    assert!(all_of(&player).values().all(|(agent, _)| agent.state_seen.is_some()), "it shows none any more");
}

#[test]
fn of_a_key_that_comes_twice_the_later_memory_counts() {
    let config = load_config();
    let mut player = Player::new(&config, "marker");
    player.play(FIRST);
    let earlier: Vec<_> = all_of(&player).into_values().collect();
    player.play(LATER);
    let later: Vec<_> = all_of(&player).into_values().collect();
    let feed = player.engine().saved_feed();
    let mut restarted = Player::new(&config, "marker");
    restarted.engine_mut().restore(earlier.into_iter().chain(later.clone()), &feed);
    let seen_at = time_of(LATER);
    for (found, wanted) in all_of(&restarted).into_values().zip(later) {
        assert_eq!(found, (SavedAgent { last_seen: seen_at, ..wanted.0 }, wanted.1));
    }
    assert_eq!(restarted.engine().tracker().table().len(), 2);
    assert_eq!(restarted.engine().tracker().table().logged_in(), 2);
    assert_eq!(restarted.engine().saved_feed().gap_from, feed.last_valid);
    assert!(restarted.engine_mut().take_changed().is_empty());
}

#[test]
fn a_feed_that_was_lost_while_no_process_ran_is_given_up_when_one_does() {
    let config = load_config();
    let mut player = Player::new(&config, "lost");
    player.play(FIRST);
    let stored = player.stored.clone();
    let next_day = Timestamp::parse_rfc3339("2026-01-06T07:00:00Z").unwrap();
    player.text.clear();
    player.restart(stored, next_day);
    let unknown =
        "CHANGED AVAIL (since 08:00:01.000, seen 08:00:01.000) -> UNKNOWN since 08:00:01.000 AFTER_GAP afterGap";
    assert_eq!(player.text, format!("07:00:00.000 1/0471 #2 {unknown}\n07:00:00.000 1/0472 #2 {unknown}\n"));
    assert_eq!(player.engine().next_deadline(), None);
}
