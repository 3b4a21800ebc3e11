//! Events and feed statuses: protobuf, JSON and back.
//!
//! * no bytes and no text bring the conversions down;
//! * a message that has a JSON form comes back from it as it was (its times within their second), and the form of what came back is the same text;
//! * an event of any content has both forms, and both say the same; its headers and its id agree.
#![no_main]

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use rtalink::config::model::Format;
use rtalink::contract::header;
use rtalink::contract::{self, v1};
use rtalink::kafka::encode::Encoder;
use rtalink::mapping::annotate::{Annotation, NoUser};
use rtalink::mapping::key::MatchLevel;
use rtalink::mapping::tables::{Activity, User};
use rtalink::time::Timestamp;
use rtalink::tracker::agent_state::{AgentState, RideAlong, SkillList};
use rtalink::tracker::event::{AgentEvent, Cause, Evidence, Previous};
use rtalink::tracker::since::Quality;
use rtalink::wire::states::{Direction, Mode};

/// A message with times in it, which others may have written with more or fewer nanoseconds than a second has.
trait Timed: prost::Message + Default + PartialEq + Clone + std::fmt::Debug {
    /// The same message, with each time as JSON tells it.
    fn in_time(&self) -> Self;
}

impl Timed for v1::AgentStateEvent {
    fn in_time(&self) -> Self {
        let mut message = self.clone();
        let v1::AgentStateEvent {
            state_since, previous_since, previous_last_seen, observed_at, activity_since, ..
        } = &mut message;
        let times = [state_since, previous_since, previous_last_seen, observed_at, activity_since];
        times.into_iter().flatten().for_each(|time| time.normalize());
        message
    }
}

impl Timed for v1::FeedStatus {
    fn in_time(&self) -> Self {
        let mut message = self.clone();
        let v1::FeedStatus { at, last_record_at, gap_from, gap_to, .. } = &mut message;
        [at, last_record_at, gap_from, gap_to].into_iter().flatten().for_each(|time| time.normalize());
        message
    }
}

fn round_trip<M: Timed>(schema: &str, message: &M) {
    // No form: a time beyond the calendar, which only others could have written.
    let Ok(json) = contract::message_to_json(schema, message) else { return };
    let back: M = contract::from_json(schema, &json)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&json)));
    let again = contract::message_to_json(schema, &back).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(String::from_utf8_lossy(&json), String::from_utf8_lossy(&again));
    assert_eq!(back, message.in_time());
}

fn bytes<M: Timed>(schema: &str, bytes: &[u8]) {
    match M::decode(bytes) {
        Ok(message) => {
            assert_eq!(M::decode(&*message.encode_to_vec()).as_ref(), Ok(&message));
            round_trip(schema, &message);
        }
        Err(_) => assert!(contract::to_json(schema, bytes).is_err(), "no message, but a JSON form"),
    }
}

fn text(u: &mut Unstructured<'_>) -> Result<Arc<str>> {
    Ok(if u.ratio(1_u8, 4_u8)? {
        u.arbitrary::<String>()?.into()
    } else {
        (*u.choose(&["", "0471", "Ada", "ä\u{0}\"\\"])?).into()
    })
}

fn optional<T>(u: &mut Unstructured<'_>, make: impl FnOnce(&mut Unstructured<'_>) -> Result<T>) -> Result<Option<T>> {
    if u.arbitrary()? { make(u).map(Some) } else { Ok(None) }
}

fn time(u: &mut Unstructured<'_>) -> Result<Timestamp> {
    Ok(Timestamp::from_micros(match u.int_in_range(0..=3)? {
        0 => u.arbitrary()?,
        1 => *u.choose(&[i64::MIN, i64::MAX, 0, -1, -62_135_596_800_000_001, 253_402_300_800_000_000])?,
        _ => 1_767_600_000_000_000 + u.int_in_range(0..=9_999_999_i64)?,
    }))
}

fn state(u: &mut Unstructured<'_>) -> Result<AgentState> {
    let mut skills = Vec::new();
    for _ in 0..u.int_in_range(0..=3)? {
        skills.push((text(u)?, optional(u, |u| u.arbitrary())?));
    }
    Ok(AgentState {
        mode: *u.choose(&Mode::ALL)?,
        direction: *u.choose(&[Direction::None, Direction::Out, Direction::In])?,
        on_hold: u.arbitrary()?,
        aux_reason: u.arbitrary()?,
        raw_state: text(u)?.as_ref().into(),
        recognised: u.arbitrary()?,
        work_split: optional(u, |u| text(u).map(|text| text.as_ref().into()))?,
        skills: SkillList::new(skills),
        extension: optional(u, text)?,
    })
}

fn event(u: &mut Unstructured<'_>) -> Result<(AgentEvent, Annotation)> {
    let evidence = [Evidence::Row, Evidence::Absence];
    let previous = optional(u, |u| Ok(Previous { state: state(u)?, state_since: time(u)?, last_seen: time(u)? }))?;
    let event = AgentEvent {
        agent: 0,
        acd: u.arbitrary()?,
        login_id: text(u)?,
        ride_along: RideAlong {
            name: optional(u, text)?,
            extension: optional(u, text)?,
            role: optional(u, text)?,
            location: optional(u, text)?,
            logout_reason: optional(u, text)?,
        },
        sequence: u.arbitrary()?,
        cause: *u.choose(&Cause::ALL)?,
        evidence: optional(u, |u| u.choose(&evidence).copied())?,
        state: state(u)?,
        state_since: time(u)?,
        quality: *u.choose(&[Quality::Exact, Quality::WithinRefresh, Quality::AfterGap])?,
        previous,
        after_gap: u.arbitrary()?,
        observed_at: time(u)?,
    };
    let activity = |u: &mut Unstructured<'_>| {
        Ok(Arc::new(Activity { activity_id: text(u)?.to_string(), activity_name: text(u)?.to_string() }))
    };
    let user = Arc::new(User { employee_id: text(u)?.to_string(), employee_name: text(u)?.to_string() });
    let annotation = Annotation {
        external_user: text(u)?,
        user: if u.arbitrary()? { Ok(user) } else { Err(NoUser::Unmapped) },
        external_activity: text(u)?,
        activity_base: text(u)?,
        activity: optional(u, activity)?,
        level: *u.choose(&[
            MatchLevel::Exact,
            MatchLevel::Base,
            MatchLevel::Mode,
            MatchLevel::Default,
            MatchLevel::None,
        ])?,
        previous_external_activity: optional(u, text)?,
        previous_activity: optional(u, activity)?,
        activity_since: optional(u, time)?,
        version: u.arbitrary()?,
    };
    Ok((event, annotation))
}

fn published(u: &mut Unstructured<'_>) -> Result<()> {
    let (event, annotation) = event(u)?;
    let encode = |format| {
        let mut encoder = Encoder::new("avaya-1".into(), format);
        encoder.event_message(&event, &annotation, None).unwrap_or_else(|error| panic!("{error}: {event:?}"))
    };
    let (binary, json) = (encode(Format::Protobuf), encode(Format::Json));
    let message = v1::AgentStateEvent::decode(&*binary.payload).unwrap_or_else(|error| panic!("{error}"));
    let from_json: v1::AgentStateEvent =
        contract::from_json(contract::AGENT_STATE_EVENT, &json.payload).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(message, from_json);
    assert_eq!(binary.key, json.key);
    let id = binary.headers.iter().find(|(name, _)| *name == header::EVENT_ID).map(|(_, value)| value.as_ref());
    assert_eq!(id, Some(message.event_id.as_bytes()));
    Ok(())
}

fn run(input: &[u8]) -> Result<()> {
    if input.first() == Some(&b'{') {
        if let Ok(message) = contract::from_json::<v1::AgentStateEvent>(contract::AGENT_STATE_EVENT, input) {
            round_trip(contract::AGENT_STATE_EVENT, &message);
        }
        if let Ok(message) = contract::from_json::<v1::FeedStatus>(contract::FEED_STATUS, input) {
            round_trip(contract::FEED_STATUS, &message);
        }
        return Ok(());
    }
    let Some((&first, rest)) = input.split_first() else { return Ok(()) };
    match first % 3 {
        0 => bytes::<v1::AgentStateEvent>(contract::AGENT_STATE_EVENT, rest),
        1 => bytes::<v1::FeedStatus>(contract::FEED_STATUS, rest),
        _ => published(&mut Unstructured::new(rest))?,
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    // An input that is used up says nothing.
    let _ = run(input);
});
