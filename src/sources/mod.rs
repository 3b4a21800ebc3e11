//! Where the data of an integration comes from, one folder per kind of source.
//!
//! * [`rta`]: Avaya CMS dials in and streams snapshots of what its agents do.

pub mod rta;
