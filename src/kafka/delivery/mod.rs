//! What becomes of messages that a producer has: what librdkafka reports back, and what is known by that.
//!
//! One [`Reports`] belongs to one producer and runs on its polling thread. A success acknowledges a position in the send
//! window, or, in a transaction, is counted only ([`OnTheWay`]): its commit acknowledges. A failure is only recorded
//! ([`Failures`]) and the publisher thread woken: what to do about it is decided there, after the producer has been
//! destroyed and no report can follow. What an integration's producers have in common, and outlives them, is in its
//! [`Monitor`]. Cost: per message one lock of the send window, or of the count.

mod failures;
mod monitor;
mod on_the_way;
mod reports;
mod ticket;

pub(super) use failures::{Breakage, FailureList, Failures};
pub(super) use monitor::Monitor;
pub(super) use on_the_way::OnTheWay;
pub(super) use reports::Reports;
pub(super) use ticket::Ticket;
