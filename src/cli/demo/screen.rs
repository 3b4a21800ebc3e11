//! The line that is written over and over: on a terminal in place, elsewhere a line each.
//!
//! A terminal that has become narrower has broken the old line into several: as many are taken away. What cannot be written
//! is not: nobody looks.

use std::io::{IsTerminal as _, Write as _};

use super::line::Line;

/// Where the line is shown: standard error.
#[derive(Debug)]
pub(super) struct Screen {
    is_terminal: bool,
    /// Characters of the line that is there.
    drawn: usize,
}

impl Screen {
    /// Finds out whether there is a terminal that can write over a line.
    pub(super) fn new() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { is_terminal: std::io::stderr().is_terminal() && !is_dumb, drawn: 0 }
    }

    /// Shows the line instead of the one before.
    pub(super) fn show(&mut self, line: &Line) {
        let mut error = std::io::stderr().lock();
        if !self.is_terminal {
            let _ = error.write_all((line.fit(None) + "\n").as_bytes());
            return;
        }
        let columns = columns();
        // The last column stays free: some terminals begin a new line there.
        let text = line.fit(columns.map(|columns| columns.saturating_sub(1)));
        let up = match columns.map_or(0, |columns| self.drawn.saturating_sub(1) / columns) {
            0 => String::new(),
            rows => format!("\x1b[{rows}A"),
        };
        // In one piece: standard error keeps nothing back.
        let _ = error.write_all(format!("{up}\r\x1b[J{text}").as_bytes());
        let _ = error.flush();
        self.drawn = text.chars().count();
    }

    /// Shows it once more if the width of a terminal has changed.
    pub(super) fn resized(&mut self, line: &Line) {
        if self.is_terminal {
            self.show(line);
        }
    }

    /// Ends the line, so that something else can be written.
    pub(super) fn end(&mut self) {
        if self.is_terminal && std::mem::take(&mut self.drawn) > 0 {
            let _ = writeln!(std::io::stderr());
        }
    }
}

/// The width of the terminal, if it is known.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
