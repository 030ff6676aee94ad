//! Single flight: equal questions in flight share one exchange.
//!
//! An exchange is a task of its own: a client that gives up, first or last, takes nothing from the
//! others, and the answer still reaches the cache.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use tokio::sync::watch;

use crate::client_share::{Client, ClientShares, Place, ShareSpent};

/// Exchanges in flight at most; over it a question that nobody has asked yet fails at once. Twice what an
/// upstream group lets out by default, so that one dead group leaves room for the other zones.
pub(crate) const MAX_EXCHANGES: usize = 8_192;

/// Clients that wait for one zone's answers at most: a flood for a zone whose source is dead leaves the
/// others alone, and holds at most this many questions in memory.
pub(crate) const MAX_WAITING_PER_ZONE: usize = 16_384;

/// Too much is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overloaded {
    /// Of all clients together.
    Full,
    /// Of this client.
    ClientShare,
}

impl From<ShareSpent> for Overloaded {
    fn from(_: ShareSpent) -> Self {
        Self::ClientShare
    }
}

type Running<T> = HashMap<Box<[u8]>, watch::Receiver<Option<T>>, RandomState>;

/// The exchanges in flight, by key.
pub(crate) struct Flights<T> {
    running: Mutex<Running<T>>,
    /// Who started them.
    shares: Arc<ClientShares>,
}

/// Who starts an exchange, and whose source it asks.
#[derive(Clone, Copy)]
pub(crate) struct Starter<'a> {
    pub(crate) client: Client,
    /// The exchanges of the zone.
    pub(crate) zone: &'a Arc<ClientShares>,
    /// How many of them the zone's source takes at a time.
    pub(crate) capacity: usize,
}

impl Starter<'_> {
    /// The places of a new exchange, of all and of the zone's.
    fn take_places(&self, all: &Arc<ClientShares>) -> Result<[Place; 2], Overloaded> {
        Ok([all.take(self.client, MAX_EXCHANGES)?, self.zone.take(self.client, self.capacity)?])
    }
}

/// A place in an exchange.
pub(crate) struct Seat<T> {
    landing: watch::Receiver<Option<T>>,
    /// Whether the exchange was already in flight.
    pub(crate) shared: bool,
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { running: Mutex::default(), shares: Arc::default() })
    }

    /// A seat in the exchange under `key`; when there is none, `exchange` is started. The starter's share pays for it;
    /// without one, it is part of another exchange that is paid for.
    pub(crate) fn join<F>(
        self: &Arc<Self>,
        key: &[u8],
        starter: Option<Starter<'_>>,
        exchange: impl FnOnce() -> F,
    ) -> Result<Seat<T>, Overloaded>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut running = self.lock();
        if let Some(landing) = running.get(key) {
            return Ok(Seat { landing: landing.clone(), shared: true });
        }
        if running.len() >= MAX_EXCHANGES {
            return Err(Overloaded::Full);
        }
        let places = starter.map(|starter| starter.take_places(&self.shares)).transpose()?;
        let (land, landing) = watch::channel(None);
        running.insert(key.into(), landing.clone());
        let entry = InFlight { flights: Arc::clone(self), key: key.into(), _places: places };
        let exchange = exchange();
        tokio::spawn(async move {
            let outcome = exchange.await;
            // First off the list, then landed: who joins now finds the answer in the cache.
            drop(entry);
            land.send_replace(Some(outcome));
        });
        Ok(Seat { landing, shared: false })
    }

    /// Exchanges in flight.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Running<T>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Seat<T> {
    /// What the exchange brings; none when it broke off.
    pub(crate) async fn outcome(mut self) -> Option<T> {
        self.landing.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
    }
}

/// Takes an exchange off the list, also when its task panics or the runtime ends.
struct InFlight<T> {
    flights: Arc<Flights<T>>,
    key: Box<[u8]>,
    _places: Option<[Place; 2]>,
}

impl<T> Drop for InFlight<T> {
    fn drop(&mut self) {
        self.flights.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Counts a client in while it waits, and out when it is gone.
pub(crate) struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    /// A place among those who wait, of at most `most`.
    pub(crate) fn enter(count: &'a AtomicUsize, most: usize) -> Result<Self, Overloaded> {
        let place = Self(count);
        // Over the bound `place` is dropped, which takes the one back.
        if count.fetch_add(1, Ordering::Relaxed) < most { Ok(place) } else { Err(Overloaded::Full) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::Ipv4Addr;
    use std::sync::LazyLock;
    use std::sync::atomic::AtomicU32;

    use tokio::sync::Notify;

    use super::*;
    use crate::testing::until;

    /// Each time another client.
    fn anyone() -> Option<Starter<'static>> {
        static ZONE: LazyLock<Arc<ClientShares>> = LazyLock::new(Arc::default);
        static NEXT: AtomicU32 = AtomicU32::new(0x0a00_0000);
        let address = Ipv4Addr::from_bits(NEXT.fetch_add(1, Ordering::Relaxed));
        Some(Starter { client: Client::of(address.into()), zone: &ZONE, capacity: MAX_EXCHANGES })
    }

    #[tokio::test]
    async fn equal_keys_share_one_exchange() {
        let flights = Flights::new();
        let gate = Arc::new(Notify::new());
        let calls = Arc::new(AtomicUsize::new(0));
        let start = || {
            let (gate, calls) = (Arc::clone(&gate), Arc::clone(&calls));
            async move {
                calls.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                7
            }
        };
        let seats: Vec<_> = (0..1000).map(|_| flights.join(b"key", anyone(), start).unwrap()).collect();
        assert_eq!(seats.iter().filter(|seat| seat.shared).count(), 999);
        let other = flights.join(b"another", anyone(), || async { 8 }).unwrap();
        assert_eq!(other.outcome().await, Some(8));
        gate.notify_one();
        for seat in seats {
            assert_eq!(seat.outcome().await, Some(7));
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_leader_that_leaves_does_not_strand_the_others() {
        let flights = Flights::new();
        let gate = Arc::new(Notify::new());
        let exchange = {
            let gate = Arc::clone(&gate);
            async move { gate.notified().await }
        };
        let leader = flights.join(b"key", anyone(), || exchange).unwrap();
        let follower = flights.join(b"key", anyone(), || async {}).unwrap();
        drop(leader);
        gate.notify_one();
        assert_eq!(follower.outcome().await, Some(()));
    }

    #[tokio::test]
    async fn an_exchange_that_panics_ends_for_all() {
        let flights = Flights::<()>::new();
        let seat = flights.join(b"key", anyone(), || async { panic!("a source broke") }).unwrap();
        assert_eq!(seat.outcome().await, None);
        until(|| flights.len() == 0).await;
    }

    #[tokio::test]
    async fn exchanges_are_bounded() {
        let flights = Flights::<()>::new();
        for i in 0..MAX_EXCHANGES {
            flights.join(&i.to_be_bytes(), anyone(), std::future::pending).unwrap();
        }
        assert_eq!(flights.join(b"one more", anyone(), std::future::pending).err(), Some(Overloaded::Full));
        // One that is in flight may still be shared.
        assert!(flights.join(&0_usize.to_be_bytes(), anyone(), std::future::pending).is_ok());
    }

    #[tokio::test]
    async fn one_client_does_not_start_all_exchanges() {
        let flights = Flights::<()>::new();
        let zones: [Arc<ClientShares>; 3] = Default::default();
        let greedy = Client::of([192, 0, 2, 1].into());
        let start = |zone: usize, i: usize, client: Client| {
            let starter = Starter { client, zone: &zones[zone], capacity: 16 };
            flights.join(&[zone.to_be_bytes(), i.to_be_bytes()].concat(), Some(starter), std::future::pending).map(drop)
        };
        for i in 0..8 {
            start(0, i, greedy).unwrap();
        }
        assert_eq!(start(0, 8, greedy), Err(Overloaded::ClientShare));
        // A flight of its own or of another may still be shared, and other zones and other clients have their places.
        start(0, 0, greedy).unwrap();
        start(1, 0, greedy).unwrap();
        start(0, 8, Client::of([192, 0, 2, 2].into())).unwrap();
        // What was refused holds no place.
        assert_eq!(flights.len(), 10);
        drop(flights.shares.take(greedy, 22).unwrap_or_else(|_| unreachable!()));
    }

    #[test]
    fn waiting_is_bounded_and_given_back() {
        let count = AtomicUsize::new(0);
        let first = Waiting::enter(&count, 1).unwrap_or_else(|_| unreachable!());
        assert!(Waiting::enter(&count, 1).is_err());
        drop(first);
        assert!(Waiting::enter(&count, 1).is_ok());
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
