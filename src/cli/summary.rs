//! Minutes per agent, mode and reason.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;
use crate::tracker::event::{AgentEvent, Cause};
use crate::wire::states::Mode;

type AgentKey = (u32, Arc<str>);
type Spell = (Mode, Option<u32>);

/// Adds up how long each agent was in each mode.
#[derive(Debug, Default)]
pub(super) struct Summary {
    open: BTreeMap<AgentKey, (Spell, Timestamp)>,
    spent: BTreeMap<(AgentKey, Spell), Duration>,
}

impl Summary {
    /// An event ends one spell and begins another.
    pub(super) fn add(&mut self, event: &AgentEvent) {
        if event.cause == Cause::Remapped {
            return;
        }
        let key = (event.acd, Arc::clone(&event.login_id));
        self.end(&key, event.state_since);
        if !event.state.mode.is_logged_out() {
            self.open.insert(key, ((event.state.mode, event.state.aux_reason), event.state_since));
        }
    }

    fn end(&mut self, key: &AgentKey, at: Timestamp) {
        if let Some((spell, since)) = self.open.remove(key) {
            *self.spent.entry((key.clone(), spell)).or_default() += at.since(since);
        }
    }

    /// Writes a table, tab-separated, with a header; spells that are open end at `end`.
    pub(super) fn write(mut self, end: Timestamp, out: &mut impl Write) -> io::Result<()> {
        let open: Vec<AgentKey> = self.open.keys().cloned().collect();
        open.iter().for_each(|key| self.end(key, end));
        writeln!(out, "acd\tlogin_id\tmode\treason\tminutes")?;
        for (((acd, login_id), (mode, reason)), spent) in &self.spent {
            let reason = reason.map_or_else(String::new, |reason| reason.to_string());
            writeln!(out, "{acd}\t{login_id}\t{mode}\t{reason}\t{:.2}", spent.as_secs_f64() / 60.0)?;
        }
        Ok(())
    }
}
