//! What the tests of the journal and of publishing share: messages, and rows that are damaged.

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;

use crate::contract::header;
use crate::contract::store::AgentMemory;

use super::message::{AgentImages, Batch, Message, Route};
use super::store;

/// Damages the rows of the journal in that folder that begin at these positions.
pub(crate) fn damage_rows(folder: &Path, rows: impl IntoIterator<Item = u64>) {
    let connection = rusqlite::Connection::open(folder.join(store::DATABASE)).unwrap();
    for row in rows {
        let sql = "UPDATE journal SET content = zeroblob(length(content)) WHERE first = ?1";
        assert_eq!(connection.execute(sql, [i64::try_from(row).unwrap()]).unwrap(), 1);
    }
}

/// An agent state event as far as publishing is concerned: JSON with a running number.
pub(crate) fn event(agent: usize, number: usize) -> Message {
    Message {
        route: Route::AgentState,
        key: format!("avaya-1/1/{agent}").into(),
        payload: Bytes::from(number.to_string()),
        headers: vec![(header::CONTENT_TYPE, Bytes::from_static(header::JSON.as_bytes()))],
        read_at: Some(Instant::now()),
    }
}

/// A batch without agents.
pub(crate) fn batch(messages: Vec<Message>) -> Batch {
    Batch { messages, ..Batch::default() }
}

/// Agents as a batch has them.
pub(crate) fn images(agents: &[AgentMemory]) -> AgentImages {
    agents.iter().map(prost::Message::encode_to_vec).collect()
}
