//! Logs: on stderr, as text for a terminal or JSON for a container, with a level that can change while running.
//!
//! ERROR: a human must act, or data is at risk. WARN: degraded, recovers by itself. INFO: life cycle. DEBUG: per connection,
//! agent and record. Login ids and names never appear above DEBUG. There is one log per process, so [`level`] is the
//! process's.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tracing::Level;
use tracing_subscriber::fmt::format::{Format, JsonFields};
use tracing_subscriber::fmt::writer::MakeWriterExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::log_level;
use crate::config::model::LogFormat;
use crate::telemetry::targets::SERVICE;

use super::bounded::{Bounded, Shape};
use super::log_tail::{LastLines, LogTail};
use super::panics;
use super::text_fields::TextFields;

static LEVEL: OnceLock<LogLevel> = OnceLock::new();
static TAIL: LogTail = LogTail::new();

/// The level of the process's log, and the way to change it.
#[derive(Debug)]
pub struct LogLevel {
    handle: reload::Handle<EnvFilter, Registry>,
    levels: Mutex<Levels>,
    format: LogFormat,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    /// In force.
    pub current: String,
    /// The level of the configuration, to which the next reload returns.
    pub configured: String,
}

/// Why a level is not one, or logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is not a filter.
    #[error(
        "{0:?} is no log level: expected error, warn, info, debug, trace, off or a filter such as \"info,rtalink::feed=debug\""
    )]
    Level(String),
    /// Logging was started before.
    #[error("logging has been started before")]
    Started,
}

impl LogLevel {
    /// Returns what is logged now.
    pub fn levels(&self) -> Levels {
        self.levels.lock().clone()
    }

    /// Sets another level until the next reload. Returns what is called otherwise now, as [`log_level::Level::renamed`].
    ///
    /// # Errors
    /// When it is not a level.
    pub fn set(&self, level: &str) -> Result<Vec<(String, String)>, LogError> {
        let mut levels = self.levels.lock();
        let renamed = self.apply(level)?;
        level.clone_into(&mut levels.current);
        Ok(renamed)
    }

    /// Sets the level of the configuration.
    ///
    /// # Errors
    /// When it is not a level.
    pub fn configure(&self, level: &str) -> Result<(), LogError> {
        let mut levels = self.levels.lock();
        self.apply(level)?;
        *levels = Levels { current: level.to_owned(), configured: level.to_owned() };
        Ok(())
    }

    fn apply(&self, level: &str) -> Result<Vec<(String, String)>, LogError> {
        let log_level::Level { filter, renamed } = read(level)?;
        self.handle.reload(filter).map_err(|_| LogError::Started)?;
        Ok(renamed)
    }
}

fn read(level: &str) -> Result<log_level::Level, LogError> {
    log_level::read(level).map_err(|_| LogError::Level(level.to_owned()))
}

/// Returns the level of the process, once logging has been started.
pub fn level() -> Option<&'static LogLevel> {
    LEVEL.get()
}

/// Returns the last lines at INFO and above, once logging has been started.
pub fn last_lines() -> Option<LastLines> {
    level().map(|_| TAIL.read())
}

/// Whether to show colours: on terminals, not in files, and not for people who do not want them (<https://no-color.org>).
fn shows_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Starts logging for the whole process, panics included.
///
/// # Errors
/// When the level is not one, or logging was started before.
pub fn start(level: &str, format: LogFormat) -> Result<&'static LogLevel, LogError> {
    let (filter, handle) = reload::Layer::new(read(level)?.filter);
    let registry = tracing_subscriber::registry().with(filter);
    let tail = (|| &TAIL).with_max_level(Level::INFO);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr.and(tail));
    let started = match format {
        LogFormat::Text => {
            let format = Bounded::new(Format::default(), Shape::Text);
            let lines = lines.with_ansi(shows_colours()).fmt_fields(TextFields);
            registry.with(lines.event_format(format)).try_init()
        }
        LogFormat::Json => {
            let flat = Format::default().json().flatten_event(true).with_current_span(false).with_span_list(false);
            let format = Bounded::new(flat, Shape::Json);
            registry.with(lines.fmt_fields(JsonFields::new()).event_format(format)).try_init()
        }
    };
    started.map_err(|_| LogError::Started)?;
    panics::to_log();
    let levels = Levels { current: level.to_owned(), configured: level.to_owned() };
    Ok(LEVEL.get_or_init(|| LogLevel { handle, levels: Mutex::new(levels), format }))
}

/// Reports why the process ends: for machines as a line of the log, for people in plain words.
pub fn log_end(error: &dyn fmt::Display) {
    let is_json = level().is_some_and(|level| level.format == LogFormat::Json);
    if is_json && tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(target: SERVICE, "{error}");
    } else {
        eprintln!("rtalink: {error}");
    }
}
