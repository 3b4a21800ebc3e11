//! `rtalink check`: everything that is wrong with a configuration, at once.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::bail;

use crate::config::Problem;

use super::configuration::{self, UnavailableAddress};
use super::output::stdout;

/// Validates a configuration and everything it names: every problem with file, line and a hint.
///
/// Exits 0 if `run` would start with it, 1 otherwise: librdkafka is asked about its properties, and files and the store
/// directory are looked at. A port or a store that is in use is a warning here: the service may be running. A certificate that has run out is an error here, though `run` starts with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  rtalink check --config rtalink.toml")]
pub(super) struct Args {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut loaded = configuration::load(&args.config);
    let taken =
        configuration::ports_taken(&loaded).into_iter().map(|UnavailableAddress { origin, message, is_in_use }| {
            if is_in_use {
                let hint = "fine if the service is running; otherwise choose another address or port";
                Problem::warning(origin, message).hint(hint)
            } else {
                let hint = "does this machine have the address, and this user the right to the port (below 1024)?";
                Problem::error(origin, message).hint(hint)
            }
        });
    loaded.add(taken);
    let store = configuration::store(&loaded, &args.config);
    loaded.add(store);
    let unmapped = configuration::without_mapping(&loaded, &args.config);
    loaded.add(unmapped);
    let out_of_date = configuration::out_of_date(&loaded).into_iter();
    loaded.add(out_of_date.map(|(origin, message)| Problem::error(origin, message).hint(configuration::RENEW)));
    for problem in &loaded.problems {
        eprintln!("{}", problem.with_content());
    }
    let errors = loaded.problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = loaded.problems.len() - errors;
    let file = args.config.display();
    let Some(config) = loaded.config else {
        bail!("{file}: {errors} error(s), {warnings} warning(s)");
    };
    let integrations = config.integrations.len();
    writeln!(stdout(), "{file}: ok, {integrations} integration(s), {warnings} warning(s)")?;
    Ok(())
}
