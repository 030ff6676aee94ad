//! Single flight: equal questions in flight share one exchange.
//!
//! Clients wait as records in their flight, not as tasks: an exchange that lands hands them all their reply. An exchange
//! is a task of its own, so that a client that gives up takes nothing from the others, and the answer still
//! reaches the cache.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use crate::client_share::{Client, ClientShares, Place, ShareSpent};

/// Exchanges in flight at most; over it a question that nobody has asked yet fails at once. Twice what an
/// upstream group lets out by default, so that one dead group leaves room for the other zones.
pub(crate) const MAX_EXCHANGES: usize = 8_192;

/// Clients that wait for one zone's answers at most: a flood for a zone whose source is dead holds at most half of the
/// 8,192 places of a UDP address, and at most this many questions in memory.
pub(crate) const MAX_WAITING_PER_ZONE: usize = 4_096;

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

/// The exchanges in flight with those who wait for them, by key.
pub(crate) struct Flights<W> {
    table: Mutex<Table<W>>,
    /// Who started them.
    shares: Arc<ClientShares>,
}

struct Table<W> {
    running: HashMap<Arc<[u8]>, Flight<W>, RandomState>,
    /// Whether somebody looks after those who wait too long.
    watched: bool,
}

struct Flight<W> {
    waiting: Vec<W>,
    _places: Option<[Place; 2]>,
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

/// What came of joining.
pub(crate) enum Joined<W> {
    /// The exchange was in flight already.
    Shared,
    /// The caller starts the exchange, and holds this until it lands.
    First(Departure<W>),
    /// There is no room for another exchange.
    Refused(Overloaded, W),
}

impl<W> Flights<W> {
    pub(crate) fn new() -> Arc<Self> {
        let table = Table { running: HashMap::default(), watched: false };
        Arc::new(Self { table: Mutex::new(table), shares: Arc::default() })
    }

    /// Waits for the exchange under `key`; without one, the caller is to start it, and the starter's share pays for it.
    pub(crate) fn join(self: &Arc<Self>, key: &Arc<[u8]>, starter: Starter<'_>, waiter: W) -> Joined<W> {
        let mut table = self.lock();
        let full = table.running.len() >= MAX_EXCHANGES;
        let free = match table.running.entry(Arc::clone(key)) {
            Entry::Occupied(mut flight) => {
                flight.get_mut().waiting.push(waiter);
                return Joined::Shared;
            }
            Entry::Vacant(_) if full => return Joined::Refused(Overloaded::Full, waiter),
            Entry::Vacant(free) => free,
        };
        let places = match starter.take_places(&self.shares) {
            Ok(places) => places,
            Err(overloaded) => return Joined::Refused(overloaded, waiter),
        };
        free.insert(Flight { waiting: vec![waiter], _places: Some(places) });
        Joined::First(self.departure(&mut table, key))
    }

    /// An exchange that nobody waits for yet and nobody pays for. None: it is in flight, or there is no room.
    pub(crate) fn depart(self: &Arc<Self>, key: &Arc<[u8]>) -> Option<Departure<W>> {
        let mut table = self.lock();
        if table.running.contains_key(key) || table.running.len() >= MAX_EXCHANGES {
            return None;
        }
        table.running.insert(Arc::clone(key), Flight { waiting: Vec::new(), _places: None });
        Some(self.departure(&mut table, key))
    }

    fn departure(self: &Arc<Self>, table: &mut Table<W>, key: &Arc<[u8]>) -> Departure<W> {
        let unwatched = !std::mem::replace(&mut table.watched, true);
        Departure { flights: Arc::clone(self), key: Some(Arc::clone(key)), unwatched }
    }

    /// Nobody looks after those who wait any more.
    pub(crate) fn unwatch(&self) {
        self.lock().watched = false;
    }

    /// Takes out those for whom `verdict` has one. None: nothing is in flight any more, and nobody is watched.
    pub(crate) fn take_where<V>(&self, mut verdict: impl FnMut(&mut W) -> Option<V>) -> Option<Vec<(W, V)>> {
        let mut table = self.lock();
        if table.running.is_empty() {
            table.watched = false;
            return None;
        }
        let mut taken = Vec::new();
        for flight in table.running.values_mut() {
            let mut at = 0;
            while let Some(waiter) = flight.waiting.get_mut(at) {
                match verdict(waiter) {
                    Some(verdict) => taken.push((flight.waiting.swap_remove(at), verdict)),
                    None => at += 1,
                }
            }
        }
        Some(taken)
    }

    /// Whether somebody looks after those who wait too long.
    #[cfg(test)]
    pub(crate) fn is_watched(&self) -> bool {
        self.lock().watched
    }

    /// Exchanges in flight.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().running.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table<W>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An exchange on its way. Dropping it takes the exchange off the list, and with it those who wait.
pub(crate) struct Departure<W> {
    flights: Arc<Flights<W>>,
    key: Option<Arc<[u8]>>,
    unwatched: bool,
}

impl<W> Departure<W> {
    /// Whether the caller is to have somebody look after those who wait too long, from now on until nothing is in
    /// flight: nobody does yet.
    pub(crate) fn is_unwatched(&self) -> bool {
        self.unwatched
    }

    /// Takes the exchange off the list: who joins now finds the answer in the cache. Who has waited comes back.
    pub(crate) fn land(&mut self) -> Vec<W> {
        let Some(key) = self.key.take() else { return Vec::new() };
        let flight = self.flights.lock().running.remove(&key);
        flight.map(|flight| flight.waiting).unwrap_or_default()
    }
}

impl<W> Drop for Departure<W> {
    fn drop(&mut self) {
        self.land();
    }
}

/// Counts a client in while it waits, and out when it is gone.
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    /// A place among those who wait, of at most `most`.
    pub(crate) fn enter(count: &Arc<AtomicUsize>, most: usize) -> Result<Self, Overloaded> {
        let place = Self(Arc::clone(count));
        // Over the bound `place` is dropped, which takes the one back.
        if count.fetch_add(1, Ordering::Relaxed) < most { Ok(place) } else { Err(Overloaded::Full) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::net::Ipv4Addr;
    use std::sync::LazyLock;
    use std::sync::atomic::AtomicU32;

    use super::*;

    static ZONE: LazyLock<Arc<ClientShares>> = LazyLock::new(Arc::default);

    /// Each time another client.
    fn anyone() -> Starter<'static> {
        static NEXT: AtomicU32 = AtomicU32::new(0x0a00_0000);
        let address = Ipv4Addr::from_bits(NEXT.fetch_add(1, Ordering::Relaxed));
        Starter { client: Client::of(address.into()), zone: &ZONE, capacity: MAX_EXCHANGES }
    }

    fn key(key: &[u8]) -> Arc<[u8]> {
        key.into()
    }

    fn first<W>(joined: Joined<W>) -> Departure<W> {
        match joined {
            Joined::First(departure) => departure,
            Joined::Shared => panic!("it was in flight"),
            Joined::Refused(overloaded, _) => panic!("{overloaded:?}"),
        }
    }

    fn refused<W>(joined: Joined<W>) -> Option<Overloaded> {
        match joined {
            Joined::Refused(overloaded, _) => Some(overloaded),
            Joined::First(_) | Joined::Shared => None,
        }
    }

    #[test]
    fn equal_keys_share_one_exchange() {
        let flights = Flights::new();
        let mut exchange = first(flights.join(&key(b"key"), anyone(), 0));
        for waiter in 1..1000 {
            assert!(matches!(flights.join(&key(b"key"), anyone(), waiter), Joined::Shared));
        }
        let mut other = first(flights.join(&key(b"another"), anyone(), 7));
        assert_eq!(other.land(), [7]);
        assert_eq!(exchange.land(), (0..1000).collect::<Vec<_>>());
        assert!(exchange.land().is_empty(), "landed once");
        assert_eq!(flights.len(), 0);
    }

    #[test]
    fn an_exchange_that_breaks_off_is_off_the_list() {
        let flights = Flights::new();
        drop(first(flights.join(&key(b"key"), anyone(), ())));
        assert_eq!(flights.len(), 0);
        drop(first(flights.join(&key(b"key"), anyone(), ())));
    }

    #[test]
    fn who_has_waited_too_long_is_taken_out() {
        let flights = Flights::new();
        let mut exchange = first(flights.join(&key(b"key"), anyone(), 1));
        assert!(exchange.is_unwatched());
        assert!(matches!(flights.join(&key(b"key"), anyone(), 2), Joined::Shared));
        assert!(!first(flights.join(&key(b"another"), anyone(), 3)).is_unwatched(), "somebody does");
        assert_eq!(flights.take_where(|waiter| (*waiter == 1).then_some("late")), Some(vec![(1, "late")]));
        assert_eq!(exchange.land(), [2]);
        assert_eq!(flights.take_where(|_| Some(())), None);
        assert!(first(flights.join(&key(b"key"), anyone(), 4)).is_unwatched(), "nobody does any more");
    }

    #[test]
    fn an_exchange_may_begin_before_anybody_waits() {
        let flights = Flights::new();
        let mut exchange = flights.depart(&key(b"key")).unwrap();
        assert!(flights.depart(&key(b"key")).is_none());
        assert!(matches!(flights.join(&key(b"key"), anyone(), 1), Joined::Shared));
        assert_eq!(exchange.land(), [1]);
    }

    #[test]
    fn exchanges_are_bounded() {
        let flights = Flights::new();
        let held: Vec<_> =
            (0..MAX_EXCHANGES).map(|i| first(flights.join(&key(&i.to_be_bytes()), anyone(), ()))).collect();
        assert_eq!(refused(flights.join(&key(b"one more"), anyone(), ())), Some(Overloaded::Full));
        // One that is in flight may still be shared.
        assert!(matches!(flights.join(&key(&0_usize.to_be_bytes()), anyone(), ()), Joined::Shared));
        drop(held);
        drop(first(flights.join(&key(b"one more"), anyone(), ())));
    }

    #[test]
    fn one_client_does_not_start_all_exchanges() {
        let flights = Flights::new();
        let zones: [Arc<ClientShares>; 3] = Default::default();
        let greedy = Client::of([192, 0, 2, 1].into());
        let mut held = Vec::new();
        let mut start = |zone: usize, i: usize, client: Client| {
            let starter = Starter { client, zone: &zones[zone], capacity: 16 };
            match flights.join(&key(&[zone.to_be_bytes(), i.to_be_bytes()].concat()), starter, ()) {
                Joined::First(departure) => held.push(departure),
                Joined::Shared => {}
                Joined::Refused(overloaded, ()) => return Err(overloaded),
            }
            Ok(())
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
        let count = Arc::new(AtomicUsize::new(0));
        let first = Waiting::enter(&count, 1).unwrap_or_else(|_| unreachable!());
        assert!(Waiting::enter(&count, 1).is_err());
        drop(first);
        assert!(Waiting::enter(&count, 1).is_ok());
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
