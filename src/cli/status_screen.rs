//! The screen of `rtalink status`: lines of at most [`WIDTH`] characters, the most urgent at the end, where the eye is.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use crate::views::advice::{Urgency, age};
use crate::views::span::{count, size, span};
use crate::views::status::{IntegrationStatus, Status};

/// Characters of a line.
const WIDTH: usize = 80;
/// Findings beside the next one that are shown in words.
const SHOWN_FINDINGS: usize = 3;
/// Before what is said of an integration.
const LABEL: usize = 12;

/// Returns the screen.
pub(super) fn screen(status: &Status, has_colours: bool) -> String {
    let mut screen = Screen { text: String::new(), has_colours };
    screen.service(status);
    for one in &status.integrations {
        screen.text.push('\n');
        screen.integration(status, one);
    }
    screen.text.push('\n');
    screen.findings(status);
    screen.text
}

struct Screen {
    text: String,
    has_colours: bool,
}

impl Screen {
    fn service(&mut self, status: &Status) {
        let version = status.versions.get("rtalink").map_or("?", String::as_str);
        let up = age(status, Some(&status.started_at)).map_or_else(|| "?".to_owned(), span);
        let ready = if status.ready { "ready" } else { "not ready" };
        self.line("rtalink", &format!("{version}, up for {up}, {ready}"));
        let kafka = &status.kafka;
        let mut said = kafka.state.clone();
        if kafka.brokers > 0 {
            said += &format!(", {} of {} brokers up", kafka.brokers_up, kafka.brokers);
        }
        if let Some(reason) = &kafka.waiting_for {
            said += &format!("; a start waits: {reason}");
        } else if let Some(error) = kafka.last_error.as_ref().filter(|_| kafka.state != "connected") {
            said += &format!("; {}", error.message);
        }
        self.line("kafka", &said);
        let store = &status.store;
        let mut said = store.state.clone();
        if let Some(error) = &store.error {
            said += &format!(": {error}");
        }
        if let (Some(free), Some(disk)) = (store.disk_free_bytes, store.disk_size_bytes) {
            said += &format!(", {} of {} free", size(free), size(disk));
        }
        self.line("store", &said);
        if let Some(at) = &status.reload_refused_at {
            self.line("reload", &format!("refused at {}", since(status, at)));
        }
    }

    fn integration(&mut self, status: &Status, one: &IntegrationStatus) {
        self.heading(status, one);
        if one.removed {
            let agents = one.agents.map_or_else(|| "?".to_owned(), |agents| count(agents as u64));
            self.line("  left", &format!("{agents} agents, {} messages", count(one.pending_messages as u64)));
            return;
        }
        if one.listen.is_some() {
            self.line("  peer", &peer(status, one));
            self.line("  records", &records(status, one));
            self.line("  agents", &agents(one));
            if let Some(skew) = one.clock_skew_seconds {
                let side = if skew < 0.0 { "behind" } else { "ahead of" };
                self.line("  clock", &format!("{} {side} ours", span(skew)));
            }
            self.line("  refused", &by_reason(&one.refused, "no connection"));
            let read = one.valid_records() + one.records("invalid");
            let unreadable = by_reason(&one.unreadable, "none");
            self.line("  unreadable", &format!("{unreadable} of {} records, layout {}", count(read), one.layout));
        }
        self.line("  journal", &journal(status, one));
    }

    /// The name of an integration, and its state at the end of the line.
    fn heading(&mut self, status: &Status, one: &IntegrationStatus) {
        let finding = status.findings.iter().find(|finding| finding.integration.as_deref() == Some(&one.id));
        let urgency = finding.map_or(Urgency::Never, |finding| finding.urgency);
        let title = if one.name == one.id { one.id.clone() } else { format!("{}  {}", one.id, one.name) };
        let state: String = one.state.chars().take(WIDTH / 2).collect();
        let room = WIDTH - state.chars().count() - 2;
        let title = cut(&title, room);
        let gap = " ".repeat(room + 2 - title.chars().count());
        let state = self.coloured(urgency, &state);
        let _ = writeln!(self.text, "{title}{gap}{state}");
    }

    fn findings(&mut self, status: &Status) {
        let sentence = self.coloured(status.next.urgency, "next:");
        self.wrapped(&sentence, "next:".len(), &status.next.advice);
        if !status.next.runbook.is_empty() && status.next.urgency != Urgency::Never {
            self.wrapped("", 5, &status.next.runbook);
        }
        let others = status.findings.len().saturating_sub(1);
        for finding in status.findings.iter().skip(1).take(SHOWN_FINDINGS) {
            let label = self.coloured(finding.urgency, "then:");
            self.wrapped(&label, "then:".len(), &finding.advice);
        }
        if others > SHOWN_FINDINGS {
            let _ = writeln!(self.text, "      and {} more: --json has all of them", others - SHOWN_FINDINGS);
        }
    }

    /// A label and what is said, cut at the end of the line.
    fn line(&mut self, label: &str, said: &str) {
        let said = cut(said, WIDTH - LABEL - 1);
        let _ = writeln!(self.text, "{}", format!("{label:<LABEL$} {said}").trim_end());
    }

    /// A sentence behind a label, over as many lines as it needs.
    fn wrapped(&mut self, label: &str, label_width: usize, sentence: &str) {
        let indent = " ".repeat(label_width + 1);
        let mut line = String::new();
        let mut begin = if label.is_empty() { indent.clone() } else { format!("{label} ") };
        for word in plain(sentence).split(' ') {
            let is_full = indent.len() + line.chars().count() + 1 + word.chars().count() > WIDTH;
            if is_full && !line.is_empty() {
                let _ = writeln!(self.text, "{begin}{line}");
                begin.clone_from(&indent);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&cut(word, WIDTH - indent.len()));
        }
        let _ = writeln!(self.text, "{begin}{line}");
    }

    fn coloured(&self, urgency: Urgency, text: &str) -> String {
        let colour = match urgency {
            Urgency::Never => 32,
            Urgency::Today => 33,
            Urgency::Now => 31,
        };
        if self.has_colours { format!("\x1b[1;{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn peer(status: &Status, one: &IntegrationStatus) -> String {
    let listen = one.listen.as_deref().unwrap_or_default();
    if !one.started {
        return match &one.waiting_for {
            Some(reason) => format!("not started: {reason}"),
            None => "not started".to_owned(),
        };
    }
    match (&one.peer, &one.disconnected_at) {
        (Some(peer), _) => {
            let since = one.connected_at.as_deref().map(|at| since(status, at)).unwrap_or_default();
            let lasted = age(status, one.connected_at.as_deref()).map(span).unwrap_or_default();
            let waiting = one.connections.saturating_sub(1);
            let more = if waiting > 0 { format!("; {waiting} more waiting") } else { String::new() };
            format!("{peer} since {since} ({lasted}){more}")
        }
        (None, Some(at)) => format!("nobody on {listen} since {}", since(status, at)),
        (None, None) => format!("nobody on {listen} since the start"),
    }
}

fn records(status: &Status, one: &IntegrationStatus) -> String {
    let ago = |at: &Option<String>| age(status, at.as_deref()).map(|age| format!("{} ago", span(age)));
    let last = ago(&one.last_record_at).unwrap_or_else(|| "never".to_owned());
    let snapshot = ago(&one.last_complete_snapshot_at).unwrap_or_else(|| "none yet".to_owned());
    let period = one.period_seconds.map(|period| format!(", every {}", span(period))).unwrap_or_default();
    format!("last {last}; complete snapshot {snapshot}{period}")
}

fn agents(one: &IntegrationStatus) -> String {
    let (Some(agents), Some(logged_in)) = (one.agents, one.agents_logged_in) else {
        return "not known yet".to_owned();
    };
    let unmapped = match (one.unmapped_users, one.unmapped_activities) {
        (0, 0) => String::new(),
        (users, activities) => format!("; not mapped: {}, {}", some(users, "user"), some(activities, "activity")),
    };
    format!("{} logged in of {} known{unmapped}", count(logged_in.into()), count(agents as u64))
}

fn journal(status: &Status, one: &IntegrationStatus) -> String {
    let mut said = some(one.pending_messages, "message");
    if one.pending_messages > 0 {
        let _ = write!(said, ", oldest {}", span(one.oldest_seconds));
    }
    let mut flags = String::new();
    for (holds, word) in
        [(one.journal_full, "FULL"), (one.paused, "paused"), (one.superseded_by.is_some(), "superseded")]
    {
        if holds {
            let _ = write!(flags, "{word}; ");
        }
    }
    format!("{flags}{said}; {} of {}", size(one.journal_bytes), size(status.store.journal_max_bytes))
}

fn some(number: usize, what: &str) -> String {
    let plural = match (number, what.strip_suffix('y')) {
        (1, _) => what.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{what}s"),
    };
    format!("{} {plural}", count(number as u64))
}

/// Counts by reason, the most frequent first.
fn by_reason(counts: &BTreeMap<String, u64>, none: &str) -> String {
    let mut counts: Vec<(&String, &u64)> = counts.iter().filter(|(_, count)| **count > 0).collect();
    counts.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), (*reason).clone()));
    let told: Vec<String> = counts.iter().map(|(reason, number)| format!("{reason} {}", count(**number))).collect();
    if told.is_empty() { none.to_owned() } else { told.join(", ") }
}

/// A time without its fraction: `2026-01-05 08:00:12Z`.
fn short(at: &str) -> String {
    let whole = at.split(['.', 'Z']).next().unwrap_or(at);
    format!("{}Z", whole.replace('T', " "))
}

/// The same without its day, where that is today.
fn since(status: &Status, at: &str) -> String {
    let whole = short(at);
    match (whole.split_once(' '), status.at.split_once('T')) {
        (Some((day, time)), Some((today, _))) if day == today => time.to_owned(),
        _ => whole,
    }
}

/// The text in one line, without what could move a cursor.
fn plain(text: impl Display) -> String {
    text.to_string().chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// The first characters of a text, with a mark where it is longer.
fn cut(text: &str, room: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= room {
        return text;
    }
    text.chars().take(room.saturating_sub(1)).collect::<String>() + "…"
}

#[cfg(test)]
#[path = "status_screen_tests.rs"]
mod tests;
