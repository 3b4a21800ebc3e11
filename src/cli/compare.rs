//! `replay --summary --compare`: the minutes of a capture beside those of a CMS agent report of the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use crate::config::file;
use crate::wire::states::Mode;

use super::agent_report::{AgentReport, Figure};
use super::paragraphs::{paragraph, plural};
use super::summary::{Spell, Spent, SpentTimes, minutes};

/// Minutes up to which two figures are alike: a report that is run every few seconds is no more exact.
const ALIKE: f64 = 1.0;

/// Times of the capture, by login id.
type CaptureTimes = BTreeMap<String, BTreeMap<Figure, Duration>>;

/// Both, side by side.
pub(super) struct Comparison {
    report: AgentReport,
    times: CaptureTimes,
    /// Login ids of the report that are in the capture with leading zeros.
    near: usize,
    /// Time in the capture for which the report has no column.
    without_column: BTreeMap<Figure, Duration>,
}

/// Reads the report.
pub(super) fn read(path: &Path) -> anyhow::Result<AgentReport> {
    let name = path.display().to_string();
    let bytes = file::read(path, file::LARGEST_MAPPING)
        .map_err(|error| anyhow!("cannot read {name}: {}", file::reason(&error)))?;
    AgentReport::parse(&bytes).context(name)
}

/// The figures that time in a state belongs to.
fn figures((mode, reason): Spell) -> impl Iterator<Item = Figure> {
    let reason = reason.filter(|_| mode == Mode::Aux).map(Figure::Reason);
    [Some(Figure::Staffed), Some(Figure::mode(mode)), reason].into_iter().flatten()
}

impl Comparison {
    /// Puts both together.
    pub(super) fn new(spent: &SpentTimes, mut report: AgentReport) -> Self {
        let mut times = CaptureTimes::new();
        let mut without_column: BTreeMap<Figure, Duration> = BTreeMap::new();
        let has_reasons = report.figures.iter().any(|figure| matches!(figure, Figure::Reason(_)));
        for (((_, login_id), spell), Spent { all, .. }) in spent {
            let of_agent = times.entry(login_id.to_string()).or_default();
            for figure in figures(*spell) {
                *of_agent.entry(figure).or_default() += *all;
                // A report without reasons has none missing.
                let is_asked_for = has_reasons || !matches!(figure, Figure::Reason(_));
                if is_asked_for && !report.figures.contains(&figure) && !all.is_zero() {
                    *without_column.entry(figure).or_default() += *all;
                }
            }
        }
        let near = find_without_zeros(&mut report, &times);
        Self { report, times, near, without_column }
    }

    /// Writes a table, tab-separated, with a header: a row per agent and column of the report in which there is any time.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "login_id\tcolumn\tcapture\treport\tdifference")?;
        let told = |time: Option<Duration>| time.map_or_else(String::new, |time| format!("{:.2}", minutes(time)));
        for (login_id, figure, capture, report) in self.rows() {
            let difference = difference(capture, report);
            writeln!(out, "{login_id}\t{figure}\t{}\t{}\t{difference:+.2}", told(capture), told(report))?;
        }
        Ok(())
    }

    /// Agent, figure, and its time in the capture and in the report; `None` where the agent is not there.
    fn rows(&self) -> impl Iterator<Item = (&str, Figure, Option<Duration>, Option<Duration>)> {
        let agents: BTreeSet<&str> = self.times.keys().chain(self.report.agents.keys()).map(String::as_str).collect();
        let of_agent = |login_id| {
            let (capture, report) = (self.times.get(login_id), self.report.agents.get(login_id));
            self.report.figures.iter().enumerate().map(move |(at, figure)| {
                let capture = capture.map(|times| times.get(figure).copied().unwrap_or_default());
                let report = report.and_then(|times| times.get(at)).copied();
                (login_id, *figure, capture, report)
            })
        };
        let is_any = |time: Option<Duration>| time.is_some_and(|time| !time.is_zero());
        agents.into_iter().flat_map(of_agent).filter(move |(_, _, capture, report)| is_any(*capture) || is_any(*report))
    }
}

/// In minutes. Who is not there has no time.
fn difference(capture: Option<Duration>, report: Option<Duration>) -> f64 {
    minutes(capture.unwrap_or_default()) - minutes(report.unwrap_or_default())
}

/// Excel drops leading zeros. A login id that is not in the capture is that of the one agent who has it with zeros, if the report
/// does not have that agent; returns how many were found so.
fn find_without_zeros(report: &mut AgentReport, times: &CaptureTimes) -> usize {
    let mut by_rest: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for login_id in times.keys().filter(|login_id| !report.agents.contains_key(*login_id)) {
        by_rest.entry(login_id.trim_start_matches('0')).or_default().push(login_id);
    }
    let strangers: Vec<String> = report.agents.keys().filter(|id| !times.contains_key(*id)).cloned().collect();
    let mut near = 0;
    for login_id in strangers {
        let Some([one]) = by_rest.get(login_id.trim_start_matches('0')).map(Vec::as_slice) else { continue };
        if !report.agents.contains_key(*one)
            && let Some(told) = report.agents.remove(&login_id)
        {
            report.agents.insert((*one).to_owned(), told);
            near += 1;
        }
    }
    near
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows().map(|(_, figure, capture, report)| (difference(capture, report), figure));
        let rows: Vec<(f64, Figure)> = rows.collect();
        let alike = rows.iter().filter(|(difference, _)| difference.abs() <= ALIKE).count();
        let largest = rows.iter().max_by(|one, other| one.0.abs().total_cmp(&other.0.abs()));
        let largest = largest.map_or_else(String::new, |(difference, figure)| {
            format!(", the largest difference {difference:+.2} ({figure})")
        });
        paragraph(f, "compared", [format!("{alike} of {} figures within a minute{largest}", rows.len())])?;
        let is_in_capture = |login_id: &&String| self.times.contains_key(*login_id);
        let both = self.report.agents.keys().filter(is_in_capture).count();
        let (only_report, only_capture) = (self.report.agents.len() - both, self.times.len() - both);
        let agents = format!("{both} in both, {only_report} in the report alone, {only_capture} in the capture alone");
        let near = (self.near > 0).then(|| {
            let (near, s) = (self.near, plural(self.near as u64));
            format!("{near} login id{s} of the report found with leading zeros in the capture: Excel drops them")
        });
        paragraph(f, "agents", [agents].into_iter().chain(near))?;
        let told = |(figure, time): (&Figure, &Duration)| format!("{:.2} minutes of {figure}", minutes(*time));
        let without_column: Vec<String> = self.without_column.iter().map(told).collect();
        let without_column =
            (!without_column.is_empty()).then(|| format!("the report has none for {}", without_column.join(", ")));
        let ignored = &self.report.ignored;
        let ignored = (!ignored.is_empty()).then(|| format!("not compared: {}", ignored.join(", ")));
        paragraph(f, "columns", without_column.into_iter().chain(ignored))?;
        let without_login = self.report.without_login;
        let s = plural(without_login as u64);
        paragraph(f, "rows", (without_login > 0).then(|| format!("{without_login} row{s} without a login id left out")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_by_agent_and_column() {
        let rows = [
            ("0471", Mode::Avail, None, 600),
            ("0471", Mode::Aux, Some(3), 120),
            ("0471", Mode::Aux, Some(4), 60),
            ("0471", Mode::Unknown, Some(9), 30),
            ("472", Mode::Acd, None, 300),
            ("0472", Mode::Acd, None, 300),
            ("0473", Mode::Acw, None, 60),
        ];
        let row = |(login_id, mode, reason, seconds): (&str, Mode, Option<u32>, u64)| {
            let all = Duration::from_secs(seconds);
            (((1, login_id.into()), (mode, reason)), Spent { all, before: Duration::ZERO })
        };
        let spent: SpentTimes = rows.into_iter().map(row).collect();
        let report = "login id,name,staffed,avail,acd,aux,aux 3\n471,A,900,610,:00,180,180\n472,B,300,0,300,0,0\n\
                      99,C,60,60,0,0,0\n,Total,1,1,1,1,1\n";
        let comparison = Comparison::new(&spent, AgentReport::parse(report.as_bytes()).unwrap());
        let mut table = Vec::new();
        comparison.write(&mut table).unwrap();
        let expected = "\
login_id	column	capture	report	difference
0471	staffed	13.50	15.00	-1.50
0471	avail	10.00	10.17	-0.17
0471	aux	3.00	3.00	+0.00
0471	aux 3	2.00	3.00	-1.00
0472	staffed	5.00		+5.00
0472	acd	5.00		+5.00
0473	staffed	1.00		+1.00
472	staffed	5.00	5.00	+0.00
472	acd	5.00	5.00	+0.00
99	staffed		1.00	-1.00
99	avail		1.00	-1.00
";
        assert_eq!(String::from_utf8(table).unwrap(), expected);
        let expected = "\
compared   8 of 11 figures within a minute, the largest difference +5.00 (acd)
agents     2 in both, 1 in the report alone, 2 in the capture alone
           1 login id of the report found with leading zeros in the capture: Excel drops them
columns    the report has none for 1.00 minutes of acw, 0.50 minutes of unknown, 1.00 minutes of aux 4
           not compared: name
rows       1 row without a login id left out
";
        assert_eq!(comparison.to_string(), expected);
    }
}
