//! Configuration: any text, and any environment over it.
//!
//! * nothing brings the reader down, and every problem can be told;
//! * there is a configuration exactly where no problem is an error, and the same text says the same again;
//! * **what `check` accepts can be run**: its layouts compile, with the time zone of each integration, and cut and decode a
//!   few bytes without harm.
#![no_main]

use std::path::Path;

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use rtalink::config::{self, Loaded, Problem};
use rtalink::time::Timestamp;
use rtalink::wire::decode::Decoder;
use rtalink::wire::framing::{Framer, Piece, Run};
use rtalink::wire::layout::LayoutSpec;
use rtalink::wire::plan::Plan;

fn parse(text: &str, environment: &[(String, String)]) -> Loaded {
    config::parse(text, Path::new("nowhere/rtalink.toml"), environment.iter().cloned())
}

fn use_layout(layout: &LayoutSpec, zone: &str) {
    let plan = Plan::compile(layout, zone).unwrap_or_else(|error| panic!("accepted, but cannot be run: {error}"));
    let mut framer = Framer::default();
    let mut buffer = BytesMut::from(&b"301204 20 0 0 0 0 0 1 801326|\"x\"|1\r\n\n#|,;"[..]);
    let mut decoder = Decoder::default();
    while let Some(piece) = framer.next(plan.ends(), &mut buffer) {
        let (Piece::Records(run) | Piece::TooLong(run)) = piece;
        for frame in plan.ends().records(&run) {
            let _ = plan.lines().classify(frame.bytes);
            let _ = decoder.decode(&plan, frame.bytes, Timestamp::from_millis(0));
        }
    }
    let rest = Run { bytes: Bytes::from_static(b"301204 20"), offset: 0 };
    let _ = decoder.identify(&plan, &rest.bytes, false);
    let _ = framer.finish(&mut buffer);
}

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    // Behind a NUL: variables, one a line.
    let (text, variables) = text.split_once('\0').unwrap_or((&text, ""));
    let variables: Vec<(String, String)> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        // `_FILE` would read files of this machine.
        .filter(|(name, _)| !name.ends_with("_FILE"))
        .map(|(name, value)| (format!("RTALINK__{name}"), value.to_owned()))
        .collect();
    let loaded = parse(text, &variables);
    assert_eq!(loaded.config.is_some(), !loaded.problems.iter().any(Problem::is_error));
    let told = |loaded: &Loaded| loaded.problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    let problems = told(&loaded);
    assert!(problems.iter().all(|problem| !problem.is_empty()));
    let again = parse(text, &variables);
    assert_eq!(problems, told(&again));
    assert_eq!(format!("{:?}", loaded.config), format!("{:?}", again.config));
    let Some(config) = &loaded.config else { return };
    for integration in &config.integrations {
        if let Some(realtime) = &integration.realtime {
            use_layout(&realtime.layout, &integration.time_zone);
        }
    }
    config.layouts.values().for_each(|layout| use_layout(layout, "UTC"));
});
