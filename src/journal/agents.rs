//! What rows of the journal say about agents: how they were after each batch.
//!
//! Purpose: a start takes from them what the last checkpoint lacks; and while checkpoints have to wait (the journal or the
//! disk is full), what the rows say is written instead, so that rows can leave. Invariant: nothing is lost by that, including
//! the message of an agent's last event, where it is needed. Policy: a row that cannot be read completely says nothing. Cost:
//! that of reading the row; messages are copied only where they are kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use prost::Message as _;

use crate::contract::store;

use super::row::{self, RowError};
use super::store::{AgentKey, AgentRow, JournalRow};

/// What a checkpoint does to the agent table.
#[derive(Debug, Default)]
pub struct TableChange {
    /// Removed, where present.
    pub forgotten: Vec<AgentKey>,
    /// Added or replaced.
    pub agents: Vec<AgentRow>,
}

/// What a row says about agents.
#[derive(Debug, Default)]
pub(crate) struct RowAgents {
    /// Agents forgotten in it: what was known before is void.
    pub(crate) forgotten: Vec<store::Forgotten>,
    /// The agents as they were after it.
    pub(crate) agents: Vec<store::AgentMemory>,
}

/// Returns the agents as they were after a row. `keeps_events_of`: the integration, where its last events are needed too.
///
/// # Errors
/// A row that is not a batch, or of a newer version.
pub(crate) fn agents_of(row: &JournalRow, keeps_events_of: Option<&str>) -> Result<RowAgents, RowError> {
    let store::Batch { messages, mut agents, forgotten } = store::Batch::decode(&*row.content)?;
    messages.iter().try_for_each(row::check)?;
    let Some(integration) = keeps_events_of else { return Ok(RowAgents { forgotten, agents }) };
    let mut by_key: HashMap<String, store::Message> =
        messages.into_iter().map(|message| (message.key.clone(), message)).collect();
    for agent in &mut agents {
        agent.last_event = by_key.remove(&format!("{integration}/{}/{}", agent.acd, agent.login_id));
    }
    Ok(RowAgents { forgotten, agents })
}

/// The agents of several rows, each as they were after the last of these, or that they are forgotten.
#[derive(Debug)]
pub(crate) struct Latest<'a> {
    keeps_events_of: Option<&'a str>,
    agents: BTreeMap<(u32, String), Option<store::AgentMemory>>,
}

impl<'a> Latest<'a> {
    /// Creates one without any row yet; see [`agents_of`].
    pub(crate) const fn new(keeps_events_of: Option<&'a str>) -> Self {
        Self { keeps_events_of, agents: BTreeMap::new() }
    }

    /// Adds the next row, whole or not at all.
    ///
    /// # Errors
    /// Those of [`agents_of`].
    pub(crate) fn add(&mut self, row: &JournalRow) -> Result<(), RowError> {
        let RowAgents { forgotten, agents } = agents_of(row, self.keeps_events_of)?;
        self.agents.extend(forgotten.into_iter().map(|who| ((who.acd, who.login_id), None)));
        self.agents.extend(agents.into_iter().map(|agent| ((agent.acd, agent.login_id.clone()), Some(agent))));
        Ok(())
    }

    /// Returns the changes to the agent table.
    pub(crate) fn into_changed(self) -> TableChange {
        let mut changed = TableChange::default();
        for ((acd, login_id), agent) in self.agents {
            let login_id: Arc<str> = login_id.into();
            match agent {
                Some(agent) => changed.agents.push(AgentRow { acd, login_id, memory: agent.encode_to_vec() }),
                None => changed.forgotten.push((acd, login_id)),
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::contract::header;
    use crate::contract::saved;
    use crate::journal::message::{AgentImages, Message, Route};
    use crate::journal::testing::images;
    use crate::time::Timestamp;

    fn agent(login_id: &str, sequence: u64) -> store::AgentMemory {
        store::AgentMemory { acd: 1, login_id: login_id.to_owned(), sequence, ..Default::default() }
    }

    fn event(login_id: &str, sequence: u64) -> Message {
        Message {
            route: Route::AgentState,
            key: format!("avaya-1/1/{login_id}").into(),
            payload: Bytes::from(sequence.to_string()),
            headers: vec![(header::CONTENT_TYPE, Bytes::from_static(header::JSON.as_bytes()))],
            read_at: None,
        }
    }

    fn status() -> Message {
        Message { route: Route::FeedStatus, key: "avaya-1".into(), ..event("-", 0) }
    }

    fn row(first: u64, messages: &[Message], agents: Vec<store::AgentMemory>) -> JournalRow {
        let content = row::encode(messages, &images(&agents), &[]);
        JournalRow {
            first,
            count: u32::try_from(messages.len()).unwrap(),
            written_at: Timestamp::from_micros(1),
            content,
        }
    }

    /// Returns each agent's login id, sequence, and the value of their last event.
    fn told(rows: &[JournalRow], keeps_events_of: Option<&str>) -> Vec<String> {
        let mut latest = Latest::new(keeps_events_of);
        rows.iter().for_each(|row| latest.add(row).unwrap());
        let tell = |AgentRow { acd, login_id, memory }: AgentRow| {
            let saved::StoredAgent { agent, last_event, .. } = saved::decode_agent(&memory).unwrap();
            assert_eq!((agent.acd, &agent.login_id), (acd, &login_id));
            let event = last_event.map_or("-".to_owned(), |event| String::from_utf8(event.payload).unwrap());
            format!("{login_id} #{} {event}", agent.sequence)
        };
        let TableChange { forgotten, agents } = latest.into_changed();
        let gone = forgotten.into_iter().map(|(_, login_id)| format!("{login_id} forgotten"));
        gone.chain(agents.into_iter().map(tell)).collect()
    }

    #[test]
    fn each_agent_is_as_the_last_row_has_left_them_with_their_last_event_where_it_is_wanted() {
        let rows = [
            row(0, &[event("7", 1), event("8", 1), event("7", 2)], vec![agent("7", 2), agent("8", 1)]),
            row(3, &[status()], Vec::new()),
            row(4, &[event("9", 1), event("7", 3)], vec![agent("7", 3), agent("9", 1)]),
        ];
        assert_eq!(told(&rows, Some("avaya-1")), ["7 #3 3", "8 #1 1", "9 #1 1"]);
        assert_eq!(told(&rows[..1], Some("avaya-1")), ["7 #2 2", "8 #1 1"]);
        assert_eq!(told(&rows, None), ["7 #3 -", "8 #1 -", "9 #1 -"]);
    }

    #[test]
    fn who_is_forgotten_is_gone_until_they_come_again() {
        let forgotten = |login_id: &str| {
            let who = store::Forgotten { acd: 1, login_id: login_id.to_owned(), at: 1 };
            let tombstone = Message::tombstone(format!("avaya-1/1/{login_id}").into());
            let content = row::encode(&[tombstone], &AgentImages::default(), &[who]);
            JournalRow { content, ..row(2, &[status()], Vec::new()) }
        };
        let rows = [
            row(0, &[event("7", 1), event("8", 9)], vec![agent("7", 1), agent("8", 9)]),
            forgotten("8"),
            row(3, &[event("7", 2), event("8", 1)], vec![agent("7", 2), agent("8", 1)]),
        ];
        assert_eq!(told(&rows[..2], Some("avaya-1")), ["8 forgotten", "7 #1 1"]);
        assert_eq!(told(&rows[1..2], None), ["8 forgotten"], "also where the row that told of them is gone");
        assert_eq!(told(&rows, Some("avaya-1")), ["7 #2 2", "8 #1 1"]);
    }

    #[test]
    fn a_row_that_cannot_be_read_says_nothing() {
        let mut latest = Latest::new(None);
        latest.add(&row(0, &[event("7", 1)], vec![agent("7", 1)])).unwrap();
        let unknown = store::Message { route: 99, key: "avaya-1/1/7".to_owned(), ..Default::default() };
        let batch = store::Batch { messages: vec![unknown], agents: vec![agent("7", 2)], forgotten: Vec::new() };
        let newer = JournalRow { content: batch.encode_to_vec(), ..row(1, &[status()], Vec::new()) };
        assert!(matches!(latest.add(&newer), Err(RowError::Route { route: 99, .. })));
        let torn = JournalRow { content: vec![0xff], ..row(1, &[status()], Vec::new()) };
        assert!(matches!(latest.add(&torn), Err(RowError::Decode(_))));
        let rows = latest.into_changed().agents;
        assert_eq!(rows.len(), 1);
        let kept = &rows[0];
        assert_eq!(
            (kept.login_id.clone(), saved::decode_agent(&kept.memory).unwrap().agent.sequence),
            (Arc::from("7"), 1)
        );
    }
}
