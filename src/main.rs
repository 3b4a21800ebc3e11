//! The `rtalink` binary: parse the command line, run one command.

use std::process::ExitCode;

use clap::Parser as _;
use rtalink::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rtalink: {error:#}");
            ExitCode::FAILURE
        }
    }
}
