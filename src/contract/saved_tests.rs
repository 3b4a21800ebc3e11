use proptest::option;
use proptest::prelude::*;

use crate::contract::v1;
use crate::mapping::tables::{Activity, User};
use crate::tracker::agent_state::{AgentState, SkillList};
use crate::tracker::event::{Cause, Evidence};
use crate::tracker::listening::Listening;
use crate::tracker::since::Quality;
use crate::wire::states::{Direction, Mode};

use super::*;

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_micros)
}

/// Texts that are carried along; an empty one is not `None`.
fn text() -> impl Strategy<Value = Option<Arc<str>>> {
    option::of("\\PC{0,12}").prop_map(|text| text.map(Arc::from))
}

fn duration() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_micros)
}

fn state() -> impl Strategy<Value = AgentState> {
    let direction = prop_oneof![Just(Direction::None), Just(Direction::Out), Just(Direction::In)];
    let skills = proptest::collection::vec(("\\PC{0,5}", option::of(1_u16..)), 0..25);
    let split = option::of("\\PC{1,6}");
    let extension = option::of("[0-9]{1,8}");
    let code = ("\\PC{0,6}", any::<bool>(), any::<bool>());
    (prop::sample::select(&Mode::ALL), direction, option::of(any::<u32>()), code, split, skills, extension).prop_map(
        |(mode, direction, aux_reason, (raw_state, recognised, on_hold), split, skills, extension)| AgentState {
            mode,
            direction,
            on_hold,
            aux_reason,
            raw_state: raw_state.into(),
            recognised,
            work_split: split.map(Into::into),
            skills: SkillList::new(skills),
            extension: extension.map(Into::into),
        },
    )
}

fn agent() -> impl Strategy<Value = SavedAgent> {
    let quality = prop_oneof![Just(Quality::Exact), Just(Quality::WithinRefresh), Just(Quality::AfterGap)];
    let known = option::of((state(), time(), quality))
        .prop_map(|known| known.map(|(state, state_since, quality)| KnownState { state, state_since, quality }));
    let ride_along =
        (text(), text(), text(), text(), text()).prop_map(|(name, extension, role, location, logout_reason)| {
            RideAlong { name, extension, role, location, logout_reason }
        });
    let absence = option::of((1_u32.., time(), any::<bool>(), any::<bool>())).prop_map(|absence| {
        absence.map(|(snapshots, since, began_after_gap, suspect)| SavedAbsence {
            snapshots,
            since,
            began_after_gap,
            suspect,
        })
    });
    let told_start = (any::<Vec<u8>>(), time(), time());
    let told_start = told_start.prop_map(|(text, at, taken)| ToldStart { text: text.into(), at, taken });
    let starts = (option::of(time()), option::of(told_start), option::of(time()), any::<u32>(), brief());
    (any::<u32>(), "\\PC{0,10}", any::<u64>(), known, ride_along, time(), starts, absence).prop_map(
        |(acd, login_id, sequence, known, ride_along, last_seen, starts, absence)| SavedAgent {
            acd,
            login_id: login_id.into(),
            sequence,
            known,
            ride_along,
            last_seen,
            start: starts.0,
            told_start: starts.1,
            state_seen: starts.2,
            listed_again: starts.3,
            brief: starts.4,
            absence,
        },
    )
}

fn brief() -> impl Strategy<Value = Option<SavedBrief>> {
    let cause = prop::sample::select(&Cause::ALL);
    let evidence = option::of(prop_oneof![Just(Evidence::Row), Just(Evidence::Absence)]);
    let known =
        (state(), time()).prop_map(|(state, state_since)| KnownState { state, state_since, quality: Quality::Exact });
    let brief = (cause, evidence, known, any::<bool>(), time(), time(), time());
    option::of(brief.prop_map(|(cause, evidence, known, after_gap, observed_at, last_seen, seen)| SavedBrief {
        cause,
        evidence,
        known,
        after_gap,
        observed_at,
        last_seen,
        seen,
    }))
}

fn published() -> impl Strategy<Value = Published> {
    let named = || option::of(("\\PC{0,5}", "\\PC{0,9}"));
    (named(), named(), time()).prop_map(|(user, activity, activity_since)| Published {
        user: user.map(|(employee_id, employee_name)| Arc::new(User { employee_id, employee_name })),
        activity_since: activity.is_some().then_some(activity_since),
        activity: activity.map(|(activity_id, activity_name)| Arc::new(Activity { activity_id, activity_name })),
    })
}

fn message() -> impl Strategy<Value = store::Message> {
    (0_i32..5, "\\PC{0,9}", any::<Vec<u8>>()).prop_map(|(route, key, payload)| store::Message {
        route,
        key,
        payload,
        ..Default::default()
    })
}

proptest! {
    #[test]
    fn an_agent_comes_back_as_it_was(
        agent in agent(),
        published in option::of(published()),
        last_event in option::of(message()),
    ) {
        let bytes = encode_agent(&agent, published.as_ref(), last_event.as_ref());
        // Nobody sees who has written it.
        prop_assert_eq!(&store::AgentMemory::decode(&*bytes).unwrap().encode_to_vec(), &bytes);
        prop_assert_eq!(decode_agent(&bytes).unwrap(), StoredAgent { agent, published, last_event });
    }

    #[test]
    fn a_feed_comes_back_as_it_was(
        (last_valid, gap_from, seen_at) in (option::of(time()), option::of(time()), option::of(time())),
        (ended_began, suspect_until, last_sign) in (option::of(time()), option::of(time()), option::of(time())),
        (delay, period) in (duration(), option::of(duration())),
        (link_is_down, is_unreadable, repeating) in any::<(bool, bool, u32)>(),
    ) {
        let listening = Listening { from: gap_from, until: suspect_until.or(last_valid), deaf: gap_from.zip(last_sign).into_iter().collect() };
        let period = period.filter(|period| !period.is_zero());
        let feed = SavedFeed {
            last_valid,
            last_sign,
            gap_from,
            seen_at,
            delay,
            link_is_down,
            is_unreadable,
            period,
            ended_began,
            suspect_until,
            repeating,
            listening,
        };
        prop_assert_eq!(decode_feed(&encode_feed(&feed)).unwrap(), feed);
    }

    #[test]
    fn no_bytes_panic(
        agent in agent(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        noise in any::<Vec<u8>>(),
    ) {
        let mut bytes = encode_agent(&agent, None, None);
        for (at, byte) in changes {
            let at = at.index(bytes.len() + 1);
            if at == bytes.len() { bytes.push(byte) } else { bytes[at] = byte }
        }
        let _ = decode_agent(&bytes);
        let _ = decode_agent(&noise);
        let _ = decode_feed(&noise);
    }
}

#[test]
fn no_bytes_are_a_feed_of_which_nothing_is_known() {
    assert_eq!(decode_feed(b"").unwrap(), SavedFeed::default());
    assert_eq!(encode_feed(&SavedFeed::default()), b"");
}

#[test]
fn what_a_newer_version_has_written_is_an_error_that_says_so() {
    let stored = |state: v1::State, quality: i32| {
        let message = store::AgentMemory { login_id: "1".into(), state: Some(state), quality, ..Default::default() };
        decode_agent(&message.encode_to_vec())
    };
    let skill = v1::Skill { skill: "200".into(), level: 70_000 };
    let errors = [
        stored(v1::State { mode: 12, ..Default::default() }, 1),
        stored(v1::State { direction: 3, ..Default::default() }, 1),
        stored(v1::State { skills: vec![skill], ..Default::default() }, 1),
        stored(v1::State::default(), 0),
        decode_agent(b"\xff"),
    ];
    let errors: Vec<String> = errors.into_iter().map(|stored| stored.unwrap_err().to_string()).collect();
    insta::assert_snapshot!(errors.join("\n"), @r"
    mode 12 is not known to this version: a newer one has written it, run that one
    direction 3 is not known to this version: a newer one has written it, run that one
    level of a skill 70000 is not known to this version: a newer one has written it, run that one
    since_quality 0 is not known to this version: a newer one has written it, run that one
    not a row of the store, it may be damaged: failed to decode Protobuf message: invalid varint
    ");
    // A field of a newer version, number 99, is left out.
    let mut bytes = store::AgentMemory { acd: 7, login_id: "1".into(), ..Default::default() }.encode_to_vec();
    bytes.extend_from_slice(b"\x98\x06\x05");
    assert_eq!(decode_agent(&bytes).unwrap().agent.acd, 7);
}

/// What a start with a full store costs. An optimised build takes a fraction of what is allowed here.
#[test]
fn a_hundred_thousand_agents_are_read_in_seconds() {
    for skills in [0, 20] {
        let rows: Vec<Vec<u8>> =
            (0..100_000).map(|number| encode_agent(&typical(number, skills), Some(&mapped()), None)).collect();
        let started = std::time::Instant::now();
        let agents: Vec<StoredAgent> = rows.iter().map(|row| decode_agent(row).unwrap()).collect();
        let took = started.elapsed();
        println!("{} agents with {skills} skills, {} bytes each: {took:?}", agents.len(), rows[0].len());
        assert!(took < Duration::from_secs(20), "{took:?}");
    }
}

#[test]
fn rows_of_older_versions_have_a_time_where_there_is_no_activity() {
    let published = |activity| store::Published { user: None, activity, activity_since: Some(5) };
    let row = |activity| store::AgentMemory { published: Some(published(activity)), ..Default::default() };
    let read = |activity| decode_agent(&row(activity).encode_to_vec()).unwrap().published.unwrap().activity_since;
    assert_eq!(read(None), None);
    assert_eq!(read(Some(v1::Activity::default())), Some(Timestamp::from_micros(5)));
}

fn mapped() -> Published {
    let user = User { employee_id: "E7".to_owned(), employee_name: "Lovelace, Ada".to_owned() };
    let activity = Activity { activity_id: "9".to_owned(), activity_name: "Call".to_owned() };
    let activity_since = Some(Timestamp::from_millis(1_767_600_000_120));
    Published { user: Some(Arc::new(user)), activity: Some(Arc::new(activity)), activity_since }
}

fn typical(number: usize, skills: usize) -> SavedAgent {
    let at = Timestamp::from_millis(1_767_600_000_120);
    let extension: Option<Arc<str>> = Some("801326".into());
    let state = AgentState {
        mode: Mode::Acd,
        direction: Direction::In,
        on_hold: false,
        aux_reason: None,
        raw_state: "32".into(),
        recognised: true,
        work_split: (skills > 0).then(|| "232".into()),
        skills: SkillList::new((0..skills).map(|skill| ((200 + skill).to_string(), Some(1)))),
        extension: extension.clone(),
    };
    SavedAgent {
        acd: 1,
        login_id: format!("{number:07}").into(),
        sequence: 4711,
        known: Some(KnownState { state, state_since: at, quality: Quality::WithinRefresh }),
        ride_along: RideAlong { name: Some("Lovelace, Ada".into()), extension, ..RideAlong::default() },
        last_seen: at,
        start: Some(at),
        told_start: None,
        state_seen: Some(at),
        listed_again: 0,
        brief: None,
        absence: None,
    }
}
