//! What one client may hold of a table whose places are few.
//!
//! Whoever asks for names that hang fills the tables of questions on their way. One client alone cannot: once a table is
//! half full, nobody gets more than a quarter of it, so whoever asks little still finds a place. How many places there
//! are is for others to watch.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use foldhash::quality::SeedableRandomState;

/// Up to this part of a table anybody may fill it.
const OPEN_PART: usize = 2;

/// Beyond that, one client holds at most this part.
const CLIENT_SHARE: usize = 4;

/// Counters in a row; one octet of a hash says which.
const ROW: usize = 1 << u8::BITS;

/// The places that are held, by client, without a lock: a client counts in one counter of either row, and what both have
/// in common is the most that it can hold (a count-min sketch). Clients that share a counter share it in one row only, but
/// for one pair in 65,536. At most four counters of a row can have come to a quarter of the table, so of the clients that
/// hold little one in 4,096 at most is taken for greedy, and which ones depends on a random key.
pub struct ClientShares {
    total: AtomicUsize,
    rows: Rows,
    key: SeedableRandomState,
}

struct Rows([[AtomicU32; ROW]; 2]);

/// Who counts as one client: an IPv4 address, or the 64 bits of an IPv6 address that name a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client {
    address: IpAddr,
}

/// A place that a client holds.
pub(crate) struct Place {
    shares: Arc<ClientShares>,
    at: Counters,
}

/// Where a client counts: the place in either row. Goes into a number and comes back.
#[derive(Debug, Clone, Copy)]
pub struct Counters([u8; 2]);

impl From<Counters> for u64 {
    fn from(Counters(at): Counters) -> Self {
        u16::from_be_bytes(at).into()
    }
}

impl From<u64> for Counters {
    fn from(number: u64) -> Self {
        let [.., first, second] = number.to_be_bytes();
        Self([first, second])
    }
}

/// The client holds its share already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareSpent;

impl Default for ClientShares {
    fn default() -> Self {
        // So that no two clients of a test are ever taken for one.
        let key = if cfg!(test) { SeedableRandomState::fixed() } else { SeedableRandomState::random() };
        let row = || std::array::from_fn(|_| AtomicU32::new(0));
        Self { total: AtomicUsize::new(0), rows: Rows([row(), row()]), key }
    }
}

impl ClientShares {
    /// A place for the client in a table of `places`.
    pub(crate) fn take(self: &Arc<Self>, client: Client, places: usize) -> Result<Place, ShareSpent> {
        let at = self.enter(client, places)?;
        Ok(Place { shares: Arc::clone(self), at })
    }

    /// A place for the client in a table of `places`, which [`Self::leave`] gives back.
    pub fn enter(&self, client: Client, places: usize) -> Result<Counters, ShareSpent> {
        let at = self.counters(client);
        // First counted, then looked at: of two that come at once the later one at least sees both.
        let total = self.total.fetch_add(1, Ordering::SeqCst);
        let own = self.rows.enter(at);
        match has_room(client, own, total, places) {
            true => Ok(at),
            false => {
                self.leave(at);
                Err(ShareSpent)
            }
        }
    }

    /// Gives a place back.
    pub fn leave(&self, at: Counters) {
        self.rows.leave(at);
        self.total.fetch_sub(1, Ordering::SeqCst);
    }

    fn counters(&self, client: Client) -> Counters {
        let [first, .., second] = self.key.hash_one(client).to_be_bytes();
        Counters([first, second])
    }
}

impl Rows {
    /// Counts one in; how many there were, at most.
    fn enter(&self, at: Counters) -> usize {
        let counters = self.at(at);
        for counter in counters {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        let least = counters.map(|counter| counter.load(Ordering::SeqCst)).into_iter().min().unwrap_or_default();
        // Those who leave meanwhile may have taken the one away.
        least.saturating_sub(1) as usize
    }

    fn leave(&self, at: Counters) {
        for counter in self.at(at) {
            counter.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn at(&self, Counters([first, second]): Counters) -> [&AtomicU32; 2] {
        [&self.0[0][usize::from(first)], &self.0[1][usize::from(second)]]
    }
}

fn has_room(client: Client, own: usize, total: usize, places: usize) -> bool {
    // A stub on this node stands for everyone here: while nobody else asks it has all but a newcomer's share.
    let is_alone_at_home = client.is_loopback() && own >= total;
    total < places.div_ceil(OPEN_PART)
        || own < places.div_ceil(CLIENT_SHARE)
        || is_alone_at_home && total < places - places / CLIENT_SHARE
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shares.leave(self.at);
    }
}

impl Client {
    /// The client that asks from this address.
    pub fn of(address: IpAddr) -> Self {
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

    fn is_empty(shares: &ClientShares) -> bool {
        let counters = shares.rows.0.as_flattened();
        shares.total.load(Ordering::SeqCst) == 0 && counters.iter().all(|counter| counter.load(Ordering::SeqCst) == 0)
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
        assert!(is_empty(&shares), "places are given back");
    }

    #[test]
    fn what_is_refused_counts_for_nobody() {
        let shares = Arc::<ClientShares>::default();
        let held = fill(&shares, "192.0.2.1", 16);
        for _ in 0..16 {
            assert!(shares.take(client("192.0.2.1"), 16).is_err());
        }
        assert_eq!(fill(&shares, "192.0.2.2", 16).len(), 4);
        drop(held);
        assert!(is_empty(&shares));
    }

    #[test]
    fn who_shares_one_counter_with_a_greedy_client_is_not_taken_for_it() {
        let shares = Arc::<ClientShares>::default();
        let Counters([first, second]) = shares.counters(client("192.0.2.1"));
        let held = fill(&shares, "192.0.2.1", 16);
        let mut alike = 0;
        for number in 0..u16::MAX {
            let [high, low] = number.to_be_bytes();
            let other = Client::of([10, 0, high, low].into());
            let Counters(at) = shares.counters(other);
            if (at[0] == first) != (at[1] == second) {
                alike += 1;
                assert!(shares.take(other, 16).is_ok());
            }
        }
        assert!(alike > 0);
        drop(held);
    }

    #[test]
    fn many_at_once_get_no_more_than_their_share() {
        let shares = Arc::<ClientShares>::default();
        let others = fill(&shares, "192.0.2.2", 64);
        let greedy: Vec<_> = std::thread::scope(|scope| {
            let fill = || fill(&shares, "192.0.2.1", 64);
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(fill)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(greedy.len() <= 16, "{}", greedy.len());
        drop((others, greedy));
        assert!(is_empty(&shares));
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
