//! The wall clock without its steps back: time as the whole process uses it.
//!
//! A wall clock may be set, by a person or by NTP in one step. Time here never goes back. While the wall clock is behind
//! times that were already returned, time goes on at half speed by the monotonic clock, until the wall clock has caught up:
//! after a step of an hour that takes two. So nothing stands still meanwhile: timers come up to twice as late, and events get
//! distinct times in order. A step forward is taken at once: a machine that slept looks the same.
//!
//! Pure: both clocks are arguments. Cost: some additions.

use std::time::{Duration, Instant};

use super::Timestamp;

/// News about the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockNews {
    /// It went back: time is ahead of it by so much.
    WentBack(Duration),
    /// It has caught up.
    CaughtUp,
}

/// A wall clock that never goes back.
#[derive(Debug)]
pub(crate) struct Steady {
    /// The time that was last returned in step with the wall clock, or last moved forward, and when.
    anchor: Option<(Timestamp, Instant)>,
    is_said: bool,
}

impl Steady {
    /// Less than this is no news: clocks are disciplined all the time.
    const WORTH_SAYING: Duration = Duration::from_secs(1);

    pub(crate) const fn new() -> Self {
        Self { anchor: None, is_said: false }
    }

    /// Returns the time, by what both clocks say at the same moment.
    pub(crate) fn now(&mut self, wall: Timestamp, instant: Instant) -> Timestamp {
        let Some((told, at)) = self.anchor else {
            self.anchor = Some((wall, instant));
            return wall;
        };
        let slow = told.plus(instant.saturating_duration_since(at) / 2);
        if wall < slow {
            return slow;
        }
        self.anchor = Some((wall, instant));
        wall
    }

    /// Lets time continue from here, if it has not come as far.
    pub(super) fn go_on_from(&mut self, from: Timestamp, wall: Timestamp, instant: Instant) {
        if from > self.now(wall, instant) {
            self.anchor = Some((from, instant));
        }
    }

    /// Returns news, each once.
    pub(super) fn news(&mut self, wall: Timestamp, instant: Instant) -> Option<ClockNews> {
        let ahead = self.now(wall, instant).since(wall);
        match (self.is_said, ahead) {
            (false, ahead) if ahead >= Self::WORTH_SAYING => {
                self.is_said = true;
                Some(ClockNews::WentBack(ahead))
            }
            (true, Duration::ZERO) => {
                self.is_said = false;
                Some(ClockNews::CaughtUp)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn after_a_step_back_time_goes_on_at_half_speed_until_the_wall_clock_has_caught_up() {
        let (begin, noon) = (Instant::now(), Timestamp::from_millis(12 * 3_600_000));
        let mut steady = Steady::new();
        assert_eq!(steady.now(noon, begin), noon);
        let set_back = |later| (noon.minus(HOUR).plus(seconds(later)), begin + seconds(later));
        let mut told = |later| {
            let (wall, instant) = set_back(later);
            steady.now(wall, instant)
        };
        assert_eq!(told(1), noon.plus(Duration::from_millis(500)));
        assert_eq!(told(60), noon.plus(seconds(30)));
        assert_eq!(told(7_200), noon.plus(HOUR));
        assert_eq!(told(7_201), noon.plus(HOUR).plus(seconds(1)), "the wall clock again");
    }

    #[test]
    fn a_step_forward_is_taken_at_once() {
        let (begin, noon) = (Instant::now(), Timestamp::from_millis(12 * 3_600_000));
        let mut steady = Steady::new();
        steady.now(noon, begin);
        assert_eq!(steady.now(noon.plus(HOUR), begin + seconds(1)), noon.plus(HOUR));
    }

    #[test]
    fn time_goes_on_from_where_another_process_left_it() {
        let (begin, noon) = (Instant::now(), Timestamp::from_millis(12 * 3_600_000));
        let mut steady = Steady::new();
        steady.go_on_from(noon.plus(HOUR), noon, begin);
        assert_eq!(steady.news(noon, begin), Some(ClockNews::WentBack(HOUR)));
        assert_eq!(steady.news(noon, begin), None);
        assert_eq!(steady.now(noon.plus(seconds(2)), begin + seconds(2)), noon.plus(HOUR).plus(seconds(1)));
        steady.go_on_from(noon, noon.plus(seconds(2)), begin + seconds(2));
        assert_eq!(steady.now(noon.plus(seconds(4)), begin + seconds(4)), noon.plus(HOUR).plus(seconds(2)));
        assert_eq!(steady.news(noon.plus(HOUR * 2), begin + HOUR * 2), Some(ClockNews::CaughtUp));
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(3), ..ProptestConfig::default() })]
        #[test]
        fn time_never_goes_back_and_never_stands_still(
            steps in proptest::collection::vec((0_u64..5_000_000, -7_200_000_000_i64..7_200_000_000), 1..50),
        ) {
            let begin = Instant::now();
            let mut steady = Steady::new();
            let mut wall = Timestamp::from_millis(1_000_000_000);
            let mut elapsed = Duration::ZERO;
            let mut before = steady.now(wall, begin);
            for (passed, step) in steps {
                let passed = Duration::from_micros(passed);
                elapsed += passed;
                wall = Timestamp::from_micros(wall.plus(passed).as_micros() + step);
                let told = steady.now(wall, begin + elapsed);
                // Half a microsecond may be rounded away.
                prop_assert!(told.plus(Timestamp::STEP) >= before.plus(passed / 2));
                prop_assert!(told >= before && told >= wall);
                before = told;
            }
        }
    }
}
