//! Mapping files: any CSV.
//!
//! * no file brings the readers down;
//! * a file with a problem gives nothing but problems, each with a line that the file has;
//! * what is read is not empty where it must not be, has no white space around it and nothing invisible in its ids;
//! * written as CSV it is read again as the same, without a word about white space;
//! * blanks around the values, and accents written otherwise, change nothing;
//! * lookups of the activities find the most specific row, and the default only where it may be taken.
#![no_main]

use std::collections::HashMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rtalink::mapping::files::{self, ACTIVITIES_HEADER, RowProblem, USERS_HEADER};
use rtalink::mapping::key::{self, ActivityKey, MatchLevel};
use rtalink::mapping::spelling;
use rtalink::mapping::tables::{Activity, IdentifyBy, MappingTables, User};
use rtalink::tracker::agent_state::{AgentState, SkillList};
use rtalink::wire::states::{Direction, Mode};
use unicode_normalization::UnicodeNormalization;

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

/// Rows by their key, and remarks about the file.
type Read<T> = (HashMap<String, Arc<T>>, Vec<RowProblem>);

fn parse_users(file: &[u8]) -> Result<Read<User>, Vec<RowProblem>> {
    files::parse_users(file, "Europe/Berlin").map(|users| (users.rows, users.remarks))
}

fn parse_activities(file: &[u8]) -> Result<Read<Activity>, Vec<RowProblem>> {
    files::parse_activities(file).map(|activities| (activities.rows, activities.remarks))
}

/// The same file however its values are written.
fn check_rows<T: PartialEq + std::fmt::Debug>(
    header: [&str; 3],
    parse: impl Fn(&[u8]) -> Result<Read<T>, Vec<RowProblem>>,
    read: &HashMap<String, Arc<T>>,
    row: impl Fn((&String, &Arc<T>)) -> [String; 3],
) {
    let rows = || read.iter().map(&row);
    for [external, id, name] in rows() {
        assert!(!external.is_empty() && !id.is_empty());
        assert_eq!(spelling::normal(&external), external);
        assert!([&id, &name].into_iter().all(|value| spelling::trim(value) == value));
        assert!([&external, &id].into_iter().all(|value| spelling::invisible(value).is_none()));
    }
    let (again, remarks) = parse(&csv(header, rows())).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(again, *read);
    assert!(remarks.iter().all(|remark| !remark.message.contains("around")), "{remarks:?}");
    let decomposed = |text: String| text.nfd().collect::<String>();
    let padded = rows().map(|[external, id, name]| {
        [format!("\u{a0}{}\u{feff}", decomposed(external)), format!(" {id}\t"), format!("\u{2003}{name} ")]
    });
    let (again, remarks) = parse(&csv(header, padded)).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(again, *read);
    assert_eq!(remarks.iter().any(|remark| remark.message.contains("around")), !read.is_empty());
}

fn check_users(file: &[u8]) {
    match parse_users(file) {
        Err(problems) => check_problems(file, &problems),
        Ok((users, _)) => check_rows(USERS_HEADER, parse_users, &users, |(external, user)| {
            [external.clone(), user.employee_id.clone(), user.employee_name.clone()]
        }),
    }
}

fn check_activities(file: &[u8]) {
    let activities = match parse_activities(file) {
        Err(problems) => return check_problems(file, &problems),
        Ok((activities, _)) => activities,
    };
    assert!(activities.keys().all(|key| key::check_spelling(key).is_ok()));
    check_rows(ACTIVITIES_HEADER, parse_activities, &activities, |(external, activity)| {
        [external.clone(), activity.activity_id.clone(), activity.activity_name.clone()]
    });

    let default = Arc::new(Activity { activity_id: "default".to_owned(), activity_name: String::new() });
    let tables = MappingTables {
        version: 1,
        identify_by: IdentifyBy::LoginId,
        users: HashMap::new(),
        scoped: Default::default(),
        names: Default::default(),
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
                    let expected = if key.takes_default() {
                        (Some(default.clone()), MatchLevel::Default)
                    } else {
                        (None, MatchLevel::None)
                    };
                    assert_eq!((found, level), expected);
                    assert_eq!(level == MatchLevel::None, matches!(mode, Mode::Unknown | Mode::Unstaff | Mode::Logoff));
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
