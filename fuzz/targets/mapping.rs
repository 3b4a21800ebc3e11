//! Mapping files: any CSV.
//!
//! * no file brings the readers down;
//! * a file with a problem gives nothing but problems, each with a line that the file has;
//! * what is read is not empty where it must not be, and written as CSV it is read again as the same;
//! * lookups of the activities find the most specific row, and the default only where it may be taken.
#![no_main]

use std::collections::HashMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rtalink::mapping::files::{self, ACTIVITIES_HEADER, RowProblem, USERS_HEADER};
use rtalink::mapping::key::{self, ActivityKey, Level};
use rtalink::mapping::tables::{Activity, IdentifyBy, MappingTables, User};
use rtalink::state::agent_state::{AgentState, SkillList};
use rtalink::wire::states::{Direction, Mode};

fn csv(header: [&str; 3], rows: impl Iterator<Item = [String; 3]>) -> Vec<u8> {
    let mut text = header.join(",") + "\n";
    for row in rows {
        let row = row.map(|value| format!("\"{}\"", value.replace('"', "\"\"")));
        text += &(row.join(",") + "\n");
    }
    text.into_bytes()
}

fn check_problems(file: &[u8], problems: &[RowProblem]) {
    assert!(!problems.is_empty());
    let breaks = file.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64;
    for problem in problems {
        assert!((1..=breaks + 1).contains(&problem.line), "line {} of {}", problem.line, breaks + 1);
        assert!(!problem.message.is_empty());
    }
}

fn check_users(file: &[u8]) {
    match files::parse_users(file) {
        Err(problems) => check_problems(file, &problems),
        Ok(users) => {
            assert!(users.iter().all(|(external, user)| !external.is_empty() && !user.employee_id.is_empty()));
            let rows = users.iter().map(|(external, user): (&String, &Arc<User>)| {
                [external.clone(), user.employee_id.clone(), user.employee_name.clone()]
            });
            assert_eq!(files::parse_users(&csv(USERS_HEADER, rows)), Ok(users.clone()));
        }
    }
}

fn check_activities(file: &[u8]) {
    let activities: HashMap<String, Arc<Activity>> = match files::parse_activities(file) {
        Err(problems) => return check_problems(file, &problems),
        Ok(activities) => activities,
    };
    assert!(activities.keys().all(|key| key::check_spelling(key).is_ok()));
    let rows = activities
        .iter()
        .map(|(external, activity)| [external.clone(), activity.activity_id.clone(), activity.activity_name.clone()]);
    assert_eq!(files::parse_activities(&csv(ACTIVITIES_HEADER, rows)), Ok(activities.clone()));

    let default = Arc::new(Activity { activity_id: "default".to_owned(), activity_name: String::new() });
    let tables = MappingTables {
        version: 1,
        identify_by: IdentifyBy::LoginId,
        users: HashMap::new(),
        activities,
        default_activity: Arc::clone(&default),
    };
    for mode in Mode::ALL {
        for (direction, on_hold, aux_reason) in
            [(Direction::None, false, None), (Direction::In, true, Some(3)), (Direction::Out, false, Some(0))]
        {
            let state = AgentState {
                mode,
                direction,
                on_hold,
                aux_reason: aux_reason.filter(|_| mode == Mode::Aux),
                raw_state: "95".into(),
                recognised: true,
                work_split: on_hold.then(|| "232".into()),
                skills: SkillList::default(),
                extension: None,
            };
            let key = ActivityKey::of(&state);
            let (found, level) = tables.activity(&key);
            let first = key.lookups().find_map(|(text, level)| Some((tables.activities.get(text)?, level)));
            match first {
                Some((activity, expected)) => assert_eq!((found.as_ref(), level), (Some(activity), expected)),
                None => {
                    let expected =
                        if key.takes_default() { (Some(default.clone()), Level::Default) } else { (None, Level::None) };
                    assert_eq!((found, level), expected);
                    assert_eq!(level == Level::None, matches!(mode, Mode::Unknown | Mode::Unstaff | Mode::Logoff));
                }
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    check_users(input);
    check_activities(input);
    // The rows alone: a header is long, and the fuzzer need not find it.
    let rows = |header: [&str; 3]| [header.join(",").as_bytes(), b"\n", input].concat();
    check_users(&rows(USERS_HEADER));
    check_activities(&rows(ACTIVITIES_HEADER));
});
