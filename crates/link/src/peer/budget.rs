//! How many questions may be asked twice: about one in ten, so that a slow peer is not drowned in hedges.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What each question adds.
const SHARE: f64 = 0.1;
/// What each second adds, so that a quiet peer has a few as well.
const PER_SECOND: f64 = 1.0;
/// What may be saved up.
const MAX: f64 = 100.0;
/// What there is at first.
const INITIAL: f64 = 10.0;

/// A token bucket.
pub(super) struct RetryBudget(Mutex<Bucket>);

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl RetryBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Bucket { tokens: INITIAL, filled: now }))
    }

    /// A question is asked.
    pub(super) fn asked(&self) {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.tokens = (bucket.tokens + SHARE).min(MAX);
    }

    /// Whether one may be asked once more.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.filled = now;
        bucket.tokens = (bucket.tokens + passed * PER_SECOND).min(MAX);
        let enough = bucket.tokens >= 1.0;
        if enough {
            bucket.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_in_ten_and_a_few_more() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        let mut taken = 0;
        for _ in 0..1000 {
            budget.asked();
            taken += usize::from(budget.take(now));
        }
        assert!((105..=111).contains(&taken), "{taken}");
        assert!(!budget.take(now));
        assert!(budget.take(now + Duration::from_millis(1100)));
        // What is saved up is bounded.
        let later = now + Duration::from_secs(100_000);
        assert_eq!((0..1000).filter(|_| budget.take(later)).count(), 100);
    }
}
