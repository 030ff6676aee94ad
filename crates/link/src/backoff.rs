//! Pauses between attempts: 50 ms, doubling to 1 s, with jitter, so that what came back is seen within 2 s.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(1);

/// The pauses of one run of failures.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(10)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        jitter(pause)
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// `pause`, up to a fifth shorter or longer, so that many who wait do not come at once.
pub(crate) fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.8..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second() {
        let mut backoff = Backoff::default();
        for base in [50, 100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.next().as_millis();
            assert!((base * 8 / 10..=base * 12 / 10).contains(&pause), "{base}: {pause}");
        }
        backoff.reset();
        assert!(backoff.next().as_millis() <= 60);
    }
}
