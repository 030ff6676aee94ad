//! Time as the cache takes it: in whole milliseconds, so that an age is one subtraction.

use std::ops::Add;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Earlier than every moment but those of the very beginning.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A moment, in milliseconds since the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        Instant::now().into()
    }

    /// Milliseconds since `earlier`; none if that is later.
    pub(crate) fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<Instant> for Moment {
    fn from(instant: Instant) -> Self {
        Self(millis(instant.saturating_duration_since(*BEGINNING)))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(millis(time)))
    }
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000).saturating_add(u64::from(time.subsec_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_whole_milliseconds_and_never_negative() {
        let began = Instant::now() + Duration::from_secs(1);
        let moment = Moment::from(began);
        assert_eq!(Moment::from(began + Duration::from_millis(1_500)).millis_since(moment), 1_500);
        assert_eq!(moment.millis_since(moment + Duration::from_secs(1)), 0);
        assert_eq!((moment + Duration::from_micros(1_999)).millis_since(moment), 1);
        // Far away is as good as never.
        assert_eq!((moment + Duration::MAX).millis_since(moment + Duration::MAX), 0);
    }
}
