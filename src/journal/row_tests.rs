use std::sync::Arc;

use proptest::prelude::*;

use crate::config::model::Format;
use crate::journal::testing::images;
use crate::kafka::dead_letter::{dead_letter, refused};
use crate::kafka::encode::Encoder;
use crate::mapping::annotate::{Annotation, NoUser};
use crate::mapping::key::MatchLevel;
use crate::mapping::tables::{Activity, User};
use crate::tracker::agent_state::{AgentState, RideAlong, SkillList};
use crate::tracker::event::{AgentEvent, Cause, Evidence, Previous};
use crate::tracker::saved::SavedAgent;
use crate::tracker::since::Quality;
use crate::wire::states::{Direction, Mode};

use super::*;

/// Everything but `read_at`, whose age alone is kept.
fn parts(message: &Message) -> (Route, &str, &Bytes, &Headers) {
    (message.route, &message.key, &message.payload, &message.headers)
}

fn headers() -> impl Strategy<Value = Headers> {
    let id = any::<u128>().prop_map(|id| Uuid::from_u128(id).to_string());
    let text = prop_oneof![
        Just(header::JSON.to_owned()),
        Just(header::PROTOBUF.to_owned()),
        Just(contract::AGENT_STATE_EVENT.to_owned()),
        Just(contract::FEED_STATUS.to_owned()),
        id,
        "\\PC{0,9}",
    ];
    let any_of_ours = (prop::sample::select(&header::ALL), text).prop_map(|(name, text)| (name, Bytes::from(text)));
    // At least one: see the header of the module.
    proptest::collection::vec(any_of_ours, 1..6)
}

fn usual_headers() -> impl Strategy<Value = Headers> {
    (0_usize..2, any::<bool>(), any::<u128>()).prop_map(|(route, json, id)| {
        let route = [Route::AgentState, Route::FeedStatus][route];
        derived(route, json, Some(Uuid::from_u128(id))).unwrap()
    })
}

fn message() -> impl Strategy<Value = Message> {
    let route = prop::sample::select(&[
        Route::AgentState,
        Route::FeedStatus,
        Route::DeadLetter,
        Route::Refresh,
        Route::Tombstone,
    ]);
    let headers = prop_oneof![headers(), usual_headers()];
    (route, "\\PC{0,20}", any::<Vec<u8>>(), headers, proptest::option::of(0_u64..100_000)).prop_map(
        |(route, key, payload, headers, age)| Message {
            route,
            key: key.into(),
            payload: payload.into(),
            headers,
            read_at: age.and_then(|age| Instant::now().checked_sub(Duration::from_millis(age))),
        },
    )
}

proptest! {
    #[test]
    fn a_batch_comes_back_as_it_was(messages in proptest::collection::vec(message(), 0..6), acd in any::<u32>()) {
        let agents = vec![store::AgentMemory { acd, ..Default::default() }];
        let (read, read_agents) = decode(&encode(&messages, &images(&agents), &[])).unwrap();
        prop_assert_eq!(read_agents, agents);
        prop_assert_eq!(read.iter().map(parts).collect::<Vec<_>>(), messages.iter().map(parts).collect::<Vec<_>>());
        for (read, message) in read.iter().zip(&messages) {
            prop_assert_eq!(read.read_at.is_some(), message.read_at.is_some());
            if let (Some(read), Some(was)) = (read.read_at, message.read_at) {
                let difference = read.max(was) - read.min(was);
                prop_assert!(difference < Duration::from_millis(50), "{:?}", difference);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>(), message in message(), at in any::<prop::sample::Index>()) {
        let _ = decode(&bytes);
        let mut encoded = encode(&[message], &AgentImages::default(), &[]);
        let at = at.index(encoded.len());
        encoded[at] ^= 0x15;
        let _ = decode(&encoded);
    }
}

fn state(mode: Mode, skills: usize) -> AgentState {
    AgentState {
        mode,
        direction: Direction::In,
        on_hold: false,
        aux_reason: None,
        raw_state: "32".into(),
        recognised: true,
        work_split: (skills > 0).then(|| "232".into()),
        skills: SkillList::new((0..skills).map(|skill| ((200 + skill).to_string(), Some(1)))),
        extension: Some("801326".into()),
    }
}

fn event(skills: usize) -> (AgentEvent, Annotation) {
    let at = Timestamp::parse_rfc3339("2026-01-05T08:00:00.120Z").unwrap();
    let event = AgentEvent {
        agent: 0,
        acd: 1,
        login_id: "301204".into(),
        ride_along: RideAlong { extension: Some("801326".into()), ..RideAlong::default() },
        sequence: 4711,
        cause: Cause::Changed,
        evidence: None,
        state: state(Mode::Acd, skills),
        state_since: at,
        quality: Quality::WithinRefresh,
        previous: Some(Previous { state: state(Mode::Avail, skills), state_since: at, last_seen: at }),
        after_gap: false,
        observed_at: at,
    };
    let activity = Some(Arc::new(Activity { activity_id: "9".into(), activity_name: "Call".into() }));
    let annotation = Annotation {
        external_user: "301204".into(),
        user: Ok(Arc::new(User { employee_id: "E7".into(), employee_name: "Lovelace, Ada".into() })),
        external_activity: "ACD:in".into(),
        activity_base: "ACD:in".into(),
        activity: activity.clone(),
        level: MatchLevel::Exact,
        previous_external_activity: Some("AVAIL".into()),
        previous_activity: activity,
        activity_since: Some(at),
        version: 3,
    };
    (event, annotation)
}

fn memory(event: &AgentEvent, annotation: &Annotation) -> Vec<u8> {
    let agent = SavedAgent {
        acd: event.acd,
        login_id: event.login_id.clone(),
        sequence: event.sequence,
        known: Some(crate::tracker::agent::KnownState {
            state: event.state.clone(),
            state_since: event.state_since,
            quality: event.quality,
        }),
        ride_along: event.ride_along.clone(),
        last_seen: event.observed_at,
        start: None,
        told_start: None,
        state_seen: None,
        listed_again: 0,
        brief: None,
        absence: None,
    };
    let published = crate::mapping::annotate::Published {
        user: annotation.user.clone().ok(),
        activity: annotation.activity.clone(),
        activity_since: annotation.activity_since,
    };
    crate::contract::saved::encode_agent(&agent, Some(&published), None)
}

#[test]
fn events_in_both_formats_statuses_and_dead_letters_come_back() {
    let integration: Arc<str> = "avaya-1".into();
    let (event, annotation) = event(2);
    let at = event.observed_at;
    let mut messages = vec![dead_letter(&integration, "fields", 4711, at, Bytes::from_static(b"30\xff"))];
    for format in [Format::Protobuf, Format::Json] {
        let mut encoder = Encoder::new(integration.clone(), format);
        let message = encoder.event_message(&event, &annotation, Some(Instant::now())).unwrap();
        messages.push(refused(&integration, "kafka_too_large", at, &message));
        messages.push(Message { route: Route::Refresh, ..message.clone() });
        messages.push(message);
        let feed_status =
            crate::contract::v1::FeedStatus { integration: integration.to_string(), ..Default::default() };
        messages.push(Message {
            route: Route::FeedStatus,
            key: integration.clone(),
            payload: feed_status.encode_to_vec().into(),
            headers: derived(Route::FeedStatus, format == Format::Json, None).unwrap(),
            read_at: None,
        });
    }
    let (read, _) = decode(&encode(&messages, &AgentImages::default(), &[])).unwrap();
    assert_eq!(read.iter().map(parts).collect::<Vec<_>>(), messages.iter().map(parts).collect::<Vec<_>>());
    let is_short = |message: &Message| stored(message).headers.is_empty();
    assert!(messages.iter().all(|message| is_short(message) == (message.route != Route::DeadLetter)));
    let read: Vec<Message> = messages.iter().map(|message| from_stored(&stored(message)).unwrap()).collect();
    assert_eq!(read.iter().map(parts).collect::<Vec<_>>(), messages.iter().map(parts).collect::<Vec<_>>());
}

/// Nobody sees who has written them: fields in the order of their numbers, none with its default.
#[test]
fn events_and_rows_have_the_bytes_that_prost_makes_of_them() {
    let forgotten = [store::Forgotten { acd: 1, login_id: "301204".to_owned(), at: -7 }];
    for (skills, format) in [(0, Format::Protobuf), (1, Format::Json), (20, Format::Protobuf), (200, Format::Protobuf)]
    {
        let (event, annotation) = event(skills);
        let bare = AgentEvent { previous: None, evidence: Some(Evidence::Absence), after_gap: true, ..event.clone() };
        let unmapped =
            Annotation { user: Err(NoUser::Unmapped), activity: None, activity_since: None, ..annotation.clone() };
        let mut encoder = Encoder::new("avaya-1".into(), format);
        let mut messages =
            vec![refused(&"avaya-1".into(), "kafka_too_large", event.observed_at, &Message::tombstone("k".into()))];
        for (event, annotation) in [(&event, &annotation), (&bare, &unmapped)] {
            let message = encoder.event_message(event, annotation, Some(Instant::now())).unwrap();
            if format == Format::Protobuf {
                let read = crate::contract::v1::AgentStateEvent::decode(&*message.payload).unwrap();
                assert_eq!(read.encode_to_vec(), message.payload);
                assert_eq!(read.event_id.as_bytes(), message.headers[0].1);
            }
            messages.push(message);
        }
        let agents = [memory(&event, &annotation), memory(&bare, &unmapped)].into_iter().collect();
        let row = encode(&messages, &agents, &forgotten);
        let read = store::Batch::decode(&*row).unwrap();
        assert_eq!((read.messages.len(), read.agents.len(), read.forgotten.len()), (3, 2, 1));
        assert_eq!(read.encode_to_vec(), row, "{skills} skills as {format:?}");
    }
}

/// A row adds little to the values of its events.
#[test]
fn a_row_is_little_more_than_its_values() {
    let mut encoder = Encoder::new("avaya-1".into(), Format::Protobuf);
    for (skills, most_of_message, most_of_agent) in [(0, 60, 120), (20, 60, 360)] {
        let (event, annotation) = event(skills);
        let message = encoder.event_message(&event, &annotation, Some(Instant::now())).unwrap();
        let value = message.payload.len();
        let messages = vec![message; 100];
        let alone = encode(&messages, &AgentImages::default(), &[]).len() / 100;
        let agents = vec![memory(&event, &annotation); 100];
        let with_agents = encode(&messages, &agents.into_iter().collect(), &[]).len() / 100;
        println!("{skills} skills: value {value}, in a row {alone}, with its agent {with_agents}");
        assert!(alone - value <= most_of_message, "{alone} for a value of {value}");
        assert!(with_agents - alone <= most_of_agent, "{with_agents} instead of {alone}");
    }
}

#[test]
fn what_a_newer_version_has_written_is_an_error_that_says_so() {
    let message = |route, headers, event_id| {
        let message = store::Message { route, key: "avaya-1/1/7".into(), headers, event_id, ..Default::default() };
        from_stored(&message).unwrap_err().to_string()
    };
    let unknown = store::Header { name: "region".into(), value: Vec::new() };
    let errors = [
        message(9, Vec::new(), Vec::new()),
        message(0, Vec::new(), Vec::new()),
        message(3, vec![unknown], Vec::new()),
        message(1, Vec::new(), vec![1, 2, 3]),
        decode(b"\xff").unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    route 9 of a message is not known to this version: a newer one has written it, run that one
    route 0 of a message is not known to this version: a newer one has written it, run that one
    header "region" of a message is not known to this version: a newer one has written it, run that one
    a message has an event id of 3 bytes instead of 16, the row may be damaged
    not a row of the journal, it may be damaged: failed to decode Protobuf message: invalid varint
    "#);
}

#[test]
fn a_clock_that_was_set_back_makes_a_message_young() {
    let message = Message {
        route: Route::DeadLetter,
        key: "avaya-1".into(),
        payload: Bytes::new(),
        headers: Vec::new(),
        read_at: Some(Instant::now()),
    };
    let ahead = Timestamp::now().plus(Duration::from_secs(3600)).as_micros();
    for (read_at, longest) in [(ahead, 1), (i64::MAX, 1), (1, u64::MAX), (i64::MIN, u64::MAX)] {
        let read = from_stored(&store::Message { read_at, ..stored(&message) }).unwrap();
        assert!(read.read_at.unwrap().elapsed() <= Duration::from_secs(longest), "{read_at}");
    }
}

/// What an older program would refuse. A change here must raise `store::FORMAT`.
#[test]
fn the_format_of_contents_is_that_of_what_they_may_say() {
    let routes: Vec<&str> = (0..100)
        .filter_map(|route| store::message::Route::try_from(route).ok())
        .map(|route| route.as_str_name())
        .collect();
    let modes: Vec<&str> = (0..100)
        .filter_map(|mode| contract::v1::state::Mode::try_from(mode).ok())
        .map(|mode| mode.as_str_name())
        .collect();
    let directions = (0..100).filter(|value| contract::v1::state::Direction::try_from(*value).is_ok()).count();
    let qualities = (0..100).filter(|value| contract::v1::since_quality::Value::try_from(*value).is_ok()).count();
    let says = [routes.join(" "), header::ALL.join(" "), modes.join(" "), format!("{directions} {qualities}")];
    let expected = [
        "UNSPECIFIED AGENT_STATE FEED_STATUS DEAD_LETTER REFRESH AUDIT TOMBSTONE",
        "event_id content-type schema integration reason offset received_at",
        "UNKNOWN UNSTAFF AVAIL ACD ACW AUX DACD DACW RING OTHER LOGON LOGOFF",
        "3 4",
    ];
    assert_eq!((crate::journal::store::FORMAT, says), (1, expected.map(str::to_owned)));
}
