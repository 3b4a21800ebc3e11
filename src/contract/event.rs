//! Writes an agent's event as it is published: straight from what the tracker and the mapping say of it.

use std::fmt::{self, Write};

use sha1::{Digest as _, Sha1};
use uuid::Uuid;

use crate::mapping::annotate::Annotation;
use crate::mapping::key::MatchLevel;
use crate::time::Timestamp;
use crate::tracker::event::{AgentEvent, Evidence};

use super::agent;
use super::put::Put;
use super::v1;

/// The UUIDv5 of "rtalink" among the names of DNS.
const NAMESPACE: Uuid = uuid::uuid!("081f284b-c818-5214-88ae-d261086ba050");

/// Where the event id stands in the bytes of [`encode`].
pub const EVENT_ID: std::ops::Range<usize> = 2..38;

/// Returns the UUIDv5 of integration, ACD, login id, sequence and observation: the same across retries and restarts.
pub fn event_id(integration: &str, event: &AgentEvent) -> Uuid {
    let AgentEvent { acd, login_id, sequence, observed_at, .. } = event;
    let millis = observed_at.as_millis();
    let mut name = Hashed(Sha1::new_with_prefix(NAMESPACE));
    // Hashing cannot fail.
    let _ = write!(name, "{integration}/{acd}/{login_id}/{sequence}/{millis}");
    let hash = name.0.finalize();
    let (first, _) = hash.split_at(16);
    uuid::Builder::from_sha1_bytes(first.try_into().unwrap_or_default()).into_uuid()
}

/// Text that is hashed and not kept.
struct Hashed(Sha1);

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// Appends the `rtalink.v1.AgentStateEvent` of an event.
pub fn encode(integration: &str, event_id: Uuid, event: &AgentEvent, annotation: &Annotation, bytes: &mut Vec<u8>) {
    let (previous, ride_along) = (event.previous.as_ref(), &event.ride_along);
    let mut put = Put(bytes);
    put.bytes(1, event_id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    put.bytes(2, integration);
    put.uint(3, event.acd);
    put.bytes(4, &*event.login_id);
    let texts = [&ride_along.name, &ride_along.role, &ride_along.location, &ride_along.logout_reason];
    for (number, text) in (5..).zip(texts) {
        put.bytes(number, text.as_deref().unwrap_or_default());
    }
    put.bytes(9, &*annotation.external_user);
    put.uint(10, event.sequence);
    put.int(11, agent::cause(event.cause) as i32);
    put.optional_int(12, event.evidence.map(|evidence: Evidence| agent::evidence(evidence) as i32));
    put.message(13, |put| agent::put_state(put, &event.state));
    if let Some(previous) = previous {
        put.message(14, |put| agent::put_state(put, &previous.state));
    }
    put_time(&mut put, 15, Some(event.state_since));
    put_time(&mut put, 16, previous.map(|previous| previous.state_since));
    put_time(&mut put, 17, previous.map(|previous| previous.last_seen));
    put.int(18, agent::quality(event.quality) as i32);
    put.flag(19, event.after_gap);
    put_time(&mut put, 20, Some(event.observed_at));
    put.bytes(21, &*annotation.external_activity);
    put.bytes(22, annotation.previous_external_activity.as_deref().unwrap_or_default());
    if let Ok(user) = &annotation.user {
        put.message(23, |put| agent::put_user(put, user));
    }
    for (number, activity) in (24..).zip([&annotation.activity, &annotation.previous_activity]) {
        if let Some(activity) = activity {
            put.message(number, |put| agent::put_activity(put, activity));
        }
    }
    put_time(&mut put, 26, annotation.activity_since);
    put.message(27, |put| {
        put.flag(1, annotation.user.is_ok());
        put.int(2, level(annotation.level) as i32);
    });
    put.uint(28, annotation.version);
}

fn put_time(put: &mut Put<'_>, number: u32, at: Option<Timestamp>) {
    let Some(at) = at else { return };
    let prost_types::Timestamp { seconds, nanos } = super::timestamp(at);
    put.message(number, |put| {
        put.int(1, seconds);
        put.int(2, nanos);
    });
}

const fn level(level: MatchLevel) -> v1::mapped::Level {
    match level {
        MatchLevel::Exact => v1::mapped::Level::Exact,
        MatchLevel::Base => v1::mapped::Level::Base,
        MatchLevel::Mode => v1::mapped::Level::Mode,
        MatchLevel::Default => v1::mapped::Level::Default,
        MatchLevel::None => v1::mapped::Level::None,
    }
}
