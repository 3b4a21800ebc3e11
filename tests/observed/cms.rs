//! CMS dialling in with a fault that can be switched on and off: every agent of a small team in every snapshot.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Time between two steps; far below the `stale_after` of the tests.
const STEP: Duration = Duration::from_millis(100);

/// What CMS does in a step.
pub(crate) enum Step {
    /// Sends text on the open connection.
    Send(String),
    /// Closes what is open and sends text on a new connection.
    Redial(String),
    /// Sends text on a new connection beside the open one.
    Twin(String),
    /// Sends text on the open connection, while somebody else looks whether the port is open.
    Probed(String),
    /// Sends nothing.
    Silence,
    /// Closes what is open.
    HangUp,
}

/// A CMS on a thread of its own, until it is dropped.
pub(crate) struct Cms {
    is_faulty: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Cms {
    /// Dials in; steps of the fault are counted from 0 each time that it is switched on.
    pub(crate) fn start(address: SocketAddr, fault: fn(u64) -> Step) -> Self {
        let (is_faulty, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (is_faulty, ends) = (Arc::clone(&is_faulty), Arc::clone(&ends));
            thread::spawn(move || {
                let mut line = Line { address, open: Vec::new() };
                let (mut healthy, mut faulty) = (0, 0);
                while !ends.load(Ordering::Relaxed) {
                    if is_faulty.load(Ordering::Relaxed) {
                        line.take(fault(faulty));
                        faulty += 1;
                    } else {
                        line.take(Step::Send(snapshot(healthy, 0..TEAM)));
                        (healthy, faulty) = (healthy + 1, 0);
                    }
                    thread::park_timeout(STEP);
                }
            })
        };
        Self { is_faulty, ends, thread: Some(thread) }
    }

    pub(crate) fn fault(&self, on: bool) {
        self.is_faulty.store(on, Ordering::Relaxed);
    }
}

impl Drop for Cms {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it has panicked, and said why
        }
    }
}

/// Connections, the newest last.
struct Line {
    address: SocketAddr,
    open: Vec<TcpStream>,
}

impl Line {
    fn take(&mut self, step: Step) {
        match step {
            Step::Send(text) => {
                if self.open.is_empty() {
                    self.dial();
                }
                self.send(&text);
            }
            Step::Probed(text) => {
                drop(TcpStream::connect(self.address));
                self.take(Step::Send(text));
            }
            Step::Redial(text) => {
                self.open.clear();
                self.dial();
                self.send(&text);
            }
            Step::Twin(text) => {
                self.dial();
                self.send(&text);
                // Older ones were closed by the service, or will be.
                let surplus = self.open.len().saturating_sub(2);
                self.open.drain(..surplus);
            }
            Step::Silence => {}
            Step::HangUp => self.open.clear(),
        }
    }

    fn dial(&mut self) {
        // A service that is away is dialled again in the next step, as CMS does.
        self.open.extend(TcpStream::connect(self.address));
    }

    fn send(&mut self, text: &str) {
        if let Some(newest) = self.open.last_mut()
            && newest.write_all(text.as_bytes()).is_err()
        {
            self.open.clear();
        }
    }
}

/// Agents of the team.
pub(crate) const TEAM: u32 = 20;

/// A whole snapshot of those agents; each time another one of them is on a call.
pub(crate) fn snapshot(number: u64, agents: std::ops::Range<u32>) -> String {
    let state = |agent: u32| if u64::from(agent) == number % u64::from(TEAM) { "C" } else { "A" };
    snapshot_of(agents, state)
}

/// A whole snapshot with the state that each agent has.
pub(crate) fn snapshot_of<'a>(agents: impl Iterator<Item = u32>, state: impl Fn(u32) -> &'a str) -> String {
    let mut text: String = agents.map(|agent| format!("{}|{}|\n", 1000 + agent, state(agent))).collect();
    text.push_str("END\n");
    text
}

/// The layouts of these snapshots; `local` has local times.
pub(crate) const LAYOUT: &str = r#"
[layout.short]
separator = "|"
marker = "^END"
columns = ["login_id", "state", "timestamp"]
[layout.short.states]
A = "AVAIL"
C = "ACD:in"
P = "AUX"
U = "UNKNOWN"
W = "ACW"
[layout.local]
separator = "|"
marker = "^END"
columns = ["login_id", "state", { field = "timestamp", format = "%d.%m.%Y %H:%M:%S" }]
[layout.local.states]
A = "AVAIL"
C = "ACD:in"
"#;

/// `users.csv` with everybody in the team.
pub(crate) fn users() -> String {
    let rows = (0..TEAM).map(|agent| format!("{},E{agent},Agent {agent}\n", 1000 + agent));
    "external_user,employee_id,employee_name\n".to_owned() + &rows.collect::<String>()
}

/// `activities.csv` with every state but ACW.
pub(crate) const ACTIVITIES: &str = "external_activity,activity_id,activity_name\nAVAIL,1,Ready\nACD,2,Call\n\
     AUX,3,Break\nUNKNOWN,4,Unknown\nLOGGED_OUT,5,Absent\n";
