//! What all connections of a set of listeners share: memory for answers on their way, and file descriptors.
//!
//! A connection holds a [`Share`]. It says what it has waiting, and whether it is idle; it is told when its
//! descriptor is needed more urgently elsewhere.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Octets of answers that may wait for their clients, over all connections of a program's listeners; over it
/// the connection that wants more is closed and counted.
const MAX_UNWRITTEN: usize = 64 << 20;

/// One connection may always have this much waiting, so that a client that reads is served whatever others do.
const ALWAYS_ALLOWED: usize = 16 << 10;

/// Idle connections closed at a time when the system has no file descriptor left.
const MAX_RELIEVED: usize = 16;

/// The errors of accept(2) that say so.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// The common holdings.
pub(crate) struct Common {
    unwritten: AtomicUsize,
    max_unwritten: usize,
    began: Instant,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    serial: u64,
    marks: HashMap<u64, Arc<Mark>>,
}

/// What is known of one connection.
#[derive(Default)]
struct Mark {
    /// Since when it is idle, in milliseconds from the beginning, and one more; 0 while it is busy.
    idle_since: AtomicU64,
    evicted: CancellationToken,
}

/// More is waiting, over all connections, than may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMuchWaiting;

impl Common {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_room(MAX_UNWRITTEN)
    }

    /// With room for so many octets.
    pub(crate) fn with_room(max_unwritten: usize) -> Arc<Self> {
        let members = Mutex::default();
        Arc::new(Self { unwritten: AtomicUsize::new(0), max_unwritten, began: Instant::now(), members })
    }

    /// An account for answers alone.
    pub(crate) fn account(self: &Arc<Self>) -> Account {
        Account { common: Arc::clone(self), held: 0 }
    }

    /// The share of a connection, busy at first.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        let mark = Arc::<Mark>::default();
        let mut members = self.members();
        members.serial += 1;
        let serial = members.serial;
        members.marks.insert(serial, Arc::clone(&mark));
        drop(members);
        Share { account: self.account(), serial, mark }
    }

    /// After an accept that failed: when file descriptors are used up, closes the connections that are idle longest.
    pub(crate) fn relieve(&self, error: &io::Error) {
        if !matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) {
            return;
        }
        let mut idle: Vec<(u64, Arc<Mark>)> = self
            .members()
            .marks
            .values()
            .filter(|mark| !mark.evicted.is_cancelled())
            .map(|mark| (mark.idle_since.load(Ordering::Relaxed), Arc::clone(mark)))
            .filter(|(since, _)| *since > 0)
            .collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        for (_, mark) in idle.into_iter().take(MAX_RELIEVED) {
            mark.evicted.cancel();
        }
    }

    // Every change is complete before a panic could poison the map.
    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Octets waiting, in the common sum; dropping it takes them out.
pub(crate) struct Account {
    common: Arc<Common>,
    held: usize,
}

impl Account {
    /// Says how many octets wait now. An error when they are more than before and more than there is room for.
    pub(crate) fn set(&mut self, held: usize) -> Result<(), TooMuchWaiting> {
        let before = std::mem::replace(&mut self.held, held);
        if held <= before {
            self.common.unwritten.fetch_sub(before - held, Ordering::Relaxed);
            return Ok(());
        }
        let more = held - before;
        let all = self.common.unwritten.fetch_add(more, Ordering::Relaxed) + more;
        if all > self.common.max_unwritten && held > ALWAYS_ALLOWED { Err(TooMuchWaiting) } else { Ok(()) }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.common.unwritten.fetch_sub(self.held, Ordering::Relaxed);
    }
}

/// One connection's part.
pub(crate) struct Share {
    account: Account,
    serial: u64,
    mark: Arc<Mark>,
}

impl Share {
    /// Says how many octets of answers wait now; see [`Account::set`].
    pub(crate) fn set_waiting(&mut self, octets: usize) -> Result<(), TooMuchWaiting> {
        self.account.set(octets)
    }

    /// Nothing is in work and nothing waits.
    pub(crate) fn set_idle(&self) {
        if self.mark.idle_since.load(Ordering::Relaxed) == 0 {
            let millis = u64::try_from(self.account.common.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
            self.mark.idle_since.store(millis + 1, Ordering::Relaxed);
        }
    }

    /// Something is.
    pub(crate) fn set_busy(&self) {
        self.mark.idle_since.store(0, Ordering::Relaxed);
    }

    /// Cancelled when the connection's descriptor is needed.
    pub(crate) fn eviction(&self) -> CancellationToken {
        self.mark.evicted.clone()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.account.common.members().marks.remove(&self.serial);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    #[test]
    fn all_connections_together_hold_no_more_than_the_bound() {
        let common = Common::with_room(100_000);
        let (mut first, mut second) = (common.account(), common.account());
        assert_eq!(first.set(90_000), Ok(()));
        // A little is always allowed; more is not.
        assert_eq!(second.set(ALWAYS_ALLOWED), Ok(()));
        assert_eq!(second.set(ALWAYS_ALLOWED + 1), Err(TooMuchWaiting));
        // Taking something out is never refused.
        assert_eq!(first.set(89_000), Ok(()));
        drop(first);
        assert_eq!(second.set(99_000), Ok(()));
        drop(second);
        assert_eq!(common.unwritten.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn without_descriptors_the_longest_idle_are_closed() {
        let common = Common::new();
        let shares: Vec<Share> = (0..MAX_RELIEVED + 2).map(|_| common.share()).collect();
        for share in shares.iter().skip(1).rev() {
            share.set_idle();
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        let evicted = || shares.iter().map(|share| share.mark.evicted.is_cancelled()).collect::<Vec<_>>();
        common.relieve(&io::ErrorKind::ConnectionAborted.into());
        assert!(evicted().iter().all(|evicted| !evicted), "another error is no reason");
        common.relieve(&io::Error::from_raw_os_error(EMFILE));
        let evicted = evicted();
        assert!(!evicted[0], "busy");
        assert!(!evicted[1], "idle for the shortest time");
        assert!(evicted[2..].iter().all(|evicted| *evicted));
        drop(shares);
        assert!(common.members().marks.is_empty());
    }
}
