//! External users and activities to injixo's: pure lookups on an immutable, versioned snapshot.
//!
//! The mapping files belong to the planner; nothing here ever writes them. A new version is built separately and swapped in
//! as a whole ([`annotate::Annotator::set_tables`]).
//!
//! ```
//! use rtalink::mapping::files::parse_users;
//! use rtalink::mapping::tables::{Activity, IdentifyBy, MappingTables};
//! use rtalink::time::Timestamp;
//!
//! let file = "external_user,employee_id,employee_name\n4711,E-1,Ada Lovelace\n";
//! let tables = MappingTables {
//!     version: 1,
//!     identify_by: IdentifyBy::LoginId,
//!     users: parse_users(file.as_bytes(), "UTC").expect("a valid file").rows,
//!     scoped: Default::default(),
//!     names: Default::default(),
//!     activities: Default::default(),
//!     default_activity: Activity { activity_id: "1".to_owned(), activity_name: "Present".to_owned() }.into(),
//! };
//! let now = Timestamp::now();
//! assert_eq!(tables.user(" 4711 ", 1, now).expect("a row").employee_id, "E-1");
//! assert_eq!(tables.user("4712", 1, now), None);
//! ```
#![forbid(unsafe_code)]

pub mod annotate;
mod cells;
pub mod difference;
pub mod files;
pub mod key;
pub mod logins;
mod lookalike;
pub mod names;
pub mod near;
pub mod scoped;
pub mod sheet;
pub mod spelling;
pub mod tables;
pub mod unmapped;
pub mod users;
