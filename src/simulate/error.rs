//! What can be wrong with a simulated feed.

use std::io;
use std::path::PathBuf;

use super::shift::Drive;

/// Why a feed cannot be simulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// Not one agent.
    #[error("a shift needs at least one agent")]
    NoAgents,
    /// A refresh of nothing.
    #[error("the refresh must be longer than 0")]
    NoRefresh,
    /// A pace or share out of range.
    #[error("{0:?} is out of range: a pace must be greater than 0, a share of changes between 0 and 1")]
    Drive(Drive),
    /// A name that the time zone database does not have.
    #[error("unknown time zone {name:?}: expected an IANA name such as Europe/Berlin ({message})")]
    TimeZone {
        /// As given.
        name: String,
        /// The message of the calendar library.
        message: String,
    },
    /// A format of local time that cannot be written.
    #[error("format {format:?} of column {column} cannot be written: {message}")]
    TimeFormat {
        /// Name of the column.
        column: &'static str,
        /// As given.
        format: String,
        /// The message of the calendar library.
        message: String,
    },
    /// Two ACDs, and a layout that cannot tell them.
    #[error("two-acds needs a layout with the column \"acd\": without it two agents with one login id are one")]
    NoAcdColumn,
    /// Nobody listened in time.
    #[error("nobody listens on {target}: {source}; is `rtalink run` or `rtalink capture` running there?")]
    Unreachable {
        /// As given.
        target: String,
        /// The error of the last attempt.
        source: io::Error,
    },
    /// The truth could not be written.
    #[error("cannot write the truth to {}: {source}", path.display())]
    TruthFile {
        /// As given.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
}
