//! Where the data of an integration comes from, one folder per kind of source.
//!
//! * [`rta`]: Avaya CMS dials in and streams snapshots of what its agents do;
//! * [`rows`]: what sources hand over that have rows instead of a feed.
//!
//! A source is built from its configuration and from what it hands its data over to, and then runs until it is stopped
//! ([`Source`]). There are two ways to hand over. *Records of a feed* go to the worker of the integration, whose engine finds
//! the transitions in them ([`rta::worker_channel`]). *Rows with a cursor* go to a lane of the journal as they are: the rows
//! and how far the source has been read are on disk in the same transaction, so that a source that goes on from its cursor
//! leaves nothing out and reads nothing twice.

pub mod rows;
pub mod rta;

use std::future::Future;

/// A source that is ready to run.
pub trait Source: Send + 'static {
    /// Runs until the token that it was built with is cancelled; returns once everything that it has read is handed over.
    fn run(self) -> impl Future<Output = ()> + Send;
}
