//! Spans of time and sizes, as people read them: two units at most.

/// Returns a span in words: `0.3 s`, `42 s`, `3 min 5 s`, `7 h 12 min`, `3 d 4 h`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // ages, at least 0
pub fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "?".to_owned();
    }
    if seconds.abs() < 9.95 {
        return format!("{:.1} s", seconds.abs());
    }
    let whole = seconds.abs().round() as u64;
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = units.iter().position(|(length, _)| whole >= *length).unwrap_or(units.len() - 1);
    let mut rest = whole;
    let mut parts = Vec::new();
    for (length, unit) in units.iter().skip(first).take(2) {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        }
    }
    parts.join(" ")
}

/// Returns a number of bytes in words: `512 B`, `1.5 MiB`, `40 GiB`.
#[allow(clippy::cast_precision_loss)] // for people
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1_024.0 && unit + 1 < UNITS.len() {
        amount /= 1_024.0;
        unit += 1;
    }
    if unit == 0 || amount >= 10.0 {
        format!("{amount:.0} {}", UNITS[unit])
    } else {
        format!("{amount:.1} {}", UNITS[unit])
    }
}

/// Returns a count with its digits in groups of three: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_are_enough() {
        let spans = [
            (0.0, "0.0 s"),
            (0.34, "0.3 s"),
            (-3.0, "3.0 s"),
            (9.96, "10 s"),
            (59.6, "1 min"),
            (185.0, "3 min 5 s"),
            (3_600.0, "1 h"),
            (25_920.0, "7 h 12 min"),
            (273_600.0, "3 d 4 h"),
            (86_401.0, "1 d"),
            (f64::NAN, "?"),
        ];
        for (seconds, expected) in spans {
            assert_eq!(span(seconds), expected, "{seconds}");
        }
        let sizes =
            [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (42 << 30, "42 GiB"), (u64::MAX, "16777216 TiB")];
        for (bytes, expected) in sizes {
            assert_eq!(size(bytes), expected);
        }
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), expected);
        }
    }
}
