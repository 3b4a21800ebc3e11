//! `replay --trace`: what came in among what came out of it, one JSON object a line, in the order in which it happened.
//!
//! Each line has `at` and one key that says what it is: `record`, `invalid`, `marker`, `skipped`, `snapshot`, `status`, `event` or
//! `closed`. A record stands before what it led to.

use std::io::Write;
use std::sync::Arc;

use serde::Serialize;

use crate::engine::replay::{TracePoint, TracedLine};
use crate::engine::{DeadLetter, Finding};
use crate::kafka::encode::Encoder;
use crate::time::Timestamp;
use crate::wire::decode::Decoder;
use crate::wire::escape::escape;
use crate::wire::lines::LineKind;
use crate::wire::plan::Plan;

use super::record_lines::{ErrorLine, RecordLine};

/// Writes the trace, of one agent or of all.
pub(super) struct Trace {
    plan: Arc<Plan>,
    decoder: Decoder,
    agent: Option<String>,
    /// A record or an event of the agent came.
    has_agent: bool,
}

#[derive(Serialize)]
struct Line<T> {
    at: String,
    #[serde(skip_serializing_if = "is_zero")]
    conn: u64,
    #[serde(flatten)]
    told: T,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Told<'a> {
    Record(Box<RecordLine<'a>>),
    Invalid(ErrorLine),
    Marker(String),
    Skipped(String),
    #[serde(rename_all = "camelCase")]
    Snapshot {
        complete: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        period_seconds: Option<f64>,
    },
    Closed(&'static str),
}

impl Trace {
    /// Of everybody, or of the agent with that login id.
    pub(super) fn new(plan: Arc<Plan>, agent: Option<String>) -> Self {
        Self { plan, decoder: Decoder::default(), agent, has_agent: false }
    }

    /// Writes lines and findings in their order, and empties the findings.
    pub(super) fn write(
        &mut self,
        points: Vec<TracePoint>,
        findings: &mut Vec<Finding>,
        encoder: &mut Encoder,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let mut points = points.into_iter().peekable();
        let mut at = Timestamp::default();
        for (number, finding) in findings.drain(..).enumerate() {
            while let Some(point) = points.next_if(|point| point.before <= number) {
                at = point.at;
                self.line(&point, out)?;
            }
            self.finding(finding, at, encoder, out)?;
        }
        points.try_for_each(|point| self.line(&point, out))
    }

    /// Says on stderr that nothing was there of the agent.
    pub(super) fn report(&self) {
        if let Some(agent) = self.agent.as_ref().filter(|_| !self.has_agent) {
            eprintln!("no record and no event of agent {agent:?}: login ids are text, leading zeros count");
        }
    }

    fn line(&mut self, point: &TracePoint, out: &mut impl Write) -> anyhow::Result<()> {
        let Some(TracedLine { connection, offset, bytes, kind }) = &point.line else { return Ok(()) };
        let told = match kind {
            LineKind::Record => {
                // What cannot be decoded is a finding.
                let Ok(decoded) = self.decoder.decode(&self.plan, bytes, point.at) else { return Ok(()) };
                if self.agent.as_deref().is_some_and(|agent| agent != decoded.record.login_id) {
                    return Ok(());
                }
                self.has_agent = true;
                Told::Record(Box::new(RecordLine::new(&decoded.record, *offset)))
            }
            LineKind::Marker | LineKind::Skipped if self.agent.is_some() => return Ok(()),
            LineKind::Marker => Told::Marker(escape(bytes)),
            LineKind::Skipped => Told::Skipped(escape(bytes)),
        };
        put(point.at, *connection, told, out)
    }

    fn finding(
        &mut self,
        finding: Finding,
        at: Timestamp,
        encoder: &mut Encoder,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let told = match finding {
            Finding::Event(event, annotation) => {
                if self.agent.as_deref().is_some_and(|agent| agent != &*event.login_id) {
                    return Ok(());
                }
                self.has_agent = true;
                return put_message(at, "event", &encoder.event_message(&event, &annotation, None)?.payload, out);
            }
            Finding::Status(status) => {
                return put_message(at, "status", &encoder.status_message(&status)?.payload, out);
            }
            Finding::DeadLetter(DeadLetter { reason, offset, raw, .. }) => {
                if let Some(agent) = &self.agent {
                    let who = self.decoder.identify(&self.plan, &raw, false);
                    if who.is_none_or(|who| who.login_id != agent) {
                        return Ok(());
                    }
                    self.has_agent = true;
                }
                Told::Invalid(ErrorLine::new(reason, offset, &raw))
            }
            Finding::Snapshot(snapshot) => Told::Snapshot {
                complete: snapshot.complete,
                period_seconds: snapshot.period.map(|period| period.as_secs_f64()),
            },
            Finding::Close(_, reason) => Told::Closed(reason.label()),
            Finding::Probe(_) => return Ok(()),
        };
        put(at, 0, told, out)
    }
}

fn put(at: Timestamp, conn: u64, told: Told<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, &Line { at: at.to_string(), conn, told }).map_err(std::io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Writes what is JSON already, as it is published.
fn put_message(at: Timestamp, name: &str, json: &[u8], out: &mut impl Write) -> anyhow::Result<()> {
    write!(out, "{{\"at\":\"{at}\",\"{name}\":")?;
    out.write_all(json)?;
    out.write_all(b"}\n")?;
    Ok(())
}
