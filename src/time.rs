//! Points in time, as the whole crate passes them around.
//!
//! The pure core never reads a clock: every entry point takes a [`Timestamp`]. It is a plain count of microseconds so
//! that it costs a copy, orders as an integer, and keeps the calendar library out of public types. The edges read
//! [`Timestamp::now`], which never goes back, whatever happens to the wall clock (`steady`).
//!
//! ```
//! use std::time::Duration;
//!
//! use rtalink::time::Timestamp;
//!
//! let at = Timestamp::parse_rfc3339("2026-01-05T08:00:00Z").expect("a time");
//! let later = at.plus(Duration::from_millis(1_500));
//! assert_eq!((later.to_string(), later.since(at)), ("2026-01-05T08:00:01.500Z".to_owned(), Duration::from_millis(1_500)));
//! ```

pub(crate) mod steady;

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use steady::Steady;

pub use steady::ClockNews;

/// The clock of the process.
static CLOCK: Mutex<Steady> = Mutex::new(Steady::new());

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The smallest representable step, one microsecond.
    pub const STEP: Duration = Duration::from_micros(1);

    /// Creates a time from microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Creates a time from milliseconds since the Unix epoch; saturates at the ends of the range.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Returns the wall clock, made steady: it never goes back, and while the wall clock is behind times that were already
    /// returned, time goes on at half speed. For the edges only (sources, kafka, http); the core is given its time.
    pub fn now() -> Self {
        let mut clock = CLOCK.lock();
        clock.now(Self::wall_clock(), Instant::now())
    }

    /// Lets time continue from here, if it has not come as far: another process has used this time.
    pub fn go_on_from(from: Self) {
        let mut clock = CLOCK.lock();
        clock.go_on_from(from, Self::wall_clock(), Instant::now());
    }

    /// Returns what happened to the wall clock; each time once.
    pub fn clock_news() -> Option<ClockNews> {
        let mut clock = CLOCK.lock();
        clock.news(Self::wall_clock(), Instant::now())
    }

    fn wall_clock() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Returns this time moved later; saturates.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// Returns this time moved earlier; saturates.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }

    /// Returns how long after `earlier` this is; zero if it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        let difference = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(difference).unwrap_or(0))
    }

    /// Parses RFC 3339 (`2026-01-05T08:00:00.120Z`, any offset).
    ///
    /// # Errors
    /// The calendar library's message when the text is not an RFC 3339 date-time.
    pub fn parse_rfc3339(text: &str) -> Result<Self, String> {
        let parsed: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| error.to_string())?;
        Ok(Self(parsed.as_microsecond()))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Timestamp {
    /// Formats it for file names: `20260105T080000Z`.
    pub fn stamp(self) -> String {
        let at = jiff::Timestamp::from_microsecond(self.0).unwrap_or_default();
        at.strftime("%Y%m%dT%H%M%SZ").to_string()
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with `Z`, at least milliseconds, microseconds only where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(timestamp) = jiff::Timestamp::from_microsecond(self.0) else {
            return write!(f, "{}us", self.0);
        };
        if self.0.rem_euclid(1_000) == 0 { write!(f, "{timestamp:.3}") } else { write!(f, "{timestamp:.6}") }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trips_with_milliseconds() {
        let time = Timestamp::parse_rfc3339("2026-01-05T09:00:00.12+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-01-05T08:00:00.120Z");
        assert_eq!(time.plus(Duration::from_micros(7)).to_string(), "2026-01-05T08:00:00.120007Z");
    }

    #[test]
    fn differences_never_go_below_zero() {
        let early = Timestamp::from_millis(1_000);
        let late = Timestamp::from_millis(3_500);
        assert_eq!(late.since(early), Duration::from_millis(2_500));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
