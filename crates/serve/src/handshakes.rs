//! The handshakes of one listener that are under way. A newcomer always finds a place: strangers who hold theirs
//! open lose them, and a peer that is prompt gets through.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::gate::client_of;

/// One client may hold one in this many places.
const CLIENT_SHARE: usize = 4;

/// Clients remembered because they have finished a handshake with a certificate that is believed: while others
/// are left, theirs are not given up. Over it the one longest not seen is forgotten.
const MAX_KNOWN_CLIENTS: usize = 256;

/// The places.
pub(crate) struct Handshakes {
    max: usize,
    max_per_client: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    serial: u64,
    total: usize,
    /// By client, the oldest first; never empty.
    by_client: HashMap<IpAddr, VecDeque<(u64, CancellationToken)>>,
    /// When a client was last known to be a peer, in serial numbers.
    known: HashMap<IpAddr, u64>,
}

/// A place; dropping it frees it.
pub(crate) struct Place {
    handshakes: Arc<Handshakes>,
    client: IpAddr,
    serial: u64,
    given_up: CancellationToken,
}

impl Handshakes {
    /// So many places, at least one for each client.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, max_per_client: (max / CLIENT_SHARE).max(1), table: Mutex::default() })
    }

    /// Takes a place. When there is none left, for all or for this client, the oldest handshake of the client that has
    /// most, or of this client, is given up.
    pub(crate) fn enter(self: &Arc<Self>, client: IpAddr) -> Place {
        let client = client_of(client);
        let given_up = CancellationToken::new();
        let mut table = self.table();
        if table.by_client.get(&client).is_some_and(|own| own.len() >= self.max_per_client) {
            table.give_up_oldest(client);
        } else if table.total >= self.max
            && let Some(greediest) = table.greediest()
        {
            table.give_up_oldest(greediest);
        }
        table.serial += 1;
        let serial = table.serial;
        table.by_client.entry(client).or_default().push_back((serial, given_up.clone()));
        table.total += 1;
        drop(table);
        Place { handshakes: Arc::clone(self), client, serial, given_up }
    }

    // Every change is complete before a panic could poison the table.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The client with most handshakes, of those that are no known peers if there are such; of equals the one whose
    /// handshake is oldest.
    fn greediest(&self) -> Option<IpAddr> {
        let rank = |client: &IpAddr, own: &VecDeque<(u64, CancellationToken)>| {
            let oldest = own.front().map_or(u64::MAX, |(serial, _)| *serial);
            (!self.known.contains_key(client), own.len(), u64::MAX - oldest)
        };
        self.by_client.iter().max_by_key(|(client, own)| rank(client, own)).map(|(client, _)| *client)
    }

    fn give_up_oldest(&mut self, client: IpAddr) {
        if let Some(serial) = self.by_client.get(&client).and_then(|own| own.front()).map(|(serial, _)| *serial)
            && let Some(token) = self.remove(client, serial)
        {
            token.cancel();
        }
    }

    fn remove(&mut self, client: IpAddr, serial: u64) -> Option<CancellationToken> {
        let own = self.by_client.get_mut(&client)?;
        let at = own.iter().position(|(s, _)| *s == serial)?;
        let (_, token) = own.remove(at)?;
        if own.is_empty() {
            self.by_client.remove(&client);
        }
        self.total -= 1;
        Some(token)
    }
}

impl Place {
    /// Resolves when the place is given to another.
    pub(crate) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    /// The client has shown a certificate that is believed.
    pub(crate) fn verified(self) {
        let mut table = self.handshakes.table();
        let now = table.serial;
        table.known.insert(self.client, now);
        if table.known.len() > MAX_KNOWN_CLIENTS
            && let Some(forgotten) = table.known.iter().min_by_key(|(_, seen)| **seen).map(|(client, _)| *client)
        {
            table.known.remove(&forgotten);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handshakes.table().remove(self.client, self.serial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn given_up(places: &[Place]) -> Vec<usize> {
        (0..places.len()).filter(|&n| places[n].given_up.is_cancelled()).collect()
    }

    #[test]
    fn a_client_over_its_share_loses_its_oldest() {
        let handshakes = Handshakes::new(8);
        let other = handshakes.enter(address(2));
        let places: Vec<Place> = (0..4).map(|_| handshakes.enter(address(1))).collect();
        assert_eq!(given_up(&places), [0, 1]);
        assert!(!other.given_up.is_cancelled());
    }

    #[test]
    fn over_the_limit_the_client_with_most_loses_its_oldest() {
        let handshakes = Handshakes::new(8);
        let clients = [1, 2, 2, 3, 4, 4, 5, 6, 7, 8, 9];
        let places: Vec<Place> = clients.iter().map(|&n| handshakes.enter(address(n))).collect();
        // First those with two, the older first; then of equals the oldest.
        assert_eq!(given_up(&places), [0, 1, 4]);
        drop(places);
        assert!(handshakes.table().by_client.is_empty());
        assert_eq!(handshakes.table().total, 0);
    }

    #[test]
    fn known_peers_are_given_up_last() {
        let handshakes = Handshakes::new(4);
        handshakes.enter(address(1)).verified();
        let mut places = vec![handshakes.enter(address(1))];
        places.extend((2..20).map(|n| handshakes.enter(address(n))));
        assert!(!places[0].given_up.is_cancelled());
        assert_eq!(given_up(&places).len(), places.len() - 4);
    }

    #[test]
    fn the_memory_of_peers_is_bounded() {
        let handshakes = Handshakes::new(4);
        for n in 0..1000_u32 {
            handshakes.enter(IpAddr::from(n.to_be_bytes())).verified();
        }
        let table = handshakes.table();
        assert_eq!(table.known.len(), MAX_KNOWN_CLIENTS);
        assert!(table.known.contains_key(&IpAddr::from(999_u32.to_be_bytes())), "the last is remembered");
    }
}
