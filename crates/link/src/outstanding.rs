//! The bound on questions outstanding to one group of servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::metrics::GroupMetrics;

/// Room for questions; who finds none is refused and counted.
pub(crate) struct Outstanding {
    taken: AtomicUsize,
    max: usize,
    metrics: Arc<GroupMetrics>,
}

/// Room taken; given back when dropped.
pub(crate) struct Taken<'a>(&'a Outstanding);

impl Outstanding {
    pub(crate) fn new(max: usize, metrics: Arc<GroupMetrics>) -> Self {
        Self { taken: AtomicUsize::new(0), max, metrics }
    }

    /// Takes room for one question, if there is any.
    pub(crate) fn take(&self) -> Option<Taken<'_>> {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            self.metrics.overloaded.inc();
            return None;
        }
        self.metrics.outstanding.inc();
        Some(Taken(self))
    }

    /// How much room is taken.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> i64 {
        self.metrics.outstanding.get()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.outstanding.dec();
    }
}
