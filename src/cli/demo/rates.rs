//! Rates over the last refresh.
//!
//! A refresh arrives as one burst: counted second by second it is nothing, nothing, everything. So figures are taken at times
//! that stand still against the refreshes, half a step beside them, and compared with those of one refresh before.

use std::collections::VecDeque;
use std::time::Duration;

/// About how often figures are taken.
const ABOUT: Duration = Duration::from_secs(1);

/// Figures that were taken, and when.
#[derive(Debug)]
pub(super) struct Rates {
    refresh: Duration,
    step: Duration,
    /// A refresh, or several if they are shorter than a step.
    window: Duration,
    /// Oldest first: never more than a window and a step of them.
    taken: VecDeque<(Duration, [u64; 2])>,
}

impl Rates {
    /// Creates it for a feed with that refresh; it began with nothing.
    pub(super) fn new(refresh: Duration) -> Self {
        let (step, window) = if refresh >= ABOUT {
            (refresh / whole(refresh, ABOUT), refresh)
        } else {
            let several = refresh.saturating_mul(whole(ABOUT, refresh));
            (several, several)
        };
        Self { refresh, step, window, taken: VecDeque::new() }
    }

    /// Returns the time between two looks at the figures. The first one is due half of it after the feed has begun.
    pub(super) const fn step(&self) -> Duration {
        self.step
    }

    /// Takes figures at that time since the beginning; returns by how much per second they have grown.
    pub(super) fn take(&mut self, at: Duration, figures: [u64; 2]) -> [f64; 2] {
        // Looks are late at times, but by far less than that.
        let begin = (at + self.step / 4).checked_sub(self.window);
        while self.taken.get(1).is_some_and(|(taken, _)| begin.is_some_and(|begin| *taken <= begin)) {
            self.taken.pop_front();
        }
        let (took, before) = match (begin, self.taken.front()) {
            (Some(_), Some((since, before))) => (at.saturating_sub(*since).max(self.window), *before),
            // As many refreshes as have begun.
            _ => (self.refresh.saturating_mul(whole(at, self.refresh).saturating_add(1)), [0; 2]),
        };
        // The first refresh can be shown late: a look that misses it is none.
        if figures != [0; 2] {
            self.taken.push_back((at, figures));
        }
        let seconds = took.as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // figures for people
        std::array::from_fn(|figure| figures[figure].saturating_sub(before[figure]) as f64 / seconds)
    }
}

/// How often the short time is in the long one.
fn whole(long: Duration, short: Duration) -> u32 {
    u32::try_from(long.as_nanos() / short.as_nanos().max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_REFRESH: u64 = 400;

    /// Rates of records, each a look at a feed that sends a burst per refresh; the first of them is shown from that look on.
    fn rates(refresh: Duration, looks: u32, late: Duration, first: u32) -> Vec<f64> {
        let mut rates = Rates::new(refresh);
        let look = |number: u32| {
            let at = rates.step() / 2 + rates.step() * number + late * (number % 2);
            let bursts = at.as_nanos() / refresh.as_nanos() + 1;
            let shown = if number < first { 0 } else { u64::try_from(bursts).unwrap() };
            rates.take(at, [shown * PER_REFRESH, 0])[0]
        };
        (0..looks).map(look).skip(first as usize).collect()
    }

    #[test]
    fn they_stand_still_whatever_the_refresh_and_if_a_look_is_late() {
        for refresh in [10, 300, 700, 1_000, 1_500, 2_500, 3_000, 10_000, 60_000].map(Duration::from_millis) {
            // A look that is late sees more of the refreshes that are as short as that.
            let lateness: &[_] = if refresh >= ABOUT { &[(0, 0), (40, 0), (0, 1)] } else { &[(0, 0)] };
            for &(late, first) in lateness {
                let late = Duration::from_millis(late);
                let step = Rates::new(refresh).step();
                assert!((Duration::from_millis(500)..Duration::from_secs(2)).contains(&step), "{step:?}");
                let expected = 400.0 / refresh.as_secs_f64();
                for rate in rates(refresh, 100, late, first) {
                    let off = (rate / expected - 1.0).abs();
                    assert!(off < 0.05, "{refresh:?}: {rate} instead of {expected}, late {late:?}");
                }
            }
        }
    }

    #[test]
    fn no_more_than_a_window_is_kept() {
        let mut rates = Rates::new(Duration::from_secs(3));
        for second in 0..100 {
            rates.take(Duration::from_secs(second), [second, 0]);
            assert!(rates.taken.len() <= 6, "{:?}", rates.taken);
        }
    }
}
