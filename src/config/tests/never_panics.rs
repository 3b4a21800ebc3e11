//! No text and no environment makes the reader panic.

use proptest::prelude::*;

use super::*;

const EXAMPLE: &str = include_str!("../../../deploy/rtalink.toml");

/// Pieces that make mutations hit more than syntax.
const PIECES: [&str; 16] = [
    "1",
    "-1",
    "\"\"",
    "[]",
    "{}",
    "true",
    "\"x\"",
    "[[integration]]",
    "[kafka]",
    "at = 1",
    "0.5",
    "\"ü\"",
    "\n",
    "=",
    "9223372036854775807",
    "2026-01-05",
];

fn run(text: &str, environment: &[(String, String)]) {
    let loaded = parse(text, Path::new("nowhere/r.toml"), environment.iter().cloned());
    assert_eq!(loaded.config.is_some(), !loaded.problems.iter().any(Problem::is_error));
    loaded.problems.iter().for_each(|problem| drop(problem.to_string()));
}

proptest! {
    #[test]
    fn arbitrary_text(text in "(?s).{0,200}") {
        run(&text, &[]);
    }

    #[test]
    fn mutations_of_the_example(
        cuts in prop::collection::vec((0_usize..8_000, 0_usize..30, prop::sample::select(&PIECES[..])), 1..5)
    ) {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for (start, length, piece) in cuts {
            let start = start.min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, piece.chars());
        }
        run(&text.into_iter().collect::<String>(), &[]);
    }

    #[test]
    fn values_exchanged(line in 0_usize..120, value in prop::sample::select(&PIECES[..])) {
        let exchange = |(number, text): (usize, &str)| match text.split_once(" = ") {
            Some((key, _)) if number == line => format!("{key} = {value}"),
            _ => text.to_owned(),
        };
        let text: Vec<String> = EXAMPLE.lines().enumerate().map(exchange).collect();
        run(&text.join("\n"), &[]);
    }

    #[test]
    fn arbitrary_variables(
        names in prop::collection::vec(("(KAFKA|INTEGRATION|LAYOUT|0|1|REALTIME|ACME|STATES|COLUMNS|SKILLS|_|__|[A-Z_]{0,5}){0,8}", "\\PC{0,12}"), 0..6)
    ) {
        let environment: Vec<_> =
            names.into_iter().map(|(name, value)| (format!("RTALINK__{}", name.replace("_FILE", "")), value)).collect();
        run(EXAMPLE, &environment);
    }
}
