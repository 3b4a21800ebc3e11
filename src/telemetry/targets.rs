//! Targets of log lines: what directives such as `info,rtalink::feed=debug` select.
//!
//! They are names for operators, documented in `docs/operations.md`, and stay when a module moves. A directive applies to
//! everything whose target begins with its name.

/// What each agent does, and invalid records as they were read. At DEBUG: personal data.
pub const AGENTS: &str = "rtalink::agents";
/// The port that CMS dials, and its connections.
pub const FEED: &str = "rtalink::feed";
/// What happens to a feed: statuses, invalid records, agents that are restored and forgotten.
pub const INTEGRATION: &str = "rtalink::integration";
/// The store on disk.
pub const JOURNAL: &str = "rtalink::journal";
/// Producers, topics, what is read back.
pub const KAFKA: &str = "rtalink::kafka";
/// Start, reload and end: what an operator does. These lines are never left out.
pub const RUN: &str = "rtalink::run";
/// What is looked after while the service runs.
pub const SERVICE: &str = "rtalink::service";
/// Requests.
pub const HTTP: &str = "rtalink::http";
/// Commands.
pub const CLI: &str = "rtalink::cli";
/// The simulator.
pub const SIMULATE: &str = "rtalink::simulate";

/// All of them.
pub const ALL: [&str; 10] = [AGENTS, FEED, INTEGRATION, JOURNAL, KAFKA, RUN, SERVICE, HTTP, CLI, SIMULATE];
