//! What to do next, in one sentence: every state that the service can be in, in the order in which to look at them.
//!
//! [`STATES`] is all there is to it: what is true comes out in its order, and the first is what to do next. The order follows
//! the data backwards: what loses data for good, what keeps everything from leaving, what keeps it from coming, and last what
//! is merely not as it should be; so a cause stands before what follows from it. `docs/runbook.md` has the same table, and
//! each state leads to an entry there; a test compares the two. Pure: the document brings its own time.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

use super::span::{count, size, span};
use super::status::{IntegrationStatus, Status};

/// Who has to act, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// Nobody.
    #[default]
    Never,
    /// Somebody, on this day.
    Today,
    /// Somebody, now: agent states are wrong or missing, or soon will be.
    Now,
}

/// What is the case, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Finding {
    /// Name of the state.
    pub state: String,
    /// When to act.
    pub urgency: Urgency,
    /// The integration, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration: Option<String>,
    /// What to do, in one sentence.
    pub advice: String,
    /// Where more is said about it, from the root of the repository.
    pub runbook: String,
}

/// What a state is about.
#[derive(Clone, Copy, Debug)]
pub enum About {
    /// The service.
    Service(fn(&Status) -> bool),
    /// An integration that is configured.
    Integration(fn(&Status, &IntegrationStatus) -> bool),
    /// An integration that is no longer configured.
    Removed(fn(&IntegrationStatus) -> bool),
}

/// A state with its sentence.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Name, part of the interface.
    pub name: &'static str,
    /// When to act.
    pub urgency: Urgency,
    /// Whether it is the case.
    pub about: About,
    /// What to do; a word in braces stands for what is the case.
    pub advice: &'static str,
    /// The heading in the runbook.
    pub anchor: &'static str,
}

/// The state in which there is nothing to do.
pub const WELL: State = State {
    name: "WELL",
    urgency: Urgency::Never,
    about: About::Service(|_| true),
    advice: "There is nothing to do.",
    anchor: "what-rtalink-status-says",
};

/// A fill of the journal that needs somebody, as for the alert.
const FILLING: f64 = 0.6;
/// A wait that is no longer usual, as for the alert.
const LONG_WAIT: f64 = 60.0;
/// Clocks that differ by more are not merely late.
const SKEWED: f64 = 60.0;
/// Certificates are renewed so many seconds before they expire, as for the alert.
const RENEWED_BEFORE: f64 = 14.0 * 86_400.0;

/// All of them, in the order in which to look at them.
pub const STATES: [State; 33] = [
    State {
        name: "STORE_REFUSES",
        urgency: Urgency::Now,
        about: About::Service(|status| !status.store.is_well && !is_in_memory(status)),
        advice: "Mend the disk of the store, which {store}, and do not restart before: what waits is in memory.",
        anchor: "rtalinkstoretrouble",
    },
    State {
        name: "STORE_IN_MEMORY",
        urgency: Urgency::Now,
        about: About::Service(is_in_memory),
        advice: "Mend the directory of the store, which could not be opened, then restart: what waits for Kafka would be lost by a crash.",
        anchor: "rtalinknotready",
    },
    State {
        name: "JOURNAL_FULL",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| one.journal_full),
        advice: "Let the journal of {id} empty, of each agent it keeps only the latest state: bring Kafka back or resume, and do not restart.",
        anchor: "rtalinktransitionslost",
    },
    State {
        name: "DISK_SHORT",
        urgency: Urgency::Now,
        about: About::Service(is_short_of_disk),
        advice: "Make room on the disk of the store: {free} are free, and with 32 MiB nothing new is published.",
        anchor: "rtalinkdiskrunningout",
    },
    State {
        name: "KAFKA_AWAITED",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| !one.started && one.waiting_for.is_some()),
        advice: "Bring Kafka back or mend the way to it, {id} cannot start before and refuses CMS: {waiting}.",
        anchor: "rtalinknotready",
    },
    State {
        name: "NOT_STARTED",
        urgency: Urgency::Now,
        about: About::Integration(|status, one| !one.started && one.waiting_for.is_none() && is_up_for(status, 5.0)),
        advice: "Look at the log for why {id} has not been started: nobody listens on {listen}.",
        anchor: "rtalinknotready",
    },
    State {
        name: "SUPERSEDED",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| one.superseded_by.is_some()),
        advice: "End one of the two instances that publish for {id}, then run `rtalink resume {id}` on this one if it stays.",
        anchor: "rtalinksuperseded",
    },
    State {
        name: "TOPIC_MISSING",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| one.has("topic_missing")),
        advice: "Create the topic that {id} publishes to and that is missing, or let rtalink create it; the log names it.",
        anchor: "rtalinktopicmissing",
    },
    State {
        name: "TIMESTAMP_REFUSED",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| one.has("timestamp_refused")),
        advice: "Set the clock of this machine or of the broker, which differ by so much that Kafka refuses every message of {id}.",
        anchor: "rtalinktimestamprefused",
    },
    State {
        name: "KAFKA_AWAY",
        urgency: Urgency::Now,
        about: About::Integration(|status, one| {
            let is_known = status.kafka.last_error.is_some() || one.oldest_seconds > LONG_WAIT;
            one.started && !one.paused && !one.kafka_connected && is_known
        }),
        advice: "Bring Kafka back, {pending} messages of {id} wait for it on disk: {error}.",
        anchor: "rtalinkjournalold",
    },
    State {
        name: "JOURNAL_FILLING",
        urgency: Urgency::Now,
        about: About::Integration(|status, one| fill(status, one) > FILLING),
        advice: "Bring Kafka back or resume {id}: its journal is {fill} full, and when it is full transitions are lost.",
        anchor: "rtalinkjournalfilling",
    },
    State {
        name: "MESSAGES_WAIT",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| one.kafka_connected && !one.paused && one.oldest_seconds > LONG_WAIT),
        advice: "Find out why Kafka answers and does not take the messages of {id}, the oldest has waited for {oldest}: the log says it.",
        anchor: "rtalinkjournalold",
    },
    State {
        name: "NEVER_CONNECTED",
        urgency: Urgency::Today,
        about: About::Integration(|_, one| {
            one.started && is_silent(one) && !has_logged_in(one) && one.last_record_at.is_none()
        }),
        advice: "Let the RTA session of CMS dial {listen}, nobody has for {id} yet: are address and port right, and the firewall open?",
        anchor: "rtalinkfeeddownidle",
    },
    State {
        name: "FEED_DOWN",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| one.started && is_silent(one) && has_logged_in(one)),
        advice: "Restart the RTA session of CMS, nobody is connected to {id} and {agents} agents are frozen: can CMS reach {listen}?",
        anchor: "rtalinkfeeddown",
    },
    State {
        name: "FEED_DOWN_IDLE",
        urgency: Urgency::Today,
        about: About::Integration(|_, one| {
            one.started && is_silent(one) && !has_logged_in(one) && one.last_record_at.is_some()
        }),
        advice: "See before the first shift that CMS dials in at {id}: nobody is connected, and nobody was logged in.",
        anchor: "rtalinkfeeddownidle",
    },
    State {
        name: "UNREADABLE_RECORDS",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| one.has("unreadable_records")),
        advice: "Make layout {layout} of {id} fit what comes, no record of it can be read ({reasons}): `rtalink capture`, then `rtalink decode`.",
        anchor: "rtalinkrecordsunreadable",
    },
    State {
        name: "LINK_DOWN",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| one.has("link_down")),
        advice: "Tell the CMS administrator that CMS has lost the switch of {id}: nearly all agents are UNKNOWN.",
        anchor: "rtalinklinkdown",
    },
    State {
        name: "NO_RECORD",
        urgency: Urgency::Now,
        about: About::Integration(|status, one| one.last_record_at.is_none() && is_connected_for(status, one, 30.0)),
        advice: "Start the report on CMS, {peer} is connected to {id} and has sent no valid record: or does the layout not fit?",
        anchor: "rtalinkfeedstale",
    },
    State {
        name: "STALE",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| one.has("stale") && has_logged_in(one)),
        advice: "Restart the report on CMS: {id} has been silent since its last record {age} ago, and its agents are frozen.",
        anchor: "rtalinkfeedstale",
    },
    State {
        name: "UNREADABLE_STATES",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| one.has("unreadable_states")),
        advice: "Add the codes of {id} that /api/v1/unmapped lists as UNKNOWN to `states` of layout {layout}: more than half of the agents have them.",
        anchor: "rtalinkfeedunreadable",
    },
    State {
        name: "NO_SNAPSHOT",
        urgency: Urgency::Now,
        about: About::Integration(|_, one| one.has("no_snapshot")),
        advice: "Make `snapshot_end` of {id} or the `marker` of layout {layout} fit the report: no snapshot ends, so nobody is found to have left.",
        anchor: "rtalinknosnapshot",
    },
    State {
        name: "CERTIFICATE_EXPIRED",
        urgency: Urgency::Now,
        about: About::Integration(|status, one| expires_in(status, one).is_some_and(|left| left <= 0.0)),
        advice: "Renew the certificate of {id} and reload: it expired at {expires}, and CMS cannot dial in again.",
        anchor: "rtalinkcertificaterunsout",
    },
    State {
        name: "PAUSED",
        urgency: Urgency::Today,
        about: About::Integration(|_, one| one.paused),
        advice: "Run `rtalink resume {id}` when its maintenance is over: publishing is paused, and {pending} messages wait.",
        anchor: "rtalinkpausedforlong",
    },
    State {
        name: "FLAPPING",
        urgency: Urgency::Today,
        about: About::Integration(|_, one| one.has("flapping")),
        advice: "End one of the two RTA sessions that take the port of {id} from each other, or limit `allow` to one of them.",
        anchor: "rtalinkfeedflapping",
    },
    State {
        name: "SUSPECT",
        urgency: Urgency::Today,
        about: About::Integration(|_, one| one.has("suspect")),
        advice: "Check whether so many agents of {id} have really left at once: is it the end of a shift, or was the report limited to other skills?",
        anchor: "rtalinksnapshotsuspect",
    },
    State {
        name: "REPEATED_ROWS",
        urgency: Urgency::Today,
        about: About::Integration(|_, one| one.has("repeated_rows")),
        advice: "Sort the report of {id} by agent, or use a layout with a row per agent and skill: it lists many agents more than once.",
        anchor: "rtalinkrepeatedrows",
    },
    State {
        name: "SHORTEST_REFRESH_TOO_LONG",
        urgency: Urgency::Today,
        about: About::Integration(|_, one| one.has("shortest_refresh_too_long")),
        advice: "Set `shortest_refresh` of {id} to a third of the refresh, which is {period}, and reload: two may be taken for one.",
        anchor: "rtalinkshortestrefreshtoolong",
    },
    State {
        name: "RECORDS_INVALID",
        urgency: Urgency::Today,
        about: About::Integration(|_, one| {
            one.records("invalid") * 100 > one.valid_records() && one.valid_records() > 0
        }),
        advice: "Adapt layout {layout} of {id}: more than one record in a hundred cannot be read ({reasons}).",
        anchor: "rtalinkdeadlettersrising",
    },
    State {
        name: "CLOCK_SKEW",
        urgency: Urgency::Today,
        about: About::Integration(|_, one| one.clock_skew_seconds.is_some_and(|skew| skew.abs() > SKEWED)),
        advice: "Check `time_zone` of {id} and the clocks of CMS and of this machine: its times are {skew} our own.",
        anchor: "rtalinkimpossibletimes",
    },
    State {
        name: "CERTIFICATE_EXPIRES",
        urgency: Urgency::Today,
        about: About::Integration(|status, one| {
            expires_in(status, one).is_some_and(|left| left > 0.0 && left < RENEWED_BEFORE)
        }),
        advice: "Renew the certificate of {id} and reload: it expires at {expires}.",
        anchor: "rtalinkcertificaterunsout",
    },
    State {
        name: "RELOAD_REFUSED",
        urgency: Urgency::Today,
        about: About::Service(|status| status.reload_refused_at.is_some()),
        advice: "Run `rtalink check`, mend what it says and reload: the last reload was refused, and a restart would fail.",
        anchor: "rtalinkreloadrefused",
    },
    State {
        name: "REMOVED",
        urgency: Urgency::Today,
        about: About::Removed(|one| one.agents.unwrap_or(0) > 0 || one.pending_messages > 0),
        advice: "Put {id} back into the configuration or drop it: it has {known} agents and {pending} messages left.",
        anchor: "rtalinkintegrationremoved",
    },
    State {
        name: "UNMAPPED",
        urgency: Urgency::Today,
        about: About::Integration(|_, one| one.unmapped_users * 10 > one.agents.unwrap_or(0) && one.unmapped_users > 0),
        advice: "Map the {users} users of {id} that `rtalink unmapped` lists, more than a tenth of its agents, and reload.",
        anchor: "rtalinkunmappedusers",
    },
];

/// Returns everything that is the case, in the order of [`STATES`]; [`WELL`] where nothing is.
pub fn findings(status: &Status) -> Vec<Finding> {
    let mut found = Vec::new();
    for state in &STATES {
        match state.about {
            About::Service(is_so) if is_so(status) => found.push(state.finding(status, None)),
            About::Service(_) => {}
            About::Integration(is_so) => {
                let these = status.integrations.iter().filter(|one| !one.removed && is_so(status, one));
                found.extend(these.map(|one| state.finding(status, Some(one))));
            }
            About::Removed(is_so) => {
                let these = status.integrations.iter().filter(|one| one.removed && is_so(one));
                found.extend(these.map(|one| state.finding(status, Some(one))));
            }
        }
    }
    if found.is_empty() {
        found.push(WELL.finding(status, None));
    }
    found
}

/// Fills what follows from the rest of the document: its findings, and the state of each integration.
pub fn conclude(status: &mut Status) {
    let found = findings(status);
    for one in &mut status.integrations {
        let first = found.iter().find(|finding| finding.integration.as_deref() == Some(&one.id));
        one.state = first.map_or(WELL.name, |finding| &finding.state).to_owned();
    }
    status.next = found.first().cloned().unwrap_or_default();
    status.findings = found;
}

impl State {
    fn finding(&self, status: &Status, one: Option<&IntegrationStatus>) -> Finding {
        Finding {
            state: self.name.to_owned(),
            urgency: self.urgency,
            integration: one.map(|one| one.id.clone()),
            advice: filled(self.advice, status, one),
            runbook: format!("docs/runbook.md#{}", self.anchor),
        }
    }
}

/// Puts what is the case into the place of words in braces.
fn filled(advice: &str, status: &Status, one: Option<&IntegrationStatus>) -> String {
    let mut text = String::with_capacity(advice.len());
    let mut rest = advice;
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((word, after)) = behind.split_once('}') else { break };
        text.push_str(before);
        text.push_str(&value(word, status, one).unwrap_or_else(|| "?".to_owned()));
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Returns what a word in braces stands for; `None` for one that there is not.
fn value(word: &str, status: &Status, one: Option<&IntegrationStatus>) -> Option<String> {
    match word {
        "store" => return Some(status.store.state.clone()),
        "free" => return status.store.disk_free_bytes.map(size),
        _ => {}
    }
    let one = one?;
    match word {
        "id" => Some(one.id.clone()),
        "listen" => one.listen.clone(),
        "peer" => one.peer.clone(),
        "layout" => Some(one.layout.clone()),
        "agents" => one.agents_logged_in.map(|agents| count(agents.into())),
        "known" => one.agents.map(|agents| count(agents as u64)),
        "users" => Some(count(one.unmapped_users as u64)),
        "pending" => Some(count(one.pending_messages as u64)),
        "oldest" => Some(span(one.oldest_seconds)),
        "fill" => Some(format!("{:.0} %", fill(status, one) * 100.0)),
        "waiting" => one.waiting_for.as_deref().map(one_line),
        "error" => {
            let said = status.kafka.last_error.as_ref().map(|error| one_line(&error.message));
            Some(said.unwrap_or_else(|| "it does not answer".to_owned()))
        }
        "reasons" => Some(reasons(one)),
        "period" => one.period_seconds.map(span),
        "skew" => one.clock_skew_seconds.map(|skew| {
            let side = if skew < 0.0 { "behind" } else { "ahead of" };
            format!("{} {side}", span(skew))
        }),
        "age" => age(status, one.last_record_at.as_deref()).map(span),
        "expires" => one.certificate_expires_at.clone(),
        _ => None,
    }
}

/// The most frequent reasons why records could not be read.
fn reasons(one: &IntegrationStatus) -> String {
    let mut all: Vec<(&String, &u64)> = one.unreadable.iter().collect();
    all.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), (*reason).clone()));
    let named: Vec<&str> = all.iter().take(2).map(|(reason, _)| reason.as_str()).collect();
    if named.is_empty() { "`skip` leaves all lines out".to_owned() } else { named.join(", ") }
}

/// The end of a sentence: without its own full stop, and no longer than fits.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches('.');
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    line.chars().take(LONGEST).collect::<String>() + "…"
}

fn is_in_memory(status: &Status) -> bool {
    !status.store.is_well && status.store.state.starts_with("in memory")
}

/// As in the alert: what rtalink leaves alone, and some room above it.
fn is_short_of_disk(status: &Status) -> bool {
    let (Some(free), Some(disk)) = (status.store.disk_free_bytes, status.store.disk_size_bytes) else { return false };
    free < (disk / 4).min(32 << 20) + (disk / 10).min(512 << 20)
}

#[allow(clippy::cast_precision_loss)] // a ratio
fn fill(status: &Status, one: &IntegrationStatus) -> f64 {
    if status.store.journal_max_bytes == 0 {
        return 0.0;
    }
    one.journal_bytes as f64 / status.store.journal_max_bytes as f64
}

const fn is_silent(one: &IntegrationStatus) -> bool {
    one.peer.is_none() && one.listen.is_some()
}

fn has_logged_in(one: &IntegrationStatus) -> bool {
    one.agents_logged_in.unwrap_or(0) > 0
}

/// Whether somebody has been connected for so many seconds.
fn is_connected_for(status: &Status, one: &IntegrationStatus, seconds: f64) -> bool {
    one.peer.is_some() && age(status, one.connected_at.as_deref()).is_some_and(|age| age >= seconds)
}

/// Whether the service has been running for so many seconds.
fn is_up_for(status: &Status, seconds: f64) -> bool {
    age(status, Some(&status.started_at)).is_some_and(|age| age >= seconds)
}

/// Returns how many seconds ago that was.
pub fn age(status: &Status, at: Option<&str>) -> Option<f64> {
    let now = Timestamp::parse_rfc3339(&status.at).ok()?;
    let at = Timestamp::parse_rfc3339(at?).ok()?;
    Some(now.since(at).as_secs_f64())
}

/// Returns for how many more seconds the certificate can be used; below zero once it has expired.
fn expires_in(status: &Status, one: &IntegrationStatus) -> Option<f64> {
    let now = Timestamp::parse_rfc3339(&status.at).ok()?;
    let expires = Timestamp::parse_rfc3339(one.certificate_expires_at.as_deref()?).ok()?;
    Some(if expires > now { expires.since(now).as_secs_f64() } else { -now.since(expires).as_secs_f64() })
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
