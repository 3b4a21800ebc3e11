//! The report as people read it.

use std::fmt::Write as _;

use super::finding::percent;
use super::lines::Role;
use super::report::{ColumnReport, Inspection};

/// Most values of a state column that are listed.
const STATES_SHOWN: usize = 60;

impl Inspection {
    /// Returns the report as text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "feed       {} bytes, {} lines", self.bytes, self.lines)?;
        let found = |out: &mut String, what: &str, value: &str, confidence: f64, evidence: &str| {
            writeln!(out, "{what:<10} {value}  ({:.0} % sure: {evidence})", confidence * 100.0)
        };
        found(out, "records", &self.framing.value, self.framing.confidence, &self.framing.evidence)?;
        let fields = match (self.fields.value.kind, &self.fields.value.separator) {
            ("separator", Some(separator)) => format!("separator {separator:?}"),
            ("whitespace", _) => "separated by blanks".to_owned(),
            _ => "fixed width".to_owned(),
        };
        let quote = self.fields.value.quote.as_ref().map_or_else(String::new, |quote| format!(", quote {quote}"));
        found(out, "fields", &format!("{fields}{quote}"), self.fields.confidence, &self.fields.evidence)?;
        found(out, "encoding", &self.encoding.value, self.encoding.confidence, &self.encoding.evidence)?;
        if let Some(zone) = &self.time_zone {
            found(out, "time zone", &zone.value, zone.confidence, &zone.evidence)?;
        }
        let snapshots = &self.snapshots;
        let period =
            snapshots.period.map_or_else(|| "unknown without times".to_owned(), |period| format!("{period:?}"));
        writeln!(out, "snapshots  {} of {} agents, period {period}", snapshots.count, snapshots.agents)?;
        writeln!(
            out,
            "           mode {:?}, snapshot_end {:?}: {}",
            snapshots.mode, snapshots.end, snapshots.evidence
        )?;
        for other in &self.other_lines {
            let role = match other.role {
                Role::Marker => "marker",
                Role::Header => "skipped",
                Role::Stray => "stray",
            };
            writeln!(out, "{role:<10} {} times {:?}, pattern {}", other.count, other.example, other.pattern)?;
        }
        self.write_columns(out)?;
        self.write_states(out)?;
        if !self.steps.is_empty() {
            writeln!(out, "\nsteps")?;
        }
        for step in &self.steps {
            let changes = match (step.seen, step.changes.is_empty()) {
                (false, _) => "no record of the agent".to_owned(),
                (true, true) => "no change, or the first".to_owned(),
                (true, false) => step.changes.join(", "),
            };
            writeln!(out, "  {:<12} {changes}", step.step)?;
        }
        self.write_fit(out)
    }

    fn write_columns(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\ncolumns")?;
        let width = |column: &ColumnReport| match (column.at, column.width) {
            (Some(at), Some(width)) => format!("{at}+{width}"),
            _ if column.profile.shortest == column.profile.longest => column.profile.longest.to_string(),
            _ => format!("{}-{}", column.profile.shortest, column.profile.longest),
        };
        writeln!(
            out,
            "  {:>3}  {:<13} {:>5}  {:>8}  {:>8}  {:>8}  values",
            "no", "field", "sure", "bytes", "distinct", "changes"
        )?;
        for column in &self.columns {
            let field = if column.in_layout || column.field == "-" {
                column.field.clone()
            } else {
                format!("{}?", column.field)
            };
            let examples: Vec<String> = column.profile.examples.iter().map(|example| shortened(example)).collect();
            writeln!(
                out,
                "  {:>3}  {field:<13} {:>3.0} %  {:>8}  {:>8}  {:>6.1} %  {}",
                column.number,
                column.confidence * 100.0,
                width(column),
                column.profile.distinct,
                column.profile.changes * 100.0,
                examples.join("  ")
            )?;
            writeln!(out, "       {}{}", column.evidence, facts(column))?;
        }
        if let Some(skills) = &self.skills {
            writeln!(
                out,
                "  {:>3}  skills        {:>3.0} %  {}",
                skills.at,
                skills.confidence * 100.0,
                skills.evidence
            )?;
        }
        Ok(())
    }

    fn write_states(&self, out: &mut String) -> std::fmt::Result {
        let Some(table) = &self.state_table else { return writeln!(out, "\nno state column was found") };
        let name = if table == "own" { "a table of the site's own" } else { table };
        writeln!(out, "\nstates     {name}")?;
        for state in self.states.iter().take(STATES_SHOWN) {
            let meaning = state.state.as_deref().unwrap_or("?");
            writeln!(
                out,
                "  {:<20} {meaning:<14} {:>8} records  {}",
                format!("{:?}", state.code),
                state.count,
                state.source
            )?;
        }
        if !self.unknown_reasons.is_empty() {
            writeln!(out, "AUX reasons that need a number: {}", self.unknown_reasons.join(", "))?;
        }
        Ok(())
    }

    fn write_fit(&self, out: &mut String) -> std::fmt::Result {
        let Some(fit) = &self.fit else { return Ok(()) };
        let records = fit.valid + fit.invalid;
        writeln!(
            out,
            "\nfit        {} of {records} records are valid with the layout below",
            percent(fit.valid, records)
        )?;
        writeln!(
            out,
            "           {} lines skipped, {} markers, {} bytes left over",
            fit.skipped, fit.markers, fit.left_over
        )?;
        for misfit in &fit.misfits {
            writeln!(out, "  {:>8} {}", misfit.count, misfit.reason)?;
            for example in &misfit.examples {
                writeln!(out, "           line {}: {}", example.line, example.raw)?;
            }
        }
        for code in &fit.unknown_codes {
            writeln!(out, "  {:>8} records have the state {:?}, which the table lacks", code.count, code.code)?;
        }
        if fit.impossible_times > 0 {
            writeln!(out, "  {:>8} records have a local time that does not occur", fit.impossible_times)?;
        }
        Ok(())
    }
}

/// What else is known of a column.
fn facts(column: &ColumnReport) -> String {
    let profile = &column.profile;
    let mut facts = Vec::new();
    if profile.constant {
        facts.push("constant".to_owned());
    } else if profile.numeric > 0.995 {
        facts.push("numeric".to_owned());
    }
    if profile.monotonic {
        facts.push("never smaller".to_owned());
    }
    if profile.grows > 0.3 {
        facts.push(format!("grows in {:.0} %", profile.grows * 100.0));
    }
    if profile.null > 0.0 {
        facts.push(format!("nothing in {:.1} %", profile.null * 100.0));
    }
    if !profile.repeats && !profile.constant {
        facts.push("no two agents share one".to_owned());
    }
    if facts.is_empty() { String::new() } else { format!(" [{}]", facts.join(", ")) }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 24 {
        format!("{text:?}")
    } else {
        format!("{:?}…", text.chars().take(22).collect::<String>())
    }
}
