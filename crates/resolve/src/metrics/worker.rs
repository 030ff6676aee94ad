//! Counters that cost a thread no more than an addition: each thread writes its own, and a scrape sums them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Threads that have counters of their own; all further ones share one set more. A node-agent has as many threads as it
/// has processors, and its UDP workers: on 64 processors some 70. A zone takes 2 KiB for knowing where its counters are,
/// and 1 KiB for those of each thread that has answered a question of it.
pub(super) const OWN_COUNTERS: usize = 128;

/// The counters that the calling thread writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Worker(usize);

impl Worker {
    /// All threads that have no counters of their own.
    pub(super) const SHARED: Self = Self(OWN_COUNTERS);

    /// The calling thread's.
    pub(super) fn current() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Numbers are not given back: the threads that answer questions live as long as the process.
        thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed).min(OWN_COUNTERS));
        NUMBER.try_with(|number| Self(*number)).unwrap_or(Self::SHARED)
    }

    pub(super) fn index(self) -> usize {
        self.0
    }

    fn is_alone(self) -> bool {
        self.0 < OWN_COUNTERS
    }
}

/// A count of one worker.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// Adds; what it was before.
    pub(super) fn add(&self, worker: Worker, amount: u64) -> u64 {
        if worker.is_alone() {
            // Nobody else writes it, so that nothing comes between reading and writing.
            let before = self.get();
            self.0.store(before.wrapping_add(amount), Ordering::Relaxed);
            before
        } else {
            self.0.fetch_add(amount, Ordering::Relaxed)
        }
    }

    /// Another value, whatever it was: of several threads' the last stays.
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn threads_have_counters_of_their_own_until_there_are_too_many() {
        let numbers: Vec<usize> =
            (0..OWN_COUNTERS + 8).map(|_| std::thread::spawn(|| Worker::current().index()).join().unwrap()).collect();
        // Other tests' threads have taken some already.
        let own: std::collections::HashSet<_> = numbers.iter().filter(|number| **number < OWN_COUNTERS).collect();
        let shared = numbers.iter().filter(|number| **number == OWN_COUNTERS).count();
        assert_eq!(own.len() + shared, numbers.len(), "{numbers:?}");
        assert!(shared >= 8);
    }

    #[test]
    fn what_is_shared_loses_nothing() {
        let count = Count::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        count.add(Worker::SHARED, 1);
                    }
                });
            }
        });
        assert_eq!(count.get(), 40_000);
    }
}
