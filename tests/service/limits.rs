//! Each limit of `docs/limits.md` that no other test drives over: what is beyond it, and what happens then. And the page
//! itself: what it says is what the code has. With `--nocapture` each test says what it saw.
#![allow(clippy::unwrap_used)]

mod files;
mod http;
mod journal;
mod page;
mod port;
mod records;
