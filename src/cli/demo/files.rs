//! What the demo needs on disk: a configuration and mapping files like those of an installation.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::http_address::HttpAddress;
use crate::mapping::files::USERS_HEADER;
use crate::simulate::agent::SimulatedAgent;

/// Id of the demo's integration.
const INTEGRATION: &str = "demo";
/// Its layout.
pub(super) const LAYOUT: &str = "cisco-icm-20";

/// One agent in so many, who is there from the beginning, is left out of the users file, so that `/api/v1/unmapped` has
/// something to show.
const UNMAPPED_EVERY: usize = 50;

const ACTIVITIES: &str = "\
external_activity,activity_id,activity_name
ACD,10,Call
DACD,10,Call
RING,11,Ringing
ACW,12,After-call work
DACW,12,After-call work
AVAIL,13,Available
AUX:1,20,Break
AUX:2,21,Lunch
AUX:3,22,Training
AUX:4,23,Meeting
AUX:5,24,Coaching
AUX:6,25,Back office
AUX,26,Other auxiliary work
";

/// Writes everything into `directory`; returns the path of the configuration.
pub(super) fn write(
    directory: &Path,
    agents: &[SimulatedAgent],
    refresh: Duration,
    http: HttpAddress,
) -> io::Result<PathBuf> {
    let mut users = csv::Writer::from_path(directory.join("users.csv"))?;
    users.write_record(USERS_HEADER)?;
    for (number, agent) in agents.iter().enumerate() {
        if number % UNMAPPED_EVERY != UNMAPPED_EVERY / 2 {
            users.write_record([&*agent.login_id, &(1_000 + number).to_string(), &*agent.name])?;
        }
    }
    users.flush()?;
    fs::write(directory.join("activities.csv"), ACTIVITIES)?;
    let stale_after = (refresh * 10).as_millis().max(1_000);
    let shortest_refresh = (refresh / 3).min(Duration::from_secs(1)).as_millis();
    let configuration = format!(
        r#"[kafka]
bootstrap_servers = "embedded"

[http]
listen = "{http}"

[store]
directory = "data"

[[integration]]
id = "{INTEGRATION}"
name = "Demo: a simulated CMS"
kind = "avaya-cms"
acd = 1
details = true

[integration.realtime]
port = 0
bind = "127.0.0.1"
layout = "{LAYOUT}"
shortest_refresh = "{shortest_refresh}ms"
stale_after = "{stale_after}ms"

[integration.mapping]
users = "users.csv"
activities = "activities.csv"
"#
    );
    let path = directory.join("rtalink.toml");
    fs::write(&path, configuration)?;
    Ok(path)
}
