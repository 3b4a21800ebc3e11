//! A CMS that dials in and streams snapshots of a plausible shift.
//!
//! Everything but [`dial`] is pure: seeded, synchronous, given its time. The parts, in the order of the data:
//! [`shift`] moves agents, [`render`] spells what they do in any layout, [`scenario`] disturbs it, [`feed`] puts the three
//! together refresh by refresh and keeps the [`truth`], the transitions that a listener can know of. [`mod@stream`] plays a
//! feed without a socket, [`recording`] writes it to a capture, [`dial`] plays it over TCP. [`random_layout`] draws layouts, with the
//! [`manner`] in which a report is printed; in a [`script`] an agent goes through the states on purpose.
//!
//! Times: an agent's states begin and end in the time on the wire; a pace shortens them. Durations in records are therefore
//! true for a listener, however fast the shift goes.
#![forbid(unsafe_code)]

pub mod agent;
mod behaviour;
#[cfg(feature = "service")]
pub mod dial;
mod doubt;
mod error;
pub mod feed;
mod field;
mod garbage;
mod life;
pub mod manner;
pub mod random_layout;
mod random_states;
pub mod recording;
pub mod render;
mod roster;
pub mod scenario;
pub mod script;
pub mod settings;
pub mod shift;
#[cfg(feature = "service")]
mod sink;
mod spell;
mod stock;
pub mod stream;
pub mod truth;

#[cfg(feature = "service")]
pub use dial::{DialSummary, SimulateSettings, TruthSink, run};
pub use error::SimulateError;
pub use random_layout::RandomLayout;
pub use recording::Recording;
pub use scenario::Scenario;
pub use settings::SimulatedFeedSettings;
pub use shift::Drive;
pub use stream::stream;
pub use truth::{Truth, TruthCause};
