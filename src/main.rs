//! The `rtalink` binary: parse the command line, run one command.

use std::process::ExitCode;

use clap::Parser as _;
use rtalink::cli::Cli;
use rtalink::telemetry::logs;

/// Events are made by one thread and freed by another: that costs jemalloc less than glibc's allocator, and it gives back what
/// a burst has taken (benches/README.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logs::log_end(&format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
