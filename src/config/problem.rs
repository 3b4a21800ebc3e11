//! What is wrong with a configuration: one [`Problem`] per mistake, each with the place where it can be fixed.
//!
//! A value that may be secret never goes into a message: the code that writes the message decides (see `Node::shown`).

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One mistake in the configuration or in a file that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the service can run nevertheless.
    pub severity: Severity,
    /// Where it can be fixed.
    pub origin: Origin,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line of a list that has it. It may name people: only `check` shows it, on the terminal of whoever has the file.
    pub content: Option<String>,
}

/// Whether the service can run nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can.
    Warning,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A file as a whole.
    File(Arc<Path>),
    /// A place in a file; line and column count from 1, the column in characters.
    Place {
        /// The file, as it was named.
        file: Arc<Path>,
        /// Its line.
        line: usize,
        /// Where in the line, if that is known.
        column: Option<usize>,
    },
    /// An environment variable.
    Variable(Arc<str>),
}

impl Origin {
    /// A line of a file, for readers of files other than the configuration.
    pub fn line(file: &Path, line: usize) -> Self {
        Self::Place { file: file.into(), line, column: None }
    }

    /// The file, unless it is an environment variable.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(file) | Self::Place { file, .. } => Some(file.to_path_buf()),
            Self::Variable(_) => None,
        }
    }

    /// Whether it is an environment variable, whose values are text whatever they mean.
    pub fn is_variable(&self) -> bool {
        matches!(self, Self::Variable(_))
    }
}

impl Problem {
    /// Creates a problem that the service cannot run with.
    pub fn error(origin: Origin, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, origin, message: message.into(), hint: None, content: None }
    }

    /// Creates a problem that the service can run with.
    pub fn warning(origin: Origin, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(origin, message) }
    }

    /// Returns the same problem with advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Formats it with the line that has it, for the terminal of whoever has the file; never for a log.
    pub fn with_content(&self) -> String {
        self.content.as_ref().map_or_else(|| self.to_string(), |content| format!("{self}\n  line: {content}"))
    }

    /// Formats it with its hint in one line, for the log.
    pub fn line(&self) -> String {
        self.to_string().replace("\n  ", "; ")
    }

    /// Whether the service cannot run with it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Place { file, line, column: None } => write!(f, "{}:{line}", file.display()),
            Self::Place { file, line, column: Some(column) } => write!(f, "{}:{line}:{column}", file.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Problem {
    /// `error: rtalink.toml:12:3: message`, and the hint on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.severity, self.origin, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

/// Collects problems while a configuration is walked; shared by reference, so that every reader can add its own.
#[derive(Debug)]
pub(super) struct Problems {
    found: RefCell<Vec<Problem>>,
    /// The text had syntax errors: what seems to be missing may be in a part that could not be read.
    incomplete: bool,
}

impl Problems {
    pub(super) const fn new(incomplete: bool) -> Self {
        Self { found: RefCell::new(Vec::new()), incomplete }
    }

    pub(super) fn add(&self, problem: Problem) {
        self.found.borrow_mut().push(problem);
    }

    /// Adds a problem about something that is not there; kept back while parts of the text are unreadable.
    pub(super) fn missing(&self, problem: Problem) {
        if !self.incomplete {
            self.add(problem);
        }
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.found.into_inner()
    }
}
