//! What the demo says at its end.

use std::fmt;
use std::time::Duration;

use crate::tracker::event::Cause;

use super::Figures;
use super::latencies::Latencies;

/// What has come of the demo.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    pub(super) took: Duration,
    pub(super) snapshots: u64,
    pub(super) agents: u32,
    pub(super) figures: Figures,
    pub(super) lost: usize,
    pub(super) latencies: &'a Latencies,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { records, events, causes, .. } = self.figures;
        writeln!(f, "{} agents, {} snapshots in {:.1} s", self.agents, self.snapshots, self.took.as_secs_f64())?;
        writeln!(f, "  records  {records}")?;
        writeln!(f, "  events   {events}")?;
        for (cause, count) in Cause::ALL.iter().zip(causes).filter(|(_, count)| *count > 0) {
            writeln!(f, "    {:<12} {count}", cause.name())?;
        }
        let [p50, p99] = [0.5, 0.99].map(|quantile| self.latencies.later(quantile));
        writeln!(f, "  latency  p50 {p50}, p99 {p99}   (socket read to Kafka's acknowledgement)")?;
        let [p50, p99] = [0.5, 0.99].map(|quantile| self.latencies.first(quantile));
        writeln!(f, "           p50 {p50}, p99 {p99}   (first snapshot: everybody at once, Kafka not yet connected)")?;
        writeln!(f, "  lost {}", self.lost)
    }
}
