//! A CMS agent report as CSV: a row per agent, with login id and times.
//!
//! Reports are exported by hand, from different releases and by way of Excel. So lines before the header are passed over, headers
//! are known in any case, order and spelling (`AUX 3`, `Aux Time 3`, `TI_AUXTIME3`), other columns are left out and named, and rows
//! without a login id, such as totals, are counted. What would give wrong minutes is an error: a value that is no time, an agent
//! listed twice, a column twice.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::mapping::sheet::{self, Lines};
use crate::wire;
use crate::wire::states::Mode;

/// A time that a report has of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Figure {
    /// Logged in.
    Staffed,
    /// In a mode; AUX with all reasons. By its name, which sorts.
    Mode(&'static str),
    /// In AUX with that reason.
    Reason(u32),
}

/// What a report says.
#[derive(Debug)]
pub(super) struct AgentReport {
    /// In the order of the file.
    pub(super) figures: Vec<Figure>,
    /// By login id, in the order of the figures.
    pub(super) agents: BTreeMap<String, Vec<Duration>>,
    /// Headers that are not known.
    pub(super) ignored: Vec<String>,
    /// Rows without a login id.
    pub(super) without_login: usize,
}

/// Most problems that are told at once.
const MOST_PROBLEMS: usize = 20;

impl Figure {
    /// Time in a mode.
    pub(super) const fn mode(mode: Mode) -> Self {
        Self::Mode(mode.name())
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Staffed => f.write_str("staffed"),
            Self::Mode(name) => f.write_str(&name.to_lowercase()),
            Self::Reason(reason) => write!(f, "aux {reason}"),
        }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heading {
    Login,
    Figure(Figure),
}

/// Headers, folded. `docs/capture.md` lists them.
const LOGIN: [&str; 7] = ["loginid", "login", "agentid", "agentloginid", "logid", "anmeldeid", "agentenid"];
const STAFFED: [&str; 5] = ["staffed", "staffedtime", "stafftime", "totalstaffedtime", "anmeldezeit"];
const TIMES: [(Mode, &[&str]); 8] = [
    (Mode::Avail, &["avail", "available", "availtime", "availabletime", "verfuegbar", "verfuegbarzeit"]),
    (Mode::Acd, &["acd", "acdtime", "acdzeit"]),
    (Mode::Acw, &["acw", "acwtime", "acwzeit", "nacharbeit", "nacharbeitszeit"]),
    (Mode::Aux, &["aux", "auxtime", "auxzeit"]),
    (Mode::Ring, &["ring", "ringing", "ringtime", "ringingtime", "agentringtime", "klingelzeit"]),
    (Mode::Other, &["other", "othertime", "sonstige", "sonstigezeit"]),
    (Mode::Dacd, &["dacd", "dacdtime", "daacdtime", "directagentacd", "directagentacdtime"]),
    (Mode::Dacw, &["dacw", "dacwtime", "daacwtime", "directagentacw", "directagentacwtime"]),
];

impl Heading {
    fn of(header: &str) -> Option<Self> {
        let lower = header.trim().to_lowercase();
        // As the tables of CMS name them: TI_AUXTIME3.
        let lower = ["ti_", "i_"].iter().find_map(|prefix| lower.strip_prefix(prefix)).unwrap_or(&lower);
        let plain = sheet::folded(lower);
        let plain = plain.as_str();
        if LOGIN.contains(&plain) {
            return Some(Self::Login);
        }
        if STAFFED.contains(&plain) {
            return Some(Self::Figure(Figure::Staffed));
        }
        if let Some((mode, _)) = TIMES.iter().find(|(_, names)| names.contains(&plain)) {
            return Some(Self::Figure(Figure::mode(*mode)));
        }
        reason(plain).map(|reason| Self::Figure(Figure::Reason(reason)))
    }
}

/// `aux3`, `auxtime3`, `aux3time`, `timeinaux3`, `auxreason3`.
fn reason(plain: &str) -> Option<u32> {
    const WORDS: [&str; 4] = ["time", "reason", "zeit", "code"];
    let rest = plain.strip_prefix("timein").unwrap_or(plain).strip_prefix("aux")?;
    let rest = WORDS.iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    let digits = WORDS.iter().find_map(|word| rest.strip_suffix(word)).unwrap_or(rest);
    let is_number = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

impl AgentReport {
    /// Reads the bytes of a CSV file in any encoding that spreadsheet programs write, with `,`, `;` or tab.
    pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let text = sheet::text(bytes)?;
        let tables = [b';', b',', b'\t'].map(|delimiter| Table::read(&text, delimiter));
        let best = tables.into_iter().flatten().max_by_key(Table::known);
        best.with_context(|| no_header(&text))?.report()
    }
}

fn no_header(text: &str) -> String {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let first: String = first.chars().take(80).collect();
    format!(
        "no header: expected a line with a column \"login id\" and at least one of staffed, available, acd, acw, aux, aux 1, ring \
         and other, with ',', ';' or tabs between; the first line is {first:?}"
    )
}

/// A file as one delimiter cuts it.
struct Table {
    /// Line numbers and cells, from the header on.
    rows: Vec<(u64, Vec<String>)>,
    headings: Vec<Option<Heading>>,
}

impl Table {
    /// `None` where no line is a header.
    fn read(text: &str, delimiter: u8) -> Option<Self> {
        let mut reader = csv::ReaderBuilder::new();
        let reader = reader.delimiter(delimiter).has_headers(false).flexible(true).trim(csv::Trim::All);
        let mut rows: Vec<(u64, Vec<String>)> = Vec::new();
        let mut headings = Vec::new();
        let mut lines = Lines::of(text.as_bytes());
        for record in reader.from_reader(text.as_bytes()).into_records() {
            let record = record.ok()?;
            let cells: Vec<String> = record.iter().map(str::to_owned).collect();
            if headings.is_empty() {
                let found: Vec<Option<Heading>> = cells.iter().map(|cell| Heading::of(cell)).collect();
                let has_login = found.contains(&Some(Heading::Login));
                let has_figure = found.iter().flatten().any(|heading| *heading != Heading::Login);
                if !(has_login && has_figure) {
                    continue;
                }
                headings = found;
            }
            let begin = record.position().map_or(0, csv::Position::byte);
            let (line, _) = lines.row_at(usize::try_from(begin).unwrap_or(usize::MAX));
            rows.push((line, cells));
        }
        (!headings.is_empty()).then_some(Self { rows, headings })
    }

    fn known(&self) -> usize {
        self.headings.iter().flatten().count()
    }

    fn report(self) -> anyhow::Result<AgentReport> {
        let Self { rows, headings } = self;
        let ((header_line, names), rows) = rows.split_first().context("no header")?;
        let mut problems = Vec::new();
        for (at, heading) in headings.iter().enumerate().filter(|(_, heading)| heading.is_some()) {
            if let Some(other) = headings[..at].iter().position(|other| other == heading) {
                let (one, two) = (&names[other], &names[at]);
                problems.push(format!("line {header_line}: columns {one:?} and {two:?} say the same: remove one"));
            }
        }
        let login = headings.iter().position(|heading| *heading == Some(Heading::Login)).context("no login id")?;
        let columns: Vec<(usize, Figure)> = headings
            .iter()
            .enumerate()
            .filter_map(|(at, heading)| match heading {
                Some(Heading::Figure(figure)) => Some((at, *figure)),
                Some(Heading::Login) | None => None,
            })
            .collect();
        let mut agents: BTreeMap<String, (u64, Vec<Duration>)> = BTreeMap::new();
        let mut without_login = 0;
        for (line, cells) in rows.iter().filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty())) {
            let Some(login_id) = cells.get(login).filter(|login_id| !is_total(login_id)) else {
                without_login += 1;
                continue;
            };
            let mut times = Vec::new();
            for (at, _) in &columns {
                let cell = cells.get(*at).map_or("", String::as_str);
                let time = time(cell);
                if time.is_none() {
                    let name = &names[*at];
                    problems.push(format!("line {line}: {name}: expected seconds, m:ss or h:mm:ss, found {cell:?}"));
                }
                times.push(time.unwrap_or_default());
            }
            if let Some((first, _)) = agents.insert(login_id.clone(), (*line, times)) {
                problems.push(format!(
                    "line {line}: login id {login_id:?} is in line {first} already: expected one row per agent, for the whole time \
                     and all skills"
                ));
            }
        }
        if agents.is_empty() && problems.is_empty() {
            bail!("no agent: expected rows below the header in line {header_line}");
        }
        refuse(problems)?;
        let ignored = names.iter().zip(&headings).filter(|(name, heading)| heading.is_none() && !name.is_empty());
        Ok(AgentReport {
            figures: columns.into_iter().map(|(_, figure)| figure).collect(),
            ignored: ignored.map(|(name, _)| name.clone()).collect(),
            agents: agents.into_iter().map(|(login_id, (_, times))| (login_id, times)).collect(),
            without_login,
        })
    }
}

/// Whether there stands no login id, but nothing or the title of a sum.
fn is_total(login_id: &str) -> bool {
    matches!(login_id.to_lowercase().as_str(), "" | "total" | "totals" | "sum" | "summe" | "gesamt")
}

/// Nothing and a dash are no time.
fn time(cell: &str) -> Option<Duration> {
    if matches!(cell, "" | "-") { Some(Duration::ZERO) } else { wire::duration(cell) }
}

fn refuse(mut problems: Vec<String>) -> anyhow::Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let more = problems.len().saturating_sub(MOST_PROBLEMS);
    problems.truncate(MOST_PROBLEMS);
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    bail!("{}{more}", problems.join("\n"));
}

#[cfg(test)]
#[path = "agent_report_tests.rs"]
mod tests;
