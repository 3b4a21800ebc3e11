//! `event_names = false`: nobody's name leaves the service or stays in it, whatever brings it and whatever was there before.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::support;

use support::sections;
use support::service::{Running, folder};
use support::short::{self, send, told};
use support::{topic, wait::until};

const USERS: &str = "external_user,employee_id,employee_name\n1,E1,Lovelace Ada\n2,E2,Hopper Grace\n";
/// As CMS has them, and the employees' of the mapping.
const NAMES: [&str; 5] = ["Byron", "Murray", "Clarke", "Lovelace", "Hopper"];

fn config(event_names: bool) -> String {
    let integration = sections::integration(
        "",
        "layout = \"named\"\nsnapshot_end = \"marker\"\nrefresh_after = \"1h\"\n[integration.mapping]\nusers = \"users.csv\"\n",
    );
    format!(
        r#"
        [kafka]
        {}
        [privacy]
        event_names = {event_names}
        {integration}
        [layout.named]
        separator = "|"
        quote = "\""
        marker = "^END"
        columns = ["login_id", "name", "state", "aux_reason", "extension"]
        states = "cms-names"
        "#,
        short::EMBEDDED
    )
}

/// Everything that lies in the files below a folder.
fn bytes_below(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { bytes_below(&path) } else { fs::read(path).unwrap() }).collect()
}

fn names_in(bytes: &[u8]) -> Vec<&'static str> {
    NAMES.into_iter().filter(|name| memchr::memmem::find(bytes, name.as_bytes()).is_some()).collect()
}

/// Keys, headers and values of all topics.
fn bytes_in_kafka(service: &Running) -> Vec<u8> {
    let topics =
        ["rta.agent-state.events", "rta.agent-state.current", "rta.feed-status", "rta.dead-letter", "rta.audit"];
    topics.into_iter().flat_map(|name| bytes_on(service, name)).collect()
}

fn bytes_on(service: &Running, name: &str) -> Vec<u8> {
    topic::read(service.bootstrap(), name)
        .into_iter()
        .flat_map(|message| {
            let headers = message.headers.into_iter().flat_map(|(name, value)| (name + &value).into_bytes());
            message.key.into_bytes().into_iter().chain(headers).chain(message.value).collect::<Vec<u8>>()
        })
        .collect()
}

fn bytes_over_http(service: &Running) -> Vec<u8> {
    let pages = [
        "/api/v1/agents",
        "/api/v1/agents?login_id=1",
        "/api/v1/integrations",
        "/api/v1/unmapped",
        "/metrics",
        "/api/v1/status",
    ];
    let answers = pages.into_iter().map(|page| (page, service.get(page)));
    answers
        .flat_map(|(page, answer)| {
            assert_eq!(answer.status, 200, "{page}");
            answer.body.into_bytes()
        })
        .collect()
}

/// A snapshot with somebody who has logged out, two who are there, and a record that is none.
const FEED: [&str; 7] = [
    "1|Byron, Ada|AVAIL||4711",
    "2|\"Murray, Grace\"|ACD||4712",
    "3|Clarke|AVAIL||4713",
    "END",
    "3|Clarke|UNSTAFF||4713",
    "4|Clarke, Joan|AVAIL|x|4714",
    "END",
];

#[test]
fn no_name_leaves_or_stays() {
    for event_names in [true, false] {
        let service = Running::start_in(folder(&[("users.csv", USERS)]), &config(event_names));
        send(&mut service.dial(), &FEED);
        service.settle(5);
        until("both of whom something is known", || {
            let agents = service.get("/api/v1/agents").body;
            Some(()).filter(|()| agents.contains("\"E1\"") && agents.contains("\"E2\""))
        });
        let found = [bytes_in_kafka(&service), bytes_over_http(&service)].map(|bytes| names_in(&bytes));
        let dead_letters: Vec<usize> = service.dead_letters().iter().map(|letter| letter.value.len()).collect();
        let (lost, folder) = service.drain();
        assert_eq!(lost, 0);
        let in_store = names_in(&bytes_below(&folder.path().join("data")));
        if event_names {
            assert_eq!(found, [NAMES.to_vec(), NAMES.to_vec()]);
            assert_eq!((in_store, dead_letters), (NAMES.to_vec(), vec![FEED[5].len()]));
        } else {
            assert_eq!((found, in_store, dead_letters), ([vec![], vec![]], vec![], vec![0]));
        }
    }
}

#[test]
fn names_of_an_earlier_run_are_dropped_and_who_is_logged_in_is_published_without() {
    let mut service = Running::start_in(folder(&[("users.csv", USERS)]), &config(true));
    let mut feed = service.dial();
    send(&mut feed, &FEED[..5]);
    service.settle(4);
    assert_eq!(service.reload(&config(false)).unwrap(), ["privacy.event_names"], "a restart is needed");
    send(&mut feed, &["1|Byron, Ada|AVAIL||4711", "2|Hopper|AVAIL||4712", "END"]);
    service.settle(6);
    assert_eq!(names_in(&bytes_on(&service, "rta.agent-state.events")), NAMES, "until then nothing changes");
    drop(feed);
    service.settle_closed();
    let (lost, folder) = service.drain();
    assert_eq!(lost, 0);

    let service = Running::start_in(folder, &config(false));
    let expected = ["1 #2 REMAPPED E1 1 v2", "2 #3 REMAPPED E2 1 v2"];
    assert_eq!(told(&service.events_once(2)), expected);
    // The same again, and somebody who was logged out comes back.
    send(&mut service.dial(), &["1|Byron, Ada|AVAIL||4711", "2|Hopper|AVAIL||4712", "3|Clarke|AVAIL||4713", "END"]);
    service.settle(3);
    assert_eq!(told(&service.events_once(3)[2..]), ["3 #3 LOGGED_IN - 1 v2"]);
    let found = [bytes_in_kafka(&service), bytes_over_http(&service)].map(|bytes| names_in(&bytes));
    assert_eq!(found, [vec![""; 0], vec![]]);
}
