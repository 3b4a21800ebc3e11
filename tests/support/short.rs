//! A feed that is written in a line: `login id|state|reason`, and `END` behind a snapshot; its configuration, sending it, and
//! what comes of it.

use std::io::Write as _;
use std::net::TcpStream;

use rtalink::contract::v1;

use super::sections;

/// The built-in Kafka, with one partition.
pub(crate) const EMBEDDED: &str = "bootstrap_servers = \"embedded\"\npartitions = 1";

/// Its layout.
pub(crate) const LAYOUT: &str = r#"
        [layout.short]
        separator = "|"
        marker = "^END"
        columns = ["login_id", "state", "aux_reason"]
        states = "cms-names"
"#;

/// The section of a mapping that has both files.
pub(crate) const MAPPING: &str = r#"
    [integration.mapping]
    users = "users.csv"
    activities = "activities.csv"
"#;

/// `kafka`: lines of its section, perhaps with its topics behind; `realtime`: further lines of the feed's section; `mapping`:
/// that section.
pub(crate) fn config(kafka: &str, realtime: &str, mapping: &str) -> String {
    let integration =
        sections::integration("", &format!("layout = \"short\"\nsnapshot_end = \"marker\"\n{realtime}\n{mapping}"));
    format!(
        r#"
        [kafka]
        {kafka}
        {integration}
        {LAYOUT}
        "#
    )
}

pub(crate) fn send(feed: &mut TcpStream, lines: &[&str]) {
    feed.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
}

/// Login id, sequence, cause, employee, activity and mapping version.
pub(crate) fn told(events: &[v1::AgentStateEvent]) -> Vec<String> {
    let tell = |event: &v1::AgentStateEvent| {
        let user = event.user.as_ref().map_or("-", |user| user.employee_id.as_str());
        let activity = event.activity.as_ref().map_or("-", |activity| activity.activity_id.as_str());
        let (login_id, sequence, cause) = (&event.login_id, event.sequence, event.cause().as_str_name());
        format!("{login_id} #{sequence} {cause} {user} {activity} v{}", event.mapping_version)
    };
    events.iter().map(tell).collect()
}
