//! The bound on questions outstanding to one group of servers.

use std::sync::Arc;

use prometheus::IntGauge;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::metrics::GroupMetrics;

/// Room for questions; who finds none is refused and counted.
pub(crate) struct Outstanding {
    room: Semaphore,
    metrics: Arc<GroupMetrics>,
}

/// Room taken; given back when dropped.
pub(crate) struct Taken<'a> {
    _permit: SemaphorePermit<'a>,
    gauge: &'a IntGauge,
}

impl Outstanding {
    pub(crate) fn new(max: usize, metrics: Arc<GroupMetrics>) -> Self {
        Self { room: Semaphore::new(max.min(Semaphore::MAX_PERMITS)), metrics }
    }

    /// Takes room for one question, if there is any.
    pub(crate) fn take(&self) -> Option<Taken<'_>> {
        let Ok(permit) = self.room.try_acquire() else {
            self.metrics.overloaded.inc();
            return None;
        };
        let gauge = &self.metrics.outstanding;
        gauge.inc();
        Some(Taken { _permit: permit, gauge })
    }

    /// How much room is taken.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> i64 {
        self.metrics.outstanding.get()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
