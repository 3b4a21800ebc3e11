//! What a row of the journal says of agents.

use std::collections::HashMap;

use crate::publish::journal_row;
use crate::publish::message::Message;
use crate::store::Row;
use crate::store::memory::{self, StoredAgent};

/// The agents as a row of the journal has left them. `keeps_events_of`: the integration, where its last events are wanted too.
pub(super) fn agents_of(row: &Row, keeps_events_of: Option<&str>, agents: &mut Vec<StoredAgent>) -> Result<(), String> {
    let (messages, changed) = journal_row::decode(&row.content).map_err(|error| error.to_string())?;
    let mut by_key: HashMap<&str, &Message> = HashMap::new();
    if keeps_events_of.is_some() {
        by_key.extend(messages.iter().map(|message| (&*message.key, message)));
    }
    for agent in changed {
        let mut agent = memory::from_agent_message(agent).map_err(|error| error.to_string())?;
        if let Some(integration) = keeps_events_of {
            let key = format!("{integration}/{}/{}", agent.agent.acd, agent.agent.login_id);
            agent.last_event = by_key.get(&*key).map(|message| journal_row::stored(message));
        }
        agents.push(agent);
    }
    Ok(())
}
