//! How the text form of the log writes the fields of a line: each in one way, whatever type the code has for its value.
//!
//! A value that is one word stands as it is, `integration=avaya-1`; any other is quoted, with quotation marks and control
//! characters escaped, so that a line is one line, ends where it seems to, and moves no cursor. Cost: a copy of each value.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes the message, then `name=value` for each field.
#[derive(Debug)]
pub(super) struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = TextVisitor { writer, is_first: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct TextVisitor<'w> {
    writer: Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

impl TextVisitor<'_> {
    fn add(&mut self, field: &Field, text: &str) {
        if self.result.is_ok() {
            self.result = self.write(field.name(), text);
        }
    }

    fn write(&mut self, name: &str, text: &str) -> fmt::Result {
        if !std::mem::replace(&mut self.is_first, false) {
            self.writer.write_char(' ')?;
        }
        if name == "message" {
            return write_escaped(&mut self.writer, text);
        }
        let name = name.strip_prefix("r#").unwrap_or(name);
        if self.writer.has_ansi_escapes() {
            write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
        } else {
            write!(self.writer, "{name}=")?;
        }
        if is_word(text) { self.writer.write_str(text) } else { write!(self.writer, "{text:?}") }
    }
}

impl Visit for TextVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.add(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        // What derives its form quotes text by itself: without that it is text like any other.
        let unquoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        self.add(field, unquoted.filter(|text| is_word(text)).unwrap_or(&text));
    }
}

/// Whether a value needs no quotation marks.
fn is_word(text: &str) -> bool {
    let is_plain =
        |letter: char| !letter.is_whitespace() && !letter.is_control() && !matches!(letter, '"' | '\\' | '=');
    !text.is_empty() && text.chars().all(is_plain)
}

/// Writes a message, which is no value: in one line.
fn write_escaped(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    for letter in text.chars() {
        if letter.is_control() {
            write!(writer, "{}", letter.escape_default())?;
        } else {
            writer.write_char(letter)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while this is done.
    fn written(has_colours: bool, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let format = tracing_subscriber::fmt::format().without_time().with_level(false).with_target(false);
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(has_colours)
            .event_format(format)
            .fmt_fields(TextFields);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = lines.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_value_looks_the_same_whatever_type_it_has() {
        let id = "avaya-1";
        let shared: Arc<str> = id.into();
        let forms = [
            written(false, || tracing::info!(integration = id, "said")),
            written(false, || tracing::info!(integration = %id, "said")),
            written(false, || tracing::info!(integration = ?id, "said")),
            written(false, || tracing::info!(integration = %shared, "said")),
            written(false, || tracing::info!(integration = id.to_owned(), "said")),
            written(false, || tracing::info!(integration = Some(id), "said")),
            written(false, || tracing::info!(id = None::<&str>, integration = &*shared, "said")),
        ];
        for form in forms {
            assert_eq!(form, "said integration=avaya-1\n");
        }
        let text = "no such\tfile \"x\"";
        let expected = "said error=\"no such\\tfile \\\"x\\\"\"\n";
        let error = io::Error::other(text);
        let forms = [
            written(false, || tracing::info!(error = text, "said")),
            written(false, || tracing::info!(error = %text, "said")),
            written(false, || tracing::info!(%error, "said")),
            written(false, || tracing::info!(error = &error as &(dyn std::error::Error + 'static), "said")),
        ];
        for form in forms {
            assert_eq!(form, expected);
        }
        let line = written(
            false,
            || tracing::info!(count = 3, ratio = 0.5, yes = true, address = %"127.0.0.1:1", empty = "", odd = "a=b", "said"),
        );
        assert_eq!(line, "said count=3 ratio=0.5 yes=true address=127.0.0.1:1 empty=\"\" odd=\"a=b\"\n");
    }

    #[test]
    fn a_line_is_one_line_and_moves_no_cursor() {
        let line = written(false, || tracing::info!(said = "\x1b[31mred\r\n", "first\nsecond {}", "\x1b[2J"));
        assert_eq!(line, "first\\nsecond \\u{1b}[2J said=\"\\u{1b}[31mred\\r\\n\"\n");
        let coloured = written(true, || tracing::info!(said = "\x1b[31m", count = 3, "said"));
        assert!(coloured.contains("\x1b[3mcount\x1b[0m\x1b[2m=\x1b[0m3"), "{coloured:?}");
        assert!(!coloured.contains("\x1b[31m"), "{coloured:?}");
    }
}
