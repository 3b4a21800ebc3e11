//! However the bytes of a moment are cut into reads, the same is published.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::{fs, time::Duration};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use rtalink::capture::{CaptureEntry, Happening};
use rtalink::config;
use rtalink::config::mapping as mapping_files;
use rtalink::config::model::Integration;
use rtalink::engine::Engine;
use rtalink::engine::replay::Replay;
use rtalink::mapping::tables::MappingTables;
use rtalink::wire::plan::Plan;

/// The captures of all scenarios, each with its integration.
fn captures() -> Vec<(Integration, Vec<CaptureEntry>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let config = config::load(&root.join("rtalink.toml"), []).config.unwrap();
    let mut captures = Vec::new();
    for integration in &config.integrations {
        let Ok(folder) = fs::read_dir(root.join(&*integration.id)) else { continue };
        let encoding = integration.realtime.as_ref().unwrap().layout.encoding;
        let mut files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "capture")) {
            let text = fs::read_to_string(file).unwrap();
            let lines = text.lines().filter(|line| line.starts_with('{'));
            captures
                .push((integration.clone(), lines.map(|line| CaptureEntry::parse(line, encoding).unwrap()).collect()));
        }
    }
    captures
}

/// Everything that is found, as text.
fn play(integration: &Integration, entries: impl IntoIterator<Item = CaptureEntry>) -> String {
    let plan = Plan::compile(&integration.realtime.as_ref().unwrap().layout, &integration.time_zone).unwrap();
    let tables = Arc::new(MappingTables { version: 1, ..mapping_files::read(&integration.mapping).unwrap() });
    let engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), tables);
    let mut replay =
        Replay::new(engine, plan, integration.settings.thresholds.snapshot_idle.max(Duration::from_millis(1)));
    let mut findings = Vec::new();
    entries.into_iter().for_each(|entry| replay.play(&entry, &mut findings));
    replay.finish(&mut findings);
    findings.iter().map(|finding| format!("{finding:?}\n")).collect()
}

/// `entry` in pieces, cut where `cuts` say.
fn cut(entry: &CaptureEntry, cuts: &[usize]) -> Vec<CaptureEntry> {
    let Happening::Data(bytes) = &entry.happening else { return vec![entry.clone()] };
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .map(|ends| CaptureEntry { happening: Happening::Data(bytes[ends[0]..ends[1]].to_vec()), ..entry.clone() })
        .filter(|piece| piece.happening != Happening::Data(Vec::new()))
        .collect()
}

proptest! {
    #![proptest_config(Config { cases: 12, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() })]

    #[test]
    fn cutting_the_bytes_otherwise_publishes_the_same(cuts in proptest::collection::vec(0_usize..5_000, 1..8)) {
        for (integration, entries) in captures() {
            let whole = play(&integration, entries.iter().cloned());
            let in_pieces = play(&integration, entries.iter().flat_map(|entry| cut(entry, &cuts)));
            prop_assert_eq!(&whole, &in_pieces, "{}", integration.id);
        }
    }
}

#[test]
fn byte_by_byte_publishes_the_same() {
    for (integration, entries) in captures() {
        let whole = play(&integration, entries.iter().cloned());
        let every: Vec<usize> = (0..20_000).collect();
        let bytes = play(&integration, entries.iter().flat_map(|entry| cut(entry, &every)));
        assert_eq!(whole, bytes, "{}", integration.id);
    }
}
