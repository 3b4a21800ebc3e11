//! The `rtalink` binary: parse the command line, run one command.

use std::process::ExitCode;

use clap::Parser as _;
use rtalink::cli::Cli;
use rtalink::telemetry::logs;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logs::log_end(&format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
