//! External users and activities to injixo's: pure lookups on an immutable, versioned snapshot.
//!
//! The mapping files belong to the planner; nothing here ever writes them. A new version is built separately and swapped in
//! as a whole ([`annotate::Annotator::set_tables`]).
#![forbid(unsafe_code)]

pub mod annotate;
pub mod files;
pub mod key;
pub mod names;
pub mod spelling;
pub mod tables;
pub mod unmapped;
