//! One exchange with a source for everybody who has the same question for it, by whatever way it came.
//!
//! The first one runs the exchange in its own task; the others wait for what it brings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use tokio::sync::watch;

use crate::flight::{MAX_EXCHANGES, Overloaded};

/// Those who wait for an exchange; nobody in the ordinary case.
type Followers<T> = Option<watch::Sender<Option<T>>>;

/// The exchanges under way, by key.
pub(crate) struct Sharing<T> {
    running: Mutex<HashMap<Arc<[u8]>, Followers<T>, RandomState>>,
}

impl<T> Default for Sharing<T> {
    fn default() -> Self {
        Self { running: Mutex::default() }
    }
}

impl<T: Clone> Sharing<T> {
    /// What `exchange` brings, or an equal one that is under way. None: that one broke off.
    pub(crate) async fn run(&self, key: &[u8], exchange: impl Future<Output = T>) -> Result<Option<T>, Overloaded> {
        let mut leading = match self.enter(key)? {
            Role::Leads(leading) => leading,
            Role::Follows(mut outcome) => {
                let outcome = outcome.wait_for(Option::is_some).await;
                return Ok(outcome.ok().and_then(|outcome| outcome.clone()));
            }
        };
        let outcome = exchange.await;
        if let Some(followers) = leading.leave() {
            followers.send_replace(Some(outcome.clone()));
        }
        Ok(Some(outcome))
    }

    fn enter(&self, key: &[u8]) -> Result<Role<'_, T>, Overloaded> {
        let mut running = self.lock();
        if let Some(followers) = running.get_mut(key) {
            let sender = followers.get_or_insert_with(|| watch::Sender::new(None));
            return Ok(Role::Follows(sender.subscribe()));
        }
        if running.len() >= MAX_EXCHANGES {
            return Err(Overloaded::Full);
        }
        let key: Arc<[u8]> = key.into();
        running.insert(Arc::clone(&key), None);
        Ok(Role::Leads(Leading { sharing: self, key: Some(key) }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<[u8]>, Followers<T>, RandomState>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        self.sharing.lock().remove(&key).flatten()
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
                sharing.run(key, exchange).await
            })
        };
        let asked: Vec<_> = (0..100).map(|_| ask(b"key")).collect();
        until(|| {
            let running = sharing.lock();
            running.get(b"key".as_slice()).is_some_and(|f| f.as_ref().is_some_and(|f| f.receiver_count() == 99))
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
            async move { sharing.run(b"key", std::future::pending()).await }
        });
        until(|| !sharing.lock().is_empty()).await;
        let follower = tokio::spawn({
            let sharing = Arc::clone(&sharing);
            async move { sharing.run(b"key", std::future::pending()).await }
        });
        until(|| sharing.lock().values().any(Option::is_some)).await;
        leader.abort();
        assert_eq!(follower.await.unwrap(), Ok(None));
        assert!(sharing.lock().is_empty());
    }

    #[test]
    fn exchanges_are_bounded() {
        let sharing = Sharing::<()>::default();
        let held: Vec<_> = (0..MAX_EXCHANGES).map(|i| sharing.enter(&i.to_be_bytes()).map_err(drop)).collect();
        assert!(sharing.enter(b"one more").is_err());
        assert!(sharing.enter(&0_usize.to_be_bytes()).is_ok());
        drop(held);
        assert!(sharing.enter(b"one more").is_ok());
    }
}
