//! One exchange with a source for everybody who has the same question for it, by whatever way it came.
//!
//! The first one runs the exchange in its own task; the others wait for what it brings.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::flight::{MAX_EXCHANGES, Overloaded};

/// Those who wait for an exchange; nobody in the ordinary case.
type Followers<T> = Option<watch::Sender<Option<T>>>;

/// An exchange under way.
struct Running<T> {
    followers: Followers<T>,
    since: Instant,
    /// Wakes the task that runs it.
    task: Waker,
}

type Table<T> = HashMap<Arc<[u8]>, Running<T>, RandomState>;

/// The exchanges under way, by key.
pub(crate) struct Sharing<T> {
    running: Mutex<Table<T>>,
}

impl<T> Default for Sharing<T> {
    fn default() -> Self {
        Self { running: Mutex::default() }
    }
}

impl<T: Clone> Sharing<T> {
    /// What `exchange`, which began at `since`, brings, or an equal one that is under way. None: that one broke off.
    pub(crate) async fn run(
        &self,
        key: &Arc<[u8]>,
        since: Instant,
        exchange: impl Future<Output = T>,
    ) -> Result<Option<T>, Overloaded> {
        let task = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let mut leading = match self.enter(key, since, task)? {
            Role::Leads(leading) => leading,
            Role::Follows(mut outcome) => {
                // Seldom, and so not in the room that every exchange takes.
                let outcome = Box::pin(outcome.wait_for(Option::is_some)).await;
                return Ok(outcome.ok().and_then(|outcome| outcome.clone()));
            }
        };
        let outcome = exchange.await;
        if let Some(followers) = leading.leave() {
            followers.send_replace(Some(outcome.clone()));
        }
        Ok(Some(outcome))
    }

    /// Has the exchanges looked at again that have taken longer than `bound`: [`within`] gives them up.
    pub(crate) fn wake_overdue(&self, bound: Duration) {
        let now = Instant::now();
        for running in self.lock().values().filter(|running| now - running.since >= bound) {
            running.task.wake_by_ref();
        }
    }

    fn enter(&self, key: &Arc<[u8]>, since: Instant, task: Waker) -> Result<Role<'_, T>, Overloaded> {
        let mut running = self.lock();
        let full = running.len() >= MAX_EXCHANGES;
        match running.entry(Arc::clone(key)) {
            Entry::Occupied(mut running) => {
                let sender = running.get_mut().followers.get_or_insert_with(|| watch::Sender::new(None));
                return Ok(Role::Follows(sender.subscribe()));
            }
            Entry::Vacant(_) if full => return Err(Overloaded::Full),
            Entry::Vacant(free) => free.insert(Running { followers: None, since, task }),
        };
        Ok(Role::Leads(Leading { sharing: self, key: Some(Arc::clone(key)) }))
    }

    fn lock(&self) -> MutexGuard<'_, Table<T>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome of what began at `since`, or what is `late` to say when it takes longer than `bound`. No timer of its own:
/// somebody is to wake it then ([`Sharing::wake_overdue`]).
pub(crate) fn within<T>(
    bound: Duration,
    since: Instant,
    mut future: impl Future<Output = T> + Unpin,
    late: impl Fn() -> T,
) -> impl Future<Output = T> {
    poll_fn(move |cx| match Pin::new(&mut future).poll(cx) {
        Poll::Pending if since.elapsed() >= bound => Poll::Ready(late()),
        polled => polled,
    })
}

enum Role<'a, T: Clone> {
    Leads(Leading<'a, T>),
    Follows(watch::Receiver<Option<T>>),
}

/// The one that runs an exchange. Dropping it, its work done or not, takes it off the list.
struct Leading<'a, T: Clone> {
    sharing: &'a Sharing<T>,
    /// None once it is off.
    key: Option<Arc<[u8]>>,
}

impl<T: Clone> Leading<'_, T> {
    /// First off the list, then those who wait are told: who comes now starts anew, or finds the answer in the cache.
    fn leave(&mut self) -> Followers<T> {
        let key = self.key.take()?;
        self.sharing.lock().remove(&key)?.followers
    }
}

impl<T: Clone> Drop for Leading<'_, T> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::testing::until;

    #[tokio::test]
    async fn equal_questions_share_one_exchange() {
        let sharing = Arc::new(Sharing::default());
        let (gate, calls) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let ask = |key: &'static [u8]| {
            let (sharing, gate, calls) = (Arc::clone(&sharing), Arc::clone(&gate), Arc::clone(&calls));
            tokio::spawn(async move {
                let exchange = async {
                    calls.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    7
                };
                sharing.run(&key.into(), Instant::now(), exchange).await
            })
        };
        let asked: Vec<_> = (0..100).map(|_| ask(b"key")).collect();
        until(|| {
            let running = sharing.lock();
            running
                .get(b"key".as_slice())
                .and_then(|running| running.followers.as_ref())
                .is_some_and(|f| f.receiver_count() == 99)
        })
        .await;
        gate.notify_one();
        for one in asked {
            assert_eq!(one.await.unwrap(), Ok(Some(7)));
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert!(sharing.lock().is_empty());
    }

    #[tokio::test]
    async fn an_exchange_that_breaks_off_ends_for_all() {
        let sharing = Arc::new(Sharing::<()>::default());
        let leader = tokio::spawn({
            let sharing = Arc::clone(&sharing);
            async move { sharing.run(&b"key".as_slice().into(), Instant::now(), std::future::pending()).await }
        });
        until(|| !sharing.lock().is_empty()).await;
        let follower = tokio::spawn({
            let sharing = Arc::clone(&sharing);
            async move { sharing.run(&b"key".as_slice().into(), Instant::now(), std::future::pending()).await }
        });
        until(|| sharing.lock().values().any(|running| running.followers.is_some())).await;
        leader.abort();
        assert_eq!(follower.await.unwrap(), Ok(None));
        assert!(sharing.lock().is_empty());
    }

    #[test]
    fn exchanges_are_bounded() {
        let sharing = Sharing::<()>::default();
        let enter = |key: &[u8]| sharing.enter(&key.into(), Instant::now(), Waker::noop().clone());
        let held: Vec<_> = (0..MAX_EXCHANGES).map(|i| enter(&i.to_be_bytes()).map_err(drop)).collect();
        assert!(enter(b"one more").is_err());
        assert!(enter(&0_usize.to_be_bytes()).is_ok());
        drop(held);
        assert!(enter(b"one more").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_given_up_when_somebody_looks() {
        const BOUND: Duration = Duration::from_secs(15);
        let sharing = Arc::new(Sharing::default());
        let leader = tokio::spawn({
            let sharing = Arc::clone(&sharing);
            async move {
                let since = Instant::now();
                let exchange = within(BOUND, since, std::future::pending(), || "late");
                sharing.run(&b"key".as_slice().into(), since, exchange).await
            }
        });
        until(|| !sharing.lock().is_empty()).await;
        let nearly = BOUND - Duration::from_millis(1);
        for (passes, ends) in [(Duration::ZERO, false), (nearly, false), (BOUND - nearly, true)] {
            tokio::time::advance(passes).await;
            sharing.wake_overdue(BOUND);
            // Whoever is woken runs before this comes back.
            tokio::task::yield_now().await;
            assert_eq!(leader.is_finished(), ends);
        }
        assert_eq!(leader.await.unwrap(), Ok(Some("late")));
    }
}
