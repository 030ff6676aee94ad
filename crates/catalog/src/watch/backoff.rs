//! How long to wait before the API server is asked again.

use std::time::Duration;

/// The first wait, at most.
const FIRST: Duration = Duration::from_millis(50);
/// The longest wait: answers are to be current within 5 s after the server is back, however often it went.
const LONGEST: Duration = Duration::from_secs(2);

/// Doubles from wait to wait; the upper half is random, so that not everyone comes at once.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    waits: u32,
}

impl BackOff {
    /// The next wait.
    pub(crate) fn wait(&mut self) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.waits.min(16)).min(LONGEST);
        self.waits = self.waits.saturating_add(1);
        ceiling.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// All is well: the next wait is the first.
    pub(crate) fn reset(&mut self) {
        self.waits = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_anew_when_all_is_well() {
        let mut back_off = BackOff::default();
        for round in 0..3 {
            for expected in [50, 100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000] {
                let (wait, ceiling) = (back_off.wait(), Duration::from_millis(expected));
                assert!((ceiling / 2..=ceiling).contains(&wait), "{wait:?} of {ceiling:?} in round {round}");
            }
            (0..100).for_each(|_| assert!(back_off.wait() <= LONGEST));
            back_off.reset();
        }
    }
}
