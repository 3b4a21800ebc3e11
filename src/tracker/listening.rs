//! How long a feed was listened to.
//!
//! An agent who was not seen for long may have been there nevertheless: while no process ran, while nobody dialled in, or in
//! the hours by which a wall clock was put forward. Such stretches are deaf. The question is how much of the time since
//! somebody was last seen was not deaf.

use std::time::Duration;

use crate::time::Timestamp;

/// The longest time between two looks. If looks are further apart, the time between them did not really pass: the machine
/// slept, or its clock was put forward.
const LONGEST_STEP: Duration = Duration::from_secs(60);
/// Most stretches that are kept. Beyond that, the two with the least time between them become one.
const MOST_STRETCHES: usize = 256;

/// When a feed was listened to, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// Nothing is known of the time before this; `None` where a version that knew no stretches saved the feed: then that
    /// time counts.
    pub from: Option<Timestamp>,
    /// The last sample.
    pub until: Option<Timestamp>,
    /// Deaf stretches, each with its end, in the order of time and not touching each other.
    pub deaf: Vec<(Timestamp, Timestamp)>,
}

impl Listening {
    /// Takes the time. `hears`: whether the feed says something, or would.
    pub fn sample(&mut self, now: Timestamp, hears: bool) {
        let Some(before) = self.until else {
            self.from = Some(now);
            self.until = Some(now);
            return;
        };
        if now <= before {
            return;
        }
        self.until = Some(now);
        if hears && now.since(before) <= LONGEST_STEP {
            return;
        }
        match self.deaf.last_mut() {
            Some((_, to)) if *to >= before => *to = now,
            _ => self.deaf.push((before, now)),
        }
        if self.deaf.len() > MOST_STRETCHES {
            self.join_closest();
        }
    }

    fn join_closest(&mut self) {
        let closest = self.deaf.windows(2).enumerate().min_by_key(|(_, pair)| pair[1].0.since(pair[0].1));
        if let Some((index, _)) = closest {
            let (_, to) = self.deaf.remove(index + 1);
            self.deaf[index].1 = to;
        }
    }

    /// Returns how much of the time since then, up to the last look, was not deaf.
    pub fn since(&self, then: Timestamp) -> Duration {
        let Some(until) = self.until else { return Duration::ZERO };
        let then = self.from.map_or(then, |from| then.max(from));
        let deaf = self.deaf.iter().map(|(from, to)| to.since(then.max(*from)));
        until.since(then).saturating_sub(deaf.sum())
    }

    /// Returns the same as of the last whole minute, so that it need not be written at every look.
    pub(super) fn to_remember(&self) -> Self {
        let minute = i64::try_from(LONGEST_STEP.as_micros()).unwrap_or(i64::MAX);
        let whole = |at: Timestamp| Timestamp::from_micros(at.as_micros().div_euclid(minute).saturating_mul(minute));
        let until = self.until.map(whole);
        let mut deaf = self.deaf.clone();
        if let (Some((from, to)), Some(until)) = (deaf.last_mut(), until) {
            *to = until.min(*to).max(*from);
        }
        Self { from: self.from, until, deaf }
    }

    /// Forgets the stretches that no longer matter for that age.
    pub fn keep(&mut self, age: Duration) {
        let matter = self.deaf.iter().position(|(_, to)| self.since(*to) <= age).unwrap_or(self.deaf.len());
        if matter > 0 {
            self.deaf.drain(..matter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_767_600_000_000).plus(Duration::from_secs(seconds))
    }

    /// Looks every half a minute from one time to another.
    fn samples(listening: &mut Listening, from: u64, to: u64, hears: bool) {
        (from..=to).step_by(30).for_each(|second| listening.sample(at(second), hears));
    }

    fn heard(listening: &Listening, since: u64) -> u64 {
        listening.since(at(since)).as_secs()
    }

    #[test]
    fn time_without_a_feed_does_not_count() {
        let mut listening = Listening::default();
        samples(&mut listening, 0, HOUR, true);
        samples(&mut listening, HOUR, 3 * HOUR, false);
        samples(&mut listening, 3 * HOUR, 4 * HOUR, true);
        assert_eq!((heard(&listening, 0), heard(&listening, HOUR / 2)), (2 * HOUR, HOUR + HOUR / 2));
        assert_eq!((heard(&listening, 2 * HOUR), heard(&listening, 4 * HOUR)), (HOUR, 0));
        assert_eq!(listening.deaf, [(at(HOUR), at(3 * HOUR))]);
    }

    #[test]
    fn what_passed_between_two_looks_that_lie_far_apart_does_not_count() {
        let mut listening = Listening::default();
        samples(&mut listening, 0, HOUR, true);
        // The clock is put forward by a day; or the process was gone for as long.
        samples(&mut listening, 25 * HOUR, 26 * HOUR, true);
        assert_eq!(heard(&listening, 0), 2 * HOUR);
        listening.sample(at(HOUR), true);
        assert_eq!(listening.until, Some(at(26 * HOUR)), "and back again");
    }

    #[test]
    fn time_before_the_first_look_does_not_count_unless_an_older_version_kept_it() {
        let mut listening = Listening::default();
        samples(&mut listening, 10 * HOUR, 11 * HOUR, true);
        assert_eq!(heard(&listening, 0), HOUR);
        let mut older = Listening { from: None, until: Some(at(10 * HOUR)), deaf: Vec::new() };
        samples(&mut older, 11 * HOUR, 12 * HOUR, true);
        assert_eq!(heard(&older, 0), 11 * HOUR);
    }

    #[test]
    fn stretches_that_no_longer_matter_are_forgotten() {
        let mut listening = Listening::default();
        samples(&mut listening, 0, HOUR, true);
        samples(&mut listening, HOUR, 2 * HOUR, false);
        samples(&mut listening, 2 * HOUR, 5 * HOUR, true);
        listening.keep(Duration::from_secs(3 * HOUR));
        assert_eq!(listening.deaf.len(), 1, "it matters to who asks for three hours and a second");
        samples(&mut listening, 5 * HOUR, 5 * HOUR + 30, true);
        listening.keep(Duration::from_secs(3 * HOUR));
        assert!(listening.deaf.is_empty());
    }

    #[test]
    fn so_many_stretches_are_kept() {
        let mut listening = Listening::default();
        listening.sample(at(0), true);
        for minute in 0..1_000 {
            samples(&mut listening, minute * 2 * MINUTE + 30, minute * 2 * MINUTE + 60, false);
            samples(&mut listening, minute * 2 * MINUTE + 90, minute * 2 * MINUTE + 120, true);
        }
        assert_eq!(listening.deaf.len(), MOST_STRETCHES);
        assert!(listening.deaf.windows(2).all(|pair| pair[0].1 < pair[1].0));
        let heard = heard(&listening, 0);
        assert!(heard > 0 && heard <= 1_000 * MINUTE, "never more than there was: {heard}");
        println!("1,000 deaf stretches, limit {MOST_STRETCHES}: {} are kept", listening.deaf.len());
    }
}
