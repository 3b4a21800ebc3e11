//! Cases in turn, round by round: machines are shared and drift, so that only what has run side by side is compared, by the
//! median of its rounds.
#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::time::{Duration, Instant};

/// Something to be measured.
pub(crate) struct Case<'a> {
    /// What it is called in the table.
    name: String,
    /// The case that it is compared with.
    floor: usize,
    run: Box<dyn FnMut() + 'a>,
    times: Vec<Duration>,
}

/// Cases that are measured together.
#[derive(Default)]
pub(crate) struct Cases<'a> {
    cases: Vec<Case<'a>>,
}

impl<'a> Cases<'a> {
    /// Adds a floor: what follows is compared with it.
    pub(crate) fn floor(&mut self, name: impl Into<String>, run: impl FnMut() + 'a) {
        let floor = self.cases.len();
        self.add(name.into(), floor, run);
    }

    /// Adds a case, compared with the last floor.
    pub(crate) fn case(&mut self, name: impl Into<String>, run: impl FnMut() + 'a) {
        let floor = self.cases.last().map_or(0, |last| last.floor);
        self.add(name.into(), floor, run);
    }

    fn add(&mut self, name: String, floor: usize, run: impl FnMut() + 'a) {
        self.cases.push(Case { name, floor, run: Box::new(run), times: Vec::new() });
    }

    /// Measures them, and prints what each takes for one of `per` that it does in a round. Returns the medians in nanoseconds.
    pub(crate) fn print(mut self, title: &str, rounds: usize, per: usize) -> Vec<f64> {
        for round in 0..=rounds {
            for case in &mut self.cases {
                let begin = Instant::now();
                (case.run)();
                // The first round warms up.
                if round > 0 {
                    case.times.push(begin.elapsed());
                }
            }
        }
        println!("\n{title}");
        let medians: Vec<f64> = self.cases.iter_mut().map(|case| median(&mut case.times) / per as f64).collect();
        for (case, nanos) in self.cases.iter().zip(&medians) {
            println!("  {:<58} {nanos:>10.1} ns {:>8.2} x", case.name, nanos / medians[case.floor]);
        }
        medians
    }
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64
}
