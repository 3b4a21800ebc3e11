//! Each limit of `docs/limits.md` that no other test drives over: what is beyond it, and what happens then. And the page
//! itself: what it says is what the code has. With `--nocapture` each test says what it saw.
#![allow(clippy::unwrap_used)]

mod support;

#[path = "limits/files.rs"]
mod files;
#[path = "limits/http.rs"]
mod http;
#[path = "limits/journal.rs"]
mod journal;
#[path = "limits/page.rs"]
mod page;
#[path = "limits/port.rs"]
mod port;
#[path = "limits/records.rs"]
mod records;
