//! How much one peer, and all of them together, may use of the service over HTTP. `docs/http.md` has the same table.

use std::time::Duration;

/// Bytes of a request's head.
pub const LARGEST_HEAD: usize = 16 * 1024;

/// Lines of a request's head.
pub const MOST_HEADERS: usize = 64;

/// Bytes of a request's body.
pub const LARGEST_BODY: usize = 8 * 1024;

/// How long a head may take from the moment at which it can be sent: the beginning of the connection, or the end of the
/// previous answer. A connection that is idle for so long is closed.
pub const HEAD_TIME: Duration = Duration::from_secs(7);

/// How long a body may take.
pub const BODY_TIME: Duration = Duration::from_secs(5);

/// How long an answer may take. A request to pause waits up to ten seconds for the store.
pub const ANSWER_TIME: Duration = Duration::from_secs(15);

/// How long a peer may read nothing of an answer.
pub const STALL_TIME: Duration = Duration::from_secs(10);

/// Age at which a connection is closed after its next answer, or `last_answer` later in any case.
pub const LONGEST_CONNECTION: Duration = Duration::from_mins(2);

/// Open connections from other machines. This machine has [`MOST_OF_ONE_ADDRESS`] besides, so that nobody can lock it out.
pub const MOST_CONNECTIONS: usize = 128;

/// Open connections of one address; of IPv6, of one /64.
pub const MOST_OF_ONE_ADDRESS: usize = 32;

/// Requests that are being answered, until the last byte of the answer is handed to the system.
pub const MOST_REQUESTS: usize = 16;

/// Those of them that come from one address.
pub const MOST_REQUESTS_OF_ONE_ADDRESS: usize = 8;

/// Requests for `/metrics` and `/health` that are being answered, besides all others: monitoring must not queue behind users
/// of the service. One address may have half of them.
pub const MOST_WATCHING: usize = 16;

/// Those of [`MOST_REQUESTS`] that ask for all agents: each holds an answer as large as the table.
pub const MOST_TABLES: usize = 2;

/// Time limits, and how many there may be at a time.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// [`HEAD_TIME`].
    pub head_time: Duration,
    /// [`BODY_TIME`].
    pub body_time: Duration,
    /// [`ANSWER_TIME`].
    pub answer_time: Duration,
    /// [`STALL_TIME`].
    pub stall_time: Duration,
    /// [`LONGEST_CONNECTION`].
    pub longest_connection: Duration,
    /// How long the last answer of a connection of that age may take, to be made and to be read.
    pub last_answer: Duration,
    /// [`MOST_CONNECTIONS`].
    pub most_connections: usize,
    /// [`MOST_OF_ONE_ADDRESS`].
    pub most_of_one_address: usize,
    /// [`MOST_REQUESTS`].
    pub most_requests: usize,
    /// [`MOST_REQUESTS_OF_ONE_ADDRESS`].
    pub most_requests_of_one_address: usize,
    /// [`MOST_WATCHING`].
    pub most_watching: usize,
    /// [`MOST_TABLES`].
    pub most_tables: usize,
}

impl Default for HttpLimits {
    /// The limits of the service. A test uses shorter ones.
    fn default() -> Self {
        Self {
            head_time: HEAD_TIME,
            body_time: BODY_TIME,
            answer_time: ANSWER_TIME,
            stall_time: STALL_TIME,
            longest_connection: LONGEST_CONNECTION,
            last_answer: ANSWER_TIME + STALL_TIME,
            most_connections: MOST_CONNECTIONS,
            most_of_one_address: MOST_OF_ONE_ADDRESS,
            most_requests: MOST_REQUESTS,
            most_requests_of_one_address: MOST_REQUESTS_OF_ONE_ADDRESS,
            most_watching: MOST_WATCHING,
            most_tables: MOST_TABLES,
        }
    }
}
