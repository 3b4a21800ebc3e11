//! How a report is printed, beyond what its layout says: what a reader skips, or reads the same either way.

use std::fmt::Write as _;

use crate::time::Timestamp;

/// How a report is printed. The default is as plain as can be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Lines before the records of each snapshot; `{time}` in them becomes the time. The layout must skip them.
    pub headers: Vec<String>,
    /// Only the first snapshot has them.
    pub headers_once: bool,
    /// How durations are spelled.
    pub durations: DurationForm,
    /// Quotes stand around every field that is not empty, not only where they are needed.
    pub quotes_all: bool,
    /// A CR stands before an LF that ends a record.
    pub with_cr: bool,
    /// With fixed width and an end of records: blanks at the end of a record are left out.
    pub trims: bool,
}

/// How durations are spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DurationForm {
    /// `75`.
    #[default]
    Seconds,
    /// `01:15`, and `61:15` beyond the hour.
    MinutesSeconds,
    /// `00:01:15`.
    HoursMinutesSeconds,
    /// `1:15`, and `:15` below a minute.
    Short,
}

impl DurationForm {
    /// Writes so many seconds.
    pub(super) fn write(self, seconds: u64, out: &mut String) -> bool {
        let (minutes, rest) = (seconds / 60, seconds % 60);
        match self {
            Self::Seconds => write!(out, "{seconds}"),
            Self::MinutesSeconds => write!(out, "{minutes:02}:{rest:02}"),
            Self::HoursMinutesSeconds => write!(out, "{:02}:{:02}:{rest:02}", minutes / 60, minutes % 60),
            Self::Short if minutes == 0 => write!(out, ":{rest:02}"),
            Self::Short => write!(out, "{minutes}:{rest:02}"),
        }
        .is_ok()
    }
}

impl Manner {
    /// Returns the lines before the records of a snapshot at that time.
    pub(super) fn header_lines(&self, at: Timestamp) -> impl Iterator<Item = String> {
        self.headers.iter().map(move |line| line.replace("{time}", &at.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelled() {
        let cases = [
            (DurationForm::Seconds, 75, "75"),
            (DurationForm::MinutesSeconds, 3_675, "61:15"),
            (DurationForm::HoursMinutesSeconds, 3_675, "01:01:15"),
            (DurationForm::Short, 75, "1:15"),
            (DurationForm::Short, 5, ":05"),
        ];
        for (form, seconds, expected) in cases {
            let mut out = String::new();
            assert!(form.write(seconds, &mut out));
            assert_eq!(out, expected);
        }
    }
}
