//! Logs: on stderr, as text for a terminal or JSON for a container, with a level that can change while running.
//!
//! ERROR: a human must act, or data is at risk. WARN: degraded, mends itself. INFO: life cycle. DEBUG: per connection.
//! Login ids and names never stand above DEBUG.

use std::io::IsTerminal as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::model::LogFormat;

/// Changes the level.
#[derive(Clone, Debug)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

/// Why a level is none, or logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is no filter.
    #[error(
        "{0:?} is no log level: expected error, warn, info, debug, trace or a filter such as \"info,rtalink::feed=debug\""
    )]
    Level(String),
    /// Logging was started before.
    #[error("logging has been started before")]
    Started,
}

impl LogLevel {
    /// Another level from now on.
    ///
    /// # Errors
    /// When it is none.
    pub fn set(&self, level: &str) -> Result<(), LogError> {
        let filter = filter(level)?;
        self.0.reload(filter).map_err(|_| LogError::Started)
    }
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(level).map_err(|_| LogError::Level(level.to_owned()))
}

/// Colours are for terminals, not for files, and for nobody who does not want them (<https://no-color.org>).
fn shows_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Starts logging for the whole process.
///
/// # Errors
/// When the level is none, or it was started before.
pub fn start(level: &str, format: LogFormat) -> Result<LogLevel, LogError> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Text => {
            registry.with(fmt::layer().with_ansi(shows_colours()).with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
    };
    started.map_err(|_| LogError::Started)?;
    Ok(LogLevel(handle))
}
