//! What a panic leaves in the log: one line in the format of all others, and the place where it happened.
//!
//! A panic's message may quote what the code was working on: a record, a name. So quotations are cut out of the line at
//! ERROR, and the whole message is logged at DEBUG. `RUST_BACKTRACE=1` adds the stack, which has no values.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use crate::telemetry::targets::SERVICE;

/// Makes panics go to the log, and nothing else of them to stderr.
pub(super) fn to_log() {
    std::panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let whole = panic.payload_as_str().unwrap_or("no message");
    let message = without_quotations(whole);
    let place = panic.location().map_or_else(|| "nowhere".to_owned(), ToString::to_string);
    let current = std::thread::current();
    let thread = current.name().unwrap_or("unnamed");
    if !tracing::enabled!(tracing::Level::ERROR) {
        eprintln!("rtalink: panicked at {place}: {message}");
        return;
    }
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(target: SERVICE, place, thread, backtrace, "panicked, this is a bug: {message}");
    tracing::debug!(target: SERVICE, place, whole, "what the panic said");
}

/// Removes everything between the first and the last quotation mark: a quotation may itself contain one, so its end is
/// uncertain.
fn without_quotations(message: &str) -> String {
    let is_mark = |letter: char| matches!(letter, '"' | '`' | '\'');
    match (message.find(is_mark), message.rfind(is_mark)) {
        (Some(first), Some(last)) if first < last => format!("{}…{}", &message[..first], &message[last + 1..]),
        (Some(first), _) => format!("{}…", &message[..first]),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_panic_quotes_is_left_out() {
        let cases = [
            (
                "index out of bounds: the len is 3 but the index is 7",
                "index out of bounds: the len is 3 but the index is 7",
            ),
            (
                "byte index 2 is not a char boundary; it is inside 'ü' (bytes 1..3) of `Jürgen's \"`",
                "byte index 2 is not a char boundary; it is inside …",
            ),
            ("called `Result::unwrap()` on an `Err` value: Row(\"4711\")", "called …)"),
            ("it's so", "it…"),
        ];
        for (message, expected) in cases {
            assert_eq!(without_quotations(message), expected);
        }
    }
}
