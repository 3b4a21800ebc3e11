//! The process itself, as every client of Prometheus exports it: `process_*`.
//!
//! Written separately from the registry, whose counters are whole numbers: CPU time needs fractions. Read at each scrape,
//! from `/proc`; what that does not say is left out.

use std::fmt::Write as _;

use metrics_process::collector::{self, Metrics as Process};

use super::names::{self, Kind, Metric};

/// Returns the exposition of the process as it is now.
pub(super) fn exposition() -> String {
    let process = collector::collect();
    let mut text = String::new();
    for (metric, value) in samples(&process) {
        let Some(value) = value else { continue };
        let kind = if metric.kind == Kind::Counter { "counter" } else { "gauge" };
        let Metric { name, help, .. } = metric;
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
    }
    text
}

#[allow(clippy::cast_precision_loss)] // bytes of a machine, seconds since 1970
fn samples(process: &Process) -> [(Metric, Option<f64>); 7] {
    let whole = |value: Option<u64>| value.map(|value| value as f64);
    [
        (names::PROCESS_CPU, process.cpu_seconds_total),
        (names::PROCESS_RESIDENT, whole(process.resident_memory_bytes)),
        (names::PROCESS_VIRTUAL, whole(process.virtual_memory_bytes)),
        (names::PROCESS_OPEN_FDS, whole(process.open_fds)),
        (names::PROCESS_MAX_FDS, whole(process.max_fds)),
        (names::PROCESS_START, whole(process.start_time_seconds)),
        (names::PROCESS_THREADS, whole(process.threads)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_cpu_time_count_and_what_is_not_told_is_left_out() {
        let process = Process { cpu_seconds_total: Some(0.25), threads: Some(7), ..Process::default() };
        let told: Vec<_> =
            samples(&process).into_iter().filter_map(|(metric, value)| Some((metric.name, value?))).collect();
        assert_eq!(told, [("process_cpu_seconds_total", 0.25), ("process_threads", 7.0)]);
    }

    #[test]
    fn this_process_has_all_of_them() {
        let text = exposition();
        for (metric, _) in samples(&Process::default()) {
            let sample = text.lines().find_map(|line| line.strip_prefix(metric.name)?.strip_prefix(' '));
            assert!(
                sample.is_some_and(|value| value.parse::<f64>().is_ok_and(|value| value >= 0.0)),
                "{}",
                metric.name
            );
        }
    }
}
