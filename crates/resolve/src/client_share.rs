//! What one client may hold of a table whose places are few.
//!
//! Whoever asks for names that hang fills the tables of questions on their way. One client alone cannot: once a table is
//! half full, nobody gets more than a quarter of it, so whoever asks little still finds a place. How many places there
//! are is for others to watch.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

/// Up to this part of a table anybody may fill it.
const OPEN_PART: usize = 2;

/// Beyond that, one client holds at most this part.
const CLIENT_SHARE: usize = 4;

/// The places that are held, by client.
#[derive(Default)]
pub(crate) struct ClientShares {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    total: usize,
    /// Nobody is in it with none, so it has at most `total` entries.
    by_client: HashMap<Client, usize, RandomState>,
}

/// Who counts as one client: an IPv4 address, or the 64 bits of an IPv6 address that name a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    address: IpAddr,
}

/// A place that a client holds.
pub(crate) struct Place {
    shares: Arc<ClientShares>,
    client: Client,
}

/// The client holds its share already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareSpent;

impl ClientShares {
    /// A place for the client in a table of `places`.
    pub(crate) fn take(self: &Arc<Self>, client: Client, places: usize) -> Result<Place, ShareSpent> {
        let mut held = self.lock();
        let own = held.by_client.get(&client).copied().unwrap_or_default();
        if !has_room(client, own, held.total, places) {
            return Err(ShareSpent);
        }
        held.total += 1;
        held.by_client.insert(client, own + 1);
        Ok(Place { shares: Arc::clone(self), client })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_room(client: Client, own: usize, total: usize, places: usize) -> bool {
    // A stub on this node stands for everyone here: while nobody else asks it has all but a newcomer's share.
    let is_alone_at_home = client.is_loopback() && own == total;
    total < places.div_ceil(OPEN_PART)
        || own < places.div_ceil(CLIENT_SHARE)
        || is_alone_at_home && total < places - places / CLIENT_SHARE
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        held.total -= 1;
        if let Some(own) = held.by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                held.by_client.remove(&self.client);
            }
        }
    }
}

impl Client {
    /// The client that asks from this address.
    pub(crate) fn of(address: IpAddr) -> Self {
        let address = match address.to_canonical() {
            // Whoever has one address of a network has 2^64 of them.
            IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            other => other,
        };
        Self { address }
    }

    fn is_loopback(self) -> bool {
        self.address.is_loopback()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn client(address: &str) -> Client {
        Client::of(address.parse().unwrap())
    }

    /// Takes places until there is none.
    fn fill(shares: &Arc<ClientShares>, address: &str, places: usize) -> Vec<Place> {
        // The bound on places is others' business.
        std::iter::from_fn(|| shares.take(client(address), places).ok()).take(places).collect()
    }

    #[test]
    fn one_client_leaves_room_for_the_others() {
        let shares = Arc::<ClientShares>::default();
        let greedy = fill(&shares, "192.0.2.1", 16);
        assert_eq!(greedy.len(), 8, "half of a table that is otherwise empty");
        assert_eq!(fill(&shares, "192.0.2.2", 16).len(), 4, "a quarter from then on");
        drop(greedy);
        assert!(shares.lock().by_client.is_empty(), "places are given back");
        assert_eq!(shares.lock().total, 0);
    }

    #[test]
    fn whoever_asks_little_finds_a_place() {
        // Places of the table, and how many the greedy client gets.
        for (places, greedy) in [(1, 1), (2, 1), (3, 2), (4, 2), (4096, 2048)] {
            let shares = Arc::<ClientShares>::default();
            let held = fill(&shares, "192.0.2.1", places);
            assert_eq!(held.len(), greedy, "of {places}");
            assert!(shares.take(client("192.0.2.2"), places).is_ok(), "of {places}");
        }
    }

    #[test]
    fn loopback_has_more_while_it_is_alone() {
        let shares = Arc::<ClientShares>::default();
        let held = fill(&shares, "127.0.0.1", 16);
        assert_eq!(held.len(), 12);
        let newcomer = fill(&shares, "192.0.2.1", 16);
        assert_eq!(newcomer.len(), 4);
        drop(held);
        assert_eq!(fill(&shares, "::1", 16).len(), 4, "no longer alone: up to the half");
    }

    #[test]
    fn a_network_of_ipv6_addresses_is_one_client() {
        let cases = [
            ("the same network", "2001:db8::1", "2001:db8::ffff:1", true),
            ("another network", "2001:db8::1", "2001:db8:0:1::1", false),
            ("IPv4", "192.0.2.1", "192.0.2.2", false),
            ("IPv4 in IPv6", "192.0.2.1", "::ffff:192.0.2.1", true),
            ("two addresses of IPv4 in IPv6", "::ffff:192.0.2.2", "::ffff:192.0.2.1", false),
            ("loopback", "::1", "127.0.0.1", false),
        ];
        for (what, a, b, same) in cases {
            assert_eq!(client(a) == client(b), same, "{what}");
        }
    }
}
