//! One file per command, each thin: read the arguments, call the library, say what came of it.
//!
//! Results go to stdout, diagnostics to stderr. A failure is one readable message and exit code 1; wrong usage is 2.

mod account;
mod agent_report;
mod capture;
mod capture_export;
mod capture_file;
mod capture_forward;
mod capture_lines;
mod capture_live;
mod capture_output;
mod check;
mod compare;
mod configuration;
mod decode;
mod decode_account;
mod demo;
mod dialled;
mod feed_input;
mod forget;
mod forget_offline;
mod health;
mod inspect;
mod inspect_live;
mod layout_choice;
mod output;
mod paragraphs;
mod publishing;
mod record_lines;
mod reload;
mod reloading;
mod remote;
mod replay;
mod run;
mod simulate;
mod status;
mod status_bundle;
mod status_screen;
mod store;
mod summary;
mod tail;
mod trace;
mod unmapped;

use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::units;

/// Avaya CMS agent states to Kafka, as injixo activities.
///
/// Listens for Avaya's Generic RTA feed, finds the real transitions of every agent and publishes them for Intraday.
#[derive(Debug, Parser)]
#[command(name = "rtalink", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

// What the help says of a command stands at its arguments: a comment here would replace it.
#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Demo(demo::Args),
    Check(check::Args),
    Decode(decode::Args),
    Replay(replay::Args),
    Capture(capture::Args),
    Inspect(inspect::Args),
    Simulate(simulate::Args),
    Tail(tail::Args),
    Health(health::Args),
    Status(status::Args),
    Unmapped(unmapped::Args),
    Reload(reload::Args),
    Pause(publishing::PauseArgs),
    Resume(publishing::ResumeArgs),
    Forget(forget::Args),
    Store(store::Args),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What went wrong, in one readable message.
    pub fn run(self) -> anyhow::Result<()> {
        let result = match self.command {
            Command::Run(args) => run::run(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Decode(args) => decode::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Capture(args) => capture::run(&args),
            Command::Inspect(args) => inspect::run(&args),
            Command::Simulate(args) => simulate::run(args),
            Command::Tail(args) => tail::run(&args),
            Command::Health(args) => health::run(&args),
            Command::Status(args) => status::run(&args),
            Command::Unmapped(args) => unmapped::run(&args),
            Command::Reload(args) => reload::run(&args),
            Command::Pause(args) => publishing::pause(&args),
            Command::Resume(args) => publishing::resume(&args),
            Command::Forget(args) => forget::run(&args),
            Command::Store(args) => store::run(&args),
        };
        match result {
            // Who reads our output has had enough: `rtalink decode … | head`.
            Err(error) if output::is_broken_pipe(&error) => Ok(()),
            result => result,
        }
    }
}

/// `500ms`, `3s`, `15m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).ok_or_else(|| "expected a duration such as 500ms, 3s or 15m".to_owned())
}

/// A duration that is not zero.
fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() { Err("must be longer than zero".to_owned()) } else { Ok(duration) }
}
